"""The only place that writes files others depend on: whole, in one step, and on the disk.

A reader of a file written here sees the old content or the new, never half of either, and after
a power cut finds what was acknowledged. Appending is one line, whole or taken back.
"""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from evergreen.errors import BusyError, IntegrityError, StorageError


def digest_of(content: bytes) -> str:
    """SHA-256 of bytes as 64 hexadecimal digits: the identity of a model, a config or a row set.

    >>> digest_of(b"")[:12]
    'e3b0c44298fc'
    """
    return hashlib.sha256(content).hexdigest()


def read_bytes(path: Path, *, last: int | None = None) -> bytes:
    """The content of a regular file, read once; links, folders, pipes and devices are refused.

    With `last` only that many bytes from its end, or all when it is shorter.
    Raises `FileNotFoundError` when there is none, `IntegrityError` when it is not a plain file and
    `StorageError` when it can't be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return _read_regular(descriptor, path, last)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise IntegrityError(f"{path}: expected a regular file, found a link or a socket.") from error
        raise StorageError(f"{path}: can't be read ({error.strerror}).") from error


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace `path` by `content` in one step, on the disk before this returns.

    Written beside its target under a random name (same file system, never through a link: a link
    at `path` is itself replaced), synced, renamed, and the folder synced, so that the new name
    survives a power cut too. Raises `StorageError`, with the old content still in place.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.tmp"
    try:
        make_folder(path.parent)
        _write_new(temporary, data)
        os.replace(temporary, path)  # noqa: PTH105 - the one rename that decides, named as the contract names it
        sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):  # what can't be removed now, `remove_leftovers` removes at the next start
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StorageError(f"{path}: can't be written ({error.strerror}).") from error
        raise


def append_line(path: Path, line: str) -> None:
    """Add one line to a file and put it on the disk before returning.

    A last line cut short by a crash is ended first, so that the new line stays a line of its own;
    a line that can't be written whole is taken back. Raises `StorageError`.
    """
    try:
        make_folder(path.parent)
        created = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
        try:
            _append(descriptor, line.encode() + b"\n")
        finally:
            os.close(descriptor)
        if created:
            sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"{path}: can't be written ({error.strerror}).") from error


def remove(path: Path) -> None:
    """Delete a file, durably; one that is already gone is fine. Raises `StorageError`."""
    try:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"{path}: can't be removed ({error.strerror}).") from error


def make_folder(folder: Path) -> None:
    """Create a folder and those above it, durably: a file synced into a lost folder would be lost with it."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o755)  # noqa: PTH102 - every call that changes the disk goes through `os`, where tests count
    sync_folder(folder.parent)


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
        remove(leftover)
    return len(leftovers)


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock file for the time of the block, or raise `BusyError` at once.

    The operating system frees it when its holder dies, however it dies, so there is no stale lock
    to clean up, and the descriptor is not inherited by programs the holder starts.
    """
    import filelock

    held = filelock.FileLock(path, timeout=0, mode=0o644)
    try:
        make_folder(path.parent)
        held.acquire()
    except filelock.Timeout:
        raise BusyError(
            f"Another run holds the lock {path}{_tell_holder(path)}; nothing was done. Try again when it has ended."
        ) from None
    except OSError as error:
        raise StorageError(f"{path}: can't be locked ({error.strerror}); nothing was done.") from error
    note = _note_beside(path)
    try:
        with suppress(OSError):
            note.unlink(missing_ok=True)  # of a holder that was killed; a link is removed, not followed
            with note.open("x", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
        yield
    finally:
        with suppress(OSError):
            note.unlink(missing_ok=True)
        held.release()


def _note_beside(path: Path) -> Path:
    """Where the holder of a lock leaves its number; the lock file itself is emptied by whoever tries it."""
    return path.with_name(f"{path.name}.pid")


def _tell_holder(path: Path) -> str:
    """Who holds a lock and since when, as far as that can be found out; only for people."""
    note = _note_beside(path)
    try:
        pid = int(note.read_text(encoding="ascii"))
        since = datetime.fromtimestamp(note.stat().st_mtime, UTC)
    except (OSError, ValueError):
        return ""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
        scripts = [f", {Path(word).name}" for word in words if word.endswith(".py")][:1]
        return f" (PID {pid}{''.join(scripts)}, since {since:%H:%M:%S} UTC)"
    return f" (PID {pid}, since {since:%H:%M:%S} UTC)"


def _read_regular(descriptor: int, path: Path, last: int | None) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise IntegrityError(f"{path}: expected a regular file, found a folder, a pipe or a device.")
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        file.seek(max(0, status.st_size - last) if last else 0)
        return file.read()


def _write_new(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _append(descriptor: int, data: bytes) -> None:
    size = os.fstat(descriptor).st_size
    torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    try:
        _write_all(descriptor, b"\n" + data if torn else data)
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):  # if even this fails, the half line stays and is ended by the next one
            os.ftruncate(descriptor, size)
        raise


def _write_all(descriptor: int, data: bytes) -> None:
    """A write may take fewer bytes than offered; go on until all are taken."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
