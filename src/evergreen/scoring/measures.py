"""The formulas of the metrics: labels and predictions in, value and contributions of the rows out.

Equal to scikit-learn's of the same name (a test holds it to 1e-12). Where scikit-learn warns and
answers 0, or raises, because a batch can't tell (no positives, one class, a true value of 0 for MAPE),
the answer here is "not defined", with the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evergreen.scoring.intervals import auc_contributions

CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Sample:
    """Labels and predictions of the same n rows, coded once for all metrics.

    Attributes:
        truth, predicted: (n,) position in `classes` for classification, float64 for regression.
        probabilities: (n, len(classes)) or None; a class only seen in the labels has probability 0.
        classes: the model's classes as text, then those only seen in the labels.
        positive: position of the positive class when the model knows two classes, else None.
    """

    truth: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    positive: int | None = None

    def take(self, rows: np.ndarray) -> "Sample":
        """Some of the rows, by number."""
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Sample(self.truth[rows], self.predicted[rows], probabilities, self.classes, self.positive)


@dataclass(frozen=True)
class Measurement:
    """A metric on a sample.

    Attributes:
        value: the score; nan when the rows can't tell, and then `reason` says why.
        contributions: (n,) share of each row in the error of the value; None when not known.
        support: the number of rows that bear the score, where it lies between 0 and 1; else 0.
    """

    value: float
    contributions: np.ndarray | None = None
    support: float = 0.0
    reason: str = ""


Measure = Callable[[Sample], Measurement]


def undefined(reason: str) -> Measurement:
    """The rows can't tell, and why."""
    return Measurement(float("nan"), reason=reason)


def mean_of(losses: Callable[[Sample], np.ndarray]) -> Measure:
    """A metric that is the mean of a loss per row."""

    def measure(sample: Sample) -> Measurement:
        values = losses(sample)
        n = len(values)
        mean = float(values.mean())
        return Measurement(mean, (values - mean) / np.sqrt(n * max(n - 1, 1)))

    return measure


def _one_class(sample: Sample) -> Measurement:
    return undefined(f"all {len(sample.truth):,} rows are of class {sample.classes[int(sample.truth[0])]!r}")


# Losses of single rows


def misses(sample: Sample) -> np.ndarray:
    """1 where the prediction is wrong, else 0."""
    return (sample.truth != sample.predicted).astype(np.float64)


def log_losses(sample: Sample) -> np.ndarray:
    """−ln of the probability given to the true class, which counts as at least 2.2e-16."""
    return -np.log(np.clip(_probability_of_truth(sample), np.finfo(np.float64).eps, 1.0))


def brier_losses(sample: Sample) -> np.ndarray:
    """Squared distance of the probabilities from the truth; for two classes that of the positive class."""
    assert sample.probabilities is not None
    squares = np.sum(sample.probabilities**2, axis=1) - 2 * _probability_of_truth(sample) + 1
    return squares / 2 if sample.positive is not None and len(sample.classes) == 2 else squares


def absolute_losses(sample: Sample) -> np.ndarray:
    """|y − prediction|, in the unit of the target."""
    return np.abs(sample.truth - sample.predicted)


def squared_losses(sample: Sample) -> np.ndarray:
    """(y − prediction)²."""
    return (sample.truth - sample.predicted) ** 2


def pinball_losses(quantile: float) -> Callable[[Sample], np.ndarray]:
    """Loss of a predicted quantile: q·(y − p) where y is above the prediction p, else (1 − q)·(p − y)."""

    def losses(sample: Sample) -> np.ndarray:
        above = sample.truth - sample.predicted
        return np.where(above >= 0, quantile * above, (quantile - 1) * above)

    return losses


def _probability_of_truth(sample: Sample) -> np.ndarray:
    assert sample.probabilities is not None
    return sample.probabilities[np.arange(len(sample.truth)), sample.truth]


# Classification, from the predicted class


def accuracy(sample: Sample) -> Measurement:
    """Share of rows predicted right."""
    hits = 1 - misses(sample)
    value = float(hits.mean())
    return Measurement(value, (hits - value) / len(hits), float(len(hits)))


def balanced_accuracy(sample: Sample) -> Measurement:
    """Mean over the classes of the share predicted right."""
    present = np.unique(sample.truth)
    if len(present) == 1 and len(sample.classes) > 1:
        return _one_class(sample)
    return _mean_ratio(sample, present, RECALL)


def recall(sample: Sample) -> Measurement:
    """Share of the positives that was found; for more than two classes the mean over classes."""
    return _ratio(sample, RECALL, "no row is of class {}")


def precision(sample: Sample) -> Measurement:
    """Share of the predicted positives that is positive; for more than two classes the mean over classes."""
    return _ratio(sample, PRECISION, "no row was predicted as class {}")


def f1(sample: Sample) -> Measurement:
    """Harmonic mean of precision and recall; for more than two classes the mean over classes."""
    return _ratio(sample, F1, "no row is of class {} or was predicted so")


# A class counts its hits among `a` times the rows that are of it and `b` times those predicted as it.
RECALL, PRECISION, F1 = (1.0, 0.0), (0.0, 1.0), (0.5, 0.5)


def _ratio(sample: Sample, among: tuple[float, float], reason: str) -> Measurement:
    if sample.positive is None:
        return _mean_ratio(sample, np.union1d(sample.truth, sample.predicted), among)
    found = _mean_ratio(sample, np.array([sample.positive]), among)
    return found if found.support else undefined(reason.format(repr(sample.classes[sample.positive])))


