"""One column of two profiles measured: every statistic, the p-values, and the two distributions for a reader.

Measuring, judging (`columns`) and rendering are separate: nothing here knows a threshold.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evergreen.drift import distances
from evergreen.drift.summaries import BareProfile, CategoryProfile, ColumnProfile, NumberProfile, plain_edge

PSI_GROUPS = 10  # what the customary thresholds 0.1 and 0.2 were made for
TEST_GROUPS = 20
SHOWN_BINS = 20
SHOWN_LABELS = 12
REST = "other values"


@dataclass(frozen=True)
class Measurement:
    """What was found out about one column.

    Attributes:
        kind: of the reference: "number", "category", "boolean", "time" or "text".
        problem: why it can't be compared, or "".
        statistics: by name, finite numbers only; a statistic that is not defined here is not in it.
        p_values: of the values, None when there is nothing to test; `p_missing` of the missing rate, likewise.
        reference_rows, current_rows: rows with a value.
        mover: the group that gained or lost most, in words.
        discrete: compared by categories (or at most 20 values), not by its continuous distribution.
    """

    name: str
    kind: str
    problem: str = ""
    statistics: Mapping[str, float] = field(default_factory=dict)
    p_values: float | None = None
    p_missing: float | None = None
    reference_rows: int = 0
    current_rows: int = 0
    missing_reference: float | None = None
    missing_current: float | None = None
    mover: str = ""
    discrete: bool = False
    distribution: dict[str, Any] | None = None


def measure_column(name: str, reference: ColumnProfile, current: ColumnProfile | None) -> Measurement:
    """All statistics of a column from its two profiles, or the problem that prevents it."""
    problem = _find_problem(reference, current)
    if problem or current is None:
        return Measurement(name, reference.kind, problem)
    missing = _missing_facts(reference, current)
    if current.present + current.absent == 0:
        return Measurement(name, reference.kind, **missing)
    if isinstance(reference, BareProfile) or not (reference.present and current.present):
        return Measurement(name, reference.kind, **missing)
    if isinstance(reference, NumberProfile) and isinstance(current, NumberProfile):
        facts = _number_facts(reference, current)
    elif isinstance(reference, CategoryProfile) and isinstance(current, CategoryProfile):
        facts = _category_facts(reference, current)
    else:
        raise ValueError(f"column '{name}': profiles of different kinds can't be compared")
    statistics = {key: value for key, value in facts.pop("statistics").items() if math.isfinite(value)}
    statistics |= missing.pop("statistics")
    return Measurement(name, reference.kind, statistics=statistics, **missing, **facts)


def _find_problem(reference: ColumnProfile, current: ColumnProfile | None) -> str:
    if current is None:
        return "the column is missing in the current rows; the reference has it"
    for column, where in ((reference, "the reference"), (current, "the current rows")):
        if isinstance(column, BareProfile) and column.problem:
            return f"in {where}: {column.problem}"
    if isinstance(reference, CategoryProfile) and isinstance(current, CategoryProfile):
        families = {reference.family, current.family} - {"null"}
        known = sum(count for label, count in current.counts.items() if label in reference.counts)
        if len(families) == 2 and known < current.present / 2:
            return f"holds {current.family}s in the current rows and {reference.family}s in the reference"
    return ""


def _missing_facts(reference: ColumnProfile, current: ColumnProfile) -> dict[str, Any]:
    n, m = reference.present + reference.absent, current.present + current.absent
    before, after = reference.absent / n if n else 0.0, current.absent / m if m else 0.0
    return {
        "statistics": {"missing": abs(after - before)},
        "p_missing": distances.share_p_value(current.absent, m, reference.absent, n) if n and m else None,
        "missing_reference": before,
        "missing_current": after,
        "reference_rows": reference.present,
        "current_rows": current.present,
    }


def _number_facts(reference: NumberProfile, current: NumberProfile) -> dict[str, Any]:
    f, g, points = reference.counts, current.counts, reference.points
    low, high = distances.ks_bounds(f, g, points)
    starts = None if reference.discrete else group_starts(f, TEST_GROUPS)
    twenty = _merged(f, g, starts)
    ten = distances.pool(f, g)[:2] if reference.discrete else _merged(f, g, group_starts(f, PSI_GROUPS))
    statistics = {"ks": low, "ks_upper": high, "group": distances.moved_share(*twenty)}
    statistics |= _shape_statistics(ten, distances.pool(f, g)[:2] if reference.discrete else twenty)
    statistics |= _scale_statistics(reference, current)
    return {
        "statistics": statistics,
        "p_values": _numbers_p_value(reference, current, low),
        "mover": _moved_range(reference, current, starts),
        "discrete": reference.discrete,
        "distribution": _shown_values(reference, current) if reference.discrete else _histogram(reference, current),
    }


def _numbers_p_value(reference: NumberProfile, current: NumberProfile, distance: float) -> float | None:
    """The smaller of the KS and the chi-square p-value, doubled; of few values the chi-square one alone.

    Each group holds 10 rows or more of the smaller sample: where the pooling of rare groups had to choose
    among groups of about 5, it would choose by chance, and the test would alarm too often.
    """
    f, g = reference.counts, current.counts
    if reference.discrete:
        return distances.groups_p_value(f, g)
    p_ks = distances.ks_p_value(distance, reference.present, current.present)
    groups = min(TEST_GROUPS, min(reference.present, current.present) // 10)
    p_groups = distances.groups_p_value(*_merged(f, g, group_starts(f, groups))) if groups > 1 else None
    return p_ks if p_groups is None else min(1.0, 2 * min(p_ks, p_groups))


def group_starts(counts: np.ndarray, groups: int) -> np.ndarray:
    """Where neighbouring bins begin a new group, so that each group holds about an equal share of the reference.

    A bin goes where its middle lies among the ordered rows; a point mass larger than a group stays alone.
    """
    middle = np.cumsum(counts) - counts / 2
    number = np.minimum((middle / counts.sum() * groups).astype(int), groups - 1)
    return np.flatnonzero(np.diff(number, prepend=-1))


def _merged(f: np.ndarray, g: np.ndarray, starts: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    if starts is None:
        return f, g
    return np.add.reduceat(f, starts), np.add.reduceat(g, starts)


def _shape_statistics(ten: tuple[np.ndarray, np.ndarray], twenty: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    psi_raw, psi = distances.psi(*ten)
    js_raw, js = distances.jensen_shannon(*ten)
    return {"psi": psi, "psi_raw": psi_raw, "js": js, "js_raw": js_raw, "chi2": distances.cramers_v(*twenty)}


def _scale_statistics(reference: NumberProfile, current: NumberProfile) -> dict[str, float]:
    """In standard deviations of the reference; none when it is constant."""
    scale = reference.deviation
    if not scale > 0 or not math.isfinite(scale):
        return {}
    lows, highs = (reference.low, current.low), (reference.high, current.high)
    ends = min(low for low in lows if low is not None), max(high for high in highs if high is not None)
    borders = np.clip([ends[0], *reference.edges, ends[1]], *ends) - reference.origin
    with np.errstate(over="ignore", invalid="ignore"):
        counts, sums = (reference.counts, current.counts), (reference.sums, current.sums)
        distance = distances.wasserstein(counts, sums, borders) / scale
    return {"wasserstein": distance, "mean_shift": abs(current.mean - reference.mean) / scale}


def _moved_range(reference: NumberProfile, current: NumberProfile, starts: np.ndarray | None) -> str:
    """The range (or value) of the group that moved most, with its shares before and after; empty when none moved."""
    f, g = _merged(reference.counts, current.counts, starts)
    p, q = f / f.sum(), g / g.sum()
    group = int(np.abs(p - q).argmax())
    if p[group] == q[group]:
        return ""
    first = group if starts is None else int(starts[group])
    last = group if starts is None else int(np.append(starts, len(reference.counts))[group + 1]) - 1
    return f"{_words_of(reference, first, last)}: {_percent(p[group])} before, {_percent(q[group])} now"


def _words_of(reference: NumberProfile, first: int, last: int) -> str:
    """The values of some neighbouring bins; an edge just below a value with a bin of its own is told by that value."""
    edges, points = reference.edges, reference.points
    if points[last] and first >= last - 1:
        return f"value {edges[last]:.6g}"
    above = "" if first == 0 else f"{plain_edge(edges[first - 1]):.6g}"
    if last == len(edges):
        return f"values above {above}" if above else "all values"
    below = f"below {edges[last + 1]:.6g}" if points[last + 1] else ""
    up_to = f"{plain_edge(edges[last]):.6g}"
    if not above:
        return f"values {below or 'up to ' + up_to}"
    return f"values from {above} to {below or up_to}"


def _category_facts(reference: CategoryProfile, current: CategoryProfile) -> dict[str, Any]:
    labels, f, g = align_labels(reference, current)
    pooled = distances.pool(f, g)[:2]
    p, q = f / f.sum(), g / g.sum()
    most = int(np.abs(p - q).argmax())
    new = "" if f[most] else " (new)"
    labels = shown_labels(reference, labels)
    return {
        "statistics": {"group": distances.moved_share(f, g)} | _shape_statistics(pooled, pooled),
        "p_values": distances.groups_p_value(f, g),
        "mover": f"'{labels[most]}'{new}: {_percent(p[most])} before, {_percent(q[most])} now",
        "discrete": True,
        "distribution": _shown_labels(labels, p, q),
    }


def shown_labels(column: CategoryProfile, labels: list[str]) -> list[str]:
    """Labels for people: those of a boolean are counted as 0 and 1."""
    words = {"0": "false", "1": "true"} if column.kind == "boolean" else {}
    return [words.get(label, label) for label in labels]


def align_labels(reference: CategoryProfile, current: CategoryProfile) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Labels of either profile, and rows of both for each; what a cut reference can't tell apart is one label."""
    new = [] if reference.other else [label for label in current.counts if label not in reference.counts]
    least = _least_told_apart(reference)
    labels = [*(label for label, count in reference.counts.items() if count >= least), *new]
    f = [reference.counts.get(label, 0) for label in labels]
    g = [current.counts.get(label, 0) for label in labels]
    rest = reference.present - sum(f), current.present - sum(g)
    if any(rest):
        labels, f, g = [*labels, REST], [*f, rest[0]], [*g, rest[1]]
    return labels, np.array(f), np.array(g)


