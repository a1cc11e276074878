"""Faults on purpose: kill a process, or fail a call, at the N-th call that changes the disk.

N runs 1, 2, 3 … until the work gets through untouched, as the SQLite project tests its own crashes.
The work runs in a forked child whose `os` functions are wrapped. A fault in a `write` comes after half of
the bytes are written. What the folder looks like afterwards is for the caller to judge.
"""

import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANGING = ("open", "write", "fsync", "replace", "unlink", "mkdir", "ftruncate", "rename", "link")


@dataclass(frozen=True)
class Fault:
    """At call number `call`: SIGKILL, or the error `code`, once or (`lasting`) from then on."""

    call: int
    code: int | None = None
    lasting: bool = False


@dataclass(frozen=True)
class Outcome:
    """How the child ended: "done", "killed", or the class name and text of its error; `hit` tells if the fault came."""

    ended: str
    hit: bool
    message: str = ""

    @property
    def done(self) -> bool:
        return self.ended == "done"


def run_forked(work: Callable[[], Any], fault: Fault | None) -> Outcome:
    """Run `work` in a forked child with the fault installed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _be_the_child(work, fault, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        told = file.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Outcome("killed", True)
    ended, hit, message = told.split("\n", 2)
    return Outcome(ended, hit == "hit", message)


def _be_the_child(work: Callable[[], Any], fault: Fault | None, writer: int) -> None:
    write = os.write
    injector = Injector(fault)
    injector.install()
    try:
        work()
        ended, message = "done", ""
    except BaseException as error:
        ended, message = type(error).__name__, str(error)
    write(writer, f"{ended}\n{'hit' if injector.hit else ''}\n{message}".encode())
    os._exit(0)


class Injector:
    """Counts the calls that change the disk and lets the fault happen."""

    def __init__(self, fault: Fault | None) -> None:
        self.fault, self.calls, self.hit = fault, 0, False

    def install(self) -> None:
        for name in CHANGING:
            setattr(os, name, self.wrapped(name, getattr(os, name)))

    def wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.fault is None or (name == "open" and self.fault.code is None and not _writes(args)):
                return real(*args, **kwargs)
            self.calls += 1
            if self.calls == self.fault.call or (self.fault.lasting and self.calls > self.fault.call):
                self.strike(name, real, args)
            return real(*args, **kwargs)

        return call

    def strike(self, name: str, real: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.hit = True
        if name == "write":
            real(args[0], bytes(args[1])[: len(args[1]) // 2])
        if self.fault.code is None:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(self.fault.code, os.strerror(self.fault.code))


def _writes(args: tuple[Any, ...]) -> bool:
    return bool(args[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR))


def every_point(
    template: Path, scratch: Path, work: Callable[[Path], Any], code: int | None = None, lasting: bool = False
) -> Iterator[tuple[Path, Outcome]]:
    """Run `work` on fresh copies of a folder with the fault at call 1, 2, 3 … until it is not reached any more.

    Yields the folder as the fault left it, and how the child ended; the last one is untouched.
    """
    for number in itertools.count(1):
        folder = scratch / f"{code}-{lasting}-{number}"
        shutil.copytree(template, folder, symlinks=True)
        outcome = run_forked(lambda where=folder: work(where), Fault(number, code, lasting))
        yield folder, outcome
        shutil.rmtree(folder)
        if not outcome.hit:
            return
