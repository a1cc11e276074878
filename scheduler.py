"""Run the monitor on time, for those without cron.

    python scheduler.py                                        # daily at 02:00 UTC, as config.toml says
    python scheduler.py --set schedule.at=03:15 --set schedule.timezone=Europe/Berlin
    python scheduler.py --set schedule.every="6 hours"         # by interval instead

Each run is a child process, `python src/monitor.py` with the very options given here. A run that fails, hangs
or is killed ends only itself; runs never overlap, and whatever was missed while the machine was off is caught
up by one run. The slot that was run last is remembered in model/scheduler.json, so a restart doesn't run it twice.

A run that ended without a word of its own (killed, hung, not started) is recorded and alerted from here.

Stop it with SIGTERM or ctrl-C: a run under way may go on for [schedule] grace, then it is ended; exit code 0.
It is alive while reports/heartbeat is touched, which happens every second:
`find reports/heartbeat -newermt '-1 minute' | grep -q .`
"""

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

import utils
from evergreen import files, slots
from evergreen.errors import EvergreenError, ExitCode
from evergreen.settings import Settings

logger = logging.getLogger("evergreen.scheduler")

TURN = 1.0  # seconds between two looks at the clock
LAST_WORDS = timedelta(seconds=5)  # between SIGTERM and SIGKILL for a run that outlived the scheduler's own stop


def steady_seconds() -> float:
    """Seconds of a clock that nobody sets; where the system offers one that also counts while it sleeps, that one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True)
class Clocks:
    """Where the loop reads time and how it waits."""

    now: Callable[[], datetime] = utils.now
    steady: Callable[[], float] = steady_seconds
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Job:
    """What a slot runs: a command, how long it may take, and how long it is given to end."""

    command: tuple[str, ...]
    timeout: timedelta | None
    grace: timedelta


@dataclass
class Loop:
    """The state of the scheduler: the plan, what was run last, and whether it was told to stop."""

    plan: slots.Plan
    job: Job
    memory: Path
    heartbeat: Path
    tell_loss: Callable[[str, datetime, datetime], None]
    clocks: Clocks = Clocks()
    stopping: bool = False
    last: dict[str, Any] = field(default_factory=dict)
    since: datetime = field(init=False)
    next_beat: float = field(init=False)

    def __post_init__(self) -> None:
        self.since = self.clocks.now()
        self.last = read_memory(self.memory)
        wait = slots.first_wait(self.plan.every, self.since, self.moment("started")) if self.plan.every else 0.0
        self.next_beat = self.clocks.steady() + wait

    def moment(self, key: str) -> datetime | None:
        """A moment of the last run: `due`, `started` or `ended`."""
        return datetime.fromisoformat(self.last[key]) if self.last.get(key) else None

    def turn(self) -> None:
        """One look at the clocks: show that we are alive, and run the monitor if it is due."""
        self.beat()
        slot = self.due()
        if slot and not self.stopping:
            self.run(slot)
            logger.info("%s", self.describe_next())

    def due(self) -> slots.Slot | None:
        now = self.clocks.now()
        if self.plan.every is None:
            return slots.due_slot(self.plan, now, self.moment("due"), self.since)
        return slots.Slot(now.isoformat(timespec="seconds"), now) if self.clocks.steady() >= self.next_beat else None

    def run(self, slot: slots.Slot) -> None:
        """Run the job for a slot and remember it: claimed before it starts, so that no crash can run it twice."""
        started = self.clocks.now()
        self.remember(slot=slot.key, due=slot.due, started=started, ended=None, exit_code=None)
        logger.info("slot %s: running %s", slot.key, " ".join(self.job.command))
        code = self.run_job()
        ended = self.clocks.now()
        self.remember(slot=slot.key, due=slot.due, started=started, ended=ended, exit_code=code)
        log = logger.info if code == 0 else logger.error
        how = f"{describe_exit(code)} after {(ended - started).total_seconds():.0f} s"
        log("slot %s: %s", slot.key, how)
        if code not in (0, ExitCode.BUSY) and not self.stopping:
            self.tell_loss(how, started, ended)
        if self.plan.every:
            self.next_beat = slots.next_beat(self.next_beat, self.plan.every, self.clocks.steady())

    def run_job(self) -> int | None:
        """Run the command in its own process group until it ends or is ended; None when it could not start.

        Its output goes where ours goes, never through our memory.
        """
        try:
            child = subprocess.Popen(self.job.command, stdin=subprocess.DEVNULL, start_new_session=True)
        except OSError as error:
            logger.error("the monitor could not be started: %s", error)
            return None
        try:
            self.attend(child)
        finally:
            signal_group(child, signal.SIGKILL)  # nothing of a run outlives it
        return child.wait()

    def attend(self, child: subprocess.Popen[bytes]) -> None:
        """Wait for a run; end its group after `timeout`, or `grace` after we were told to stop."""
        if self.ends_within(child, self.job.timeout, unless_stopping=True):
            return
        patience = self.job.grace
        if self.stopping:
            logger.info("stopping; the run under way has %s to finish", self.job.grace)
            if self.ends_within(child, self.job.grace):
                return
            patience = LAST_WORDS
        logger.error("the run has taken too long; asking it to end, then killing it after %s", patience)
        signal_group(child, signal.SIGTERM)
        self.ends_within(child, patience)

    def ends_within(
        self, child: subprocess.Popen[bytes], limit: timedelta | None, *, unless_stopping: bool = False
    ) -> bool:
        """Whether a child ends in time; a request to stop ends the wait early when asked for."""
        until = self.clocks.steady() + (limit.total_seconds() if limit else float("inf"))
        while child.poll() is None:
            if self.clocks.steady() >= until or (unless_stopping and self.stopping):
                return False
            self.beat()
            with suppress(subprocess.TimeoutExpired):
                child.wait(min(TURN, max(until - self.clocks.steady(), 0.0)))
        return True

    def beat(self) -> None:
        """Touch the heartbeat file; a full or read-only disk is no reason to stop watching."""
        with suppress(OSError):
            self.heartbeat.parent.mkdir(parents=True, exist_ok=True)
            self.heartbeat.touch()

    def remember(self, **facts: str | datetime | int | None) -> None:
        """Put what is known of the last run on the disk, or say what follows from not being able to."""
        plain = {key: fact.isoformat() if isinstance(fact, datetime) else fact for key, fact in facts.items()}
        self.last = {"format": 1, **plain}
        try:
            files.write_atomic(self.memory, json.dumps(self.last, indent=1) + "\n")
        except OSError as error:
            logger.error("%s can't be written (%s); a restart may run this slot again", self.memory, error)

    def describe_next(self) -> str:
        """What will run and when, for people."""
        now = self.clocks.now()
        if self.plan.every:
            wait = max(self.next_beat - self.clocks.steady(), 0.0)
            due = now + timedelta(seconds=wait)
        else:
            due = slots.next_slot(self.plan, now).due
            due = now if self.due() else due
            wait = (due - now).total_seconds()
        local = due.astimezone(self.plan.zone)
        return f"{self.plan}; next run {local:%Y-%m-%d %H:%M %Z} (in {timedelta(seconds=round(wait))})"


def read_memory(path: Path) -> dict[str, Any]:
    """What was remembered of the last run; nothing when there is no such file or it can't be understood."""
    try:
        memory = json.loads(files.read_bytes(path))
        for key in ("due", "started"):
            if datetime.fromisoformat(memory[key]).tzinfo is None:
                raise ValueError(f"'{key}' has no time zone")
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("%s can't be understood (%s); starting without a memory of the last run", path, error)
        return {}
    return dict(memory)


