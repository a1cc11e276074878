"""pandas frames as Arrow tables, column by column, so that a column Arrow doesn't know hides none of the others."""

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from evergreen.data.formats.chunks import check_names

if TYPE_CHECKING:
    import pandas as pd

# What Arrow and pandas raise for values of mixed types, whole numbers beyond 64 bits, complex numbers, lone surrogates.
NO_ARROW_VALUES = (pa.ArrowException, TypeError, ValueError, OverflowError)


def to_table(frame: "pd.DataFrame", source: str) -> pa.Table:
    """A frame without its index. Raises `DataError` when it has no columns, or two of one name."""
    names = [str(name) for name in frame.columns]
    check_names(source, names)
    return pa.table({name: _convert(frame.iloc[:, place]) for place, name in enumerate(names)})


def to_arrow(values: "pd.Series[Any]") -> pa.Array:
    """A pandas column as one Arrow array; values that Arrow has no type for become text.

    >>> import pandas as pd
    >>> to_arrow(pd.Series([2**70, None, "a"])).to_pylist()
    ['1180591620717411303424', None, 'a']
    """
    array = _convert(values)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _convert(values: "pd.Series[Any]") -> pa.Array | pa.ChunkedArray:
    import pandas as pd

    dense = values.astype(values.dtype.subtype) if isinstance(values.dtype, pd.SparseDtype) else values
    try:
        return pa.Array.from_pandas(dense)
    except NO_ARROW_VALUES:
        return pa.Array.from_pandas(dense.map(_word, na_action="ignore").astype(object), type=pa.string())


def _word(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()  # a lone surrogate is no text in any encoding
