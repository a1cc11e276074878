"""The only place that writes files others depend on: whole, in one step, and on the disk.

A reader of a file written here sees the old content or the new, never half of either, and after
a power cut finds what was acknowledged. Appending is one `write` of one line.
"""

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evergreen.errors import BusyError, IntegrityError


def digest_of(content: bytes) -> str:
    """SHA-256 of bytes as 64 hexadecimal digits: the identity of a model, a config or a row set.

    >>> digest_of(b"")[:12]
    'e3b0c44298fc'
    """
    return hashlib.sha256(content).hexdigest()


def read_bytes(path: Path) -> bytes:
    """The content of a regular file, read once; links, folders, pipes and devices are refused.

    Raises `FileNotFoundError` when there is none and `IntegrityError` when it is not a plain file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise IntegrityError(f"{path}: can't be opened as a plain file ({error.strerror}).") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise IntegrityError(f"{path}: expected a regular file, found something else.")
        return file.read()


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace `path` by `content` in one step, on the disk before this returns.

    Written beside its target under a random name (same file system, never through a link),
    synced, renamed, and the folder synced, so that the new name survives a power cut too.
    """
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - the one rename that decides, named as the contract names it
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def append_line(path: Path, line: str) -> None:
    """Add one line to a file and put it on the disk before returning.

    A last line cut short by a crash is ended first, so that the new line stays a line of its own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    created = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        file.write(("\n" if torn else "").encode() + line.encode() + b"\n")
        os.fsync(descriptor)
    if created:
        sync_folder(path.parent)


def remove(path: Path) -> None:
    """Delete a file, durably; one that is already gone is fine."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> int:
    """Delete temporary files that a killed writer left in a folder; returns how many there were.

    Call it only under the lock: another writer's temporary file looks the same.
    """
    leftovers = list(folder.glob(".*.tmp")) if folder.is_dir() else []
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock file for the time of the block, or raise `BusyError` at once.

    The operating system frees it when its holder dies, however it dies, so there is no stale lock
    to clean up, and the descriptor is not inherited by child processes.
    """
    import filelock

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(path, timeout=0):
            yield
    except filelock.Timeout:
        raise BusyError(f"Another run holds the lock {path}; nothing was done. Try again when it has ended.") from None
