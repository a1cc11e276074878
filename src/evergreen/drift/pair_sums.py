"""Sums over the rows in which both columns of a pair have a value, and the correlations that they give."""

import numpy as np

LEAST_VARIANCE = 1e-6  # of scores in hundredths; below is rounding


def sum_pairs(scores: np.ndarray) -> list[np.ndarray]:
    """For each pair of columns the counts, sums, squares and products, shape `(k, k)` each, float64.

    Args:
        scores: shape `(n_rows, k)`, whole numbers as float64, NaN for missing: their sums are exact in any order.
    """
    there = ~np.isnan(scores)
    if there.all():
        ones = np.ones((1, scores.shape[1]))
        sums, squares = (part.sum(axis=0)[:, None] * ones for part in (scores, scores**2))
        return [np.full_like(sums, len(scores)), sums, squares, scores.T @ scores]
    present, filled = there.astype(np.float64), np.where(there, scores, 0.0)
    return [present.T @ present, filled.T @ present, (filled**2).T @ present, filled.T @ filled]


def correlate(counts: np.ndarray, sums: np.ndarray, squares: np.ndarray, products: np.ndarray) -> np.ndarray:
    """The correlation of each pair, shape `(k, k)`; NaN where a column does not vary."""
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums / counts
        variances = squares / counts - means**2
        found = (products / counts - means * means.T) / np.sqrt(variances * variances.T)
    return np.where((variances > LEAST_VARIANCE) & (variances.T > LEAST_VARIANCE), found, np.nan)
