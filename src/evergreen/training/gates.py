"""What every model has to show before anything else is asked: that it can be loaded and answers sanely.

The pickle is opened in a child that has never seen the model, under limits. Whatever a broken model
does there, crash, hang or eat memory, is a gate it did not pass, with the reason, never an error here.
Nothing switches these gates off.
"""

import pickle
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.errors import DataError, TrainingError
from evergreen.scoring.metrics import Metric, Score, sample_rows
from evergreen.scoring.predictions import Predictions, predict
from evergreen.training.children import Limits, run_in_child

if TYPE_CHECKING:
    import pandas

    from evergreen.data.schema import Contract
    from evergreen.settings import PromotionSettings

# A minute is a hundred times what loading and twenty answers take; memory is for a pickle of 500 MB.
GATE_LIMITS = Limits(seconds=60.0, memory_bytes=8 * 2**30)
LATENCY_CALLS = 15  # enough for a steady median, few enough to cost a model of the usual kind a tenth of a second
ROWS_ALONE = 5  # asked one by one: a model that mixes rows does so with the first ones too
SAME_ANSWER = 1e-6  # relative; sums in another order differ by much less, another row's answer by more


@dataclass(frozen=True)
class Gate:
    """One thing a model had to show: what was measured, the limit, and the reason in words."""

    name: str
    passed: bool
    value: float | str | None
    limit: float | str | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Question:
    """What the child asks the model: rows, and what a right kind of answer is."""

    golden: "pandas.DataFrame"
    task: str
    classes: tuple[str, ...]
    probabilities_for: str  # the metric that needs them, "" if none does
    max_latency_ms: float


def run_gates(
    content: bytes,
    golden: "pandas.DataFrame",
    contract: "Contract",
    promotion: "PromotionSettings",
    metric: Metric,
    *,
    root: Path = Path(),
    limits: Limits = GATE_LIMITS,
) -> tuple[Gate, ...]:
    """The gates in order, up to and including the first that failed because the next ones need it.

    size (MB of the pickle) · loads (in a fresh process, and is a model) · answers (one finite answer per
    row, of the known classes; probabilities when the metric needs them) · repeats (the same answer
    again, and for single rows) · latency (median of single rows on one thread, in milliseconds).

    Args:
        content: the pickle.
        golden: (n ≤ 20, features) conformed rows to answer for.
        contract: tells the task, and the classes an answer may be.
        root: where the user's own modules are, for models made of them.
        limits: of the child in which all this happens.
    """
    megabytes = len(content) / 1e6
    size = Gate(
        "size",
        megabytes <= promotion.max_size_mb,
        round(megabytes, 3),
        promotion.max_size_mb,
        f"The pickle has {megabytes:.1f} MB; at most {promotion.max_size_mb:g} MB are allowed (promotion.max_size_mb).",
    )
    if not size.passed:
        return (size,)
    probabilities_for = metric.name if metric.needs_probabilities else ""
    question = Question(golden, contract.task or "", contract.classes, probabilities_for, promotion.max_latency_ms)
    try:
        gates: tuple[Gate, ...] = run_in_child(
            _probe, (content, question), limits, what="Loading and asking it", folders=(root,)
        )
    except TrainingError as error:
        gates = (Gate("loads", False, None, None, str(error)),)
    return size, *gates


def _probe(content: bytes, question: Question) -> tuple[Gate, ...]:
    """The gates that need the model to be opened; runs in the child."""
    model = pickle.loads(content)
    loads = _judge_object(model)
    if not loads.passed:
        return (loads,)
    answers, first = _judge_answers(model, question)
    if first is None:
        return loads, answers
    return loads, answers, _judge_repeats(model, question, first), _judge_latency(model, question)


def _judge_object(model: Any) -> Gate:
    kind = type(model).__name__
    if callable(getattr(model, "predict", None)):
        return Gate("loads", True, kind, "has predict", f"A fresh process opened it: a {kind}.")
    return Gate("loads", False, kind, "has predict", f"The pickle holds a {kind}, which has no predict: not a model.")


def _judge_answers(model: Any, question: Question) -> tuple[Gate, Predictions | None]:
    rows = len(question.golden)
    try:
        found = predict(model, question.golden, question.task, question.classes)
    except DataError as error:
        return Gate("answers", False, None, rows, str(error)), None
    if question.probabilities_for and found.probabilities is None:
        reason = (
            f"performance.metric = '{question.probabilities_for}' needs probabilities; the model has no predict_proba."
        )
        return Gate("answers", False, None, "predict_proba", reason), None
    return Gate("answers", True, rows, rows, f"One finite answer of the right kind for each of {rows} rows."), found


def _judge_repeats(model: Any, question: Question, first: Predictions) -> Gate:
    def ask(rows: "pandas.DataFrame") -> Predictions:
        return predict(model, rows, question.task, question.classes)

    if not _same(first, ask(question.golden)):
        reason = "Asked twice about the same rows, the model gave different answers."
        return Gate("repeats", False, "differs", "same answers", reason)
    numbers = range(min(ROWS_ALONE, len(question.golden)))
    odd = [row for row in numbers if not _same(first.take(np.array([row])), ask(question.golden.iloc[[row]]))]
    if odd:
        reason = f"Rows {odd} get another answer alone than among others: the model mixes rows."
        return Gate("repeats", False, len(odd), 0, reason)
    return Gate("repeats", True, 0, 0, "The same answers when asked again, and for single rows.")


