"""The metrics by name, and scores: a metric on labelled rows with its interval.

Adding a metric is adding a row to `METRICS`. Labels of a classification are text
(`evergreen.data.labels.label_text`), of a regression float; a missing label is refused.
"""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evergreen.data.labels import find_label, label_text
from evergreen.errors import DataError, UsageError
from evergreen.scoring import costs, intervals, measures
from evergreen.scoring.measures import Measure, Measurement, Sample, mean_of
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PerformanceSettings

RESAMPLES = 200
NEEDS_COSTS = "performance.metric 'cost' needs either performance.cost_matrix or performance.cost_function."
SCORE_NUMBERS = ("value", "low", "high", "standard_error")

Losses = Callable[[Sample], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """One way to score predictions.

    Attributes:
        tasks: the tasks it applies to.
        higher_is_better: its direction.
        relative: a drop is a share of the baseline (metrics without an upper bound), else a difference.
        needs_probabilities: it is not defined for a model that predicts classes only.
        measure: the formula.
        losses: of single rows, where the metric is their mean (accuracy: 1 minus it); else None.
    """

    name: str
    tasks: tuple[str, ...]
    higher_is_better: bool
    relative: bool
    needs_probabilities: bool
    measure: Measure
    losses: Losses | None = None


def _mean(name: str, tasks: str, losses: Losses, relative: bool = True, probabilities: bool = False) -> Metric:
    measure = _needing_probabilities(name, mean_of(losses)) if probabilities else mean_of(losses)
    return Metric(name, tuple(tasks.split()), False, relative, probabilities, measure, losses)


def _share(name: str, measure: Measure, probabilities: bool = False, losses: Losses | None = None) -> Metric:
    measure = _needing_probabilities(name, measure) if probabilities else measure
    return Metric(name, ("classification",), True, False, probabilities, measure, losses)


def _needing_probabilities(name: str, measure: Measure) -> Measure:
    def guarded(sample: Sample) -> Measurement:
        if sample.probabilities is None:
            return measures.undefined(f"{name} needs probabilities, and the model has no predict_proba")
        return measure(sample)

    return guarded


def _no_costs(sample: Sample) -> np.ndarray:
    raise UsageError(NEEDS_COSTS)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _share("accuracy", measures.accuracy, losses=measures.misses),
        _share("balanced_accuracy", measures.balanced_accuracy),
        _share("precision", measures.precision),
        _share("recall", measures.recall),
        _share("f1", measures.f1),
        _share("roc_auc", measures.roc_auc, probabilities=True),
        _share("pr_auc", measures.pr_auc, probabilities=True),
        _mean("log_loss", "classification", measures.log_losses, probabilities=True),
        _mean("brier", "classification", measures.brier_losses, relative=False, probabilities=True),
        _mean("mae", "regression", measures.absolute_losses),
        Metric("rmse", ("regression",), False, True, False, measures.rmse),
        Metric("r2", ("regression",), True, False, False, measures.r2),
        Metric("mape", ("regression",), False, True, False, measures.mape),
        _mean("pinball", "regression", measures.pinball_losses(0.5)),
        _mean("cost", "classification regression", _no_costs),
    )
}
AUTO = {"classification": "accuracy", "regression": "mae"}


def row_losses(metric: Metric, sample: Sample) -> tuple[Metric, np.ndarray]:
    """The metric, or where it is no mean over rows accuracy or mean absolute error instead, and its losses, (n,)."""
    meant = metric if metric.losses is not None else METRICS[AUTO["classification" if sample.classes else "regression"]]
    assert meant.losses is not None
    return meant, meant.losses(sample)


@dataclass(frozen=True)
class Score:
    """A metric on labelled rows.

    Attributes:
        value: the score; nan when the rows can't tell, and then `reason` says why.
        low, high: two-sided interval at the confidence it was asked for.
        standard_error: of the value.
        rows: labelled rows; 0 for a number whose sample is unknown, which then counts as exact.
        effective_rows: for scores between 0 and 1, the independent yes/no rows they amount to; else 0.
    """

    metric: str
    value: float
    low: float
    high: float
    standard_error: float
    rows: int
    effective_rows: float = 0.0
    reason: str = ""

    @property
    def defined(self) -> bool:
        """Whether the rows could tell."""
        return math.isfinite(self.value)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; a number that isn't defined is None."""
        plain = asdict(self)
        return plain | {name: plain[name] if math.isfinite(plain[name]) else None for name in SCORE_NUMBERS}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Score":
        """The score that `to_dict` wrote."""
        numbers = {name: math.nan if plain[name] is None else plain[name] for name in SCORE_NUMBERS}
        return cls(**{**plain, **numbers})


