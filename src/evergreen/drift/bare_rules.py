"""The bare point rules of tutorials, for comparison only: they alarm in most clean runs and miss what matters.

Mean beyond 2 standard deviations, KS p < 0.05 or PSI > 0.2 on any column, a score that dropped by more than 0.05 or,
for accuracy, lies below 0.80: no correction for the number of columns, no interval, no effect size.
"""

from evergreen.drift.columns import ColumnDrift
from evergreen.drift.distances import ks_p_value
from evergreen.drift.verdict import DriftReport

MAX_SHIFT, MIN_P_VALUE, MAX_PSI = 2.0, 0.05, 0.2
MAX_DROP, MIN_ACCURACY = 0.05, 0.80


def find_bare(report: DriftReport) -> tuple[str, ...]:
    """What these rules find in a run, one sentence for the columns and one for each rule about the score."""
    names = [column.name for column in report.columns if _moved(column, report)]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    found = [f"By the bare rules {shown} moved."] if names else []
    performance = report.performance
    if performance is not None and performance.drop is not None and performance.drop > MAX_DROP:
        found.append(f"{performance.metric} dropped by {performance.drop:.3f}, more than {MAX_DROP:g}.")
    low = performance is not None and performance.metric == "accuracy" and performance.current is not None
    if performance is not None and low and performance.current is not None and performance.current < MIN_ACCURACY:
        found.append(f"accuracy is {performance.current:.3f}, below {MIN_ACCURACY:.2f}.")
    return tuple(found)


def _moved(column: ColumnDrift, report: DriftReport) -> bool:
    found = column.statistics or {}
    return (
        found.get("mean_shift", 0.0) > MAX_SHIFT
        or found.get("psi_raw", 0.0) > MAX_PSI
        or ("ks" in found and _ks_p_value(column, report) < MIN_P_VALUE)
    )


def _ks_p_value(column: ColumnDrift, report: DriftReport) -> float:
    """Of the values that are there, uncorrected."""
    reference = report.reference.rows * (1 - (column.missing_reference or 0.0))
    current = report.current.rows * (1 - (column.missing_current or 0.0))
    if min(reference, current) < 1:
        return 1.0
    return ks_p_value((column.statistics or {})["ks"], round(reference), round(current))
