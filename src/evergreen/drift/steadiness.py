"""How far stretches of a reference lie apart: measured when it is profiled, kept in a few numbers per column.

The rows of a reference are cut into stretches of time (`stretches`), and the distance of each from the rest of the
reference is measured, at several lengths. `calibration` judges by them.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from evergreen.drift.groups import kept_labels
from evergreen.drift.measures import TEST_GROUPS, group_starts
from evergreen.drift.seasons import FEW
from evergreen.drift.stretches import MIN_ROWS
from evergreen.drift.summaries import BareProfile, ColumnProfile, NumberProfile

LABEL_GROUPS = 200  # categories told apart, as many as a number has bins
MIN_EXPECTED = 5  # rows of a category in a stretch; rarer ones are taken together, as in the chi-square test
RESOLUTION = (
    0.5  # of a row: a distance of 0 or 1 counts as so much more or less, because neither has a place on the scale
)
MAX_CORRELATION = 0.9
SHRINKAGE = 4  # stretches' worth of weight for the median spread over the columns, or pairs
LONGER = 1.2  # a length is worth keeping when it is so much longer than the one before

L = TypeVar("L", bound=Any)  # a level: of columns, or of pairs
Known = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]  # by column and measure its levels, as JSON keeps them


@dataclass(frozen=True)
class Level:
    """How far stretches of one length lie from the rest: of `chunks` stretches of `rows` rows, T on the scale of
    `to_scale`, on average, and its spread; they tell as much as `independent` stretches that have nothing in common.

    For missing rates T is the signed difference of the rates, each taken as arcsin √rate, and its mean 0.
    """

    chunks: int
    rows: float
    mean: float
    spread: float
    independent: float


def find_levels(
    counts: np.ndarray, lengths: Sequence[np.ndarray], column: ColumnProfile, least: int
) -> dict[str, list[list[float]]]:
    """The levels of each distance of a column, as JSON keeps them, the shortest stretches first.

    Args:
        counts: shape `(pieces, seasons, places)`, in the layout of the column; each stretch is compared with the
            rest of the reference weighed to its own seasons.
        lengths: for each length the first piece of every stretch.
        least: stretches that a level needs.
    """
    found: dict[str, list[Level]] = {}
    pieces = counts.astype(np.float64)
    for firsts in lengths:
        for measure, (distances, rows) in _distances(np.add.reduceat(pieces, firsts, axis=0), column).items():
            if len(distances) >= max(2, least):
                found.setdefault(measure, []).append(_level(measure, distances, rows))
    return {measure: _to_lists(levels) for measure, levels in found.items()}


def _to_lists(levels: Sequence[Level]) -> list[list[float]]:
    """Plain numbers of 5 digits; lengths that are hardly longer than the one before are left out."""
    kept: list[Level] = []
    for level in sorted(levels, key=lambda one: one.rows):
        if not kept or level.rows > LONGER * kept[-1].rows:
            kept.append(level)
    return [
        [one.chunks, *(float(f"{number:.5g}") for number in (one.rows, one.mean, one.spread, one.independent))]
        for one in kept
    ]


def merge_steadiness(one: Known | None, other: Known | None) -> Known | None:
    """What two parts of a reference know of their stretches, together.

    The stretches of either are stretches of the whole. Levels of about one length are pooled; what only one part knows
    is kept, because a part added later mustn't make ordinary days look like drift.
    """
    if not one or not other:
        return one or other or None
    return {name: _merge_measures(one.get(name, {}), other.get(name, {})) for name in {**one, **other}}


def _merge_measures(
    one: Mapping[str, Sequence[Sequence[float]]], other: Mapping[str, Sequence[Sequence[float]]]
) -> dict[str, list[list[float]]]:
    return {measure: _merge_levels(one.get(measure, []), other.get(measure, [])) for measure in {**one, **other}}


def _merge_levels(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> list[list[float]]:
    return _to_lists(pool_by_length([read_level(numbers) for numbers in (*one, *other)], LONGER, _pool))


def pool_by_length(levels: Iterable[L], longer: float, pool: Callable[[L, L], L]) -> list[L]:
    """Levels of either part of a reference, those of about one length pooled, the shortest first."""
    merged: list[L] = []
    for level in sorted(levels, key=lambda level: level.rows):
        if merged and level.rows <= longer * merged[-1].rows:
            merged[-1] = pool(merged[-1], level)
        else:
            merged.append(level)
    return merged


def _pool(one: Level, other: Level) -> Level:
    """The level of the stretches of both: their mean, and their spread around it."""
    chunks = one.chunks + other.chunks
    share = other.chunks / chunks
    mean = one.mean + share * (other.mean - one.mean)
    squares = sum((each.chunks - 1) * each.spread**2 + each.chunks * (each.mean - mean) ** 2 for each in (one, other))
    spread = math.sqrt(squares / (chunks - 1))
    rows = one.rows + share * (other.rows - one.rows)
    return Level(chunks, rows, mean, spread, one.independent + other.independent)


def read_level(numbers: Sequence[float]) -> Level:
    """A level as JSON keeps it."""
    return Level(int(numbers[0]), *numbers[1:])


def _level(measure: str, distances: np.ndarray, rows: np.ndarray) -> Level:
    if measure == "missing":
        values, mean = distances, 0.0
    else:
        values = to_scale(distances, rows)
        mean = float(values.mean())
    return Level(len(values), float(rows.mean()), mean, float(values.std(ddof=1)), _independent(values))


def _independent(values: np.ndarray) -> float:
    """How many independent values tell as much as these, of which neighbours may be alike."""
    centred = values - values.mean()
    square = float(centred @ centred)
    alike = float(centred[1:] @ centred[:-1]) / square if square > 0 else 0.0
    return count_independent(len(values), alike)


def count_independent(stretches: int, alike: float) -> float:
    """As how many stretches they count whose neighbours have this correlation; never less than 2."""
    alike = min(max(alike, 0.0), MAX_CORRELATION)
    return max(2.0, stretches * (1 - alike) / (1 + alike))


def _distances(counts: np.ndarray, column: ColumnProfile) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By measure: the distance of each stretch from the rest of the reference, and its rows; short ones left out."""
    whole = np.stack([counts[..., :-1].sum(axis=-1), counts[..., -1]], axis=-1)
    rates, rest_rates, rows = _against_rest(whole)
    result = {"missing": (angle(rates[:, 1]) - angle(rest_rates[:, 1]), rows)}
    if isinstance(column, BareProfile) or column.present == 0:
        return result
    shares, rest, rows = _against_rest(counts[..., :-1])
    starts = group_places(column, float(rows.mean()) if len(rows) else 0.0)
    result["groups"] = (groups_distance(np.add.reduceat(rest, starts, 1), np.add.reduceat(shares, starts, 1)), rows)
    if isinstance(column, NumberProfile) and not column.discrete:
        result["ks"] = (ks_distance(rest, shares), rows)
    return result


