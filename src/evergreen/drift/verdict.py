"""The verdict on a whole table, computed once and read everywhere: text, JSON, page, exit code, alert.

It has three values: "drift", "no_drift", "not_enough_evidence".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from evergreen.drift.columns import ColumnDrift
from evergreen.drift.joint import JointDrift, PairDrift, describe_pairs
from evergreen.drift.profile import Profile
from evergreen.verdicts import calls_for_retraining, shows_loss

if TYPE_CHECKING:
    from evergreen.data.quality import Finding
    from evergreen.drift.performance import PerformanceReport
    from evergreen.settings import DriftSettings

FORMAT = 1
ORDER = ("invalid", "drift", "watch", "no_drift", "not_enough_evidence", "skipped")
NAMED = 5  # columns named in a sentence


@dataclass(frozen=True)
class Extent:
    """Which rows were looked at."""

    rows: int
    source: str
    start: str | None
    stop: str | None


@dataclass(frozen=True)
class FamilyDrift:
    """The verdict on columns judged together, apart from the features: predictions, or the target."""

    verdict: str
    columns: tuple[ColumnDrift, ...]


@dataclass(frozen=True)
class DriftReport:
    """Is the world still what the model learned?

    Attributes:
        verdict: "drift" when anything drifted: a feature, a relation between them, the predictions or the target;
            "not_enough_evidence" when no feature could be judged.
        severity: "minor", "moderate" or "major", by the share of importance that drifted; None without drift.
        diagnosis: drift, loss, both or neither, in words; None when performance was not looked at.
        reasons: sentences for people, the diagnosis first, then the most important.
        retraining_recommended: drift of features, relations or predictions, or a proven loss, and data that can be
            trusted. Drift of the target alone is told, and left to the labels: they show whether the model suffers.
        quality: findings about the data itself; never called drift.
        predictions, target: families of their own, with their own correction; None when not looked at.
        performance: on labelled rows; None without labels.
        joint: on how the features hang together; None when not looked at.
        season: which rows of the reference were compared, when not all: "by" and "rows_left_out".
        estimate: what the model is worth on rows without labels; anything with `to_dict`.
        scored: earlier estimates whose labels have come since; each with `to_dict`.
    """

    verdict: str
    severity: str | None
    reasons: tuple[str, ...]
    retraining_recommended: bool
    reference: Extent
    current: Extent
    columns: tuple[ColumnDrift, ...]
    quality: "tuple[Finding, ...]" = ()
    predictions: FamilyDrift | None = None
    target: FamilyDrift | None = None
    performance: "PerformanceReport | None" = None
    diagnosis: str | None = None
    joint: JointDrift | None = None
    season: Mapping[str, Any] | None = None
    estimate: Any | None = None
    scored: tuple[Any, ...] = ()

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the feature columns that drifted."""
        return tuple(column.name for column in self.columns if column.status == "drift")

    @property
    def inputs_drifted(self) -> bool:
        """Whether features drifted, or the way they go together."""
        return bool(self.drifted) or has_drifted(self.joint)

    @property
    def drifted_pairs(self) -> tuple[PairDrift, ...]:
        """Pairs of columns that drifted though neither column did by itself: what the columns don't explain."""
        pairs = self.joint.drifted if self.joint else ()
        return tuple(pair for pair in pairs if not set(pair.columns) & set(self.drifted))

    @property
    def relations_drifted(self) -> bool:
        """Whether the features go together in another way, beyond what columns that drifted by themselves explain."""
        deep = self.joint.deep if self.joint else None
        return bool(self.drifted_pairs) or (not self.drifted and deep is not None and deep.verdict == "drift")

    @property
    def lost(self) -> bool:
        """Whether a loss of performance has been shown."""
        return self.performance is not None and shows_loss(self.performance.verdict) is True

    def __str__(self) -> str:
        """Headline and reasons, in the words the field knows."""
        headlines = ["DATA DRIFT DETECTED!"] if self.inputs_drifted else []
        for name, family in (("PREDICTION", self.predictions), ("TARGET", self.target)):
            headlines += [f"{name} DRIFT DETECTED!"] if has_drifted(family) else []
        if self.lost:
            headlines.append("PERFORMANCE DRIFT DETECTED!")
        if self.retraining_recommended:
            headlines.append("RETRAINING RECOMMENDED")
        calm = {"no_drift": "No drift", "not_enough_evidence": "Not enough evidence"}
        return "\n".join([*(headlines or [calm.get(self.verdict, "")]), *self.reasons])


