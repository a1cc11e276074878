"""Where is the model at its worst? Groups of rows that are surely and materially worse than all others.

Looked at are the values of every category, the fifths of every number and time, and what is missing against what is
there; a group and the rest of the rows need `min_rows` each. A group is shown when

    material   its score is worse than that of the other rows by `max_drop` or more
    sure       a one-sided test says so at 5 % over all groups looked at (Holm)

For errors the test is Fisher's exact one, for other losses Welch's. Both take rows as independent.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammaln, stdtr

from evergreen.drift import performance_words as words
from evergreen.drift.correction import adjust_p_values
from evergreen.drift.performance import PerformanceReport, drop_bounds
from evergreen.scoring import intervals
from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import Metric, Score, metric_named, row_losses, sample_rows, worse_by
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PerformanceSettings, Settings
from evergreen.verdicts import shows_loss

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.05
SHOWN = 5
PARTS = 5


@dataclass(frozen=True)
class WorstSlice:
    """A group of rows for which the model is surely worse than for the others.

    Attributes:
        column, value: which rows: a category, "20 to 35" (its end not included), "(missing)", "(present)".
        rows: how many.
        metric, score, rest: its score and that of all other rows; accuracy or mae where the metric is no mean of rows.
        gap: how much worse, positive; a share of `rest` for relative metrics.
        interval: two-sided, of the gap, wide enough to hold for all groups that were looked at together.
        p_value: corrected for their number.
    """

    column: str
    value: str
    rows: int
    metric: str
    score: float
    rest: float
    gap: float
    interval: tuple[float, float]
    p_value: float


@dataclass(frozen=True)
class _Groups:
    """Groups of rows by name, (column, value), with their rows and sums of losses and squared losses, (m,)."""

    names: list[tuple[str, str]]
    rows: np.ndarray
    sums: np.ndarray
    squares: np.ndarray


def name_worst_slices(
    report: PerformanceReport,
    features: "pd.DataFrame",
    y: Any,
    predictions: Predictions,
    settings: Settings,
    *,
    task: str,
    positive: str | None = None,
) -> PerformanceReport:
    """The report with the groups of its rows that are worst; with a loss its reasons name the worst of them.

    Arguments as for `judge_performance`; `features` are of the same rows. A report that could not judge stays as it is.
    """
    if report.current is None:
        return report
    metric = metric_named(settings.performance, task, settings.root)
    sample = sample_rows(y, predictions, positive)
    found = find_worst_slices(features, sample, metric, settings.performance, settings.promotion.min_slice_rows)
    told = (words.slice_words(found[0]),) if found and shows_loss(report.verdict) else ()
    return replace(report, slices=found, reasons=(*report.reasons, *told))


def find_worst_slices(
    features: "pd.DataFrame", sample: Sample, metric: Metric, settings: PerformanceSettings, min_rows: int
) -> tuple[WorstSlice, ...]:
    """At most five, the largest gap first.

    Args:
        features: n rows, the columns to look in; may hold missing values.
        sample: labels and predictions of the same rows.
        min_rows: of a group, and of all others together.
    """
    meant, losses = row_losses(metric, sample)
    groups = _all_groups(features, losses, min_rows)
    if not groups.names:
        return ()
    rest = _Groups(
        groups.names,
        len(losses) - groups.rows,
        losses.sum() - groups.sums,
        np.maximum((losses**2).sum() - groups.squares, 0.0),
    )
    p_values = _p_values(groups, rest, meant, settings.max_drop, counted=bool(np.isin(losses, (0.0, 1.0)).all()))
    adjusted = adjust_p_values(p_values.tolist(), "holm")
    confidence = 1 - (1 - settings.confidence) / len(groups.names)
    found = [
        _slice(groups.names[place], _score(meant, groups, place), _score(meant, rest, place), meant, confidence, p)
        for place, p in enumerate(adjusted.tolist())
        if p < ALPHA
    ]
    return tuple(sorted(found, key=lambda group: (-group.gap, group.column, group.value))[:SHOWN])


def _slice(
    name: tuple[str, str], score: Score, rest: Score, metric: Metric, confidence: float, p_value: float
) -> WorstSlice:
    gap = worse_by(metric, rest.value, score.value)
    interval = drop_bounds(metric, rest, score, confidence)
    return WorstSlice(*name, score.rows, metric.name, score.value, rest.value, gap, interval, p_value)


def _score(metric: Metric, groups: _Groups, place: int) -> Score:
    rows = int(groups.rows[place])
    mean, error = float(groups.sums[place]) / rows, float(_errors(groups)[place])
    value = 1 - mean if metric.higher_is_better else mean
    share = error * math.sqrt((rows - 1) / rows)  # of a share the variance is p(1 − p) / n, without the n − 1
    effective = 0.0 if metric.relative else intervals.equivalent_rows(value, share, rows)
    return Score(metric.name, value, math.nan, math.nan, error, rows, effective)


def _p_values(groups: _Groups, rest: _Groups, metric: Metric, max_drop: float, *, counted: bool) -> np.ndarray:
    """One-sided, (m,), of the material groups; 1 for the others, which are never shown."""
    means, others = groups.sums / groups.rows, rest.sums / rest.rows
    unit = np.where(others == 0, 1.0, np.abs(others)) if metric.relative else 1.0
    p_values = np.ones(len(groups.names))
    errors = _errors(groups), _errors(rest)
    for place in np.flatnonzero((means - others) / unit >= max_drop):
        if counted:
            total, wrong = groups.rows[place] + rest.rows[place], groups.sums[place] + rest.sums[place]
            p_values[place] = fisher(int(groups.rows[place]), int(groups.sums[place]), int(total), round(wrong))
        else:
            sides = [(error[place], part.rows[place]) for error, part in zip(errors, (groups, rest), strict=True)]
            p_values[place] = welch(means[place] - others[place], *sides)
    return p_values


def _errors(groups: _Groups) -> np.ndarray:
    """Standard errors of the mean losses, (m,)."""
    n = groups.rows
    spread = np.maximum(groups.squares - groups.sums**2 / n, 0.0)
    return np.asarray(np.sqrt(spread / (n * np.maximum(n - 1, 1))))


def fisher(rows: int, wrong: int, all_rows: int, all_wrong: int) -> float:
    """Chance of so many errors or more among `rows` of all rows when errors fall anywhere (hypergeometric).

    >>> round(fisher(10, 4, 100, 10), 6)  # scipy.stats.hypergeom(100, 10, 10).sf(3)
    0.008225
    """
    k = np.arange(wrong, min(rows, all_wrong) + 1)
    ways = _ln_choose(all_wrong, k) + _ln_choose(all_rows - all_wrong, rows - k) - _ln_choose(all_rows, rows)
    return min(1.0, float(np.exp(ways[rows - k <= all_rows - all_wrong]).sum()))


def _ln_choose(n: int, k: Any) -> Any:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(np.maximum(n - k, 0) + 1)


def welch(worse: float, group: tuple[float, int], rest: tuple[float, int]) -> float:
    """One-sided p-value of a difference of means; each side is its standard error and its rows."""
    (error, n), (other, m) = group, rest
    variance = error**2 + other**2
    if variance == 0:
        return 0.0 if worse > 0 else 1.0
    freedom = variance**2 / (error**4 / (n - 1) + other**4 / (m - 1))
    return float(stdtr(freedom, -worse / math.sqrt(variance)))


# The groups


def _all_groups(features: "pd.DataFrame", losses: np.ndarray, min_rows: int) -> _Groups:
    names: list[tuple[str, str]] = []
    parts: list[np.ndarray] = []
    for column in features:
        for labels, codes in _groupings(features[column]):
            sums = _sum_up(codes, len(labels), losses)
            large = np.flatnonzero((sums[0] >= min_rows) & (len(losses) - sums[0] >= min_rows))
            names += [(str(column), labels[place]) for place in large]
            parts.append(sums[:, large])
    rows, sums, squares = np.concatenate(parts, axis=1) if parts else np.empty((3, 0))
    return _Groups(names, rows, sums, squares)


def _sum_up(codes: np.ndarray, groups: int, losses: np.ndarray) -> np.ndarray:
    """Rows, losses and squared losses of each group, (3, groups); code −1 is in none."""
    weights = (None, losses, losses**2)
    return np.array([np.bincount(codes + 1, values, minlength=groups + 1)[1:] for values in weights])


def _groupings(values: "pd.Series[Any]") -> Iterator[tuple[list[str], np.ndarray]]:
    """Names of groups, and the group of each row, (n,), −1 for none: by value, and by whether there is one."""
    missing = values.isna().to_numpy()
    if missing.any():
        yield ["(missing)"], np.where(missing, 0, -1)
        yield ["(present)"], np.where(missing, -1, 0)
    yield _by_fifth(values, missing) if _ordered(values) else _by_value(values)


def _ordered(values: "pd.Series[Any]") -> bool:
    from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

    return is_datetime64_any_dtype(values) or (is_numeric_dtype(values) and not is_bool_dtype(values))


def _by_value(values: "pd.Series[Any]") -> tuple[list[str], np.ndarray]:
    import pandas as pd

    codes, found = pd.factorize(values)
    return [str(value) for value in found], codes


def _by_fifth(values: "pd.Series[Any]", missing: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Five groups of about equally many rows; fewer where values repeat."""
    there = values[~missing].to_numpy()
    if len(there) == 0:
        return [], np.full(len(values), -1)
    numbers = there.astype("datetime64[us]").astype(np.int64) if there.dtype.kind == "M" else there.astype(np.float64)
    edges = np.unique(np.quantile(numbers, np.arange(1, PARTS) / PARTS, method="higher"))
    edges = edges[edges > numbers.min()]
    codes = np.full(len(values), -1)
    codes[~missing] = np.searchsorted(edges, numbers, "right")
    ends = [_end(edge, there.dtype.kind == "M") for edge in edges]
    if not ends:
        return ["all one value"], codes
    return [
        f"below {ends[0]}",
        *(f"{a} to {b}" for a, b in pairwise(ends)),
        f"from {ends[-1]}",
    ], codes


def _end(edge: Any, is_time: bool) -> str:
    return str(np.datetime64(int(edge), "us").astype("datetime64[s]")) if is_time else f"{edge:.6g}"
