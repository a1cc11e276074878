"""One class has one spelling, whatever type it is kept in."""

import itertools
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.data.labels import find_label, label_text
from evergreen.errors import UsageError


@pytest.mark.parametrize(
    "values",
    [
        [1, 0, 1],
        [1.0, 0.0, 1.0],
        [True, False, True],
        np.array([1, 0, 1], dtype=np.int8),
        np.array([1, 0, 1], dtype=np.float32),
        pd.Series([1, 0, 1], dtype="Int64"),
        pd.Series([True, False, True], dtype="boolean"),
        pd.Categorical([1, 0, 1]),
        pa.array([1, 0, 1]),
        ["1", "0", "1"],
        np.array([1, 0.0, True], dtype=object),
    ],
)
def test_a_class_has_the_same_text_in_every_type(values):
    assert label_text(values).tolist() == ["1", "0", "1"]


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT])
def test_missing_labels_are_none_and_not_a_class(missing):
    assert label_text(pd.Series(["a", missing, "b"], dtype=object)).tolist() == ["a", None, "b"]


def test_missing_values_do_not_change_the_text_of_the_others():
    assert label_text([3, None, 4]).tolist() == ["3", None, "4"]


def test_text_stays_exactly_as_it_is():
    words = ["UP", " up", "TRUE", "1.0", "01", ""]
    assert label_text(words).tolist() == words


def test_numbers_that_are_not_whole_keep_their_digits():
    assert label_text([2.5, -0.0, 1e300, float("inf")]).tolist() == ["2.5", "0", str(int(1e300)), "inf"]


def test_other_types_are_spelled_by_python():
    assert label_text(pd.Series([Decimal("1.5")], dtype=object)).tolist() == ["1.5"]


def test_no_labels_give_no_text():
    assert label_text([]).shape == (0,)


@given(st.lists(st.one_of(st.booleans(), st.integers(-5, 5), st.integers(-5, 5).map(float)), max_size=20))
def test_labels_have_equal_text_exactly_when_they_are_equal(values):
    texts = label_text(pd.Series(values, dtype=object))
    pairs = itertools.combinations(zip(values, texts, strict=True), 2)
    assert all((a == b) == (s == t) for (a, s), (b, t) in pairs)


@pytest.mark.parametrize("word", ["1", "1.0", "true", "True", "TRUE"])
def test_a_word_from_the_configuration_finds_its_class(word):
    assert find_label(word, ("0", "1")) == "1"


def test_an_exact_spelling_wins_over_a_meaning():
    assert find_label("true", ("1", "true")) == "true"


def test_an_unknown_class_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"no class 'yes'.*'no', 'maybe'"):
        find_label("yes", ("no", "maybe"))
