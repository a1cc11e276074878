"""What kind of thing a column holds, from its type and a bounded look at its values.

number     int or float values; can be averaged
category   text with few values that come back; also what the user calls so
boolean    true or false
time       moments and days
text       identifiers and free text: values that hardly ever come back, so nothing can be learned from them
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.data.arrays import to_numpy
from evergreen.errors import UsageError

if TYPE_CHECKING:
    from evergreen.data.sources import Table

FEW_ROWS = 1000  # most numbers are told by these
LOOK_ROWS = 50_000
LOOK_VALUES = 2**22  # so many columns are looked at together as have this many values in the first chunk of rows
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
    kinds = {name: overrides.get(name) or _kind_of_type(table, name) for name in table.types}
    for rows in (FEW_ROWS, LOOK_ROWS):
        unclear = [name for name, kind in kinds.items() if not kind]
        width = max(1, LOOK_VALUES // table.chunk_rows()[0])
        for begin in range(0, len(unclear), width):
            names = unclear[begin : begin + width]
            first = table.first_rows(names, rows, coded=names)
            everything = rows == LOOK_ROWS or sum(part.num_rows for part in first) < rows
            for name in names:
                values = [piece.drop_null() for part in first for piece in part.column(name).chunks]
                text = pa.types.is_string(table.types[name])
                kinds[name] = (_kind_of_words if text else _kind_of_numbers)(name, values, everything)
    return kinds


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


def _kind_of_type(table: "Table", name: str) -> str:
    """The kind, where the type alone tells it; else ""."""
    found = table.types[name]
    if name == table.time or pa.types.is_timestamp(found):
        return "time"
    if pa.types.is_boolean(found):
        return "boolean"
    if pa.types.is_dictionary(found):
        return "category"
    if pa.types.is_int64(found) or pa.types.is_float64(found) or pa.types.is_string(found):
        return ""
    return "text"


def _kind_of_numbers(name: str, pieces: Sequence[pa.Array], everything: bool) -> str:
    """The kind of a column of numbers by its first values; "" when these are too few to tell."""
    numbers = np.concatenate([np.empty(0), *(to_numpy(_plain(piece)) for piece in pieces)])
    if everything:
        return "text" if _names_rows(name, numbers) else "number"
    broken = not np.all(np.isfinite(numbers)) or not np.all(numbers == np.floor(numbers))
    return "number" if broken or (not _is_identifier(name) and np.any(np.diff(numbers) != 1)) else ""


def _kind_of_words(name: str, pieces: Sequence[pa.Array], everything: bool) -> str:
    if not everything:
        return ""
    return "category" if _comes_back(name, pieces) else "text"


def _plain(piece: pa.Array) -> pa.Array:
    """Numbers as NumPy knows them: as int64 or float64, not as decimals or codes."""
    return piece if pa.types.is_integer(piece.type) or pa.types.is_float64(piece.type) else pc.cast(piece, pa.float64())


def _names_rows(name: str, numbers: np.ndarray) -> bool:
    """Whether numbers are an identifier: called so and all different, or simply 1, 2, 3 ..."""
    if len(numbers) < MIN_ROWS or not np.all(np.isfinite(numbers)) or not np.all(numbers == np.floor(numbers)):
        return False
    if np.all(np.diff(numbers) == 1):
        return True
    return _is_identifier(name) and len(np.unique(numbers)) > 0.95 * len(numbers)


def _comes_back(name: str, pieces: Sequence[pa.Array]) -> bool:
    words = [piece.unique().cast(pa.string()) for piece in pieces]  # where there is a dictionary, codes are compared
    distinct, rows = pc.count_distinct(pa.chunked_array(words, pa.string())).as_py(), sum(map(len, pieces))
    if rows < MIN_ROWS:
        return distinct > 0 and not (_is_identifier(name) and distinct == rows)
    limit = MAX_NAMED_SHARE if _is_identifier(name) else MAX_DISTINCT_SHARE
    return bool(0 < distinct <= limit * rows)


def _is_identifier(name: str) -> bool:
    """Whether a column is called an identifier: `id`, `customer_id`, `customerId`, `Row ID`."""
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return bool(IDENTIFIER.search(re.sub(r"[\W_]+", "_", split).lower()))
