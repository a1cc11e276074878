"""Identity of rows: independent of order and representation, and different where a value is."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.data.rows import digest_rows, row_digests

FRAME = pd.DataFrame(
    {
        "n": [1.5, 2.0, np.nan, -0.0],
        "i": [1, 2, 3, 4],
        "w": ["x", "y", None, "1"],
        "b": [True, False, True, False],
        "t": pd.to_datetime(["2025-01-01", "2025-01-02", None, "2025-01-04"]),
    }
)


def test_order_of_rows_and_columns_makes_no_difference():
    assert digest_rows(FRAME.sample(frac=1, random_state=1)[["t", "w", "n", "b", "i"]]) == digest_rows(FRAME)
    assert row_digests(FRAME[["w", "i"]]).tolist() == row_digests(FRAME[["i", "w"]]).tolist()


@pytest.mark.parametrize(
    "column, kind",
    [
        ("i", "float64"),
        ("i", "int8"),
        ("i", "Int64"),
        ("i", object),
        ("w", object),
        ("w", "category"),
        ("b", "float64"),
        ("b", object),
        ("b", "boolean"),
        ("n", "Float64"),
        ("n", object),
        ("t", "datetime64[ns]"),
        ("t", "datetime64[s]"),
        ("t", "datetime64[us, UTC]"),
    ],
)
def test_a_value_is_the_same_in_every_type_it_can_be_kept_in(column, kind):
    other = FRAME.copy()
    other[column] = other[column].dt.tz_localize("UTC") if "UTC" in str(kind) else other[column].astype(kind)
    assert row_digests(other).tolist() == row_digests(FRAME).tolist()


def test_missing_is_missing_however_it_is_written():
    frames = [pd.DataFrame({"a": pd.Series([value], dtype=object)}) for value in (None, np.nan, pd.NA, pd.NaT)]
    frames.append(pd.DataFrame({"a": [np.nan]}))
    assert len({digest_rows(frame) for frame in frames}) == 1


def test_minus_zero_is_zero():
    assert digest_rows(pd.DataFrame({"a": [-0.0]})) == digest_rows(pd.DataFrame({"a": [0]}))


@pytest.mark.parametrize("column, value", [("n", 1.5000000001), ("i", 7), ("w", "z"), ("b", False), ("w", None)])
def test_another_value_is_another_row(column, value):
    other = FRAME.copy()
    other[column] = other[column].astype(object)
    other.loc[0, column] = value
    assert (row_digests(other) != row_digests(FRAME)).tolist() == [True, False, False, False]
    assert digest_rows(other) != digest_rows(FRAME)


def test_the_same_values_in_other_columns_are_other_rows():
    one, other = pd.DataFrame({"a": [1], "b": [2]}), pd.DataFrame({"a": [2], "b": [1]})
    assert digest_rows(one) != digest_rows(other)
    assert digest_rows(one) != digest_rows(one.rename(columns={"b": "c"}))


def test_text_is_not_the_number_it_spells():
    assert digest_rows(pd.DataFrame({"a": ["1"]})) != digest_rows(pd.DataFrame({"a": [1]}))


def test_a_row_more_or_twice_is_another_set():
    assert digest_rows(pd.concat([FRAME, FRAME[:1]])) != digest_rows(FRAME)
    assert len(digest_rows(FRAME[:0])) == 64


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=200))
def test_two_rows_have_one_number_exactly_when_they_are_equal(rows):
    digests = row_digests(pd.DataFrame(rows, columns=["a", "b"]))
    assert len(set(digests.tolist())) == len(set(rows))


def test_the_digest_is_the_same_in_every_process_and_version():
    assert digest_rows(pd.DataFrame({"a": [1, 2], "b": ["x", None]}))[:16] == "2ee8a488d9370fa3"
