"""How much correlations differ from stretch to stretch of a reference anyway, as `calibration` asks it of columns.

Two columns go together otherwise in March than in August, and the rows of one week share its weather. So the stretches
of the reference, of several lengths, tell how far Fisher's z of each pair lies from that of all others, d_k; where
seasons are compared, on average from that of all others in each season. The d of the current rows is judged by those
that K stretches of about their length ordinarily have:

    p = P(|t| ≥ |d - mean d_k| / (s·√(1 + 1/K)))

with Student's t of K - 1 degrees of freedom. s is drawn toward the median over all pairs with the weight of four more
stretches; K is less where neighbouring stretches are alike (`steadiness`). Current rows that are fewer than those
looked at in a stretch have their own noise added; where they are more, they are as many stretches, which average out
what stretches have beyond the noise of their rows (taken at the upper end of its error) as far as neighbours differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from evergreen.drift.pair_sums import correlate, sum_pairs
from evergreen.drift.steadiness import SHRINKAGE, count_independent, pool_by_length
from evergreen.drift.stretches import MIN_ROWS
from evergreen.drift.tails import t_tail

NEARLY_ONE = 1 - 1e-6
LONGER = 1.9  # a length is worth keeping when it is so much longer than the one before
SEASON_ROWS = 20  # in fewer of a season a correlation, and how much it scatters, can't be measured
UNIT = 10_000  # kept as whole numbers of ten-thousandths

Whole = Mapping[int, Sequence[np.ndarray]]  # by season, what `sum_pairs` gives for all its rows


@dataclass(frozen=True, eq=False)
class PairLevel:
    """How far Fisher's z of each pair of columns lies from that of the rest, in `chunks` stretches of one length.

    Attributes:
        rows, looked_at: of a stretch, on average, and how many of them the correlations come from.
        independent: as how many stretches without anything in common they count.
        means, spreads: of that distance, shape `(k, k)`; NaN where too few stretches tell it.
    """

    chunks: int
    rows: float
    looked_at: float
    independent: float
    means: np.ndarray
    spreads: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `read_pair_level` reads it back."""
        numbers = {name: getattr(self, name) for name in ("chunks", "rows", "looked_at", "independent")}
        return numbers | {"means": _to_lower(self.means), "spreads": _to_lower(self.spreads)}


def read_pair_level(document: Mapping[str, Any]) -> PairLevel:
    """The level that `to_dict` wrote."""
    matrices = {name: _from_lower(document[name]) for name in ("means", "spreads")}
    return PairLevel(**{**document, **matrices})


def fisher(correlations: np.ndarray) -> np.ndarray:
    """Fisher's z, the area tangent of a correlation."""
    return np.asarray(np.arctanh(np.clip(correlations, -NEARLY_ONE, NEARLY_ONE)))


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of the rows looked at, shape `(n_rows, k)`, each for `weight` rows; NaN for missing.

    `seasons`, shape `(n_rows,)`, is the season of each row: negative for none, and the same where none are compared.
    """

    values: np.ndarray
    weight: int
    seasons: np.ndarray


def find_pair_levels(
    scores: Scores, pieces: np.ndarray, lengths: Sequence[np.ndarray], least: int
) -> tuple[PairLevel, ...]:
    """The levels of a reference, the shortest stretches first; none where its rows are too few.

    Args:
        pieces: shape `(n_rows,)`, the piece of time of each row; negative for rows without a time.
        lengths: for each length of stretches the first piece of every stretch (`stretches.cut_stretches`).
        least: stretches that a level needs.
    """
    found: list[PairLevel] = []
    known = np.unique(scores.seasons[scores.seasons >= 0]).tolist()
    whole = {season: sum_pairs(scores.values[scores.seasons == season]) for season in known}
    for firsts in lengths:
        level = _find_level(scores, whole, np.searchsorted(firsts, pieces, "right") - 1, least)
        if level is not None and (not found or level.rows > LONGER * found[-1].rows):
            found.append(level)
    return tuple(found)


def _find_level(scores: Scores, whole: Whole, stretch: np.ndarray, least: int) -> PairLevel | None:
    order = np.argsort(stretch, kind="stable")
    borders = np.searchsorted(stretch[order], np.arange(stretch.max(initial=-1) + 2))
    parts = [order[start:stop] for start, stop in pairwise(borders) if stop - start >= MIN_ROWS]
    if len(parts) < max(2, least):
        return None
    values = np.stack([_distance(scores, whole, rows) for rows in parts])
    there = np.isfinite(values)
    counts = there.sum(axis=0)
    means = np.where(there, values, 0.0).sum(axis=0) / np.maximum(counts, 1)
    centred = np.where(there, values - means, 0.0)
    spreads = np.sqrt((centred**2).sum(axis=0) / np.maximum(counts - 1, 1))
    told = counts >= least
    np.fill_diagonal(told, val=False)
    if not told.any():
        return None
    looked_at = float(np.mean([len(rows) for rows in parts]))
    means, spreads = (np.where(told, matrix, np.nan) for matrix in (means, spreads))
    return PairLevel(len(parts), scores.weight * looked_at, looked_at, _independent(centred[:, told]), means, spreads)


def _distance(scores: Scores, whole: Whole, rows: np.ndarray) -> np.ndarray:
    """How far Fisher's z of each pair in some rows lies from that of all others, on average over their seasons."""
    size = scores.values.shape[1]
    total, weights = np.zeros((2, size, size))
    for season in np.unique(scores.seasons[rows]).tolist():
        inside = rows[scores.seasons[rows] == season]
        if season in whole and len(inside) >= SEASON_ROWS:
            own = sum_pairs(scores.values[inside])
            rest = [matrix - mine for matrix, mine in zip(whole[season], own, strict=True)]
            distance = fisher(correlate(*own)) - fisher(correlate(*rest))
            told = np.isfinite(distance) & (rest[0] >= SEASON_ROWS)
            total[told] += len(inside) * distance[told]
            weights[told] += len(inside)
    return np.where(weights > 0, total / np.maximum(weights, 1), np.nan)


