"""Between Arrow and NumPy without pandas.

`pyarrow.array(...)`, `pyarrow.scalar(...)` and `Array.to_numpy()` import pandas (0.4 s) the first time
they run, only to learn whether they were handed something of its. A drift report on two files needs
no pandas, so its path converts by these functions, which hand over the memory itself.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def to_numpy(array: pa.Array) -> np.ndarray:
    """Numbers, truth values or times as a NumPy array of shape (n,); missing is NaN or NaT.

    bool and integers with missing values become float64; without, they keep their type. Times are
    `datetime64[us]`. The result may share memory with `array`: don't write into it.

    >>> to_numpy(pa.array([1, None, 3]))
    array([ 1., nan,  3.])
    """
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan)
    if pa.types.is_boolean(array.type):
        array = pc.cast(array, pa.uint8()) if array.null_count else array
    if pa.types.is_boolean(array.type):
        return _bits(array.buffers()[1], array.offset, len(array))
    values = np.frombuffer(array.buffers()[1], _numpy_type(array.type))[array.offset : array.offset + len(array)]
    return _with_gaps(values, array) if array.null_count else values


def _numpy_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return f"datetime64[{kind.unit}]"
    return {"double": "float64", "float": "float32", "halffloat": "float16"}.get(str(kind), str(kind))


def _with_gaps(values: np.ndarray, array: pa.Array) -> np.ndarray:
    gap = np.datetime64("NaT") if values.dtype.kind == "M" else np.nan
    filled = values.copy() if values.dtype.kind in "Mf" else values.astype(np.float64)
    filled[~_bits(array.buffers()[0], array.offset, len(array))] = gap
    return filled


def _bits(buffer: pa.Buffer, offset: int, count: int) -> np.ndarray:
    packed = np.frombuffer(buffer, np.uint8)
    return np.unpackbits(packed, count=offset + count, bitorder="little")[offset:].astype(bool)


def from_mask(mask: np.ndarray) -> pa.BooleanArray:
    """A mask of shape (n,) for `filter`.

    >>> from_mask(np.array([True, False])).to_pylist()
    [True, False]
    """
    packed = np.packbits(mask, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, pa.py_buffer(packed)])


def from_words(words: Sequence[str]) -> pa.StringArray:
    """Text values.

    >>> from_words(["", "NA"]).to_pylist()
    ['', 'NA']
    """
    encoded = [word.encode() for word in words]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(words), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


def from_numbers(numbers: np.ndarray) -> pa.Array:
    """An int64, float64 or `datetime64[us]` array of shape (n,), without missing values."""
    kind = pa.timestamp("us") if numbers.dtype.kind == "M" else pa.from_numpy_dtype(numbers.dtype)
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(np.ascontiguousarray(numbers).view(np.uint8))])


def without(array: pa.Array, found: pa.BooleanArray) -> pa.Array:
    """The same values, missing where `found` is true."""
    return pc.if_else(found, pa.nulls(len(array), array.type), array)
