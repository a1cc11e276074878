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

import json
import logging
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from evergreen import files
from evergreen.errors import IntegrityError, UsageError
from evergreen.registry import cards, journal
from evergreen.registry.cards import Card
from evergreen.registry.journal import Entry
from evergreen.settings import RegistrySettings

BACKUP = re.compile(r"model_backup_\d{8}_\d{6}(_\d+)?\.pkl")
RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PREFIX = re.compile(r"[0-9a-f]{6,64}")
UNREADABLE = "unreadable"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backup:
    """A kept copy of a model; `problem` says why it can't be used, and is empty when it can."""

    path: Path
    digest: str
    size: int
    problem: str


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
        return open_model(content, card), card

    def load(self, digest: str) -> tuple[Any, Card]:
        """A kept model that is not live, such as the predecessor on watch, and its card."""
        card = cards.read_card(self.cards_folder, digest)
        return open_model(self.kept_pickle(digest), card), card

    def backups(self) -> tuple[Backup, ...]:
        """The kept copies, newest first, each hashed now."""
        if not self.backups_folder.is_dir():
            return ()
        named = [path for path in self.backups_folder.iterdir() if BACKUP.fullmatch(path.name)]
        return tuple(_look_at(path) for path in sorted(named, key=_backup_order, reverse=True))

    def kept_pickle(self, digest: str) -> bytes:
        """The bytes of a model from backups or staging, verified. Raises `IntegrityError` when no copy is intact."""
        staged = self.staging / f"{cards.card_path(self.staging, digest).stem}.pkl"
        for path in [*(each.path for each in self.backups() if each.digest == digest), staged]:
            content = _read_if_intact(path, digest)
            if content is not None:
                return content
        kept = sorted({self._version_name(each.digest) for each in self.backups() if not each.problem})
        raise IntegrityError(
            f"{self.backups_folder}: no intact copy of {self._version_name(digest)} is kept. "
            f"Kept are: {', '.join(kept) or 'none'}."
        )

    def predecessor(self) -> str | None:
        """The digest of the model that the live one took over from, or None for the first."""
        descent = journal.line_of_descent(self.entries())
        return descent[-2] if len(descent) > 1 else None

    def next_version(self) -> int:
        """The version number for the next model: one above the highest that ever went for production."""
        return 1 + max((entry.get("version", 0) for entry in self.entries()), default=0)

    def resolve(self, name: str) -> str:
        """The digest meant by a version number (`3`, `v3`) or the first six or more digits of a digest."""
        versions = {entry.get("version"): entry.get("digest") for entry in self.entries() if entry.get("digest")}
        number = name.removeprefix("v")
        if number.isdecimal() and int(number) in versions:
            return str(versions[int(number)])
        known = {path.stem for path in self.cards_folder.glob("*.json") if cards.DIGEST.fullmatch(path.stem)}
        found = [digest for digest in known if PREFIX.fullmatch(name) and digest.startswith(name)]
        if len(found) == 1:
            return found[0]
        why = f"fits {len(found)} models; give more digits" if found else "is not known here"
        listed = ", ".join(sorted(f"{version} ({digest[:12]})" for version, digest in versions.items())) or "none"
        raise UsageError(f"Model '{name}' {why}. Known versions: {listed}.")

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
        content = _read_if_intact(card_path.with_suffix(".pkl"), digest)
        if content is None:
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

    def prune(self) -> list[Path]:
        """Remove backups beyond `keep_backups`, older copies of the same model first, and staged leftovers.

        The champion's, its predecessor's and pinned models' newest copies always stay.
        """
        protected = {self.live_digest(), self.predecessor(), *self._pinned()}
        kept: set[str] = set()
        removed = []
        for backup in self.backups():
            if backup.problem:
                continue
            if backup.digest not in kept and (len(kept) < self.settings.keep_backups or backup.digest in protected):
                kept.add(backup.digest)
            else:
                files.remove(backup.path)
                removed.append(backup.path)
        self._clear_staging()
        return removed

    def repair(self, now: datetime) -> tuple[Entry, ...]:
        """Finish what a crash left: remove temporary files and add the journal entries that are missing."""
        for folder in (self.folder, self.cards_folder, self.staging, self.backups_folder, self.folder / "comparisons"):
            files.remove_leftovers(folder)
        added = (*self._finish_intent(now), *self._notice_restored(now))
        for entry in added:
            logger.warning("%s: %s", entry.event, entry.get("reason"))
        return added

    def reconcile(self, now: datetime) -> tuple[Entry, ...]:
        """Repair, then refuse to go on with an unknown live model; returns the entries that were added.

        Raises `IntegrityError`, naming the remedy, when the live pickle is unknown, gone or no plain file.
        """
        added = self.repair(now)
        self.check_live()
        return added

    def check_live(self) -> None:
        """Raise `IntegrityError` unless the live model is known here, or there never was one."""
        digest = self.live_digest()
        last = journal.live_entry(self.entries())
        if digest is not None:
            self._card_of_live(digest)
        elif last is not None:
            raise IntegrityError(
                f"{self.model_path}: the live model is gone; version {last.get('version')} should be there. "
                "Put it back: python src/rollout.py rollback."
            )

    def verify(self) -> list[str]:
        """Everything that is wrong here, each as a sentence; empty when all is as recorded. Changes nothing."""
        problems = journal.verify_chain(self.journal_path)
        try:
            self.check_live()
        except IntegrityError as error:
            problems.append(str(error))
        backups = self.backups()
        problems += [f"{each.path}: {each.problem}" for each in backups if each.problem]
        problems += self._unknown_backups(backups) + self._changed_cards()
        before = self.predecessor()
        if before and not self._is_kept(before):
            problems.append(f"{self._version_name(before)}, live before, has no intact copy: no way back to it.")
        return problems

    # Steps

    def _go_live(self, event: str, content: bytes, card: Card, card_text: bytes, now: datetime, **why: str) -> Entry:
        """Intent, card, verified backup, the rename, the result: in this order, each durable before the next."""
        state = self._state()
        old = _read_or_none(self.model_path)
        backup = self._backup_name(state, now) if old is not None and state != card.digest else None
        change = {"digest": card.digest, "version": card.version, "replaced": state, "backup": backup}
        change |= {"card": files.digest_of(card_text), **why}
        self.record("intent", now, goal=event, **change)
        files.write_atomic(cards.card_path(self.cards_folder, card.digest), card_text)
        if backup and old is not None:
            self._back_up(old, backup)
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

    def _backup_name(self, state: str | None, now: datetime) -> str:
        """A free name; an unknown pickle is set aside under a name that is never restored from."""
        known = state is not None and cards.card_path(self.cards_folder, state).exists()
        stem = f"{'model_backup' if known else 'unknown'}_{journal.as_utc(now):%Y%m%d_%H%M%S}"
        number, name = 1, f"{stem}.pkl"
        while (self.backups_folder / name).exists():
            number += 1
            name = f"{stem}_{number}.pkl"
        return name

    def _back_up(self, content: bytes, name: str) -> None:
        path = self.backups_folder / name
        files.write_atomic(path, content)
        if files.read_bytes(path) != content:
            raise IntegrityError(f"{path}: the backup differs from the model; the disk can't be trusted.")

    def _clear_staging(self) -> None:
        """Remove staged models but the live one's copy, which is its backup until it is replaced."""
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

    def _finish_intent(self, now: datetime) -> tuple[Entry, ...]:
        """The result of an intent that has none: it came true, or it was given up."""
        open_intent = None
        for entry in self.entries():
            if entry.event == "intent":
                open_intent = entry
            elif entry.event in ("abandoned", *journal.GOES_LIVE):
                open_intent = None
        if open_intent is None:
            return ()
        change = dict(open_intent.content)
        goal = change.pop("goal")
        if self._state() == change["digest"]:
            return (self.record(goal, now, **change, recovered=True),)
        change["reason"] = f"a {goal} of version {change['version']} was cut short; the model before stayed live"
        return (self.record("abandoned", now, goal=goal, **change),)

    def _notice_restored(self, now: datetime) -> tuple[Entry, ...]:
        """Someone copied a known model over the live one by hand: record it, and keep the one that it replaced."""
        state, last = self._state(), journal.live_entry(self.entries())
        before = last.get("digest") if last else None
        if state in (None, UNREADABLE, before) or not cards.card_path(self.cards_folder, str(state)).exists():
            return ()
        card = cards.read_card(self.cards_folder, str(state))
        if before and not any(each.digest == before for each in self.backups()) and self._is_kept(before):
            self._back_up(self.kept_pickle(before), self._backup_name(before, now))
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

    def _version_name(self, digest: str) -> str:
        versions = [entry.get("version") for entry in self.entries() if entry.get("digest") == digest]
        return f"version {versions[-1]} ({digest[:12]})" if versions else f"model {digest[:12]}"

    def _unknown_backups(self, backups: tuple[Backup, ...]) -> list[str]:
        recorded = {entry.get("backup"): entry.get("replaced") for entry in self.entries()}
        problems = []
        for each in backups:
            if each.problem:
                continue
            if each.digest != recorded.get(each.path.name, each.digest):
                problems.append(f"{each.path}: this is not the model that was backed up; it was changed.")
            elif not cards.card_path(self.cards_folder, each.digest).exists():
                problems.append(f"{each.path}: model {each.digest[:12]} is not known here.")
        return problems

    def _changed_cards(self) -> list[str]:
        recorded: dict[str, set[str]] = {}
        for entry in self.entries():
            if entry.get("card"):
                recorded.setdefault(entry.get("digest"), set()).add(entry.get("card"))
        problems = []
        for digest, known in recorded.items():
            path = cards.card_path(self.cards_folder, digest)
            found = _read_or_none(path)
            if found is not None and files.digest_of(found) not in known:
                problems.append(f"{path}: the card was changed after its model went live.")
        return problems


