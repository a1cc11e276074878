"""The contract of the features: inferred once, plain JSON, and the one conversion to what a model sees."""

import json

import numpy as np
import pandas as pd
import pytest

from evergreen.data.schema import Contract, conform, infer_contract
from evergreen.data.sources import Window, table_of
from evergreen.errors import DataError, UsageError
from evergreen.settings import DataSettings

N = 2000


def customers(seed: int = 0, rows: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer_id": [f"c{number}" for number in rng.permutation(10 * rows)[:rows]],
            "signed": pd.date_range("2020-01-01", periods=rows, freq="h"),
            "age": np.where(rng.random(rows) < 0.1, np.nan, rng.integers(18, 80, rows)),
            "income": rng.lognormal(10, 1, rows),
            "plan": rng.choice(["basic", "gold", None], rows, p=[0.6, 0.3, 0.1]),
            "active": rng.random(rows) < 0.5,
            "empty": pd.Series([None] * rows, dtype=object),
            "churned": rng.choice([0.0, 1.0, np.nan], rows, p=[0.6, 0.3, 0.1]),
        }
    )


SETTINGS = DataSettings(target="churned")
TABLE = table_of(customers(), "customers")
CONTRACT = infer_contract(TABLE, SETTINGS)
COLUMNS = {column.name: column for column in CONTRACT.columns}


def test_features_are_the_columns_that_something_can_be_learned_from():
    assert {name: column.kind for name, column in COLUMNS.items()} == {
        "age": "number", "income": "number", "plan": "category", "active": "boolean"
    }  # fmt: skip
    assert CONTRACT.features == ("age", "income", "plan", "active")
    assert CONTRACT.others == ("customer_id", "signed", "empty")
    assert CONTRACT.rows == N


def test_numbers_have_their_range_and_whether_they_are_whole():
    frame = customers()
    income, age = COLUMNS["income"], COLUMNS["age"]
    assert (income.low, income.high) == pytest.approx(tuple(np.quantile(frame["income"], [0.0005, 0.9995])))
    assert (income.integers, age.integers) == (False, True)
    assert age.missing_share == pytest.approx(frame["age"].isna().mean())
    assert age.distinct == frame["age"].nunique()
    assert age.top_share == pytest.approx(frame["age"].value_counts(normalize=True).iloc[0])
    assert income.out_of_range_share <= 0.001
    width = age.high - age.low
    assert age.limits == (age.low - width, age.high + width)


def test_a_number_that_is_nearly_always_the_same_knows_the_rare_others():
    values = np.zeros(10_000)
    values[:3] = [-5, 40, 100]
    column = infer_contract(table_of(pd.DataFrame({"a": values}), "t"), DataSettings()).columns[0]
    assert (column.low, column.high, column.out_of_range_share) == (-5, 100, 0)


def test_categories_are_known_by_frequency_with_those_seen_once():
    words = ["a"] * 5 + ["b"] * 3 + ["c", "d"] * 1 + [None] * 2
    column = infer_contract(table_of(pd.DataFrame({"w": words}), "t"), DataSettings()).columns[0]
    assert column.categories == ("a", "b", "c", "d")
    assert (column.singletons, column.distinct, column.top_share) == (2, 4, 0.5)
    assert column.missing_share == pytest.approx(2 / 12)


def test_of_very_many_categories_the_frequent_ones_are_listed():
    words = [f"w{number}" for number in range(1500) for _ in range(3)] + ["often"] * 500
    column = infer_contract(table_of(pd.DataFrame({"w": words}), "t"), DataSettings()).columns[0]
    assert (len(column.categories), column.categories[0], column.distinct) == (1000, "often", 1501)
    assert column.out_of_range_share == pytest.approx(501 * 3 / 5000)


@pytest.mark.parametrize(
    "labels, task, classes, label_type",
    [
        ([0, 1], "classification", ("0", "1"), "integer"),
        ([0.0, 1.0, None], "classification", ("0", "1"), "integer"),
        ([True, False], "classification", ("0", "1"), "boolean"),
        (["yes", "no", None], "classification", ("no", "yes"), "text"),
        ([1, 2, 3], "classification", ("1", "2", "3"), "integer"),
        ([0.5, 1.5], "regression", (), "number"),
        (list(range(21)), "regression", (), "integer"),
        (list(range(20)), "classification", tuple(sorted(map(str, range(20)))), "integer"),
    ],
)
def test_the_task_and_the_classes_follow_from_the_target(labels, task, classes, label_type):
    frame = pd.DataFrame({"x": range(len(labels) * 5), "y": pd.Series(labels * 5)})
    contract = infer_contract(table_of(frame, "t"), DataSettings(target="y", kinds={"x": "number"}))
    assert (contract.task, contract.classes, contract.label_type) == (task, classes, label_type)


