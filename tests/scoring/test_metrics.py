"""Every metric equals scikit-learn's, its interval holds the truth, and what can't be told is said."""

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from evergreen.errors import DataError, UsageError
from evergreen.scoring.intervals import wilson
from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import (
    METRICS,
    Score,
    bounds,
    exact_score,
    metric_named,
    sample_rows,
    score,
    score_all,
    score_sample,
    worse_by,
)
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PerformanceSettings

BOUNDED = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc")


def classified(seed, rows, k):
    """Labels, predictions with ties among the probabilities, and both as scikit-learn wants them."""
    random = np.random.default_rng(seed)
    classes = tuple("abcd"[:k])
    shares = np.round(random.dirichlet(np.ones(k), rows), 1) + 0.01
    shares /= shares.sum(axis=1, keepdims=True)
    truth = np.where(random.random(rows) < 0.5, shares.argmax(axis=1), random.integers(0, k, rows))
    names = np.array(classes, dtype=object)
    return names[truth], Predictions(names[shares.argmax(axis=1)], shares, classes)


SKLEARN_BINARY = {
    "accuracy": lambda y, p: sk.accuracy_score(y, p.values),
    "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p.values),
    "precision": lambda y, p: sk.precision_score(y, p.values, pos_label="b"),
    "recall": lambda y, p: sk.recall_score(y, p.values, pos_label="b"),
    "f1": lambda y, p: sk.f1_score(y, p.values, pos_label="b"),
    "roc_auc": lambda y, p: sk.roc_auc_score(y == "b", p.probabilities[:, 1]),
    "pr_auc": lambda y, p: sk.average_precision_score(y == "b", p.probabilities[:, 1]),
    "log_loss": lambda y, p: sk.log_loss(y, p.probabilities),
    "brier": lambda y, p: sk.brier_score_loss(y, p.probabilities[:, 1], pos_label="b"),
}
SKLEARN_MULTICLASS = {
    "accuracy": lambda y, p: sk.accuracy_score(y, p.values),
    "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p.values),
    "precision": lambda y, p: sk.precision_score(y, p.values, average="macro", zero_division=0),
    "recall": lambda y, p: sk.recall_score(y, p.values, average="macro", zero_division=0),
    "f1": lambda y, p: sk.f1_score(y, p.values, average="macro", zero_division=0),
    "roc_auc": lambda y, p: sk.roc_auc_score(y, p.probabilities, multi_class="ovr"),
    "pr_auc": lambda y, p: sk.average_precision_score(one_hot(y, p), p.probabilities, average="macro"),
    "log_loss": lambda y, p: sk.log_loss(y, p.probabilities),
    "brier": lambda y, p: sk.brier_score_loss(y, p.probabilities, labels=list(p.classes)),
}
SKLEARN_REGRESSION = {
    "mae": sk.mean_absolute_error,
    "rmse": sk.root_mean_squared_error,
    "r2": sk.r2_score,
    "mape": sk.mean_absolute_percentage_error,
    "pinball": lambda y, p: sk.mean_pinball_loss(y, p, alpha=0.5),
}


def one_hot(y, predictions):
    return (y[:, None] == np.array(predictions.classes, dtype=object)).astype(int)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(6, 200))
@pytest.mark.parametrize("name", SKLEARN_BINARY)
def test_binary_metrics_equal_scikit_learn(name, seed, rows):
    y, predictions = classified(seed, rows, 2)
    assume(len(set(y)) == 2 and len(set(predictions.values)) == 2)
    found = score(METRICS[name], y, predictions).value
    assert found == pytest.approx(SKLEARN_BINARY[name](y, predictions), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(12, 200), k=st.integers(3, 4))
@pytest.mark.parametrize("name", SKLEARN_MULTICLASS)
def test_multiclass_metrics_equal_scikit_learn(name, seed, rows, k):
    y, predictions = classified(seed, rows, k)
    assume(len(set(y)) == k)
    found = score(METRICS[name], y, predictions).value
    assert found == pytest.approx(SKLEARN_MULTICLASS[name](y, predictions), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(2, 200))
@pytest.mark.parametrize("name", SKLEARN_REGRESSION)
def test_regression_metrics_equal_scikit_learn(name, seed, rows):
    random = np.random.default_rng(seed)
    y = random.normal(5, 3, rows)
    said = y + random.normal(size=rows)
    found = score(METRICS[name], y, Predictions(said)).value
    assert found == pytest.approx(SKLEARN_REGRESSION[name](y, said), rel=1e-12, abs=1e-12)


