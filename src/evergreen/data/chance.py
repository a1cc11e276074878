"""How likely chance alone brings about what was counted, in plain Python."""

import math


def binomial_tail(count: int, rows: int, share: float) -> float:
    """P(X ≥ count) of the number X of hits among `rows` rows, each a hit with probability `share`.

    Summed from the largest term on; held to SciPy's values by the tests.

    >>> round(binomial_tail(3, 10, 0.1), 4)
    0.0702
    """
    if count <= 0 or share >= 1:
        return 1.0
    if count > rows or share <= 0:
        return 0.0
    if count > rows * share:
        return _sum_terms(count, rows, share, 1)
    return 1 - _sum_terms(count - 1, rows, share, -1)


def _sum_terms(first: int, rows: int, share: float, step: int) -> float:
    """The probabilities from `first` hits on, upwards or downwards, where each is smaller than the one before."""
    odds = share / (1 - share)
    weight = math.lgamma(rows + 1) - math.lgamma(first + 1) - math.lgamma(rows - first + 1)
    term = math.exp(weight + first * math.log(share) + (rows - first) * math.log1p(-share))
    total, hits = 0.0, first
    while term > total * 1e-16 and 0 <= hits <= rows:
        total += term
        term *= (rows - hits) / (hits + 1) * odds if step > 0 else hits / (rows - hits + 1) / odds
        hits += step
    return total


def is_surely_more(count: int, rows: int, expected: float, level: float, limit: float) -> bool:
    """Whether a share reaches its limit and is not a chance result where `expected` is the true share."""
    return count > 0 and count / rows >= limit and binomial_tail(count, rows, min(expected, 1.0)) < level
