"""Parquet and Feather files: columns are read one by one, a group of rows at a time."""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet

from evergreen.data.formats.chunks import Chunks, check_names, common_type, in_types, join_chunks
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
    with file.open() as stream:
        metadata = pa.parquet.read_metadata(stream)
        schema = metadata.schema.to_arrow_schema()
    check_names(file.name, schema.names)
    types = {field.name: common_type(field.type) for field in schema}
    groups = [group for group in range(metadata.num_row_groups) if metadata.row_group(group).num_rows]

    def read_stored(index: int, columns: Sequence[str]) -> pa.Table:
        with file.open() as stream:  # opened for each read: a reader can't be shared by threads
            reader = pa.parquet.ParquetFile(stream, metadata=metadata)
            table = reader.read_row_group(groups[index], columns=list(columns), use_threads=False)
        return table.select(list(columns))

    sizes = tuple(metadata.row_group(group).num_rows for group in groups)
    return Chunks(types, sizes, _guarded(file, types, read_stored))


def _open_one_feather(file: DataFile) -> Chunks:
    with file.open() as stream:
        reader = pa.ipc.open_file(stream)
        schema = reader.schema
        sizes = [reader.get_batch(index).num_rows for index in range(reader.num_record_batches)]
    check_names(file.name, schema.names)
    types = {field.name: common_type(field.type) for field in schema}
    filled = [index for index, rows in enumerate(sizes) if rows]

    def read_stored(index: int, columns: Sequence[str]) -> pa.Table:
        places = [schema.get_field_index(name) for name in columns]
        with file.open() as stream:
            chosen = pa.ipc.IpcReadOptions(included_fields=places, use_threads=False)
            batch = pa.ipc.open_file(stream, options=chosen).get_batch(filled[index])
        return pa.Table.from_batches([batch]).select(list(columns))

    return Chunks(types, tuple(sizes[index] for index in filled), _guarded(file, types, read_stored))


def _guarded(
    file: DataFile, types: dict[str, pa.DataType], read_stored: Callable[[int, Sequence[str]], pa.Table]
) -> Callable[[int, Sequence[str]], pa.Table]:
    def read(index: int, columns: Sequence[str]) -> pa.Table:
        file.check_unchanged()
        try:
            return in_types(read_stored(index, columns), types)
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{file.name}: damaged in the middle ({reason}). Write or copy the file again.") from None

    return read
