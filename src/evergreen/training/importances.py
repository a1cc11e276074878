"""Which features a model lives on: what happens to its loss when one of them is shuffled."""

from typing import Any

import numpy as np

from evergreen.data.labels import label_text

MAX_ROWS = 1000  # more would change the shares by less than the shuffling itself does
MAX_CELLS = 1_000_000  # asked about in one go: every question has its price, and many rows cost hardly more than few


def measure_importances(model: Any, features: Any, labels: np.ndarray, task: str, seed: int) -> dict[str, float]:
    """Permutation importances as shares: each ≥ 0, together 1; all 0 when no feature matters.

    The loss is the squared distance of the probabilities from the truth (or the error rate, for models
    without probabilities), for regression the mean absolute error: smooth ones, so that a feature that
    moves no decision by itself still counts. A feature whose shuffling lowers the loss counts 0.
    At most 1000 rows, spread evenly, are used (Breiman 2001; one shuffle per feature).
    """
    import pandas as pd

    rows = np.unique(np.linspace(0, len(features) - 1, MAX_ROWS).astype(np.intp))
    frame, truth = features.iloc[rows].reset_index(drop=True), labels[rows]
    base = _losses(model, frame, truth, task).mean()
    random = np.random.default_rng(seed)
    rises: dict[str, float] = {}
    names, step = list(frame.columns), max(1, MAX_CELLS // frame.size)
    for some in (names[start : start + step] for start in range(0, len(names), step)):
        shuffled = pd.concat(
            [frame.assign(**{name: frame[name].to_numpy()[random.permutation(len(frame))]}) for name in some],
            ignore_index=True,
        )
        losses = _losses(model, shuffled, np.tile(truth, len(some)), task).reshape(len(some), -1)
        rises |= dict(zip(some, np.maximum(0.0, losses.mean(axis=1) - base).tolist(), strict=True))
    total = sum(rises.values())
    return {name: rise / total if total > 0 else 0.0 for name, rise in rises.items()}


def _losses(model: Any, frame: Any, truth: np.ndarray, task: str) -> np.ndarray:
    """What each row costs, shape (rows,)."""
    if task == "regression":
        return np.abs(np.ravel(model.predict(frame)) - truth)
    if hasattr(model, "predict_proba") and hasattr(model, "classes_"):
        hits = label_text(truth)[:, None] == label_text(model.classes_)
        return np.asarray(np.sum((model.predict_proba(frame) - hits) ** 2, axis=1))
    return np.asarray(label_text(np.ravel(model.predict(frame))) != label_text(truth), dtype=float)
