"""Many tests at once: p-values adjusted so that one level holds for all of them together."""

from collections.abc import Sequence

import numpy as np


def adjust_p_values(p_values: Sequence[float], correction: str) -> np.ndarray:
    """The adjusted p-values in the order given; significant are those at or below the level of the whole family.

    `bh` (Benjamini & Hochberg 1995) bounds the share of false findings, `holm` (1979) and `bonferroni`
    the chance of any; where nothing has drifted all three bound the chance of any alarm. `none` leaves them.

    Args:
        p_values: shape `(n_tests,)`, in [0, 1], without NaN; may be empty.

    >>> adjust_p_values([0.01, 0.04, 0.03], "bh").round(3).tolist()
    [0.03, 0.04, 0.04]
    >>> adjust_p_values([0.01, 0.04, 0.03], "holm").round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    tests = len(p)
    if correction == "none" or tests == 0:
        return p
    if correction == "bonferroni":
        return np.minimum(1, p * tests)
    order = np.argsort(p, kind="stable")
    ranks = np.arange(1, tests + 1)
    if correction == "bh":
        stepped = np.minimum.accumulate((p[order] * tests / ranks)[::-1])[::-1]
    else:
        stepped = np.maximum.accumulate(p[order] * (tests - ranks + 1))
    adjusted = np.empty(tests)
    adjusted[order] = np.minimum(1, stepped)
    return adjusted
