"""Small mergeable summaries of columns: the only thing drift is computed from.

A profile of the current rows is taken on the bins of the reference's profile. Counts in bins are exact, so
profiles of chunks, files and machines merge by addition, in any order, and the statistics computed from them
differ from those of the raw values by a bounded amount only (see `distances`). Memory is a row group at a time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evergreen.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.data.sources import Table, Window

BINS = 200  # error of KS at most 3.4e-4 on nine awkward shapes, 3 kB a column, divisible by 10 and 20
DISCRETE = 20  # at most so many different values: the values are the groups, as for a category
HELD_ROWS = 2**22  # up to 32 MB a column are read once and kept; beyond that the file is read twice, by row group
SAMPLE_ROWS = 2**16
LABELS = 1000  # categories kept by name in a file; the rest is "other"


@dataclass(frozen=True, eq=False)
class NumberProfile:
    """A numeric column. `edges` and `points` come from the reference, all else is counted.

    Bin i holds the values in (edges[i-1], edges[i]]; the first and last are open. Sums and squares are of
    value - origin, the middle edge, so that large values with little variation lose no digits.

    Attributes:
        edges: shape `(n_bins - 1,)`, ascending.
        points: shape `(n_bins,)`, bool: bins made for a single value that holds more than 1/200 of the rows.
        counts, sums: shape `(n_bins,)`: finite values per bin, and the sum of their distances from the origin.
        squares: sum of squared distances from the origin over all bins.
        missing: null, empty and NaN values; `non_finite` counts infinities.
        low, high: smallest and largest finite value; None without any.
    """

    edges: np.ndarray
    points: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    squares: float
    missing: int
    non_finite: int
    low: float | None
    high: float | None
    kind: str = "number"

    @property
    def present(self) -> int:
        """Rows with a usable value."""
        return int(self.counts.sum())

    @property
    def absent(self) -> int:
        """Rows without a usable value: missing or not finite."""
        return self.missing + self.non_finite

    @property
    def origin(self) -> float:
        """What sums and squares are taken from."""
        return _origin(self.edges)

    @property
    def discrete(self) -> bool:
        """Whether the reference has at most 20 different values, each a bin of its own."""
        return 2 * int(self.points.sum()) == len(self.edges) and len(self.edges) <= 2 * DISCRETE

    @property
    def mean(self) -> float:
        """Mean of the finite values; NaN without any."""
        return self.origin + float(self.sums.sum()) / self.present if self.present else float("nan")

    @property
    def deviation(self) -> float:
        """Standard deviation of the finite values; NaN without any."""
        if not self.present:
            return float("nan")
        return max(0.0, self.squares / self.present - (float(self.sums.sum()) / self.present) ** 2) ** 0.5


@dataclass(frozen=True)
class CategoryProfile:
    """A column of categories or booleans: rows per label, labels as text.

    `other`, `other_labels` and `other_single` are rows, labels and once-seen labels beyond the most frequent that
    a file keeps by name; 0 in a profile that was just taken. `family` is what the labels were stored as,
    "text" or "number": as text, the number 1, 1.0 and true are all "1".
    """

    counts: Mapping[str, int]
    missing: int
    family: str
    other: int = 0
    other_labels: int = 0
    other_single: int = 0
    kind: str = "category"

    @property
    def present(self) -> int:
        """Rows with a value."""
        return sum(self.counts.values()) + self.other

    @property
    def absent(self) -> int:
        """Rows without a value."""
        return self.missing

    @property
    def distinct(self) -> int:
        """How many different labels."""
        return len(self.counts) + self.other_labels

    @property
    def singletons(self) -> int:
        """How many labels were seen once: the rows of this kind foretell how many unseen ones will come."""
        return sum(count == 1 for count in self.counts.values()) + self.other_single


@dataclass(frozen=True)
class BareProfile:
    """A column whose values are not compared (time, free text), or can't be read (`problem` says why)."""

    kind: str
    present: int
    absent: int
    problem: str = ""


ColumnProfile = NumberProfile | CategoryProfile | BareProfile


