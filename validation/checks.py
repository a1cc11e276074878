"""What the chapters share: a check with its target, runs repeated from seeds, intervals, and the table."""

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from evergreen.scoring.intervals import wilson

T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """A figure with its 95 % interval; `value` is None when it could not be measured, and `note` says why."""

    value: float | None
    interval: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True)
class Simulation:
    """How often to repeat, from which seed, in how many processes. The processes make no difference to the numbers."""

    runs: int
    seed: int
    jobs: int

    def repeat(self, run: Callable[..., T], *arguments: Any) -> list[T]:
        """The results of `run(generator, *arguments)`, each with a random generator of its own."""
        from joblib import Parallel, delayed

        seeds = np.random.SeedSequence([self.seed, zlib.crc32(run.__name__.encode())]).spawn(self.runs)
        return list(Parallel(n_jobs=self.jobs)(delayed(_run_once)(run, seed, arguments) for seed in seeds))


def _run_once(run: Callable[..., T], seed: np.random.SeedSequence, arguments: Sequence[Any]) -> T:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):  # the processes share the machine already
        return run(np.random.default_rng(seed), *arguments)


@dataclass(frozen=True)
class Check:
    """One row of the table: what is measured, between which limits it has to lie, and how often it is repeated."""

    metric: str
    measure: Callable[[Simulation], Measured]
    runs: int
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self) -> str:
        """The limits in words."""
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return "shown only" if self.at_most is None else f"<= {self.at_most:g}"


@dataclass(frozen=True)
class Finding:
    """A check that was made."""

    check: Check
    runs: int
    measured: Measured
    seconds: float

    @property
    def verdict(self) -> str:
        """By the figure itself; the interval beside it says how sure that is."""
        value = self.measured.value
        if value is None:
            return "skipped"
        if self.check.at_least is None and self.check.at_most is None:
            return "shown"
        low = value < self.check.at_least if self.check.at_least is not None else False
        high = value > self.check.at_most if self.check.at_most is not None else False
        return "missed" if low or high else "met"


def make(check: Check, effort: float, seed: int, jobs: int) -> Finding:
    """Make a check, with `effort` times its usual runs, but two at least (one, if it usually takes no more)."""
    runs = max(min(2, check.runs), round(check.runs * effort))
    start = time.perf_counter()
    measured = check.measure(Simulation(runs, seed, jobs))
    return Finding(check, runs, measured, time.perf_counter() - start)


HEADER = ("metric", "target", "measured", "95 % interval", "verdict", "runs", "seconds")


def table(findings: Iterable[Finding]) -> Iterator[str]:
    """The findings as lines of Markdown."""
    yield f"| {' | '.join(HEADER)} |"
    yield "| --- | --- | ---: | --- | --- | ---: | ---: |"
    for one in findings:
        found = one.measured
        value = found.note if found.value is None else f"{found.value:.3g}"
        interval = "" if found.interval is None else f"{found.interval[0]:.3g} to {found.interval[1]:.3g}"
        note = f"; {found.note}" if found.note and found.value is not None else ""
        cells = (
            one.check.metric,
            one.check.target,
            value + note,
            interval,
            one.verdict,
            one.runs,
            f"{one.seconds:.0f}",
        )
        yield f"| {' | '.join(map(str, cells))} |"


def share(found: Sequence[bool]) -> Measured:
    """How often something happened, with Wilson's interval."""
    value = float(np.mean(found))
    return Measured(value, wilson(value, len(found)))


def mean(values: Sequence[float]) -> Measured:
    """A mean and its normal interval."""
    value, error = float(np.mean(values)), float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Measured(value, (value - 1.96 * error, value + 1.96 * error))


def median(values: Sequence[float]) -> Measured:
    """A median and the interval of the ordered values that holds it with 95 % certainty."""
    ordered, middle, half = np.sort(values), len(values) / 2, 0.98 * len(values) ** 0.5
    low, high = max(0, int(middle - half)), min(len(values) - 1, int(np.ceil(middle + half)))
    return Measured(float(np.median(ordered)), (float(ordered[low]), float(ordered[high])))


def largest(values: Sequence[float]) -> Measured:
    """The worst of all values; there is no interval to a worst."""
    return Measured(float(np.max(values)))


def noted(measured: Measured, note: str) -> Measured:
    """The same figure with a word beside it."""
    return replace(measured, note=note)