def _least_told_apart(reference: CategoryProfile) -> float:
    """The rows a label of a cut reference needs to be looked at by itself: surely more than those that were cut.

    Those that are just above the cut are there by chance: in any other sample they would have fewer rows, and the
    rest more, which is no drift (the winner's curse; it would alarm in nearly every clean run of 2000 categories).
    """
    last = min(reference.counts.values(), default=0) if reference.other else 0
    return last + 4 * math.sqrt(last) + 4 if last else 0


def _shown_labels(labels: list[str], p: np.ndarray, q: np.ndarray) -> dict[str, Any]:
    """The labels with most rows in either sample; all others as one."""
    order = sorted(range(len(labels)), key=lambda index: -(p[index] + q[index]))
    if len(order) > SHOWN_LABELS:
        order = order[: SHOWN_LABELS - 1]
    shown = {"labels": [labels[i] for i in order], "reference": p[order].tolist(), "current": q[order].tolist()}
    if len(order) < len(labels):
        shown["labels"].append(REST)
        shown["reference"].append(max(0.0, 1 - float(p[order].sum())))
        shown["current"].append(max(0.0, 1 - float(q[order].sum())))
    return {"kind": "category", **shown}


def _shown_values(reference: NumberProfile, current: NumberProfile) -> dict[str, Any]:
    """A numeric column of few values, shown by value; between them what the reference never had."""
    p, q = reference.counts / reference.present, current.counts / current.present
    at = np.flatnonzero(reference.points)
    if len(at) > SHOWN_LABELS - 1:
        return _histogram(reference, current)
    labels, before, after = [f"{reference.edges[i]:.6g}" for i in at], p[at].tolist(), q[at].tolist()
    if q[at].sum() < 1 - 1e-9 or p[at].sum() < 1 - 1e-9:
        labels.append(REST)
        before.append(max(0.0, 1 - sum(before)))
        after.append(max(0.0, 1 - sum(after)))
    return {"kind": "category", "labels": labels, "reference": before, "current": after}


