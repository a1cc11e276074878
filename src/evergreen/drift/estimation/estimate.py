"""What is the model probably worth on rows whose labels have not come?

1. Labelled rows that the model was not trained on (its holdout) teach an *error model*: boosted trees that tell
   from the features and the model's own scores how likely a row is to be answered wrongly, or how large its loss is.
2. *PAPE* (Białek et al. 2024): the model's scores, calibrated on the labelled rows after each was weighted by how
   much more frequent rows like it are now. Without weights that is *CBPE*, shown for comparison.
3. The estimate is the mean of error model and PAPE. For regression there is the error model alone.
4. Its band: ±√(1.96²·(chance of the labels² + error of the calibrations²) + (usual error of past estimates)²).
5. It counts only if earlier estimates have proved right (`track`) and the rows are like the labelled ones (`support`).

What no such method sees is a change of the outcomes themselves, and the text always says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.data.windows import thin
from evergreen.drift.estimation import words
from evergreen.drift.estimation.methods import (
    Question,
    fit_methods,
    headline,
    measure_methods,
    spread_by_labels,
    spread_by_refits,
)
from evergreen.drift.estimation.sums import losses_of
from evergreen.drift.estimation.support import find_support
from evergreen.drift.estimation.track import MIN_WINDOWS, ScoredEstimate, Track, judge_track, unit_of
from evergreen.scoring.metrics import METRICS, Metric, metric_named, sample_rows, worse_by
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PerformanceSettings

if TYPE_CHECKING:
    import pandas as pd

MIN_REFERENCE = 1500  # labelled rows; with 500 nothing beats "as good as before" reliably
MAX_ROWS = 10_000  # of each side: the chance of the labels then moves an accuracy by less than a point
MAX_OUTSIDE = 0.05
DISAGREEMENT = 0.02  # between the methods; of the baseline for relative metrics
Z = 1.96  # of two-sided 95 %


@dataclass(frozen=True)
class Estimate:
    """What the model is probably worth on rows without labels, and whether that counts.

    Attributes:
        verdict: "estimated_drop" or "no_drop" when the estimate is relied on; "unproven" while too few earlier
            ones could be held against labels, "unreliable" when these were wrong; without an estimate
            "outside_known_data" or "not_enough_evidence".
        baseline: the metric on the labelled rows.
        value, band: the estimate and how far it may be off, both ways.
        drop: positive is worse; a share of the baseline when `relative`.
        error_model, pape, cbpe: what each method says; `value` is the mean of the first two.
        carried: the metric on the newest labelled rows, as many as are estimated: the rival of the estimate.
        rows, start, stop: the rows without labels, first and last by time or number.
        outside: share of them that lies outside the known data; None when that was not looked at.
        model: digest of the model, where it is one of the store's.
        content: digest of the rows, where their numbers don't tell which they are.
    """

    metric: str
    higher_is_better: bool
    relative: bool
    max_drop: float
    track: Track
    rows: int
    verdict: str = "not_enough_evidence"
    reasons: tuple[str, ...] = ()
    baseline: float | None = None
    value: float | None = None
    band: tuple[float, float] | None = None
    drop: float | None = None
    error_model: float | None = None
    pape: float | None = None
    cbpe: float | None = None
    carried: float | None = None
    outside: float | None = None
    start: str | int | None = None
    stop: str | int | None = None
    model: str = ""
    content: str = ""

    @property
    def methods_disagree(self) -> bool:
        """Whether the two methods are more than 2 points apart."""
        if self.error_model is None or self.pape is None or self.baseline is None:
            return False
        return abs(self.error_model - self.pape) > DISAGREEMENT * unit_of(self.metric, self.baseline)

    def to_dict(self) -> dict[str, Any]:
        """For the drift document."""
        track = self.track
        names = ("verdict", "metric", "baseline", "value", "drop", "error_model", "pape", "cbpe", "rows", "outside")
        more = ("carried", "model", "content", "max_drop", "methods_disagree")
        return {name: getattr(self, name) for name in (*names, *more)} | {
            "band": list(self.band) if self.band else None,
            "from": self.start,
            "to": self.stop,
            "track": {
                "windows": track.windows,
                "error": track.error,
                "carried_error": track.carried_error,
                "reliable": track.reliable,
            },
            "reasons": list(self.reasons),
        }


def estimate_performance(
    reference: "pd.DataFrame",
    reference_answers: Predictions,
    labels: Any,
    current: "pd.DataFrame",
    current_answers: Predictions,
    *,
    settings: PerformanceSettings,
    task: str,
    positive: str | None = None,
    track: Sequence[ScoredEstimate] = (),
    carried: float | None = None,
    baseline: float | None = None,
    root: Path = Path(),
    seed: int = 0,
) -> Estimate:
    """Estimate the metric of `settings` on rows without labels.

    Args:
        reference: (n, k) labelled rows that the model was not trained on, in time order, as the model sees them
            (`evergreen.data.schema.conform`); at least 1500, of which 10,000 evenly spread ones are used.
        labels: (n,) their labels, none missing.
        current: (m, k) rows to estimate for, in the same columns; at least `performance.min_labels`.
        reference_answers, current_answers: what the model says of both.
        track: earlier estimates whose labels have come, oldest first.
        carried: the metric on the newest labelled rows; by default on the last m rows of the reference.
        baseline: what the drop is counted from; by default the metric on the reference.
        root: folder of the module of `cost_function`.

    Raises `UsageError` for a metric that can't be used.
    """
    metric = metric_named(settings, task, root)
    found = _begin(metric, settings, len(current_answers), track)
    if len(current_answers) < settings.min_labels:
        return _refuse(found, words.few_rows_words(len(current_answers), settings.min_labels))
    if len(labels) < MIN_REFERENCE:
        return _refuse(found, words.few_labels_words(len(labels), MIN_REFERENCE))
    if carried is None:
        carried = score_newest(metric, labels, reference_answers, len(current_answers), positive)
    kept, asked = (thin(len(frame), MAX_ROWS, seed) for frame in (reference, current))
    reference, current = (
        frame.iloc[rows].reset_index(drop=True) for frame, rows in ((reference, kept), (current, asked))
    )
    known = sample_rows(np.asarray(labels)[kept], reference_answers.take(kept), positive)
    said = current_answers.take(asked)
    waiting = sample_rows(said.values, said, positive)
    base = metric.measure(known)
    if not np.isfinite(base.value):
        return _refuse(found, words.unfit_words(metric.name, base.reason))
    found = replace(found, baseline=base.value if baseline is None else baseline, carried=carried)
    question = Question(metric.name, losses_of(metric.name, settings, root, known), known, waiting)
    if question.unfit:
        return _refuse(found, words.unfit_words(metric.name, question.unfit))
    return _judge(_estimate(found, question, reference, current, seed), metric)


def no_estimate(
    settings: PerformanceSettings, task: str, rows: int, why: str, track: Sequence[ScoredEstimate], root: Path
) -> Estimate:
    """For rows that can't be estimated at all, because there are no labelled rows to learn from."""
    return _refuse(_begin(metric_named(settings, task, root), settings, rows, track), words.no_labels_words(why))


