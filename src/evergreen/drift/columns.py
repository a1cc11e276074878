"""Which columns drifted: surely (a corrected p-value) and materially (an effect size), both or not at all.

A test alone alarms on nothing as soon as there are many rows or columns; a threshold alone alarms on noise
where there are few rows. So a column has drifted when its change is significant at `alpha` after correction
over all columns and their missing rates, *and* large enough; one of the two alone is worth watching.

Significant is a change that neither the chance of drawing rows nor, where the reference can tell (`calibration`), the
ordinary difference between its days explains: of the two p-values the larger counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from evergreen.drift import distances
from evergreen.drift.calibration import Calibrated, Usual, calibrate
from evergreen.drift.correction import adjust_p_values
from evergreen.drift.measures import Measurement, measure_column
from evergreen.drift.moved import describe_move
from evergreen.drift.profile import Profile
from evergreen.drift.seasons import like_with_like
from evergreen.settings import DriftRule, DriftSettings

MOST_KS = 0.999  # a shift that leaves nothing in common has no size


@dataclass(frozen=True)
class Statistic:
    """A statistic by which a column can be judged: its words, and the threshold where a rule names none."""

    words: str
    threshold: float


# The thresholds are those of the field; that of chi2 is an effect (Cramér's V), not a p-value, which any small change
# passes when there are enough rows. As shifts of a normal column, in standard deviations, they mean
#   ks 0.25   psi 0.46   js 0.24   wasserstein 0.10   chi2 0.20   mean_shift 2.0
STATISTICS = {
    "ks": Statistic("KS distance", 0.10),
    "psi": Statistic("PSI", 0.20),
    "js": Statistic("Jensen-Shannon distance", 0.10),
    "wasserstein": Statistic("Wasserstein distance in standard deviations", 0.10),
    "chi2": Statistic("Cramér's V", 0.10),
    "mean_shift": Statistic("Shift of the mean in standard deviations", 2.0),
    "group": Statistic("Share of rows moved in one group", 0.05),
    "missing": Statistic("Change of the missing rate", 0.05),
}


@dataclass(frozen=True)
class ColumnDrift:
    """The one verdict on a column, with the numbers it rests on.

    Attributes:
        status: "drift" (sure and material), "watch" (one of the two), "no_drift", "not_enough_evidence" (too few
            rows), "skipped" (values of this kind are not compared) or "invalid" (can't be compared).
        statistic, effect, threshold: the one that decided, or came nearest to its threshold.
        p_value, p_adjusted: of the test that belongs to it, before and after the correction over columns.
        p_calibrated: that the distance is one that stretches of the reference have among themselves, where it has
            enough stretches in order of time; what is corrected is the larger of this and `p_value`.
        usual: "chunks" stretches of "rows" rows each, 95 % of which lie no further apart than "distance".
        missing_reference, missing_current: missing rates in [0, 1].
        equivalent_shift: the shift of a normal column, in standard deviations, with the same effect.
        smallest_shift: the one that is found with 80 % probability in so many rows, beside stretches that differ so
            much; None for categories.
        statistics: all of them by name, whatever the rule.
        distribution: shares for a chart: "edges" (numbers) or "labels" (categories), "reference", "current".
        importance: the share of the model's permutation importance, where it is known.
        missing_drifted: whether the missing rate moved surely and materially, whatever the values did.
        ordinary: whether it is no drift only because stretches of the reference differ as much among themselves.
        moved: of a column that drifted or is watched, what moved: quantiles, labels, missing rates.
    """

    name: str
    kind: str
    status: str
    reason: str
    statistic: str | None = None
    effect: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    missing_reference: float | None = None
    missing_current: float | None = None
    equivalent_shift: float | None = None
    smallest_shift: float | None = None
    statistics: dict[str, float] | None = None
    distribution: dict[str, Any] | None = None
    importance: float | None = None
    missing_drifted: bool = False
    moved: dict[str, Any] | None = None
    p_calibrated: float | None = None
    usual: dict[str, Any] | None = None
    ordinary: bool = False


@dataclass(frozen=True)
class Criterion:
    """One effect beside its threshold."""

    statistic: str
    effect: float
    threshold: float

    @property
    def reach(self) -> float:
        """1 or more: material."""
        return self.effect / self.threshold


@dataclass(frozen=True)
class Test:
    """One thing tested about a column: the p-value of its rows, and what is usual for it, where that is known.

    `adjusted` is of the larger of both p-values; `adjusted_rows` of that of the rows alone.
    """

    p_rows: float
    usual: Usual | None
    adjusted: float = 1.0
    adjusted_rows: float = 1.0

    @property
    def p_value(self) -> float:
        return self.p_rows if self.usual is None else max(self.p_rows, self.usual.p_value)


@dataclass(frozen=True)
class Side:
    """One thing about a column that may have drifted, its values or its missing rate: the test and the effect."""

    criterion: Criterion
    test: Test
    alpha: float
    enough: bool

    @property
    def significant(self) -> bool:
        return self.test.adjusted <= self.alpha

    @property
    def usual(self) -> bool:
        """Whether only the ordinary difference between days keeps it from being significant."""
        return self.test.adjusted_rows <= self.alpha < self.test.adjusted

    @property
    def material(self) -> bool:
        return self.criterion.reach >= 1

    @property
    def drifted(self) -> bool:
        return self.significant and self.material and self.enough

    @property
    def weight(self) -> tuple[bool, bool, float]:
        """What makes it the one to report."""
        return self.drifted, self.significant, self.criterion.reach


def compare_profiles(reference: Profile, current: Profile, settings: DriftSettings) -> tuple[ColumnDrift, ...]:
    """Judge every column of the reference; one family of tests, corrected together.

    `current` must have been profiled against `reference`. Predictions and the target are families of their own:
    call it on profiles of just them. Columns come in the order of the reference. Where both know their seasons, the
    reference is first weighed to those of the current rows.
    """
    weighed = like_with_like(reference, current)
    usual = calibrate(reference, weighed, current)
    measured = [measure_column(name, column, current.columns.get(name)) for name, column in weighed.columns.items()]
    pairs = [_tests(column, usual.get(column.name, Calibrated())) for column in measured]
    tests = iter(_adjust([test for pair in pairs for test in pair if test], settings))
    enough = min(weighed.rows, current.rows) >= settings.min_rows
    family = 1 if settings.correction == "none" else max(1, sum(test is not None for pair in pairs for test in pair))
    results = []
    for column, pair in zip(measured, pairs, strict=True):
        values, missing = (next(tests) if test else None for test in pair)
        judged = _judge(column, values, missing, settings, enough)
        moved = _describe_move(column.name, reference, current) if judged.status in ("drift", "watch") else None
        smallest = _smallest_shift(column, usual.get(column.name, Calibrated()).values, family, settings.alpha)
        results.append(replace(judged, smallest_shift=smallest, moved=moved))
    return tuple(results)


def _describe_move(name: str, reference: Profile, current: Profile) -> dict[str, Any] | None:
    return describe_move(reference.columns[name], current.columns[name]) if name in current.columns else None


def _tests(column: Measurement, usual: Calibrated) -> tuple[Test | None, Test | None]:
    """Of the values and of the missing rate, as far as there is anything to test."""
    values = None if column.p_values is None else Test(column.p_values, usual.values)
    return values, None if column.p_missing is None else Test(column.p_missing, usual.missing)


def _adjust(tests: Sequence[Test], settings: DriftSettings) -> list[Test]:
    """Corrected for how many there are, with and without what is usual."""
    adjusted, rows_alone = (
        adjust_p_values(p_values, settings.correction).tolist()
        for p_values in ([test.p_value for test in tests], [test.p_rows for test in tests])
    )
    return [
        replace(test, adjusted=p, adjusted_rows=alone)
        for test, p, alone in zip(tests, adjusted, rows_alone, strict=True)
    ]


def _judge(
    column: Measurement, values: Test | None, missing: Test | None, settings: DriftSettings, enough: bool
) -> ColumnDrift:
    if column.problem:
        return _result(column, "invalid", column.problem[0].upper() + column.problem[1:] + ".")
    few_values = min(column.reference_rows, column.current_rows) < settings.min_rows
    criterion, remark = choose_criterion(column, settings)
    sides = []
    if values is not None and criterion is not None:
        sides.append(Side(criterion, values, settings.alpha, enough and not few_values))
    if missing is not None:
        moved = Criterion("missing", column.statistics["missing"], settings.min_missing)
        sides.append(Side(moved, missing, settings.alpha, enough))
    if not sides:
        return _untested(column, enough)
    side = max(sides, key=lambda one: one.weight)
    bare = column.kind in ("time", "text")
    status = _status(sides, enough, few_values and not bare)
    if bare and status == "no_drift":
        return _result(
            column, "skipped", f"Values of kind {column.kind} are not compared; the missing rate did not move."
        )
    result = _result(column, status, _explain(column, side, status, settings) + remark, side)
    result = replace(result, ordinary=side.usual and side.material and side.enough)
    return replace(result, missing_drifted=any(one.drifted for one in sides if one.criterion.statistic == "missing"))


def _status(sides: Sequence[Side], enough: bool, few_values: bool) -> str:
    if any(side.drifted for side in sides):
        return "drift"
    if any(side.significant for side in sides):
        return "watch"
    if not enough or few_values:
        return "not_enough_evidence"
    return "watch" if any(side.material for side in sides) else "no_drift"


def _untested(column: Measurement, enough: bool) -> ColumnDrift:
    if column.kind in ("time", "text"):
        some = column.missing_reference or column.missing_current
        missing = "their missing rates can't be tested" if some else "none is missing"
        return _result(column, "skipped", f"Values of kind {column.kind} are not compared; {missing}.")
    if not enough:
        return _result(column, "not_enough_evidence", "Nothing can be tested in so few rows.")
    if column.reference_rows == 0:
        return _result(column, "skipped", "The column has no values in either sample.")
    if column.statistics["group"] > 0:
        return _result(column, "not_enough_evidence", "No value is frequent enough in so few rows to be tested.")
    return _result(column, "no_drift", "One and the same value in all rows of both samples.")


def choose_criterion(column: Measurement, settings: DriftSettings) -> tuple[Criterion | None, str]:
    """The effect that decides for the column's values, and a remark when a rule of the user's did not apply.

    The first rule whose pattern fits and whose statistic is defined for the column wins; else the default:
    of KS distance, PSI and the most moved group the one nearest to (or furthest beyond) its threshold.
    """
    remark = ""
    for rule in settings.rules:
        if not fnmatchcase(column.name, rule.columns):
            continue
        if rule.statistic == "default":
            break
        if rule.statistic in column.statistics:
            return Criterion(rule.statistic, column.statistics[rule.statistic], _threshold(rule)), remark
        remark = f" (The rule '{rule.columns}' does not apply: {STATISTICS[rule.statistic].words} is not defined here.)"
    limits = {"ks": settings.min_ks, "psi": settings.min_psi, "group": settings.min_group}
    criteria = [
        Criterion(name, column.statistics[name], limit) for name, limit in limits.items() if name in column.statistics
    ]
    return max(criteria, key=lambda one: one.reach, default=None), remark


def _threshold(rule: DriftRule) -> float:
    return rule.threshold if rule.threshold is not None else STATISTICS[rule.statistic].threshold


def _result(column: Measurement, status: str, reason: str, side: Side | None = None) -> ColumnDrift:
    result = ColumnDrift(
        column.name,
        column.kind,
        status,
        reason,
        missing_reference=column.missing_reference,
        missing_current=column.missing_current,
        statistics=dict(column.statistics),
        distribution=column.distribution,
    )
    if side is None:
        return result
    criterion = side.criterion
    return replace(
        result,
        statistic=criterion.statistic,
        effect=criterion.effect,
        threshold=criterion.threshold,
        p_value=side.test.p_rows,
        p_adjusted=side.test.adjusted,
        equivalent_shift=_shift(column, criterion),
        **_usual_facts(side.test.usual),
    )


def _usual_facts(usual: Usual | None) -> dict[str, Any]:
    if usual is None:
        return {}
    shown = {"measure": usual.measure, "chunks": usual.chunks, "rows": usual.rows, "distance": usual.distance}
    return {"p_calibrated": usual.p_value, "usual": shown}


def _shift(column: Measurement, criterion: Criterion) -> float:
    is_share = criterion.statistic == "missing" or (criterion.statistic == "group" and column.discrete)
    return distances.equivalent_shift("share" if is_share else criterion.statistic, criterion.effect)


def _smallest_shift(column: Measurement, usual: Usual | None, tests: int, alpha: float) -> float | None:
    """The shift that is found with 80 % probability: beyond what so few rows, and ordinary stretches, differ by."""
    if column.kind != "number" or column.p_values is None:
        return None
    by_rows = distances.smallest_shift(column.reference_rows, column.current_rows, tests, alpha)
    if usual is None or usual.measure != "ks":
        return by_rows
    beyond = min(usual.beyond(alpha / (2 * tests)), MOST_KS)  # by simulation found in 8 of 10 cases or more
    return max(by_rows, distances.equivalent_shift("ks", beyond))


def _explain(column: Measurement, side: Side, status: str, settings: DriftSettings) -> str:
    effect = _effect_words(column, side.criterion)
    chance = "p < 0.0001" if side.test.adjusted < 0.0001 else f"p = {side.test.adjusted:.2g}"
    if status == "drift":
        return f"{effect}, like a shift of {_shift(column, side.criterion):.2g} standard deviations; {chance}."
    if side.significant and side.material:
        return f"{effect}; {chance}; but there are fewer than {settings.min_rows} rows to judge by (drift.min_rows)."
    if side.significant:
        return f"{effect}; {chance}: a sure change, but a small one."
    if side.test.usual is not None and side.usual and side.enough:
        return f"{effect}; but {_usual_words(side.test.usual)}; {chance}."
    if status == "not_enough_evidence":
        return f"Fewer than {settings.min_rows} rows with a value (drift.min_rows). {effect}; {chance}."
    remark = ": no material change." if status == "no_drift" else ": in so few rows chance alone does as much."
    return f"{effect}; {'but ' if status == 'watch' else ''}{chance}{remark}"


def _usual_words(usual: Usual) -> str:
    """What keeps a change that no draw of rows explains from being one."""
    up_to = {
        "ks": f"KS up to {usual.distance:.2g}",
        "groups": f"Cramér's V up to {usual.distance:.2g}",
        "missing": f"{100 * usual.distance:.1f} points more",
    }[usual.measure]
    return f"stretches of the reference differ as much among themselves ({up_to} is usual here)"


def _effect_words(column: Measurement, criterion: Criterion) -> str:
    limit = f"limit {100 * criterion.threshold:g} points"
    if criterion.statistic == "missing":
        before, after = 100 * (column.missing_reference or 0), 100 * (column.missing_current or 0)
        return f"Missing values: {before:.1f}% before, {after:.1f}% now ({limit})"
    if criterion.statistic == "group":
        return f"{column.mover} ({limit})" if column.mover else f"No group of values moved ({limit})"
    words = STATISTICS[criterion.statistic].words
    mover = f"; most moved: {column.mover}" if column.mover else ""
    return f"{words} {criterion.effect:.3g} (limit {criterion.threshold:g}){mover}"
