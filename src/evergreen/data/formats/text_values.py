"""Which type written values have: whole numbers, numbers, true/false, times, or just text.

A value counts as a number only if nothing of it is lost: `00501` (a zip code), `0x1F` and whole
numbers with more digits than a number can hold stay text. Each block of a column says what it could
be; what all blocks can be, decides. So the order of rows, blocks and files doesn't matter.
"""

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.data.arrays import from_words
from evergreen.data.formats.chunks import TIME

INTEGER, NUMBER, BOOLEAN, MOMENT, ZONED = "integer", "number", "boolean", "moment", "zoned"
ORDER = (BOOLEAN, INTEGER, NUMBER, MOMENT, ZONED)  # the first that fits all values
EVERYTHING = frozenset(ORDER)
TYPES = {INTEGER: pa.int64(), NUMBER: pa.float64(), BOOLEAN: pa.bool_(), MOMENT: TIME, ZONED: TIME}
TRUTH = from_words(["true", "false", "True", "False", "TRUE", "FALSE"])
LARGEST_EXACT = 2**53  # beyond it a float64 skips whole numbers
PROBE_ROWS = 64  # a cast that fails is ten times slower than one that works, so a few values go first
NOT_DECIMAL = r"^\s*[+-]?0[0-9]|[xX]"  # leading zeros and hexadecimal digits
LONG_INTEGER = r"^\s*[+-]?[0-9]{16,}\s*$"
DAY = r"^\d{4}-\d{2}-\d{2}"


class TooLargeError(ValueError):
    """A number beyond what float64 can hold, as it was written."""


def possible_types(values: pa.Array, alive: frozenset[str] = EVERYTHING) -> frozenset[str]:
    """Those of the types `alive` that every value of a block can be read as; `values` holds no missing ones.

    Raises `TooLargeError` when a number is too large to be one (`1e400`).

    >>> sorted(possible_types(pa.array(["1", "20"]))), sorted(possible_types(pa.array(["00501"])))
    (['integer', 'number'], [])
    """
    if not len(values) or not alive:
        return alive
    if alive & {INTEGER, NUMBER} and (found := _number_types(values)):
        return alive & found
    if BOOLEAN in alive and pc.all(pc.is_in(values, TRUTH)).as_py():
        return frozenset({BOOLEAN})
    if alive & {MOMENT, ZONED} and pc.all(pc.match_substring_regex(values, DAY)).as_py():
        return alive & {name for name in (MOMENT, ZONED) if _try(values, name) is not None}
    return frozenset()


def _number_types(values: pa.Array) -> set[str]:
    whole = _try(values, INTEGER)
    numbers = whole if whole is not None else _try(values, NUMBER)
    if numbers is None or pc.any(pc.match_substring_regex(values, NOT_DECIMAL)).as_py():
        return set()
    if whole is not None:
        limits = pc.min_max(whole).as_py()
        return {INTEGER} if max(-limits["min"], limits["max"]) > LARGEST_EXACT else {INTEGER, NUMBER}
    _refuse_overflow(values, numbers)
    return set() if pc.any(pc.match_substring_regex(values, LONG_INTEGER)).as_py() else {NUMBER}


def _refuse_overflow(values: pa.Array, numbers: pa.Array) -> None:
    infinite = pc.is_inf(numbers)
    if pc.any(infinite).as_py():
        written = pc.filter(values, infinite)
        too_large = pc.filter(written, pc.match_substring_regex(written, "[0-9]"))
        if len(too_large):
            raise TooLargeError(str(too_large[0]))


def read_as(values: pa.Array, name: str) -> pa.Array:
    """Text as values of one of the types that `possible_types` found; missing stays missing."""
    converted = _try(values, name)
    assert converted is not None, name
    return converted


def _try(values: pa.Array, name: str) -> pa.Array | None:
    if name == MOMENT:
        return _cast_or_none(_without_nanoseconds(values), TIME)
    if name == ZONED:
        zoned = _cast_or_none(_without_nanoseconds(values), pa.timestamp("us", "UTC"))
        return None if zoned is None else zoned.cast(TIME)
    converted = _cast_or_none(values, TYPES[name])
    if converted is None and name in (INTEGER, NUMBER):
        return _cast_or_none(_tidy(values), TYPES[name])
    return converted


def _cast_or_none(values: pa.Array, wanted: pa.DataType) -> pa.Array | None:
    try:
        pc.cast(values.slice(0, PROBE_ROWS), wanted)
        return pc.cast(values, wanted)
    except pa.ArrowInvalid:
        return None


def _tidy(values: pa.Array) -> pa.Array:
    """Numbers without spaces around them and without a plus sign, which Arrow doesn't take."""
    if not pc.any(pc.match_substring_regex(values, r"^[\s+]|\s$")).as_py():
        return values
    return pc.replace_substring_regex(pc.utf8_trim_whitespace(values), r"^\+", "")


def _without_nanoseconds(values: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring_regex(values, r"\.\d{7}")).as_py():
        return values
    return pc.replace_substring_regex(values, r"(\.\d{6})\d+", r"\1")
