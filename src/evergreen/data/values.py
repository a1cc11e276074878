"""Bad values: what the columns of a batch must not hold, told apart from drift, which is a true change of the world.

Each check is exact or has a stated chance of a false finding, and says which setting changes the outcome. What
blocks is what growth or a new category can't explain; with `data.strict` every finding blocks.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evergreen.data.chance import is_surely_more
from evergreen.data.facts import RangeFacts, WordFacts, range_facts, word_facts
from evergreen.data.quality import Finding, fits
from evergreen.settings import DataSettings

if TYPE_CHECKING:
    from evergreen.data.schema import Column, Contract
    from evergreen.data.sources import Table, Window

SURE = 0.001  # chance of a false finding in values out of range
SURE_UNSEEN = 0.01  # the same for unknown categories
REPLACED = 0.5  # share of unknown categories, or of values lost, from which a column is another one than it was
TRUTH = ("0", "1", "false", "true", "False", "True")  # a flag may have been off for as long as one remembers
STUCK = 0.5  # a column whose most frequent value is rarer than this can't become constant by chance


def check_values(
    table: "Table", contract: "Contract", settings: DataSettings, window: "Window | None" = None
) -> tuple[Finding, ...]:
    """Findings in the values of a batch, read in one pass over each column; absent columns are passed over.

    What is wrong with a column of `data.exclude` is told but blocks nothing: the next model does without it.
    """
    findings: list[Finding] = []
    for column in contract.columns:
        if column.name not in table.new_types or not fits(table.types[column.name], column.kind):
            continue  # a finding of `check_table`
        chunks = table.arrays(column.name, window)
        if column.kind == "number":
            numbers = range_facts(chunks, column.known, column.limits)
            if not numbers.rows:
                return (_empty(table, window),)
            findings += _check_numbers(column, numbers, contract, settings)
        else:
            words = word_facts(chunks)
            if not words.rows:
                return (_empty(table, window),)
            findings += check_words(column, words, _learned_rows(column, contract), settings)
    findings += _check_target(table, contract, settings, window)
    return judge_findings(findings, settings)


def judge_findings(findings: Iterable[Finding], settings: DataSettings) -> tuple[Finding, ...]:
    """Which findings block after all: with `data.strict` every one, of columns in `data.exclude` none."""
    return tuple(
        replace(each, blocking=(each.blocking or settings.strict) and each.column not in settings.exclude)
        for each in findings
    )


def _learned_rows(column: "Column", contract: "Contract") -> float:
    """Rows of the reference with a value in a column."""
    return contract.rows * (1 - column.missing_share)


def _is_number(found: pa.DataType) -> bool:
    return bool(pa.types.is_int64(found) or pa.types.is_float64(found) or pa.types.is_boolean(found))


def _empty(table: "Table", window: "Window | None") -> Finding:
    where = f" between {window.start} and {window.stop}" if window else ""
    return Finding("", "empty", f"{table.name}: no rows{where}.", 0.0, 1.0, "data.current_window", True)


def _check_numbers(column: "Column", facts: RangeFacts, contract: "Contract", settings: DataSettings) -> list[Finding]:
    present = facts.rows - facts.missing
    if not present:
        return check_all_missing(column, facts.rows)
    findings = []
    if facts.lowest == facts.highest and not facts.infinite:
        findings += check_constant(column, f"{facts.lowest:g}", present)
    return findings + check_range(column, facts, expect_beyond(_learned_rows(column, contract)), settings)


def check_range(column: "Column", facts: RangeFacts, usual: float, settings: DataSettings) -> list[Finding]:
    """One finding at most: what leapt away blocks, what merely lies outside the known range is told.

    `usual` is the share of values outside it that is no news.
    """
    present = facts.rows - facts.missing
    outside = _count_jumps(facts) if column.distinct > 1 else facts.infinite  # a constant column taught no range
    expected = max(SURE, column.out_of_range_share)
    if not is_surely_more(outside, present, expected, SURE, settings.max_out_of_range):
        beyond = facts.below + facts.near_below + facts.above + facts.near_above if column.distinct > 1 else 0
        return _check_beyond(column, facts, beyond, usual, settings)
    return [_out_of_range(column, facts, outside / present, settings)]


def expect_beyond(learned: float, usual: float = 0.0) -> float:
    """The share of values to expect outside the known range: 0.1 %, or the reference's own, and what it leaves open.

    Where few rows say where 0.05 and 99.95 % lie, more lies beyond: with n rows and k = n/1000 + 2 a share that is
    gamma distributed with mean k/n, of which the 99.9 % quantile counts (to 2 %; David & Nagaraja 2003, 2.3).

    >>> [round(expect_beyond(rows), 4) for rows in (100, 2000, 1_000_000)]
    [0.0959, 0.0066, 0.0011]
    """
    outside = learned / 1000 + 2
    return max(usual, (outside + 3.1 * outside**0.5 + 3) / max(learned, 1.0))


def _check_beyond(
    column: "Column", facts: RangeFacts, beyond: int, expected: float, settings: DataSettings
) -> list[Finding]:
    """A finding when surely more values lie outside the range that 99.9 % of the reference keep to."""
    rows = facts.rows - facts.missing
    if not is_surely_more(beyond, rows, expected, SURE, settings.max_out_of_range):
        return []
    (low, high), share = column.known, beyond / rows
    example = facts.highest if facts.highest > high else facts.lowest
    text = (
        f"column '{column.name}': {share:.1%} of the values are outside the known range of {low:.6g} to {high:.6g}, "
        f"such as {example:.6g}; at most {expected:.1%} were to be expected."
    )
    return [
        Finding(column.name, "out_of_range", text, share, settings.max_out_of_range, "data.max_out_of_range", False)
    ]


def _count_jumps(facts: RangeFacts) -> int:
    """Values that jumped beyond the limits of a column, infinite ones included.

    A side counts only when more values lie beyond the limit than between it and the known range: a
    quantity that grows fills the space between on its way, a changed unit or a sentinel leaps over it.
    """
    below = facts.below if facts.below > facts.near_below else 0
    above = facts.above if facts.above > facts.near_above else 0
    return max(below + above, facts.infinite)


def _out_of_range(column: "Column", facts: RangeFacts, share: float, settings: DataSettings) -> Finding:
    low, high = column.limits
    example = next((end for end in (facts.lowest, facts.highest) if not low <= end <= high), np.inf)
    text = (
        f"column '{column.name}': {share:.1%} of the values are far outside everything known, such as {example:g}; "
        f'expected {column.low:g} to {column.high:g}. A changed unit, or a number that stands for "missing"?'
    )
    return Finding(column.name, "out_of_range", text, share, settings.max_out_of_range, "data.max_out_of_range", True)


def check_all_missing(column: "Column", rows: int) -> list[Finding]:
    """No value at all, where that is no chance."""
    if column.missing_share**rows >= SURE:
        return []
    text = f"column '{column.name}' has no values at all; in the reference {1 - column.missing_share:.0%} were there."
    return [Finding(column.name, "all_missing", text, 1.0, column.missing_share, "data.exclude", True)]


def check_constant(column: "Column", value: str, rows: int) -> list[Finding]:
    """One value only, where that is no chance: a stuck sensor blocks, a rare flag that stays off is only told.

    The first row may have any value; the chance that all others have the same is at most `top_share` to their number.
    What stays for long in the reference too (a season, a tariff) is told, and blocks beyond twice its longest stay.
    """
    if column.distinct == 1 or column.top_share ** (rows - 1) >= SURE:
        return []
    most = f"no value had more than {column.top_share:.0%} of the rows"
    text = f"column '{column.name}' is always {value}; in the reference {most}."
    stuck = column.top_share < STUCK and rows > 2 * column.longest_run
    return [Finding(column.name, "constant", text, value, None, "data.exclude", stuck)]


def check_words(column: "Column", facts: WordFacts, learned: float, settings: DataSettings) -> list[Finding]:
    """Findings in the labels of a column, of which the reference had `learned` rows."""
    present = facts.rows - facts.missing
    if not present:
        return check_all_missing(column, facts.rows)
    findings = []
    if len(facts.counts) == 1:
        findings += check_constant(column, f"'{next(iter(facts.counts))}'", present)
    if unseen := _check_unseen(column, facts, learned, settings):
        findings.append(unseen)
    return findings


def _check_unseen(column: "Column", facts: WordFacts, learned: float, settings: DataSettings) -> Finding | None:
    """New categories beyond those that a sample of the reference's size must be expected to have missed.

    Good and Turing: the share of values never seen among m is about (singletons + 1) / m, with a
    standard error of its root; two of those are allowed for.
    """
    known = {*column.categories, *(TRUTH if column.kind == "boolean" else ())}
    unseen = {word: count for word, count in facts.counts.items() if word not in known}
    present = facts.rows - facts.missing
    once = column.singletons + 1
    expected = column.out_of_range_share + (once + 2 * once**0.5) / max(learned, 1.0)
    count = sum(unseen.values())
    impossible = column.kind == "boolean" and count > 0
    limit = settings.max_unseen + column.out_of_range_share
    if not impossible and not is_surely_more(count, present, expected, SURE_UNSEEN, limit):
        return None
    examples = ", ".join(repr(word) for word in sorted(unseen, key=lambda word: (-unseen[word], word))[:3])
    text = f"column '{column.name}': {count / present:.1%} of the values are unknown, such as {examples}."
    blocking = impossible or count / present >= max(REPLACED, settings.max_unseen)
    return Finding(
        column.name, "unseen_categories", text, count / present, settings.max_unseen, "data.max_unseen", blocking
    )


def _check_target(
    table: "Table", contract: "Contract", settings: DataSettings, window: "Window | None"
) -> list[Finding]:
    """Labels that can't be labels of this model: no numbers, infinite or far outside, or mostly unknown classes.

    A new class is a real thing: below half of the labels it is told and blocks nothing.
    """
    target = contract.target
    if target is None or target.name not in table.types or pa.types.is_null(table.types[target.name]):
        return []
    if contract.task == "classification":
        return _check_classes(target, word_facts(table.arrays(target.name, window)), contract)
    if not _is_number(table.types[target.name]):
        text = f"target '{target.name}' held numbers and now holds {table.types[target.name]} values."
        return [
            Finding(
                target.name, "impossible_target", text, str(table.types[target.name]), "number", "data.target", True
            )
        ]
    facts = range_facts(table.arrays(target.name, window), target.known, target.limits)
    if facts.infinite:
        text = f"target '{target.name}' has {facts.infinite} infinite values; expected numbers."
        return [Finding(target.name, "impossible_target", text, float(facts.infinite), 0.0, "data.target", True)]
    return check_range(target, facts, expect_beyond(_learned_rows(target, contract)), settings)


def _check_classes(target: "Column", facts: WordFacts, contract: "Contract") -> list[Finding]:
    unknown = {word: count for word, count in facts.counts.items() if word not in contract.classes}
    if not unknown:
        return []
    share = sum(unknown.values()) / (facts.rows - facts.missing)
    examples = ", ".join(repr(word) for word in sorted(unknown)[:3])
    known = ", ".join(repr(word) for word in contract.classes[:10])
    text = f"target '{target.name}': {share:.1%} of the labels are classes never seen: {examples}. Known: {known}."
    return [Finding(target.name, "impossible_target", text, share, REPLACED, "data.target", share >= REPLACED)]
