"""Parquet and Feather files: only the columns asked for, a group of rows at a time, or smaller pieces of it."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet

from evergreen.data.formats.chunks import PIECE_ROWS, Chunks, Stream, check_names, in_types, join_chunks, types_of
from evergreen.data.formats.places import DataFile
from evergreen.errors import DataError


def open_parquet(files: Sequence[DataFile]) -> Chunks:
    """The row groups of all files, in order. Raises `DataError` for damaged or unlike files."""
    return join_chunks([(file.name, _readable(file, _open_one_parquet)) for file in files])


def open_feather(files: Sequence[DataFile]) -> Chunks:
    """The record batches of all files, in order. Raises `DataError` for damaged or unlike files."""
    return join_chunks([(file.name, _readable(file, _open_one_feather)) for file in files])


def _readable(file: DataFile, opener: Callable[[DataFile], Chunks]) -> Chunks:
    try:
        return opener(file)
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{file.name}: damaged or cut short ({reason}). Write or copy the file again.") from None


def _open_one_parquet(file: DataFile) -> Chunks:
    with file.open() as opened:
        metadata = pa.parquet.read_metadata(opened)
        schema = metadata.schema.to_arrow_schema()
    check_names(file.name, schema.names)
    types = types_of(schema)
    chunks, sizes = _join_groups([metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)])
    mine = threading.local()

    def reader(coded: frozenset[str]) -> pa.parquet.ParquetFile:
        """This thread's own, as readers can't be shared; kept, because opening a file looks at all its columns."""
        readers = mine.__dict__.setdefault("readers", {})
        if coded not in readers:
            readers[coded] = pa.parquet.ParquetFile(file.open(), metadata=metadata, read_dictionary=sorted(coded))
        return readers[coded]

    def read_stored(index: int, columns: Sequence[str]) -> pa.Table:
        whole = reader(frozenset()).read_row_groups(chunks[index], columns=list(columns), use_threads=False)
        return whole.select(list(columns))

    def stream(index: int, columns: Sequence[str], coded: Collection[str], rows: int) -> Iterator[pa.Table]:
        text = frozenset(name for name in coded if name in types and pa.types.is_string(types[name]))
        for batch in reader(text).iter_batches(rows, chunks[index], list(columns), use_threads=False):
            yield pa.Table.from_batches([batch]).select(list(columns))

    return Chunks(types, sizes, _guarded(file, types, read_stored), _guarded_stream(file, stream))


def _join_groups(rows: Sequence[int]) -> tuple[list[list[int]], tuple[int, ...]]:
    """Row groups as chunks, and the rows of each: neighbours that are small are read as one, empty ones not at all.

    >>> _join_groups([50_000, 0, 60_000, 1_000_000])
    ([[0, 2], [3]], (110000, 1000000))
    """
    chunks: list[list[int]] = []
    sizes: list[int] = []
    for group, size in enumerate(rows):
        if not size:
            continue
        if sizes and sizes[-1] + size <= PIECE_ROWS:
            chunks[-1].append(group)
            sizes[-1] += size
        else:
            chunks.append([group])
            sizes.append(size)
    return chunks, tuple(sizes)


def _open_one_feather(file: DataFile) -> Chunks:
    with file.open() as opened:
        reader = pa.ipc.open_file(opened)
        schema = reader.schema
        sizes = [reader.get_batch(index).num_rows for index in range(reader.num_record_batches)]
    check_names(file.name, schema.names)
    types = types_of(schema)
    filled = [index for index, rows in enumerate(sizes) if rows]

    def read_stored(index: int, columns: Sequence[str]) -> pa.Table:
        places = [schema.get_field_index(name) for name in columns]
        with file.open() as opened:
            chosen = pa.ipc.IpcReadOptions(included_fields=places, use_threads=False)
            batch = pa.ipc.open_file(opened, options=chosen).get_batch(filled[index])
        return pa.Table.from_batches([batch]).select(list(columns))

    def stream(index: int, columns: Sequence[str], _coded: Collection[str], _rows: int) -> Iterator[pa.Table]:
        return iter([read_stored(index, columns)])

    rows = tuple(sizes[index] for index in filled)
    return Chunks(types, rows, _guarded(file, types, read_stored), _guarded_stream(file, stream))


def _guarded(
    file: DataFile, types: dict[str, pa.DataType], read_stored: Callable[[int, Sequence[str]], pa.Table]
) -> Callable[[int, Sequence[str]], pa.Table]:
    def read(index: int, columns: Sequence[str]) -> pa.Table:
        with _watched(file):
            return in_types(read_stored(index, columns), types)

    return read


def _guarded_stream(file: DataFile, stream: Stream) -> Stream:
    def pieces(index: int, columns: Sequence[str], coded: Collection[str], rows: int) -> Iterator[pa.Table]:
        with _watched(file):
            yield from stream(index, columns, coded, rows)

    return pieces


@contextmanager
def _watched(file: DataFile) -> Iterator[None]:
    """A file that changes or ends while it is read is a `DataError`."""
    file.check_unchanged()
    try:
        yield
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{file.name}: damaged in the middle ({reason}). Write or copy the file again.") from None
