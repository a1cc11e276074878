"""How much of the past to learn from: stretches of it compete on the newest training rows.

Each candidate is fitted on its stretch before the validation rows and judged on them. The one with the
most rows among those within one standard error of the best wins: older rows cost little when the world
is stable and hurt when it has changed, and this tells the two apart. The holdout takes no part.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.data.windows import first_of_newest
from evergreen.scoring.intervals import spread
from evergreen.scoring.measures import Measurement
from evergreen.scoring.metrics import Metric, sample_rows
from evergreen.scoring.predictions import predict

if TYPE_CHECKING:
    import pandas

logger = logging.getLogger(__name__)

VALIDATION_WINDOWS = 3  # the newest windows tell which past is like the present; one alone may be an odd day
VALIDATION_SHARE = 0.15  # where it is not known how much comes in a window
MAX_VALIDATION_SHARE = 0.33  # the rest has to teach
MIN_VALIDATION_ROWS = 200
MIN_ROWS = 100  # fewer rows to learn from, or to be judged on, can't show which stretch is better


@dataclass(frozen=True)
class Candidate:
    """A stretch that competed: its name, the rows it was fitted on, and its score on the validation rows."""

    window: str
    rows: int
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; None for a score that the validation rows can't tell."""
        return asdict(self) | {"score": self.score if math.isfinite(self.score) else None}


@dataclass(frozen=True)
class Choice:
    """The stretch to learn from: from row `start` to the newest.

    After a competition it begins where the winner began and takes the validation rows with it: they are
    of the same world, as the winner's score on them has just shown. `model` was fitted before them, None
    if nothing competed.
    """

    window: str
    start: int
    candidates: tuple[Candidate, ...] = ()
    model: Any = None


CANDIDATES = ("all", "25%", "10%", "5%")


def first_rows(keys: np.ndarray, windows: Sequence[str]) -> dict[str, int]:
    """Row number at which each stretch begins: `all`, the newest `10%`, `20000` rows or `90d`.

    >>> first_rows(np.arange(1000), ("all", "10%", "300"))
    {'all': 0, '10%': 900, '300': 700}
    """
    return {window: _first_row(keys, window) for window in windows}


def _first_row(keys: np.ndarray, window: str) -> int:
    if window.endswith("%"):
        return len(keys) - math.ceil(len(keys) * float(window[:-1]) / 100)
    return first_of_newest(keys, window, "training.window")


def validation_start(keys: np.ndarray, most: int, window_rows: int | None = None) -> int:
    """First of the rows that candidates are judged on: those of the last 3 windows, or the newest 15 %.

    Args:
        most: rows at most.
        window_rows: labelled rows that come in a window, the time between two runs; None when that is not known.

    With it they are at least 200 rows and at most a third. Rows with equal keys stay together.

    >>> validation_start(np.arange(1000), 10_000), validation_start(np.arange(1000), 10_000, window_rows=80)
    (850, 760)
    """
    rows = int(len(keys) * VALIDATION_SHARE)
    if window_rows:
        wanted = max(VALIDATION_WINDOWS * window_rows, MIN_VALIDATION_ROWS)
        rows = min(wanted, int(len(keys) * MAX_VALIDATION_SHARE))
    start = len(keys) - min(rows, most)
    return int(np.searchsorted(keys, keys[start])) if start < len(keys) else start


def choose_window(
    starts: dict[str, int],
    features: "pandas.DataFrame",
    labels: np.ndarray,
    *,
    validation: int,
    fit: Callable[[slice], Any],
    metric: Metric,
    task: str,
    positive: str | None,
) -> Choice:
    """Let stretches compete; without enough rows, or rivals, the longest wins unopposed.

    Args:
        starts: first row of each stretch among the rows before `validation`, the longest first.
        fit: gives a model fitted on the rows of a slice.
    """
    starts = {name: start for name, start in starts.items() if _can_compete(labels, start, validation, task)}
    names = list(starts)
    if len(names) < 2 or len(labels) - validation < MIN_ROWS:
        return Choice(names[0], starts[names[0]]) if names else Choice("all", 0)
    judged = slice(validation, len(labels))
    models = {name: fit(slice(start, validation)) for name, start in starts.items()}
    answers = {
        name: predict(model, features[judged], task, probabilities=metric.needs_probabilities)
        for name, model in models.items()
    }
    found = {name: metric.measure(sample_rows(labels[judged], given, positive)) for name, given in answers.items()}
    candidates = tuple(Candidate(name, validation - starts[name], found[name].value) for name in names)
    window = _longest_of_the_best(found, metric.higher_is_better)
    logger.info("window %s won among %s", window, {name: round(found[name].value, 4) for name in names})
    return Choice(window, starts[window], candidates, models[window])


def _can_compete(labels: np.ndarray, start: int, stop: int, task: str) -> bool:
    """Enough rows, and for classification all the classes that the past knows."""
    if stop - start < MIN_ROWS:
        return False
    return task != "classification" or len(np.unique(labels[start:stop])) == len(np.unique(labels[:stop]))


def _longest_of_the_best(found: dict[str, Measurement], higher_is_better: bool) -> str:
    """The first (longest) stretch whose score is within one standard error of the best one's."""
    told = {name: measured for name, measured in found.items() if math.isfinite(measured.value)}
    if not told:
        return next(iter(found))
    sign = 1.0 if higher_is_better else -1.0
    best = max(told.values(), key=lambda measured: sign * measured.value)
    return next(
        name for name, measured in told.items() if sign * (best.value - measured.value) <= _paired_error(best, measured)
    )


def _paired_error(one: Measurement, other: Measurement) -> float:
    if one.contributions is None or other.contributions is None:
        return 0.0
    return spread(one.contributions - other.contributions, ordered=True)
