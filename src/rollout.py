"""What is live, what was, and the way back.

    python src/rollout.py status                     the live model, why it got in, what there is to go back to
    python src/rollout.py history                    which models went live, when, why, and by whom
    python src/rollout.py history --at 2026-11-21    the one model that was live then (a bare day means its end), in UTC
    python src/rollout.py rollback                   back to the model before; --to 3 for a certain version
    python src/rollout.py verify                     every file against its record; exit code 4 when something is wrong
    python src/rollout.py promote                    let the challenger in that waits (policy.mode = "approve")
    python src/rollout.py adopt my_model.pkl         begin with a model that you already have, and vouch for it;
                                                     --trained-until TIME says which rows it has not learned from

A rollback needs no training and opens no model: the pickle is verified by its digest and renamed into place.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import utils
from evergreen.errors import ExitCode, IntegrityError, UsageError
from evergreen.files import digest_of, read_bytes
from evergreen.registry import journal
from evergreen.registry.cards import Card, card_path, read_card
from evergreen.registry.store import Live, Store
from evergreen.reporting.documents import plain
from evergreen.reporting.figures import counted
from evergreen.reporting.models import Line, backup_words, comparison_lines, event_words, model_lines, run_words
from evergreen.settings import Settings

FORMAT = 1
SHOWN = ("deploy", "adopt", "rollback", "restored", "abandoned", "refused")


@dataclass(frozen=True)
class Answer:
    """What a command found or did: a document for `--json`, the same in words, and the exit code."""

    document: Mapping[str, Any]
    lines: Iterable[Line]
    code: ExitCode = ExitCode.OK


def show_status(store: Store, _arguments: argparse.Namespace) -> Answer:
    """The live model, the one before, the backups and the last run."""
    entries, before = store.entries(), store.predecessor()
    live, problem = _live_or_problem(store)
    names = journal.model_names(entries)
    backups = [
        {"file": each.path.name, "model": names.get(each.digest), "bytes": each.size, "problem": each.problem or None}
        for each in store.backups()
    ]
    last_run = next(reversed(journal.past_runs(entries)), None)
    waiting = store.challenger()
    model = {**summary_of(live.card), "since": live.since, "reason": live.reason} if live else None
    document = {
        "format": FORMAT,
        "model": model,
        "problem": problem or None,
        "predecessor": names.get(before, before) if before else None,
        "waiting": {**summary_of(waiting), "comparison": waiting.comparison} if waiting else None,
        "backups": backups,
        "last_run": last_run,
    }
    lines = [("problem", problem)] if problem else model_lines(model)
    lines.append(("before", names[before] if before else "none"))
    if waiting:
        lines.append(("waiting", f"{waiting.name}: let it in with python src/rollout.py promote"))
        lines += comparison_lines(waiting.comparison)
    lines += [("backup", backup_words(each)) for each in backups] or [("backup", "none")]
    lines.append(("last run", run_words(last_run)))
    return Answer(document, lines, ExitCode.INTEGRITY if problem else ExitCode.OK)


def _live_or_problem(store: Store) -> tuple[Live | None, str]:
    """The live model; or none and what is wrong with it: unknown here, unreadable, or gone."""
    try:
        store.check_live()
        return store.live(), ""
    except IntegrityError as error:
        return None, str(error)


def show_history(store: Store, arguments: argparse.Namespace) -> Answer:
    """Which models went live when and why; with `--at`, the one that was live at that time."""
    entries = store.entries()
    if arguments.at is None:
        events = [entry.to_dict() for entry in entries if entry.event in SHOWN]
        names = journal.model_names(entries)
        lines = [(each["event"], event_words(each, names)) for each in events] or [
            ("history", "no model went live yet")
        ]
        return Answer({"format": FORMAT, "events": events}, lines)
    moment = _moment(arguments.at)
    entry = journal.live_entry(entries, moment)
    model = None
    if entry:
        card = read_card(store.cards_folder, str(entry.get("digest")))
        model = {**summary_of(card), "since": entry.time, "reason": entry.get("reason")}
    at = journal.utc_text(moment)
    return Answer({"format": FORMAT, "at": at, "model": model}, [("at", at), *model_lines(model)])


def verify_store(store: Store, _arguments: argparse.Namespace) -> Answer:
    """The live model, cards, backups and the journal against what is on record."""
    problems = store.verify()
    document = {"format": FORMAT, "ok": not problems, "problems": problems}
    lines = [("problem", problem) for problem in problems]
    if not problems:
        kept = counted(len(store.backups()), "backup")
        sound = f"the live model, its card, {kept} and the journal are as recorded"
        lines = [("verified", sound if store.live_digest() else "there is no model yet, so nothing to verify")]
    return Answer(document, lines, ExitCode.INTEGRITY if problems else ExitCode.OK)


def roll_back(store: Store, arguments: argparse.Namespace) -> Answer:
    """Make an earlier model the live one."""
    with store.lock():
        reason = arguments.reason or "rolled back by hand"
        entry = store.rollback(arguments.to, now=utils.now(), reason=reason, actor=utils.actor_of(arguments))
        names = journal.model_names(store.entries())
        replaced = names.get(str(entry.get("replaced")), "an unknown model")
        said = f"{names[entry.get('digest')]} again, in place of {replaced}"
        tell(store, arguments, entry, "rolled_back", f"rolled back by hand: {said}")
    document = {"format": FORMAT, "rolled_back": True, "event": entry.to_dict()}
    return Answer(document, [("live", said)])


def promote(store: Store, arguments: argparse.Namespace) -> Answer:
    """Make the challenger live that was found better and waits for a person's word."""
    with store.lock():
        now = utils.now()
        store.reconcile(now)
        card = store.challenger()
        if card is None:
            raise UsageError("No challenger is waiting; nothing was changed.")
        entry = store.deploy(
            card.digest,
            expected_live=card.parent,
            now=now,
            reason=arguments.reason or card.reason,
            actor=utils.actor_of(arguments),
        )
        tell(store, arguments, entry, "deployed", f"{card.name} was approved and is live")
    return Answer({"format": FORMAT, "event": entry.to_dict()}, [("live", card.name)])


