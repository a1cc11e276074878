"""What kind of thing a column holds, from its type and a bounded look at its values.

number     int or float values; can be averaged
category   text with few values that come back; also what the user calls so
boolean    true or false
time       moments and days
text       identifiers and free text: values that hardly ever come back, so nothing can be learned from them
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.data.arrays import to_numpy
from evergreen.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evergreen.data.sources import Table

LOOK_ROWS = 50_000
MIN_ROWS = 20  # below, "all values differ" says nothing about a column
MAX_DISTINCT_SHARE = 0.5  # text values that come back less than twice on average are not categories
MAX_NAMED_SHARE = 0.2  # the same for columns that are called an identifier
IDENTIFIER = re.compile(r"(^|_)(id|ids|uuid|guid|rowid|row_id|row_number|index)$|^unnamed_+\d+$")


def infer_kinds(table: "Table", overrides: Mapping[str, str]) -> dict[str, str]:
    """The kind of each column: "number", "category", "boolean", "time" or "text", in table order.

    `overrides` are kinds that the user has set; one for a column that is not there raises `UsageError`.
    Whole numbers that are all different are "text" when the column is called an identifier or when
    they count the rows. A column without any value is "text".
    """
    check_known(overrides, table, "data.kinds")
    for name, kind in overrides.items():
        _check_override(table, name, kind)
    with ThreadPoolExecutor(2) as pool:  # a look at a column reads its first chunk of rows, which may be a million
        kinds = pool.map(lambda name: overrides.get(name) or _infer_kind(table, name), table.types)
        return dict(zip(table.types, kinds, strict=True))


def check_known(names: Mapping[str, str] | tuple[str, ...], table: "Table", key: str) -> None:
    """Raise `UsageError` when a setting names a column that the table does not have."""
    for name in names:
        if name not in table.types:
            close = get_close_matches(name, list(table.types), n=1)
            hint = f"; did you mean '{close[0]}'?" if close else "."
            found = f"Found: {', '.join(table.types)}."
            raise UsageError(f"{table.name}: {key} names the column '{name}', which is not there{hint} {found}")


def _check_override(table: "Table", name: str, kind: str) -> None:
    found = table.types[name]
    numeric = pa.types.is_int64(found) or pa.types.is_float64(found) or pa.types.is_boolean(found)
    possible = {
        "number": numeric,
        "boolean": numeric or pa.types.is_string(found),
        "time": pa.types.is_timestamp(found),
    }
    if not possible.get(kind, True) and not pa.types.is_null(found):
        first = next((str(value) for piece in table.arrays(name) for value in piece.drop_null().slice(0, 1)), "")
        raise UsageError(f"{table.name}: data.kinds calls '{name}' a {kind}, but it holds {found} values ('{first}').")


def _infer_kind(table: "Table", name: str) -> str:
    found = table.types[name]
    if name == table.time or pa.types.is_timestamp(found):
        return "time"
    if pa.types.is_boolean(found):
        return "boolean"
    if pa.types.is_dictionary(found):
        return "category"
    if pa.types.is_int64(found) or pa.types.is_float64(found):
        return "text" if _names_rows(name, _look(table, name)) else "number"
    return "category" if pa.types.is_string(found) and _comes_back(name, _look(table, name)) else "text"


def _look(table: "Table", name: str) -> pa.Array:
    """The present values among the first rows."""
    pieces = [piece.drop_null() for piece in _first_rows(table.arrays(name))]
    return pa.concat_arrays(pieces)


def _first_rows(chunks: "Iterator[pa.Array]") -> "Iterator[pa.Array]":
    left = LOOK_ROWS
    for chunk in islice(chunks, LOOK_ROWS):
        yield chunk.slice(0, left)
        left -= min(left, len(chunk))
        if not left:
            return


def _names_rows(name: str, values: pa.Array) -> bool:
    """Whether numbers are an identifier: called so and all different, or simply 1, 2, 3 ..."""
    numbers = to_numpy(values)
    if len(numbers) < MIN_ROWS or not np.all(np.isfinite(numbers)) or not np.all(numbers == np.floor(numbers)):
        return False
    if np.all(np.diff(numbers) == 1):
        return True
    return _is_identifier(name) and len(np.unique(numbers)) > 0.95 * len(numbers)


def _comes_back(name: str, values: pa.Array) -> bool:
    distinct = pc.count_distinct(values).as_py()
    if len(values) < MIN_ROWS:
        return distinct > 0 and not (_is_identifier(name) and distinct == len(values))
    limit = MAX_NAMED_SHARE if _is_identifier(name) else MAX_DISTINCT_SHARE
    return bool(0 < distinct <= limit * len(values))


def _is_identifier(name: str) -> bool:
    """Whether a column is called an identifier: `id`, `customer_id`, `customerId`, `Row ID`."""
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return bool(IDENTIFIER.search(re.sub(r"[\W_]+", "_", split).lower()))
