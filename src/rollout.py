"""What is live, what was, and the way back.

    python src/rollout.py status                     the live model, why it got in, what there is to go back to
    python src/rollout.py history                    which models went live, when, why, and by whom
    python src/rollout.py history --at 2026-11-21    the one model that was live then (a bare day means its end), in UTC
    python src/rollout.py rollback                   back to the model before; --to 3 for a certain version
    python src/rollout.py verify                     every file against its record; exit code 4 when something is wrong
    python src/rollout.py adopt my_model.pkl         begin with a model that you already have, and vouch for it

A rollback needs no training and opens no model: the pickle is verified by its digest and renamed into place.
"""

import argparse
import getpass
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

import utils
from evergreen.errors import ExitCode
from evergreen.registry import journal
from evergreen.registry.cards import Card, read_card
from evergreen.registry.store import Store
from evergreen.reporting.documents import plain

FORMAT = 1
SHOWN = ("deploy", "adopt", "rollback", "restored", "abandoned", "refused")
Line = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """What a command found or did: a document for `--json`, the same in words, and the exit code."""

    document: Mapping[str, Any]
    lines: Iterable[Line]
    code: ExitCode = ExitCode.OK


def show_status(store: Store, _arguments: argparse.Namespace) -> Answer:
    """The live model, the one before, the backups and the last run."""
    entries, live, before = store.entries(), store.live(), store.predecessor()
    names = journal.model_names(entries)
    backups = [
        {"file": each.path.name, "model": names.get(each.digest), "bytes": each.size, "problem": each.problem or None}
        for each in store.backups()
    ]
    last_run = next((entry.to_dict() for entry in reversed(entries) if entry.event == "run"), None)
    model = {**summary_of(live.card), "since": live.since, "reason": live.reason} if live else None
    document = {
        "format": FORMAT,
        "model": model,
        "predecessor": names.get(before, before) if before else None,
        "backups": backups,
        "last_run": last_run,
    }
    lines = [*_model_lines(model), ("before", names[before] if before else "none")]
    lines += [("backup", _backup_words(each)) for each in backups] or [("backup", "none")]
    lines.append(("last run", _run_words(last_run)))
    return Answer(document, lines)


def show_history(store: Store, arguments: argparse.Namespace) -> Answer:
    """Which models went live when and why; with `--at`, the one that was live at that time."""
    entries = store.entries()
    if arguments.at is None:
        events = [entry.to_dict() for entry in entries if entry.event in SHOWN]
        names = journal.model_names(entries)
        lines = [(each["event"], _event_words(each, names)) for each in events] or [
            ("history", "no model went live yet")
        ]
        return Answer({"format": FORMAT, "events": events}, lines)
    entry = journal.live_entry(entries, arguments.at)
    model = None
    if entry:
        card = read_card(store.cards_folder, str(entry.get("digest")))
        model = {**summary_of(card), "since": entry.time, "reason": entry.get("reason")}
    at = journal.utc_text(arguments.at)
    return Answer({"format": FORMAT, "at": at, "model": model}, [("at", at), *_model_lines(model)])


def verify_store(store: Store, _arguments: argparse.Namespace) -> Answer:
    """The live model, cards, backups and the journal against what is on record."""
    problems = store.verify()
    document = {"format": FORMAT, "ok": not problems, "problems": problems}
    lines = [("problem", problem) for problem in problems] or [
        ("verified", f"the live model, its card, {len(store.backups())} backups and the journal are as recorded")
    ]
    return Answer(document, lines, ExitCode.INTEGRITY if problems else ExitCode.OK)


def roll_back(store: Store, arguments: argparse.Namespace) -> Answer:
    """Make an earlier model the live one."""
    with store.lock():
        entry = store.rollback(arguments.to, now=utils.now(), reason=arguments.reason, actor=_actor(arguments))
    names = journal.model_names(store.entries())
    replaced = names.get(str(entry.get("replaced")), "an unknown model")
    document = {"format": FORMAT, "rolled_back": True, "event": entry.to_dict()}
    return Answer(document, [("live", f"{names[entry.get('digest')]} again, in place of {replaced}")])


