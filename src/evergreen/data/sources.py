"""Tables that can be read again and again, column by column, wherever they live.

`open_table` looks at the source once (names, types, number of rows) and refuses what can't be read
exactly. Reading is streamed: only the columns asked for, a chunk of rows at a time.
"""

import logging
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evergreen.by_name import find_by_name
from evergreen.data.arrays import from_mask, to_numpy
from evergreen.data.formats.chunks import PIECE_ROWS, TIME, Chunks, align, check_names, from_tables, join_chunks
from evergreen.data.formats.missing import clean, has_numbers
from evergreen.data.formats.places import DataFile, find_data_files, find_local_files
from evergreen.data.formats.times import parse_times
from evergreen.data.frames import to_table
from evergreen.errors import DataError, UsageError
from evergreen.masking import shown_source
from evergreen.settings import DataSettings

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
DATABASES = ("sqlite", "postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle", "duckdb")


@dataclass(frozen=True)
class Window:
    """A half-open stretch [start, stop) of a table, by time (naive UTC) or by row number; None is an open end.

    >>> Window(None, None)
    Window(start=None, stop=None)
    """

    start: datetime | int | None
    stop: datetime | int | None

    @property
    def by_time(self) -> bool:
        """Whether the ends are times, not row numbers."""
        return isinstance(self.start, datetime) or isinstance(self.stop, datetime)


@dataclass(frozen=True)
class Current:
    """The lower part of two tables that are read as one: its first row there, and the columns it came with."""

    begins: int
    types: dict[str, pa.DataType]


