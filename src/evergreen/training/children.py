"""Run a function in a process of its own, where it can crash, hang or eat memory without doing harm.

Fits run here because no limit can be put on them from within, and gates because a model that has
just been written has to prove itself to a process that has never seen it. The children come from a
fork server that has imported the libraries and nothing else, so that starting one takes
milliseconds; `warm_up` starts the server while the caller still reads data.

Each child leads a session of its own, so that one signal ends it together with whatever it started,
and it ends itself when its parent is gone. Its standard output goes to standard error: the parent's
standard output carries the result of the command.
"""

import atexit
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection, forkserver
from pathlib import Path
from typing import Any

from evergreen.errors import EvergreenError, TrainingError

LIBRARIES = ["pandas", "sklearn.ensemble", "sklearn.pipeline", "sklearn.compose", "sklearn.impute"]
PATIENCE_SECONDS = 1.0  # between asking a process group to end and ending it
DEATH_SECONDS = 10.0  # for the system to say how a process ended whose pipe has closed


@dataclass(frozen=True)
class Limits:
    """What a child may use; None means no limit.

    Args:
        seconds: wall clock from the start of the child until its answer has arrived.
        memory_bytes: address space on top of what the libraries have mapped at the start, for the
            child and for each process it starts. Enforced by the kernel on Linux only.
    """

    seconds: float | None = None
    memory_bytes: int | None = None


def warm_up() -> None:
    """Start the fork server, which imports the libraries in the background. Doing so again is free."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(LIBRARIES)
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        forkserver.ensure_running()
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: ctrl-C is for us, not for its imports
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def run_in_child(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    limits: Limits,
    *,
    what: str,
    advice: str = "",
    folders: tuple[Path, ...] = (),
) -> Any:
    """The result of `function(*arguments)`, computed in a child that is gone when this returns.

    Args:
        function: importable by its name; it, its arguments and its result travel as pickles.
        what: names the work in messages, such as "The fit".
        advice: what to do when a limit was hit; ends the message.
        folders: where the child also looks for modules, so that the user's own can be imported.

    Raises `TrainingError` when the function raised, the child died or a limit was hit, and our own
    errors as they are.
    """
    warm_up()
    context = multiprocessing.get_context("forkserver")
    mine, its = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="evergreen-") as scratch:
        process = context.Process(target=_answer, args=(its, limits, [str(folder) for folder in folders], scratch))
        process.start()
        its.close()
        try:
            outcome, content = _ask(mine, process, (function, arguments), limits)
        finally:
            _end_group(process)
            mine.close()
    if outcome == "done":
        return content
    if outcome == "refused":
        raise content
    message = f"{what} {content}"
    raise TrainingError(message if outcome == "failed" else f"{message} {advice}".strip())


def _ask(mine: Any, process: Any, request: tuple[Any, ...], limits: Limits) -> tuple[str, Any]:
    """Hand the request over and wait: ("done", result), ("refused", our error), or what went wrong in words."""
    deadline = None if limits.seconds is None else time.monotonic() + limits.seconds
    try:
        mine.send_bytes(pickle.dumps(request, protocol=5))
        remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not connection.wait([mine, process.sentinel], timeout=remaining):
            return "ended", f"did not finish within {limits.seconds:g} s and was ended, with all its processes."
        answer: tuple[str, Any] = pickle.loads(mine.recv_bytes())
        return answer
    except (EOFError, ConnectionError):
        process.join(DEATH_SECONDS)
        return "ended", _explain_death(process.exitcode)


def _explain_death(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        cause = "out of memory?" if -code in (signal.SIGKILL, signal.SIGABRT) else "a crash in a library?"
        return f"was killed by {name}: {cause}"
    return f"ended by itself with exit code {code} before it had answered."


def _end_group(process: Any) -> None:
    """End the child and everything it started: ask first, so that helpers can clean up, then kill."""
    _signal_group(process.pid, signal.SIGTERM)
    process.join(PATIENCE_SECONDS)
    deadline = time.monotonic() + PATIENCE_SECONDS / 2
    while _signal_group(process.pid, 0) and time.monotonic() < deadline:
        time.sleep(0.005)
    _signal_group(process.pid, signal.SIGKILL)
    process.kill()  # for a child that had not come to lead its group yet
    process.join()


def _signal_group(leader: int, number: int) -> bool:
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _answer(its: Any, limits: Limits, folders: list[str], scratch: str) -> None:
    """The life of a child: set up, work, answer, and wait to be ended together with its helpers."""
    os.setsid()
    os.dup2(2, 1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    tempfile.tempdir = scratch
    answer = _work(its, limits, scratch)
    _dismiss_workers()
    sys.stdout.flush()
    its.send_bytes(answer)
    while True:
        signal.pause()


def _dismiss_workers() -> None:
    """End joblib's pool of workers, if there is one: they would idle on for five minutes.

    Then what every Python process does at its end, and a child of multiprocessing does not: joblib's
    files in shared memory are deleted.
    """
    pool = getattr(sys.modules.get("joblib.externals.loky.reusable_executor"), "_executor", None)
    if pool is not None:
        pool.terminate(kill_workers=True)
        atexit._run_exitfuncs()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGKILL)


def _work(its: Any, limits: Limits, scratch: str) -> bytes:
    """The answer as a pickle; whatever goes wrong becomes part of the answer."""
    import joblib

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        if limits.memory_bytes is not None:
            resource.setrlimit(resource.RLIMIT_AS, (_mapped_bytes() + limits.memory_bytes, hard))
        function, arguments = pickle.loads(its.recv_bytes())
        with joblib.parallel_config(temp_folder=scratch):
            return pickle.dumps(("done", function(*arguments)), protocol=5)
    except EvergreenError as error:
        return pickle.dumps(("refused", error), protocol=5)
    except MemoryError:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        limit = "the memory of this machine" if limits.memory_bytes is None else f"{limits.memory_bytes / 2**30:g} GB"
        return pickle.dumps(("ended", f"needs more memory than its limit, {limit}."), protocol=5)
    except BaseException as error:
        return pickle.dumps(("failed", f"failed: {_describe(error)}"), protocol=5)


def _mapped_bytes() -> int:
    """Address space in use now; 0 where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    except FileNotFoundError:
        return 0
    return int(pages) * resource.getpagesize()


def _describe(error: BaseException) -> str:
    """Type and message first, then the last lines of the traceback, which tell where."""
    lines = "".join(traceback.format_exception(error)).strip().splitlines()
    message = str(error).strip() or "no message"
    return f"{type(error).__name__}: {message}\n" + "\n".join(lines[-7:-1])
