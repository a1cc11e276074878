"""What two profiles tell about the quality of the current rows: findings about the data, never called drift.

The checks and their limits are those of `evergreen.data.values`; here they are made without reading a row again.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from evergreen.data.facts import RangeFacts, WordFacts
from evergreen.data.quality import Finding
from evergreen.data.schema import RANGE, Column
from evergreen.data.values import (
    REPLACED,
    check_all_missing,
    check_constant,
    check_range,
    check_words,
    expect_beyond,
    judge_findings,
)
from evergreen.drift.columns import ColumnDrift
from evergreen.drift.profile import Profile
from evergreen.drift.summaries import CategoryProfile, NumberProfile, plain_edge
from evergreen.settings import DataSettings


def find_missing(columns: Sequence[ColumnDrift], settings: DataSettings) -> tuple[Finding, ...]:
    """A finding for each column whose missing rate moved surely and materially: bad data, perhaps, and drift.

    It blocks where half of the rows have lost their value. That a column has none left is told by the checks of values.
    """
    moved = (column for column in columns if column.missing_drifted and column.missing_current != 1)
    return judge_findings(map(_missing_finding, moved), settings)


def _missing_finding(column: ColumnDrift) -> Finding:
    before, now = column.missing_reference or 0.0, column.missing_current or 0.0
    text = f"column '{column.name}': {now:.1%} of the values are missing; in the reference it was {before:.1%}."
    return Finding(column.name, "missing_rate", text, now, before, "drift.min_missing", now - before >= REPLACED)


def check_profiles(
    reference: Profile, current: Profile, names: Iterable[str], settings: DataSettings
) -> tuple[Finding, ...]:
    """Findings in the values of some columns: none at all, one only, out of the known range, unseen categories."""
    findings: list[Finding] = []
    for name in names:
        before, after = reference.columns.get(name), current.columns.get(name)
        if before is None or after is None or not before.present:
            continue
        infinite = isinstance(after, NumberProfile) and after.non_finite
        if not after.present and not infinite:
            column = Column(name, before.kind, before.absent / (before.present + before.absent))
            findings += check_all_missing(column, after.absent) if after.absent else []
        elif isinstance(before, NumberProfile) and isinstance(after, NumberProfile):
            findings += _check_numbers(name, before, after, settings)
        elif isinstance(before, CategoryProfile) and isinstance(after, CategoryProfile):
            findings += _check_labels(name, before, after, settings)
    return judge_findings(findings, settings)


def _check_numbers(
    name: str, reference: NumberProfile, current: NumberProfile, settings: DataSettings
) -> list[Finding]:
    most = int(reference.counts.max())  # no value has more rows, nor stays longer, than the fullest bin has rows
    if reference.low == reference.high:
        return []  # a constant column taught no range
    first, last = known_bins(reference)
    low, high = plain_edge(reference.edges[first - 1]), plain_edge(reference.edges[last])
    column = Column(name, "number", 0.0, low, high, distinct=2, top_share=most / reference.present, longest_run=most)
    findings = []
    if current.low is not None and current.low == current.high and not current.non_finite:
        findings += check_constant(column, f"{current.low:g}", current.present)
    before, now = (_range_facts(part, first, last, column.limits) for part in (reference, current))
    column = replace(column, out_of_range_share=(before.below + before.above) / reference.present)
    outside = column.out_of_range_share + (before.near_below + before.near_above) / reference.present
    return findings + check_range(column, now, expect_beyond(reference.present, outside), settings)


def _range_facts(profile: NumberProfile, first: int, last: int, limits: tuple[float, float]) -> RangeFacts:
    """Where values lie against a known range, the bins from `first` to `last`: by the mean of each bin outside."""
    means = profile.origin + profile.sums / np.maximum(profile.counts, 1)
    low, high = (profile.counts[:first], means[:first]), (profile.counts[last + 1 :], means[last + 1 :])
    below, above = int(low[0][low[1] < limits[0]].sum()), int(high[0][high[1] > limits[1]].sum())
    return RangeFacts(
        rows=profile.present + profile.absent,
        missing=profile.missing,
        infinite=profile.non_finite,
        below=below,
        above=above + profile.non_finite,
        near_below=int(low[0].sum()) - below,
        near_above=int(high[0].sum()) - above,
        lowest=np.inf if profile.low is None else profile.low,
        highest=-np.inf if profile.high is None else profile.high,
    )


def known_bins(reference: NumberProfile) -> tuple[int, int]:
    """The first and the last bin of the known range: outside lie at most 0.05 % of the reference on either side.

    `make_bins` puts edges there; the outermost bins, open as they are, never belong to it.
    """
    shares = np.cumsum(reference.counts)[:-1] / reference.present
    first = int(np.searchsorted(shares, RANGE[0], "right"))
    last = int(np.searchsorted(shares, RANGE[1], "left"))
    return max(first, 1), min(last, len(reference.edges) - 1)


def _check_labels(
    name: str, reference: CategoryProfile, current: CategoryProfile, settings: DataSettings
) -> list[Finding]:
    counts = [count for count in reference.counts.values() if count]
    most = max(counts, default=0)
    column = Column(
        name,
        reference.kind,
        missing_share=0.0,
        out_of_range_share=reference.other / reference.present,
        categories=tuple(label for label, count in reference.counts.items() if count),
        singletons=reference.singletons,
        distinct=reference.distinct,
        top_share=most / reference.present,
        longest_run=most,  # no label stays longer than it has rows
    )
    words = Counter({label: count for label, count in current.counts.items() if count})
    facts = WordFacts(sum(words.values()), 0, words)
    return check_words(column, facts, reference.present, settings) if words else []
