"""What a model says about rows, checked and in one form, whatever library the model comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evergreen.data.labels import label_text
from evergreen.errors import DataError

# Probabilities are sums of floats of the library's own width (float32 in XGBoost); further out is a fault.
ROUNDING = 1e-3


@dataclass(frozen=True)
class Predictions:
    """The answers of one model for n rows.

    Attributes:
        values: (n,) predicted class as text (`evergreen.data.labels.label_text`), or float64 for regression.
        probabilities: (n, k) float64, a column per class in the order of `classes`; None when the model
            gives none, and for regression.
        classes: the k classes the model knows, as text; empty for regression.
    """

    values: np.ndarray
    probabilities: np.ndarray | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: np.ndarray) -> "Predictions":
        """The predictions of some rows, by number or mask."""
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Predictions(self.values[rows], probabilities, self.classes)


def predict(
    model: Any, features: Any, task: str, classes: Sequence[str] = (), *, probabilities: bool = True
) -> Predictions:
    """Let a model with scikit-learn's interface answer for all rows, and check its answers.

    Args:
        model: has `predict`; for classification probabilities are taken where it has `predict_proba`.
        features: (n, features) frame or array, in the form the model was trained with.
        task: "classification" or "regression".
        classes: the classes the answers must come from, as text; by default the model's own.
        probabilities: False where only the answers are wanted: it takes half the time.

    Raises `DataError` when the model fails on the rows, or answers with another number of rows, with
    values that are missing or not finite, or with classes that aren't known.
    """
    rows = len(features)
    if rows == 0:
        raise DataError("There are no rows to predict: expected at least one.")
    if probabilities and task == "classification":
        model, features = _prepare(model, features, rows)
    answers = _flat(_ask(model.predict, features, rows), rows)
    if task == "regression":
        return Predictions(_finite(answers))
    known = tuple(classes) or tuple(label_text(getattr(model, "classes_", [])))
    values = label_text(answers)
    known = known or tuple(sorted({text for text in values if text is not None}))
    _check_classes(values, known)
    return Predictions(values, _probabilities(model, features, rows, known) if probabilities else None, known)


def _prepare(model: Any, features: Any, rows: int) -> tuple[Any, Any]:
    """The end of a pipeline of scikit-learn and the rows as they come to it: prepared once, asked twice."""
    if not hasattr(model, "predict_proba"):
        return model, features
    from sklearn.pipeline import Pipeline

    if type(model) is not Pipeline or len(model) < 2:
        return model, features
    return model[-1], _run(model[:-1].transform, features, rows)


def _ask(method: Any, features: Any, rows: int) -> np.ndarray:
    return np.asarray(_run(method, features, rows))


def _run(method: Any, features: Any, rows: int) -> Any:
    try:
        return method(features)
    except Exception as error:
        # Any library may fail in any way here; the rows are what it failed on, so it is reported as such.
        raise DataError(
            f"The model failed on {rows:,} rows in {method.__name__}: {type(error).__name__}: {error}"
        ) from error


def _flat(answers: np.ndarray, rows: int) -> np.ndarray:
    flat = answers[:, 0] if answers.ndim == 2 and answers.shape[1] == 1 else answers
    if flat.shape != (rows,):
        raise DataError(f"The model answered with shape {answers.shape} to {rows:,} rows; expected ({rows},).")
    return flat


def _finite(answers: np.ndarray) -> np.ndarray:
    try:
        values = answers.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(f"The model answered with {answers.dtype} values; expected numbers.") from None
    bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if bad.size:
        raise DataError(
            f"The model's prediction is not a finite number in {bad.size:,} of {len(values):,} rows "
            f"(first: row {bad[0]}, {values[bad[0]]})."
        )
    return values


def _check_classes(values: np.ndarray, known: tuple[str, ...]) -> None:
    unknown = sorted({str(text) for text in set(values) - set(known)})
    if unknown:
        raise DataError(
            f"The model predicted {', '.join(map(repr, unknown[:10]))}; "
            f"expected one of its classes {', '.join(map(repr, known[:20]))}."
        )


def _probabilities(model: Any, features: Any, rows: int, known: tuple[str, ...]) -> np.ndarray | None:
    if not hasattr(model, "predict_proba"):
        return None
    own = tuple(label_text(getattr(model, "classes_", known)))
    answers = _finite(_ask(model.predict_proba, features, rows))
    if answers.shape != (rows, len(own)):
        raise DataError(f"The model gave probabilities of shape {answers.shape}; expected ({rows}, {len(own)}).")
    if answers.min() < -ROUNDING or np.abs(answers.sum(axis=1) - 1).max() > ROUNDING:
        raise DataError("The model's probabilities must be at least 0 and sum to 1 in every row; they don't.")
    return _in_order(answers, own, known)


def _in_order(probabilities: np.ndarray, own: tuple[str, ...], known: tuple[str, ...]) -> np.ndarray:
    """Columns in the order of the known classes; a class the model never learned has probability 0."""
    if own == known:
        return probabilities
    if not set(own) <= set(known):
        raise DataError(f"The model knows the classes {own}; expected some of {known}.")
    ordered = np.zeros((len(probabilities), len(known)))
    ordered[:, [known.index(name) for name in own]] = probabilities
    return ordered
