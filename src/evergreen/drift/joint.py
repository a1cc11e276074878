"""Do the columns still hang together as they did? Pairs of numeric columns, and any other difference of the rows.

A change of correlations is judged by Fisher's z, which supposes that a pair of scores is jointly normal. Columns of
few values, and columns whose extremes come together, are not, and their correlations scatter more: by itself the test
alarms in half of such clean runs, for values that are rare in both in nearly all. So the scatter is measured, and
where it is larger than Fisher's it counts. And where the reference is in order of time, a change has to be beyond what
its own stretches differ by as well (`pair_steadiness`): of both p-values the larger one counts.

Where seasons are compared (`drift.season`), correlations are compared within each, and the differences averaged by
where the current rows are from: z = Σ w_k (atanh r_k - atanh s_k) over the root of Σ w_k² times each one's variance.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.drift.correction import adjust_p_values
from evergreen.drift.pair_steadiness import SEASON_ROWS, fisher, usual_p_values
from evergreen.drift.relations import Relations
from evergreen.drift.tails import normal_tail
from evergreen.settings import DriftSettings

if TYPE_CHECKING:
    from evergreen.drift.deep import DeepDrift

ORDER = ("drift", "watch")
SHOWN = 20  # pairs in a document
NAMED = 3  # pairs in a sentence each
SURE_ROWS = 500  # in 200 chance alone moves one of 190 correlations by 0.2, in four of a hundred clean runs


@dataclass(frozen=True)
class Evidence:
    """What is known of each pair of columns, shape `(n_pairs,)` each: two correlations, z of their change, fewest rows.

    NaN where nothing can be told.
    """

    reference: np.ndarray
    current: np.ndarray
    z: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class PairDrift:
    """The verdict on one pair of columns.

    Attributes:
        reference, current: correlation of the normal scores in [-1, 1]; `change` is their distance.
        p_adjusted: of Fisher's z, or of the reference's stretches where that is larger; corrected over all pairs.
        status: "drift" (sure and material), "watch" (one of the two), "no_drift" or "not_enough_evidence".
    """

    columns: tuple[str, str]
    reference: float
    current: float
    change: float
    p_adjusted: float
    status: str


@dataclass(frozen=True)
class JointDrift:
    """The verdict on the columns together, beside that on each of them: a family of its own.

    Attributes:
        verdict: "drift" when a pair drifted or a classifier tells the rows apart, "no_drift", "not_enough_evidence".
        columns, available: numeric columns that were looked at, of how many.
        limit: the least change of a correlation that is material (`drift.min_correlation`).
        rows: that the correlations come from, of reference and current.
        pairs: those that drifted or are watched, the largest change first.
        reasons: sentences on what drifted, of pairs and classifier.
        deep: the classifier's verdict, where it was asked.
    """

    verdict: str
    columns: int
    available: int
    limit: float
    rows: tuple[int, int]
    pairs: tuple[PairDrift, ...]
    reasons: tuple[str, ...]
    deep: "DeepDrift | None" = None

    @property
    def drifted(self) -> tuple[PairDrift, ...]:
        """The pairs that drifted."""
        return tuple(pair for pair in self.pairs if pair.status == "drift")

    def to_dict(self) -> dict[str, Any]:
        """Plain types, with at most 20 pairs, those that drifted first."""
        plain = asdict(replace(self, pairs=self.pairs[:SHOWN], deep=None))
        return plain | {"deep": None if self.deep is None else asdict(self.deep)}


def compare_relations(
    reference: Relations | None,
    current: Relations | None,
    settings: DriftSettings,
    among: Collection[str] | None = None,
) -> JointDrift | None:
    """Judge every pair of columns (`among` those) that both samples can tell something of; None when there is none.

    A pair drifted when z = (atanh r - atanh s)/√(f/(n - 3) + f/(m - 3)) is significant after correction over all
    pairs, the change is more than stretches of the reference have (`pair_steadiness`), *and* the correlation moved by
    `drift.min_correlation`, in 500 rows of each sample; in fewer it is watched.
    f is 1 as in Fisher's z, or the larger of the factors by which the correlations of the two samples scatter more.
    Where both know their seasons, correlations are those within seasons, on average over those of the current rows.
    """
    if reference is None or current is None:
        return None
    names = [name for name in reference.names if name in current.names and (among is None or name in among)]
    found = weigh_pairs(reference, current, names)
    known = np.isfinite(found.z)
    if not known.any():
        return None
    first, second = (places[known].tolist() for places in np.triu_indices(len(names), 1))
    p_values = np.array([normal_tail(z) for z in found.z.tolist()])
    tested = adjust_p_values(
        np.fmax(p_values, _usual(reference, current, names, found))[known].tolist(), settings.correction
    )
    told = (found.reference[known], found.current[known], tested, found.rows[known])
    evidence = zip(first, second, *(values.tolist() for values in told), strict=True)
    pairs = [_judge((names[i], names[j]), r, s, p_value, rows, settings) for i, j, r, s, p_value, rows in evidence]
    return _conclude(reference, current, len(names), pairs, settings)


def weigh_pairs(reference: Relations, current: Relations, names: Sequence[str]) -> Evidence:
    """How surely each pair of the columns named changed; within seasons where both samples know theirs."""
    if not (reference.seasons and current.seasons):
        (r, n, f), (s, m, g) = (_read_pairs(relations, names) for relations in (reference, current))
        change = fisher(r) - fisher(s)
        return Evidence(r, s, change / np.sqrt(_variance(n, m, np.maximum(f, g))), np.minimum(n, m))
    pairs = len(names) * (len(names) - 1) // 2
    total, variance, before, now, *rows = np.zeros((6, pairs))
    for season in sorted(reference.seasons.keys() & current.seasons.keys(), key=int):
        both = (relations.seasons[season] for relations in (reference, current))
        (r, n, f), (s, m, g) = (_read_pairs(relations, names) for relations in both)
        weight = np.where((np.minimum(n, m) >= SEASON_ROWS) & np.isfinite(r) & np.isfinite(s), m, 0)
        total += weight
        before += weight * np.nan_to_num(fisher(r))
        now += weight * np.nan_to_num(fisher(s))
        variance += weight**2 * _variance(n, m, np.maximum(f, g))
        rows[0] += n * (weight > 0)
        rows[1] += m * (weight > 0)
    with np.errstate(invalid="ignore"):
        return Evidence(
            np.tanh(before / total), np.tanh(now / total), (before - now) / np.sqrt(variance), np.minimum(*rows)
        )


def _usual(reference: Relations, current: Relations, names: Sequence[str], found: Evidence) -> np.ndarray:
    """How ordinary the changes are beside those of the reference's stretches; NaN where unknown."""
    first, second = np.triu_indices(len(names), 1)
    in_seasons = bool(reference.seasons and current.seasons)
    if not reference.levels or in_seasons != bool(reference.seasons):  # measured in seasons, and compared without
        return np.full(len(first), np.nan)
    changes, looked_at = fisher(found.current) - fisher(found.reference), _read_pairs(current, names)[1]
    chosen = np.array([reference.names.index(name) for name in names], dtype=int)
    rows = float(current.counts.max(initial=0))
    return usual_p_values(reference.levels, rows, changes, looked_at, (chosen[first], chosen[second]))