def _mean_ratio(sample: Sample, classes: np.ndarray, among: tuple[float, float]) -> Measurement:
    """Mean over classes of hits / (a·true + b·said), a class with nothing to hit counting 0 (delta method).

    The contribution of a row depends only on its class and its prediction, so it is worked out once for
    each pair of them.
    """
    (a, b), k = among, len(sample.classes)
    table = np.bincount(sample.truth * k + sample.predicted, minlength=k * k).reshape(k, k).astype(np.float64)
    hits, true, said = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    possible = a * true + b * said
    told = np.isin(np.arange(k), classes) & (possible > 0)
    scale = np.divide(1.0, possible, out=np.zeros(k), where=told)
    ratios = hits * scale
    shares = np.diag(scale) - a * (ratios * scale)[:, None] - b * (ratios * scale)[None, :]
    # What bears a ratio. For F1 = 2J / (1 + J), J hits among the union, n rows of the union count as up to 2n.
    bearing = (a > 0) * true + (b > 0) * said
    support = told.sum() ** 2 / np.sum(1 / bearing[told]) if told.any() else 0.0
    contributions = shares[sample.truth, sample.predicted] / len(classes)
    return Measurement(float(ratios.sum() / len(classes)), contributions, float(support))


# Classification, from the probabilities


def roc_auc(sample: Sample) -> Measurement:
    """Probability that a positive row scores above a negative one; one against the rest, mean over classes."""
    return _one_against_rest(sample, auc_contributions, _auc_support)


def pr_auc(sample: Sample) -> Measurement:
    """Average precision: mean over the positives of the precision at their score; mean over classes."""
    return _one_against_rest(sample, _average_precision, lambda positive: float(positive.sum()))


def _auc_support(positive: np.ndarray) -> float:
    share = float(positive.mean())
    return 4 * len(positive) * share * (1 - share)


def _one_against_rest(
    sample: Sample,
    value_of: Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]],
    support_of: Callable[[np.ndarray], float],
) -> Measurement:
    assert sample.probabilities is not None
    counts = np.bincount(sample.truth, minlength=len(sample.classes))
    wanted = range(len(sample.classes)) if sample.positive is None else [sample.positive]
    told = [k for k in wanted if 0 < counts[k] < len(sample.truth)]
    if not told:
        return _one_class(sample)
    masks = [sample.truth == k for k in told]
    parts = [value_of(mask, sample.probabilities[:, k]) for k, mask in zip(told, masks, strict=True)]
    support = len(told) ** 2 / sum(1 / support_of(mask) for mask in masks)
    return Measurement(
        float(np.mean([value for value, _ in parts])), np.mean([shares for _, shares in parts], axis=0), support
    )


def calibration_error(sample: Sample) -> float:
    """Expected calibration error in [0, 1]: how far the predicted class is from being right as often as was said.

    The rows are cut by that probability into 10 bins of equal width; |share right − mean probability| is averaged
    over the rows (Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017).

    >>> sure = np.array([[0.1, 0.9]] * 10)
    >>> round(calibration_error(Sample(np.array([1] * 7 + [0] * 3), np.ones(10, int), sure, ("no", "yes"), 1)), 3)
    0.2
    """
    assert sample.probabilities is not None
    said = sample.probabilities[np.arange(len(sample.truth)), sample.predicted]
    bins = np.minimum((said * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    right = (sample.truth == sample.predicted) - said
    return float(np.abs(np.bincount(bins, weights=right, minlength=CALIBRATION_BINS)).sum() / len(said))


def _average_precision(positive: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """Average precision and contributions: the derivative of AP with respect to the weight of each row.

    With T(s) the rows at or above score s, P(s) the positives among them and p = P/T, a row j of class
    y adds (y·(p_j − AP) + Σ over positives i at or below s_j of (y − p_i)/T_i) / positives.
    """
    order = np.argsort(-scores, kind="stable")
    hits, ordered = positive[order].astype(np.float64), scores[order]
    stops = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    group = np.searchsorted(stops, np.arange(len(hits)))
    above = (stops + 1).astype(np.float64)
    found = np.cumsum(hits)[stops]
    precisions = found / above
    positives = np.diff(found, prepend=0.0)
    value = float(np.sum(positives * precisions) / found[-1])
    below = _sums_from(positives / above)
    weighed = _sums_from(positives * precisions / above)
    shares = np.empty(len(hits))
    shares[order] = (hits * (precisions[group] - value + below[group]) - weighed[group]) / found[-1]
    return value, shares


def _sums_from(values: np.ndarray) -> np.ndarray:
    return np.cumsum(values[::-1])[::-1]


# Regression


def rmse(sample: Sample) -> Measurement:
    """Root of the mean squared error, in the unit of the target."""
    squares = mean_of(squared_losses)(sample)
    assert squares.contributions is not None
    value = float(np.sqrt(squares.value))
    return Measurement(value, squares.contributions / (2 * value) if value > 0 else squares.contributions)


def r2(sample: Sample) -> Measurement:
    """Share of the target's variance that is explained: 1 is perfect, 0 as good as the batch's mean."""
    around = (sample.truth - sample.truth.mean()) ** 2
    total = float(around.sum())
    if total == 0:
        return undefined(f"the target is {sample.truth[0]:g} in all {len(sample.truth):,} rows")
    squares = squared_losses(sample)
    missed = float(squares.sum()) / total
    return Measurement(1 - missed, (missed * around - squares) / total)


def mape(sample: Sample) -> Measurement:
    """Mean of |y − prediction| / |y|, a share: 0.1 is 10 %. Not defined when a true value is 0."""
    zeros = int(np.count_nonzero(sample.truth == 0))
    if zeros:
        return undefined(f"the target is 0 in {zeros:,} of {len(sample.truth):,} rows; choose mae")
    return mean_of(lambda rows: absolute_losses(rows) / np.abs(rows.truth))(sample)
