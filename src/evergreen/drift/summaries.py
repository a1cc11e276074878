"""The summary of one column: counts on bins made from the reference, or per category.

Counts are exact, so summaries on the same bins merge by addition in any order, and a column of any length is
3 kB. `profile` takes them from tables; `distances` compares them.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

LARGEST = 1e140  # numbers beyond are as good as infinite: sums of their squares overflow
BINS = 200  # error of KS at most 3.4e-4 on nine awkward shapes; divisible by 10 and 20
DISCRETE = 20  # at most so many different values: the values are the groups, as for a category
TAILS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)  # edges beyond, in widths of the reference
UNKNOWN = 5  # in 10,000: the share of values on either side that the known range of a column leaves out
LABELS = 1000  # categories of a reference kept by name; the rest is "other"


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
        missing: null, empty and NaN values; `non_finite` counts infinities and numbers beyond ±1e140.
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

    @cached_property
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

    @cached_property
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

    `other`, `other_labels` and `other_single` are rows, labels and once-seen labels beyond those kept by name: the
    1000 most frequent of a reference; of rows taken against it those that it names, and 100,000 more. `family` is
    what the labels were stored as, "text" or "number": as text, the number 1, 1.0 and true are all "1".
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
        return sum(count > 0 for count in self.counts.values()) + self.other_labels

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


def make_bins(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges and point marks from sorted values (shape `(n,)`, NaN last): 200 equal shares, frequent values apart.

    Some edges beyond either end keep apart what a shifted sample has there. A value that holds more than 1/200 of
    the rows gets a bin of its own, and so does every value where there are at most 20. Such a bin of a value that is
    not whole is as wide as the rounding of 32-bit numbers, so that 0.1 is the same value in a file with 32-bit and one
    with 64-bit numbers.

    >>> edges, points = make_bins(np.array([1.0, 1.0, 2.0]))
    >>> points.tolist(), edges[[1, 3]].tolist()
    ([False, True, False, True, False], [1.0, 2.0])
    """
    first, last, _ = _find_finite(values)
    finite = values[first:last]
    distinct = _first_values(finite, DISCRETE + 1)
    few = len(distinct) <= DISCRETE
    # A value with more than 1/200 of the rows covers at least one of the 200 ranks.
    ranks = np.maximum(np.arange(1, BINS) * len(finite) // BINS - 1, 0)
    quantiles = _distinct(finite[ranks]) if len(finite) else finite
    held = np.searchsorted(finite, quantiles, "right") - np.searchsorted(finite, quantiles)
    frequent = distinct if few else quantiles[held > len(finite) / BINS]
    quantiles = quantiles[:0] if few else _with_tails(quantiles, _known_ends(finite))
    whole = frequent == np.floor(frequent)
    wide = np.minimum(np.where(whole, 0, np.abs(frequent) * 2.0**-23), np.min(np.diff(frequent), initial=np.inf) / 4)
    with np.errstate(over="ignore"):
        below, above = np.minimum(frequent - wide, np.nextafter(frequent, -np.inf)), frequent + wide
    below = np.maximum(below, np.finfo(float).min)
    inside = np.searchsorted(below, quantiles, "left") != np.searchsorted(above, quantiles, "left")
    edges = _distinct(np.sort(np.concatenate([below, above, quantiles[~inside]])))
    points = np.zeros(len(edges) + 1, dtype=bool)
    points[np.searchsorted(edges, above)] = True
    return edges, points


def _find_finite(values: np.ndarray) -> tuple[int, int, int]:
    """Where in sorted values the finite ones begin and end, and where the infinite ones after them end."""
    if values.dtype.kind != "f":
        return 0, len(values), len(values)
    most = min(LARGEST, float(np.finfo(values.dtype).max))
    first, last, end = (values.searchsorted(*at) for at in ((-most,), (most, "right"), (np.inf, "right")))
    return int(first), int(last), int(end)


def _first_values(values: np.ndarray, most: int) -> np.ndarray:
    """The smallest different values of sorted values, at most so many."""
    head = _distinct(values[: 8 * most])
    if len(head) >= most:
        return head[:most]
    found: list[float] = []
    place = 0
    while place < len(values) and len(found) < most:
        found.append(float(values[place]))
        place = int(values.searchsorted(values[place], "right"))
    return np.array(found, dtype=np.float64)


def _known_ends(finite: np.ndarray) -> np.ndarray:
    """Edges that leave 0.05 % of sorted values below and above: beyond them a value is called out of range."""
    outside = len(finite) * UNKNOWN // 10_000
    low, high = float(finite[outside]), float(finite[len(finite) - 1 - outside])
    return np.array([np.nextafter(low, -np.inf), high])


def _with_tails(quantiles: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Edges beyond the outer quantiles as well, so that values the reference never had are not all in one open bin."""
    with np.errstate(over="ignore", invalid="ignore"):
        beyond = np.array(TAILS) * (quantiles[-1] - quantiles[0])
        edges = np.sort(np.concatenate([quantiles[0] - beyond, quantiles, quantiles[-1] + beyond, ends]))
    return _distinct(edges[np.isfinite(edges)])


def _distinct(values: np.ndarray) -> np.ndarray:
    """Sorted values without repetitions; `np.unique` would sort again and import masked arrays."""
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values


def _origin(edges: np.ndarray) -> float:
    return float(edges[len(edges) // 2]) if len(edges) else 0.0


def plain_edge(edge: float) -> float:
    """An edge for people: the one just below 0 is 0.

    >>> plain_edge(-5e-324), plain_edge(1.5)
    (0.0, 1.5)
    """
    return 0.0 if abs(edge) < np.finfo(float).tiny else float(edge)


def empty_profile(bins: tuple[np.ndarray, np.ndarray]) -> NumberProfile:
    return count_numbers(np.empty(0), *bins)


def count_numbers(values: np.ndarray, edges: np.ndarray, points: np.ndarray) -> NumberProfile:
    """The profile of sorted values, infinities at the ends and NaN last: sort, then look the edges up."""
    first, last, end = _find_finite(values)
    finite = values[first:last]
    borders = np.zeros(len(edges) + 2, dtype=np.int64)
    borders[1:-1], borders[-1] = finite.searchsorted(edges, "right"), len(finite)
    counts = borders[1:] - borders[:-1]
    with np.errstate(over="ignore", invalid="ignore"):
        centered = finite - _origin(edges)
        sums = np.zeros(len(counts))
        sums[counts > 0] = np.add.reduceat(centered, borders[:-1][counts > 0]) if len(finite) else 0.0
        squares = float(np.add.reduce(np.square(centered, out=centered)))  # not `dot`, whose threads get in the way
    low, high = (float(finite[0]), float(finite[-1])) if len(finite) else (None, None)
    non_finite = first + end - last
    return NumberProfile(edges, points, counts, sums, squares, len(values) - end, non_finite, low, high)


def merge_columns(one: ColumnProfile, other: ColumnProfile) -> Any:
    """The profile of both; what is wrong with a part is wrong with the whole."""
    for part in (one, other):
        if isinstance(part, BareProfile) and part.problem:
            return part
    if isinstance(one, NumberProfile) and isinstance(other, NumberProfile):
        return _merge_numbers(one, other)
    if isinstance(one, CategoryProfile) and isinstance(other, CategoryProfile):
        return _merge_categories(one, other)
    if isinstance(one, BareProfile) and isinstance(other, BareProfile):
        return BareProfile(one.kind, one.present + other.present, one.absent + other.absent)
    raise ValueError("profiles of different kinds can't be merged")


def _merge_categories(one: CategoryProfile, other: CategoryProfile) -> CategoryProfile:
    """Labels of which the rows are known on both sides, by name; others, cut off on one side, with the rest."""
    counts = Counter(one.counts)
    counts.update(other.counts)
    unknown = [
        label
        for label in counts
        if (one.other and label not in one.counts) or (other.other and label not in other.counts)
    ]
    tails = {name: getattr(one, name) + getattr(other, name) for name in ("other", "other_labels", "other_single")}
    for label in unknown:
        rows = counts.pop(label)
        tails["other"] += rows
        tails["other_labels"] += 1
        tails["other_single"] += rows == 1
    family = one.family if one.present else other.family
    return CategoryProfile(dict(sorted(counts.items())), one.missing + other.missing, family, kind=one.kind, **tails)


def _merge_numbers(one: NumberProfile, other: NumberProfile) -> NumberProfile:
    if one.edges is not other.edges and not np.array_equal(one.edges, other.edges):
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


def column_to_dict(column: ColumnProfile) -> dict[str, Any]:
    if isinstance(column, BareProfile):
        return {name: getattr(column, name) for name in ("kind", "present", "absent", "problem")}
    if isinstance(column, CategoryProfile):
        return {name: getattr(column, name) for name in CategoryProfile.__dataclass_fields__}
    plain = {name: getattr(column, name) for name in NumberProfile.__dataclass_fields__}
    plain["points"] = np.flatnonzero(column.points)
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in plain.items()}


def keep_labels(column: CategoryProfile, most: int, named: Collection[str] = ()) -> CategoryProfile:
    """The most frequent labels by name, ties in alphabetical order, and those in `named`; the others together.

    Of a list that is cut, the `named` labels without any row are there with 0: so it is known that they have none.
    """
    if len(column.counts) <= most:
        return column
    always = set(named)
    column = replace(column, counts={**dict.fromkeys(always, 0), **column.counts})
    ranked = sorted(column.counts, key=lambda label: (label not in always, -column.counts[label], label))
    kept = max(most, len(always & column.counts.keys()))
    rest = [column.counts[label] for label in ranked[kept:]]
    return replace(
        column,
        counts={label: column.counts[label] for label in ranked[:kept]},
        other=column.other + sum(rest),
        other_labels=column.other_labels + len(rest),
        other_single=column.other_single + rest.count(1),
    )


def column_from_dict(document: Mapping[str, Any]) -> ColumnProfile:
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
