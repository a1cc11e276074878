"""Profiles of rows that have an order in time: a reference also says how steady it is, and what its seasons are like.

Three kinds of rows are profiled here: tables that are read column by column, what a model learned from, and what it
answered. In each, the profile of a reference is followed by one more pass that counts its rows by stretch and season
(`steadiness`, `seasons`); and of current rows, where seasons are compared, only those are profiled whose
season the reference knows.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evergreen.data.arrays import to_numpy
from evergreen.data.frames import to_arrow
from evergreen.drift.counting import to_values
from evergreen.drift.groups import count_groups
from evergreen.drift.passes import count_cores
from evergreen.drift.profile import Profile, profile_frame, profile_table, relate_frame
from evergreen.drift.relations import split_in_time, thin_rows
from evergreen.drift.seasons import NONE, describe_seasons, find_comparable, season_of
from evergreen.drift.steadiness import find_levels
from evergreen.drift.stretches import cut_stretches
from evergreen.drift.summaries import BareProfile, ColumnProfile, NumberProfile
from evergreen.settings import DriftSettings

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.data.sources import Table, Window

logger = logging.getLogger(__name__)


def profile_reference(
    table: "Table", kinds: Mapping[str, str], settings: DriftSettings, *, jobs: int | None = None
) -> Profile:
    """Profile a table as a reference; with its steadiness and seasons where its rows have a time."""
    profile = profile_table(table, kinds, jobs=jobs)
    if not table.time:
        return profile
    return with_past(profile, table.arrays, read_times(table), settings, jobs=jobs or count_cores())


def profile_current(
    table: "Table", kinds: Mapping[str, str], reference: Profile, settings: DriftSettings, *, window: "Window | None"
) -> Profile:
    """Profile the rows of a window on the bins of the reference: those whose season it knows, where that matters."""
    if not _compares_seasons(reference, settings):
        return profile_table(table, kinds, window=window, against=reference)
    times = read_times(table, window)
    inside = find_comparable(times, reference)
    if inside.left_out:
        table = table.only(find_comparable(read_times(table), reference).mask)
    profile = replace(profile_table(table, kinds, window=window, against=reference), seasons=inside.note)
    return _relate_in_seasons(profile, lambda name: table.arrays(name, window), times[inside.mask], settings)


def profile_rows(
    frame: "pd.DataFrame",
    kinds: Mapping[str, str],
    times: np.ndarray,
    settings: DriftSettings,
    *,
    against: Profile | None = None,
    source: str = "",
) -> Profile:
    """Profile rows in memory: as a reference, or `against` one as current rows.

    Args:
        times: shape `(rows,)`, when each row was observed, or row numbers.
    """
    if against is None:
        profile = profile_frame(frame, kinds, source=source)
        return with_past(profile, lambda name: [to_arrow(frame[name])], times, settings)
    if not _compares_seasons(against, settings):
        return profile_frame(frame, kinds, against=against, source=source)
    found = find_comparable(times, against)
    return replace(profile_frame(frame[found.mask], kinds, against=against, source=source), seasons=found.note)


def relate_rows(
    profile: Profile,
    frame: "pd.DataFrame",
    times: np.ndarray,
    settings: DriftSettings,
    importances: Mapping[str, float] | None = None,
) -> Profile:
    """The profile of a reference in memory with the relations between its columns, in time too.

    Args:
        times: shape `(rows,)`, when each row was observed, or row numbers.
        importances: which columns to prefer when there are many.
    """
    related = relate_frame(profile, frame, importances)
    return _relate_in_time(related, lambda name: [to_arrow(frame[name])], times, settings)


def with_past(
    profile: Profile,
    read: Callable[[str], Iterable[pa.Array]],
    times: np.ndarray,
    settings: DriftSettings,
    *,
    jobs: int = 1,
) -> Profile:
    """A reference's profile with its steadiness and seasons.

    Args:
        read: gives the pieces of a column, in the order of `times`, shape `(rows,)`.
    """
    cut = cut_stretches(times, settings.min_chunks)
    seasons = season_of(times, settings.season) if settings.season else np.zeros(len(times), np.int64)
    if not cut.lengths and not settings.season:
        return profile
    present = np.unique(seasons[seasons != NONE])
    if not len(present):
        return profile
    codes = cut.codes * len(present) + np.searchsorted(present, seasons)

    def study(name: str) -> tuple[dict[str, list[list[float]]], np.ndarray]:
        column = profile.columns[name]
        counts = count_groups(read(name), column, codes, cut.pieces * len(present))
        counts = counts.reshape(cut.pieces, len(present), -1)
        return find_levels(counts, cut.lengths, column, settings.min_chunks), counts.sum(axis=0)

    names = [name for name, column in profile.columns.items() if not _unreadable(column)]
    with ThreadPoolExecutor(jobs) as pool:
        studied = dict(zip(names, pool.map(study, names), strict=True))
    steadiness = {name: levels for name, (levels, _) in studied.items() if levels}
    counted = {name: counts for name, (_, counts) in studied.items()}
    kept = describe_seasons(settings.season, seasons, counted) if settings.season else None
    profile = replace(profile, steadiness=steadiness or None, seasons=kept)
    return _relate_in_time(profile, read, times, settings)


def _relate_in_time(
    profile: Profile, read: Callable[[str], Iterable[pa.Array]], times: np.ndarray, settings: DriftSettings
) -> Profile:
    """A reference's profile with the relations of its columns in each season, and in stretches of time."""
    cut = cut_stretches(times, settings.min_chunks)
    if profile.relations is None or not (cut.lengths or settings.season):
        return profile
    rows, weight = thin_rows(len(times))
    seasons = season_of(times[rows], settings.season) if settings.season else None
    pieces = np.where(cut.codes < cut.pieces, cut.codes, -1)
    stretches = (pieces[rows], cut.lengths, settings.min_chunks)
    samples, edges = _sample(profile, read, rows)
    related = split_in_time(profile.relations, samples, edges, weight=weight, seasons=seasons, stretches=stretches)
    return replace(profile, relations=related)


