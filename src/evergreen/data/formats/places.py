"""Where files are: one file, a folder, a glob, on this machine or in an object store."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import fs

from evergreen.errors import DataError, UsageError
from evergreen.masking import shown_source

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

WILDCARDS = frozenset("*?[")
HIDDEN = (".", "_")  # `_SUCCESS`, `.crc`: what other tools leave beside data


@dataclass(frozen=True)
class DataFile:
    """One file, as it was when it was found; `name` is what messages call it."""

    name: str
    path: str
    system: "FileSystem"
    info: "FileInfo"

    def open(self) -> pa.NativeFile:
        """Its bytes, from the start; seekable."""
        return self._opened(self.system.open_input_file)

    def stream(self) -> pa.NativeFile:
        """Its bytes, from the start to the end, unpacked when it is compressed by gzip."""
        packed = "gzip" if self.first_bytes(2) == b"\x1f\x8b" else None
        return self._opened(lambda path: self.system.open_input_stream(path, compression=packed))

    def first_bytes(self, count: int) -> bytes:
        """The beginning of the file as it is stored."""
        with self.open() as file:
            return bytes(file.read(count))

    def check_unchanged(self) -> None:
        """Raise `DataError` when the file is not the one that was found: half old, half new is no table."""
        now = self.system.get_file_info(self.path)
        if (now.size, now.mtime_ns) != (self.info.size, self.info.mtime_ns):
            raise DataError(f"{self.name}: the file changed while it was being read. Run again when it is complete.")

    def _opened(self, opener: Callable[[str], pa.NativeFile]) -> pa.NativeFile:
        try:
            return opener(self.path)
        except OSError as error:
            raise DataError(f"{self.name}: can't be read ({_reason(error)}).") from None


def find_data_files(source: str, root: Path) -> tuple[DataFile, ...]:
    """The files of a source in the order of their names; a relative path starts from `root`.

    Folders are read with their sub-folders. Raises `DataError` when there is nothing there.
    """
    system, path = _locate(source, root)
    source = shown_source(source)
    try:
        infos = _matching(system, path)
    except OSError as error:
        raise DataError(f"{source}: can't be reached ({_reason(error)}).") from None
    if not infos:
        raise DataError(_nothing_found(source, path))
    start = str(root.absolute()) + "/"
    files = tuple(DataFile(_shown(info.path.removeprefix(start)), info.path, system, info) for info in infos)
    for file in files:
        _check(file, source, path)
    return files


def find_local_files(source: str, root: Path) -> tuple[Path, ...]:
    """The files of a source that are on this machine; none where nothing is there."""
    system, path = _locate(source, root)
    if not isinstance(system, fs.LocalFileSystem):
        return ()
    try:
        return tuple(Path(info.path) for info in _matching(system, path))
    except OSError:
        return ()  # who wants to read them will say why that can't be done


def _locate(source: str, root: Path) -> tuple["FileSystem", str]:
    if "://" not in source:
        return fs.LocalFileSystem(), str((root / Path(source).expanduser()).absolute())
    try:
        return fs.FileSystem.from_uri(source)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _from_fsspec(source)


def _from_fsspec(source: str) -> tuple["FileSystem", str]:
    protocol, _, path = source.partition("://")
    try:
        import fsspec  # type: ignore[import-untyped]

        system = fsspec.filesystem(protocol)
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"{shown_source(source)}: no driver for '{protocol}://' here ({error}). "
            "Install fsspec and its driver, or copy the file."
        ) from None
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path


def _matching(system: "FileSystem", path: str) -> "list[FileInfo]":
    info = system.get_file_info(path)
    if info.type == fs.FileType.Directory:
        return _listing(system, path)
    if info.type != fs.FileType.NotFound:
        return [info]
    parts = path.split("/")
    fixed = next((index for index, part in enumerate(parts) if WILDCARDS & set(part)), None)
    if fixed is None:
        return []
    found = _listing(system, "/".join(parts[:fixed]) or "/")
    return [info for info in found if _fits(_parts(path), _parts(info.path))]


def _parts(path: str) -> list[str]:
    return path.strip("/").split("/")  # some object stores put a slash before the name they were asked for


def _fits(pattern: list[str], parts: list[str]) -> bool:
    """Whether a path matches a glob, part by part; `**` stands for any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(pattern[1:], parts[skipped:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(pattern[1:], parts[1:])


def _listing(system: "FileSystem", folder: str) -> "list[FileInfo]":
    found = system.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
    files = [info for info in found if info.type != fs.FileType.Directory]
    visible = [info for info in files if not _hidden(info.path.removeprefix(folder))]
    return sorted(visible, key=lambda info: info.path)


def _hidden(path: str) -> bool:
    return any(part.startswith(HIDDEN) for part in path.split("/"))


def _check(file: DataFile, source: str, path: str) -> None:
    if file.info.type != fs.FileType.File:
        raise DataError(
            f"{file.name}: expected a regular file, found a pipe or device. Write the rows to a file first."
        )
    if file.info.size == 0:
        raise DataError(f"{file.name}: the file is empty (0 bytes); expected a table with a header.")
    folders = file.path.removeprefix(path).split("/")[:-1]
    partition = next((folder for folder in folders if "=" in folder), None)
    if partition and not WILDCARDS & set(path):
        raise DataError(
            f"{source}: the folder '{partition}' keeps a column in its name, which would be lost. "
            "Write the column into the files, or name the files of one folder by a glob."
        )


def _nothing_found(source: str, path: str) -> str:
    if WILDCARDS & set(path):
        return f"{source}: no file matches this pattern (looked for {_shown(path)})."
    return f"{source}: there is no such file or folder, or it holds no files (looked for {_shown(path)})."


def _shown(path: str) -> str:
    """A path within a file system; of an address it begins with what stood before the host."""
    return shown_source(f"://{path}").removeprefix("://")


def _reason(error: OSError) -> str:
    return shown_source(error.strerror or str(error).splitlines()[0])
