"""Metrics of rows whose labels are not known, from the chance of each outcome: exact sums, no simulation.

With p the chance that a row is of the positive class, the expected number of hits among the rows predicted
positive is the sum of their p, and so on for the other three kinds of rows; every metric of a confusion matrix
follows. This is confidence-based performance estimation (CBPE); what differs between the estimates is only
where p comes from. The metrics themselves are those of `evergreen.scoring.metrics`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evergreen.scoring import costs, measures
from evergreen.scoring.measures import Sample
from evergreen.settings import PerformanceSettings

Losses = Callable[[Sample], np.ndarray]
DRAWS = 200  # of labels, where the spread of a metric has no closed form


@dataclass(frozen=True)
class Counts:
    """Expected numbers of rows by truth and prediction."""

    true_positive: float
    false_positive: float
    false_negative: float
    true_negative: float


def expect_counts(chances: np.ndarray, said: np.ndarray) -> Counts:
    """The confusion matrix to expect.

    Args:
        chances: (n,) probability of the positive class, 0 to 1.
        said: (n,) bool, whether the positive class was predicted.

    >>> expect_counts(np.array([0.9, 0.6, 0.2]), np.array([True, True, False]))
    Counts(true_positive=1.5, false_positive=0.5, false_negative=0.2, true_negative=0.8)
    """
    hits, found = float(chances[said].sum()), float(chances[~said].sum())
    return Counts(hits, float(said.sum()) - hits, found, float((~said).sum()) - found)


def expect_auc(chances: np.ndarray, scores: np.ndarray) -> float:
    """Probability that a positive row scores above a negative one; nan when one class has no weight.

    Over the distinct scores s in ascending order, with P(s) and N(s) the positives and negatives to expect
    at s: AUC = Σ P(s)·(Σ over lower scores of N + N(s)/2) / (ΣP·ΣN). Equal to `roc_auc_score` for chances of 0 and 1.
    """
    _, group = np.unique(scores, return_inverse=True)
    positives = np.bincount(group, chances)
    negatives = np.bincount(group, 1 - chances)
    below = np.cumsum(negatives) - negatives / 2
    return _ratio(float(positives @ below), float(positives.sum() * negatives.sum()))


def expect_average_precision(chances: np.ndarray, scores: np.ndarray) -> float:
    """Mean over the positives of the precision at their score, as `average_precision_score`; nan without positives."""
    _, group = np.unique(-scores, return_inverse=True)
    positives = np.bincount(group, chances)
    precisions = np.cumsum(positives) / np.cumsum(np.bincount(group))
    return _ratio(float(positives @ precisions), float(positives.sum()))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def _balanced(counts: Counts) -> float:
    found = _ratio(counts.true_positive, counts.true_positive + counts.false_negative)
    left = _ratio(counts.true_negative, counts.true_negative + counts.false_positive)
    return (found + left) / 2


RATIOS: Mapping[str, Callable[[Counts], float]] = {
    "balanced_accuracy": _balanced,
    "precision": lambda c: _ratio(c.true_positive, c.true_positive + c.false_positive),
    "recall": lambda c: _ratio(c.true_positive, c.true_positive + c.false_negative),
    "f1": lambda c: _ratio(2 * c.true_positive, 2 * c.true_positive + c.false_positive + c.false_negative),
}
RANKS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "roc_auc": expect_auc,
    "pr_auc": expect_average_precision,
}
ROW_LOSSES: Mapping[str, Losses] = {
    "accuracy": measures.misses,
    "log_loss": measures.log_losses,
    "brier": measures.brier_losses,
    "mae": measures.absolute_losses,
    "rmse": measures.squared_losses,
    "mape": lambda rows: measures.absolute_losses(rows) / np.abs(rows.truth),
}


def losses_of(metric: str, settings: PerformanceSettings, root: Path, rows: Sample) -> Losses | None:
    """The loss of each row whose mean the metric is made of; None for a metric that is no mean over rows.

    Accuracy is 1 minus the mean of 0/1 losses, RMSE the root of the mean of squares. Whether a cost function of
    the user's gives a cost per row or one number for all is seen on `rows`, labelled ones.
    """
    if metric == "pinball":
        return measures.pinball_losses(settings.quantile)
    if metric != "cost":
        return ROW_LOSSES.get(metric)
    if settings.cost_matrix:
        return costs.matrix_losses(settings.cost_matrix)
    losses: Any = costs.function_losses(costs.load_function(settings.cost_function, root))
    return losses if isinstance(losses(rows), np.ndarray) else None


def from_mean_loss(metric: str, mean: float) -> float:
    """The metric from the mean of its row losses."""
    if metric == "accuracy":
        return 1 - mean
    return float(np.sqrt(max(mean, 0.0))) if metric == "rmse" else mean


def outcome_losses(losses: Losses, rows: Sample) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each row of a two-class sample if it turns out positive, and if it turns out negative."""
    positive = np.full(len(rows.predicted), rows.positive)
    return losses(replace(rows, truth=positive)), losses(replace(rows, truth=1 - positive))


def measure_chances(metric: str, chances: np.ndarray, rows: Sample, losses: Losses | None) -> float:
    """A metric of two-class rows from their chances to be positive; nan when these rows can't tell.

    >>> rows = Sample(np.zeros(4, int), np.array([1, 1, 0, 0]), classes=("no", "yes"), positive=1)
    >>> chances = np.array([0.9, 0.7, 0.2, 0.4])
    >>> round(measure_chances("accuracy", chances, rows, measures.misses), 3)
    0.75
    >>> round(measure_chances("precision", chances, rows, None), 3)
    0.8
    """
    if losses is not None:
        positive, negative = outcome_losses(losses, rows)
        return from_mean_loss(metric, float(np.mean(chances * positive + (1 - chances) * negative)))
    if metric in RATIOS:
        return RATIOS[metric](expect_counts(chances, rows.predicted == rows.positive))
    assert rows.probabilities is not None and rows.positive is not None
    return RANKS[metric](chances, rows.probabilities[:, rows.positive])


def label_spread(metric: str, chances: np.ndarray, rows: Sample, losses: Losses | None, seed: int) -> float:
    """Standard deviation of a metric because each row's label still falls by chance (Poisson binomial).

    √Σ p(1 − p)·(l₁ − l₀)² / n for means of row losses, where l₁ and l₀ are the losses of a row if it turns out
    positive or negative; for other metrics from 200 draws of the labels.
    """
    if losses is not None:
        positive, negative = outcome_losses(losses, rows)
        return float(np.sqrt(np.sum(chances * (1 - chances) * (positive - negative) ** 2))) / len(chances)
    random = np.random.default_rng(seed)
    drawn = [(random.random(len(chances)) < chances).astype(np.float64) for _ in range(DRAWS)]
    values = np.array([measure_chances(metric, labels, rows, losses) for labels in drawn])
    return float(np.nanstd(values))
