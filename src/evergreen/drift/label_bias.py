"""Did the labels that came early come from rows like the others?

Fraud that was found, customers who cancelled, patients who returned: such labels arrive first, and a model
judged by them alone looks worse, or better, than it is. The model's own answers show it without labels. Then nothing
is judged; what the score would be if the labelled rows were like all rows is shown.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import kolmogorov

from evergreen.scoring import intervals
from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import Metric, Score, row_losses
from evergreen.scoring.predictions import Predictions

# The distance from which on any other column counts as drifted too.
MIN_KS = 0.10
ALPHA = 0.05
STRATA = 10
MIN_STRATUM = 10  # labelled rows, on average


@dataclass(frozen=True)
class LabelBias:
    """How much the model's answers differ between rows that have their label and rows that wait for it.

    Attributes:
        ks: largest Kolmogorov-Smirnov distance over the model's scores, 0 (alike) to 1.
        threshold: from which on it is material.
        p_value: of the distance, corrected for the number of scores.
        unlabelled_share: of all rows.
        biased: material, significant, and enough rows without a label to matter.
    """

    ks: float
    threshold: float
    p_value: float
    unlabelled_share: float
    biased: bool


def labels_biased(labelled: np.ndarray, unlabelled: np.ndarray, max_drop: float = 0.05) -> LabelBias:
    """Compare the model's scores on labelled and unlabelled rows of one window.

    With an unlabelled share below `max_drop` the labels count as sound however they were chosen: that few
    rows can't hide a larger change of a score between 0 and 1, and labels that never come (a cancelled
    order) must not silence the verdict for ever.

    Args:
        labelled, unlabelled: (n,) or (n, k) scores, as `model_scores` gives them; at least one row each.
    """
    first, second = (np.atleast_2d(scores.T) for scores in (labelled, unlabelled))
    n, m = first.shape[1], second.shape[1]
    ks = max(ks_distance(a, b) for a, b in zip(first, second, strict=True))
    p_value = min(1.0, len(first) * float(kolmogorov(math.sqrt(n * m / (n + m)) * ks)))
    share = m / (n + m)
    return LabelBias(ks, MIN_KS, p_value, share, ks >= MIN_KS and p_value < ALPHA and share >= max_drop)


def chosen_with_bias(answers: Predictions, labelled: np.ndarray, stretch: np.ndarray, max_drop: float) -> bool:
    """Whether the labelled rows of a stretch are another choice than those that wait, by what a model says of them.

    Args:
        answers: of the model for all rows.
        labelled, stretch: (n,) bool, which rows have their label, and which are looked at.
    """
    judged, waiting = stretch & labelled, stretch & ~labelled
    if not judged.any() or not waiting.any():
        return False
    return labels_biased(model_scores(answers.take(judged)), model_scores(answers.take(waiting)), max_drop).biased


def model_scores(predictions: Predictions) -> np.ndarray:
    """What a model says of rows as numbers, (n,) or (n, k): probabilities, predicted values, or class indicators."""
    if not predictions.classes:
        return predictions.values
    scores = predictions.probabilities
    if scores is None:
        scores = (predictions.values[:, None] == np.array(predictions.classes, dtype=object)).astype(np.float64)
    return scores[:, 1] if scores.shape[1] == 2 else scores


def ks_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Largest distance between the shares of two samples at or below a value, 0 to 1; ties are exact."""
    values = np.concatenate([first, second])
    below = [np.searchsorted(np.sort(sample), values, side="right") / len(sample) for sample in (first, second)]
    return float(np.abs(below[0] - below[1]).max())


@dataclass(frozen=True)
class Reweighted:
    """A score as it would be if the labelled rows were like all rows of the window in what the model says of them.

    It corrects what the model's answers show of the choice, and nothing else: so it is shown and not judged.

    Attributes:
        metric: a mean over rows: the one performance is judged by, or else accuracy or mae.
        value, interval: weighted, with a two-sided interval that is the wider, the more few rows stand for many.
        baseline: of this metric, from the card; None when it has none.
        effective_rows: as many rows chosen at random would weigh as much.
    """

    metric: str
    value: float
    interval: tuple[float, float]
    baseline: float | None
    effective_rows: float


def reweigh(
    metric: Metric,
    baseline: Mapping[str, Score],
    sample: Sample,
    labelled: Predictions,
    unlabelled: Predictions,
    confidence: float,
) -> Reweighted:
    """Post-stratification: each group of labelled rows with like scores counts by its share of all rows.

    There are 10 groups (with more than two classes 10 for each), and fewer where labels are few.

    Args:
        sample: the labelled rows, coded.
        labelled, unlabelled: what the model says of the rows with and without a label.

    None where rows have no loss of their own (a cost function that gives one number).
    """
    shown, losses = row_losses(metric, sample)
    strata = STRATA * (len(labelled.classes) if len(labelled.classes) > 2 else 1)
    group, weights = _strata(_order_of(labelled), _order_of(unlabelled), strata)
    counts = np.bincount(group)
    means = np.bincount(group, losses) / counts
    row_weights = weights[group] / counts[group]
    value = float(weights @ means)
    # The variance of each group's mean, from the spread within it: n / (n − 1) for the mean that was fitted.
    within = row_weights * (losses - means[group]) * np.sqrt(counts / np.maximum(counts - 1, 1))[group]
    rows = 1 / float(np.sum(row_weights**2))
    error = intervals.spread(within)
    value = 1 - value if shown.higher_is_better else value
    if shown.relative:
        interval = intervals.student(value, error, rows, confidence)
    else:
        interval = intervals.wilson(value, intervals.equivalent_rows(value, error, rows), confidence)
    base = baseline.get(shown.name)
    return Reweighted(shown.name, value, interval, base.value if base and base.defined else None, rows)


def _strata(labelled: np.ndarray, unlabelled: np.ndarray, strata: int) -> tuple[np.ndarray, np.ndarray]:
    """The group of each labelled row, and the share of all rows in each group; every group has labelled rows."""
    strata = max(1, min(strata, len(labelled) // MIN_STRATUM))
    edges = np.unique(np.quantile(labelled, np.arange(1, strata) / strata, method="lower"))
    group, others = (np.searchsorted(edges, scores, "left") for scores in (labelled, unlabelled))
    found, group = np.unique(group, return_inverse=True)
    # Without ties there is no empty group; with them a group may have no label, and its rows join the next one.
    others = np.minimum(np.searchsorted(found, others), len(found) - 1)
    counts = np.bincount(group, minlength=len(found)) + np.bincount(others, minlength=len(found))
    return group, counts / counts.sum()


def _order_of(predictions: Predictions) -> np.ndarray:
    """One number per row that puts rows of which the model says the same next to each other.

    The score where there is one; with more classes the predicted class, and within it how sure the model is.
    """
    scores = model_scores(predictions)
    return scores if scores.ndim == 1 else scores.argmax(axis=1) + scores.max(axis=1) / 2