def conclude(
    reference: Profile,
    current: Profile,
    columns: Sequence[ColumnDrift],
    settings: "DriftSettings",
    *,
    quality: "Sequence[Finding]" = (),
    predictions: Sequence[ColumnDrift] | None = None,
    target: Sequence[ColumnDrift] | None = None,
    performance: "PerformanceReport | None" = None,
    importances: Mapping[str, float] | None = None,
    joint: JointDrift | None = None,
    season: Mapping[str, Any] | None = None,
    estimate: Any | None = None,
    scored: Sequence[Any] = (),
) -> DriftReport:
    """The verdict on a table from the verdicts on its columns.

    Columns come out by impact: those that can't be compared, then drift, most important and strongest first.
    `importances` are shares by column, 0 for a column it does not name; without any, every column counts the same.
    """
    if importances:
        columns = [replace(column, importance=importances.get(column.name, 0.0)) for column in columns]
    ordered = tuple(sorted(columns, key=_impact))
    enough = min(reference.rows, current.rows) >= settings.min_rows
    report = DriftReport(
        judge_family(ordered, enough),
        grade_severity(ordered),
        (),
        False,
        _extent(reference),
        _extent(current),
        ordered,
        tuple(quality),
        _family(predictions, enough),
        _family(target, enough),
        performance,
        joint=joint,
        season=season,
        estimate=estimate,
        scored=tuple(scored),
    )
    report = replace(report, diagnosis=_diagnose(report), verdict=_judge_all(report))
    return replace(report, reasons=_find_reasons(report, settings), retraining_recommended=_recommends(report))


def judge_family(columns: Sequence[ColumnDrift], enough_rows: bool) -> str:
    """One verdict for columns judged together."""
    statuses = {column.status for column in columns}
    if "drift" in statuses:
        return "drift"
    return "no_drift" if enough_rows and statuses & {"watch", "no_drift"} else "not_enough_evidence"


def has_drifted(family: FamilyDrift | JointDrift | None) -> bool:
    """Whether a family of columns that was looked at drifted."""
    return family is not None and family.verdict == "drift"


def _judge_all(report: DriftReport) -> str:
    families = (report.joint, report.predictions, report.target)
    return "drift" if any(has_drifted(family) for family in families) else report.verdict


def grade_severity(columns: Sequence[ColumnDrift]) -> str | None:
    """How much of what the model uses has drifted: below 0.1 "minor", below 0.3 "moderate", else "major".

    By importance where it is known, else by the share of the columns that can be judged. None without drift.
    """
    judged = [column for column in columns if column.status not in ("skipped", "invalid")]
    drifted = [column for column in judged if column.status == "drift"]
    if not drifted:
        return None
    total = math.fsum(column.importance or 0.0 for column in judged)
    if total > 0:
        share = math.fsum(column.importance or 0.0 for column in drifted) / total
    else:
        share = len(drifted) / len(judged)
    return "minor" if share < 0.1 else "moderate" if share < 0.3 else "major"


def to_document(report: DriftReport) -> dict[str, Any]:
    """The report as plain JSON types, without NaN or infinities; the contract of `docs/results.schema.json`.

    Measured numbers are rounded to 6 digits, so that the order of rows can't show in the last ones.
    """
    families = {
        name: None if family is None else {"verdict": family.verdict, "columns": _documents(family.columns)}
        for name, family in (("predictions", report.predictions), ("target", report.target))
    }
    return {
        "format": FORMAT,
        "verdict": report.verdict,
        "severity": report.severity,
        "diagnosis": report.diagnosis,
        "reasons": list(report.reasons),
        "retraining_recommended": report.retraining_recommended,
        "reference": _extent_document(report.reference),
        "current": _extent_document(report.current),
        "columns": _documents(report.columns),
        "quality": [asdict(finding) for finding in report.quality],
        "season": None if report.season is None else _rounded(dict(report.season)),
        "joint": None if report.joint is None else _rounded(report.joint.to_dict()),
        **families,
        "performance": None if report.performance is None else _performance_document(report.performance),
        "estimate": None if report.estimate is None else _rounded(report.estimate.to_dict()),
        "scored": [_rounded(each.to_dict()) for each in report.scored],
    }