@dataclass(frozen=True)
class Table:
    """Something with named columns and rows that can be read again and again, chunk by chunk.

    Values are bool, int64, float64, text (string, or dictionary of strings), timestamps in
    microseconds (naive UTC), or null for a column without any value; other types are handed out as
    they are. Missing values are null; a float may also be NaN. Safe to read from several threads.
    """

    name: str
    types: dict[str, pa.DataType]
    rows: int
    time: str
    _chunks: Chunks = field(repr=False)
    _missing: tuple[str, ...] = field(repr=False)
    _selections: dict[Window, list["_Selection"]] = field(default_factory=dict, repr=False, compare=False)
    current: Current | None = None

    @property
    def new_types(self) -> dict[str, pa.DataType]:
        """The columns that its newest rows came with: those of the current table, where there are two."""
        return self.current.types if self.current else self.types

    def arrays(self, column: str, window: Window | None = None) -> Iterator[pa.Array]:
        """One column, chunk by chunk, in row order; nothing else is read, except the time for a window by time."""
        for table in self._tables([column], window):
            yield from table.column(0).chunks

    def pieces(
        self,
        columns: Sequence[str],
        window: Window | None = None,
        *,
        chunks: range | None = None,
        coded: Collection[str] = (),
        rows: int = PIECE_ROWS,
    ) -> Iterator[pa.Table]:
        """Columns for whoever counts, piece by piece in row order: values of any type, as the source keeps them.

        Numbers keep their own width (float32, int8, decimals), and text columns in `coded` come as codes with a
        dictionary where the source can, `rows` at a time likewise. `chunks` are those of `chunk_rows` (None: all).
        """
        self._check_columns(columns)
        selections = self._select(window)
        for index in range(len(selections)) if chunks is None else chunks:
            selection, begin = selections[index], 0
            if isinstance(selection, slice) and selection.stop <= selection.start:
                continue
            for piece in self._stored(index, columns, coded, rows):
                yield _selected(piece, selection, begin)
                begin += piece.num_rows

    def chunk_rows(self, window: Window | None = None) -> list[int]:
        """How many rows of each chunk are in a window."""
        pairs = zip(self._chunks.sizes, self._select(window), strict=True)
        return [_count_selected(selection, size) for size, selection in pairs]

    def first_rows(self, columns: Sequence[str], rows: int, *, coded: Collection[str] = ()) -> list[pa.Table]:
        """The first rows as `pieces` gives them, at most so many; no more of the source is read than that takes."""
        tables: list[pa.Table] = []
        for piece in self.pieces(columns, coded=coded, rows=rows):
            tables.append(piece.slice(0, rows))
            rows -= tables[-1].num_rows
            if not rows:
                break
        return tables

    def frame(self, columns: Sequence[str], window: Window | None = None) -> "pd.DataFrame":
        """Some columns of all rows as one frame with an index from 0."""
        tables = list(self._tables(columns, window))
        whole = (
            pa.concat_tables(tables) if tables else pa.table({name: pa.nulls(0, self.types[name]) for name in columns})
        )
        return whole.unify_dictionaries().to_pandas()

    def only(self, keep: np.ndarray) -> "Table":
        """The same table with only the rows of a mask, (rows,) bool; still read chunk by chunk."""
        ends = list(accumulate(self._chunks.sizes))
        masks = [keep[end - size : end] for end, size in zip(ends, self._chunks.sizes, strict=True)]
        filled = [index for index, mask in enumerate(masks) if mask.any()]

        def read(index: int, columns: Sequence[str]) -> pa.Table:
            return self._chunks.read(filled[index], columns).filter(from_mask(masks[filled[index]]))

        chunks = Chunks(self._chunks.types, tuple(int(masks[index].sum()) for index in filled), read)
        return replace(self, rows=sum(chunks.sizes), _chunks=chunks, _selections={}, current=None)

    def _tables(self, columns: Sequence[str], window: Window | None) -> Iterator[pa.Table]:
        self._check_columns(columns)
        for index, selection in enumerate(self._select(window)):
            if not isinstance(selection, slice) or selection.stop > selection.start:
                yield _selected(self._read(index, columns), selection, 0)

    def _read(self, index: int, columns: Sequence[str]) -> pa.Table:
        return clean(self._chunks.read(index, columns), self._missing)

    def _stored(self, index: int, columns: Sequence[str], coded: Collection[str], rows: int) -> Iterator[pa.Table]:
        if has_numbers(self._missing):  # -999 is compared with values in their common type
            return iter([self._read(index, columns)])
        return (clean(piece, self._missing) for piece in self._chunks.pieces(index, columns, coded, rows))

    def _select(self, window: Window | None) -> "list[_Selection]":
        """Which rows of each chunk are in a window; remembered, because every column asks for the same."""
        if window is None or (window.start is None and window.stop is None):
            return [None] * len(self._chunks.sizes)
        if window not in self._selections:
            by_time = window.by_time
            self._selections[window] = self._select_times(window) if by_time else self._select_rows(window)
        return self._selections[window]

    def _select_rows(self, window: Window) -> "list[_Selection]":
        start = 0 if window.start is None else int(window.start)  # type: ignore[arg-type]
        stop = self.rows if window.stop is None else int(window.stop)  # type: ignore[arg-type]
        ends = list(accumulate(self._chunks.sizes))
        begins = [end - size for end, size in zip(ends, self._chunks.sizes, strict=True)]
        return [slice(max(start - begin, 0), min(stop, end) - begin) for begin, end in zip(begins, ends, strict=True)]

    def _select_times(self, window: Window) -> "list[_Selection]":
        if not self.time:
            raise UsageError(f"{self.name}: a window by time needs data.time, the column that says when.")
        chunks = (self._read(index, [self.time]).column(0) for index in range(len(self._chunks.sizes)))
        return [_shorten(_within(times, window)) for times in chunks]

    def _check_columns(self, columns: Sequence[str]) -> None:
        absent = [name for name in columns if name not in self.types]
        if absent:
            raise DataError(f"{self.name}: no column {', '.join(map(repr, absent))}. Found: {', '.join(self.types)}.")


_Selection = slice | np.ndarray | None


def _selected(piece: pa.Table, selection: _Selection, begin: int) -> pa.Table:
    """The selected rows of a piece that begins at a row of its chunk."""
    if selection is None:
        return piece
    if isinstance(selection, slice):
        first = min(max(selection.start - begin, 0), piece.num_rows)
        return piece.slice(first, max(0, min(selection.stop - begin, piece.num_rows) - first))
    return piece.filter(from_mask(selection[begin : begin + piece.num_rows]))


