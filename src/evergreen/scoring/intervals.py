"""How sure a score is: intervals for one score, for a difference of two, and the labels it takes.

Every metric is reduced to its value and the *contribution* of each row to its error (its influence,
divided by n), so that the variance is the sum of the squared contributions. For a mean that is the
textbook variance, for AUC it is DeLong's, for ratios such as F1 the delta method. What lies between 0
and 1 then gets a Wilson interval at the number of independent rows that this variance amounts to; all
else gets a t interval. Nothing here draws random numbers.
"""

import math

import numpy as np
from scipy.special import ndtri, stdtrit

# One-sided 95 % certainty, found with 80 % power: 1.645 + 0.842.
FOUND = 2.487


def wilson(value: float, rows: float, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided Wilson score interval of a proportion (Wilson 1927); sound for few rows and at 0 and 1.

    >>> low, high = wilson(0.85, 100)
    >>> round(low, 4), round(high, 4)
    (0.7672, 0.9069)
    """
    if rows <= 0:
        return 0.0, 1.0
    z2 = float(ndtri(0.5 + confidence / 2)) ** 2
    middle = (value + z2 / (2 * rows)) / (1 + z2 / rows)
    half = math.sqrt(z2 * (value * (1 - value) / rows + z2 / (4 * rows * rows))) / (1 + z2 / rows)
    # Rounding must push no bound across the value, nor out of 0 to 1.
    return max(0.0, min(value, middle - half)), min(1.0, max(value, middle + half))


def student(value: float, standard_error: float, rows: float, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided t interval of a mean of `rows` independent rows."""
    half = float(stdtrit(max(rows - 1, 1), 0.5 + confidence / 2)) * standard_error
    return value - half, value + half


def difference(
    first: float, first_bounds: tuple[float, float], second: float, second_bounds: tuple[float, float]
) -> tuple[float, float]:
    """Interval of first − second, two independent scores with intervals of the same confidence.

    With Wilson bounds this is Newcombe's hybrid score interval (Newcombe 1998, method 10), with
    normal bounds it is the usual one; in general the method of variance estimates recovery (Zou and
    Donner 2008).

    >>> low, high = difference(0.9, wilson(0.9, 100), 0.8, wilson(0.8, 100))
    >>> round(low, 4), round(high, 4)
    (0.0001, 0.1995)
    """
    (first_low, first_high), (second_low, second_high) = first_bounds, second_bounds
    change = first - second
    return (
        change - math.hypot(first - first_low, second_high - second),
        change + math.hypot(first_high - first, second - second_low),
    )


def spread(contributions: np.ndarray, ordered: bool = False) -> float:
    """Standard error from the contributions of the rows, (n,) float, mean 0.

    With `ordered` the rows are in time order and may resemble their neighbours: then it is the
    standard error that a moving-block bootstrap (Künsch 1989) converges to, in closed form, with a
    block length chosen from the data; without such resemblance it is the plain one.
    """
    plain = float(np.sum(contributions**2))
    length = block_length(contributions) if ordered else 1
    if length <= 1 or plain == 0:
        return math.sqrt(plain)
    totals = np.cumsum(np.concatenate([[0.0], contributions]))
    blocks = totals[length:] - totals[:-length]
    blocked = len(contributions) / length * float(np.mean((blocks - blocks.mean()) ** 2))
    return math.sqrt(max(plain, blocked))


def block_length(contributions: np.ndarray) -> int:
    """Rows in a moving block: (√6·ρ / (1 − ρ²))^⅔ · n^⅓ with ρ the correlation of neighbours.

    The best length for a first-order autoregression (Carlstein 1986); at most a tenth of the rows.
    """
    n = len(contributions)
    centred = contributions - contributions.mean()
    total = float(np.sum(centred**2))
    if n < 20 or total == 0:
        return 1
    neighbours = min(max(float(np.sum(centred[1:] * centred[:-1])) / total, 0.0), 0.99)
    length = (math.sqrt(6) * neighbours / (1 - neighbours**2)) ** (2 / 3) * n ** (1 / 3)
    return min(max(1, math.ceil(length - 0.5)), n // 10)


def equivalent_rows(value: float, standard_error: float, support: float) -> float:
    """How many independent yes/no rows give a score in [0, 1] this standard error: value·(1 − value)/se².

    Never more than `support`, the rows that could have told (all positives for recall, say): a score of
    1 on five positives has no spread at all and is still known only as well as five rows tell.
    """
    if standard_error == 0:
        return support
    return min(value * (1 - value) / standard_error**2, support)


def auc_contributions(positive: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """ROC AUC and the contribution of each row to its error, in O(n log n).

    The squared contributions sum to DeLong's variance; the squared differences of two models'
    contributions on the same rows sum to the variance of their difference (DeLong et al. 1988, in
    the rank form of Sun and Xu 2014). Ties count a half.

    Args:
        positive: (n,) bool, at least one of each.
        scores: (n,) float, large means positive.
    """
    m, n = int(positive.sum()), int((~positive).sum())
    ranks = average_ranks(scores)
    within = np.empty(len(scores))
    within[positive] = average_ranks(scores[positive])
    within[~positive] = average_ranks(scores[~positive])
    auc = (ranks[positive].sum() - m * (m + 1) / 2) / (m * n)
    placements = np.where(positive, (ranks - within) / n, 1 - (ranks - within) / m)
    weights = np.where(positive, math.sqrt(m * max(m - 1, 1)), math.sqrt(n * max(n - 1, 1)))
    return float(auc), (placements - auc) / weights


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties share their average."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    stops = np.append(starts[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + stops + 1) / 2, stops - starts)
    return ranks


def labels_needed(variance: float, baseline_error: float, drop: float) -> int | None:
    """Labelled rows at which a loss of `drop` is found with 80 % power at one-sided 95 %.

    n = variance / ((drop / 2.487)² − se₀²) with the variance of one row and the standard error of the
    baseline; None when the baseline itself is known too badly for any number of labels to do.

    >>> labels_needed(0.2 * 0.8, 0.008, 0.05)
    471
    >>> labels_needed(0.2 * 0.8, 0.008, 0.01) is None
    True
    """
    room = (drop / FOUND) ** 2 - baseline_error**2
    return math.ceil(variance / room) if room > 0 else None