def adopt(store: Store, arguments: argparse.Namespace) -> Answer:
    """Make a model from elsewhere the live one, on the word of the person who runs this."""
    from evergreen.data.sources import open_table
    from evergreen.registry.adopting import describe_adopted
    from evergreen.registry.describing import Occasion
    from evergreen.training.children import warm_up

    warm_up()
    settings, now = utils.settings_from(arguments), utils.now()
    content = _read_model(arguments.file)
    table = open_table(settings.data.reference or settings.data.source, settings.data, settings.root)
    reason = arguments.reason or f"adopted from {arguments.file}"
    actor, trained_until = utils.actor_of(arguments), _last_key(arguments.trained_until, settings)
    with store.lock():
        store.repair(now)
        live = store.live_digest()
        version = _version_for(store, digest_of(content))
        occasion = Occasion(version, live, now, reason, actor, utils.revision())
        card = describe_adopted(content, table, settings, occasion, trained_until=trained_until)
        store.stage(content, card)
        entry = store.deploy(card.digest, expected_live=live, now=now, reason=reason, actor=actor)
        tell(store, arguments, entry, "deployed", f"{card.name} was adopted and is live")
    model = {**summary_of(card), "since": entry.time, "reason": reason}
    return Answer({"format": FORMAT, "model": model}, model_lines(model))


def tell(store: Store, arguments: argparse.Namespace, entry: journal.Entry, event: str, what: str) -> None:
    """Send the alert on a change by hand to whoever hears of a run's; the caller holds the store's lock."""
    from evergreen.reporting.alerts import Alert, send_event

    alerts = utils.settings_from(arguments).alerts
    body = plain(f"By {entry.get('actor')}: {entry.get('reason')}")
    alert = Alert(event, f"Evergreen: {plain(what)}", body)
    send_event(alert, store.folder / "alerts.json", os.environ.get(alerts.urls_variable, ""), alerts, utils.now())


