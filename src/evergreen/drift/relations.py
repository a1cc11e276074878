"""How the numeric columns of a stretch of rows go together: the correlations of their normal scores, as sums.

Each value is replaced by the normal quantile of its place among the reference's rows (van der Waerden scores), so
that heavy tails and outliers decide nothing: correlations of raw values alarm on nothing in 19 to 82 % of clean runs.
What is kept of the rows are sums over pairs of columns, in whole numbers, which add up exactly in any order; where
seasons are compared, those of each season too: at weekends two columns may go together that otherwise don't.
Of many rows every n-th is looked at and stands for n of them, so that parts of unequal size add up to what the
whole is like; how sure that is, is told by Kish's effective number of rows, (Σw)²/Σw².
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evergreen.drift.pair_steadiness import (
    NEARLY_ONE,
    PairLevel,
    Scores,
    find_pair_levels,
    merge_pair_levels,
    read_pair_level,
)
from evergreen.drift.pair_sums import correlate, sum_pairs
from evergreen.drift.passes import spread_rows
from evergreen.drift.summaries import BINS, LARGEST, NumberProfile
from evergreen.drift.tails import normal_quantile

COLUMNS = 100  # 4,950 pairs
ROWS = 2**14  # at most: a correlation is known to 0.01, and finding 16,384 places among 200 takes a millisecond
UNIT = 100  # scores, and factors of scatter, are whole hundredths
MIXED = 0.9  # a column in which one value has more than this share of the rows says too little of how it goes along
SUMS = ("counts", "weights", "sums", "squares", "products", "scatter")


@dataclass(frozen=True, eq=False)
class Relations:
    """Sums over the rows in which both columns of a pair have a value, for each pair.

    Attributes:
        names: of the k columns, in alphabetical order.
        scores: for each, the score of each of its bins in hundredths, shape `(n_bins,)`, int64.
        counts: shape `(k, k)`, int64, as all of them: rows in which columns i and j have a value. Each row looked at
            counts here, and in the sums, for all that it stands for.
        weights: over the rows looked at, the sum of the squares of what each stands for.
        sums, squares: of the scores (and squared scores) of column i over those rows.
        products: of the scores of i and j.
        scatter: how many times the variance of the correlation is that of Fisher's z, in hundredths, times counts.
        available: numeric columns that there were to choose from.
        seasons: the same sums over the rows of each season, where seasons are compared.
        levels: what correlations are like in stretches of a reference in order of time, the shortest first.
    """

    names: tuple[str, ...]
    scores: tuple[np.ndarray, ...]
    counts: np.ndarray
    weights: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    products: np.ndarray
    scatter: np.ndarray
    available: int
    seasons: Mapping[str, "Relations"] = field(default_factory=dict)
    levels: tuple[PairLevel, ...] = ()

    @property
    def rows(self) -> int:
        """Rows that tell as much as those looked at, at least: the most that any column has values in."""
        return int(self.effective_rows().max(initial=0))

    def effective_rows(self) -> np.ndarray:
        """Shape `(k, k)`: how many rows of equal weight would tell as much (Kish 1965, Survey Sampling, 11.7)."""
        return self.counts * (self.counts / np.maximum(self.weights, 1))

    def correlations(self) -> np.ndarray:
        """Shape `(k, k)`, in [-1, 1]; NaN where a column does not vary or rows are too few to tell."""
        found = correlate(self.counts, self.sums, self.squares, self.products)
        return np.where(self.effective_rows() > 3, found, np.nan)

    def scatter_factors(self) -> np.ndarray:
        """Shape `(k, k)`, at least 1: how many times the variance of a correlation is that of Fisher's z."""
        return np.maximum(1, self.scatter / UNIT / np.maximum(self.counts, 1))


