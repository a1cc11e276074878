"""The words a user calls missing, turned into missing values whatever the file format."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.data.arrays import from_numbers, from_words, without
from evergreen.data.formats.chunks import is_text


def clean(table: pa.Table, words: Sequence[str]) -> pa.Table:
    """The same table with null for text equal to one of the words, and for numbers equal to a word's number."""
    arrays = [
        pa.chunked_array([_clean_array(chunk, words) for chunk in column.chunks], column.type)
        for column in table.columns
    ]
    return pa.Table.from_arrays(arrays, names=table.column_names)


def _clean_array(array: pa.Array, words: Sequence[str]) -> pa.Array:
    if is_text(array.type):
        return _without(array, from_words(words).cast(array.type))
    if pa.types.is_dictionary(array.type) and is_text(array.type.value_type):
        known = pc.is_in(array.dictionary, from_words(words).cast(array.type.value_type))
        kept = without(array.indices, pc.take(known, array.indices)) if pc.any(known).as_py() else array.indices
        return pa.DictionaryArray.from_arrays(kept, array.dictionary)
    numbers = _numbers(words)
    if len(numbers) and (pa.types.is_int64(array.type) or pa.types.is_float64(array.type)):
        return _without(array, pc.cast(from_numbers(numbers), array.type, safe=False))
    return array


def _without(array: pa.Array, values: pa.Array) -> pa.Array:
    found = pc.is_in(array, values)
    return without(array, found) if pc.any(found).as_py() else array


def has_numbers(words: Sequence[str]) -> bool:
    """Whether one of the words is a number, such as -999."""
    return len(_numbers(words)) > 0


def _numbers(words: Sequence[str]) -> np.ndarray:
    found = []
    for word in words:
        try:
            found.append(float(word))
        except ValueError:
            continue
    return np.array(found, np.float64)
