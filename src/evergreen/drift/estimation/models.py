"""Where the chance of an error comes from: trees over the features, or the model's own scores, both calibrated.

Both learn from labelled rows that the model was not trained on, and both are calibrated by isotonic regression,
which can be done again on resampled rows in milliseconds: so the uncertainty of the calibration is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 5
# Small trees: 8 leaves estimate as well as 15 or 31 under every shift we tried, in half of the time.
TREES: dict[str, Any] = {"max_iter": 40, "max_leaf_nodes": 8, "min_samples_leaf": 20, "learning_rate": 0.1}

Columns = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Calibration:
    """A score of labelled rows, what came of them, and the scores of the rows that wait for their label.

    Attributes:
        scores: (n,) of the labelled rows; a larger score means more of `outcomes`.
        outcomes: (n,) 0/1, or a loss.
        weights: (n,) how much each labelled row counts.
        waiting: (k, m) scores of the waiting rows from k versions of the scorer; their outcomes are averaged.
    """

    scores: np.ndarray
    outcomes: np.ndarray
    weights: np.ndarray
    waiting: np.ndarray

    def expect(self, times: np.ndarray | None = None) -> np.ndarray:
        """The outcome to expect of each waiting row, (m,): the isotonic curve read at its scores.

        `times`: (n,) how often each labelled row was drawn, for a refit on resampled rows.
        """
        curve = self._fit(self.weights if times is None else self.weights * times)
        return np.asarray(curve.predict(self.waiting.ravel()).reshape(self.waiting.shape).mean(axis=0))

    def residuals(self) -> np.ndarray:
        """How far the outcomes of the labelled rows lie from the curve, (n,)."""
        return np.asarray(self.outcomes - self._fit(self.weights).predict(self.scores))

    def _fit(self, weights: np.ndarray) -> Any:
        from sklearn.isotonic import IsotonicRegression

        counted = weights > 0
        curve = IsotonicRegression(out_of_bounds="clip")
        return curve.fit(self.scores[counted], self.outcomes[counted], weights[counted])


def fit_error_model(reference: np.ndarray, losses: np.ndarray, current: np.ndarray, seed: int) -> Calibration:
    """Boosted trees that learn the loss of a row from its features and the model's scores, out of fold.

    Each of the five fits scores the rows that it has not seen, and all waiting rows: a curve that holds for the
    ones holds for the others, and no sixth fit is needed.

    Args:
        reference, current: (n, k) and (m, k) float matrices from `encode`; NaN is missing.
        losses: (n,) of the reference rows: 1 for an error and 0 for none, or any loss.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    folds = np.random.default_rng(seed).permutation(len(losses)) % FOLDS
    scores, waiting = np.empty(len(losses)), np.empty((FOLDS, len(current)))
    for fold in range(FOLDS):
        trees = HistGradientBoostingRegressor(**TREES, early_stopping=False, random_state=seed)
        trees.fit(reference[folds != fold], losses[folds != fold])
        scores[folds == fold] = trees.predict(reference[folds == fold])
        waiting[fold] = trees.predict(current)
    return Calibration(scores, losses, np.ones(len(losses)), waiting)


def encode(
    reference: "pd.DataFrame", current: "pd.DataFrame", answers: Sequence[Columns]
) -> tuple[np.ndarray, np.ndarray]:
    """The features and what the model said of each row as float matrices, (n, k) and (m, k), for the trees.

    Categories become their rank in the reference, the most frequent first; missing and new ones are NaN.
    `answers` are pairs of columns, of the reference and of the current rows.
    """
    columns = [*(_encode_column(reference[name], current[name]) for name in reference.columns), *answers]
    before, after = zip(*columns, strict=True)
    return np.column_stack(before).astype(np.float64), np.column_stack(after).astype(np.float64)


def is_number(values: "pd.Series[Any]") -> bool:
    """Whether a column of a conformed frame holds numbers, not categories."""
    return bool(values.dtype.kind in "fiub")


def _encode_column(before: "pd.Series[Any]", after: "pd.Series[Any]") -> Columns:
    if is_number(before):
        return before.to_numpy(np.float64, na_value=np.nan), after.to_numpy(np.float64, na_value=np.nan)
    counts = before.value_counts()
    ranked = sorted(counts.index, key=lambda word: (-counts[word], word))
    codes = {word: float(rank) for rank, word in enumerate(ranked)}
    return before.map(codes).to_numpy(np.float64), after.map(codes).to_numpy(np.float64)