def thin_rows(rows: int) -> tuple[np.ndarray, int]:
    """The numbers of the rows to look at, of so many, and how many rows each of them stands for.

    >>> thin_rows(3)[0].tolist(), len(thin_rows(40_000)[0]), thin_rows(40_000)[1]
    ([0, 1, 2], 13333, 3)
    """
    weight = max(1, -(-rows // ROWS))
    return spread_rows(rows, rows // weight), weight


def choose_columns(names: Sequence[str], importances: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """At most 100 columns to look at in pairs: the most important first, else by name; in alphabetical order.

    >>> choose_columns(["b", "a"])
    ('a', 'b')
    """
    known = importances or {}
    return tuple(sorted(sorted(names, key=lambda name: (-known.get(name, 0.0), name))[:COLUMNS]))


def measure_relations(
    samples: Mapping[str, np.ndarray],
    columns: Mapping[str, NumberProfile],
    *,
    weight: int = 1,
    against: Relations | None = None,
    importances: Mapping[str, float] | None = None,
) -> Relations | None:
    """How the numeric columns of a sample of rows go together; None with fewer than two such columns.

    Columns in which one value holds more than 90 % of the rows are left out: how much their correlations scatter
    can't be measured in a small batch. Booleans are labels here, not amounts; a classifier (`deep`) looks at them.

    Args:
        samples: by column, shape `(n_rows,)` each, float64, NaN for missing; the same rows of every column.
        columns: the reference's profiles of these columns, and of others that were left out of the sample.
        weight: how many rows each of the sample stands for (`thin_rows`).
        against: the reference's relations: of current rows the same columns are looked at, by the same scores.
        importances: which to prefer when there are more than 100 columns.
    """
    if against is not None:
        known = {name: bins for name, bins in zip(against.names, against.scores, strict=True) if name in samples}
        available = against.available
    else:
        varied = [name for name, column in columns.items() if _is_varied(column)]
        names = choose_columns([name for name in varied if name in samples], importances)
        known, available = {name: score_bins(columns[name].counts) for name in names}, len(varied)
    if len(known) < 2:
        return None
    found = [_score(samples[name], columns[name].edges, bins) for name, bins in known.items()]
    sums = _sum_pairs(np.column_stack(found), weight)
    return Relations(tuple(known), tuple(known.values()), **sums, available=available)


def split_in_time(
    relations: Relations,
    samples: Mapping[str, np.ndarray],
    edges: Mapping[str, np.ndarray],
    *,
    weight: int,
    seasons: np.ndarray | None = None,
    stretches: tuple[np.ndarray, Sequence[np.ndarray], int] | None = None,
) -> Relations:
    """The relations together with those in each season, and in stretches of time.

    Args:
        samples: by column, shape `(n_rows,)` each, float64, NaN for missing; the same rows of every column.
        edges: by column, of the bins that the scores belong to.
        weight: how many rows each of the sample stands for.
        seasons: shape `(n_rows,)`, int, negative for rows of none; None where seasons are not compared.
        stretches: the other arguments of `find_pair_levels`; None for current rows.
    """
    found = [
        _score(samples[name], edges[name], bins) for name, bins in zip(relations.names, relations.scores, strict=True)
    ]
    scores = np.column_stack(found)
    parts = {}
    if seasons is not None:
        for season in np.unique(seasons[seasons >= 0]).tolist():
            parts[season] = replace(relations, **_sum_pairs(scores[seasons == season], weight))
    split = replace(relations, seasons={str(season): part for season, part in parts.items()})
    if stretches is None:
        return split
    alike = np.zeros(len(scores), np.int64) if seasons is None else seasons
    return replace(split, levels=find_pair_levels(Scores(scores, weight, alike), *stretches))


def _is_varied(column: NumberProfile) -> bool:
    return bool(column.present and column.counts.max() <= MIXED * column.present)


def score_bins(counts: np.ndarray) -> np.ndarray:
    """The normal quantile of the middle of each bin among the reference's rows, in hundredths, shape `(n_bins,)`.

    Of 200 bins with equal counts the i-th has Φ⁻¹((i + ½)/200); bins beyond the reference have the score of its ends.

    >>> score_bins(np.array([0, 25, 50, 25, 0])).tolist()
    [-281, -115, 0, 115, 281]
    """
    middle = (np.cumsum(counts) - counts / 2) / counts.sum()
    places = np.clip(middle, 0.5 / BINS, 1 - 0.5 / BINS)
    return np.array([round(UNIT * normal_quantile(place)) for place in places.tolist()], dtype=np.int64)


def _score(values: np.ndarray, edges: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The score of each value as float64; NaN where there is none."""
    found = scores[np.searchsorted(edges, values)].astype(np.float64)
    found[~(np.abs(values) <= LARGEST)] = np.nan
    return found


def _sum_pairs(scores: np.ndarray, weight: int) -> dict[str, Any]:
    """Counts, weights, sums, squares, products and scatter over the complete rows of each pair, as whole numbers.

    float64 holds those of the rows looked at exactly, whatever their order.
    """
    matrices = sum_pairs(scores)
    factors = _measure_scatter(scores, ~np.isnan(scores), matrices[0], correlate(*matrices))
    looked_at = [matrices[0], weight * matrices[0], *matrices[1:], UNIT * matrices[0] * factors]
    return {name: weight * np.rint(matrix).astype(np.int64) for name, matrix in zip(SUMS, looked_at, strict=True)}


def _measure_scatter(scores: np.ndarray, there: np.ndarray, counts: np.ndarray, correlations: np.ndarray) -> np.ndarray:
    """The variance of each correlation as a multiple of Fisher's, shape `(k, k)`; 1 where it can't be told.

    A row with standardised scores x and y moves r by (xy - r(x² + y²)/2)/n, so n·var(r) is the mean square of that
    (the influence function, Devlin, Gnanadesikan & Kettenring 1975); for normal scores it is (1 - r²)².
    """
    r = np.clip(np.nan_to_num(correlations), -NEARLY_ONE, NEARLY_ONE)
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = np.maximum(there.sum(axis=0), 1)
        filled = np.where(there, scores, 0.0)
        centered = np.where(there, filled - filled.sum(axis=0) / rows, 0.0)
        x = np.nan_to_num(centered / np.sqrt((centered**2).sum(axis=0) / rows))
        square = x * x  # a power of 3 or 4 takes NumPy fifty times as long
        cubes, fourths = (square * x).T @ x, (square * square).T @ there.astype(np.float64)
        both = square.T @ square
        squares = both - r * (cubes + cubes.T) + r**2 / 4 * (fourths + fourths.T + 2 * both)
        factors = squares / counts / (1 - r**2) ** 2
    return np.where(np.isfinite(correlations) & (np.abs(r) < NEARLY_ONE), factors, 1.0)


def merge_relations(one: Relations | None, other: Relations | None) -> Relations | None:
    """The relations of both stretches together, each by the rows it stands for; None when those of one are not known.

    Raises `ValueError` when they were not taken by the same scores.
    """
    if one is None or other is None:
        return None
    if one.names != other.names or not all(map(np.array_equal, one.scores, other.scores)):
        raise ValueError("relations by different scores can't be merged; take both against the same reference")
    sums: dict[str, Any] = {name: getattr(one, name) + getattr(other, name) for name in SUMS}
    seasons = _merge_seasons(one.seasons, other.seasons)
    return replace(one, **sums, seasons=seasons, levels=merge_pair_levels(one.levels, other.levels))


def _merge_seasons(one: Mapping[str, Relations], other: Mapping[str, Relations]) -> dict[str, Relations]:
    """Season by season; none where the rows of either side were not told apart."""
    if not one or not other:
        return {}
    merged = {season: merge_relations(one.get(season), other.get(season)) for season in one.keys() & other.keys()}
    return {
        season: merged.get(season) or one.get(season) or other[season] for season in sorted({*one, *other}, key=int)
    }


def relations_to_dict(relations: Relations) -> dict[str, Any]:
    """Plain JSON types; of a matrix whose columns are all the same, as without missing values, only one."""
    seasons = {season: _sums_to_dict(part) for season, part in relations.seasons.items()}
    more = {"seasons": seasons, "levels": [level.to_dict() for level in relations.levels]}
    return {
        "columns": list(relations.names),
        "available": relations.available,
        "scores": [scores.tolist() for scores in relations.scores],
        **_sums_to_dict(relations),
    } | {name: part for name, part in more.items() if part}


def relations_from_dict(document: Mapping[str, Any]) -> Relations:
    """The relations that `relations_to_dict` wrote, equal in every number."""
    size = len(document["columns"])
    scores = tuple(np.array(scores, dtype=np.int64) for scores in document["scores"])
    sums = _sums_from_dict(document, size)
    whole = Relations(tuple(document["columns"]), scores, **sums, available=document["available"])
    parts = document.get("seasons", {}).items()
    seasons = {season: replace(whole, **_sums_from_dict(part, size)) for season, part in parts}
    return replace(whole, seasons=seasons, levels=tuple(map(read_pair_level, document.get("levels", ()))))


def _sums_to_dict(relations: Relations) -> dict[str, Any]:
    folded = {name: _folded(getattr(relations, name)) for name in SUMS[:4]}
    return folded | {name: _lower(getattr(relations, name)) for name in ("products", "scatter")}


def _sums_from_dict(document: Mapping[str, Any], size: int) -> dict[str, Any]:
    plain = {"weights": document["counts"], **document}  # cards from before rows had weights
    matrices = {name: _unfolded(plain[name], size) for name in SUMS[:4]}
    return matrices | {name: _mirrored(document[name], size) for name in ("products", "scatter")}


def _folded(matrix: np.ndarray) -> list[Any]:
    return (matrix[:, 0] if np.all(matrix == matrix[:, :1]) else matrix).tolist()


def _unfolded(values: list[Any], size: int) -> np.ndarray:
    found = np.array(values, dtype=np.int64)
    return found if found.ndim == 2 else np.repeat(found[:, None], size, axis=1)


def _lower(matrix: np.ndarray) -> list[list[int]]:
    return [row[: place + 1].tolist() for place, row in enumerate(matrix)]


def _mirrored(rows: list[list[int]], size: int) -> np.ndarray:
    matrix = np.zeros((size, size), dtype=np.int64)
    for place, row in enumerate(rows):
        matrix[place, : place + 1] = matrix[: place + 1, place] = row
    return matrix