def _count_selected(selection: _Selection, size: int) -> int:
    if selection is None:
        return size
    return max(0, selection.stop - selection.start) if isinstance(selection, slice) else int(selection.sum())


def _within(times: pa.ChunkedArray, window: Window) -> np.ndarray:
    keys = np.concatenate([to_numpy(chunk) for chunk in times.chunks])
    inside = ~np.isnat(keys)
    if window.start is not None:
        inside &= keys >= np.datetime64(window.start, "us")
    if window.stop is not None:
        inside &= keys < np.datetime64(window.stop, "us")
    return inside


def _shorten(inside: np.ndarray) -> _Selection:
    """A mask as a slice where its rows are neighbours, as in every table that is kept in order of time."""
    rows = np.flatnonzero(inside)
    if len(rows) == 0:
        return slice(0, 0)
    neighbours = rows[-1] - rows[0] + 1 == len(rows)
    return slice(int(rows[0]), int(rows[-1]) + 1) if neighbours else inside


def open_table(source: str, settings: DataSettings, root: Path) -> Table:
    """The table behind a source; relative paths start from `root`.

    A source is a CSV, Parquet or Feather file, a folder or glob of them (read as one table, in the
    order of their names), an object-store URL, a database URL with `data.query`, or
    `module:function` returning a pandas DataFrame or Arrow table. Raises `DataError` for what is not
    there or can't be read exactly, `UsageError` for settings that can't be followed.
    """
    return _as_table(*_open_chunks(source.strip(), settings, root), settings)


def _as_table(name: str, chunks: Chunks, settings: DataSettings) -> Table:
    rows = sum(chunks.sizes)
    if rows == 0:
        raise DataError(f"{name}: the table has columns ({', '.join(chunks.types)}) but no rows.")
    if settings.time:
        chunks = _with_times(name, chunks, settings)
    return Table(name, chunks.types, rows, settings.time, chunks, settings.missing)


def names_files(source: str) -> bool:
    """Whether a source is a path, a pattern or the address of files, and no function or database.

    >>> names_files("rows.csv"), names_files("s3://bucket/rows"), names_files("sqlite:///a.db"), names_files("a:load")
    (True, True, False, False)
    """
    scheme = source.split("://", maxsplit=1)[0].split("+", maxsplit=1)[0].lower() if "://" in source else ""
    return scheme not in DATABASES and not FUNCTION.fullmatch(source)


def local_files(source: str, root: Path) -> tuple[Path, ...]:
    """The files of this machine that a source reads, by their names; none for a function, or what is elsewhere."""
    if FUNCTION.fullmatch(source):
        return ()
    if names_files(source):
        return find_local_files(source, root)
    _, _, database = source.partition(":///")  # three slashes: no host, so a file
    return (root / database.partition("?")[0],) if database else ()


def open_tables(settings: DataSettings, root: Path) -> Table:
    """The table of the settings: `data.source`, or `data.reference` with `data.current` below it, as one.

    It has the columns of the reference; what the current table lacks has no values there. Without the target
    it holds rows whose labels are still to come; that a feature is missing is for the check of the contract.

    What is new to a model: with a time, the rows after its last one. Without a time the whole current table,
    except the first rows where these are, by their digest, the very rows that the model was made with. So a
    current file may grow, or be replaced every night by another one, however many rows that has.
    """
    if not settings.reference:
        return open_table(settings.source, settings, root)
    before, now = (open_table(source, settings, root) for source in (settings.reference, settings.current))
    extra = [name for name in now.types if name not in before.types]
    if extra:
        logger.warning("%s: columns that the reference does not have are left out: %s", now.name, ", ".join(extra))
    current = align(now._chunks, before.types)
    joined = join_chunks([(before.name, before._chunks), (now.name, current)])
    name = f"{before.name} and {now.name}"
    rows, below = before.rows + now.rows, Current(before.rows, now.types)
    return Table(name, joined.types, rows, settings.time, joined, settings.missing, current=below)


