"""What a single decision costs: wrong answers count 1, the user's own costs as they are, numbers on their own scale."""

import numpy as np
import pytest

from evergreen.scoring.metrics import metric_named, sample_rows
from evergreen.scoring.predictions import Predictions
from evergreen.scoring.row_costs import measure_cost, plain_costs, row_costs
from evergreen.settings import PerformanceSettings

TRUTH = np.array(["yes", "yes", "no", "no"], dtype=object)
SAID = np.array(["yes", "no", "no", "yes"], dtype=object)
CLASSES = sample_rows(TRUTH, Predictions(SAID, None, ("no", "yes")))
NUMBERS = sample_rows(np.array([1.0, 2.0, 3.0, 10.0]), Predictions(np.array([1.0, 1.0, 3.0, 4.0])))
COSTLY = PerformanceSettings(metric="cost", cost_matrix={"yes": {"no": 5.0}, "no": {"yes": 1.0}})


def test_a_wrong_class_costs_one_whatever_the_metric():
    for metric in ("auto", "roc_auc", "f1"):
        assert row_costs(CLASSES, PerformanceSettings(metric=metric)).tolist() == [0, 1, 0, 1]


def test_the_users_matrix_says_what_a_row_costs():
    assert row_costs(CLASSES, COSTLY).tolist() == [0, 5, 0, 1]


def test_the_mean_is_that_of_the_metric():
    metric = metric_named(COSTLY, "classification")
    assert row_costs(CLASSES, COSTLY).mean() == pytest.approx(metric.measure(CLASSES).value)
    assert measure_cost(CLASSES, COSTLY).mean == pytest.approx(1.5)


def test_a_function_of_the_users_costs_each_row_and_one_number_for_all_can_not(tmp_path):
    (tmp_path / "my_row_prices.py").write_text(
        "def each(y_true, y_predicted):\n    return [7.0 if a != b else 0.0 for a, b in zip(y_true, y_predicted)]\n"
        "def one(y_true, y_predicted):\n    return 3.0\n"
    )
    settings = PerformanceSettings(metric="cost", cost_function="my_row_prices:each")
    assert row_costs(CLASSES, settings, root=tmp_path).tolist() == [0, 7, 0, 7]
    settings = PerformanceSettings(metric="cost", cost_function="my_row_prices:one")
    kind, values = plain_costs(CLASSES, settings, tmp_path)
    assert (kind, values.tolist()) == ("wrong", [0, 1, 0, 1])


def test_of_numbers_an_error_like_that_of_the_best_constant_costs_one():
    """The median of 1, 2, 3, 10 is 2.5; its errors 1.5, 0.5, 0.5, 7.5 are 2.5 in the mean."""
    base = measure_cost(NUMBERS, PerformanceSettings())
    assert (base.kind, base.mean, base.unit, base.rows) == ("error", 1.75, 2.5, 4)
    assert row_costs(NUMBERS, PerformanceSettings(), unit=base.unit).tolist() == [0, 0.4, 0, 2.4]
    constant = sample_rows(np.array([1.0, 2.0, 3.0, 10.0]), Predictions(np.full(4, 2.5)))
    assert row_costs(constant, PerformanceSettings(), unit=base.unit).mean() == pytest.approx(1.0)


def test_numbers_without_spread_are_counted_in_their_own_unit():
    same = sample_rows(np.full(3, 4.0), Predictions(np.array([4.0, 5.0, 4.0])))
    assert measure_cost(same, PerformanceSettings()).unit == 1.0


def test_its_error_is_that_of_a_mean():
    base = measure_cost(CLASSES, PerformanceSettings())
    assert base.standard_error == pytest.approx(np.std([0, 1, 0, 1], ddof=1) / 2)
    assert base.to_dict() == {"kind": "wrong", "mean": 0.5, "standard_error": base.standard_error, "rows": 4, "unit": 1}