def summary_of(card: Card) -> dict[str, Any]:
    """A card without its bulk."""
    keys = ("digest", "version", "created", "origin", "task", "target", "baseline", "seen_until", "parent", "actor")
    document = card.to_dict()
    training = {key: card.training.get(key) for key in ("estimator", "rows", "window", "from", "to")}
    return {key: document[key] for key in keys} | {"training": training, "libraries": dict(card.libraries)}


def _model_lines(model: Mapping[str, Any] | None) -> list[Line]:
    if model is None:
        return [("live", "no model")]
    training = ", ".join(str(value) for value in model["training"].values() if value is not None)
    since = f"since {model['since']}" if model["since"] else "put there by hand since the last run"
    return [
        ("live", f"version {model['version']} ({model['digest'][:12]}), {model['origin']}, {since}"),
        ("why", model["reason"] or "not on record"),
        ("learned", training or "not on record"),
        *(("baseline", f"{name} {_score_words(score)}") for name, score in model["baseline"].items()),
    ]


def _score_words(score: Mapping[str, Any]) -> str:
    band = f" ({score['low']:.4g} to {score['high']:.4g})" if "low" in score and "high" in score else ""
    rows = f" on {score['rows']} rows" if "rows" in score else ""
    return f"{score['value']:.4g}{band}{rows}"


def _backup_words(backup: Mapping[str, Any]) -> str:
    return backup["problem"] or f"{backup['file']}  {backup['model'] or 'not on record'}  {backup['bytes']:,} bytes"


def _run_words(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "none"
    done = [word.replace("_", " ") for word in ("retrained", "deployed", "rolled_back", "failed") if run.get(word)]
    return ", ".join([run["time"], str(run.get("verdict") or "no verdict").replace("_", " "), *done])


def _event_words(event: Mapping[str, Any], names: Mapping[str, str]) -> str:
    model = names.get(event.get("digest", ""), "")
    after = f"after {names[event['replaced']]}" if event.get("replaced") in names else ""
    by = f"by {event['actor']}" if event.get("actor") else ""
    recovered = "recorded after a crash" if event.get("recovered") else ""
    return "  ".join(part for part in (event["time"], model, after, by, recovered, event.get("reason")) if part)


def _actor(arguments: argparse.Namespace) -> str:
    return arguments.by or getpass.getuser()


def _moment(text: str) -> datetime:
    """A moment from the command line; without a zone in UTC, a bare day means its last second."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no time such as 2026-11-21 or 2026-11-21T20:09:39Z") from None
    if len(text) <= len("2026-11-21"):
        moment = datetime.combine(moment, time(23, 59, 59))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


COMMANDS: dict[str, tuple[Callable[[Store, argparse.Namespace], Answer], str]] = {
    "status": (show_status, "the live model, why it got in, and what there is to go back to"),
    "history": (show_history, "which models went live, when, why and by whom"),
    "verify": (verify_store, "every file against its record; exit code 4 when something is wrong"),
    "rollback": (roll_back, "make an earlier model the live one"),
}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = {name: commands.add_parser(name, help=text, description=text) for name, (_, text) in COMMANDS.items()}
    made["history"].add_argument("--at", type=_moment, metavar="TIME", help="the model that was live then, UTC")
    made["rollback"].add_argument("--to", default="", metavar="MODEL", help="version, or first digits of a digest")
    made["rollback"].add_argument("--reason", default="rolled back by hand", help="goes to the history")
    made["rollback"].add_argument("--by", metavar="NAME", help="who does it (default: your user name)")
    for each in made.values():
        utils.add_common_options(each)
    return parser


def run_command(arguments: argparse.Namespace) -> int:
    settings = utils.settings_from(arguments)
    command, _ = COMMANDS[arguments.command]
    answer = command(Store(settings.path(settings.registry.folder), settings.registry), arguments)
    if arguments.json:
        utils.show(answer.document, arguments)
    elif not arguments.quiet:
        for label, text in answer.lines:
            sys.stdout.write(f"{label:<10}{plain(text)}\n")
    return int(answer.code)


def main(argv: list[str] | None = None) -> int:
    return utils.run(run_command, make_parser().parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