def _histogram(reference: NumberProfile, current: NumberProfile) -> dict[str, Any]:
    """Shares in 20 equally wide bins from the 0.5 % to the 99.5 % quantile; the outer two hold what lies beyond."""
    curves = [distribution_curve(column) for column in (reference, current)]
    ends = [np.interp((0.005, 0.995), shares, values) for values, shares in curves]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    if not np.finfo(float).tiny <= high - low < math.inf:
        low, high = low - 0.5, low + 0.5
    edges = np.linspace(low, high, SHOWN_BINS + 1)
    shares = [np.diff([0, *np.nan_to_num(np.interp(edges[1:-1], *curve)), 1]) for curve in curves]
    return {
        "kind": "number",
        "edges": edges.tolist(),
        "reference": shares[0].tolist(),
        "current": shares[1].tolist(),
    }


def distribution_curve(column: NumberProfile) -> tuple[np.ndarray, np.ndarray]:
    """The distribution function: values, and the shares of rows up to them, straight in between, both ascending.

    The rows of a bin are spread evenly around their mean, as far as the nearer end of the bin: in an open bin that
    holds a sentinel, or values between those that have bins of their own, that is where they are.
    """
    ends = np.clip([column.low, *column.edges, column.high], column.low, column.high)
    filled = column.counts > 0
    lows, highs = ends[:-1][filled], ends[1:][filled]
    means = np.clip(column.origin + column.sums[filled] / column.counts[filled], lows, highs)
    halves = np.minimum(means - lows, highs - means)
    shares = np.concatenate([[0], np.cumsum(column.counts[filled])]) / column.present
    values = np.maximum.accumulate(np.column_stack([means - halves, means + halves]).ravel())
    return values, np.column_stack([shares[:-1], shares[1:]]).ravel()


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
