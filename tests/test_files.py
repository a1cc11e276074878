"""Writing files whole or not at all, reading plain files only, and one holder of a lock at a time."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from evergreen import files
from evergreen.errors import BusyError, EvergreenError, IntegrityError, StorageError

SRC = Path(__file__).parent.parent / "src"


def fail(monkeypatch: pytest.MonkeyPatch, name: str, code: int = errno.ENOSPC) -> None:
    def failing(*_arguments: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, name, failing)


def test_bytes_and_text_are_written_and_replaced(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    files.write_atomic(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    files.write_atomic(path, "größer\n")
    assert path.read_text() == "größer\n"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_content_and_no_temporary_file(call, tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write_atomic(path, "old")
    fail(monkeypatch, call)
    with pytest.raises(StorageError, match=f"{path}: can't be written \\(No space left on device\\)"):
        files.write_atomic(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_storage_error_is_one_of_ours_and_one_of_the_systems():
    assert issubclass(StorageError, EvergreenError)
    assert issubclass(StorageError, OSError)


def test_a_write_that_is_interrupted_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupted(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomic(tmp_path / "file", "new")
    assert list(tmp_path.iterdir()) == []


def test_writes_that_take_only_a_few_bytes_at_a_time_are_completed(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
    files.write_atomic(tmp_path / "file", b"0123456789" * 10)
    files.append_line(tmp_path / "lines", "a longer line")
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == b"0123456789" * 10
    assert (tmp_path / "lines").read_text() == "a longer line\n"


def test_a_link_is_replaced_and_what_it_points_to_is_left_alone(tmp_path):
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_text("mine")
    link.symlink_to(victim)
    files.write_atomic(link, "new")
    assert victim.read_text() == "mine"
    assert not link.is_symlink()
    assert link.read_text() == "new"


def test_nothing_is_writable_for_everybody_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        files.write_atomic(tmp_path / "folder" / "file", "new")
        files.append_line(tmp_path / "folder" / "lines", "line")
        with files.lock(tmp_path / "folder" / ".lock"):
            pass
    finally:
        os.umask(before)
    for path in [tmp_path / "folder", *(tmp_path / "folder").iterdir()]:
        assert not path.stat().st_mode & stat.S_IWOTH, path


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe", "socket"])
def test_only_plain_files_are_read(kind, tmp_path, monkeypatch):
    path = tmp_path / "path"
    if kind == "socket":
        import socket

        monkeypatch.chdir(tmp_path)  # the name of a socket is limited to about a hundred characters
        socket.socket(socket.AF_UNIX).bind("path")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        (tmp_path / "target").write_text("content")
        path.symlink_to(tmp_path / ("target" if kind == "link" else "nothing"))
    with pytest.raises(IntegrityError, match="expected a regular file"):
        files.read_bytes(path)


def test_a_file_that_is_not_there_or_can_not_be_read_is_told_apart(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        files.read_bytes(tmp_path / "nothing")
    fail(monkeypatch, "open", errno.EACCES)
    with pytest.raises(StorageError, match="can't be read \\(Permission denied\\)"):
        files.read_bytes(tmp_path / "file")


def test_reading_leaves_no_descriptor_open(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in (tmp_path / "file", tmp_path):
        for _ in range(5):
            try:
                files.read_bytes(path)
            except IntegrityError:
                continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("last", "expected"), [(None, b"0123456789"), (3, b"789"), (10, b"0123456789"), (99, b"0123456789")]
)
def test_the_end_of_a_file_is_read_alone(last, expected, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    assert files.read_bytes(tmp_path / "file", last=last) == expected


def test_lines_are_appended_and_a_torn_one_is_ended_first(tmp_path):
    path = tmp_path / "folder" / "lines"
    files.append_line(path, "one")
    with path.open("a") as file:
        file.write("tor")
    files.append_line(path, "two")
    assert path.read_text() == "one\ntor\ntwo\n"


def test_a_line_that_can_not_be_written_whole_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "lines"
    files.append_line(path, "one")
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        write(descriptor, bytes(data)[:4])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(StorageError, match="No space left on device"):
        files.append_line(path, "a second line")
    assert path.read_text() == "one\n"


def test_a_line_is_not_appended_through_a_link(tmp_path):
    (tmp_path / "victim").write_text("mine\n")
    (tmp_path / "lines").symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError):
        files.append_line(tmp_path / "lines", "line")
    assert (tmp_path / "victim").read_text() == "mine\n"


def test_removing_is_fine_twice_and_says_when_it_can_not(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    files.remove(tmp_path / "file")
    files.remove(tmp_path / "file")
    fail(monkeypatch, "unlink", errno.EROFS)
    with pytest.raises(StorageError, match="can't be removed \\(Read-only file system\\)"):
        files.remove(tmp_path / "file")


def test_leftovers_are_removed_and_counted_and_nothing_else(tmp_path):
    for name in (".a.0123.tmp", ".model.pkl.4567.tmp", "mine.tmp", ".hidden"):
        (tmp_path / name).write_text("x")
    assert files.remove_leftovers(tmp_path) == 2
    assert files.remove_leftovers(tmp_path / "nothing") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "mine.tmp"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "file"
    versions = [bytes([number]) * 200_000 for number in range(4)]
    files.write_atomic(path, versions[0])
    stop, seen = threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            seen.add(files.read_bytes(path))

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(60):
        files.write_atomic(path, versions[turn % 4])
    stop.set()
    reader.join()
    assert seen <= set(versions)


def test_a_held_lock_turns_others_away_at_once_also_within_one_process(tmp_path):
    path = tmp_path / "folder" / ".lock"
    with (
        files.lock(path),
        pytest.raises(BusyError, match=r"nothing was done. Try again when it has ended"),
        files.lock(path),
    ):
        pass
    with files.lock(path):
        pass


def test_a_held_lock_says_who_holds_it(tmp_path):
    script = tmp_path / "holder.py"
    script.write_text(
        f"import sys\nfrom pathlib import Path\nsys.path.insert(0, {str(SRC)!r})\nfrom evergreen import files\n"
        f"with files.lock(Path({str(tmp_path / '.lock')!r})):\n    print('in', flush=True)\n    sys.stdin.readline()\n"
    )
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"in\n"
        told = rf"\(PID {holder.pid}, holder\.py, since \d\d:\d\d:\d\d UTC\); nothing was done"
        with pytest.raises(BusyError, match=told), files.lock(tmp_path / ".lock"):
            pass
    assert {path.name for path in tmp_path.iterdir()} <= {"holder.py", ".lock"}


def test_the_lock_is_freed_when_its_block_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), files.lock(tmp_path / ".lock"):
        _ = 1 / 0
    with files.lock(tmp_path / ".lock"):
        pass


def test_a_lock_file_that_is_a_link_or_can_not_be_made_is_an_error_and_not_a_lock(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError, match="can't be locked"), files.lock(tmp_path / ".lock"):
        pass
    with pytest.raises(StorageError, match="can't be locked"), files.lock(tmp_path / "victim" / ".lock"):
        pass
    assert (tmp_path / "victim").read_text() == "mine"
