"""Tail probabilities in plain Python: `scipy.special` alone costs 0.15 s at start-up, as long as a whole small check.

Scalars only; a drift check needs a few per column. Held to SciPy's values by the tests.
"""

import math
from statistics import NormalDist


def normal_tail(z: float) -> float:
    """P(|Z| ≥ |z|) of a standard normal Z: the two-sided p-value of a z statistic.

    >>> round(normal_tail(1.96), 4)
    0.05
    """
    return math.erfc(abs(z) / math.sqrt(2))


def normal_quantile(probability: float) -> float:
    """The value a standard normal stays below with this probability, in (0, 1).

    >>> round(normal_quantile(0.975), 2)
    1.96
    """
    return NormalDist().inv_cdf(probability)


def chi2_tail(value: float, freedom: int) -> float:
    """P(X ≥ value) of a chi-square X with whole degrees of freedom ≥ 1.

    The regularised upper gamma function by its recurrence Q(a+1, x) = Q(a, x) + xᵃe⁻ˣ/Γ(a+1), a sum
    of positive terms and so exact to rounding (Abramowitz & Stegun 1964, 6.5.21 and 26.4.4).

    >>> round(chi2_tail(3.841, 1), 3), round(chi2_tail(18.307, 10), 3)
    (0.05, 0.05)
    """
    x = value / 2
    if x <= 0:
        return 1.0
    shape, total = (0.5, math.erfc(math.sqrt(x))) if freedom % 2 else (1.0, math.exp(-x))
    while shape < freedom / 2:
        total += math.exp(shape * math.log(x) - x - math.lgamma(shape + 1))
        shape += 1
    return min(1.0, total)


def t_tail(value: float, freedom: float) -> float:
    """P(T ≥ value) of Student's t with any degrees of freedom > 0: one side.

    Half the regularised incomplete beta function I_x(freedom/2, 1/2) at x = freedom/(freedom + value²).

    >>> round(t_tail(1.8125, 10), 3), round(t_tail(-1.8125, 10), 3)
    (0.05, 0.95)
    """
    if abs(value) < 1e-100:  # 0.5 to within the rounding; its square would be lost
        return 0.5
    if abs(value) > 1e100:
        return float(value < 0)
    square = value * value
    upper = 0.5 * _beta_share(freedom / (freedom + square), square / (freedom + square), freedom / 2, 0.5)
    return upper if value > 0 else 1 - upper


def _beta_share(x: float, rest: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), 0 < x < 1, `rest` being 1 - x without its rounding.

    By its continued fraction, on the side where that converges fast (Numerical Recipes, 3rd ed., 6.4).
    """
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_share(rest, x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    return math.exp(front) * _beta_fraction(x, a, b) / a


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction, from front to back by Lentz's method."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 1000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 / (1 + step * d), 1 + step / c
            value *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return value


def kolmogorov_tail(value: float) -> float:
    """P(K ≥ value) of Kolmogorov's limit distribution, by the series that converges fast on each side of 1.

    >>> round(kolmogorov_tail(1.3581), 4)
    0.05
    """
    if value < 0.05:  # 1 to within 1e-200
        return 1.0
    if value < 1:
        terms = (math.exp(-(((2 * k - 1) * math.pi / value) ** 2) / 8) for k in range(1, 6))
        return 1 - math.sqrt(2 * math.pi) / value * sum(terms)
    return 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * value) ** 2) for k in range(1, 6))


def fisher_tail(hits: int, rows: int, other_hits: int, other_rows: int) -> float:
    """Fisher's exact two-sided p-value for `hits` of `rows` against `other_hits` of `other_rows`.

    The sum of all tables with the same margins that are no more probable than this one. Work grows
    with the smaller of the four margins, so use it where an expected count is small.

    >>> round(fisher_tail(3, 10, 0, 12), 4)
    0.0779
    """
    total, marked = rows + other_rows, hits + other_hits
    lowest, highest = max(0, marked - other_rows), min(rows, marked)

    def log_weight(k: int) -> float:
        return -sum(math.lgamma(n + 1) for n in (k, rows - k, marked - k, other_rows - marked + k))

    constant = sum(math.lgamma(n + 1) for n in (rows, other_rows, marked, total - marked)) - math.lgamma(total + 1)
    observed = log_weight(hits) + 1e-7  # tables as probable as this one count too, rounding aside, as in R and SciPy
    weights = (log_weight(k) for k in range(lowest, highest + 1))
    return min(1.0, math.fsum(math.exp(constant + weight) for weight in weights if weight <= observed))
