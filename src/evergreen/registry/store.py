"""Where the models live: one live pickle, a card for each model, backups, challengers, and the journal.

What `model/` promises, whatever is killed or fails at whatever instruction:

1. `model.pkl` is a whole old or a whole new model. One rename decides.
2. Before a new model is visible, its card and a verified backup of the old one are on the disk.
3. A decision made about another model than the one that is live is refused.
4. Nothing is unpickled unless its digest has a card here, and then the very bytes that were hashed.
5. Each deploy and rollback is in the journal exactly once: an intent is written before, the result after,
   and what a crash left out is added at the start of the next run.

Everything that writes here is called under `Store.lock()`.
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from evergreen import files
from evergreen.errors import IntegrityError, UsageError
from evergreen.registry import audit, backups, cards, journal
from evergreen.registry.backups import Backup
from evergreen.registry.cards import Card
from evergreen.registry.journal import Entry
from evergreen.settings import RegistrySettings, Settings

UNREADABLE = "unreadable"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Live:
    """The live model as the store knows it, without opening it; `since` is ISO text in UTC."""

    digest: str
    card: Card
    since: str | None
    reason: str


@dataclass(frozen=True)
class Store:
    """The folder of the models and its rules; `settings` says how many backups are kept and which are pinned."""

    folder: Path
    settings: RegistrySettings

    @classmethod
    def of(cls, settings: Settings) -> "Store":
        """The store that the configuration names."""
        return cls(settings.path(settings.registry.folder), settings.registry)

    @property
    def model_path(self) -> Path:
        return self.folder / "model.pkl"

    @property
    def cards_folder(self) -> Path:
        return self.folder / "cards"

    @property
    def staging(self) -> Path:
        return self.folder / "staging"

    @property
    def backups_folder(self) -> Path:
        return self.folder / "model_backups"

    @property
    def journal_path(self) -> Path:
        return self.folder / "history.jsonl"

    def lock(self) -> AbstractContextManager[None]:
        """The right to write here, or `BusyError` at once."""
        return files.lock(self.folder / ".lock")

    def entries(self) -> tuple[Entry, ...]:
        """The journal, oldest entry first."""
        return journal.read_journal(self.journal_path)

    def record(self, event: str, now: datetime, **content: Any) -> Entry:
        """Add an event to the journal."""
        return journal.append_entry(self.journal_path, event, now, **content)

    # Reading

    def live_digest(self) -> str | None:
        """The identity of the live model, or None when there is none; `IntegrityError` when it is no plain file."""
        try:
            return files.digest_of(files.read_bytes(self.model_path))
        except FileNotFoundError:
            return None

    def live(self) -> Live | None:
        """What is known of the live model, or None when there is none. Does not open the pickle."""
        digest = self.live_digest()
        if digest is None:
            return None
        card = self._card_of_live(digest)
        entry = journal.live_entry(self.entries())
        known = entry if entry and entry.get("digest") == digest else None
        return Live(digest, card, known.time if known else None, str(known.get("reason", "")) if known else "")

    def load_live(self) -> tuple[Any, Card]:
        """The live model and its card: read once, hashed, found known, and only then opened.

        Raises `IntegrityError` when there is no model, when it is unknown here, or when it can't be
        opened with what is installed.
        """
        try:
            content = files.read_bytes(self.model_path)
        except FileNotFoundError:
            raise IntegrityError(
                f"{self.model_path}: there is no model. Train the first one: python src/continuous_training.py, "
                "or bring your own: python src/rollout.py adopt FILE."
            ) from None
        card = self._card_of_live(files.digest_of(content))
        return cards.open_model(content, card), card

    def load(self, digest: str) -> tuple[Any, Card]:
        """A kept model that is not live, such as the predecessor on watch, and its card."""
        card = cards.read_card(self.cards_folder, digest)
        return cards.open_model(self.kept_pickle(digest), card), card

    def backups(self) -> tuple[Backup, ...]:
        """The kept copies, newest first, each hashed now."""
        return backups.list_backups(self.backups_folder, self.cards_folder)

    def kept_pickle(self, digest: str) -> bytes:
        """The bytes of a model from backups or staging, verified. Raises `IntegrityError` when no copy is intact."""
        kept = self.backups()
        staged = cards.card_path(self.staging, digest).with_suffix(".pkl")
        for path in [*(each.path for each in kept if each.digest == digest), staged]:
            content = backups.read_if_intact(path, digest)
            if content is not None:
                return content
        names = journal.model_names(self.entries())
        others = sorted({names.get(each.digest, each.digest[:12]) for each in kept if not each.problem})
        raise IntegrityError(
            f"{self.backups_folder}: no intact copy of {names.get(digest, digest[:12])} is kept; nothing was changed. "
            f"Kept are: {', '.join(others) or 'none'}."
        )

    def challenger(self) -> Card | None:
        """The card of the staged model that waits to go live, or None."""
        live = self._state()
        for path in self.staging.glob("*.json"):
            if path.stem != live and cards.DIGEST.fullmatch(path.stem):
                return cards.read_card(self.staging, path.stem)
        return None

    def predecessor(self) -> str | None:
        """The digest of the model that the live one took over from, or None for the first."""
        descent = journal.line_of_descent(self.entries())
        return descent[-2] if len(descent) > 1 else None

    def next_version(self) -> int:
        """The version number for the next model: one above the highest that ever was to go live."""
        return 1 + max((entry.get("version", 0) for entry in self.entries()), default=0)

    def resolve(self, name: str) -> str:
        """The digest meant by a version number (`3`, `v3`) or the first six or more digits of a digest."""
        return journal.find_model(name, self.entries(), {path.stem for path in self.cards_folder.glob("*.json")})

    # Changing

    def stage(self, content: bytes, card: Card) -> None:
        """Put a challenger and its card where `deploy` finds them; it takes the place of the challenger before."""
        if files.digest_of(content) != card.digest:
            raise IntegrityError(f"The card says {card.digest[:12]}, the model is {files.digest_of(content)[:12]}.")
        self._clear_staging()
        files.write_atomic(self.staging / f"{card.digest}.pkl", content)
        cards.write_card(self.staging, card)

    def deploy(
        self, digest: str, *, expected_live: str | None, now: datetime, reason: str, actor: str, run: str = ""
    ) -> Entry:
        """Make a staged model the live one.

        `expected_live` is the digest of the model that the decision was made about (None: there was none).
        Raises `IntegrityError`, with nothing changed, when another one is live by now.
        """
        card_path = cards.card_path(self.staging, digest)
        content = backups.read_or_none(card_path.with_suffix(".pkl"))
        if content is None or files.digest_of(content) != digest:
            raise IntegrityError(f"{self.staging}: there is no intact challenger {digest[:12]}. Train it again.")
        card_text = files.read_bytes(card_path)
        card = cards.parse_card(card_text, str(card_path))
        self._refuse_stale(expected_live)
        event = "adopt" if card.origin == "adopted" else "deploy"
        return self._go_live(event, content, card, card_text, now, reason=reason, actor=actor, run=run)

    def rollback(
        self, to: str = "", *, now: datetime, reason: str, actor: str, expected_live: str | None = None, run: str = ""
    ) -> Entry:
        """Make an earlier model the live one: the one before, or a version or digest prefix.

        When the live file is unknown or gone, the one before is the last model that went live here.
        Nothing is changed unless an intact copy of the target is there. With `expected_live` the
        rollback is refused when another model is live by now.
        """
        self.repair(now)
        if expected_live is not None:
            self._refuse_stale(expected_live)
        digest = self.resolve(to) if to else self._before_live()
        card = cards.read_card(self.cards_folder, digest)
        if digest == self._state():
            raise UsageError(f"{card.name} is live already; nothing was changed.")
        card_text = files.read_bytes(cards.card_path(self.cards_folder, digest))
        content = self.kept_pickle(digest)
        return self._go_live("rollback", content, card, card_text, now, reason=reason, actor=actor, run=run)

    def prune(self) -> None:
        """Remove backups beyond `keep_backups`, older copies of the same model, and staged models.

        The newest copy of the champion (staged or not), its predecessor and pinned models always stays.
        """
        protected = {self._state(), self.predecessor(), *self._pinned()}
        for path in backups.surplus(self.backups(), self.settings.keep_backups, protected):
            files.remove(path)
        self._clear_staging()

    def repair(self, now: datetime) -> tuple[Entry, ...]:
        """Finish what a crash left: remove temporary files and add the journal entries that are missing."""
        for folder in (self.folder, self.cards_folder, self.staging, self.backups_folder, self.folder / "comparisons"):
            files.remove_leftovers(folder)
        added = (*self._end_torn_line(now), *self._finish_intent(now))
        self._keep_last_known(now)
        added += self._notice_restored(now)
        for entry in added:
            logger.warning("%s: %s", entry.event, entry.get("reason"))
        return added

    def reconcile(self, now: datetime) -> tuple[Entry, ...]:
        """Repair, end a run that a crash cut short, and refuse to go on with an unknown live model.

        Returns the entries that were added.
        Raises `IntegrityError`, naming the remedy, when the live pickle is unknown, gone or no plain file.
        """
        added = (*self.repair(now), *self._end_run(now))
        self.check_live()
        return added

    def check_live(self) -> None:
        """Raise `IntegrityError` unless the live model is known here, or there never was one."""
        digest, last = self.live_digest(), journal.live_entry(self.entries())
        if digest is not None:
            self._card_of_live(digest)
        elif last is not None:
            raise IntegrityError(
                f"{self.model_path}: the live model is gone; version {last.get('version')} should be there. "
                "Put it back: python src/rollout.py rollback."
            )

    def verify(self) -> list[str]:
        """Everything that is wrong here, each as a sentence; empty when all is as recorded. Changes nothing."""
        entries, kept, before = self.entries(), self.backups(), self.predecessor()
        problems = journal.verify_chain(self.journal_path)
        try:
            self.check_live()
        except IntegrityError as error:
            problems.append(str(error))
        problems += [each.problem for each in kept if each.problem]
        problems += audit.exchanged_backups(entries, kept) + audit.changed_cards(entries, self.cards_folder)
        if before and not self._is_kept(before):
            name = journal.model_names(entries)[before]
            problems.append(
                f"{self.backups_folder}: {name}, live before, has no intact copy: there is no way back to it."
            )
        return problems

    # Steps

    def _go_live(self, event: str, content: bytes, card: Card, card_text: bytes, now: datetime, **why: str) -> Entry:
        """Intent, card, verified backup, the rename, the result: in this order, each durable before the next."""
        old = backups.read_or_none(self.model_path)
        state = files.digest_of(old) if old is not None else self._state()
        backup = self._backup_name(str(state), now) if old is not None and state != card.digest else None
        change = {"digest": card.digest, "version": card.version, "replaced": state, "backup": backup}
        change |= {"card": files.digest_of(card_text), **why}
        self.record("intent", now, goal=event, **change)
        files.write_atomic(cards.card_path(self.cards_folder, card.digest), card_text)
        if backup and old is not None:
            backups.write_backup(self.backups_folder / backup, old)
        self._refuse_stale(state)
        files.write_atomic(self.model_path, content)
        entry = self.record(event, now, **change)
        self.prune()
        return entry

    def _state(self) -> str | None:
        """The live digest, None without a model, or `UNREADABLE` when what is there is no plain file."""
        try:
            return self.live_digest()
        except IntegrityError:
            return UNREADABLE

    def _refuse_stale(self, expected: str | None) -> None:
        state = self._state()
        if state != expected:
            found, meant = (each[:12] if each else "none" for each in (state, expected))
            raise IntegrityError(
                f"{self.model_path}: the live model is {found}, but the decision was made about {meant}. "
                "The decision is stale and nothing was changed; run again."
            )

    def _backup_name(self, digest: str, now: datetime) -> str:
        known = cards.card_path(self.cards_folder, digest).exists()
        return backups.free_name(self.backups_folder, now, known=known)

    def _clear_staging(self) -> None:
        """Remove staged models but the live one's copy, which stands in for a backup until it is replaced."""
        live = self._state()
        for path in self.staging.glob("*.*"):
            if path.stem != live:
                files.remove(path)

    def _before_live(self) -> str:
        descent = journal.line_of_descent(self.entries())
        if descent and self._state() != descent[-1]:
            return descent[-1]
        if len(descent) < 2:
            raise UsageError(f"{self.folder}: there is nothing to roll back to: no other model was live before.")
        return descent[-2]

    def _end_torn_line(self, now: datetime) -> tuple[Entry, ...]:
        if not journal.ends_torn(self.journal_path):
            return ()
        return (self.record("repaired", now, reason="a line of the journal was cut short and is passed over"),)

    def _end_run(self, now: datetime) -> tuple[Entry, ...]:
        """The line of a run that changed the live model and could not write it: patience counts that run, too."""
        change = journal.run_cut_short(self.entries())
        if change is None:
            return ()
        return (self.record("run", now, **journal.line_of_run(change)),)

    def _finish_intent(self, now: datetime) -> tuple[Entry, ...]:
        """The result of an intent that has none: it came true, or it was given up."""
        intent = journal.unfinished_intent(self.entries())
        if intent is None:
            return ()
        change = dict(intent.content)
        goal = change.pop("goal")
        if self._state() == change["digest"]:
            return (self.record(goal, now, **change, recovered=True),)
        change["reason"] = f"the {goal} of version {change['version']} was cut short; the model before stayed live"
        return (self.record("abandoned", now, goal=goal, **change),)

    def _keep_last_known(self, now: datetime) -> None:
        """When model.pkl was replaced or removed by hand: its copy in staging becomes the backup that nobody made."""
        last = journal.live_entry(self.entries())
        before = last.get("digest") if last else None
        if before is None or before == self._state() or any(each.digest == before for each in self.backups()):
            return
        content = backups.read_if_intact(self.staging / f"{before}.pkl", before)
        if content is not None:
            backups.write_backup(self.backups_folder / self._backup_name(before, now), content)

    def _notice_restored(self, now: datetime) -> tuple[Entry, ...]:
        """Someone copied a known model over the live one by hand: record it."""
        state, last = self._state(), journal.live_entry(self.entries())
        before = last.get("digest") if last else None
        if state in (None, UNREADABLE, before) or not cards.card_path(self.cards_folder, str(state)).exists():
            return ()
        card = cards.read_card(self.cards_folder, str(state))
        reason = f"model.pkl was replaced by hand; {card.name} is live now"
        content = {"digest": state, "version": card.version, "replaced": before, "reason": reason, "actor": "by hand"}
        return (self.record("restored", now, **content),)

    def _card_of_live(self, digest: str) -> Card:
        if not cards.card_path(self.cards_folder, digest).exists():
            raise IntegrityError(
                f"{self.model_path}: this model ({digest[:12]}) is not known here, so it was not opened. "
                f"If you trust it: python src/rollout.py adopt {self.model_path}. "
                "To go back to the last known one: python src/rollout.py rollback."
            )
        return cards.read_card(self.cards_folder, digest)

    def _pinned(self) -> Iterator[str]:
        for name in self.settings.pinned:
            try:
                yield self.resolve(name)
            except UsageError as error:
                logger.warning("registry.pinned: %s", error)

    def _is_kept(self, digest: str) -> bool:
        try:
            return bool(self.kept_pickle(digest))
        except IntegrityError:
            return False