def open_model(content: bytes, card: Card) -> Any:
    """Unpickle a model whose digest was verified; compares library versions first.

    Raises `IntegrityError` naming the versions when it can't be opened with what is installed.
    """
    changed = cards.changed_libraries(card)
    if cards.other_minor(card):
        logger.warning("%s: %s.", card.name, "; ".join(changed))
    try:
        return pickle.loads(content)
    except Exception as error:  # unpickling can raise anything
        detail = "; ".join(changed) or f"{type(error).__name__}: {error}"
        raise IntegrityError(
            f"{card.name} can't be opened here: {detail}. Install the versions it was trained with, "
            "or go back to another model: python src/rollout.py rollback."
        ) from error


def write_comparison(folder: Path, run: str, document: Mapping[str, Any]) -> Path:
    """File the decision record of a comparison; returns where."""
    if not RUN.fullmatch(run):
        raise UsageError(f"'{run}' can't name a run; use letters, digits, '.', '_' and '-', at most 64.")
    path = folder / "comparisons" / f"comparison_{run}.json"
    files.write_atomic(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def _look_at(path: Path) -> Backup:
    try:
        content = files.read_bytes(path)
    except (IntegrityError, FileNotFoundError) as error:
        return Backup(path, "", 0, str(error))
    return Backup(path, files.digest_of(content), len(content), "")


def _backup_order(path: Path) -> tuple[str, int]:
    """By time in the name, then by the number behind it (none is the first)."""
    parts = path.stem.split("_")
    return "_".join(parts[2:4]), int(parts[4]) if len(parts) > 4 else 1


def _read_or_none(path: Path) -> bytes | None:
    try:
        return files.read_bytes(path)
    except (FileNotFoundError, IntegrityError):
        return None


def _read_if_intact(path: Path, digest: str) -> bytes | None:
    content = _read_or_none(path)
    return content if content is not None and files.digest_of(content) == digest else None