def _open_chunks(source: str, settings: DataSettings, root: Path) -> tuple[str, Chunks]:
    if not source:
        raise UsageError("No source of rows: set data.source, or data.reference and data.current.")
    if FUNCTION.fullmatch(source):
        return source, _call_function(source, root)
    if not names_files(source):
        from evergreen.data.formats.databases import read_query

        return read_query(source, settings.query, root)
    return shown_source(source), _open_files(find_data_files(source, root), settings)


def _open_files(files: tuple[DataFile, ...], settings: DataSettings) -> Chunks:
    formats = {_format(file): file.name for file in files}
    if len(formats) > 1:
        examples = ", ".join(f"{name} ({kind})" for kind, name in formats.items())
        raise DataError(f"The files of one source must have one format; found {examples}.")
    kind = next(iter(formats))
    if kind == "CSV":
        from evergreen.data.formats.csv_files import open_csv

        as_text = {name for name, chosen in settings.kinds.items() if chosen in ("category", "text")}
        return open_csv(
            files, settings.missing, frozenset(as_text), frozenset(settings.exclude) - {settings.target, settings.time}
        )
    from evergreen.data.formats import columnar

    return columnar.open_parquet(files) if kind == "Parquet" else columnar.open_feather(files)


def _format(file: DataFile) -> str:
    """What a file is by its first bytes; names lie more often."""
    start = file.first_bytes(6)
    return {b"PAR1": "Parquet", b"ARRO": "Feather"}.get(start[:4], "CSV")


def _with_times(name: str, chunks: Chunks, settings: DataSettings) -> Chunks:
    """The same chunks with the configured time column as timestamps."""
    time = settings.time
    if time not in chunks.types:
        raise UsageError(f"{name}: data.time names the column '{time}'. Found: {', '.join(chunks.types)}.")
    if chunks.types[time] == TIME:
        return chunks

    def read(index: int, columns: Sequence[str]) -> pa.Table:
        table = chunks.read(index, columns)
        if time not in columns:
            return table
        place = list(columns).index(time)
        return table.set_column(place, time, parse_times(table.column(place), settings, name))

    def stream(index: int, columns: Sequence[str], coded: Collection[str], rows: int) -> Iterator[pa.Table]:
        return iter([read(index, columns)]) if time in columns else chunks.pieces(index, columns, coded, rows)

    read(0, [time])  # a wrong format shows at once, not after an hour
    return Chunks(chunks.types | {time: TIME}, chunks.sizes, read, stream)


def table_of(data: "pd.DataFrame | pa.Table", name: str, settings: DataSettings | None = None) -> Table:
    """A pandas frame or Arrow table in memory as a table, with the time column of the settings."""
    if not _in_memory(data):
        raise UsageError(
            f"{name}: expected a pandas DataFrame, an Arrow table, or the path or address of a table, found "
            f"{type(data).__name__}. An array becomes a table by pandas.DataFrame(array, columns=[...])."
        )
    return _as_table(name, _from_memory(data, name), settings or DataSettings())


def _call_function(source: str, root: Path) -> Chunks:
    result = find_by_name(source, root, setting="source")()
    if not _in_memory(result):
        raise DataError(f"{source}: returned {type(result).__name__}; expected a pandas DataFrame or an Arrow table.")
    return _from_memory(result, source)


def _in_memory(data: object) -> bool:
    """Whether this is a pandas frame or an Arrow table; told by its name, as pandas takes long to import."""
    return isinstance(data, pa.Table) or (type(data).__name__ == "DataFrame" and hasattr(data, "iloc"))


def _from_memory(data: "pd.DataFrame | pa.Table", name: str) -> Chunks:
    if not isinstance(data, pa.Table):
        return from_tables([to_table(data, name)])
    check_names(name, data.column_names)
    return from_tables([data])
