import pickle
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import broken_models
import numpy as np
import pytest
from small_tables import contract_of, make_amounts, make_features, make_labels

from evergreen.scoring.metrics import METRICS, exact_score, score
from evergreen.scoring.predictions import Predictions, predict
from evergreen.settings import PromotionSettings, TrainingSettings
from evergreen.training.children import Limits
from evergreen.training.estimators import build_estimator
from evergreen.training.gates import floor_gate, run_gates, score_constant

FRAME = make_features(600)
LABELS = make_labels(FRAME)
GOLDEN = FRAME.head(20)
CONTRACT = contract_of(FRAME, LABELS)
LIMITS = Limits(seconds=5, memory_bytes=2**30)


def gates_of(model, metric="accuracy", contract=CONTRACT, limits=LIMITS, **promotion):
    content = model if isinstance(model, bytes) else pickle.dumps(model)
    return run_gates(content, GOLDEN, contract, PromotionSettings(**promotion), METRICS[metric], limits=limits)


def failed(gates):
    """The one gate that was not passed."""
    (gate,) = [gate for gate in gates if not gate.passed]
    return gate


def fitted_model(task="classification", labels=LABELS):
    model = build_estimator(TrainingSettings(), contract_of(FRAME, labels, task), task, 0, root=Path())
    return model.fit(FRAME, labels)


@pytest.mark.parametrize("model", [broken_models.Model(), fitted_model()])
@pytest.mark.parametrize("metric", ["accuracy", "roc_auc"])
def test_a_sound_model_passes_all_gates_each_with_value_limit_and_reason(model, metric):
    gates = gates_of(model, metric, limits=Limits(seconds=60))
    assert [gate.name for gate in gates] == ["size", "loads", "answers", "repeats", "latency"]
    assert all(gate.passed for gate in gates)
    assert all(gate.reason.endswith((".", ").")) and gate.limit is not None for gate in gates)
    assert {"name", "passed", "value", "limit", "reason"} == set(gates[0].to_dict())


def test_a_sound_regression_passes():
    amounts = make_amounts(FRAME)
    gates = gates_of(fitted_model("regression", amounts), "mae", contract_of(FRAME, amounts, "regression"))
    assert all(gate.passed for gate in gates)
    assert len(gates) == 5


@pytest.mark.parametrize(
    ("thing", "kind"),
    [
        ({"a": 1}, "dict"),
        (FRAME.head(3), "DataFrame"),
        ("model", "str"),
        (broken_models.answer, "function"),
        (None, "NoneType"),
    ],
)
def test_a_pickle_of_something_else_is_not_a_model(thing, kind):
    gate = failed(gates_of(thing))
    assert gate.name == "loads"
    assert gate.reason == f"The pickle holds a {kind}, which has no predict: not a model."


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "EOFError"), (b"not a pickle", "UnpicklingError"), (pickle.dumps(broken_models.Model())[:-5], "failed")],
)
def test_bytes_that_are_no_pickle_do_not_load(content, words):
    gate = failed(gates_of(content))
    assert gate.name == "loads"
    assert words in gate.reason


def test_a_model_whose_module_is_gone_does_not_load(tmp_path, monkeypatch):
    shutil.copy(broken_models.__file__, tmp_path / "vanishing_models.py")
    with monkeypatch.context() as here:
        here.syspath_prepend(tmp_path)
        import vanishing_models

        content = pickle.dumps(vanishing_models.Model())
    assert "No module named 'vanishing_models'" in failed(gates_of(content)).reason
    promotion = PromotionSettings()
    gates = run_gates(content, GOLDEN, CONTRACT, promotion, METRICS["accuracy"], root=tmp_path, limits=LIMITS)
    assert all(gate.passed for gate in gates)