def _variance(n: np.ndarray, m: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Of the difference of two z of so many rows."""
    return np.asarray(factor * (1 / np.maximum(n - 3, 1) + 1 / np.maximum(m - 3, 1)))


def _read_pairs(relations: Relations, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correlation, rows and factor of scatter of each pair of the columns named."""
    chosen = np.array([relations.names.index(name) for name in names], dtype=int)
    pairs = np.ix_(chosen, chosen)
    upper = np.triu_indices(len(names), 1)
    found = relations.correlations(), relations.effective_rows(), relations.scatter_factors()
    correlations, counts, factors = (matrix[pairs][upper] for matrix in found)
    return correlations, counts, factors


def _judge(
    names: tuple[str, str], before: float, now: float, p_value: float, rows: int, settings: DriftSettings
) -> PairDrift:
    change = abs(now - before)
    significant, material = p_value <= settings.alpha, change >= settings.min_correlation
    if rows < settings.min_rows:
        status = "watch" if significant else "not_enough_evidence"
    else:
        sure = significant and rows >= SURE_ROWS
        status = "drift" if sure and material else "watch" if significant or material else "no_drift"
    return PairDrift(names, before, now, change, p_value, status)


def _conclude(
    reference: Relations, current: Relations, columns: int, pairs: Sequence[PairDrift], settings: DriftSettings
) -> JointDrift:
    rows = reference.rows, current.rows
    told = tuple(sorted((pair for pair in pairs if pair.status in ORDER), key=_impact))
    drifted = [pair for pair in told if pair.status == "drift"]
    verdict = "drift" if drifted else "no_drift" if min(rows) >= settings.min_rows else "not_enough_evidence"
    limit = settings.min_correlation
    reasons = describe_pairs(drifted, limit)
    return JointDrift(verdict, columns, reference.available, limit, rows, told, reasons)


def _impact(pair: PairDrift) -> tuple[int, float, tuple[str, str]]:
    return ORDER.index(pair.status), -pair.change, pair.columns


def join_deep(joint: JointDrift | None, deep: "DeepDrift | None", settings: DriftSettings) -> JointDrift | None:
    """The verdict on pairs together with that of the classifier, where it was asked."""
    if deep is None:
        return joint
    if joint is None:
        joint = JointDrift(deep.verdict, 0, 0, settings.min_correlation, deep.rows, (), ())
    verdicts = {joint.verdict, deep.verdict}
    verdict = next(word for word in ("drift", "no_drift", "not_enough_evidence") if word in verdicts)
    said = deep.reasons if deep.verdict == "drift" else ()
    return replace(joint, verdict=verdict, reasons=(*joint.reasons, *said), deep=deep)


def describe_pairs(drifted: Sequence[PairDrift], limit: float) -> tuple[str, ...]:
    """One sentence for each of the first pairs, and how many more there are."""
    most = NAMED if len(drifted) > NAMED + 1 else NAMED + 1
    sentences = [
        f"Relation drift: {pair.columns[0]} and {pair.columns[1]} no longer go together as they did: "
        f"correlation {pair.reference:.2f} before, {pair.current:.2f} now (limit {limit:g}); "
        f"{'p < 0.0001' if pair.p_adjusted < 0.0001 else f'p = {pair.p_adjusted:.2g}'}."
        for pair in drifted[:most]
    ]
    more = len(drifted) - most
    return (*sentences, *([f"And {more:,} more pairs of columns drifted."] if more > 0 else []))
