"""Profiles of tables: small mergeable summaries of columns, the only thing drift is computed from.

A profile of the current rows is taken on the bins of the reference's profile. Profiles of chunks, files and
machines merge by addition. The statistics computed from two profiles differ from those of the raw values by a
bounded amount only (see `distances`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evergreen.data.frames import to_arrow
from evergreen.drift.counting import to_values
from evergreen.drift.passes import Pass, count_column, count_columns, count_cores
from evergreen.drift.relations import (
    Relations,
    choose_columns,
    measure_relations,
    merge_relations,
    relations_from_dict,
    relations_to_dict,
    thin_rows,
)
from evergreen.drift.seasons import merge_notes
from evergreen.drift.steadiness import merge_steadiness
from evergreen.drift.summaries import (
    LABELS,
    BareProfile,
    CategoryProfile,
    ColumnProfile,
    NumberProfile,
    column_from_dict,
    column_to_dict,
    keep_labels,
    merge_columns,
)

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.data.sources import Table, Window

__all__ = ["BareProfile", "CategoryProfile", "NumberProfile", "Profile", "merge", "profile_table"]


@dataclass(frozen=True)
class Profile:
    """All columns of a stretch of a table, by name, in the order of the table; `start` and `stop` are for people.

    Where the rows have a time, `steadiness` says how far stretches of a reference lie apart (`calibration`) and
    `seasons` what it was like in each season (`seasons`); both in plain JSON types. `relations` are those between
    its numeric columns (`relations`); None where they were not looked at.
    """

    columns: Mapping[str, ColumnProfile]
    rows: int
    source: str = ""
    start: str | None = None
    stop: str | None = None
    steadiness: Mapping[str, Any] | None = None
    seasons: Mapping[str, Any] | None = None
    relations: Relations | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` reads it back."""
        columns = {name: column_to_dict(column) for name, column in self.columns.items()}
        extent = {"rows": self.rows, "source": self.source, "start": self.start, "stop": self.stop}
        related = None if self.relations is None else relations_to_dict(self.relations)
        more = {"steadiness": self.steadiness, "seasons": self.seasons, "relations": related}
        return {"format": 1, **extent, "columns": columns} | {key: value for key, value in more.items() if value}

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> "Profile":
        """The profile that `to_dict` wrote, equal in every number."""
        columns = {name: column_from_dict(column) for name, column in document["columns"].items()}
        plain = ("rows", "source", "start", "stop", "steadiness", "seasons")
        extent: dict[str, Any] = {name: document.get(name) for name in plain}
        related = relations_from_dict(document["relations"]) if document.get("relations") else None
        return Profile(columns, **extent, relations=related)


def profile_table(
    table: "Table",
    kinds: Mapping[str, str],
    *,
    window: "Window | None" = None,
    against: Profile | None = None,
    importances: Mapping[str, float] | None = None,
    jobs: int | None = None,
) -> Profile:
    """Profile the columns of a table named in `kinds` ("number", "category", "boolean", "time" or "text").

    With `against`, the profile of the reference, on its bins; without, the bins are made from these values.
    Columns the table does not have are left out. A column that can't be read as its kind gets a
    `BareProfile` with the problem and does not hide the others. Work is done in `jobs` threads (None: as many as
    there are cores), through joblib where it is worth the import; the result does not depend on their number.

    Every column is read once, a piece at a time. A reference of up to 16.8 million rows is sorted whole, a column at
    a time, which takes up to 0.5 GB; a longer one is read twice, its bins made from 65,536 of its rows. Beyond that
    memory is about 10 MB a thread and 5 kB a column, whatever the rows, and 20 MB for the rows by which relations
    between columns are measured (of at most 100 numeric columns: the most important, else the first by name).
    """
    there = {name: kind for name, kind in kinds.items() if name in table.types}
    bins = {name: (column.edges, column.points) for name, column in _numbers_of(against, there).items()}
    rows = sum(table.chunk_rows(window))
    sampled = _columns_to_relate(there, against, importances)
    looked_at, weight = thin_rows(rows)
    work = Pass(table, there, window, bins, _labels_of(against), looked_at, frozenset(sampled))
    columns, samples = count_columns(work, jobs or count_cores())
    extent = (None, None) if window is None else (_text(window.start), _text(window.stop))
    profile = Profile(_finished(columns, against), _rows(columns, rows), table.name, *extent)
    return _relate(profile, samples, weight, against, importances)


