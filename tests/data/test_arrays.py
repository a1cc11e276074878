"""Arrow and NumPy without pandas: the same values as Arrow's own conversion gives."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.data.arrays import from_mask, from_numbers, from_words, to_numpy, without

TYPES = [pa.int64(), pa.float64(), pa.bool_(), pa.int8(), pa.float32(), pa.timestamp("us"), pa.timestamp("ns")]


@pytest.mark.parametrize("kind", TYPES, ids=str)
@given(gaps=st.lists(st.booleans(), max_size=40), begin=st.integers(0, 20), seed=st.integers(0, 9))
def test_values_are_those_of_arrow(kind, gaps, begin, seed):
    numbers = np.random.default_rng(seed).integers(0, 2 if pa.types.is_boolean(kind) else 100, len(gaps))
    stored = pa.array(numbers, mask=np.array(gaps, bool)).cast(kind).slice(begin)
    expected = stored.to_numpy(zero_copy_only=False)
    found = to_numpy(stored)
    if stored.null_count and pa.types.is_boolean(kind):
        expected = np.array([np.nan if value is None else float(value) for value in stored.to_pylist()])
    np.testing.assert_array_equal(found, expected)
    assert found.dtype.kind == expected.dtype.kind or len(stored) == 0


def test_nothing_but_missing_values_is_nan():
    assert np.isnan(to_numpy(pa.nulls(3))).all()


@given(st.lists(st.booleans()))
def test_a_mask_keeps_what_it_marks(mask):
    assert from_mask(np.array(mask, bool)).to_pylist() == mask


@given(st.lists(st.text()))
def test_words_stay_words(words):
    assert from_words(words).to_pylist() == words


def test_numbers_and_times_stay_what_they_are():
    assert from_numbers(np.array([1.5, 2.5])[::-1]).to_pylist() == [2.5, 1.5]
    assert from_numbers(np.array([3], np.int64)).type == pa.int64()
    assert from_numbers(np.array(["2025-01-01"], "datetime64[us]")).to_pylist() == [datetime(2025, 1, 1)]


def test_chosen_values_become_missing():
    assert without(pa.array(["a", "b"]), from_mask(np.array([True, False]))).to_pylist() == [None, "b"]