def _independent(centred: np.ndarray) -> float:
    """How many stretches tell as much as these, of which neighbours may be alike; the median over all pairs."""
    squares = (centred**2).sum(axis=0)
    alike = (centred[1:] * centred[:-1]).sum(axis=0)[squares > 0] / squares[squares > 0]
    return count_independent(len(centred), float(np.median(alike)) if len(alike) else 0.0)


def merge_pair_levels(one: Sequence[PairLevel], other: Sequence[PairLevel]) -> tuple[PairLevel, ...]:
    """The stretches of both parts of a reference: levels of about one length are pooled, the others kept."""
    return tuple(pool_by_length((*one, *other), LONGER, _pool))


def _pool(one: PairLevel, other: PairLevel) -> PairLevel:
    """The level of the stretches of both; a pair that only one of them can tell is told by that."""
    chunks = one.chunks + other.chunks
    share = other.chunks / chunks
    means = one.means + share * (other.means - one.means)
    squares = sum(
        (each.chunks - 1) * each.spreads**2 + each.chunks * (each.means - means) ** 2 for each in (one, other)
    )
    spreads = np.sqrt(squares / (chunks - 1))
    both = np.isfinite(spreads)
    either = np.isfinite(one.spreads)
    return PairLevel(
        chunks,
        one.rows + share * (other.rows - one.rows),
        one.looked_at + share * (other.looked_at - one.looked_at),
        one.independent + other.independent,
        np.where(both, means, np.where(either, one.means, other.means)),
        np.where(both, spreads, np.where(either, one.spreads, other.spreads)),
    )


def usual_p_values(
    levels: Sequence[PairLevel], rows: float, changes: np.ndarray, looked_at: np.ndarray, places: tuple[Any, Any]
) -> np.ndarray:
    """How ordinary changes are beside those of stretches of the reference, shape `(n_pairs,)`; NaN if unknown.

    Args:
        rows: of the sample of which Fisher's z lies `changes` from the reference's, seen in `looked_at` rows each.
        places: rows and columns of the pairs in the matrices of the levels.
    """
    level = min(levels, key=lambda one: abs(np.log(one.rows / max(rows, 1))))
    means, spreads = level.means[places], level.spreads[places]
    told = np.isfinite(spreads)
    found = np.full(len(spreads), np.nan)
    if not told.any():
        return found
    borrowed, own = min(SHRINKAGE, int(told.sum()) - 1), level.independent - 1
    median = float(np.median(spreads[told]))
    variances = (own * spreads**2 + borrowed * median**2) / (own + borrowed)
    now = _with_rows(variances, level, rows, 1 / np.maximum(looked_at - 3, 1), own + borrowed)
    scale = np.sqrt(now + variances / level.independent)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(changes - means) / scale
    told &= np.isfinite(distance)
    found[told] = [2 * t_tail(t, own + borrowed) for t in distance[told].tolist()]
    return found


def _with_rows(
    variances: np.ndarray, level: PairLevel, rows: float, noise_now: np.ndarray, freedom: float
) -> np.ndarray:
    """The variances between stretches, if these had as many rows as there are now, and the noise of those looked at."""
    noise = 1 / (level.looked_at - 3)
    lasting = np.maximum(0.0, variances * np.exp(np.sqrt(2 / freedom)) - noise)
    stretches = max(1.0, rows / level.rows * level.independent / level.chunks)
    longer = np.minimum(variances, lasting / stretches + noise_now)
    return np.where(noise_now > noise, variances + noise_now - noise, longer)


def _to_lower(matrix: np.ndarray) -> list[list[int | None]]:
    whole = [[None if np.isnan(value) else round(UNIT * value) for value in row] for row in matrix.tolist()]
    return [row[:place] for place, row in enumerate(whole)]


def _from_lower(rows: Sequence[Sequence[int | None]]) -> np.ndarray:
    matrix = np.full((len(rows), len(rows)), np.nan)
    for place, row in enumerate(rows):
        values = [np.nan if value is None else value / UNIT for value in row]
        matrix[place, :place] = matrix[:place, place] = values
    return matrix