@pytest.mark.parametrize(
    ("model", "gate", "words"),
    [
        (broken_models.OtherColumns(), "answers", "X has 3 features, but Model is expecting 7"),
        (broken_models.NaN(), "answers", "is not a finite number in"),
        (broken_models.TooFew(), "answers", r"shape \(19,\) to 20 rows"),
        (broken_models.OtherClasses(), "answers", "predicted 'maybe'; expected one of its classes 'leaves', 'stays'"),
        (broken_models.NotProbabilities(), "answers", "must be at least 0 and sum to 1"),
        (broken_models.Random(), "repeats", "Asked twice about the same rows"),
        (broken_models.MixesRows(), "repeats", "another answer alone than among others"),
        (broken_models.Dies(), "loads", "was killed by SIGSEGV"),
        (broken_models.Eats(), "answers", "Unable to allocate|more memory"),
    ],
)
def test_a_model_that_answers_wrongly_is_refused_with_the_reason(model, gate, words):
    last = failed(gates_of(model))
    assert last.name == gate
    assert re.search(words, last.reason), last.reason


@pytest.mark.parametrize("model", [broken_models.Sleeps(), broken_models.SleepsWhenOpened()])
def test_a_model_that_hangs_is_ended_in_time(model):
    started = time.monotonic()
    gate = failed(gates_of(model, limits=Limits(seconds=2)))
    assert "did not finish within 2 s" in gate.reason
    assert time.monotonic() - started < 30


def test_numbers_that_are_missing_are_no_answers():
    contract = contract_of(FRAME, make_amounts(FRAME), "regression")
    assert (
        "not a finite number in 20 of 20 rows" in failed(gates_of(broken_models.NaNNumbers(), "mae", contract)).reason
    )


def test_probabilities_are_asked_for_only_where_the_metric_needs_them():
    assert all(gate.passed for gate in gates_of(broken_models.WithoutProbabilities()))
    gate = failed(gates_of(broken_models.WithoutProbabilities(), "roc_auc"))
    assert gate.reason == "performance.metric = 'roc_auc' needs probabilities; the model has no predict_proba."


def test_a_pickle_beyond_the_size_limit_is_not_even_opened():
    model = broken_models.Model()
    model.weights = np.ones(10**6)
    gate = failed(gates_of(model, max_size_mb=5))
    assert (gate.name, gate.limit) == ("size", 5)
    assert gate.value == pytest.approx(8, abs=0.1)
    assert "8.0 MB; at most 5 MB are allowed (promotion.max_size_mb)" in gate.reason


def test_a_slow_model_is_refused_with_its_milliseconds():
    gate = failed(gates_of(broken_models.Slow(), max_latency_ms=10))
    assert gate.name == "latency"
    assert gate.value >= 20
    assert "at most 10 ms are allowed (promotion.max_latency_ms)" in gate.reason
    assert all(gate.passed for gate in gates_of(broken_models.Slow(), max_latency_ms=5000))


# The floor


def scored(metric, y, values, **options):
    return score(METRICS[metric], y, Predictions(values, **options))


def test_a_model_must_be_surely_better_than_a_constant():
    truth = np.array(["stays"] * 60 + ["leaves"] * 40, dtype=object)
    trivial = score_constant(METRICS["accuracy"], truth, "classification", ("leaves", "stays"), None)
    assert trivial == 0.6
    good = np.where(np.arange(100) % 10 == 0, "leaves", truth).astype(object)
    gate = floor_gate(scored("accuracy", truth, good, classes=("leaves", "stays")), METRICS["accuracy"], trivial, None)
    assert gate.passed
    lazy = np.full(100, "stays", dtype=object)
    lazy[-2:] = "leaves"
    gate = floor_gate(scored("accuracy", truth, lazy, classes=("leaves", "stays")), METRICS["accuracy"], trivial, None)
    assert not gate.passed
    assert "accuracy 0.62" in gate.reason
    assert "not surely better than always giving the same answer (0.6)" in gate.reason