def _version_for(store: Store, digest: str) -> int:
    """The next version, or its own for a model adopted before; one trained here has a better card already."""
    if not card_path(store.cards_folder, digest).exists():
        return store.next_version()
    card = read_card(store.cards_folder, digest)
    if card.origin == "trained":
        way = f"to make it live: python src/rollout.py rollback --to {card.version}"
        raise UsageError(f"This model is {card.name}, trained here; {way}.")
    return card.version


def _read_model(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file.") from None


def _last_key(text: str | None, settings: Settings) -> datetime | int | None:
    """The end of a model's training rows as the table orders its rows: naive UTC time, or row number."""
    if text is None:
        return None
    if settings.data.time:
        return _moment(text).astimezone(UTC).replace(tzinfo=None)
    if text.isdecimal():
        return int(text)
    raise UsageError(f"--trained-until {text}: without data.time it takes the number of the last row, from 0.")


def summary_of(card: Card) -> dict[str, Any]:
    """A card without its bulk."""
    keys = ("digest", "version", "created", "origin", "task", "target", "baseline", "seen_until", "parent", "actor")
    document = card.to_dict()
    learned = ("estimator", "rows", "window", "from", "to", "baseline_may_be_in_sample")
    training = {key: card.training.get(key) for key in learned}
    return {key: document[key] for key in keys} | {"training": training, "libraries": dict(card.libraries)}


def _moment(text: str) -> datetime:
    """A moment from the command line; without a zone in UTC, a bare day means its last second."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"'{text}' is no time such as 2026-11-21 or 2026-11-21T20:09:39Z.") from None
    if len(text) <= len("2026-11-21"):
        moment = datetime.combine(moment, time(23, 59, 59))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


COMMANDS: dict[str, tuple[Callable[[Store, argparse.Namespace], Answer], str]] = {
    "status": (show_status, "the live model, why it got in, and what there is to go back to"),
    "history": (show_history, "which models went live, when, why and by whom"),
    "verify": (verify_store, "every file against its record; exit code 4 when something is wrong"),
    "rollback": (roll_back, "make an earlier model the live one"),
    "promote": (promote, "let in the challenger that waits for a person"),
    "adopt": (adopt, "make a model from elsewhere the live one, and vouch for it"),
}


def make_parser() -> argparse.ArgumentParser:
    """One sub-command for each of `COMMANDS`, with its own options and those that all commands have."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = {name: commands.add_parser(name, help=text, description=text) for name, (_, text) in COMMANDS.items()}
    made["history"].add_argument("--at", metavar="TIME", help="the model that was live then, UTC")
    made["rollback"].add_argument("--to", default="", metavar="MODEL", help="version, or first digits of a digest")
    made["adopt"].add_argument("file", type=Path, metavar="FILE", help="the pickled model")
    made["adopt"].add_argument(
        "--trained-until", metavar="TIME", help="last time (or row number) that it learned from; later rows judge it"
    )
    for name in ("rollback", "promote", "adopt"):
        utils.add_signature_options(made[name])
    for each in made.values():
        utils.add_common_options(each)
    return parser


def body(arguments: argparse.Namespace) -> int:
    """One command: do it, and show its answer as JSON or as lines."""
    settings = utils.settings_from(arguments)
    command, _ = COMMANDS[arguments.command]
    answer = command(Store.of(settings), arguments)
    if arguments.json:
        utils.show(answer.document, arguments)
    elif not arguments.quiet:
        for label, text in answer.lines:
            sys.stdout.write(f"{label:<10}{plain(text)}\n")
    return int(answer.code)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return utils.run(body, make_parser().parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
