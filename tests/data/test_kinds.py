"""Kinds of columns: numbers, categories, booleans, times, and text that nothing can be learned from."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from evergreen.data.kinds import infer_kinds
from evergreen.data.sources import table_of
from evergreen.errors import UsageError
from evergreen.settings import DataSettings

N = 200
RNG = np.random.default_rng(0)
COLUMNS = {
    "price": (RNG.normal(size=N), "number"),
    "visits": (RNG.integers(0, 50, N), "number"),
    "visits with gaps": (pd.Series(RNG.integers(0, 50, N)).where(RNG.random(N) > 0.1), "number"),
    "flag as number": (RNG.integers(0, 2, N), "number"),
    "income, nearly all different": (RNG.permutation(10**6)[:N], "number"),
    "hour": (np.arange(N) % 24, "number"),
    "constant": (np.full(N, 7), "number"),
    "truth": (RNG.random(N) < 0.5, "boolean"),
    "yes and no": (RNG.choice(["yes", "no"], N), "category"),
    "city": (RNG.choice([f"city {n}" for n in range(60)], N), "category"),
    "coded": (pd.Categorical([f"c{n}" for n in range(N)]), "category"),
    "day": (pd.date_range("2025-01-01", periods=N), "time"),
    "comment": ([f"I said {n} things" for n in RNG.permutation(N)], "text"),
    "nothing": ([None] * N, "text"),
    "list": ([[1, 2]] * N, "text"),
    "customer_id": (RNG.permutation(10**6)[:N], "text"),
    "customerId": (RNG.permutation(10**6)[:N], "text"),
    "ID": ([float(n) for n in RNG.permutation(10**6)[:N]], "text"),
    "Unnamed: 0": (RNG.permutation(N), "text"),
    "just counting": (np.arange(N) + 17, "text"),
    "paid_id": (np.arange(N) % 4, "number"),
    "user_id": (np.repeat(np.arange(N // 2), 2), "number"),
    "session_id": ([f"s{n // 3}" for n in range(N)], "text"),
    "humid": (RNG.permutation(10**6)[:N], "number"),
    "grid": (RNG.permutation(10**6)[:N], "number"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_kind_is_inferred_from_type_values_and_name(name):
    values, kind = COLUMNS[name]
    table = table_of(pd.DataFrame({"other": np.zeros(N), name: values}), "rows")
    assert infer_kinds(table, {}) == {"other": "number", name: kind}


@pytest.mark.parametrize("text", ["large_string", "dictionary"])
def test_no_more_rows_are_looked_at_than_tell_the_kind(monkeypatch, text):
    """Of most numbers a thousand; of what could be row numbers, identifiers or text 50,000."""
    rows = 200_000
    numbers = {"price": RNG.normal(size=rows), "visits": RNG.integers(0, 50, rows), "late": np.arange(rows)}
    numbers["late"][40_000:] = 7
    numbers["user_id"] = np.append(np.arange(2000)[::-1], np.zeros(rows - 2000))
    words = {"plan": np.array(["basic", "plus"] * (rows // 2)), "note": np.array([f"n{n}" for n in range(rows)])}
    data = pa.table(numbers | words)
    for name in words:
        stored = data[name].cast(pa.large_string()) if text == "large_string" else data[name].dictionary_encode()
        data = data.set_column(data.column_names.index(name), name, stored)
    table = table_of(data, "rows", DataSettings())
    asked = {}
    original = type(table).first_rows
    monkeypatch.setattr(
        type(table),
        "first_rows",
        lambda self, names, count, **more: (
            asked.update(dict.fromkeys(names, count)) or original(self, names, count, **more)
        ),
    )
    kinds = infer_kinds(table, {})
    assert {name: kinds[name] for name in numbers} == dict.fromkeys(numbers, "number")
    assert asked == {"price": 1000, "visits": 1000} | dict.fromkeys(
        ["late", "user_id", *(words if text == "large_string" else ())], 50_000
    )
    assert kinds["plan"] == "category"
    assert kinds["note"] == ("text" if text == "large_string" else "category")


def test_a_few_rows_are_enough_for_categories_and_too_few_for_identifiers():
    frame = pd.DataFrame({"plan": ["a", "b", "c"], "id": ["x", "y", "z"], "n": [1, 2, 3]})
    assert infer_kinds(table_of(frame, "rows"), {}) == {"plan": "category", "id": "text", "n": "number"}


def test_the_user_has_the_last_word():
    frame = pd.DataFrame({"zip": [501, 1001], "code": ["a", "b"], "flag": [0, 1], "id": [1, 2]})
    overrides = {"zip": "category", "code": "text", "flag": "boolean", "id": "number"}
    assert infer_kinds(table_of(frame, "rows"), overrides) == overrides


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"plann": "category"}, r"data\.kinds names the column 'plann', which is not there; did you mean 'plan'\?"),
        ({"zzz": "category"}, r"'zzz', which is not there\. Found: plan, n\."),
        ({"plan": "number"}, r"data\.kinds calls 'plan' a number, but it holds string values \('basic'\)"),
        ({"n": "time"}, r"calls 'n' a time, but it holds int64 values \('1'\)"),
    ],
)
def test_an_override_that_can_not_be_followed_is_a_usage_error(overrides, message):
    table = table_of(pd.DataFrame({"plan": ["basic", "gold"], "n": [1, 2]}), "rows")
    with pytest.raises(UsageError, match=message):
        infer_kinds(table, overrides)