def test_every_metric_has_an_oracle():
    assert (
        {*SKLEARN_BINARY, *SKLEARN_REGRESSION, "cost"}
        == set(METRICS)
        == {*SKLEARN_MULTICLASS, *SKLEARN_REGRESSION, "cost"}
    )


@pytest.mark.parametrize("quantile", [0.1, 0.9])
def test_pinball_uses_the_configured_quantile(quantile):
    random = np.random.default_rng(2)
    y, said = random.normal(size=50), random.normal(size=50)
    metric = metric_named(PerformanceSettings(metric="pinball", quantile=quantile), "regression")
    expected = sk.mean_pinball_loss(y, said, alpha=quantile)
    assert score(metric, y, Predictions(said)).value == pytest.approx(expected, abs=1e-12)


# Contributions of the rows, and so the standard error


def jackknife(metric, sample):
    """The standard error by leaving out one row after the other: another way to the same figure."""
    rows = np.arange(len(sample.truth))
    values = np.array([metric.measure(sample.take(rows != row)).value for row in rows])
    return np.sqrt((len(rows) - 1) * np.mean((values - values.mean()) ** 2))


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("name", SKLEARN_BINARY)
def test_the_standard_error_is_that_of_the_jackknife(name, k):
    sample = sample_rows(*classified(7, 300, k))
    shares = METRICS[name].measure(sample).contributions
    assert np.sqrt(np.sum(shares**2)) == pytest.approx(jackknife(METRICS[name], sample), rel=0.03)
    assert shares.sum() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("name", SKLEARN_REGRESSION)
def test_the_standard_error_of_a_regression_metric_is_that_of_the_jackknife(name):
    random = np.random.default_rng(8)
    y = random.normal(9, 2, 300)
    sample = Sample(y, y + random.normal(size=300))
    shares = METRICS[name].measure(sample).contributions
    assert np.sqrt(np.sum(shares**2)) == pytest.approx(jackknife(METRICS[name], sample), rel=0.03)


# Intervals


@pytest.mark.parametrize("name", SKLEARN_BINARY)
def test_intervals_hold_the_truth_as_often_as_they_say(name):
    random = np.random.default_rng(11)

    def draw(rows):
        truth = (random.random(rows) < 0.3).astype(int)
        chance = 1 / (1 + np.exp(0.85 - 1.5 * truth - random.normal(size=rows)))
        return Sample(truth, (chance > 0.5).astype(int), np.column_stack([1 - chance, chance]), ("0", "1"), 1)

    expected = METRICS[name].measure(draw(1_000_000)).value
    scores = [score_sample(METRICS[name], draw(200)) for _ in range(500)]
    missed = np.mean([not found.low <= expected <= found.high for found in scores])
    assert 0.015 <= missed <= 0.09


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("k", [2, 3])
def test_a_perfect_score_on_few_rows_is_not_certain(name, k):
    names = np.array(list("abc"[:k]), dtype=object)
    truth = np.arange(12) % k
    found = score(METRICS[name], names[truth], Predictions(names[truth], np.eye(k)[truth], tuple(names)))
    assert found.value == pytest.approx(1)
    assert found.high == pytest.approx(1)
    assert 0.5 < found.low < 0.95


def test_few_positives_keep_recall_uncertain_however_many_rows_there_are():
    y = np.array(["1"] * 5 + ["0"] * 995, dtype=object)
    found = score(METRICS["recall"], y, Predictions(y, None, ("0", "1")))
    assert (found.value, found.rows) == (1, 1000)
    assert found.low == pytest.approx(0.5655, abs=1e-4)  # Wilson for 5 of 5


def test_a_perfect_f1_is_known_as_well_as_its_union_of_rows():
    y = np.array(["1"] * 10 + ["0"] * 990, dtype=object)
    found = score(METRICS["f1"], y, Predictions(y, None, ("0", "1")))
    union = wilson(1.0, 10)[0]
    assert found.low == pytest.approx(2 * union / (1 + union))