@dataclass(frozen=True)
class Profile:
    """All columns of a stretch of a table, by name, in the order of the table; `start` and `stop` are for people."""

    columns: Mapping[str, ColumnProfile]
    rows: int
    source: str = ""
    start: str | None = None
    stop: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; of categories the 1000 most frequent labels by name. `from_dict` reads it back."""
        columns = {name: _to_dict(column) for name, column in self.columns.items()}
        extent = {"rows": self.rows, "source": self.source, "start": self.start, "stop": self.stop}
        return {"format": 1, **extent, "columns": columns}

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> "Profile":
        """The profile that `to_dict` wrote, equal in every number."""
        columns = {name: _from_dict(column) for name, column in document["columns"].items()}
        return Profile(columns, document["rows"], document["source"], document["start"], document["stop"])


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
    columns = {
        name: _profile_chunks(lambda array=array: iter([array]), array.type, kinds[name], len(array), _bins(against, name))
        for name, array in arrays.items()
        if name in kinds
    }
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
    columns = {name: _merge_columns(column, other.columns[name]) for name, column in one.columns.items()}
    return replace(one, columns=columns, rows=one.rows + other.rows)


def _bins(against: Profile | None, name: str) -> NumberProfile | None:
    column = against.columns.get(name) if against else None
    return column if isinstance(column, NumberProfile) else None


def _rows(columns: Mapping[str, ColumnProfile], otherwise: int) -> int:
    return max((column.present + column.absent for column in columns.values()), default=otherwise)


def _text(moment: object) -> str | None:
    return None if moment is None else str(moment)


def _profile_chunks(
    read: Any, stored: pa.DataType, kind: str, rows: int, bins: NumberProfile | None
) -> ColumnProfile:
    """One column; `read()` starts a new pass over its chunks."""
    if kind in ("time", "text"):
        sizes = [(len(chunk), _count_missing(chunk)) for chunk in read()]
        missing = sum(absent for _, absent in sizes)
        return BareProfile(kind, sum(size for size, _ in sizes) - missing, missing)
    family = _family(stored)
    if family == "other" or (kind == "number" and family == "text"):
        expected = "numbers" if kind == "number" else "categories"
        return BareProfile(kind, 0, 0, f"holds values of type {stored}, {expected} were expected")
    if kind != "number":
        return _count_labels(read(), kind, family)
    if bins is None and rows > HELD_ROWS:
        bins = _empty(_sample(read(), max(1, rows // SAMPLE_ROWS)))
    if bins is None:
        chunks = list(_numbers(read()))
        values = np.concatenate(chunks) if chunks else np.empty(0)
        values.sort()
        return _count(values, *make_bins(values))
    total = _empty((bins.edges, bins.points))
    for values in _numbers(read()):
        total = _merge_columns(total, _count(np.sort(values), bins.edges, bins.points))
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
    """Chunks as float64 with NaN for missing, without the detour that makes pyarrow import pandas (0.3 s)."""
    for chunk in chunks:
        if pa.types.is_null(chunk.type):
            yield np.full(len(chunk), np.nan)
            continue
        present = chunk.drop_null()
        if pa.types.is_dictionary(present.type):
            present = present.dictionary_decode()
        if pa.types.is_boolean(present.type) or pa.types.is_decimal(present.type):
            present = present.cast(pa.float64() if pa.types.is_decimal(present.type) else pa.uint8())
        values = np.from_dlpack(present).astype(np.float64, copy=False)
        yield values if len(present) == len(chunk) else np.append(values, np.full(len(chunk) - len(present), np.nan))


def _count_missing(chunk: pa.Array) -> int:
    return int(chunk.null_count)


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
    number = float(value)  # type: ignore[arg-type]
    return str(int(number)) if number.is_integer() else repr(number)


def _sample(chunks: Iterable[pa.Array], step: int) -> tuple[np.ndarray, np.ndarray]:
    """Bins from every `step`-th value, the rhythm carried from chunk to chunk."""
    taken, ahead = [], 0
    for values in _numbers(chunks):
        taken.append(values[ahead::step].copy())
        ahead = (ahead - len(values)) % step
    return make_bins(np.sort(np.concatenate(taken)))


def make_bins(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges and point marks from sorted values (shape `(n,)`, NaN last): 200 equal shares, frequent values apart.

    A value that holds more than 1/200 of the rows gets a bin of its own, and so does every value where there are at
    most 20. Such a bin of a value that is not whole is as wide as the rounding of 32-bit numbers, so that 0.1 is the same
    value in a file with 32-bit and one with 64-bit numbers.

    >>> edges, points = make_bins(np.array([1.0, 1.0, 2.0]))
    >>> points.tolist(), edges[[1, 3]].tolist()
    ([False, True, False, True, False], [1.0, 2.0])
    """
    finite = values[np.searchsorted(values, -np.inf, "right") : np.searchsorted(values, np.inf)]
    distinct, counts = np.unique(finite, return_counts=True)
    few = len(distinct) <= DISCRETE
    frequent = distinct if few else distinct[counts > len(finite) / BINS]
    ranks = np.arange(1, BINS) * len(finite) // BINS
    quantiles = np.empty(0) if few else np.unique(finite[ranks])
    wide = np.where(frequent == np.floor(frequent), 0, np.abs(frequent) * 2.0**-23)
    below, above = np.minimum(frequent - wide, np.nextafter(frequent, -np.inf)), frequent + wide
    inside = np.searchsorted(below, quantiles, "left") != np.searchsorted(above, quantiles, "left")
    edges = np.unique(np.concatenate([below, above, quantiles[~inside]]))
    points = np.zeros(len(edges) + 1, dtype=bool)
    points[np.searchsorted(edges, above)] = True
    return edges, points