def _relate_in_seasons(
    profile: Profile, read: Callable[[str], Iterable[pa.Array]], times: np.ndarray, settings: DriftSettings
) -> Profile:
    """The profile of current rows with the relations of their columns in each season."""
    if profile.relations is None:
        return profile
    rows, weight = thin_rows(len(times))
    samples, edges = _sample(profile, read, rows)
    seasons = season_of(times[rows], settings.season)
    return replace(profile, relations=split_in_time(profile.relations, samples, edges, weight=weight, seasons=seasons))


def _sample(
    profile: Profile, read: Callable[[str], Iterable[pa.Array]], rows: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Values of the related columns in some rows, and the edges of their bins."""
    assert profile.relations is not None, "only then there is something to sample"
    samples = {name: _take(read(name), rows) for name in profile.relations.names}
    edges = {name: column.edges for name, column in profile.columns.items() if isinstance(column, NumberProfile)}
    return samples, edges


def _take(pieces: Iterable[pa.Array], rows: np.ndarray) -> np.ndarray:
    """The values of some rows of a column as float64."""
    taken, begin = [np.empty(0)], 0
    for piece in pieces:
        first, last = np.searchsorted(rows, [begin, begin + len(piece)])
        taken.append(to_values(piece)[rows[first:last] - begin].astype(np.float64))
        begin += len(piece)
    return np.concatenate(taken)


def season_note(current: Profile, **others: Profile | None) -> dict[str, Any] | None:
    """For the report: by which season was compared and how many rows were left out; None without seasons.

    `others` are families of their own, such as predictions, of which the rows left out are named too.
    """
    note = current.seasons
    if note is None:
        return None
    more = {name: profile.seasons for name, profile in others.items() if profile is not None}
    return {"by": note["by"], "rows_left_out": note["left_out"]} | {
        f"{name}_left_out": found["left_out"] for name, found in more.items() if found is not None
    }


def read_times(table: "Table", window: "Window | None" = None) -> np.ndarray:
    """The times of the rows of a window, shape `(rows,)`, `datetime64[us]`."""
    pieces = [to_numpy(piece) for piece in table.arrays(table.time, window)]
    return np.concatenate(pieces) if pieces else np.empty(0, "datetime64[us]")


def _compares_seasons(reference: Profile, settings: DriftSettings) -> bool:
    """Whether seasons are to be compared, and the reference has them."""
    known = bool(reference.seasons and reference.seasons["by"] == settings.season)
    if settings.season and not known:
        of_model = reference.source in ("training rows", "predictions", "target")  # as cards call theirs
        made = "model was made" if of_model else "profile was taken"
        cure = "The next training keeps them" if of_model else "Take it again with the setting"
        logger.warning(
            "%s: the rows were not kept by %s, so seasons are not compared; the %s before drift.season was set. %s.",
            reference.source or "reference",
            settings.season,
            made,
            cure,
        )
    return known


def _unreadable(column: ColumnProfile) -> bool:
    return isinstance(column, BareProfile) and bool(column.problem)
