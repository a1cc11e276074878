"""Two tables held against each other, with no model in between."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from evergreen.data.kinds import infer_kinds
from evergreen.data.quality import Finding
from evergreen.data.sources import Table
from evergreen.drift.columns import ColumnDrift, compare_profiles
from evergreen.drift.profile import Profile, profile_table
from evergreen.drift.verdict import DriftReport, conclude
from evergreen.errors import DataError, UsageError
from evergreen.settings import Settings

logger = logging.getLogger(__name__)


def compare_tables(reference: Table, current: Table, settings: Settings, target: str = "") -> DriftReport:
    """The verdict on two tables: profile both on the same bins, judge the columns, conclude.

    The column `target` is judged apart from the features; a current table without it has no labels yet.
    Raises `UsageError` when the reference has no such column, `DataError` when the tables share no column.
    """
    if target and target not in reference.types:
        raise UsageError(f"{reference.name}: no column '{target}' (--target). Found: {', '.join(reference.types)}.")
    if not reference.types.keys() & current.types.keys():
        raise DataError(f"{current.name} has no column of {reference.name}. Found: {', '.join(current.types)}.")
    kinds = infer_kinds(reference, settings.data.kinds)
    features = [name for name in kinds if name not in (target, *settings.data.exclude)]
    before = profile_table(reference, kinds)
    after = profile_table(current, kinds, against=before)
    logger.info("Compared %s rows with %s rows in %s columns.", f"{after.rows:,}", f"{before.rows:,}", len(kinds))
    columns = compare_profiles(_part(before, features), _part(after, features), settings.drift)
    outcomes = None
    if target in current.types:
        outcomes = compare_profiles(_part(before, [target]), _part(after, [target]), settings.drift)
    quality = (*_incomparable(columns), *_extra(reference, current))
    return conclude(before, after, columns, settings.drift, quality=quality, target=outcomes)


def _part(profile: Profile, names: Iterable[str]) -> Profile:
    return replace(profile, columns={name: profile.columns[name] for name in names if name in profile.columns})


def _incomparable(columns: Sequence[ColumnDrift]) -> list[Finding]:
    """Columns that can't be compared, as blocking findings: no model should be trained on such rows."""
    return [
        Finding(column.name, "incomparable", f"{column.name}: {column.reason}", None, None, "data.exclude", True)
        for column in columns
        if column.status == "invalid"
    ]


def _extra(reference: Table, current: Table) -> list[Finding]:
    """Columns that only the current rows have: shown, harmless."""
    return [
        Finding(name, "extra_column", f"column '{name}' is not in the reference.", None, None, "data.exclude", False)
        for name in current.types
        if name not in reference.types
    ]
