"""The configured time column, read without guessing."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.data.formats import text_values
from evergreen.data.formats.chunks import TIME
from evergreen.errors import DataError
from evergreen.settings import DataSettings

UNITS = ("s", "ms", "us", "ns")  # time_format for whole numbers: seconds since 1970 and its fractions
STYLES = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d %b %Y")
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")


def parse_times(column: pa.ChunkedArray, settings: DataSettings, source: str) -> pa.ChunkedArray:
    """A time column as timestamps (naive UTC) by `data.time_format`, or by ISO 8601 without one.

    Raises `DataError` with the first value that does not fit, and the formats that would.
    """
    where = f"{source}: time column '{settings.time}'"
    if pa.types.is_int64(column.type):
        return _from_numbers(column, settings.time_format, where)
    if pa.types.is_null(column.type):
        raise DataError(f"{where} has no values.")
    text = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    if not pa.types.is_string(text.type):
        raise DataError(f"{where} holds {column.type} values, not times. Set data.time to the column that says when.")
    return _from_text(text, settings.time_format, where)


def _from_numbers(column: pa.ChunkedArray, unit: str, where: str) -> pa.ChunkedArray:
    if unit == "%Y%m%d":
        return _from_text(column.cast(pa.string()), unit, where)
    if unit not in UNITS:
        raise DataError(
            f"{where} holds whole numbers ({column[0]}). For a count since 1970 set data.time_format to its unit: "
            f"{', '.join(UNITS)}. Without a time, leave data.time empty: the rows then stand in time order."
        )
    return pc.cast(column.cast(pa.timestamp(unit)), TIME, safe=False)


def _from_text(column: pa.ChunkedArray, style: str, where: str) -> pa.ChunkedArray:
    encoded = column.combine_chunks().dictionary_encode()
    words = encoded.dictionary
    parsed = _by_style(words, style, where) if style else _by_iso(words, where)
    return pa.chunked_array([pc.take(parsed, encoded.indices)])


def _by_iso(words: pa.Array, where: str) -> pa.Array:
    found = text_values.possible_types(words, frozenset({text_values.MOMENT, text_values.ZONED}))
    for name in (text_values.MOMENT, text_values.ZONED):
        if name in found:
            return text_values.read_as(words, name)
    texts = words.to_pylist()
    if all(map(_is_iso, texts)):
        raise DataError(f"{where} mixes times with and without a time zone, such as '{texts[0]}'. Write one kind.")
    odd = next(text for text in texts if not _is_iso(text))
    fitting = [style for style in _styles() if all(_parse(text, style) for text in texts)]
    if len(fitting) > 1:
        raise DataError(f"{where} has ambiguous dates: {odd}. Set data.time_format to one of {', '.join(fitting)}.")
    hint = f'set data.time_format = "{fitting[0]}"' if fitting else "set data.time_format (as for strptime)"
    raise DataError(f"{where}: '{odd}' is not a date in ISO 8601 (2025-03-31 14:05:00); {hint}.")


def _by_style(words: pa.Array, style: str, where: str) -> pa.Array:
    parsed = [_parse(text, style) for text in words.to_pylist()]
    if None in parsed:
        odd = words[parsed.index(None)]
        raise DataError(f"{where}: '{odd}' does not fit data.time_format = \"{style}\".")
    return pa.array(parsed, TIME)


def _parse(text: str, style: str) -> datetime | None:
    try:
        parsed = datetime.strptime(text, style)
    except ValueError:
        return None
    return parsed.astimezone(UTC).replace(tzinfo=None) if parsed.tzinfo else parsed


def _is_iso(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _styles() -> list[str]:
    return [day + clock for day in STYLES for clock in CLOCKS]
