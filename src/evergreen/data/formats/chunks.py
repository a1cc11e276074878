"""What every kind of source comes down to: named columns in numbered chunks of rows, read on demand.

Values have few types, whatever the file said: bool, int64, float64, string, dictionary of strings,
timestamp in microseconds without zone (UTC), and null for a column without values. Anything else
(lists, bytes, times of day) keeps its type and is never a feature. So the same table gives the same
answers as CSV, Parquet, Feather or database rows.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.errors import DataError

# 1 MB of numbers: stays in the cache of a core from decoding to sorting. Smaller row groups are read together.
PIECE_ROWS = 2**17
TIME = pa.timestamp("us")
WORDS = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class Chunks:
    """Columns of a source: `read(3, ["age"])` gives the fourth chunk of rows with that one column.

    `stream` gives the same rows as the source keeps them, in pieces of about a number of rows where it can: numbers
    in their own width, and text that is asked for as codes with a dictionary of words. Whoever counts, is quickest so.
    """

    types: dict[str, pa.DataType]
    sizes: tuple[int, ...]
    read: Callable[[int, Sequence[str]], pa.Table]
    stream: "Stream | None" = None

    def pieces(self, index: int, columns: Sequence[str], coded: Collection[str], rows: int) -> Iterator[pa.Table]:
        """The rows of one chunk, in order; text columns in `coded` as codes, and `rows` at a time, where it can be."""
        return iter([self.read(index, columns)]) if self.stream is None else self.stream(index, columns, coded, rows)


Stream = Callable[[int, Sequence[str], Collection[str], int], Iterator[pa.Table]]


def common_type(found: pa.DataType) -> pa.DataType:
    """The type in which values of a stored type are handed out.

    >>> common_type(pa.float32())
    DataType(double)
    """
    if pa.types.is_integer(found) and found != pa.uint64():
        return pa.int64()
    if found == pa.uint64() or pa.types.is_floating(found) or pa.types.is_decimal(found):
        return pa.float64()
    if pa.types.is_timestamp(found) or pa.types.is_date(found):
        return TIME
    if pa.types.is_dictionary(found):
        return WORDS if is_text(found.value_type) else common_type(found.value_type)
    return pa.string() if is_text(found) else found


def types_of(schema: pa.Schema) -> dict[str, pa.DataType]:
    """The columns of a stored table with their common types; an index without a name that pandas wrote is none.

    Such an index numbers rows. It is there or not with the way a frame was made, so two tables may differ in it.
    """
    unnamed = [name for name in schema.names if name.startswith("__index_level_")]
    index = (schema.pandas_metadata or {}).get("index_columns", []) if unnamed else []
    left_out = {name for name in unnamed if name in index}
    return {field.name: common_type(field.type) for field in schema if field.name not in left_out}


def is_text(found: pa.DataType) -> bool:
    """Whether values are text, however long."""
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found))


def to_common(column: pa.ChunkedArray, name: str, wanted: pa.DataType) -> pa.ChunkedArray:
    """Values in their common type; times with a zone become UTC, and nanoseconds are cut off."""
    if column.type == wanted:
        return column
    try:
        if pa.types.is_timestamp(column.type):  # `safe` would refuse nanoseconds; a zone is only a label on UTC
            return pc.cast(column, pa.timestamp("us", column.type.tz), safe=False).cast(wanted)
        if pa.types.is_dictionary(column.type) and not pa.types.is_dictionary(wanted):
            return to_common(pc.cast(column, column.type.value_type), name, wanted)
        return pc.cast(column, wanted, safe=not (pa.types.is_decimal(column.type) or column.type == pa.uint64()))
    except pa.ArrowInvalid as error:
        raise DataError(f"column '{name}': {column.type} values can't be read as {wanted} ({error}).") from None


def from_tables(tables: Sequence[pa.Table | pa.RecordBatch]) -> Chunks:
    """Chunks of tables of one schema that are in memory, or mapped into it."""
    types = types_of(tables[0].schema)

    def chosen(index: int, columns: Sequence[str]) -> pa.Table:
        part = tables[index].select(list(columns))
        return part if isinstance(part, pa.Table) else pa.Table.from_batches([part])

    def stream(index: int, columns: Sequence[str], _coded: Collection[str], _rows: int) -> Iterator[pa.Table]:
        return iter([chosen(index, columns)])

    def read(index: int, columns: Sequence[str]) -> pa.Table:
        return in_types(chosen(index, columns), types)

    return Chunks(types, tuple(table.num_rows for table in tables), read, stream)


def in_types(table: pa.Table, types: dict[str, pa.DataType]) -> pa.Table:
    """The same columns, each in the type given for it."""
    arrays = [to_common(table.column(name), name, types[name]) for name in table.column_names]
    return pa.Table.from_arrays(arrays, names=table.column_names)


def join_chunks(parts: Sequence[tuple[str, Chunks]]) -> Chunks:
    """One after the other, as one table; the columns of the first, whole numbers widened where another needs it."""
    if len(parts) == 1:
        return parts[0][1]
    types = _joint_types(parts)
    places = [(part, index) for _, part in parts for index in range(len(part.sizes))]

    def read(index: int, columns: Sequence[str]) -> pa.Table:
        part, inner = places[index]
        return in_types(part.read(inner, columns), types)

    def stream(index: int, columns: Sequence[str], coded: Collection[str], rows: int) -> Iterator[pa.Table]:
        part, inner = places[index]
        return part.pieces(inner, columns, coded, rows)

    return Chunks(types, tuple(part.sizes[index] for part, index in places), read, stream)


def align(chunks: Chunks, names: Iterable[str]) -> Chunks:
    """Only the columns named; one that is not there becomes a column without values."""
    types = {name: chunks.types.get(name, pa.null()) for name in names}

    def read(index: int, columns: Sequence[str]) -> pa.Table:
        stored = chunks.read(index, [name for name in columns if name in chunks.types])
        return filled(stored, columns, chunks.sizes[index])

    def stream(index: int, columns: Sequence[str], coded: Collection[str], rows: int) -> Iterator[pa.Table]:
        there = [name for name in columns if name in chunks.types]
        if not there:
            yield filled(None, columns, chunks.sizes[index])
            return
        for piece in chunks.pieces(index, there, coded, rows):
            yield filled(piece, columns, piece.num_rows)

    def filled(stored: pa.Table | None, columns: Sequence[str], rows: int) -> pa.Table:
        there = {} if stored is None else dict(zip(stored.column_names, stored.columns, strict=True))
        return pa.table({name: there.get(name, pa.nulls(rows)) for name in columns})

    return Chunks(types, chunks.sizes, read, stream)


def _joint_types(parts: Sequence[tuple[str, Chunks]]) -> dict[str, pa.DataType]:
    first_name, first = parts[0]
    types = dict(first.types)
    for name, part in parts[1:]:
        missing, extra = first.types.keys() - part.types.keys(), part.types.keys() - first.types.keys()
        if missing or extra:
            differences = [f"no column '{column}'" for column in sorted(missing)]
            differences += [f"an additional column '{column}'" for column in sorted(extra)]
            raise DataError(f"{name}: {', '.join(differences)}; {first_name} is read as one table with it.")
        for column, found in part.types.items():
            types[column] = _wider(types[column], found, f"{name}: column '{column}'", first_name)
    return types


def _wider(one: pa.DataType, other: pa.DataType, where: str, first_name: str) -> pa.DataType:
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    for family, wider in ({pa.int64(), pa.float64()}, pa.float64()), ({pa.string(), WORDS}, pa.string()):
        if {one, other} == family:
            return wider
    raise DataError(
        f"{where} holds {other} values; in {first_name} they are {one}. "
        "Write both in the same type; a column of a CSV file that is no number can be called a category in data.kinds."
    )


def check_names(where: str, names: Sequence[str]) -> None:
    """Raise `DataError` when a table has no columns, or two of one name."""
    if not names:
        raise DataError(f"{where}: the table has no columns.")
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubled:
        raise DataError(f"{where}: column names appear more than once: {', '.join(doubled)}. Rename or drop them.")