def _origin(edges: np.ndarray) -> float:
    return float(edges[len(edges) // 2]) if len(edges) else 0.0


def _empty(bins: tuple[np.ndarray, np.ndarray]) -> NumberProfile:
    return _count(np.empty(0), *bins)


def _count(values: np.ndarray, edges: np.ndarray, points: np.ndarray) -> NumberProfile:
    """The profile of sorted values, infinities at the ends and NaN last: sort, then look the edges up."""
    first, last, end = (int(np.searchsorted(values, *at)) for at in ((-np.inf, "right"), (np.inf,), (np.inf, "right")))
    finite = values[first:last]
    borders = np.concatenate([[0], np.searchsorted(finite, edges, "right"), [len(finite)]])
    counts = np.diff(borders)
    with np.errstate(over="ignore", invalid="ignore"):
        centered = finite - _origin(edges)
        squares = float(np.dot(centered, centered))
        sums = np.zeros(len(counts))
        sums[counts > 0] = np.add.reduceat(centered, borders[:-1][counts > 0]) if len(finite) else 0.0
    low, high = (float(finite[0]), float(finite[-1])) if len(finite) else (None, None)
    non_finite = first + end - last
    return NumberProfile(edges, points, counts, sums, squares, len(values) - end, non_finite, low, high)


def _merge_columns(one: ColumnProfile, other: ColumnProfile) -> Any:
    if isinstance(one, NumberProfile) and isinstance(other, NumberProfile):
        return _merge_numbers(one, other)
    if isinstance(one, CategoryProfile) and isinstance(other, CategoryProfile):
        counts = Counter(one.counts)
        counts.update(other.counts)
        family = one.family if one.present else other.family
        tails = {name: getattr(one, name) + getattr(other, name) for name in ("other", "other_labels", "other_single")}
        return CategoryProfile(dict(sorted(counts.items())), one.missing + other.missing, family, kind=one.kind, **tails)
    if isinstance(one, BareProfile) and isinstance(other, BareProfile):
        problem = one.problem or other.problem
        return BareProfile(one.kind, one.present + other.present, one.absent + other.absent, problem)
    raise ValueError("profiles of different kinds can't be merged")


def _merge_numbers(one: NumberProfile, other: NumberProfile) -> NumberProfile:
    if not np.array_equal(one.edges, other.edges):
        raise ValueError("profiles on different bins can't be merged; take both against the same reference")
    lows = [low for low in (one.low, other.low) if low is not None]
    highs = [high for high in (one.high, other.high) if high is not None]
    return NumberProfile(
        one.edges,
        one.points,
        one.counts + other.counts,
        one.sums + other.sums,
        one.squares + other.squares,
        one.missing + other.missing,
        one.non_finite + other.non_finite,
        min(lows, default=None),
        max(highs, default=None),
    )


def _to_dict(column: ColumnProfile) -> dict[str, Any]:
    if isinstance(column, BareProfile):
        return {name: getattr(column, name) for name in ("kind", "present", "absent", "problem")}
    if isinstance(column, CategoryProfile):
        return {name: getattr(_kept(column), name) for name in CategoryProfile.__dataclass_fields__}
    plain = {name: getattr(column, name) for name in NumberProfile.__dataclass_fields__}
    plain["points"] = np.flatnonzero(column.points)
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in plain.items()}


def _kept(column: CategoryProfile) -> CategoryProfile:
    """The 1000 most frequent labels by name, ties in alphabetical order; the others together."""
    ranked = sorted(column.counts, key=lambda label: (-column.counts[label], label))
    rest = [column.counts[label] for label in ranked[LABELS:]]
    return replace(
        column,
        counts={label: column.counts[label] for label in ranked[:LABELS]},
        other=column.other + sum(rest),
        other_labels=column.other_labels + len(rest),
        other_single=column.other_single + rest.count(1),
    )


def _from_dict(document: Mapping[str, Any]) -> ColumnProfile:
    if document["kind"] == "number" and "edges" in document:
        points = np.zeros(len(document["counts"]), dtype=bool)
        points[document["points"]] = True
        arrays = {
            "edges": np.array(document["edges"], dtype=float),
            "points": points,
            "counts": np.array(document["counts"], dtype=np.int64),
            "sums": np.array(document["sums"], dtype=float),
        }
        return NumberProfile(**{**document, **arrays})
    return CategoryProfile(**document) if "counts" in document else BareProfile(**document)
