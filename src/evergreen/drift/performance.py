"""Has the model become worse? The verdict on labelled rows, by the interval and not by the bare number.

The baseline is the model's score on a time-forward holdout, from its card. A drop is the baseline minus
the current score, oriented so that positive is worse; for metrics without an upper bound (MAE, log loss
...) it is a share of the baseline. With d the drop and l, u its one-sided bounds at `confidence`:

    severe    l > max_drop                  breach   the score is surely beyond the floor
    degraded  l > 0 and d >= max_drop       fine     u < max_drop
    leak      none of these losses, but the evidence of a slow one has reached its limit (`evergreen.drift.leak`)
    else      not enough evidence, with the number of labels that would do

A leak goes before "fine": what is small over the whole window may be large, and growing, in its newest rows.

Intervals: Newcombe's for shares such as accuracy, DeLong's variance for AUC, Welch's for means of losses, wider by
moving blocks where the errors of rows in time order come in runs (`evergreen.scoring.intervals`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.drift import performance_words as words
from evergreen.drift.blocks import BlockScore, score_blocks
from evergreen.drift.label_bias import Reweighted, labels_biased, model_scores, reweigh
from evergreen.drift.leak import Leak, find_leak
from evergreen.scoring import intervals
from evergreen.scoring.metrics import (
    Metric,
    Score,
    bounds,
    metric_named,
    sample_rows,
    score_sample,
    score_samples,
    worse_by,
)
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PerformanceSettings
from evergreen.verdicts import shows_loss

if TYPE_CHECKING:
    from evergreen.data.windows import Maturity
    from evergreen.drift.worst_slices import WorstSlice

AUTO_FLOOR = {"accuracy": 0.80}


@dataclass(frozen=True)
class PerformanceReport:
    """The verdict on a model's performance, with everything it rests on.

    Attributes:
        metric, higher_is_better, relative: what is judged, its direction, and whether drops are shares.
        max_drop: the limit.
        verdict: "severe", "breach", "degraded", "leak", "fine", "not_enough_evidence" or "biased_labels".
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
        leak: evidence of a slow loss; None where the rows have no order, or their losses can't be watched.
        reweighted: the score with the labelled rows weighted to be like all rows; only where labels are biased.
        slices: groups of rows that are surely and materially worse than the others, the worst first.
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
    leak: Leak | None = None
    reweighted: Reweighted | None = None
    slices: "tuple[WorstSlice, ...]" = ()


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
        times: (n,) time or row number of each row, for the blocks of the report; without it the order of the rows
            means nothing: no slow loss is looked for, and no runs of errors.
        maturity: of the window, for its coverage and the reason why newer rows aren't judged yet.
        unlabelled: the model's predictions for the rows of the same mature part that have no label; where
            they differ from the labelled ones the labels are a biased choice and nothing is judged.
        root: folder of the module of `cost_function`.

    Raises `DataError` for missing labels and `UsageError` for a metric that can't be used.
    """
    metric = metric_named(settings, task, root)
    base = baseline.get(metric.name)
    report = _begin(metric, base, len(y), settings)
    report = replace(report, coverage=_coverage(len(y), maturity, unlabelled), baselines=dict(baseline))
    unripe = words.unripe(maturity)
    if len(y) < settings.min_labels:
        reasons = _sentences(words.too_few(len(y), settings.min_labels), unripe)
        return replace(report, reasons=reasons, labels_needed=settings.min_labels - len(y))
    sample, ordered = sample_rows(y, predictions, positive), times is not None
    report = replace(
        report,
        blocks=score_blocks(metric, sample, times, settings, seed),
        scores=score_samples(task, sample, settings, root, seed, ordered=ordered),
    )
    if unlabelled is not None and len(unlabelled):
        bias = labels_biased(model_scores(predictions), model_scores(unlabelled), settings.max_drop)
        if bias.biased:
            weighed = reweigh(metric, baseline, sample, predictions, unlabelled, settings.confidence)
            told = _sentences(words.biased(bias, len(y)), words.reweighted(weighed, settings.confidence), unripe)
            return replace(report, verdict="biased_labels", reasons=told, reweighted=weighed)
    if times is not None:
        report = replace(report, leak=find_leak(metric, baseline, sample, times, settings))
    current = score_sample(metric, sample, settings.confidence, seed, ordered=ordered)
    report = _judge(report, metric, base, current, settings)
    return replace(report, reasons=_sentences(*report.reasons, unripe))


def _begin(metric: Metric, base: Score | None, rows: int, settings: PerformanceSettings) -> PerformanceReport:
    """What is known before anything has been judged."""
    known = base.value if base and base.defined else None
    named = metric.name, metric.higher_is_better, metric.relative
    return PerformanceReport(*named, settings.max_drop, rows, baseline=known)


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
    leaking = report.leak is not None and report.leak.alarm
    verdict = _verdict(drop, surely, settings.max_drop, beyond=beyond, leaking=leaking)
    interval = drop_bounds(metric, base, current, settings.confidence)
    # Twice, because in a comparison both models' scores are uncertain; the lower end, because the loss is too.
    enough = labels_for(metric, base, current, interval[0]) if interval[0] > 0 else None
    report = replace(report, drop=drop, drop_interval=interval, verdict=verdict, rows_to_prove=enough and 2 * enough)
    said = (
        words.drop_words(report, settings.confidence),
        words.verdict_words(verdict, surely, report),
        words.leak_words(report.leak) if report.leak and report.leak.alarm else "",
    )
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


def _verdict(drop: float, surely: tuple[float, float], max_drop: float, *, beyond: bool, leaking: bool) -> str:
    if surely[0] > max_drop:
        return "severe"
    if beyond:
        return "breach"
    if surely[0] > 0 and drop >= max_drop:
        return "degraded"
    if leaking:
        return "leak"
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
    return words.LEAK_DIAGNOSES[drifted] if performance_verdict == "leak" else words.DIAGNOSES[drifted, lost]
