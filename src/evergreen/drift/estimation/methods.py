"""The three estimates of one metric, each a calibration of its own, and how sure their mean is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evergreen.drift.estimation.models import Calibration, encode, fit_error_model
from evergreen.drift.estimation.sums import Losses, from_mean_loss, label_spread, measure_chances
from evergreen.scoring import measures
from evergreen.scoring.measures import Sample

if TYPE_CHECKING:
    import pandas as pd

REFITS = 30
HEADLINE = ("error_model", "pape")  # whose mean is the estimate; for regression there is only the first


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of the rows without labels, coded once for all methods.

    Attributes:
        losses: whose mean the metric is made of; None for metrics that are no mean over rows.
        known, waiting: labelled rows, and those without labels, whose `truth` means nothing.
    """

    metric: str
    losses: Losses | None
    known: Sample
    waiting: Sample

    @property
    def two_classes(self) -> bool:
        """Whether a row's chance to be positive tells everything about it."""
        return self.known.positive is not None

    @property
    def unfit(self) -> str:
        """Why the metric can't be estimated; empty when it can."""
        if self.two_classes:
            return ""
        if self.known.classes:
            return "" if self.metric == "accuracy" else "with more than two classes only the accuracy can be"
        return "" if self.losses else "it is no mean of a loss of each row"

    def measure(self, expected: np.ndarray) -> float:
        """The metric, from each waiting row's chance to be positive or, without two classes, its expected loss."""
        if self.two_classes:
            return measure_chances(self.metric, expected, self.waiting, self.losses)
        return from_mean_loss(self.metric, float(expected.mean()))


def fit_methods(
    question: Question, reference: "pd.DataFrame", current: "pd.DataFrame", ratios: np.ndarray, seed: int
) -> dict[str, Calibration]:
    """The error model and, for classification, PAPE and CBPE.

    `ratios`: (n,) how many times as frequent rows like each labelled row are now.
    """
    known, waiting = question.known, question.waiting
    answers = list(zip(_answer_columns(known), _answer_columns(waiting), strict=True))
    before, after = encode(reference, current, answers)
    if not known.classes:
        assert question.losses is not None
        return {"error_model": fit_error_model(before, question.losses(known), after, seed)}
    misses = measures.misses(known)
    outcomes = (known.truth == known.positive).astype(np.float64) if question.two_classes else misses
    scores, asked = _scores(known), _scores(waiting)[None]
    return {
        "error_model": fit_error_model(before, misses, after, seed),
        "pape": Calibration(scores, outcomes, ratios, asked),
        "cbpe": Calibration(scores, outcomes, np.ones(len(scores)), asked),
    }


def _answer_columns(rows: Sample) -> list[np.ndarray]:
    """What the model said, as columns for the trees."""
    if rows.probabilities is None or rows.positive is not None:
        return [_scores(rows) if rows.positive is not None else rows.predicted]
    return [rows.predicted, -_scores(rows)]


def _scores(rows: Sample) -> np.ndarray:
    """What PAPE calibrates: the positive class's probability, or how unsure the model is of what it said."""
    if rows.positive is not None:
        said = (rows.predicted == rows.positive).astype(np.float64)
        return said if rows.probabilities is None else rows.probabilities[:, rows.positive]
    if rows.probabilities is None:
        return np.zeros(len(rows.predicted))
    return -rows.probabilities.max(axis=1)


def expect(question: Question, name: str, method: Calibration, times: np.ndarray | None = None) -> np.ndarray:
    """What a method expects of each waiting row, as `Question.measure` wants it."""
    expected = method.expect(times)
    if name == "error_model" and question.two_classes:
        said = question.waiting.predicted == question.waiting.positive
        return np.where(said, 1 - expected, expected)
    return expected


def measure_methods(question: Question, methods: Mapping[str, Calibration]) -> dict[str, float]:
    """The metric by each method."""
    return {name: question.measure(expect(question, name, method)) for name, method in methods.items()}


def headline(values: Mapping[str, float]) -> float:
    """The estimate: the mean of error model and PAPE."""
    return float(np.mean([values[name] for name in HEADLINE if name in values]))


def spread_by_labels(question: Question, methods: Mapping[str, Calibration], seed: int) -> float:
    """Standard deviation of the metric because the labels fall by chance, whatever the estimate is worth."""
    counted = {name: methods[name] for name in HEADLINE if name in methods}
    expected = np.mean([expect(question, name, method) for name, method in counted.items()], axis=0)
    if question.two_classes:
        return label_spread(question.metric, expected, question.waiting, question.losses, seed)
    if question.known.classes:
        return float(np.sqrt(np.sum(expected * (1 - expected)))) / len(expected)
    spread = float(np.std(methods["error_model"].residuals())) / np.sqrt(len(expected))
    mean = from_mean_loss(question.metric, float(expected.mean()))
    return spread / (2 * mean) if question.metric == "rmse" and mean > 0 else spread


def spread_by_refits(question: Question, methods: Mapping[str, Calibration], seed: int) -> float:
    """Standard deviation of the estimate because other labelled rows would calibrate otherwise: 30 resamplings."""
    random, rows = np.random.default_rng(seed), len(question.known.predicted)
    values = [
        _refit(question, methods, np.bincount(random.integers(0, rows, rows), minlength=rows)) for _ in range(REFITS)
    ]
    return float(np.nanstd(values, ddof=1))


def _refit(question: Question, methods: Mapping[str, Calibration], times: np.ndarray) -> float:
    return headline(
        {
            name: question.measure(expect(question, name, method, times))
            for name, method in methods.items()
            if name in HEADLINE
        }
    )
