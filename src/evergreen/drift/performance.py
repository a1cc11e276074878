"""Has the model become worse? The verdict on labelled rows, by the interval and not by the bare number.

The baseline is the model's score on a time-forward holdout, from its card. A drop is the baseline minus
the current score, oriented so that positive is worse; for metrics without an upper bound (MAE, log loss
...) it is a share of the baseline. With d the drop and l, u its one-sided bounds at `confidence`:

    severe    l > max_drop                  breach   the score is surely beyond the floor
    degraded  l > 0 and d >= max_drop       fine     u < max_drop
    else      not enough evidence, with the number of labels that would do

Intervals: Newcombe's for shares such as accuracy, DeLong's variance for AUC, Welch's for means of losses,
moving blocks for regression (`evergreen.scoring.intervals`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.drift import performance_words as words
from evergreen.drift.label_bias import labels_biased, model_scores
from evergreen.scoring import intervals
from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import (
    Metric,
    Score,
    bounds,
    exact_score,
    metric_named,
    sample_rows,
    score_sample,
    score_samples,
    worse_by,
)
from evergreen.scoring.predictions import Predictions, predict
from evergreen.settings import PerformanceSettings
from evergreen.verdicts import shows_loss

if TYPE_CHECKING:
    from evergreen.data.windows import Maturity

AUTO_FLOOR = {"accuracy": 0.80}
MAX_BLOCKS = 20


@dataclass(frozen=True)
class BlockScore:
    """The score of one stretch of the labelled rows; `start` and `stop` are its first and last time or row."""

    start: str | int
    stop: str | int
    rows: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PerformanceReport:
    """The verdict on a model's performance, with everything it rests on.

    Attributes:
        metric, higher_is_better, relative: what is judged, its direction, and whether drops are shares.
        max_drop: the limit.
        verdict: "severe", "breach", "degraded", "fine", "not_enough_evidence" or "biased_labels".
        baseline, current: scores of the metric; None when there is none.
        interval: two-sided, of `current`.
        drop, drop_interval: positive is worse; a share of the baseline when `relative`; two-sided.
        rows_to_prove: rows on which a challenger that makes good the loss will surely be seen to; None without a
            clear loss. The larger the loss, the fewer.
        labels_needed: labelled rows still missing to find a drop of the limit with 80 % power; None when
            labels aren't what is missing.
        coverage: share of the judged rows that have a label; None when not known.
        floor: what the score must reach (a ceiling for lower-is-better metrics); None when off.
        blocks: the score over time.
        scores, baselines: every metric these rows can tell, and the baselines of the card.
    """

    metric: str
    higher_is_better: bool
    relative: bool
    max_drop: float
    labelled_rows: int
    verdict: str = "not_enough_evidence"
    reasons: tuple[str, ...] = ()
    baseline: float | None = None
    current: float | None = None
    interval: tuple[float, float] | None = None
    drop: float | None = None
    drop_interval: tuple[float, float] | None = None
    labels_needed: int | None = None
    rows_to_prove: int | None = None
    coverage: float | None = None
    floor: float | None = None
    blocks: tuple[BlockScore, ...] = ()
    scores: dict[str, Score] = field(default_factory=dict)
    baselines: dict[str, Score] = field(default_factory=dict)
    from_labels: bool = True


def judge_performance(
    y: Any,
    predictions: Predictions,
    *,
    baseline: Mapping[str, Score],
    settings: PerformanceSettings,
    task: str,
    positive: str | None = None,
    times: np.ndarray | None = None,
    maturity: "Maturity | None" = None,
    unlabelled: Predictions | None = None,
    root: Path = Path(),
    seed: int = 0,
) -> PerformanceReport:
    """Judge a model on the labelled rows of the mature part of a window.

    Args:
        y: (n,) labels in time order, none missing; text for classification, numbers for regression.
        predictions: of the model for the same rows.
        baseline: the model's scores by metric, from its card.
        times: (n,) time or row number of each row, for the blocks of the report.
        maturity: of the window, for its coverage and the reason why newer rows aren't judged yet.
        unlabelled: the model's predictions for the rows of the same mature part that have no label; where
            they differ from the labelled ones the labels are a biased choice and nothing is judged.
        root: folder of the module of `cost_function`.

    Raises `DataError` for missing labels and `UsageError` for a metric that can't be used.
    """
    metric = metric_named(settings, task, root)
    base = baseline.get(metric.name)
    report = PerformanceReport(
        metric.name,
        metric.higher_is_better,
        metric.relative,
        settings.max_drop,
        len(y),
        baseline=base.value if base and base.defined else None,
        coverage=_coverage(len(y), maturity, unlabelled),
        baselines=dict(baseline),
    )
    unripe = words.unripe(maturity)
    if len(y) < settings.min_labels:
        reasons = _sentences(words.too_few(len(y), settings.min_labels), unripe)
        return replace(report, reasons=reasons, labels_needed=settings.min_labels - len(y))
    sample = sample_rows(y, predictions, positive)
    report = replace(
        report,
        blocks=score_blocks(metric, sample, times, settings, seed),
        scores=score_samples(task, sample, settings, root, seed),
    )
    bias = labels_biased(model_scores(predictions), model_scores(unlabelled), settings.max_drop) if unlabelled else None
    if bias and bias.biased:
        return replace(report, verdict="biased_labels", reasons=_sentences(words.biased(bias, len(y)), unripe))
    report = _judge(report, metric, base, score_sample(metric, sample, settings.confidence, seed), settings)
    return replace(report, reasons=_sentences(*report.reasons, unripe))


def _judge(
    report: PerformanceReport, metric: Metric, base: Score | None, current: Score, settings: PerformanceSettings
) -> PerformanceReport:
    """The verdict, from the baseline and the current score alone."""
    if not current.defined:
        return replace(report, reasons=(f"{metric.name} is not defined: {current.reason}.",))
    floor = floor_for(metric, base, settings)
    report = replace(report, current=current.value, interval=(current.low, current.high), floor=floor)
    surely = bounds(current, _one_sided(settings.confidence))
    beyond = floor is not None and _beyond(metric, surely, floor)
    note = "" if floor is None else words.floor_words(current, floor, surely, metric.higher_is_better)
    if base is None or not base.defined:
        verdict = "breach" if beyond else "not_enough_evidence"
        return replace(report, verdict=verdict, reasons=_sentences(words.no_baseline(current), note))
    if floor is None and settings.min_score == "auto" and metric.name in AUTO_FLOOR:
        note = words.no_floor(base)
    report = _judge_drop(report, metric, base, current, settings, beyond=beyond)
    return replace(report, reasons=_sentences(*report.reasons, note))


def _judge_drop(
    report: PerformanceReport,
    metric: Metric,
    base: Score,
    current: Score,
    settings: PerformanceSettings,
    *,
    beyond: bool,
) -> PerformanceReport:
    drop = worse_by(metric, base.value, current.value)
    surely = drop_bounds(metric, base, current, _one_sided(settings.confidence))
    verdict = _verdict(drop, surely, beyond, settings.max_drop)
    interval = drop_bounds(metric, base, current, settings.confidence)
    # Twice, because in a comparison both models' scores are uncertain; the lower end, because the loss is too.
    enough = labels_for(metric, base, current, interval[0]) if interval[0] > 0 else None
    report = replace(report, drop=drop, drop_interval=interval, verdict=verdict, rows_to_prove=enough and 2 * enough)
    said = words.drop_words(report, settings.confidence), words.verdict_words(verdict, surely, report)
    if verdict != "not_enough_evidence":
        return replace(report, reasons=_sentences(*said))
    needed = labels_for(metric, base, current, settings.max_drop)
    missing = needed - current.rows if needed is not None and needed > current.rows else None
    return replace(report, labels_needed=missing, reasons=_sentences(*said, words.missing_words(needed, report, base)))


def _one_sided(confidence: float) -> float:
    """The confidence of the two-sided interval whose ends are one-sided bounds: 0.90 for 0.95."""
    return max(2 * confidence - 1, 0.0)


def _sentences(*parts: str) -> tuple[str, ...]:
    return tuple(part for part in parts if part)


def _verdict(drop: float, surely: tuple[float, float], beyond: bool, max_drop: float) -> str:
    if surely[0] > max_drop:
        return "severe"
    if beyond:
        return "breach"
    if surely[0] > 0 and drop >= max_drop:
        return "degraded"
    return "fine" if surely[1] < max_drop else "not_enough_evidence"


def floor_for(metric: Metric, base: Score | None, settings: PerformanceSettings) -> float | None:
    """The absolute floor (a ceiling for lower-is-better metrics) that applies to this model, if any.

    "auto" is 0.80 for accuracy, and only for a model whose own baseline cleared it: a model that was
    let in below it would be in breach from its first day.
    """
    if settings.min_score == "auto":
        usual = AUTO_FLOOR.get(metric.name)
        cleared = usual is not None and base is not None and base.value >= usual
        return usual if cleared else None
    return None if settings.min_score == "off" else settings.min_score


def _beyond(metric: Metric, surely: tuple[float, float], floor: float) -> bool:
    return surely[1] < floor if metric.higher_is_better else surely[0] > floor


def drop_bounds(metric: Metric, base: Score, current: Score, confidence: float) -> tuple[float, float]:
    """Two-sided interval of `worse_by`, both scores being uncertain.

    For a relative metric, (c − b) / b has the error of c and that of b times c/b (delta method).
    """
    base_bounds, current_bounds = bounds(base, confidence), bounds(current, confidence)
    if metric.higher_is_better:
        return intervals.difference(base.value, base_bounds, current.value, current_bounds)
    relative = metric.relative and base.value != 0
    ratio = abs(current.value / base.value) if relative else 1.0
    low, high = (base.value + ratio * (end - base.value) for end in base_bounds)
    ends = intervals.difference(current.value, current_bounds, base.value, (low, high))
    unit = abs(base.value) if relative else 1.0
    return ends[0] / unit, ends[1] / unit


def labels_for(metric: Metric, base: Score, current: Score, max_drop: float) -> int | None:
    """Labelled rows at which a drop of `max_drop` is found; None when the baseline is too small for any."""
    if current.effective_rows:
        # Expect what is being looked for: a score that lies max_drop below the baseline.
        expected = min(max(base.value - max_drop, 0.0), 1.0)
        variance = expected * (1 - expected) * current.rows / current.effective_rows
        return intervals.labels_needed(variance, base.standard_error, max_drop)
    drop = max_drop * abs(base.value) if metric.relative and base.value else max_drop
    return intervals.labels_needed(current.standard_error**2 * current.rows, base.standard_error, drop)


def score_blocks(
    metric: Metric, sample: Sample, times: np.ndarray | None, settings: PerformanceSettings, seed: int = 0
) -> tuple[BlockScore, ...]:
    """The score over time: at most 20 blocks of equally many rows, at least `min_labels` in each."""
    rows = len(sample.truth)
    keys = np.arange(rows) if times is None else np.asarray(times)
    parts = np.array_split(np.arange(rows), max(1, min(MAX_BLOCKS, rows // settings.min_labels)))
    scored = [(part, score_sample(metric, sample.take(part), settings.confidence, seed)) for part in parts]
    return tuple(
        BlockScore(_plain(keys[part[0]]), _plain(keys[part[-1]]), len(part), found.value, found.low, found.high)
        for part, found in scored
        if found.defined
    )


def _plain(key: Any) -> str | int:
    if isinstance(key, np.datetime64):
        return str(np.datetime_as_string(key, unit="s"))
    return int(key) if isinstance(key, int | np.integer) else key.isoformat()


def _coverage(labelled: int, maturity: "Maturity | None", unlabelled: Predictions | None) -> float | None:
    if maturity is not None:
        return maturity.coverage
    return None if unlabelled is None else labelled / max(labelled + len(unlabelled), 1)


def diagnose(drifted: bool | None, performance_verdict: str | None) -> str:
    """The four-way diagnosis in words, from the verdict on the data and the one on the performance.

    Args:
        drifted: None when there was not enough evidence on the data.
        performance_verdict: of a `PerformanceReport`; None when there are no labels.

    >>> diagnose(False, "severe")
    'Loss without drift: the same inputs have other outcomes now (concept change). Retrain on the newest data.'
    """
    lost = shows_loss(performance_verdict)
    if drifted is None or lost is None:
        return words.undiagnosed(drifted, lost)
    return words.DIAGNOSES[drifted, lost]


@dataclass(frozen=True)
class PerformanceCheck:
    """What `check_model_performance_drift` found; printing it prints its text.

    Attributes:
        drifted: True or False when that is sure, None when there is not enough evidence.
        verdict, baseline, current, drop, drop_interval, labelled_rows: as in `PerformanceReport`.
        text: the finding in words.
    """

    drifted: bool | None
    verdict: str
    metric: str
    baseline: float
    current: float | None
    drop: float | None
    drop_interval: tuple[float, float] | None
    labelled_rows: int
    text: str

    def __str__(self) -> str:
        return self.text


def check_model_performance_drift(
    model: Any, X_test: Any, y_test: Any, baseline_accuracy: float, threshold: float = 0.05
) -> PerformanceCheck:
    """Has a model become worse than a known score? For a notebook, or any script of one's own.

    Args:
        model: any fitted object with scikit-learn's `predict`.
        X_test: (n, features) frame or array of new rows.
        y_test: (n,) or (n, 1) labels of any type; none missing. With fewer than 50 nothing is judged.
        baseline_accuracy: the score the model had; accuracy for a classifier, R² for a regressor. How
            many rows it was measured on isn't known, so it counts as exact.
        threshold: largest acceptable drop.

    >>> from sklearn.dummy import DummyClassifier
    >>> model = DummyClassifier(strategy="constant", constant=1).fit([[0], [0]], [0, 1])
    >>> check = check_model_performance_drift(model, [[0]] * 100, [1.0] * 70 + [0.0] * 30, 0.90)
    >>> check.verdict, check.drifted, round(check.drop, 2)
    ('severe', True, 0.2)
    """
    task, metric = ("regression", "r2") if _predicts_numbers(model, X_test) else ("classification", "accuracy")
    settings = PerformanceSettings(metric=metric, max_drop=threshold, min_score="off")
    report = judge_performance(
        np.asarray(y_test).ravel(),
        predict(model, X_test, task),
        baseline={metric: exact_score(metric, float(baseline_accuracy))},
        settings=settings,
        task=task,
    )
    drifted = shows_loss(report.verdict)
    return PerformanceCheck(
        drifted,
        report.verdict,
        metric,
        float(baseline_accuracy),
        report.current,
        report.drop,
        report.drop_interval,
        report.labelled_rows,
        words.check_words(report, drifted),
    )


def _predicts_numbers(model: Any, X: Any) -> bool:
    """Whether a model is a regressor; told from its answers, as it may come from any library."""
    if hasattr(model, "classes_"):
        return False
    answers = np.asarray(model.predict(X[:100]))
    return answers.dtype.kind == "f" and not np.array_equal(answers, np.round(answers))
