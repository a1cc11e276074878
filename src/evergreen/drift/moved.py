"""What moved in a column that drifted: where its values lie, which labels it gained and lost, what is missing."""

from typing import Any

import numpy as np

from evergreen.drift.measures import align_labels, distribution_curve, shown_labels
from evergreen.drift.summaries import CategoryProfile, ColumnProfile, NumberProfile

Label = dict[str, Any]
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
LABELS = 5  # named of those gained, and of those lost
LEAST = 0.005  # share of the rows: a label that moved by less is not what moved


def describe_move(reference: ColumnProfile, current: ColumnProfile) -> dict[str, Any]:
    """From two profiles of a column, in plain types:

    - `quantiles`: of numbers, "share", "reference" and "current" value, right to about a 200th of the rows;
    - `gained`, `lost`: of categories, "label", "reference" and "current" share of those that moved most;
    - `missing`: the missing rates before and now, None for a stretch without rows.
    """
    gained, lost = _moved_labels(reference, current)
    return {
        "quantiles": _quantiles(reference, current),
        "gained": gained,
        "lost": lost,
        "missing": [_missing_rate(column) for column in (reference, current)],
    }


def _missing_rate(column: ColumnProfile) -> float | None:
    rows = column.present + column.absent
    return column.absent / rows if rows else None


def _quantiles(reference: ColumnProfile, current: ColumnProfile) -> list[dict[str, float]]:
    if not (isinstance(reference, NumberProfile) and isinstance(current, NumberProfile)):
        return []
    if not (reference.present and current.present):
        return []
    before, now = (_find_quantiles(column) for column in (reference, current))
    found = zip(SHARES, before, now, strict=True)
    return [{"share": share, "reference": low, "current": high} for share, low, high in found]


def _find_quantiles(column: NumberProfile) -> list[float]:
    values, shares = distribution_curve(column)
    return [float(value) for value in np.interp(SHARES, shares, values)]


def _moved_labels(reference: ColumnProfile, current: ColumnProfile) -> tuple[list[Label], list[Label]]:
    if not (isinstance(reference, CategoryProfile) and isinstance(current, CategoryProfile)):
        return [], []
    if not (reference.present and current.present):
        return [], []
    labels, f, g = align_labels(reference, current)
    before, now = f / f.sum(), g / g.sum()
    labels = shown_labels(reference, labels)
    change = now - before
    order = sorted(range(len(labels)), key=lambda place: (-change[place], labels[place]))
    gained = [place for place in order if change[place] >= LEAST]
    lost = [place for place in reversed(order) if change[place] <= -LEAST]
    gains, losses = (
        [{"label": labels[i], "reference": float(before[i]), "current": float(now[i])} for i in places[:LABELS]]
        for places in (gained, lost)
    )
    return gains, losses