def test_errors_that_last_widen_the_interval_of_a_regression_only():
    lasting = np.repeat(np.random.default_rng(0).normal(size=50), 20)
    mixed = np.random.default_rng(1).permutation(lasting)
    errors = [score(METRICS["mae"], np.zeros(1000), Predictions(said)).standard_error for said in (lasting, mixed)]
    assert errors[0] > 2.5 * errors[1]
    names = np.array(["a", "b"], dtype=object)
    accuracies = [
        score(METRICS["accuracy"], names[(said > 0).astype(int)], Predictions(names[[0] * 1000], None, ("a", "b")))
        for said in (lasting, mixed)
    ]
    assert accuracies[0] == accuracies[1]


def test_the_interval_can_be_had_at_another_confidence():
    y, predictions = classified(3, 100, 2)
    for name in ("accuracy", "log_loss"):
        narrow = score(METRICS[name], y, predictions, confidence=0.5)
        wide = score(METRICS[name], y, predictions, confidence=0.99)
        assert bounds(narrow, 0.99) == (wide.low, wide.high)


def test_a_bare_number_counts_as_exact():
    assert bounds(exact_score("accuracy", 0.9), 0.95) == (0.9, 0.9)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(6, 60), k=st.integers(2, 4))
def test_the_order_of_rows_and_the_type_of_labels_do_not_matter(seed, rows, k):
    y, predictions = classified(seed, rows, k)
    order = np.random.default_rng(seed).permutation(rows)
    first = score_all("classification", y, predictions)
    second = score_all("classification", y[order].tolist(), predictions.take(order))
    assert first.keys() == second.keys()
    for name, found in first.items():
        assert found.value == pytest.approx(second[name].value, abs=1e-12)
        assert (found.low, found.high) == pytest.approx((second[name].low, second[name].high), abs=1e-9)


def test_number_labels_match_the_text_of_the_predictions():
    said = Predictions(np.array(["1", "0", "1"], dtype=object), None, ("0", "1"))
    for labels in ([1, 0, 0], [1.0, 0.0, 0.0], [True, False, False]):
        assert score(METRICS["accuracy"], labels, said).value == pytest.approx(2 / 3)


# What can't be told


@pytest.mark.parametrize("name", ["roc_auc", "pr_auc", "balanced_accuracy"])
def test_one_class_alone_does_not_define_a_ranking(name):
    y, predictions = np.array(["b"] * 60, dtype=object), classified(0, 60, 2)[1]
    found = score(METRICS[name], y, predictions)
    assert not found.defined
    assert found.reason == "all 60 rows are of class 'b'"
    assert name not in score_all("classification", y, predictions)


def test_ratios_of_nothing_are_not_defined():
    y = np.array(["a"] * 10, dtype=object)
    said = Predictions(y, None, ("a", "b"))
    for name, reason in {
        "precision": "was predicted as class 'b'",
        "recall": "no row is of class 'b'",
        "f1": "'b'",
    }.items():
        assert reason in score(METRICS[name], y, said).reason


def test_finding_none_of_the_positives_is_an_f1_of_0():
    y = np.array(["a", "b", "b"], dtype=object)
    assert score(METRICS["f1"], y, Predictions(np.array(["a"] * 3, dtype=object), None, ("a", "b"))).value == 0


def test_a_model_without_probabilities_has_no_auc_and_the_reason_is_told():
    y, predictions = classified(0, 60, 2)
    found = score(METRICS["roc_auc"], y, Predictions(predictions.values, None, predictions.classes))
    assert found.reason == "roc_auc needs probabilities, and the model has no predict_proba"


def test_a_constant_target_has_no_r2_and_zeros_have_no_mape():
    said = Predictions(np.array([1.0, 2.0, 4.0]))
    assert score(METRICS["r2"], [3.0, 3.0, 3.0], said).reason == "the target is 3 in all 3 rows"
    assert "0 in 1 of 3 rows; choose mae" in score(METRICS["mape"], [0.0, 3.0, 3.0], said).reason


def test_a_class_the_model_never_saw_counts_as_wrong():
    y = np.array(["a", "b", "new"], dtype=object)
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    said = Predictions(np.array(["a", "b", "b"], dtype=object), shares, ("a", "b"))
    found = score_all("classification", y, said)
    assert found["accuracy"].value == pytest.approx(2 / 3)
    assert found["precision"].value == pytest.approx(1 / 2)
    assert found["log_loss"].value > 10
    assert found["brier"].value == pytest.approx((0.02 + 0.08 + 1.5) / 3)


