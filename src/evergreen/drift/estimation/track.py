"""How right earlier estimates were, now that their labels have come: what an estimate has to earn trust by."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from evergreen.scoring.metrics import METRICS

MIN_WINDOWS = 5  # of scored estimates, before one is relied on
NEWEST = 20  # are looked at: an older world says little about this one
TOLERATED = 0.5  # of performance.max_drop: an error as large as the drop itself would find drops everywhere
SURE = 0.9  # of the past errors go into the band


@dataclass(frozen=True)
class ScoredEstimate:
    """One estimate whose labels have come.

    Attributes:
        estimate, realised: of the metric, on the same rows, by the same model.
        carried: what the newest labelled rows said when the estimate was made: the rival to beat.
        baseline: of the model; errors of relative metrics are shares of it.
        rows: labelled rows of the window.
        start, stop: its first and last row, by time or number; `model` is the digest.
        content: digest of the rows, where their numbers don't tell which they are.
    """

    metric: str
    estimate: float
    realised: float
    carried: float
    baseline: float
    rows: int = 0
    start: str | int | None = None
    stop: str | int | None = None
    model: str = ""
    content: str = ""

    @property
    def error(self) -> float:
        """How far off the estimate was; for metrics without an upper bound a share of the baseline."""
        return abs(self.estimate - self.realised) / unit_of(self.metric, self.baseline)

    @property
    def carried_error(self) -> float:
        """How far off the newest labelled score was."""
        return abs(self.carried - self.realised) / unit_of(self.metric, self.baseline)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> "ScoredEstimate":
        """The record that `to_dict` wrote; an older version may have written less."""
        return ScoredEstimate(**{each.name: plain[each.name] for each in fields(ScoredEstimate) if each.name in plain})


@dataclass(frozen=True)
class Track:
    """The record of the newest scored estimates of one metric.

    Attributes:
        windows: how many there are, at most 20.
        error, carried_error: mean absolute error of the estimates, and of carrying the last labelled score forward;
            None without any.
        usual_error: not exceeded by nine of ten estimates; the tolerated error while there is no record.
        tolerated: largest mean error of a reliable record, half of `performance.max_drop`.
        recent_error: mean of the last five; None without any.
        reliable: enough windows, no worse than carrying forward, and all in all and lately within what is tolerated.
    """

    windows: int
    error: float | None
    carried_error: float | None
    recent_error: float | None
    usual_error: float
    tolerated: float
    reliable: bool


def unit_of(metric: str, baseline: float) -> float:
    """What errors of a metric are counted in: 1, or the baseline where drops are shares of it."""
    return abs(baseline) if METRICS[metric].relative and baseline else 1.0


def judge_track(scored: Sequence[ScoredEstimate], metric: str, max_drop: float) -> Track:
    """The record of a metric from its scored estimates, oldest first; those of other metrics are passed over.

    >>> good = [ScoredEstimate("accuracy", 0.80, 0.81, 0.85, 0.86)] * 5
    >>> judge_track(good, "accuracy", 0.05).reliable, judge_track(good[:4], "accuracy", 0.05).reliable
    (True, False)
    """
    newest = [each for each in scored if each.metric == metric][-NEWEST:]
    tolerated = TOLERATED * max_drop
    if not newest:
        return Track(0, None, None, None, tolerated, tolerated, False)
    errors = np.array([each.error for each in newest])
    error = float(errors.mean())
    carried = float(np.mean([each.carried_error for each in newest]))
    # The last five by themselves too: a long good past must not vouch for estimates that have begun to fail.
    recent = float(errors[-MIN_WINDOWS:].mean())
    reliable = len(newest) >= MIN_WINDOWS and error <= carried and max(error, recent) <= tolerated
    return Track(len(newest), error, carried, recent, float(np.quantile(errors, SURE)), tolerated, reliable)
