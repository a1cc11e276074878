"""How much does the data differ from day to day anyway? The reference's own stretches tell.

The rows of one batch share its day. Where days differ, however little, a test that takes all rows for independent is
sure of a change in every batch. So a reference in order of time is cut into stretches, hours, days or weeks, and the
distance of each from all the others is kept, T_k for stretch k, at each of these lengths. The distance D of the
current rows is then judged by the distances that K stretches of their length ordinarily have:

    p = P(t ≥ (l(D) - mean l(T)) / (s·√(1 + 1/K)))

with Student's t of K - 1 degrees of freedom, l being the logarithm (and above ½ a scale that goes on to 1, `to_scale`):
that of a distance between ordinary stretches is about normal. s is drawn toward the median over all columns with the
weight of four more stretches. Stretches that lie side by side may share a day and then tell little more than one:
K counts as K·(1 - r)/(1 + r), r being the correlation of neighbours.

Distances shrink with the number of rows, so that length matters. Current rows are held against stretches of about
their length. Where they are much longer than any, against what stretches have beyond the noise of their rows, as if
more rows averaged none of it out, and the noise of the current rows; that is too careful at every length, so the length
counts that is so the least. Where they are shorter, the shortest stretches are taken to lie further apart by the root
of the ratio, as if rows of one day had nothing in common: careful again.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import median

import numpy as np

from evergreen.drift.groups import lay_out
from evergreen.drift.profile import Profile
from evergreen.drift.steadiness import (
    SHRINKAGE,
    Level,
    angle,
    from_scale,
    group_places,
    groups_distance,
    ks_distance,
    read_level,
    to_scale,
)
from evergreen.drift.summaries import ColumnProfile
from evergreen.drift.tails import t_tail

MIN_SPREAD = 0.05  # on the scale of distances; columns that never move have none
KS_NOISE = 0.832  # geometric mean of Kolmogorov's distribution
FAR = 2  # times the longest stretches: so much longer rows may be held against stretches of any length
USUAL = 0.05  # chance that an ordinary stretch lies further away than what is called usual


@dataclass(frozen=True)
class Usual:
    """What is usual for a distance: 95 % of ordinary stretches of so many rows lie no further from the rest.

    `measure` is "ks", "groups" (Cramér's V, with its bias) or "missing" (a difference of rates); `p_value` is that
    of the current rows. `place`, `spread` and `freedom` are of the t distribution of distances, on their scale.
    """

    measure: str
    chunks: int
    rows: int
    distance: float
    p_value: float
    place: float = 0.0
    spread: float = 0.0
    freedom: float = 1.0

    def beyond(self, tail: float) -> float:
        """The distance that an ordinary stretch exceeds with this probability."""
        return from_scale(self.place + t_quantile(tail, round(self.freedom, 1)) * self.spread)


@dataclass(frozen=True)
class Calibrated:
    """What is usual for the values of a column and for its missing rate; None where the reference can't tell."""

    values: Usual | None = None
    missing: Usual | None = None


def calibrate(original: Profile, reference: Profile, current: Profile) -> dict[str, Calibrated]:
    """What is usual for each column of a reference that knows how steady it is; nothing where it does not.

    Args:
        original: the reference as it was profiled; `reference` is the same, or weighed to the seasons of `current`.
    """
    known = original.steadiness or {}
    names = [name for name in original.columns if name in known and name in current.columns]
    expected = {name: _expect(known[name], original.columns[name], current.columns[name]) for name in names}
    spreads = {
        measure: [levels[measure].spread for levels in expected.values() if measure in levels]
        for measure in ("ks", "groups")
    }
    return {
        name: _calibrate(
            (original.columns[name], reference.columns[name], current.columns[name]), expected[name], spreads
        )
        for name in names
    }


def _expect(
    known: Mapping[str, Sequence[Sequence[float]]], reference: ColumnProfile, current: ColumnProfile
) -> dict[str, Level]:
    """By measure, what to expect of stretches of as many rows as the current ones."""
    found = {}
    for measure, numbers in known.items():
        more = [column.absent if measure == "missing" else 0 for column in (reference, current)]
        rows = current.present + more[1]
        if rows:
            levels = [read_level(each) for each in numbers]
            noise = _noise(measure, len(group_places(reference, levels[-1].rows)), reference.present + more[0])
            found[measure] = level_for(levels, rows, noise, rates=measure == "missing")
    return found


def _noise(measure: str, groups: int, reference_rows: int) -> Callable[[float], float]:
    """The distance (its geometric mean; of missing rates the standard deviation) that rows drawn at random make.

    Of Cramér's V the mean log is that of the root of a chi-square of `groups` - 1 degrees of freedom.
    """
    half = max(1, groups - 1) / 2
    log_chi2 = math.log(2 * half) - 1 / (2 * half) - 1 / (12 * half**2)  # of the digamma function, its first terms
    factor = {"ks": KS_NOISE, "missing": 0.5}.get(measure, math.exp(log_chi2 / 2) / 2)
    return lambda rows: factor * math.sqrt(1 / rows + 1 / reference_rows)


def level_for(levels: Sequence[Level], rows: int, noise: Callable[[float], float], *, rates: bool = False) -> Level:
    """What to expect of stretches of so many rows, from levels in ascending order of their rows.

    Args:
        noise: what rows drawn at random would make of a stretch of so many rows.
        rates: whether the levels are of signed differences of rates, not of logarithms of distances.
    """
    if rows > FAR * levels[-1].rows:
        return min((_at_length(level, rows, noise, rates) for level in levels), key=_reach)
    nearest = min(levels, key=lambda one: abs(math.log(one.rows / rows)))
    return _at_length(nearest, rows, noise, rates)


def _at_length(level: Level, rows: int, noise: Callable[[float], float], rates: bool) -> Level:
    """A level as it would be with stretches of so many rows, at most."""
    if level.rows > rows:
        change = math.log(level.rows / rows) / 2
    else:
        change = _shrinks(level, noise(level.rows), noise(rows), rates)
    if rates:
        return replace(level, spread=level.spread * math.exp(change))
    typical = from_scale(level.mean) * math.exp(change)
    return replace(level, mean=float(to_scale(typical, rows)), spread=max(level.spread, MIN_SPREAD))


def _reach(level: Level) -> float:
    """How far 95 % of its stretches go; a level with few of them has to allow for more."""
    scale = level.spread * math.sqrt(1 + 1 / level.independent)
    return level.mean + t_quantile(USUAL, round(level.independent - 1, 1)) * scale


def _shrinks(level: Level, noise: float, noise_now: float, rates: bool) -> float:
    """The log of how much smaller, at least, the distances of longer stretches are than those of a level, 0 or less.

    What those have beyond the noise of their rows does not shrink; it is taken at the upper end of its error.
    """
    typical = level.spread if rates else from_scale(level.mean)
    error = 1 / math.sqrt(2 * level.independent) if rates else level.spread / math.sqrt(level.independent)
    if not typical > 0:
        return 0.0
    lasting = max(0.0, (typical * math.exp(error)) ** 2 - noise**2)
    return min(0.0, 0.5 * math.log((lasting + noise_now**2) / typical**2))


def _calibrate(
    columns: tuple[ColumnProfile, ColumnProfile, ColumnProfile],
    expected: Mapping[str, Level],
    spreads: Mapping[str, Sequence[float]],
) -> Calibrated:
    original, reference, current = columns
    p, q = lay_out(reference, original), lay_out(current, original)
    missing = _usual_missing(p, q, expected["missing"]) if "missing" in expected else None
    rows = int(q[:-1].sum())
    if not (p[:-1].sum() and rows):
        return Calibrated(None, missing)
    found = [
        _usual_distance(measure, _distance(measure, p[:-1], q[:-1], original, level), rows, level, spreads[measure])
        for measure in ("ks", "groups")
        if (level := expected.get(measure)) is not None
    ]
    if not found:
        return Calibrated(None, missing)
    both = min(1.0, len(found) * min(one.p_value for one in found))
    return Calibrated(replace(found[0], p_value=both), missing)


def _distance(measure: str, p: np.ndarray, q: np.ndarray, original: ColumnProfile, level: Level) -> float:
    shares = p / p.sum(), q / q.sum()
    if measure == "ks":
        return float(ks_distance(*shares))
    starts = group_places(original, level.rows)
    return float(groups_distance(*(np.add.reduceat(one, starts) for one in shares)))


def _usual_distance(measure: str, distance: float, rows: int, level: Level, spreads: Sequence[float]) -> Usual:
    """How usual a distance of so many rows is, by the t distribution of its place on the scale."""
    borrowed = min(SHRINKAGE, len(spreads) - 1)  # a column alone has no others to borrow from
    own = level.independent - 1
    freedom = own + borrowed
    variance = (own * level.spread**2 + borrowed * median(spreads) ** 2) / freedom
    scale = math.sqrt(variance * (1 + 1 / level.independent))
    p_value = t_tail((float(to_scale(distance, rows)) - level.mean) / scale, freedom) if distance > 0 else 1.0
    limit = from_scale(level.mean + t_quantile(USUAL, round(freedom, 1)) * scale)
    return Usual(measure, level.chunks, round(level.rows), limit, p_value, level.mean, scale, freedom)


def _usual_missing(p: np.ndarray, q: np.ndarray, level: Level) -> Usual:
    """How usual a change of the missing rate is, by the t distribution of the change of arcsin √rate."""
    before, now = float(angle(p[-1] / p.sum())), float(angle(q[-1] / q.sum()))
    freedom = level.independent - 1
    scale = level.spread * math.sqrt(1 + 1 / level.independent)
    change = abs(now - before)
    p_value = 2 * t_tail(change / scale, freedom) if scale > 0 else float(change == 0)
    limit = min(before + t_quantile(USUAL / 2, round(freedom, 1)) * scale, math.pi / 2)
    return Usual("missing", level.chunks, round(level.rows), math.sin(limit) ** 2 - math.sin(before) ** 2, p_value)


@cache
def t_quantile(tail: float, freedom: float) -> float:
    """The value that Student's t exceeds with this probability, below one half; found by halving.

    >>> round(t_quantile(0.05, 10.0), 4)
    1.8125
    """
    low, high = 0.0, 1.0
    while t_tail(high, freedom) > tail:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, freedom) > tail else (low, middle)
    return high