def profile_arrays(
    arrays: Mapping[str, pa.Array], kinds: Mapping[str, str], *, against: Profile | None = None, source: str = ""
) -> Profile:
    """Profile columns that are in memory as arrow arrays; the same answers as `profile_table`."""
    bins = {name: (column.edges, column.points) for name, column in _numbers_of(against, kinds).items()}
    named = _labels_of(against)
    columns = {
        name: count_column(
            [array],
            kinds[name],
            stored=array.type,
            rows=len(array),
            bins=bins.get(name),
            named=named.get(name, ()),
        )
        for name, array in arrays.items()
        if name in kinds
    }
    return Profile(_finished(columns, against), _rows(columns, 0), source)


def profile_frame(
    frame: "pd.DataFrame", kinds: Mapping[str, str], *, against: Profile | None = None, source: str = ""
) -> Profile:
    """Profile the columns of a pandas frame named in `kinds`, such as predictions; NaN and None are missing."""
    names = [name for name in kinds if name in frame.columns]
    return profile_arrays({name: to_arrow(frame[name]) for name in names}, kinds, against=against, source=source)


def relate_frame(profile: Profile, frame: "pd.DataFrame", importances: Mapping[str, float] | None = None) -> Profile:
    """The profile of a frame together with the relations between its numeric columns."""
    numbers = _numbers_of(profile, profile.columns)
    rows, weight = thin_rows(len(frame))
    arrays = {name: to_arrow(frame[name].iloc[rows]) for name in choose_columns(list(numbers), importances)}
    samples = {name: to_values(array).astype(np.float64) for name, array in arrays.items()}
    return _relate(profile, samples, weight, None, importances)


def merge(one: Profile, other: Profile) -> Profile:
    """The profile of both stretches together; both must have been taken on the same bins.

    Exact, associative and commutative; only of categories with more labels than are kept by name the number of the
    others becomes an upper bound. Relations rest on the rows looked at on either side, which stand for all. How steady
    the whole is, is told by the stretches of the parts that know theirs, pooled by length.
    """
    if one.columns.keys() != other.columns.keys():
        raise ValueError("profiles of different columns can't be merged")
    columns = {name: merge_columns(column, other.columns[name]) for name, column in one.columns.items()}
    relations = merge_relations(one.relations, other.relations)
    rows = one.rows + other.rows
    seasons = merge_notes(one.seasons, other.seasons)
    steadiness = merge_steadiness(one.steadiness, other.steadiness)
    return replace(one, columns=columns, rows=rows, steadiness=steadiness, seasons=seasons, relations=relations)


def _numbers_of(profile: Profile | None, names: Iterable[str]) -> dict[str, NumberProfile]:
    found = {name: profile.columns.get(name) for name in names} if profile else {}
    return {name: column for name, column in found.items() if isinstance(column, NumberProfile)}


def _labels_of(profile: Profile | None) -> dict[str, Collection[str]]:
    columns = profile.columns if profile else {}
    return {name: column.counts for name, column in columns.items() if isinstance(column, CategoryProfile)}


def _finished(columns: Mapping[str, ColumnProfile], against: Profile | None) -> Mapping[str, ColumnProfile]:
    """A reference names its 1000 most frequent labels, whether it goes through a file or not: so both judge alike."""
    if against is not None:
        return columns
    return {
        name: keep_labels(column, LABELS) if isinstance(column, CategoryProfile) else column
        for name, column in columns.items()
    }


def _columns_to_relate(
    kinds: Mapping[str, str], against: Profile | None, importances: Mapping[str, float] | None
) -> Sequence[str]:
    """The numeric columns of which rows are kept: those that the reference related, or the most important ones."""
    if against is not None:
        return [name for name in against.relations.names if name in kinds] if against.relations else []
    return choose_columns([name for name, kind in kinds.items() if kind == "number"], importances)


def _relate(
    profile: Profile,
    samples: Mapping[str, np.ndarray],
    weight: int,
    against: Profile | None,
    importances: Mapping[str, float] | None,
) -> Profile:
    """The profile with the relations between its columns, from the values of some rows, each standing for `weight`."""
    known = against.relations if against else None
    if against is not None and known is None:
        return profile
    columns = _numbers_of(profile, profile.columns)
    kept = {name: values for name, values in samples.items() if name in columns}
    found = measure_relations(kept, columns, weight=weight, against=known, importances=importances)
    return replace(profile, relations=found)


def _rows(columns: Mapping[str, ColumnProfile], otherwise: int) -> int:
    return max((column.present + column.absent for column in columns.values()), default=otherwise)


def _text(moment: object) -> str | None:
    return None if moment is None else str(moment)
