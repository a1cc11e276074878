"""What a challenger has to show before it may go live: the safety gates, the floor, and the comparison."""

import pickle
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evergreen.data.batches import Batch
from evergreen.data.rows import digest_rows
from evergreen.data.schema import Contract, conform
from evergreen.scoring.metrics import Metric, Score, metric_named, score, score_all
from evergreen.scoring.predictions import predict
from evergreen.settings import Settings
from evergreen.training.comparison import Comparison, Contender, compare_models
from evergreen.training.fitting import Fitted, Workshop
from evergreen.training.gates import Gate, floor_gate, run_gates, score_constant
from evergreen.training.prepare import Material

GOLDEN_ROWS = 20


@dataclass(frozen=True)
class OpenedModel:
    """A model that may be asked: its digest, the estimator, and what it expects of a table."""

    digest: str
    estimator: Any
    contract: Contract

    def answer(self, rows: Batch, task: str) -> Contender:
        """Its answers for some rows, now, with the identity of both."""
        features = conform(rows.frame, self.contract)
        answers = predict(self.estimator, features, task, self.contract.classes)
        return Contender(self.digest, answers, digest_rows(rows.frame))


@dataclass(frozen=True)
class Examination:
    """What a challenger has shown on the holdout.

    `answers` is None when it could not even be opened; `comparison` is None when there was nothing to
    compare; `seconds` is what scoring took.
    """

    gates: tuple[Gate, ...]
    answers: Contender | None = None
    scores: Mapping[str, Score] | None = None
    comparison: Comparison | None = None
    seconds: float = 0.0


def examine(
    fitted: Fitted,
    material: Material,
    settings: Settings,
    champion: OpenedModel | None,
    *,
    candidates: int = 1,
    workshop: Workshop | None = None,
) -> Examination:
    """Gates first, then the scores on the holdout and the floor, then the comparison, if there is a champion.

    Args:
        candidates: challengers that were tried on this very holdout, this one among them.
        workshop: that which made the challenger; the gates, which ask a fresh process, can't open what comes from one.
    """
    metric = metric_named(settings.performance, material.task, settings.root)
    gates = () if workshop else check_safety(fitted.pickle, material, settings)
    if not all(gate.passed for gate in gates):
        return Examination(gates)
    started = time.perf_counter()
    # The bytes are those our own child made a moment ago and the gates have opened: trusted from here on.
    challenger = OpenedModel(fitted.digest, pickle.loads(fitted.pickle), material.contract)
    answers = challenger.answer(material.holdout, material.task)
    scores = score_answers(answers, material, settings)
    gates = (*gates, _judge_floor(metric, answers, scores, material, settings))
    comparison = None
    if champion is not None and gates[-1].passed:
        comparison = compare(
            champion.answer(material.holdout, material.task),
            answers,
            material.holdout,
            settings,
            metric,
            candidates=candidates,
            leaked_rows=material.leaked,
        )
    return Examination(gates, answers, scores, comparison, time.perf_counter() - started)


def check_safety(content: bytes, material: Material, settings: Settings) -> tuple[Gate, ...]:
    """The gates that every pickle has to pass, asked about a few rows of the holdout."""
    metric = metric_named(settings.performance, material.task, settings.root)
    golden = conform(material.holdout.frame.head(GOLDEN_ROWS), material.contract)
    return run_gates(content, golden, material.contract, settings.promotion, metric, root=settings.root)


def score_answers(answers: Contender, material: Material, settings: Settings) -> dict[str, Score]:
    """Every score that the holdout can tell of these answers, with its interval: the baseline of a card."""
    return score_all(
        material.task,
        material.holdout.labels,
        answers.predictions,
        settings=settings.performance,
        root=settings.root,
        confidence=settings.performance.confidence,
        positive=settings.data.positive or None,
        ordered=True,
    )


def compare(
    champion: Contender,
    challenger: Contender,
    rows: Batch,
    settings: Settings,
    metric: Metric,
    *,
    candidates: int = 1,
    leaked_rows: int = 0,
) -> Comparison:
    """Both models' answers for the same rows, judged by the rules of `promotion`."""
    data = settings.data
    aside = {data.target, data.time, *data.identifiers}
    return compare_models(
        champion,
        challenger,
        rows.labels,
        metric,
        settings.promotion_rules,
        frame=rows.frame.drop(columns=aside.intersection(rows.frame.columns)),
        candidates=candidates,
        seed=settings.training.seed,
        positive=data.positive or None,
        leaked_rows=leaked_rows,
    )


def _judge_floor(
    metric: Metric, answers: Contender, scores: Mapping[str, Score], material: Material, settings: Settings
) -> Gate:
    holdout, positive = material.holdout, settings.data.positive or None
    trivial = score_constant(metric, holdout.labels, material.task, material.contract.classes, positive)
    # A metric that these rows can't tell is not among the scores; asked alone it says why.
    found = scores.get(metric.name) or score(metric, holdout.labels, answers.predictions, positive=positive)
    wished = settings.performance.min_score
    floor = wished if isinstance(wished, float) else None
    return floor_gate(found, metric, trivial, floor, ranking=scores.get("roc_auc"))