def test_the_best_constant_is_the_one_the_metric_likes_best():
    numbers = np.array([0.0, 0.0, 0.0, 10.0])
    mae = score_constant(METRICS["mae"], numbers, "regression", (), None)
    assert mae == np.abs(numbers - np.median(numbers)).mean() == 2.5
    rmse = score_constant(METRICS["rmse"], numbers, "regression", (), None)
    assert rmse == pytest.approx(numbers.std())
    assert score_constant(METRICS["r2"], numbers, "regression", (), None) == pytest.approx(0)


@pytest.mark.parametrize(("metric", "expected"), [("roc_auc", 0.5), ("pr_auc", 0.25), ("f1", 0.4), ("recall", 1.0)])
def test_constants_for_classes_carry_their_shares_as_probabilities(metric, expected):
    truth = np.array(["1", "0", "0", "0"] * 25, dtype=object)
    assert score_constant(METRICS[metric], truth, "classification", ("0", "1"), "1") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "value", "trivial", "floor", "passed", "words"),
    [
        ("accuracy", 0.85, 0.5, 0.8, True, "It reaches the floor of 0.8 (performance.min_score)"),
        ("accuracy", 0.75, 0.5, 0.8, False, "It does not reach the floor of 0.8"),
        ("mae", 3.0, 9.0, 4.0, True, "It reaches the floor of 4"),
        ("mae", 5.0, 9.0, 4.0, False, "It does not reach the floor of 4"),
        ("mae", 9.5, 9.0, 20.0, False, "not surely better than always giving the same answer"),
    ],
)
def test_the_users_floor_counts_in_the_direction_of_the_metric(metric, value, trivial, floor, passed, words):
    gate = floor_gate(exact_score(metric, value), METRICS[metric], trivial, floor)
    assert gate.passed == passed
    assert words in gate.reason


def test_a_score_the_rows_can_not_tell_does_not_clear_the_floor():
    truth = np.full(50, "stays", dtype=object)
    model = fitted_model()
    answers = predict(model, FRAME.head(50), "classification", ("leaves", "stays"))
    gate = floor_gate(score(METRICS["roc_auc"], truth, answers), METRICS["roc_auc"], 0.5, None)
    assert not gate.passed
    assert gate.value is None
    assert "There is no roc_auc on the holdout: all 50 rows are of class 'stays'" in gate.reason


def test_telling_rare_classes_apart_is_proof_where_accuracy_can_not_see_it():
    """Ten in a hundred leave; a model that ranks them first but never says so is worth as much as "nobody leaves"."""
    rng = np.random.default_rng(5)
    truth = np.where(rng.random(2000) < 0.1, "leaves", "stays").astype(object)
    answers = np.full(2000, "stays", dtype=object)
    trivial = score_constant(METRICS["accuracy"], truth, "classification", ("leaves", "stays"), None)

    def judge(chance):
        known = Predictions(answers, np.column_stack([chance, 1 - chance]), ("leaves", "stays"))
        ranking = score(METRICS["roc_auc"], truth, known, positive="leaves")
        return floor_gate(score(METRICS["accuracy"], truth, known), METRICS["accuracy"], trivial, None, ranking)

    telling = judge(np.where(truth == "leaves", 0.4, 0.1) + rng.normal(0, 0.05, 2000).clip(-0.1, 0.1))
    assert telling.passed
    assert "ROC AUC" in telling.reason
    assert not judge(rng.random(2000)).passed


@pytest.mark.parametrize(("low", "passed"), [(0.51, True), (0.49, False)])
def test_a_rare_class_that_is_surely_told_apart_clears_the_floor_that_accuracy_can_not(low, passed):
    ranking = replace(exact_score("roc_auc", 0.6), low=low, high=0.7, rows=500)
    gate = floor_gate(exact_score("accuracy", 0.97), METRICS["accuracy"], 0.97, None, ranking=ranking)
    assert gate.passed == passed
    assert ("ROC AUC is 0.600, surely above 0.5" in gate.reason) == passed