def test_the_user_says_what_the_task_is_where_numbers_could_be_both():
    frame = pd.DataFrame({"x": np.arange(40) % 7, "y": np.arange(40) % 30})
    assert (
        infer_contract(table_of(frame, "t"), DataSettings(target="y", task="classification")).task == "classification"
    )
    frame["y"] = frame["y"] % 3
    contract = infer_contract(table_of(frame, "t"), DataSettings(target="y", task="regression"))
    assert (contract.task, contract.target.kind, contract.label_type) == ("regression", "number", "integer")


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"target": "churn"}, UsageError, r"data\.target names the column 'churn', .* did you mean 'churned'"),
        ({"identifiers": ("kid",)}, UsageError, r"data\.identifiers names the column 'kid'"),
        ({"target": "plan", "task": "regression"}, DataError, "the target 'plan' holds category values"),
        ({"target": "empty"}, DataError, "the target 'empty' has no labels at all"),
        ({"target": "customer_id"}, DataError, "has 2000 classes; at most 1000"),
        ({"exclude": ("age", "income", "plan", "active", "churned")}, DataError, "no column to learn from among"),
    ],
)
def test_what_can_not_be_learned_is_said(settings, error, message):
    with pytest.raises(error, match=message):
        infer_contract(TABLE, DataSettings(**settings))


def test_an_excluded_column_may_be_gone_already_and_is_told(caplog):
    contract = infer_contract(TABLE, DataSettings(exclude=("agee", "plan")))
    assert "plan" not in contract.features and "age" in contract.features
    assert "data.exclude names the column 'agee', which is not there; did you mean 'age'?" in caplog.text


def test_identifiers_and_excluded_columns_are_no_features():
    contract = infer_contract(TABLE, DataSettings(identifiers=("age",), exclude=("plan", "churned")))
    assert contract.features == ("income", "active")
    assert (contract.target, contract.task, contract.classes) == (None, None, ())


def test_a_contract_is_of_the_window_it_was_inferred_from():
    frame = pd.DataFrame({"a": [1.0] * 50 + [9.0] * 50, "w": ["x"] * 50 + ["y"] * 50})
    contract = infer_contract(table_of(frame, "t"), DataSettings(), Window(None, 50))
    assert contract.rows == 50
    assert [(column.high, column.categories) for column in contract.columns] == [(1.0, ()), (None, ("x",))]


def test_a_contract_survives_json():
    assert Contract.from_dict(json.loads(json.dumps(CONTRACT.to_dict(), allow_nan=False))) == CONTRACT


def test_long_columns_are_sampled_for_their_quantiles_only(monkeypatch):
    from evergreen.data import facts

    monkeypatch.setattr(facts, "SAMPLE_ROWS", 100)
    values = np.arange(1000.0)
    values[::7] = np.nan
    whole = next(table_of(pd.DataFrame({"a": values}), "t").arrays("a"))
    found = facts.number_facts((whole.slice(begin, 37) for begin in range(0, 1000, 37)), 1000)
    assert (found.rows, found.missing) == (1000, int(np.isnan(values).sum()))
    assert found.sample.tolist() == [value for value in values[::10] if value == value]  # noqa: PLR0124


def test_a_model_sees_features_in_order_and_in_one_type_each():
    seen = conform(customers(), CONTRACT)
    assert list(seen) == ["age", "income", "plan", "active"]
    assert [str(kind) for kind in seen.dtypes] == ["float64", "float64", "object", "float64"]
    assert set(seen["active"]) == {0.0, 1.0}
    assert {value for value in seen["plan"] if isinstance(value, str)} == {"basic", "gold"}
    assert all(isinstance(value, str) or np.isnan(value) for value in seen["plan"])


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame[list(frame)[::-1]],
        lambda frame: frame.assign(more=1),
        lambda frame: frame.assign(age=frame["age"].astype("Int64")),
        lambda frame: frame.assign(age=frame["age"].astype(object)),
        lambda frame: frame.assign(plan=frame["plan"].astype("category")),
        lambda frame: frame.assign(plan=frame["plan"].astype(object).where(frame["plan"].notna(), None)),
        lambda frame: frame.assign(active=frame["active"].astype(int)),
        lambda frame: frame.assign(active=frame["active"].astype(object)),
        lambda frame: frame.assign(active=frame["active"].map({True: "true", False: "False"})),
    ],
)
def test_a_model_sees_the_same_however_a_column_is_kept(change):
    pd.testing.assert_frame_equal(conform(change(customers()), CONTRACT), conform(customers(), CONTRACT))


def test_categories_that_are_numbers_are_spelled_in_one_way():
    contract = infer_contract(table_of(pd.DataFrame({"z": [1, 2, 3]}), "t"), DataSettings(kinds={"z": "category"}))
    assert contract.columns[0].categories == ("1", "2", "3")
    for values in [1, 2, None], [1.0, 2.0, np.nan], ["1", "2", None]:
        assert conform(pd.DataFrame({"z": values}), contract)["z"].tolist()[:2] == ["1", "2"]


def test_infinite_values_count_as_missing_and_the_frame_is_left_alone():
    frame = customers()
    frame.loc[0, "income"] = np.inf
    seen = conform(frame, CONTRACT)
    assert np.isnan(seen.loc[0, "income"])
    seen.loc[1, "income"] = -1
    assert (frame.loc[0, "income"], frame.loc[1, "income"]) == (np.inf, customers().loc[1, "income"])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"age": "old"}, "column 'age': expected numbers, found 'old'"),
        ({"active": "perhaps"}, "column 'active': expected true or false, found 'perhaps'"),
        ({"active": 2}, "column 'active': expected true or false, found '2'"),
    ],
)
def test_values_that_are_no_numbers_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        conform(customers().assign(**change), CONTRACT)


def test_a_missing_column_is_refused():
    with pytest.raises(DataError, match="column 'age', 'plan' is missing; the model learned from it"):
        conform(customers().drop(columns=["age", "plan"]), CONTRACT)
