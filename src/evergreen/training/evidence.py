"""How much better one model is than another on the same rows, and how sure that is.

Accuracy is judged by the exact McNemar test, ROC AUC by DeLong's, everything else by a paired
bootstrap; rows of a regression, which resemble their neighbours in time, are drawn in blocks.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtrc, ndtr, ndtri

from evergreen.scoring.intervals import block_length, spread
from evergreen.scoring.measures import Measurement, Sample
from evergreen.scoring.metrics import Metric, worse_by

RESAMPLES = 4000  # the smallest p-value is 1/4001, below 0.05 over the 20 candidates anyone would try
REFITS = 400  # resamples for costs that are one number for all rows, each of which is computed anew
MAX_BLOCKS = 1000  # more rows than that are drawn in stretches of neighbours


@dataclass(frozen=True)
class Gain:
    """What the challenger gains over the champion.

    Attributes:
        champion, challenger: their scores.
        value: positive is better; a share of the champion's score for relative metrics (0.03: the error
            fell by 3 %), else a difference. nan when the rows can't tell, and then `reason` says why.
        low, high: interval of the gain at the confidence asked for, two-sided.
        standard_error: of the gain.
        p_value: chance of such a gain, or a larger one, if there were none; one-sided.
    """

    champion: float
    challenger: float
    value: float
    low: float = math.nan
    high: float = math.nan
    standard_error: float = math.nan
    p_value: float = math.nan
    reason: str = ""


def measure_gain(metric: Metric, champion: Sample, challenger: Sample, *, confidence: float, seed: int) -> Gain:
    """The gain of the challenger on rows that both have answered for, with its certainty."""
    for name, sample in (("champion", champion), ("challenger", challenger)):
        if metric.needs_probabilities and sample.probabilities is None:
            reason = f"{metric.name} needs probabilities, and the {name} gives none"
            return Gain(math.nan, math.nan, math.nan, reason=reason)
    old, new = metric.measure(champion), metric.measure(challenger)
    if not (math.isfinite(old.value) and math.isfinite(new.value)):
        return Gain(old.value, new.value, math.nan, reason=old.reason or new.reason)
    if metric.name == "accuracy":
        return _by_mcnemar(old, new, champion, challenger, confidence)
    gain = -worse_by(metric, old.value, new.value)
    if old.contributions is None or new.contributions is None:
        drawn = _by_drawing_again(metric, champion, challenger, seed)
        return _from_draws(old.value, new.value, gain, drawn, confidence)
    shares = _contributions(metric, old, new)
    if metric.name == "roc_auc":
        error = spread(shares)
        half = float(ndtri(0.5 + confidence / 2)) * error
        p_value = float(ndtr(-gain / error)) if error > 0 else 1.0
        return Gain(old.value, new.value, gain, gain - half, gain + half, error, p_value)
    drawn = gain + _draw_blocks(shares, seed, ordered=not champion.classes)
    return _from_draws(old.value, new.value, gain, drawn, confidence)


def _by_mcnemar(old: Measurement, new: Measurement, champion: Sample, challenger: Sample, confidence: float) -> Gain:
    """Exact McNemar test (1947) on the rows that only one of the two got right; Bonett and Price's interval (2012)."""
    old_right, new_right = champion.truth == champion.predicted, challenger.truth == challenger.predicted
    n = len(old_right)
    better, worse = int(np.sum(new_right & ~old_right)), int(np.sum(old_right & ~new_right))
    p_value = float(bdtrc(better - 1, better + worse, 0.5)) if better else 1.0
    error = math.sqrt(better + worse - (better - worse) ** 2 / n) / n
    up, down = (better + 1) / (n + 2), (worse + 1) / (n + 2)
    half = float(ndtri(0.5 + confidence / 2)) * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    low, high = max(-1.0, up - down - half), min(1.0, up - down + half)
    return Gain(old.value, new.value, (better - worse) / n, low, high, error, p_value)


def _contributions(metric: Metric, old: Measurement, new: Measurement) -> np.ndarray:
    """Contribution of each row to the error of the gain; for a relative one (new − old)/|old| by the delta method."""
    assert old.contributions is not None and new.contributions is not None
    sign = 1.0 if metric.higher_is_better else -1.0
    if metric.relative and old.value:
        return sign * (new.contributions - new.value / old.value * old.contributions) / abs(old.value)
    return sign * (new.contributions - old.contributions)


def _draw_blocks(shares: np.ndarray, seed: int, *, ordered: bool) -> np.ndarray:
    """Deviations of the gain in bootstrap samples of rows, or of stretches of neighbouring rows.

    The sum of a sample's contributions is the paired bootstrap of the mean for metrics that are means,
    and its linear approximation for the others (Davison and Hinkley 1997, 2.7).
    """
    n = len(shares)
    length = max(block_length(shares) if ordered else 1, math.ceil(n / MAX_BLOCKS))
    totals = np.add.reduceat(shares, np.arange(0, n, length))
    drawn = np.random.default_rng(seed).integers(0, len(totals), (RESAMPLES, len(totals)), dtype=np.int32)
    deviations: np.ndarray = totals[drawn].sum(axis=1) - shares.sum()
    return deviations


def _by_drawing_again(metric: Metric, champion: Sample, challenger: Sample, seed: int) -> np.ndarray:
    """Gains in bootstrap samples of rows, each computed anew: for costs that are one number for all rows."""
    random, n = np.random.default_rng(seed), len(champion.truth)

    def draw() -> float:
        rows = random.integers(0, n, n)
        return -worse_by(metric, metric.measure(champion.take(rows)).value, metric.measure(challenger.take(rows)).value)

    return np.array([draw() for _ in range(REFITS)])


def _from_draws(old: float, new: float, gain: float, drawn: np.ndarray, confidence: float) -> Gain:
    low, high = np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2])
    p_value = (1 + int(np.sum(drawn <= 0))) / (1 + len(drawn))
    return Gain(old, new, gain, float(low), float(high), float(np.std(drawn, ddof=1)), p_value)
