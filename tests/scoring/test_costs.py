"""The user's own costs, from a matrix or from a function of hers."""

import numpy as np
import pytest

from evergreen.errors import UsageError
from evergreen.scoring.metrics import metric_named, score, score_all
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PerformanceSettings

Y = np.array(["1", "1", "0", "0"], dtype=object)
SAID = Predictions(np.array(["1", "0", "1", "0"], dtype=object), None, ("0", "1"))


def with_matrix(matrix):
    return PerformanceSettings(metric="cost", cost_matrix=matrix)


def test_each_mistake_costs_what_the_matrix_says():
    metric = metric_named(with_matrix({"1": {"0": 10.0}, "0": {"1": 2.0}}), "classification")
    found = score(metric, Y, SAID)
    assert found.value == 3.0
    assert not metric.higher_is_better


def test_being_right_can_earn_and_words_of_toml_name_classes():
    matrix = {"true": {"false": 10.0, "true": -4.0}, "false": {"1": 2.0}}
    assert score(metric_named(with_matrix(matrix), "classification"), Y, SAID).value == 2.0


def test_a_mistake_without_a_cost_is_named():
    metric = metric_named(with_matrix({"1": {"0": 10.0}}), "classification")
    with pytest.raises(UsageError, match=r"no cost for truth '0' predicted as '1'. Add it: .*\"0\" = \{ \"1\" = COST"):
        score(metric, Y, SAID)


def test_a_class_the_target_does_not_have_is_named():
    metric = metric_named(with_matrix({"yes": {"no": 1.0}}), "classification")
    with pytest.raises(UsageError, match="no class 'yes' in the target"):
        score(metric, Y, SAID)


def test_a_matrix_is_not_for_regression_and_not_beside_a_function():
    with pytest.raises(UsageError, match="not for regression"):
        metric_named(with_matrix({"1": {"0": 1.0}}), "regression")
    both = PerformanceSettings(metric="cost", cost_matrix={"1": {"0": 1.0}}, cost_function="a:b")
    with pytest.raises(UsageError, match="needs either"):
        metric_named(both, "classification")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the user's, beside her configuration."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "my_costs.py").write_text(
        "import numpy as np\n"
        "def per_row(y_true, y_pred):\n"
        "    return np.where(y_true != y_pred, 5.0, 0.0)\n"
        "def total(y_true, y_pred):\n"
        "    return float(np.mean(np.abs(y_true - y_pred)))\n"
        "def short(y_true, y_pred):\n"
        "    return np.zeros(3)\n"
        "def broken(y_true, y_pred):\n"
        "    return float('nan')\n"
    )
    return tmp_path


def with_function(name, root, task="classification"):
    return metric_named(PerformanceSettings(metric="cost", cost_function=name), task, root)


def test_a_function_gives_costs_per_row_and_sees_labels_as_text(module):
    found = score(with_function("my_costs:per_row", module), Y, SAID)
    assert found.value == 2.5
    assert found.standard_error > 0


def test_a_function_that_gives_one_number_gets_a_seeded_bootstrap_interval(module):
    metric = with_function("my_costs:total", module, "regression")
    random = np.random.default_rng(0)
    y, said = random.normal(size=300), Predictions(random.normal(size=300))
    found = score(metric, y, said, seed=3)
    expected = np.abs(y - said.values).std(ddof=1) / np.sqrt(300)
    assert found.standard_error == pytest.approx(expected, rel=0.15)
    assert found == score(metric, y, said, seed=3)
    assert found != score(metric, y, said, seed=4)


def test_costs_are_among_all_scores_only_when_they_are_given(module):
    assert "cost" not in score_all("classification", Y, SAID)
    given = PerformanceSettings(cost_function="my_costs:per_row")
    assert score_all("classification", Y, SAID, settings=given, root=module)["cost"].value == 2.5
    matrix = PerformanceSettings(cost_matrix={"1": {"0": 1.0}})
    assert "cost" not in score_all("regression", np.ones(3), Predictions(np.ones(3)), settings=matrix)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_costs:short", r"short gave shape \(3,\) for 4 rows"),
        ("my_costs:broken", "one finite cost per row"),
        ("my_costs:nothing", "my_costs has no 'nothing'"),
        ("no_such_module:f", "can't import no_such_module"),
        ("my_costs", "expected 'module:function'"),
        ("", "needs either"),
    ],
)
def test_a_function_that_cannot_be_used_is_refused(module, name, message):
    with pytest.raises(UsageError, match=message):
        score(with_function(name, module), Y, SAID)
