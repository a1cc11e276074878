"""Profiles of tables: small mergeable summaries of columns, the only thing drift is computed from.

A profile of the current rows is taken on the bins of the reference's profile. Profiles of chunks, files and
machines merge by addition. The statistics computed from two profiles differ from those of the raw values by a
bounded amount only (see `distances`). Memory is a row group at a time.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evergreen.data.arrays import to_numpy
from evergreen.drift.summaries import (
    BareProfile,
    CategoryProfile,
    ColumnProfile,
    NumberProfile,
    column_from_dict,
    column_to_dict,
    count_numbers,
    empty_profile,
    make_bins,
    merge_columns,
)
from evergreen.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.data.sources import Table, Window

__all__ = ["BareProfile", "CategoryProfile", "NumberProfile", "Profile", "merge", "profile_table"]

HELD_ROWS = 2**22  # up to 32 MB a column are read once and kept; beyond that the file is read twice, by row group
SAMPLE_ROWS = 2**16


@dataclass(frozen=True)
class Profile:
    """All columns of a stretch of a table, by name, in the order of the table; `start` and `stop` are for people.

    Where the rows have a time, `steadiness` says how far stretches of a reference lie apart (`calibration`) and
    `seasons` what it was like in each season (`seasons`); both in plain JSON types.
    """

    columns: Mapping[str, ColumnProfile]
    rows: int
    source: str = ""
    start: str | None = None
    stop: str | None = None
    steadiness: Mapping[str, Any] | None = None
    seasons: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; of categories the 1000 most frequent labels by name. `from_dict` reads it back."""
        columns = {name: column_to_dict(column) for name, column in self.columns.items()}
        extent = {"rows": self.rows, "source": self.source, "start": self.start, "stop": self.stop}
        in_time = {"steadiness": self.steadiness, "seasons": self.seasons}
        return {"format": 1, **extent, "columns": columns} | {key: value for key, value in in_time.items() if value}

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> "Profile":
        """The profile that `to_dict` wrote, equal in every number."""
        columns = {name: column_from_dict(column) for name, column in document["columns"].items()}
        extent = (document[name] for name in ("rows", "source", "start", "stop"))
        return Profile(columns, *extent, document.get("steadiness"), document.get("seasons"))


def profile_table(
    table: "Table",
    kinds: Mapping[str, str],
    *,
    window: "Window | None" = None,
    against: Profile | None = None,
    jobs: int = 2,
) -> Profile:
    """Profile the columns of a table named in `kinds` ("number", "category", "boolean", "time" or "text").

    With `against`, the profile of the reference, on its bins; without, the bins are made from these values.
    Columns the table does not have are left out. A column that can't be read as its kind gets a
    `BareProfile` with the problem and does not hide the others. Columns are read in `jobs` threads,
    one at a time each, chunk by chunk; the result does not depend on `jobs`.
    """

    def profile_column(name: str) -> ColumnProfile:
        bins = _bins(against, name)
        try:
            return _profile_chunks(lambda: table.arrays(name, window), table.types[name], kinds[name], table.rows, bins)
        except (DataError, pa.ArrowException, OSError) as error:
            return BareProfile(kinds[name], 0, 0, str(error))

    names = [name for name in kinds if name in table.types]
    with ThreadPoolExecutor(jobs) as pool:
        columns = dict(zip(names, pool.map(profile_column, names), strict=True))
    start, stop = (None, None) if window is None else (_text(window.start), _text(window.stop))
    return Profile(columns, _rows(columns, table.rows if window is None else 0), table.name, start, stop)


def profile_arrays(
    arrays: Mapping[str, pa.Array], kinds: Mapping[str, str], *, against: Profile | None = None, source: str = ""
) -> Profile:
    """Profile columns that are in memory as arrow arrays; the same answers as `profile_table`."""

    def profile_column(name: str) -> ColumnProfile:
        array = arrays[name]
        return _profile_chunks(lambda: iter([array]), array.type, kinds[name], len(array), _bins(against, name))

    columns = {name: profile_column(name) for name in arrays if name in kinds}
    return Profile(columns, _rows(columns, 0), source)


def profile_frame(
    frame: "pd.DataFrame", kinds: Mapping[str, str], *, against: Profile | None = None, source: str = ""
) -> Profile:
    """Profile the columns of a pandas frame named in `kinds`, such as predictions; NaN and None are missing."""
    names = [name for name in kinds if name in frame.columns]
    return profile_arrays({name: to_arrow(frame[name]) for name in names}, kinds, against=against, source=source)


