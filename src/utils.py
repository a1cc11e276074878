"""What the scripts share, and nothing else: arguments, settings, logging, the one error boundary, showing a result."""

import argparse
import getpass
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.errors import EvergreenError, ExitCode, IntegrityError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from evergreen.registry.store import Store
    from evergreen.settings import Settings

PATIENCE = 2.0  # seconds until the progress bar comes
READABLE_COLUMNS = 200  # of more columns JSON is on one line: nobody reads it, and indenting takes several times longer
PROJECT = Path(__file__).resolve().parent.parent
logger = logging.getLogger("evergreen")


def parser(doc: str | None) -> argparse.ArgumentParser:
    """An argument parser with the options that all commands have; `doc` is the script's own docstring."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_options(made)
    return made


def add_common_options(to: argparse.ArgumentParser) -> None:
    """`--config --set --json -v -q`, the same everywhere."""
    to.add_argument("--config", type=Path, metavar="FILE", help="settings file (default: config.toml of the project)")
    to.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one setting; may be repeated"
    )
    to.add_argument("--json", action="store_true", help="strict JSON on standard output, nothing else there")
    loudness = to.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="say more: every step, every column")
    loudness.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")


def add_signature_options(to: argparse.ArgumentParser, reason: str = "") -> None:
    """`--reason --by`, for commands that change which model is live."""
    to.add_argument("--reason", default=reason, metavar="TEXT", help="why; goes to the history")
    to.add_argument("--by", metavar="NAME", help="who; goes to the history (default: your user name)")


def actor_of(arguments: argparse.Namespace) -> str:
    """Who runs a command: `--by`, or the name of the user."""
    return arguments.by or getpass.getuser()


def settings_from(arguments: argparse.Namespace) -> "Settings":
    """The settings a command runs with: `--set`, then the environment, then the file, then the defaults.

    From here on Python finds the user's own modules beside the file, as models and functions of theirs need.
    """
    from evergreen.by_name import make_importable
    from evergreen.config_file import load

    settings = load(config_of(arguments), os.environ, tuple(arguments.set))
    make_importable(settings.root)
    return settings


def config_of(arguments: argparse.Namespace) -> Path:
    """The settings file of a command: `--config`, or that of the project."""
    return arguments.config or PROJECT / "config.toml"


def keep_inputs(
    outputs: Iterable[Path | None], arguments: argparse.Namespace, sources: Iterable[str], root: Path
) -> None:
    """Raise `UsageError` when a file to be written is one that the run reads, by whatever name: rows, or settings."""
    from evergreen.data.sources import local_files

    there = [out for out in outputs if out and out.exists()]
    if not there:
        return
    inputs = [config_of(arguments), *(file for source in sources for file in local_files(source.strip(), root))]
    for out in there:
        if any(path.exists() and out.samefile(path) for path in inputs):
            raise UsageError(f"{out} is an input of this run, and would be lost: name another file.")


def now() -> datetime:
    """The one reading of the clock in a command: the present moment, aware, in UTC."""
    return datetime.now(UTC)


def new_run(moment: datetime) -> str:
    """A name for a run that sorts by time and is not taken: 20261121T200939Z-1a2b3c."""
    return f"{moment:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def begin_document(run: str, now: datetime) -> dict[str, Any]:
    """How the document of every run begins."""
    return {"format": 1, "run": run, "started": now.isoformat(timespec="seconds")}


def finish(
    document: Mapping[str, Any], settings: "Settings", store: "Store", now: datetime, seconds: float
) -> dict[str, Any]:
    """The end of every run: what is live then, the record, the reports, the alerts, GitHub; returns all that was told.

    The addresses of alerts come from the environment variable that the settings name.
    """
    from evergreen.reporting.publish import publish

    whole = {**document, "model": _live_model(store), "seconds": round(seconds, 3)}
    alert_urls = os.environ.get(settings.alerts.urls_variable, "")
    published = publish(whole, settings, store, now=now, alert_urls=alert_urls)
    if document.get("dry_run"):
        return published | {"report": None}  # it went with the copy of the state
    tell_github(published)
    return published


def _live_model(store: "Store") -> dict[str, Any] | None:
    try:
        live = store.live()
    except IntegrityError:
        return None  # what is wrong with it is the run's failure, told there
    return {"digest": live.digest, "version": live.card.version, "since": live.since} if live else None


@cache
def revision() -> str:
    """The commit of this checkout, for the card of a model; empty where there is none."""
    git = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(git, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def tell_github(document: Mapping[str, Any]) -> None:
    """In GitHub Actions: outputs for later steps, and the summary on the page of the run."""
    from evergreen.reporting.markdown import github_outputs, render_markdown

    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in github_outputs(document).items())
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(render_markdown(document) + "\n")


def run(body: Callable[[argparse.Namespace], int], arguments: argparse.Namespace, *, progress: bool = True) -> int:
    """Run a command's body inside the one error boundary; returns its exit code.

    `progress` shows the steps as a bar on a terminal; a command that stays (a server, the scheduler) logs lines.

    An expected error is one message on standard error and its own code; anything else is a traceback
    in the log and code 1; ctrl-C ends with 130 and a request to stop with 143, after clean-up.
    """
    # Threads of compiled libraries that wait for one another by spinning make a fit twenty times slower as soon as
    # the machine has anything else to do. It has to be said before such a library is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    avoid_slow_sorting()
    with _logging(arguments, progress=progress), _stop_signals():
        try:
            code = _run_to_the_end(body, arguments)
            sys.stdout.flush()
            return code
        except BrokenPipeError:
            # The reader (head, less) has left; point stdout elsewhere so that the interpreter's last flush is quiet.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return int(ExitCode.OK)


def avoid_slow_sorting() -> None:
    """On AMD processors let NumPy sort with AVX2: its AVX-512 sort stores in a way that takes them five times longer.

    Measured with NumPy 2.4 on an EPYC of the fourth generation: a million float64 in 55 ms, and in 11 ms without. It
    has to be said before NumPy is loaded, and not at all where somebody has chosen features already.
    """
    chosen = {"NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"} & os.environ.keys()
    if "numpy" in sys.modules or chosen or not _is_amd():
        return
    names = ("X86_V4", "AVX512_SKX", "AVX512_ICL", "AVX512_SPR")  # the first is the second's name since NumPy 2.4
    os.environ["NPY_DISABLE_CPU_FEATURES"] = " ".join(names)


def _is_amd() -> bool:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return any("AuthenticAMD" in file.readline() for _ in range(2))
    except OSError:
        return False


def _run_to_the_end(body: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    try:
        return body(arguments)
    except BrokenPipeError:
        raise
    except EvergreenError as error:
        logger.error("%s", error)
        _show_failure(error, arguments)
        return int(error.exit_code)
    except KeyboardInterrupt:
        logger.error("Interrupted; nothing half-done was left behind.")
        return 128 + signal.SIGINT
    except Exception as error:
        logger.exception("Unexpected error; this is a defect of Evergreen, please report it with this traceback.")
        _show_failure(error, arguments)
        return int(ExitCode.UNEXPECTED)


def failure_of(error: Exception) -> dict[str, str]:
    """An error as documents tell it."""
    return {"kind": type(error).__name__, "message": str(error)}


def _show_failure(error: Exception, arguments: argparse.Namespace) -> None:
    """With `--json` whoever reads standard output is told too, unless the command has shown a document already."""
    if arguments.json and not getattr(arguments, "shown", False):
        show({"format": 1, "failure": failure_of(error)}, arguments)


def show(document: Mapping[str, Any], arguments: argparse.Namespace) -> None:
    """Print a result: strict JSON on request, tables on a terminal, plain lines otherwise."""
    arguments.shown = True
    for handler in logger.handlers:
        if isinstance(handler, ProgressHandler):
            handler.stop()  # while the bar moves, the result would get in its way
    if arguments.json:
        from evergreen.reporting.documents import to_json

        print(to_json(document, indent=2 if len(document.get("columns", ())) <= READABLE_COLUMNS else None))
    elif not arguments.quiet:
        from evergreen.reporting import text

        if sys.stdout.isatty():
            from rich.console import Console

            text.print_rich(document, Console(), verbose=arguments.verbose)
        else:
            print(text.render_text(document, verbose=arguments.verbose))


class OneLineFormatter(logging.Formatter):
    """One event, one line: control characters from data can't forge a second one."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        # Our own expected errors may list several problems, one a line; everything else is a single line.
        keep = "\n" if record.levelno >= logging.ERROR else ""
        clean = "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in message)
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        text = f"{moment} {record.levelname.lower()}: {clean}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class ProgressHandler(logging.Handler):
    """On a terminal: the steps of a run as a progress bar, warnings and errors above it.

    The bar comes after two seconds: what is done sooner needs none, and does not import rich for it. Long steps say
    how many values they have counted (`extra={"values": (done, total)}`), with their rate and the time that is left.
    """

    def __init__(self) -> None:
        super().__init__()
        self.progress: Progress | None = None
        self.seen: dict[str, Any] = {"description": "starting", "total": None}
        self.stopped = False
        self.timer = threading.Timer(PATIENCE, self.start)
        self.timer.daemon = True
        self.timer.start()

    def start(self) -> None:
        """Show the bar, with what has been told so far."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[rate]}"),
        )
        with self.lock:  # type: ignore[union-attr]
            if self.stopped:
                return
            self.progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
            self.task = self.progress.add_task(rate="", **self.seen)
            self.progress.start()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self._print(self.format(record))
        elif record.levelno > logging.DEBUG or hasattr(record, "values"):
            self._show(record)

    def _print(self, text: str) -> None:
        if self.progress is None:
            print(text, file=sys.stderr)
        else:
            self.progress.console.print(text, markup=False, highlight=False)

    def _show(self, record: logging.LogRecord) -> None:
        done, total = getattr(record, "values", getattr(record, "step", (None, None)))
        self.seen = {"description": record.getMessage()[:100], "completed": done or 0, "total": total}
        if self.progress is not None:
            speed = self.progress.tasks[0].speed if hasattr(record, "values") else None
            rate = f"{speed / 1e6:.1f} million values/s" if speed else ""
            self.progress.update(self.task, rate=rate, **(self.seen | {"completed": done}))

    def stop(self) -> None:
        """Take the bar away: a result is shown now, or the command has ended."""
        self.timer.cancel()
        with self.lock:  # type: ignore[union-attr]
            self.stopped = True
            if self.progress is not None:
                self.progress.stop()

    def close(self) -> None:
        self.stop()
        super().close()


@contextmanager
def _logging(arguments: argparse.Namespace, *, progress: bool) -> Iterator[None]:
    """Log to standard error for the time of one command and leave no handler behind."""
    on_terminal = progress and sys.stderr.isatty() and not arguments.verbose and not arguments.quiet
    handler = ProgressHandler() if on_terminal else logging.StreamHandler()
    handler.setFormatter(OneLineFormatter())
    detailed = arguments.verbose or on_terminal  # the bar moves by what is too fine for a log
    level = logging.ERROR if arguments.quiet else logging.DEBUG if detailed else logging.INFO
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    logging.captureWarnings(not arguments.verbose)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logger.removeHandler(handler)
        handler.close()
        logger.level, logger.propagate = before


@contextmanager
def _stop_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into an orderly exit, so that locks, children and temporary files are cleaned up."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    try:
        before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    except ValueError:  # not the main thread: a notebook or a test; signals are its owner's
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
