"""Text columns that are numbers to a person: refused with the way out, never taken for categories in silence."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.errors import DataError

NUMBER = r"^\s*[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"
CODE = r"^[+-]?0[0-9]|[0-9]{16,}"  # leading zeros, card numbers: a column with such values is text on purpose
WITH_COMMAS = r"^\s*[+-]?([0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?|[0-9]+,[0-9]+)\s*$"
MARKERS = frozenset({"na", "n/a", "#n/a", "nan", "null", "none", "nil", "?", "-", "--", ".", "missing", "unknown", ""})
MOST = 0.5  # below this share of numbers a column is text with some numbers in it


def refuse_almost_numbers(blocks: Sequence[pa.Array], where: str) -> None:
    """Raise `DataError` when all values are numbers but for a word that means "no value", or for commas in them."""
    if not blocks or not _mostly_numbers(blocks[0]):
        return
    if any(pc.any(pc.match_substring_regex(block, CODE)).as_py() for block in blocks):
        return
    odd = _odd_values(blocks)
    first, row = next(iter(odd.items()), ("", 0))
    if odd and all(value.strip().lower() in MARKERS for value in odd):
        words = ", ".join(f"'{value}'" for value in odd)
        raise DataError(
            f'{where} holds numbers, and {words} (first in data row {row}). If that means "no value", add it to '
            "data.missing; if the column is not a number, say so in data.kinds."
        )
    if odd and all(pc.match_substring_regex(pa.array(list(odd)), WITH_COMMAS).to_pylist()):
        raise DataError(
            f"{where} holds numbers with commas in them ('{first}' in data row {row}). Write them with a decimal "
            "point and without separators; if the column is not a number, say so in data.kinds."
        )


def _mostly_numbers(block: pa.Array) -> bool:
    present = block.drop_null()
    if not len(present):
        return False
    numbers = pc.match_substring_regex(present, f"{NUMBER}|{WITH_COMMAS}")
    return bool(pc.mean(numbers).as_py() >= MOST)


def _odd_values(blocks: Sequence[pa.Array]) -> dict[str, int]:
    """The values that are no numbers, each with its first data row; a few more than there are markers at most."""
    odd: dict[str, int] = {}
    rows = 0
    for block in blocks:
        is_number = pc.match_substring_regex(block, NUMBER)
        found = pc.unique(pc.filter(block, pc.invert(is_number))).slice(0, len(MARKERS) + 1).to_pylist()
        values = block.to_pylist() if found else []
        odd = {value: rows + values.index(value) + 1 for value in found} | odd
        if len(odd) > len(MARKERS):
            return odd
        rows += len(block)
    return odd
