"""Groups of rows a challenger must not get worse for, however well it does on the whole."""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from evergreen.errors import UsageError
from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import Metric
from evergreen.training.evidence import Gain, measure_gain

if TYPE_CHECKING:
    import pandas

    from evergreen.settings import PromotionSettings

MAX_SLICES = 20
MAX_LEVELS = 10  # a category with more has too few rows in each to tell


@dataclass(frozen=True)
class Slice:
    """The rows with one value of a column, and whether the challenger is surely worse for them.

    `gain` and `interval` are None for a group that is too small, or can't tell: "unknown".
    """

    column: str
    value: str
    rows: int
    gain: float | None
    interval: tuple[float, float] | None
    verdict: Literal["ok", "worse", "unknown"]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self) | {"interval": list(self.interval) if self.interval else None}


def judge_slices(
    frame: "pandas.DataFrame",
    metric: Metric,
    champion: Sample,
    challenger: Sample,
    promotion: "PromotionSettings",
    *,
    seed: int,
) -> tuple[Slice, ...]:
    """At most 20 groups; a group is worse when its gain is below −`max_slice_loss` for sure.

    Sure is the upper bound at `alpha` divided by the number of groups, one-sided.
    """
    groups = [(column, value, rows) for column in _columns(frame, promotion) for value, rows in _groups(frame[column])]
    groups = groups[:MAX_SLICES]
    large = sum(len(rows) >= promotion.min_slice_rows for _, _, rows in groups)
    confidence = 1 - 2 * promotion.alpha / max(large, 1)
    slices = []
    for column, value, rows in groups:
        gain = None
        if len(rows) >= promotion.min_slice_rows:
            gain = measure_gain(metric, champion.take(rows), challenger.take(rows), confidence=confidence, seed=seed)
        slices.append(_judge(column, value, len(rows), gain, promotion.max_slice_loss))
    return tuple(slices)


def _judge(column: str, value: str, rows: int, gain: Gain | None, max_loss: float) -> Slice:
    if gain is None or not math.isfinite(gain.value):
        return Slice(column, value, rows, None, None, "unknown")
    verdict: Literal["ok", "worse"] = "worse" if gain.high < -max_loss else "ok"
    return Slice(column, value, rows, gain.value, (gain.low, gain.high), verdict)


def _columns(frame: "pandas.DataFrame", promotion: "PromotionSettings") -> list[str]:
    """The columns the user named; for "auto" the categories with the fewest values that fit into 20 groups."""
    named = [name for name in promotion.slices if name != "auto"]
    for name in named:
        if name not in frame:
            raise UsageError(f"promotion.slices: there is no column '{name}'. Found: {', '.join(frame.columns)}.")
        levels = frame[name].nunique(dropna=False)
        if levels > MAX_SLICES:
            raise UsageError(
                f"promotion.slices: column '{name}' has {levels:,} different values; "
                f"groups need a column with at most {MAX_SLICES}."
            )
    return named + ([name for name in _categories(frame) if name not in named] if "auto" in promotion.slices else [])


def _categories(frame: "pandas.DataFrame") -> list[str]:
    from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

    levels = {
        name: frame[name].nunique(dropna=False)
        for name in frame.columns
        if is_bool_dtype(frame[name]) or not (is_numeric_dtype(frame[name]) or is_datetime64_any_dtype(frame[name]))
    }
    chosen, total = [], 0
    for name in sorted(levels, key=lambda name: levels[name]):
        if 2 <= levels[name] <= MAX_LEVELS and total + levels[name] <= MAX_SLICES:
            chosen.append(name)
            total += levels[name]
    return chosen


def _groups(values: "pandas.Series[Any]") -> list[tuple[str, np.ndarray]]:
    """The values as text with their rows, the most frequent first; missing values are a group too."""
    import pandas

    codes, uniques = pandas.factorize(values)
    groups = [(str(value), np.flatnonzero(codes == code)) for code, value in enumerate(uniques)]
    if (codes < 0).any():
        groups.append(("(missing)", np.flatnonzero(codes < 0)))
    return sorted(groups, key=lambda group: (-len(group[1]), group[0]))