def metric_named(settings: PerformanceSettings, task: str, root: Path = Path()) -> Metric:
    """The metric that performance is judged by, as configured; "auto" is accuracy or MAE.

    `root` is the folder in which the module of `cost_function` is looked for first. Raises
    `UsageError` for a name that is unknown or doesn't fit the task, and for costs that aren't given.
    """
    name = AUTO[task] if settings.metric == "auto" else settings.metric
    fitting = [metric.name for metric in METRICS.values() if task in metric.tasks]
    if name not in METRICS:
        near = difflib.get_close_matches(name, METRICS, 1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise UsageError(f"performance.metric '{name}' is unknown.{hint} For {task} there are: {', '.join(fitting)}.")
    metric = _configured(METRICS[name], settings, root) if name in fitting else METRICS[name]
    if task not in metric.tasks:
        raise UsageError(f"performance.metric '{name}' is not for {task}. Choose one of: {', '.join(fitting)}.")
    return metric


def _configured(metric: Metric, settings: PerformanceSettings, root: Path) -> Metric:
    if metric.name == "pinball":
        losses = measures.pinball_losses(settings.quantile)
        return replace(metric, measure=mean_of(losses), losses=losses)
    if metric.name != "cost":
        return metric
    if bool(settings.cost_matrix) == bool(settings.cost_function):
        raise UsageError(NEEDS_COSTS)
    if settings.cost_matrix:
        losses = costs.matrix_losses(settings.cost_matrix)
        return replace(metric, tasks=("classification",), measure=mean_of(losses), losses=losses)
    function = costs.load_function(settings.cost_function, root)
    return replace(metric, measure=costs.measure_function(function), losses=None)


def sample_rows(y: Any, predictions: Predictions, positive: str | None = None) -> Sample:
    """Labels and predictions as the formulas need them; raises `DataError` for missing or infinite labels."""
    if len(y) != len(predictions):
        raise DataError(f"There are {len(y):,} labels for {len(predictions):,} predictions; expected as many.")
    if len(y) == 0:
        raise DataError("There are no labelled rows to score: expected at least one.")
    if not predictions.classes and predictions.values.dtype.kind == "f":
        return Sample(_numbers(y), predictions.values)
    return _coded(label_text(y), predictions, positive)


def _numbers(y: Any) -> np.ndarray:
    values = np.asarray(y, dtype=np.float64)
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise DataError(
            f"The label is missing or infinite in {bad:,} of {len(values):,} rows; score labelled rows only."
        )
    return values


def _coded(labels: np.ndarray, predictions: Predictions, positive: str | None) -> Sample:
    import pandas

    (truth, present), (answers, given) = pandas.factorize(labels), pandas.factorize(predictions.values)
    missing = int(np.count_nonzero(truth < 0))
    if missing:
        raise DataError(f"The label is missing in {missing:,} of {len(labels):,} rows; score labelled rows only.")
    known = predictions.classes or tuple(sorted({*present, *given}))
    classes = known + tuple(sorted(set(present) - set(known)))
    places = {name: place for place, name in enumerate(classes)}
    truth, predicted = (
        np.array([*(places.get(name, -1) for name in names), -1], np.intp)[codes]  # -1: no answer is never right
        for codes, names in ((truth, present), (answers, given))
    )
    probabilities = _widened(predictions.probabilities, len(classes))
    return Sample(truth, predicted, probabilities, classes, _position(known, positive))


def _widened(probabilities: np.ndarray | None, width: int) -> np.ndarray | None:
    if probabilities is None or probabilities.shape[1] == width:
        return probabilities
    return np.pad(probabilities, ((0, 0), (0, width - probabilities.shape[1])))


def _position(known: tuple[str, ...], positive: str | None) -> int | None:
    if len(known) != 2:
        return None
    return known.index(find_label(positive, known) if positive else sorted(known)[1])


def score(
    metric: Metric,
    y: Any,
    predictions: Predictions,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    positive: str | None = None,
) -> Score:
    """A metric on labelled rows, with its interval.

    Args:
        metric: from `metric_named` or `METRICS`.
        y: (n,) labels, text or float; none missing. For regression in time order, if there is one:
            neighbours that err alike widen the interval (moving blocks).
        predictions: for the same rows.
        confidence: of the two-sided interval.
        seed: for the resamples that a cost function of the user's needs when it gives one number.
        positive: the positive class of a binary target; by default the second in alphabetical order.

    Raises `DataError` for labels that are missing or don't fit the predictions in number. Rows that
    can't tell (one class only, for AUC) give a score that is not `defined`, with the reason.
    """
    return score_sample(metric, sample_rows(y, predictions, positive), confidence, seed)


def score_sample(
    metric: Metric, sample: Sample, confidence: float = 0.95, seed: int = 0, *, ordered: bool = False
) -> Score:
    """`score`, for rows that are coded already.

    `ordered` says that the rows are in time order: then errors that come in runs widen the interval of a classification
    too (moving blocks; what one block tells, the next rows tell again). A regression is always taken in its order.
    """
    found = metric.measure(sample)
    rows = len(sample.truth)
    if not math.isfinite(found.value):
        return Score(metric.name, math.nan, math.nan, math.nan, math.nan, rows, reason=found.reason)
    error = (
        _resampled(metric, sample, seed)
        if found.contributions is None
        else _spread(found.contributions, sample, ordered)
    )
    effective = intervals.equivalent_rows(found.value, error, found.support) if found.support else 0.0
    known = Score(metric.name, found.value, math.nan, math.nan, error, rows, effective)
    low, high = bounds(known, confidence)
    return replace(known, low=low, high=high)


def _spread(contributions: np.ndarray, sample: Sample, ordered: bool) -> float:
    return intervals.spread(contributions, ordered=ordered or not sample.classes)


def _resampled(metric: Metric, sample: Sample, seed: int) -> float:
    random, rows = np.random.default_rng(seed), len(sample.truth)
    values = [metric.measure(sample.take(random.integers(0, rows, rows))).value for _ in range(RESAMPLES)]
    return float(np.std(values, ddof=1))


def bounds(score: Score, confidence: float) -> tuple[float, float]:
    """The two-sided interval of a score at another confidence than the one it was made with."""
    if score.rows == 0:
        return score.value, score.value
    if score.effective_rows:
        return intervals.wilson(score.value, score.effective_rows, confidence)
    return intervals.student(score.value, score.standard_error, score.rows, confidence)


def exact_score(metric: str, value: float) -> Score:
    """A bare number as a score: its sample is unknown, so it counts as exact."""
    return Score(metric, value, value, value, 0.0, 0)


def score_all(
    task: str,
    y: Any,
    predictions: Predictions,
    *,
    settings: PerformanceSettings | None = None,
    root: Path = Path(),
    confidence: float = 0.95,
    seed: int = 0,
    positive: str | None = None,
    ordered: bool = False,
) -> dict[str, Score]:
    """Every metric that applies to the task and that these rows can tell; for a card or a report."""
    settings = (settings or PerformanceSettings()).model_copy(update={"confidence": confidence})
    return score_samples(task, sample_rows(y, predictions, positive), settings, root, seed, ordered=ordered)


def score_samples(
    task: str,
    sample: Sample,
    settings: PerformanceSettings,
    root: Path = Path(),
    seed: int = 0,
    *,
    ordered: bool = False,
) -> dict[str, Score]:
    """`score_all`, for rows that are coded already."""
    given = [_configured(metric, settings, root) for metric in METRICS.values() if _given(metric, settings)]
    found = [
        score_sample(metric, sample, settings.confidence, seed, ordered=ordered)
        for metric in given
        if task in metric.tasks
    ]
    return {score.metric: score for score in found if score.defined}


def _given(metric: Metric, settings: PerformanceSettings) -> bool:
    return metric.name != "cost" or bool(settings.cost_matrix) != bool(settings.cost_function)


def worse_by(metric: Metric, baseline: float, current: float) -> float:
    """How much worse the current score is: positive is worse, negative better.

    A share of the baseline for relative metrics (0.1: the error grew by a tenth), else a difference. A
    baseline of exactly 0 has no shares: then it is the difference.

    >>> round(worse_by(METRICS["accuracy"], 0.9, 0.8), 6), round(worse_by(METRICS["mae"], 10.0, 12.0), 6)
    (0.1, 0.2)
    """
    change = baseline - current if metric.higher_is_better else current - baseline
    return change / abs(baseline) if metric.relative and baseline else change
