"""Did the labels that came early come from rows like the others?

Fraud that was found, customers who cancelled, patients who returned: such labels arrive first, and a model
judged by them alone looks worse, or better, than it is. The model's own answers show it without labels.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import kolmogorov

from evergreen.scoring.predictions import Predictions

# The distance from which on any other column counts as drifted too.
MIN_KS = 0.10
ALPHA = 0.05


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
