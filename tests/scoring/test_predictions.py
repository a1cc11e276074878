"""What a model says is taken in one form, and refused when it can't be right."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from evergreen.errors import DataError
from evergreen.scoring.predictions import Predictions, predict

ROWS = pd.DataFrame({"x": [0.0, 1.0, 2.0]})


def model_that(answers, probabilities=None, classes=None):
    model = SimpleNamespace(predict=lambda features: answers)
    if probabilities is not None:
        model.predict_proba = lambda features: probabilities
    if classes is not None:
        model.classes_ = np.array(classes)
    return model


def test_a_fitted_classifier_answers_in_text_with_its_probabilities():
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(ROWS, [False, True, True])
    found = predict(model, ROWS, "classification")
    assert found.classes == ("0", "1")
    assert set(found.values) <= {"0", "1"}
    assert found.probabilities == pytest.approx(model.predict_proba(ROWS))


@pytest.mark.parametrize("classes", [[0, 1], [0.0, 1.0], [False, True]])
def test_the_type_of_the_labels_the_model_learned_does_not_matter(classes):
    found = predict(model_that(np.array(classes)[[0, 1, 1]], classes=classes), ROWS, "classification", ("0", "1"))
    assert found.values.tolist() == ["0", "1", "1"]


def test_regression_answers_are_floats():
    found = predict(model_that(np.array([[1], [2], [3]])), ROWS, "regression")
    assert found.values.dtype == np.float64
    assert found.values.tolist() == [1, 2, 3]
    assert (found.probabilities, found.classes) == (None, ())


def test_a_model_without_probabilities_has_none():
    assert predict(model_that(["a", "b", "a"], classes=["a", "b"]), ROWS, "classification").probabilities is None


def test_a_model_that_keeps_no_classes_shows_them_by_its_answers():
    assert predict(model_that(["b", "a", "b"]), ROWS, "classification").classes == ("a", "b")


def test_probabilities_come_in_the_order_of_the_known_classes():
    shares = np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]])
    model = model_that(["z", "a", "z"], shares, ["z", "a"])
    found = predict(model, ROWS, "classification", ("a", "m", "z"))
    assert found.probabilities.tolist() == [[0.1, 0, 0.9], [0.6, 0, 0.4], [0.5, 0, 0.5]]


def test_rows_can_be_taken_by_mask_or_number():
    all_rows = Predictions(np.array(["a", "b"], dtype=object), np.eye(2), ("a", "b"))
    for rows in (np.array([False, True]), np.array([1]), slice(1, 2)):
        some = all_rows.take(rows)
        assert (some.values.tolist(), some.probabilities.tolist(), len(some)) == (["b"], [[0, 1]], 1)


def failing(features):
    raise KeyError("column 'age'")


@pytest.mark.parametrize(
    ("model", "task", "message"),
    [
        (model_that([1.0, 2.0]), "regression", r"shape \(2,\) to 3 rows; expected \(3,\)"),
        (model_that([1.0, np.nan, np.inf]), "regression", "not a finite number in 2 of 3 rows .first: row 1, nan"),
        (model_that(["a", "b", "c"]), "regression", "expected numbers"),
        (
            model_that(["a", "x", "b"], classes=["a", "b"]),
            "classification",
            "predicted 'x'; expected one of .*'a', 'b'",
        ),
        (model_that(["a", None, "b"], classes=["a", "b"]), "classification", "predicted 'None'"),
        (model_that(["a", "b", "a"], np.eye(3), ["a", "b"]), "classification", r"probabilities of shape \(3, 3\)"),
        (model_that(["a", "b", "a"], np.full((3, 2), np.nan), ["a", "b"]), "classification", "not a finite number"),
        (model_that(["a", "b", "a"], np.full((3, 2), 0.7), ["a", "b"]), "classification", "sum to 1"),
        (model_that(["a", "b", "a"], np.array([[1.5, -0.5]] * 3), ["a", "b"]), "classification", "at least 0"),
        (SimpleNamespace(predict=failing), "regression", "failed on 3 rows in failing: KeyError: .column 'age'"),
    ],
)
def test_answers_that_cannot_be_right_are_refused(model, task, message):
    with pytest.raises(DataError, match=message):
        predict(model, ROWS, task)


def test_a_class_the_caller_does_not_know_is_refused():
    model = model_that(["a", "b", "a"], np.full((3, 2), 0.5), ["a", "b"])
    with pytest.raises(DataError, match=r"knows the classes \('a', 'b'\); expected some of \('a', 'c'\)|predicted 'b'"):
        predict(model, ROWS, "classification", ("a", "c"))


def test_no_rows_are_refused():
    with pytest.raises(DataError, match="no rows to predict"):
        predict(model_that([]), ROWS[:0], "regression")


@pytest.mark.parametrize("output", ["default", "pandas", "sparse"])
def test_a_pipeline_prepares_rows_once_and_answers_as_it_does_itself(output):
    calls = []

    class Counting(OneHotEncoder):
        def transform(self, X):
            calls.append(len(X))
            return super().transform(X)

    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"a": rng.choice(list("xyz"), 60), "b": rng.choice(list("uv"), 60)})
    model = Pipeline([("codes", Counting(sparse_output=output == "sparse")), ("model", LogisticRegression())])
    model.set_output(transform="pandas" if output == "pandas" else "default").fit(rows, rng.choice(["no", "yes"], 60))
    calls.clear()
    found = predict(model, rows, "classification")
    assert calls == [60]
    assert found.values.tolist() == model.predict(rows).tolist()
    assert np.array_equal(found.probabilities, model.predict_proba(rows))
