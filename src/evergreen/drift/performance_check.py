"""Has a model become worse than a score one knows? The verdict on performance for a notebook."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from evergreen.drift import performance_words as words
from evergreen.drift.performance import judge_performance
from evergreen.errors import UsageError
from evergreen.scoring.metrics import exact_score
from evergreen.scoring.predictions import predict
from evergreen.settings import PerformanceSettings
from evergreen.verdicts import shows_loss


@dataclass(frozen=True)
class PerformanceCheck:
    """What `check_model_performance_drift` found; printing it prints its text.

    Attributes:
        drifted: True or False when that is sure, None when there is not enough evidence.
        verdict, baseline, current, drop, drop_interval, labelled_rows: as in `PerformanceReport`.
        text: the finding in words.
    """

    drifted: bool | None
    verdict: str
    metric: str
    baseline: float
    current: float | None
    drop: float | None
    drop_interval: tuple[float, float] | None
    labelled_rows: int
    text: str

    def __str__(self) -> str:
        return self.text


def check_model_performance_drift(
    model: Any, X_test: Any, y_test: Any, baseline_accuracy: float, threshold: float = 0.05
) -> PerformanceCheck:
    """Has a model become worse than a known score? For a notebook, or any script of one's own.

    Args:
        model: any fitted object with scikit-learn's `predict`.
        X_test: (n, features) frame or array of new rows.
        y_test: (n,) or (n, 1) labels of any type; none missing. With fewer than 50 nothing is judged.
        baseline_accuracy: the score the model had; accuracy for a classifier, R² for a regressor. How
            many rows it was measured on isn't known, so it counts as exact.
        threshold: largest acceptable drop, above 0 and at most 1.

    Raises `UsageError` for a baseline or a threshold that is no share, such as 90 for 90 %.

    >>> from sklearn.dummy import DummyClassifier
    >>> model = DummyClassifier(strategy="constant", constant=1).fit([[0], [0]], [0, 1])
    >>> check = check_model_performance_drift(model, [[0]] * 100, [1.0] * 70 + [0.0] * 30, 0.90)
    >>> check.verdict, check.drifted, round(check.drop, 2)
    ('severe', True, 0.2)
    """
    task, metric = ("regression", "r2") if _predicts_numbers(model, X_test) else ("classification", "accuracy")
    _check_share("baseline_accuracy", baseline_accuracy, -math.inf if task == "regression" else 0)
    _check_share("threshold", threshold, math.ulp(0))
    settings = PerformanceSettings(metric=metric, max_drop=threshold, min_score="off")
    report = judge_performance(
        np.asarray(y_test).ravel(),
        predict(model, X_test, task),
        baseline={metric: exact_score(metric, float(baseline_accuracy))},
        settings=settings,
        task=task,
    )
    drifted = shows_loss(report.verdict)
    return PerformanceCheck(
        drifted,
        report.verdict,
        metric,
        float(baseline_accuracy),
        report.current,
        report.drop,
        report.drop_interval,
        report.labelled_rows,
        words.check_words(report, drifted),
    )


def _check_share(name: str, value: float, low: float) -> None:
    """Raise `UsageError` for what is no number from `low` to 1."""
    if isinstance(value, Real) and low <= value <= 1:
        return
    percent = value if isinstance(value, Real) and 1 < value <= 100 else 5
    raise UsageError(
        f"{name}: expected a share between 0 and 1, found {value!r}; give {percent / 100:g} for {percent:g} %."
    )


def _predicts_numbers(model: Any, X: Any) -> bool:
    """Whether a model is a regressor; told from its answers, as it may come from any library."""
    if hasattr(model, "classes_"):
        return False
    answers = np.asarray(model.predict(X[:100]))
    return answers.dtype.kind == "f" and not np.array_equal(answers, np.round(answers))