def _same(one: Predictions, other: Predictions) -> bool:
    if one.probabilities is not None and other.probabilities is not None:
        return bool(np.allclose(one.probabilities, other.probabilities, rtol=SAME_ANSWER, atol=SAME_ANSWER))
    if one.values.dtype.kind == "f":
        return bool(np.allclose(one.values, other.values, rtol=SAME_ANSWER, atol=SAME_ANSWER))
    return bool(np.array_equal(one.values, other.values))


def _judge_latency(model: Any, question: Question) -> Gate:
    """The median of single rows on one thread: what the model costs, not how busy this machine is tonight."""
    from threadpoolctl import threadpool_limits

    golden, max_latency_ms = question.golden, question.max_latency_ms
    times = []
    with threadpool_limits(1):
        for call in range(LATENCY_CALLS):
            row = golden.iloc[[call % len(golden)]]
            started = time.perf_counter()
            model.predict(row)
            times.append(1000 * (time.perf_counter() - started))
    latency = float(np.median(times))
    reason = (
        f"A single row took {latency:.1f} ms (median of {LATENCY_CALLS} calls); "
        f"at most {max_latency_ms:g} ms are allowed (promotion.max_latency_ms)."
    )
    return Gate("latency", latency <= max_latency_ms, round(latency, 2), max_latency_ms, reason)


def floor_gate(
    score: Score, metric: Metric, trivial: float, min_score: float | None, ranking: Score | None = None
) -> Gate:
    """Surely better than the best constant answer, and at least the score the user asks for.

    A rare class, or one whose share has just grown, can make "always no" hard to beat in accuracy by a model
    that still knows whom to look at. So a ROC AUC that is surely above one half is proof as well.

    Args:
        score: of the model on its holdout, with its interval.
        trivial: the score of the best constant on the same rows (`score_constant`).
        min_score: the user's floor, None for none; for errors it is the most that is allowed.
        ranking: ROC AUC of the same answers; None for regression and models without probabilities.
    """
    sure = score.low if metric.higher_is_better else score.high
    better = (sure > trivial) if metric.higher_is_better else (sure < trivial)
    limit: float | None = trivial if np.isfinite(trivial) else None
    reason = _explain_floor(score, better, trivial)
    if not better and score.defined and ranking is not None and ranking.low > 0.5:
        better = True
        reason = (
            f"{score.metric} {score.value:.4g} does not surely beat always giving the same answer ({trivial:.4g}), "
            f"but the model tells the classes apart: ROC AUC is {ranking.value:.3f}, surely above 0.5."
        )
    enough = True
    if better and min_score is not None:
        enough = score.value >= min_score if metric.higher_is_better else score.value <= min_score
        limit = min_score
        verb = "reaches" if enough else "does not reach"
        reason += f" It {verb} the floor of {min_score:g} (performance.min_score)."
    return Gate("floor", bool(better and enough), score.value if score.defined else None, limit, reason)


def _explain_floor(score: Score, better: bool, trivial: float) -> str:
    if not score.defined:
        return f"There is no {score.metric} on the holdout: {score.reason}."
    judged = f"{score.metric} {score.value:.4g} (between {score.low:.4g} and {score.high:.4g}, {score.rows:,} rows)"
    if better:
        return f"{judged} is surely better than always giving the same answer ({trivial:.4g})."
    return (
        f"{judged} is not surely better than always giving the same answer ({trivial:.4g}). The features may not "
        "tell enough about the target, or the metric can't see it: for a rare class try roc_auc or pr_auc."
    )


def score_constant(metric: Metric, y: np.ndarray, task: str, classes: Sequence[str], positive: str | None) -> float:
    """The score of the best constant answer on these rows: the bar that any model has to clear.

    Tried are each class, and for regression the mean, the median, and the 10 % to 90 % quantiles, whichever
    the metric likes best; probabilities are the shares of the classes. nan when the rows can't tell.
    """
    constants = _constant_classes(y, tuple(classes)) if task == "classification" else _constant_numbers(y)
    values = [metric.measure(sample_rows(y, constant, positive)).value for constant in constants]
    told = [value for value in values if np.isfinite(value)]
    if not told:
        return float("nan")
    return float(max(told) if metric.higher_is_better else min(told))


def _constant_classes(y: np.ndarray, classes: tuple[str, ...]) -> list[Predictions]:
    shares = np.array([np.mean(y == name) for name in classes])
    probabilities = np.tile(shares, (len(y), 1))
    return [Predictions(np.full(len(y), name, dtype=object), probabilities, classes) for name in classes]


def _constant_numbers(y: np.ndarray) -> list[Predictions]:
    numbers = np.asarray(y, dtype=np.float64)
    guesses = [numbers.mean(), *np.quantile(numbers, np.arange(1, 10) / 10)]
    return [Predictions(np.full(len(numbers), guess)) for guess in guesses]
