"""CSV files, read exactly or refused with the line and column.

Arrow parses; this module adds what no reader checks: what the bytes are, that every row has the
columns of the header, and that no value loses anything on its way to a type (see `text_values`).
The delimiter is the one in the header: comma, semicolon, tab or bar.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from evergreen.data.formats import text_values
from evergreen.data.formats.almost_numbers import refuse_almost_numbers
from evergreen.data.formats.chunks import Chunks, check_names
from evergreen.data.formats.places import DataFile
from evergreen.data.formats.raw_bytes import LONGEST_ROW, check_bytes, check_quotes, check_start
from evergreen.data.formats.spool import keep
from evergreen.errors import DataError

DELIMITERS = ",;\t|"
HEADER_BYTES = 1 << 20


@dataclass
class _Column:
    """What is known of a column while its blocks go by."""

    possible: frozenset[str]
    judged: bool = True
    filled: bool = False

    @property
    def type_name(self) -> str:
        return next((name for name in text_values.ORDER if name in self.possible), "")


def open_csv(
    files: Sequence[DataFile],
    missing: Sequence[str],
    as_text: frozenset[str],
    unjudged: frozenset[str] = frozenset(),
) -> Chunks:
    """The rows of all files; a column has the type that fits its values in every file.

    `missing` are the words that stand for no value, `as_text` the columns to leave as they are
    written, `unjudged` those that nobody learns from: odd values make them text, and are no error.
    Raises `DataError` with file, line and column for what can't be read exactly.
    """
    try:
        return _read_all(files, missing, as_text, unjudged)
    except OSError as error:
        names = ", ".join(file.name for file in files[:3])
        raise DataError(f"{names}: can't be read to the end ({error}). Copy the file again.") from None


def _read_all(
    files: Sequence[DataFile], missing: Sequence[str], as_text: frozenset[str], unjudged: frozenset[str]
) -> Chunks:
    names, _ = read_header(files[0])
    columns = {
        name: _Column(frozenset() if name in as_text else text_values.EVERYTHING, judged=name not in unjudged)
        for name in names
    }
    blocks = keep(_blocks(files, missing, columns))
    for name, column in columns.items():
        if column.filled and not column.type_name and column.judged and name not in as_text:
            refuse_almost_numbers([block.column(name) for block in blocks], f"{files[0].name}: column '{name}'")
    types = {name: _arrow_type(column) for name, column in columns.items()}

    def read(index: int, wanted: Sequence[str]) -> pa.Table:
        arrays = [_converted(blocks[index].column(name), columns[name]) for name in wanted]
        return pa.Table.from_arrays(arrays, names=list(wanted))

    return Chunks(types, tuple(block.num_rows for block in blocks), read)


def _arrow_type(column: _Column) -> pa.DataType:
    if not column.filled:
        return pa.null()
    return text_values.TYPES.get(column.type_name, pa.string())


def _converted(values: pa.Array, column: _Column) -> pa.Array:
    if not column.filled:
        return pa.nulls(len(values))
    return text_values.read_as(values, column.type_name) if column.type_name else values


def read_header(file: DataFile) -> tuple[list[str], str]:
    """The column names of a CSV file and its delimiter; raises `DataError` when it has no usable header."""
    check_start(file)
    with file.stream() as stream:
        start = bytes(stream.read(HEADER_BYTES)).decode("utf-8-sig", errors="ignore")
    line = start.splitlines()[0] if start.strip() else ""
    outside_quotes = "".join(line.split('"')[::2])
    delimiter = max(DELIMITERS, key=lambda mark: (outside_quotes.count(mark), mark == ","))
    names = next(csv.reader(io.StringIO(start, newline=""), delimiter=delimiter), [])
    if names[:1] == [""] and len(names) > 1:
        names[0] = "Unnamed: 0"  # row numbers, written by pandas; so it calls them itself
    _check_names(names, file.name)
    return names, delimiter


def _check_names(names: list[str], where: str) -> None:
    if not any(name.strip() for name in names):
        raise DataError(f"{where}: the first line is empty; expected the names of the columns.")
    if "" in names:
        raise DataError(
            f"{where}: column {names.index('') + 1} of {len(names)} has no name. Name it, or drop it: "
            "is there a comma too many at the end of the header?"
        )
    check_names(where, names)
    if all(_is_number(name) for name in names) and not all(name.isdigit() for name in names):
        raise DataError(f"{where}: the first line holds values ({', '.join(names[:3])} ...), not names; add a header.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _blocks(files: Sequence[DataFile], missing: Sequence[str], columns: dict[str, _Column]) -> Iterator[pa.RecordBatch]:
    """All rows as text, in the column order of the first file; `columns` learns their types on the way."""
    for file in files:
        names, delimiter = read_header(file)
        if set(names) != set(columns):
            raise DataError(_other_columns(file.name, names, files[0].name, list(columns)))
        lines, quotes = check_bytes(file)
        rows = 0
        for batch in _parse(file, names, delimiter, missing):
            block = batch.select(list(columns))
            for name, column in columns.items():
                _learn(column, block.column(name), rows, f"{file.name}: column '{name}'")
            _refuse_header(block, columns, rows, file.name)
            rows += block.num_rows
            yield block
        if quotes and (quotes % 2 or lines > rows + 1):
            check_quotes(file, delimiter)
        file.check_unchanged()


def _learn(column: _Column, values: pa.Array, rows: int, where: str) -> None:
    present = values.drop_null()
    column.filled = column.filled or len(present) > 0
    try:
        column.possible = text_values.possible_types(present, column.possible)
    except text_values.TooLargeError as error:
        if not column.judged:
            column.possible = frozenset()
            return
        row = rows + values.to_pylist().index(str(error)) + 1
        raise DataError(f"{where}, data row {row}: {error} is too large for a number (at most 1.8e308).") from None


def _refuse_header(block: pa.RecordBatch, columns: dict[str, _Column], rows: int, where: str) -> None:
    """A header among the rows: files were joined. Every column it is in has become text by now."""
    if any(column.type_name for column in columns.values() if column.filled):
        return
    repeated = [pc.fill_null(pc.equal(block.column(name), name), False) for name in columns]
    found = reduce(pc.and_, repeated)
    if pc.any(found).as_py():
        row = rows + found.to_pylist().index(True) + 1
        raise DataError(f"{where}: data row {row} repeats the header; files were joined. Take that line out.")


def _other_columns(name: str, names: list[str], first: str, expected: list[str]) -> str:
    missing = ", ".join(column for column in expected if column not in names) or "none"
    extra = ", ".join(column for column in names if column not in expected) or "none"
    return (
        f"{name}: other columns than in {first}, which is read as one table with it. Missing: {missing}. New: {extra}."
    )


def _parse(file: DataFile, names: list[str], delimiter: str, missing: Sequence[str]) -> Iterator[pa.RecordBatch]:
    wrong: list[pa.csv.InvalidRow] = []

    def refuse(row: pa.csv.InvalidRow) -> str:
        wrong.append(row)
        return "error"

    options = pa.csv.ConvertOptions(
        column_types={name: pa.string() for name in ("", *names)}, null_values=list(missing), strings_can_be_null=True
    )
    parsing = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse)
    try:
        with file.stream() as stream:
            reading = pa.csv.ReadOptions(block_size=LONGEST_ROW)
            for batch in pa.csv.open_csv(stream, reading, parsing, options):
                yield batch.rename_columns(names)
    except pa.ArrowInvalid as error:
        raise DataError(_explain(file, delimiter, len(names), wrong, error)) from None


def _explain(file: DataFile, delimiter: str, expected: int, wrong: list[pa.csv.InvalidRow], error: Exception) -> str:
    if wrong:
        line = _line_of_wrong_row(file, delimiter, expected)
        text = wrong[0].text if len(wrong[0].text) <= 80 else wrong[0].text[:80] + " ..."
        found = f"line {line} has {wrong[0].actual_columns} values, the header {expected} names: {text}"
        return f"{file.name}: {found}. A comma too many or too few, or a file that was cut short."
    if "straddling" in str(error):
        return f"{file.name}: a row is longer than {LONGEST_ROW >> 20} MB. Is a quotation mark not closed?"
    return f"{file.name}: can't be read as CSV ({error})."


def _line_of_wrong_row(file: DataFile, delimiter: str, expected: int) -> int:
    """Where the first row with too many or too few values begins; Arrow tells only its text."""
    with file.stream() as stream:
        reader = csv.reader(io.TextIOWrapper(stream, "utf-8-sig", newline=""), delimiter=delimiter)
        begins = 1
        for row in reader:
            if row and len(row) != expected:
                return begins
            begins = reader.line_num + 1
    return begins