def _family(columns: Sequence[ColumnDrift] | None, enough: bool) -> FamilyDrift | None:
    if columns is None:
        return None
    return FamilyDrift(judge_family(columns, enough), tuple(sorted(columns, key=_impact)))


def _diagnose(report: DriftReport) -> str | None:
    if report.performance is None or (report.current.rows == 0 and not report.lost):
        return None
    from evergreen.drift.performance import diagnose

    moved = report.inputs_drifted or has_drifted(report.predictions)
    return diagnose(True if moved else False if report.verdict == "no_drift" else None, report.performance.verdict)


def _recommends(report: DriftReport) -> bool:
    lost = report.performance is not None and calls_for_retraining(report.performance.verdict)
    lost = lost or (report.estimate is not None and report.estimate.verdict == "estimated_drop")
    wanted = report.inputs_drifted or has_drifted(report.predictions) or lost
    return wanted and not any(finding.blocking for finding in report.quality)


def _impact(column: ColumnDrift) -> tuple[int, float, float]:
    reach = (column.effect or 0.0) / column.threshold if column.threshold else 0.0
    return ORDER.index(column.status), -(column.importance or 0.0), -reach


def _extent(profile: Profile) -> Extent:
    return Extent(profile.rows, profile.source, profile.start, profile.stop)


def _find_reasons(report: DriftReport, settings: "DriftSettings") -> tuple[str, ...]:
    """Most important first: what drifted, how it goes together, predictions, target, performance, quality, the rest."""
    reasons = [report.diagnosis] if report.diagnosis else []
    reasons += _drift_reasons(_with_status(report, "drift"), report.severity)
    reasons += _joint_reasons(report)
    for name, family in (("prediction", report.predictions), ("target", report.target)):
        drifted = [column for column in family.columns if column.status == "drift"] if family else []
        reasons += [f"The {name} drifted ({column.name}): {column.reason}" for column in drifted]
    reasons += report.performance.reasons if report.performance else ()
    reasons += report.estimate.reasons if report.estimate and report.estimate.verdict == "estimated_drop" else ()
    reasons += [f"Data quality: {finding.text}" for finding in report.quality if finding.blocking]
    told = {finding.column for finding in report.quality if finding.blocking}
    reasons += _invalid_reasons([column for column in _with_status(report, "invalid") if column.name not in told])
    if min(report.reference.rows, report.current.rows) < settings.min_rows:
        reasons.append(_too_few(report, settings))
    elif not report.drifted:
        reasons.append(_calm(report))
    return tuple(reasons)


def _with_status(report: DriftReport, *statuses: str) -> list[ColumnDrift]:
    return [column for column in report.columns if column.status in statuses]


def _drift_reasons(drifted: Sequence[ColumnDrift], severity: str | None) -> list[str]:
    named, more = _split(drifted)
    sentences = [f"{column.name}: {column.reason}" for column in named]
    return sentences + ([f"And {more:,} more columns drifted. The drift is {severity}."] if more else [])


def _joint_reasons(report: DriftReport) -> list[str]:
    if report.joint is None:
        return []
    found = list(describe_pairs(report.drifted_pairs, report.joint.limit))
    deep = report.joint.deep
    return found + (list(deep.reasons) if deep and deep.verdict == "drift" else [])


def _invalid_reasons(invalid: Sequence[ColumnDrift]) -> list[str]:
    named, more = _split(invalid)
    sentences = [f"{column.name} can't be compared: {column.reason}" for column in named]
    return sentences + ([f"And {more:,} more columns can't be compared."] if more else [])