def describe_exit(code: int | None) -> str:
    """How a run ended, in words.

    >>> describe_exit(-9)
    'killed by SIGKILL'
    """
    if code is None:
        return "could not be started"
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def tell_lost_run(settings: Settings, how: str, started: datetime, now: datetime) -> None:
    """Record and alert a run that failed and could not do so itself; one that could is left alone."""
    from evergreen.registry.store import Store

    store = Store.of(settings)
    failure = {"kind": "LostRun", "message": f"The run of the scheduler {how}. The scheduler's log has its last words."}
    document = utils.begin_document(utils.new_run(now), now) | {"failure": failure}
    try:
        with store.lock():
            since = started.replace(microsecond=0)
            if not any(entry.event == "run" and entry.moment >= since for entry in store.entries()):
                utils.finish(document, settings, store, now, (now - started).total_seconds())
    except EvergreenError as error:
        logger.error("the lost run could not be recorded: %s", error)


def signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to every process of a run; one that has none left is fine."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def keep_turning(loop: Loop) -> None:
    """Turn the loop once a second until it is told to stop.

    `schedule` waits for a wall-clock time, so after the clock was set back it would be silent until the old
    hour has come again; the turn is booked anew when it lies further ahead than one turn.
    """
    import schedule

    front = schedule.Scheduler()
    while not loop.stopping:
        if not front.jobs or (front.idle_seconds or 0.0) > TURN:
            front.clear()
            front.every(int(TURN)).seconds.do(loop.turn)
        front.run_pending()
        loop.clocks.sleep(min(max(front.idle_seconds or 0.0, 0.01), TURN))


@contextmanager
def stop_on_signals(loop: Loop) -> Iterator[None]:
    """Let SIGTERM, SIGINT and SIGHUP ask the loop to stop, for the time of the block."""

    def ask(_number: int, _frame: object) -> None:
        loop.stopping = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def make_loop(settings: Settings, options: list[str], clocks: Clocks = Clocks()) -> Loop:
    """The loop that the settings describe; `options` are handed to the monitor as they are."""
    command = (sys.executable, str(utils.PROJECT / "src" / "monitor.py"), *options)
    limits = settings.schedule
    return Loop(
        plan=slots.read_plan(limits),
        job=Job(command, timeout=limits.timeout, grace=limits.grace or timedelta()),
        memory=settings.path(settings.registry.folder) / "scheduler.json",
        heartbeat=settings.path(settings.reports.folder) / "heartbeat",
        tell_loss=partial(tell_lost_run, settings),
        clocks=clocks,
    )


def main(argv: list[str] | None = None) -> int:
    options = sys.argv[1:] if argv is None else argv
    arguments = utils.parser(__doc__).parse_args(options)

    def body(arguments: argparse.Namespace) -> int:
        loop = make_loop(utils.settings_from(arguments), options)
        with files.lock(loop.memory.with_suffix(".lock")), stop_on_signals(loop):
            logger.info("running %s %s", " ".join(loop.job.command), loop.describe_next())
            keep_turning(loop)
        logger.info("stopped")
        return 0

    return utils.run(body, arguments, progress=False)


if __name__ == "__main__":
    raise SystemExit(main())
