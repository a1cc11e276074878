"""Like with like: in data with a rhythm, the reference is weighed to the seasons that the current rows are from.

A model's reference of Tuesday to Thursday differs from a Saturday without anything having drifted. With
`drift.season` the reference keeps its counts per hour, weekday or month (of `data.time`, in UTC). Before anything
is measured, the shares of each season are weighed by the share of current rows in it,

    p = Σ w_k · p_k,   w_k = current rows in season k / current rows,   n_eff = 1 / Σ(w_k² / n_k)

and n_eff rows, at most as many as there are, go into the tests: a season that the reference has few rows of, and the
current table many, makes the comparison less sure (Kish 1965, Survey Sampling, 11.7). Current rows of a
season that the reference does not know are left out, and counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.drift.groups import restore, whole_counts

if TYPE_CHECKING:
    from evergreen.drift.profile import Profile

FEW = 5  # rows of the reference in a season; fewer say nothing of it
NONE = -1  # the season of a row without a time
FIRST_WEEKDAY = 3  # day 0 of the calendar, 1970-01-01, was a Thursday


def season_of(times: np.ndarray, by: str) -> np.ndarray:
    """The season of each row, shape `(rows,)`: hour 0 to 23, weekday 0 (Monday) to 6, month 1 to 12; -1 without a time.

    >>> days = np.array(["2026-03-02T10:00", "2026-03-08T23:30", "NaT"], "datetime64[us]")
    >>> [season_of(days, by).tolist() for by in ("hour", "weekday", "month")]
    [[10, 23, -1], [0, 6, -1], [3, 3, -1]]
    """
    if by == "month":
        whole = times.astype("datetime64[M]").astype(np.int64) % 12 + 1
    elif by == "weekday":
        whole = (times.astype("datetime64[D]").astype(np.int64) + FIRST_WEEKDAY) % 7
    else:
        whole = times.astype("datetime64[h]").astype(np.int64) % 24
    return np.where(np.isnat(times), NONE, whole)


def count_seasons(seasons: np.ndarray) -> dict[str, int]:
    """Rows per season, as JSON keeps it; rows without a time are in none."""
    found, rows = np.unique(seasons[seasons != NONE], return_counts=True)
    return dict(zip(map(str, found.tolist()), rows.tolist(), strict=True))


@dataclass(frozen=True)
class Comparable:
    """Which current rows can be compared with a reference by season: a mask of shape `(rows,)`, and the rest of them.

    `note` is what the profile of these rows has to carry (`Profile.seasons`).
    """

    mask: np.ndarray
    note: dict[str, Any]

    @property
    def left_out(self) -> int:
        return int(self.note["left_out"])


def find_comparable(times: np.ndarray, reference: "Profile") -> Comparable:
    """The rows whose season the reference knows from at least 5 rows of its own."""
    known = reference.seasons or {}
    seasons = season_of(times, known["by"])
    enough = [int(season) for season, rows in known["rows"].items() if rows >= FEW]
    mask = np.isin(seasons, enough)
    note = {"by": known["by"], "rows": count_seasons(seasons[mask]), "left_out": int((~mask).sum())}
    return Comparable(mask, note)


def merge_notes(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The note of the current rows of both; None where either has none, or is a reference."""
    if not one or not other or one["by"] != other["by"] or "columns" in one or "columns" in other:
        return None
    seasons = sorted({*one["rows"], *other["rows"]}, key=int)
    rows = {season: one["rows"].get(season, 0) + other["rows"].get(season, 0) for season in seasons}
    return {"by": one["by"], "rows": rows, "left_out": one["left_out"] + other["left_out"]}


def like_with_like(reference: "Profile", current: "Profile") -> "Profile":
    """The reference as it would have been with the seasons of the current rows; itself where seasons play no part.

    `current` must be the profile of comparable rows alone, with their note.
    """
    known, now = reference.seasons, current.seasons
    if known is None or now is None or not now["rows"]:
        return reference
    weights = seasonal_weights(now["rows"], known["rows"])
    rows = effective_rows(weights, known["rows"])
    places = [list(known["rows"]).index(season) for season in weights]
    share = np.array(list(weights.values()))
    columns = dict(reference.columns)
    for name, seasons in known["columns"].items():
        if name not in columns:
            continue  # another part of the table is being compared
        counts = np.array(seasons)[places]
        shares = share @ (counts / counts.sum(axis=1, keepdims=True))
        columns[name] = restore(whole_counts(shares, rows), columns[name])
    return replace(reference, columns=columns, rows=round(rows))


def describe_seasons(by: str, seasons: np.ndarray, columns: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What a reference keeps of its seasons, in plain JSON types.

    Args:
        seasons: the season of each row.
        columns: per column the counts of each season that occurs, ascending, shape `(seasons, places)`.
    """
    return {
        "by": by,
        "rows": count_seasons(seasons),
        "columns": {name: counts.tolist() for name, counts in columns.items()},
    }


def seasonal_weights(now: Mapping[str, int], known: Mapping[str, int]) -> dict[str, float]:
    """The share of the current rows in each season, which the reference must know."""
    total = sum(now.values())
    return {season: rows / total for season, rows in now.items() if season in known}


def effective_rows(weights: Mapping[str, float], known: Mapping[str, int]) -> float:
    """How many rows of one kind tell as much as the reference's seasons, so weighed.

    >>> effective_rows({"0": 0.5, "1": 0.5}, {"0": 100, "1": 100}), effective_rows({"0": 1.0}, {"0": 100, "1": 900})
    (200.0, 100.0)
    """
    return 1 / sum(weight**2 / known[season] for season, weight in weights.items())
