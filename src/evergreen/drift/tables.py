"""Two tables, or profiles that were taken of them, held against each other, with no model in between."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.data.kinds import infer_kinds
from evergreen.data.quality import Finding
from evergreen.data.schema import FEATURE_KINDS
from evergreen.data.sources import Table
from evergreen.drift.columns import ColumnDrift, compare_profiles
from evergreen.drift.in_time import profile_current, profile_reference, season_note
from evergreen.drift.joint import compare_relations, join_deep
from evergreen.drift.profile import Profile
from evergreen.drift.saved import check_current, save_profile
from evergreen.drift.soundness import check_profiles, find_missing
from evergreen.drift.verdict import DriftReport, conclude
from evergreen.errors import DataError, UsageError
from evergreen.settings import Settings

if TYPE_CHECKING:
    from evergreen.drift.deep import DeepDrift

logger = logging.getLogger(__name__)


def compare_tables(
    reference: Table | Profile,
    current: Table | Profile,
    settings: Settings,
    target: str = "",
    *,
    profile_out: Path | None = None,
) -> DriftReport:
    """The verdict on two tables: profile both on the same bins, judge the columns, conclude.

    Either may be a profile that was taken before, that of the current rows against this very reference.
    The column `target` is judged apart from the features; a current table without it has no labels yet.
    With `profile_out` the profile of the current rows is saved. Raises `UsageError` when the reference has no
    such column, `DataError` when the tables share no column or a profile was taken against another reference.
    """
    if target and target not in _names_of(reference):
        found = ", ".join(_names_of(reference))
        raise UsageError(f"{_title_of(reference)}: no column '{target}' (--target). Found: {found}.")
    _check_shared(reference, current)
    before = reference if isinstance(reference, Profile) else profile_as_reference(reference, settings)
    after = current if isinstance(current, Profile) else profile_against(before, current, settings)
    check_current(before, after)
    if profile_out:
        save_profile(after, profile_out)
    features = [name for name in before.columns if name not in (target, *settings.data.exclude)]
    rows = f"{after.rows:,}", f"{before.rows:,}"
    logger.info("Compared %s rows with %s rows in %s columns.", *rows, f"{len(before.columns):,}")
    columns = compare_profiles(_part(before, features), _part(after, features), settings.drift)
    outcomes = None
    if target in after.columns:
        outcomes = compare_profiles(_part(before, [target]), _part(after, [target]), settings.drift)
    quality = (
        *_incomparable((*columns, *(outcomes or ()))),
        *_extra(before, _names_of(current)),
        *find_missing(columns, settings.data),
    )
    quality += check_profiles(before, after, features, settings.data)
    related = compare_relations(before.relations, after.relations, settings.drift, features)
    kinds = {column.name: column.kind for column in columns if column.status != "invalid"}
    deep = _look_deeper(reference, current, kinds, settings) if settings.drift.deep else None
    return conclude(
        before,
        after,
        columns,
        settings.drift,
        quality=quality,
        target=outcomes,
        joint=join_deep(related, deep, settings.drift),
        season=season_note(after),
    )


def _look_deeper(
    reference: Table | Profile, current: Table | Profile, kinds: Mapping[str, str], settings: Settings
) -> "DeepDrift | None":
    """What a classifier finds in the rows; None where there are none, but a profile."""
    from evergreen.drift.deep import compare_rows, in_like_seasons, read_rows

    if isinstance(reference, Profile) or isinstance(current, Profile):
        logger.warning("drift.deep looks at rows, and a profile has none: only columns and pairs were compared.")
        return None
    names = [name for name, kind in kinds.items() if kind in FEATURE_KINDS]
    timed = [settings.data.time] if settings.drift.season else []
    before, after = (read_rows(table, [*names, *timed]) for table in (reference, current))
    if settings.drift.season:
        before, after = in_like_seasons(before, after, settings.data.time, settings.drift.season)
    return compare_rows(before, after, kinds, settings.drift, settings.training.seed)


def profile_as_reference(table: Table, settings: Settings) -> Profile:
    """The profile of a table, its columns of the kinds that are set or inferred."""
    return profile_reference(table, infer_kinds(table, settings.data.kinds), settings.drift)


def profile_against(reference: Profile, table: Table, settings: Settings) -> Profile:
    """The profile of current rows, on the bins and of the kinds of the reference."""
    kinds = {name: column.kind for name, column in reference.columns.items()}
    return profile_current(table, kinds, reference, settings.drift, window=None)


def _check_shared(reference: Table | Profile, current: Table | Profile) -> None:
    if not set(_names_of(reference)) & set(_names_of(current)):
        found = ", ".join(_names_of(current))
        raise DataError(f"{_title_of(current)} has no column of {_title_of(reference)}. Found: {found}.")


def _part(profile: Profile, names: Iterable[str]) -> Profile:
    return replace(profile, columns={name: profile.columns[name] for name in names if name in profile.columns})


def _incomparable(columns: Sequence[ColumnDrift]) -> list[Finding]:
    """Columns that can't be compared, as blocking findings: no model should be trained on such rows."""
    return [
        Finding(column.name, "incomparable", f"{column.name}: {column.reason}", None, None, "data.exclude", True)
        for column in columns
        if column.status == "invalid"
    ]


def _names_of(data: Table | Profile) -> list[str]:
    return list(data.columns if isinstance(data, Profile) else data.types)


def _title_of(data: Table | Profile) -> str:
    return data.source if isinstance(data, Profile) else data.name


def _extra(reference: Profile, names: Sequence[str]) -> list[Finding]:
    """Columns that only the current rows have: shown, harmless."""
    return [
        Finding(name, "extra_column", f"column '{name}' is not in the reference.", None, None, "data.exclude", False)
        for name in names
        if name not in reference.columns
    ]