def test_a_class_that_is_absent_from_the_batch_is_left_out_of_the_mean_auc():
    y, predictions = classified(5, 100, 3)
    rows = y != "c"
    parts = [sk.roc_auc_score(y[rows] == name, predictions.probabilities[rows, k]) for k, name in enumerate("ab")]
    assert score(METRICS["roc_auc"], y[rows], predictions.take(rows)).value == pytest.approx(np.mean(parts))


@pytest.mark.parametrize("labels", [["a", None, "b"], [1.0, np.nan, 0.0]])
def test_missing_labels_are_refused(labels):
    said = Predictions(np.array(["a", "b", "b"], dtype=object), None, ("a", "b"))
    with pytest.raises(DataError, match="missing in 1 of 3 rows"):
        score(METRICS["accuracy"], labels, said)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_or_infinite_targets_are_refused(bad):
    with pytest.raises(DataError, match="missing or infinite in 1 of 2 rows"):
        score(METRICS["mae"], [1.0, bad], Predictions(np.zeros(2)))


def test_labels_and_predictions_must_be_as_many():
    with pytest.raises(DataError, match="2 labels for 3 predictions"):
        score(METRICS["mae"], [1.0, 2.0], Predictions(np.zeros(3)))
    with pytest.raises(DataError, match="no labelled rows"):
        score(METRICS["mae"], [], Predictions(np.zeros(0)))


# Names, direction and the positive class


def test_auto_is_accuracy_or_mae():
    assert metric_named(PerformanceSettings(), "classification").name == "accuracy"
    assert metric_named(PerformanceSettings(), "regression").name == "mae"


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("acuracy", "classification", "unknown. Did you mean 'accuracy'.*roc_auc"),
        ("auc roc!", "regression", "unknown.*For regression there are: mae, rmse"),
        ("mae", "classification", "not for classification. Choose one of: accuracy"),
        ("f1", "regression", "not for regression. Choose one of: mae"),
        ("cost", "regression", "needs either performance.cost_matrix or performance.cost_function"),
    ],
)
def test_a_metric_that_cannot_be_used_is_refused_with_those_that_can(name, task, message):
    with pytest.raises(UsageError, match=message):
        metric_named(PerformanceSettings(metric=name), task)


def test_the_positive_class_is_the_second_unless_it_is_configured():
    y = np.array(["no", "yes", "yes", "yes"], dtype=object)
    said = Predictions(np.array(["no", "no", "no", "yes"], dtype=object), None, ("yes", "no"))
    assert score(METRICS["recall"], y, said).value == pytest.approx(1 / 3)
    assert score(METRICS["recall"], y, said, positive="no").value == 1
    with pytest.raises(UsageError, match="no class 'maybe'"):
        score(METRICS["recall"], y, said, positive="maybe")


@pytest.mark.parametrize(
    ("name", "baseline", "current", "worse"),
    [("accuracy", 0.9, 0.8, 0.1), ("accuracy", 0.8, 0.9, -0.1), ("mae", 10.0, 12.0, 0.2), ("brier", 0.1, 0.15, 0.05),
     ("r2", 0.5, 0.2, 0.3), ("log_loss", 0.5, 0.4, -0.2), ("mae", 0.0, 2.0, 2.0), ("cost", -10.0, -5.0, 0.5)],
)  # fmt: skip
def test_worse_is_positive_whatever_the_direction(name, baseline, current, worse):
    assert worse_by(METRICS[name], baseline, current) == pytest.approx(worse)


# JSON


def test_a_score_survives_json_bit_for_bit():
    y, predictions = classified(9, 80, 3)
    for found in score_all("classification", y, predictions).values():
        assert Score.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found


def test_a_score_that_is_not_defined_is_null_in_json():
    found = score(METRICS["r2"], [1.0, 1.0], Predictions(np.zeros(2)))
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["value"] is None
    again = Score.from_dict(plain)
    assert not again.defined
    assert again.reason == found.reason


def test_all_metrics_of_a_task_are_scored_at_once():
    y, predictions = classified(9, 80, 3)
    assert set(score_all("classification", y, predictions)) == set(SKLEARN_BINARY)
    assert set(score_all("regression", np.arange(1.0, 9.0), Predictions(np.zeros(8)))) == set(SKLEARN_REGRESSION)


def test_an_answer_that_is_missing_or_no_class_is_never_right():
    answers = Predictions(np.array(["a", None, "z", "b"], dtype=object), None, ("a", "b"))
    assert sample_rows(["a", "b", "b", "b"], answers).predicted.tolist() == [0, -1, -1, 1]
