"""Kept copies of models: which there are, whether they are what they say, and which may go."""

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from evergreen import files
from evergreen.errors import IntegrityError, StorageError
from evergreen.registry import cards, journal

BACKUP = re.compile(r"model_backup_\d{8}_\d{6}(_\d+)?\.pkl")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backup:
    """A kept copy of a model, hashed now; `problem` says why it can't be used, and is empty when it can."""

    path: Path
    digest: str
    size: int
    problem: str


def list_backups(folder: Path, cards_folder: Path) -> tuple[Backup, ...]:
    """The backups in a folder, newest first; files under other names are none of them."""
    if not folder.is_dir():
        return ()
    named = [path for path in folder.iterdir() if BACKUP.fullmatch(path.name)]
    return tuple(_look_at(path, cards_folder) for path in sorted(named, key=_age, reverse=True))


def surplus(backups: Collection[Backup], keep: int, protected: Collection[str | None]) -> list[Path]:
    """Which backups may go: older copies of the same model, and models beyond the `keep` newest.

    The newest copy of a protected model always stays. What is not intact neither counts nor goes: it
    is reported by `verify`, and a person decides.
    """
    kept: set[str] = set()
    going = []
    for backup in backups:
        if backup.problem:
            continue
        if backup.digest not in kept and (len(kept) < keep or backup.digest in protected):
            kept.add(backup.digest)
        else:
            going.append(backup.path)
    return going


def free_name(folder: Path, now: datetime, *, known: bool) -> str:
    """A name not taken yet; an unknown pickle is set aside under a name that nothing is restored from."""
    stem = f"{'model_backup' if known else 'unknown'}_{journal.as_utc(now):%Y%m%d_%H%M%S}"
    number, name = 1, f"{stem}.pkl"
    while (folder / name).exists():
        number += 1
        name = f"{stem}_{number}.pkl"
    return name


def write_backup(path: Path, content: bytes) -> None:
    """Keep a copy, read back and compared before anything relies on it."""
    files.write_atomic(path, content)
    if files.read_bytes(path) != content:
        raise IntegrityError(f"{path}: the backup differs from the model; the disk can't be trusted.")


def read_if_intact(path: Path, digest: str) -> bytes | None:
    """The bytes of a file that is exactly the model meant, or None when it is not, or can't be read."""
    try:
        content = read_or_none(path)
    except StorageError as error:
        logger.warning("%s", error)
        return None
    return content if content is not None and files.digest_of(content) == digest else None


def read_or_none(path: Path) -> bytes | None:
    """The bytes of a plain file, or None when there is no such thing."""
    try:
        return files.read_bytes(path)
    except (FileNotFoundError, IntegrityError):
        return None


def _look_at(path: Path, cards_folder: Path) -> Backup:
    try:
        content = files.read_bytes(path)
    except (FileNotFoundError, IntegrityError, StorageError) as error:
        return Backup(path, "", 0, str(error))
    digest = files.digest_of(content)
    known = cards.card_path(cards_folder, digest).exists()
    problem = (
        "" if known else f"{path}: this model ({digest[:12]}) is not known here; the file was changed or is foreign."
    )
    return Backup(path, digest, len(content), problem)


def _age(path: Path) -> tuple[str, int]:
    """By the time in the name, then by the number behind it (none is the first)."""
    parts = path.stem.split("_")
    return "_".join(parts[2:4]), int(parts[4]) if len(parts) > 4 else 1