def _begin(metric: Metric, settings: PerformanceSettings, rows: int, track: Sequence[ScoredEstimate]) -> Estimate:
    record = judge_track(track, metric.name, settings.max_drop)
    return Estimate(metric.name, metric.higher_is_better, metric.relative, settings.max_drop, record, rows)


def score_newest(metric: Metric, labels: Any, answers: Predictions, rows: int, positive: str | None) -> float | None:
    """The metric on the newest labelled rows, at most so many: what to say when one knows no better."""
    newest = slice(max(0, len(labels) - rows), None)
    value = metric.measure(sample_rows(labels[newest], answers.take(np.arange(len(labels))[newest]), positive)).value
    return value if np.isfinite(value) else None


def _refuse(found: Estimate, why: str, verdict: str = "not_enough_evidence") -> Estimate:
    return replace(found, verdict=verdict, reasons=(why,))


def _estimate(
    found: Estimate, question: Question, reference: "pd.DataFrame", current: "pd.DataFrame", seed: int
) -> Estimate:
    """The numbers: how the rows lie to the labelled ones, the methods, the band."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="openmp"):  # with so few rows threads would wait for each other
        support = find_support(reference, current, seed)
        found = replace(found, outside=support.outside)
        if support.outside > MAX_OUTSIDE:
            why = words.outside_words(support.outside, MAX_OUTSIDE, support.columns)
            return _refuse(found, why, "outside_known_data")
        methods = fit_methods(question, reference, current, support.ratios, seed)
    values = measure_methods(question, methods)
    value = headline(values)
    if not np.isfinite(value):
        return _refuse(found, words.unfit_words(found.metric, "the rows without labels can't tell it"))
    assert found.baseline is not None
    usual = found.track.usual_error * unit_of(found.metric, found.baseline)
    by_chance = spread_by_labels(question, methods, seed), spread_by_refits(question, methods, seed)
    half = float(np.hypot(Z * np.hypot(*by_chance), usual))
    return replace(
        found,
        value=value,
        band=_band(question, value, half),
        error_model=values["error_model"],
        pape=values.get("pape"),
        cbpe=values.get("cbpe"),
    )


def _band(question: Question, value: float, half: float) -> tuple[float, float]:
    """Both ends, within what the metric can be."""
    metric = METRICS[question.metric]
    low = value - half if metric.name == "cost" else max(0.0, value - half)
    return low, min(1.0, value + half) if metric.higher_is_better else value + half


def _judge(found: Estimate, metric: Metric) -> Estimate:
    """The verdict: a drop only where the record is good and even the good end of the band lies beyond the limit."""
    if found.value is None or found.band is None or found.baseline is None:
        return found
    at_best = worse_by(metric, found.baseline, found.band[1 if metric.higher_is_better else 0])
    verdict = "estimated_drop" if at_best >= found.max_drop else "no_drop"
    if not found.track.reliable:
        verdict = "unproven" if found.track.windows < MIN_WINDOWS else "unreliable"
    found = replace(found, verdict=verdict, drop=worse_by(metric, found.baseline, found.value))
    said = words.estimate_words(found), words.disagree_words(found), words.verdict_words(found), words.BLIND
    return replace(found, reasons=tuple(sentence for sentence in said if sentence))