def to_arrow(values: "pd.Series") -> pa.Array:
    """A pandas column as one arrow array; values of mixed types become text."""
    try:
        array = pa.Array.from_pandas(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        array = pa.Array.from_pandas(values.map(str, na_action="ignore").astype(object))
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def merge(one: Profile, other: Profile) -> Profile:
    """The profile of both stretches together; both must have been taken on the same bins.

    Exact, associative and commutative; only of categories that went through a file, and had more
    than 1000 labels, the number of rare labels becomes an upper bound.
    """
    if one.columns.keys() != other.columns.keys():
        raise ValueError("profiles of different columns can't be merged")
    columns = {name: merge_columns(column, other.columns[name]) for name, column in one.columns.items()}
    return replace(one, columns=columns, rows=one.rows + other.rows, steadiness=None, seasons=None)


def _bins(against: Profile | None, name: str) -> NumberProfile | None:
    column = against.columns.get(name) if against else None
    return column if isinstance(column, NumberProfile) else None


def _rows(columns: Mapping[str, ColumnProfile], otherwise: int) -> int:
    return max((column.present + column.absent for column in columns.values()), default=otherwise)


def _text(moment: object) -> str | None:
    return None if moment is None else str(moment)


def _profile_chunks(
    read: Callable[[], Iterable[pa.Array]], stored: pa.DataType, kind: str, rows: int, bins: NumberProfile | None
) -> ColumnProfile:
    """One column; `read()` starts a new pass over its chunks."""
    if kind in ("time", "text"):
        sizes = [(len(chunk), chunk.null_count) for chunk in read()]
        missing = sum(absent for _, absent in sizes)
        return BareProfile(kind, sum(size for size, _ in sizes) - missing, missing)
    family = _family(stored)
    if family == "other" or (kind == "number" and family == "text"):
        expected = "numbers" if kind == "number" else "categories"
        return BareProfile(kind, 0, 0, f"holds values of type {stored}, {expected} were expected")
    if kind != "number":
        return _count_labels(read(), kind, family)
    if bins is None and rows > HELD_ROWS:
        bins = empty_profile(_sample(read(), max(1, rows // SAMPLE_ROWS)))
    if bins is None:
        chunks = list(_numbers(read()))
        values = np.concatenate(chunks) if chunks else np.empty(0)
        values.sort()
        return count_numbers(values, *make_bins(values))
    total = empty_profile((bins.edges, bins.points))
    for values in _numbers(read()):
        total = merge_columns(total, count_numbers(np.sort(values), bins.edges, bins.points))
    return total


def _family(stored: pa.DataType) -> str:
    """What values of a type can be compared with: one of "number", "text", "null", "other"."""
    types = pa.types
    if types.is_dictionary(stored):
        return _family(stored.value_type)
    if types.is_integer(stored) or types.is_floating(stored) or types.is_decimal(stored) or types.is_boolean(stored):
        return "number"
    if types.is_string(stored) or types.is_large_string(stored) or types.is_string_view(stored):
        return "text"
    return "null" if types.is_null(stored) else "other"


def _numbers(chunks: Iterable[pa.Array]) -> Iterator[np.ndarray]:
    """Chunks as float64, NaN for missing; not to be written into."""
    for chunk in chunks:
        values = chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk
        if pa.types.is_decimal(values.type) or pa.types.is_floating(values.type):
            values = values.cast(pa.float64())
        yield to_numpy(values).astype(np.float64, copy=False)


def _count_labels(chunks: Iterable[pa.Array], kind: str, family: str) -> CategoryProfile:
    counts: Counter[str] = Counter()
    missing = 0
    for chunk in chunks:
        for value, count in zip(*_value_counts(chunk), strict=True):
            if value is None or value != value:  # noqa: PLR0124 - NaN
                missing += count
            else:
                counts[_label(value)] += count
    return CategoryProfile(dict(sorted(counts.items())), missing, family, kind=kind)


def _value_counts(chunk: pa.Array) -> tuple[list[Any], list[int]]:
    """The different values of a chunk and how often each occurs: codes are counted, not Python objects."""
    table = chunk.value_counts()
    return table.field("values").to_pylist(), table.field("counts").to_pylist()


def _label(value: object) -> str:
    """Labels that are equal in Python have equal text: 1, 1.0 and True are "1"."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(int(value))
    number = float(value)  # type: ignore[arg-type]
    return str(int(number)) if number.is_integer() else repr(number)


def _sample(chunks: Iterable[pa.Array], step: int) -> tuple[np.ndarray, np.ndarray]:
    """Bins from every `step`-th value, the rhythm carried from chunk to chunk."""
    taken, ahead = [], 0
    for values in _numbers(chunks):
        taken.append(values[ahead::step].copy())
        ahead = (ahead - len(values)) % step
    return make_bins(np.sort(np.concatenate(taken)))