def _split(columns: Sequence[ColumnDrift]) -> tuple[Sequence[ColumnDrift], int]:
    """The columns to name, and how many more there are: none or at least two."""
    most = NAMED if len(columns) > NAMED + 1 else NAMED + 1
    return columns[:most], max(0, len(columns) - most)


def _too_few(report: DriftReport, settings: "DriftSettings") -> str:
    if report.current.rows == 0 and report.season and report.season["rows_left_out"]:
        left_out, season = report.season["rows_left_out"], report.season["by"]
        return (
            f"None of the {left_out:,} new rows can be compared: the reference has no rows of their {season} "
            "(drift.season)."
        )
    if report.current.rows == 0:
        return "There are no new rows to judge."
    return (
        f"Too few rows to judge by: {report.reference.rows:,} in the reference and {report.current.rows:,} now; "
        f"{settings.min_rows:,} of each are needed (drift.min_rows).{_sight(report.columns)}"
    )


def _calm(report: DriftReport) -> str:
    judged = _with_status(report, "no_drift", "watch")
    if not judged:
        return "No column could be compared: none has enough values of a kind that can be tested."
    ordinary = [column for column in judged if column.ordinary]
    watched = [column for column in _with_status(report, "watch") if not column.ordinary]
    watch = f" Worth watching: {_names(watched)}." if watched else ""
    counted = f"{len(judged):,} column{'' if len(judged) == 1 else 's'}"
    change = "No change out of the ordinary" if ordinary else "No material change"
    return f"{change} in {counted}.{_ordinary(ordinary, report.season is None)}{_sight(judged)}{watch}"


def _ordinary(columns: Sequence[ColumnDrift], seasonless: bool) -> str:
    """Columns that changed much, and no more than they always do from one stretch to the next."""
    if not columns:
        return ""
    advice = " If these are seasons, drift.season compares like with like." if seasonless else ""
    return f" Stretches of the reference differ among themselves as much as now: {_names(columns)}.{advice}"


def _sight(columns: Sequence[ColumnDrift]) -> str:
    """What could have been seen in so many rows."""
    shifts = [column.smallest_shift for column in columns if column.smallest_shift is not None]
    return f" A shift of {max(shifts):.2g} standard deviations would have shown." if shifts else ""


def _names(columns: Sequence[ColumnDrift]) -> str:
    named, more = _split(columns)
    return ", ".join(column.name for column in named) + (f" and {more:,} more" if more else "")


def _extent_document(extent: Extent) -> dict[str, Any]:
    return {"rows": extent.rows, "source": extent.source, "from": extent.start, "to": extent.stop}


def _documents(columns: Sequence[ColumnDrift]) -> list[dict[str, Any]]:
    return [_rounded(vars(column)) for column in columns]  # not `asdict`, whose copies cost as much as measuring


def _performance_document(report: "PerformanceReport") -> dict[str, Any]:
    names = [
        *("metric", "higher_is_better", "baseline", "current", "interval", "drop", "drop_interval", "verdict"),
        *("reasons", "from_labels", "labelled_rows", "labels_needed", "coverage", "floor", "relative", "max_drop"),
    ]
    blocks = [
        {"from": block.start, "to": block.stop, "rows": block.rows, "value": block.value}
        | {"interval": [block.low, block.high]}
        for block in report.blocks
    ]
    scores = {
        name: {
            "baseline": report.baselines[name].value if name in report.baselines else None,
            "current": score.value,
            "interval": [score.low, score.high],
        }
        for name, score in report.scores.items()
    }
    found = {
        "leak": None if report.leak is None else asdict(report.leak),
        "reweighted": None if report.reweighted is None else asdict(report.reweighted),
        "slices": [asdict(group) for group in report.slices],
    }
    return _rounded({name: getattr(report, name) for name in names} | {"blocks": blocks, "scores": scores} | found)


def _rounded(value: Any) -> Any:
    """Plain types with numbers of 6 digits, NaN and infinities as None."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