def _against_rest(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of each stretch, shares of the rest weighed to the stretch's seasons, rows; stretches of ≥ 50 rows.

    Rows of a season that the rest does not know are left out.
    """
    in_season = counts.sum(axis=-1)
    total = counts.sum(axis=0)
    rest = total.sum(axis=-1) - in_season
    usable = rest >= FEW
    rows = (in_season * usable).sum(axis=1)
    enough = (rows >= MIN_ROWS) & (2 * rows >= in_season.sum(axis=1))
    rows = rows[enough]
    weights = np.where(usable, in_season / np.maximum(rest, 1), 0.0)[enough] / rows[:, None]
    # The shares of the rest are those of all rows less the stretch's own, which spares an array as large as `counts`.
    own = np.matmul(np.stack([usable[enough] / rows[:, None], weights], axis=1), counts[enough])
    return own[:, 0], np.maximum(weights @ total - own[:, 1], 0.0), rows


def group_places(column: ColumnProfile, rows: float) -> np.ndarray:
    """Where groups begin among the places of a column that are for values.

    A number has the 20 groups of its chi-square test; categories of which a stretch would have fewer than 5 rows
    are one group, as in that test.
    """
    if isinstance(column, NumberProfile):
        return np.arange(len(column.counts)) if column.discrete else group_starts(column.counts, TEST_GROUPS)
    if isinstance(column, BareProfile):
        return np.arange(1)
    frequent = [label for label in kept_labels(column) if column.counts[label] * rows >= MIN_EXPECTED * column.present]
    return np.arange(min(len(frequent), LABEL_GROUPS) + 1)


def ks_distance(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The Kolmogorov-Smirnov distance of shares in the same bins, along the last axis."""
    return np.asarray(np.abs(np.cumsum(p - q, axis=-1)).max(axis=-1))


def groups_distance(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Cramér's V of two samples of equal weight, √(½Σ(p - q)²/(p + q)) along the last axis, with its bias.

    The effect that belongs to the chi-square test: a group that holds few rows and gets many shows more than in the
    sum of all differences. It keeps its bias because that never is 0, and is in D as it is in T.
    """
    both = p + q
    parts = np.divide((p - q) ** 2, both, out=np.zeros_like(both), where=both > 0)
    return np.asarray(np.sqrt(0.5 * parts.sum(axis=-1)))


def to_scale(distance: np.ndarray | float, rows: np.ndarray | float) -> np.ndarray:
    """A distance between 0 and 1, of so many rows, on a scale without ends, as its logarithm has none below.

    ln D up to ½ and from there -ln 4(1 - D), which goes on smoothly: where stretches lie far apart there still is room
    above them for rows that have nothing in common with any.

    >>> to_scale(np.array([0.1, 0.5, 0.9, 1.0]), 100).round(2).tolist()
    [-2.3, -0.69, 0.92, 3.91]
    """
    inside = np.clip(distance, RESOLUTION / rows, 1 - RESOLUTION / rows)
    return np.where(inside <= 0.5, np.log(inside), -np.log(4 * (1 - inside)))


def from_scale(value: float) -> float:
    """The distance that `to_scale` puts there.

    >>> round(from_scale(float(to_scale(0.1, 100))), 3), round(from_scale(float(to_scale(0.9, 100))), 3)
    (0.1, 0.9)
    """
    return math.exp(value) if value <= math.log(0.5) else 1 - math.exp(-value) / 4


def angle(rate: np.ndarray | float) -> np.ndarray:
    """A rate on a scale where its noise does not depend on it."""
    return np.asarray(np.arcsin(np.sqrt(np.clip(rate, 0, 1))))
