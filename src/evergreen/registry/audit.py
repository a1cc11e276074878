"""What the journal remembers of files, held against the files: for `verify`."""

from collections.abc import Iterable
from pathlib import Path

from evergreen import files
from evergreen.registry import backups, cards
from evergreen.registry.backups import Backup
from evergreen.registry.journal import Entry


def exchanged_backups(entries: Iterable[Entry], kept: Iterable[Backup]) -> list[str]:
    """Backups that hold a known model, but another than the journal says was put there."""
    recorded = {entry.get("backup"): str(entry.get("replaced")) for entry in entries}
    return [
        f"{each.path}: model {recorded[each.path.name][:12]} was backed up here, now it holds {each.digest[:12]}."
        for each in kept
        if not each.problem and each.digest != recorded.get(each.path.name, each.digest)
    ]


def changed_cards(entries: Iterable[Entry], cards_folder: Path) -> list[str]:
    """Cards that are not as they were when their models went live."""
    recorded: dict[str, set[str]] = {}
    for entry in entries:
        if entry.get("card"):
            recorded.setdefault(entry.get("digest"), set()).add(entry.get("card"))
    problems = []
    for digest, known in recorded.items():
        path = cards.card_path(cards_folder, digest)
        found = backups.read_or_none(path)
        if found is not None and files.digest_of(found) not in known:
            problems.append(f"{path}: the card was changed after its model went live.")
    return problems
