"""Random frames, written as CSV, Parquet and Feather, read back equal; and a table has one content in every format."""

import math
import tempfile
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from table_tools import content_of

from evergreen.data.formats.text_values import possible_types
from evergreen.data.sources import open_table
from evergreen.settings import DataSettings

# Text that begins and ends with a letter can't be taken for a number, a time or a missing value.
LETTERS = st.characters(min_codepoint=32, exclude_categories=("Cs",), exclude_characters="\ufeff\x85")
TEXT = st.text(LETTERS | st.sampled_from('",;\n\t'), max_size=8).map(lambda text: f"a{text}b")
MOMENTS = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))
COLUMNS = [
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, width=64),
    st.booleans(),
    TEXT,
    MOMENTS,
]
NAMES = st.text(LETTERS | st.sampled_from('",;'), min_size=1, max_size=6).map(lambda name: f"c{name}d")


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[object]]:
    names = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True))
    rows = draw(st.integers(1, 30))
    return {
        name: draw(st.lists(st.none() | draw(st.sampled_from(COLUMNS)), min_size=rows, max_size=rows)) for name in names
    }


def write_csv(content: dict[str, list[object]], path: Path) -> None:
    pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in content.items()}).to_csv(path, index=False)


@settings(max_examples=80)
@given(tables())
def test_parquet_and_feather_read_back_equal(content):
    stored = pa.table(content)
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(stored, Path(folder) / "t.parquet", row_group_size=7)
        pyarrow.feather.write_feather(stored, Path(folder) / "t.feather", chunksize=7)
        for name in "t.parquet", "t.feather":
            assert content_of(open_table(name, DataSettings(), Path(folder))) == content


@settings(max_examples=150)
@given(tables())
def test_csv_reads_back_equal_or_as_the_text_it_was(content):
    """Whole numbers beyond 2⁵³ among others, say, stay the text they are; nothing becomes another value."""
    with tempfile.TemporaryDirectory() as folder:
        write_csv(content, Path(folder) / "t.csv")
        found = content_of(open_table("t.csv", DataSettings(), Path(folder)))
    assert list(found) == list(content)
    for name, values in content.items():
        assert len(found[name]) == len(values)
        for before, after in zip(values, found[name], strict=True):
            assert after == before or (isinstance(after, str) and after == str(before)), (name, before, after)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_whole_numbers_of_64_bits_are_whole_numbers(numbers):
    assert "integer" in possible_types(pa.array([str(number) for number in numbers]))


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_python_writes_floats_that_are_read_back_exactly(numbers):
    from evergreen.data.formats.text_values import read_as

    words = pa.array([repr(number) for number in numbers])
    assert "number" in possible_types(words)
    assert all(
        math.copysign(1, a) == math.copysign(1, b) and a == b
        for a, b in zip(read_as(words, "number").to_pylist(), numbers, strict=True)
    )


@given(st.lists(st.text("0123456789+-.eExXNAinf ,", max_size=6), min_size=1, max_size=5))
def test_what_is_read_as_a_number_is_one_to_python_too(words):
    from evergreen.data.formats.text_values import TooLargeError, read_as

    values = pa.array(words)
    try:
        possible = possible_types(values)
    except TooLargeError:
        return
    for kind, convert in ("integer", int), ("number", float):
        if kind in possible:
            expected = [convert(word) for word in words]
            found = read_as(values, kind).to_pylist()
            assert all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(found, expected, strict=True))
