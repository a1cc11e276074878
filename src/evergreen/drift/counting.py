"""One column counted, piece by piece: numbers by sorting, labels by codes; no Python object is made for a row."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa

from evergreen.data.arrays import to_numpy
from evergreen.drift.summaries import (
    CategoryProfile,
    NumberProfile,
    count_numbers,
    empty_profile,
    keep_labels,
    merge_columns,
)

BLOCK_ROWS = 2**17  # sorted at a time where the bins are known: 1 MB, which stays in the cache of a core
FLAGS = {"true": "1", "false": "0"}
MOST_LABELS = 100_000  # held by name while a column is counted; beyond, rare ones are counted together

Bins = tuple[np.ndarray, np.ndarray]


def family_of(stored: pa.DataType) -> str:
    """What values of a type can be compared with: one of "number", "text", "null", "other"."""
    types = pa.types
    if types.is_dictionary(stored):
        return family_of(stored.value_type)
    if types.is_integer(stored) or types.is_floating(stored) or types.is_decimal(stored) or types.is_boolean(stored):
        return "number"
    if types.is_string(stored) or types.is_large_string(stored) or types.is_string_view(stored):
        return "text"
    return "null" if types.is_null(stored) else "other"


def to_values(piece: pa.Array) -> np.ndarray:
    """Numbers of any type as they are stored, NaN for missing ones; not to be written into.

    Integers and float32 keep their width, because they are sorted quicker than float64, in the same order.

    >>> to_values(pa.array([1, 2], pa.int8())).dtype, to_values(pa.array([1, None], pa.int8())).dtype
    (dtype('int8'), dtype('float64'))
    """
    values = piece.dictionary_decode() if pa.types.is_dictionary(piece.type) else piece
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    elif pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    return to_numpy(values)


def count_in_bins(pieces: Iterable[pa.Array], bins: Bins) -> NumberProfile:
    """The profile of values in any order on known bins; memory is a piece."""
    columns = (to_values(piece) for piece in pieces)
    blocks = (sort_values(block) for values in columns for block in _blocks(values))
    return _count_blocks(blocks, bins)


def count_sorted(values: np.ndarray, bins: Bins) -> NumberProfile:
    """The profile of sorted values, a block at a time; the same for any order that they had before."""
    return _count_blocks(_blocks(values), bins)


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    return (values[begin : begin + BLOCK_ROWS] for begin in range(0, len(values), BLOCK_ROWS))


def _count_blocks(blocks: Iterator[np.ndarray], bins: Bins) -> NumberProfile:
    parts = (count_numbers(block, *bins) for block in blocks)
    return reduce(merge_columns, parts, next(parts, None) or empty_profile(bins))


def sort_values(values: np.ndarray) -> np.ndarray:
    """Sorted, NaN last, as float64."""
    return np.sort(values).astype(np.float64, copy=False)


def gather(pieces: Iterable[pa.Array], rows: int) -> np.ndarray:
    """All values of a column in one array that can be sorted in place, in the width that holds them all."""
    gathered, filled = np.empty(0), 0
    for piece in pieces:
        values = to_values(piece)
        if not filled:
            gathered = np.empty(rows, values.dtype)
        elif values.dtype != gathered.dtype:
            gathered = gathered.astype(np.result_type(gathered, values))
        gathered[filled : filled + len(values)] = values
        filled += len(values)
    return gathered[:filled]


def count_missing(pieces: Iterable[pa.Array]) -> tuple[int, int]:
    """How many values there are, and how many rows without one."""
    sizes = [(len(piece), piece.null_count) for piece in pieces]
    missing = sum(absent for _, absent in sizes)
    return sum(size for size, _ in sizes) - missing, missing


def count_labels(pieces: Iterable[pa.Array], kind: str, family: str, named: Collection[str] = ()) -> CategoryProfile:
    """The profile of categories. Exact up to 100,000 different labels; beyond, rare ones are counted together.

    Labels in `named`, those of the reference, are counted by name whatever there is beside them; flags by its words.
    """
    total = CategoryProfile({}, 0, family, kind=kind)
    counts: Counter[str] = Counter()
    for piece in pieces:
        total = replace(total, missing=total.missing + _add_labels(counts, piece))
        if len(counts) > 2 * MOST_LABELS:
            total = keep_labels(replace(total, counts=counts), MOST_LABELS, named)
            counts = Counter(total.counts)
    return keep_labels(replace(total, counts=dict(sorted(_as_named(counts, named).items()))), MOST_LABELS, named)


def _as_named(counts: Counter[str], named: Collection[str]) -> Counter[str]:
    """Counts of flags by the reference's words for them: TRUE in a CSV file is a boolean, and may be a text elsewhere.

    >>> dict(_as_named(Counter({"1": 3, "0": 2}), ["FALSE", "TRUE"]))
    {'TRUE': 3, 'FALSE': 2}
    """
    known = {FLAGS.get(name.lower(), name): name for name in named}
    if not known or len(known) < len(named) or not known.keys() <= {*FLAGS.values()}:
        return counts
    spelled: Counter[str] = Counter()
    for label, count in counts.items():
        spelled[known.get(FLAGS.get(label.lower(), label), label)] += count
    return spelled


def _add_labels(counts: Counter[str], piece: pa.Array) -> int:
    """Add a piece to the counts; returns how many values were missing."""
    missing = 0
    for value, count in _value_counts(piece):
        if value is None or value != value:  # noqa: PLR0124 - NaN
            missing += count
        else:
            counts[_label(value)] += count
    return missing


def _value_counts(piece: pa.Array) -> Iterator[tuple[Any, int]]:
    """The different values of a piece and how often each occurs; of a dictionary the codes are counted."""
    if pa.types.is_dictionary(piece.type) and len(piece.dictionary) <= len(piece):
        found = np.bincount(to_numpy(piece.indices.drop_null()), minlength=len(piece.dictionary)).tolist()
        values = piece.dictionary.to_pylist()
        counted = zip([*values, None], [*found, piece.indices.null_count], strict=True)
        return ((value, count) for value, count in counted if count)
    table = piece.value_counts()
    return zip(table.field("values").to_pylist(), table.field("counts").to_pylist(), strict=True)


def _label(value: object) -> str:
    """Labels that are equal in Python have equal text: 1, 1.0 and True are "1"."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(int(value))
    number = float(value)  # type: ignore[arg-type]
    return str(int(number)) if number.is_integer() else repr(number)
