"""Bad data: what a batch must not look like, told apart from drift, which is a true change of the world.

Each finding names the column, what was found, what was expected and the setting that changes it. A
blocking finding means that nothing is trained; the others are shown and left to people.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evergreen.data.facts import RangeFacts, WordFacts, range_facts, word_facts
from evergreen.data.kinds import check_known
from evergreen.errors import DataError, UsageError
from evergreen.settings import DataSettings

if TYPE_CHECKING:
    from evergreen.data.schema import Column, Contract
    from evergreen.data.sources import Table, Window

ALIKE = 0.7  # names this similar are taken for one column that was renamed
SURE = 0.001  # chance of a false finding in values out of range
SURE_UNSEEN = 0.01  # the same for unknown categories
REPLACED = 0.5  # share of unknown categories from which a column is another column, not a richer one
WORDS = re.compile(r"[^\W\d_]+|\d+")
STUCK = 0.5  # a column whose most frequent value is rarer than this can't become constant by chance


@dataclass(frozen=True)
class Finding:
    """Something wrong with a column (or, with an empty name, with the table).

    `finding` is the machine's word for it, `text` the sentence for people, `value` what was found and
    `limit` what is allowed, `key` the setting that changes the outcome.
    """

    column: str
    finding: str
    text: str
    value: float | str | None
    limit: float | str | None
    key: str
    blocking: bool


def check_table(table: "Table", contract: "Contract", settings: DataSettings) -> tuple[Finding, ...]:
    """Findings in names and types alone: missing, renamed, extra and retyped columns. Cheap: reads no rows."""
    known = {*contract.features, *contract.others, contract.time, *([contract.target.name] if contract.target else [])}
    extra = [name for name in table.new_types if name not in known]
    findings = []
    for column in contract.columns:
        if column.name in table.new_types:
            findings += _check_type(table, column)
        else:
            findings.append(_absent(column, extra, table))
    taken = {str(finding.value) for finding in findings if finding.finding == "renamed"}
    findings += [_extra(name, settings) for name in extra if name not in taken]
    return tuple(findings)


def check_times(table: "Table") -> tuple[Finding, ...]:
    """A finding when rows have no time: where they belong, nobody can tell. Reads the time column alone."""
    missing = sum(piece.null_count for piece in table.arrays(table.time)) if table.time else 0
    if not missing:
        return ()
    text = f"{missing:,} rows have no '{table.time}'; every row needs a time. Fill it in, or drop these rows."
    return (Finding(table.time, "missing_times", text, float(missing), 0.0, "data.time", True),)


def check_target(table: "Table", settings: DataSettings, known: "Contract | None" = None) -> None:
    """Raise `UsageError` when the table lacks the target, or the live model (`known`) predicts another one."""
    predicted = known.target.name if known and known.target else ""
    if predicted and settings.target != predicted:
        says = f"says '{settings.target}'" if settings.target else "is not set"
        raise UsageError(
            f"The live model predicts '{predicted}', data.target {says}; nothing was trained or changed. "
            "Set it back, or use another registry.folder for another target."
        )
    if settings.target:
        check_known((settings.target,), table, "data.target")


def can_answer(table: "Table", contract: "Contract", settings: DataSettings) -> bool:
    """Whether a table has all the columns that a model wants, whatever else it has."""
    more_allowed = settings.model_copy(update={"allow_extra_columns": True})
    return not any(finding.blocking for finding in check_table(table, contract, more_allowed))


def _absent(column: "Column", extra: Sequence[str], table: "Table") -> Finding:
    name = column.name
    alike = [
        other for other in extra if _similarity(name, other) >= ALIKE and _fits(table.new_types[other], column.kind)
    ]
    if alike:
        closest = max(alike, key=lambda other: _similarity(name, other))
        text = f"column '{name}' is missing, and '{closest}' is new: it was probably renamed. Give it its old name."
        return Finding(name, "renamed", text, closest, name, "data.source", True)
    found = ", ".join(table.new_types)
    text = (
        f"column '{name}' is missing; the model learned from it. Found: {found}. "
        "Bring it back, or train a model that does without it: python src/continuous_training.py --force"
    )
    return Finding(name, "missing_column", text, None, name, "data.source", True)


def _similarity(one: str, other: str) -> float:
    """From 0 to 1: 1 when all words of one name are in the other; 0 when they differ in their numbers (f1, f10)."""
    words = [WORDS.findall(re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name).lower()) for name in (one, other)]
    if not all(words):
        return 0.0
    digits = [[word for word in name if word.isdigit()] for name in words]
    if digits[0] and digits[1] and digits[0] != digits[1]:
        return 0.0
    if set(words[0]) <= set(words[1]) or set(words[1]) <= set(words[0]):
        return 1.0
    return SequenceMatcher(None, "".join(words[0]), "".join(words[1])).ratio()


def _extra(name: str, settings: DataSettings) -> Finding:
    text = f"column '{name}' is new; the model does not use it."
    return Finding(name, "extra_column", text, name, None, "data.allow_extra_columns", not settings.allow_extra_columns)


def _check_type(table: "Table", column: "Column") -> list[Finding]:
    found = table.types[column.name]
    if _fits(found, column.kind):
        return []
    first = next((str(value) for piece in table.arrays(column.name) for value in piece.drop_null().slice(0, 1)), "")
    expected = {"number": "numbers", "boolean": "true and false", "category": "categories"}[column.kind]
    text = (
        f"column '{column.name}' held {expected} and now holds {found} values, such as '{first}'. "
        'Mend the source, or add a word that means "no value" to data.missing.'
    )
    return [Finding(column.name, "retyped", text, str(found), column.kind, "data.missing", True)]


def _fits(found: pa.DataType, kind: str) -> bool:
    if pa.types.is_null(found) or pa.types.is_boolean(found):
        return True
    if pa.types.is_int64(found) or pa.types.is_float64(found):
        return True  # numbers as categories, or 0 and 1 as truth: the values decide
    words = pa.types.is_string(found) or pa.types.is_dictionary(found)
    return kind == "category" and words


def check_values(
    table: "Table", contract: "Contract", settings: DataSettings, window: "Window | None" = None
) -> tuple[Finding, ...]:
    """Findings in the values of a batch, read in one pass over each column; absent columns are passed over.

    What is wrong with a column of `data.exclude` is told but blocks nothing: the next model does without it.
    """
    findings: list[Finding] = []
    for column in contract.columns:
        if column.name not in table.new_types or not _fits(table.types[column.name], column.kind):
            continue  # a finding of `check_table`
        chunks = table.arrays(column.name, window)
        if column.kind == "number":
            numbers = range_facts(chunks, column.known, column.limits)
            if not numbers.rows:
                return (_empty(table, window),)
            findings += _check_numbers(column, numbers, settings)
        else:
            words = word_facts(chunks)
            if not words.rows:
                return (_empty(table, window),)
            findings += _check_words(column, words, contract, settings)
    findings += _check_target(table, contract, settings, window)
    return tuple(replace(each, blocking=each.blocking and each.column not in settings.exclude) for each in findings)


def _is_number(found: pa.DataType) -> bool:
    return bool(pa.types.is_int64(found) or pa.types.is_float64(found) or pa.types.is_boolean(found))


def _empty(table: "Table", window: "Window | None") -> Finding:
    where = f" between {window.start} and {window.stop}" if window else ""
    return Finding("", "empty", f"{table.name}: no rows{where}.", 0.0, 1.0, "data.current_window", True)


def _check_numbers(column: "Column", facts: RangeFacts, settings: DataSettings) -> list[Finding]:
    present = facts.rows - facts.missing
    if not present:
        return _all_missing(column, facts.rows)
    findings = []
    if facts.lowest == facts.highest and not facts.infinite:
        findings += _constant(column, f"{facts.lowest:g}", present)
    return findings + _check_range(column, facts, settings)


def _check_range(column: "Column", facts: RangeFacts, settings: DataSettings) -> list[Finding]:
    present = facts.rows - facts.missing
    outside = _count_jumps(facts) if column.distinct > 1 else facts.infinite  # a constant column taught no range
    expected = max(SURE, column.out_of_range_share)
    if not _is_surely_more(outside, present, expected, SURE, settings.max_out_of_range):
        return []
    return [_out_of_range(column, facts, outside / present, settings)]


def _count_jumps(facts: RangeFacts) -> int:
    """Values that jumped beyond the limits of a column, infinite ones included.

    A side counts only when more values lie beyond the limit than between it and the known range: a
    quantity that grows fills the space between on its way, a changed unit or a sentinel leaps over it.
    """
    below = facts.below if facts.below > facts.near_below else 0
    above = facts.above if facts.above > facts.near_above else 0
    return max(below + above, facts.infinite)


def _is_surely_more(count: int, rows: int, expected: float, level: float, limit: float) -> bool:
    """Whether a share reaches its limit and is not a chance result where `expected` is the true share."""
    from scipy.special import bdtrc

    return count > 0 and count / rows >= limit and float(bdtrc(count - 1, rows, min(expected, 1.0))) < level


def _out_of_range(column: "Column", facts: RangeFacts, share: float, settings: DataSettings) -> Finding:
    low, high = column.limits
    example = next((end for end in (facts.lowest, facts.highest) if not low <= end <= high), np.inf)
    text = (
        f"column '{column.name}': {share:.1%} of the values are far outside everything known, such as {example:g}; "
        f'expected {column.low:g} to {column.high:g}. A changed unit, or a number that stands for "missing"?'
    )
    return Finding(column.name, "out_of_range", text, share, settings.max_out_of_range, "data.max_out_of_range", True)


def _all_missing(column: "Column", rows: int) -> list[Finding]:
    if column.missing_share**rows >= SURE:
        return []
    text = f"column '{column.name}' has no values at all; in the reference {1 - column.missing_share:.0%} were there."
    return [Finding(column.name, "all_missing", text, 1.0, column.missing_share, "data.exclude", True)]


def _constant(column: "Column", value: str, rows: int) -> list[Finding]:
    """One value only, where that is no chance: a stuck sensor blocks, a rare flag that stays off is only told.

    The first row may have any value; the chance that all others have the same is at most `top_share` to their number.
    """
    if column.distinct == 1 or column.top_share ** (rows - 1) >= SURE:
        return []
    text = f"column '{column.name}' is always {value}; the reference had {column.distinct} different values."
    return [Finding(column.name, "constant", text, value, None, "data.exclude", column.top_share < STUCK)]


def _check_words(column: "Column", facts: WordFacts, contract: "Contract", settings: DataSettings) -> list[Finding]:
    present = facts.rows - facts.missing
    if not present:
        return _all_missing(column, facts.rows)
    findings = []
    if len(facts.counts) == 1:
        findings += _constant(column, f"'{next(iter(facts.counts))}'", present)
    if unseen := _check_unseen(column, facts, contract, settings):
        findings.append(unseen)
    return findings


def _check_unseen(column: "Column", facts: WordFacts, contract: "Contract", settings: DataSettings) -> Finding | None:
    """New categories beyond those that a sample of the reference's size must be expected to have missed.

    Good and Turing: the share of values never seen among m is about (singletons + 1) / m, with a
    standard error of its root; two of those are allowed for.
    """
    known = set(column.categories)
    unseen = {word: count for word, count in facts.counts.items() if word not in known}
    present, learned = facts.rows - facts.missing, contract.rows * (1 - column.missing_share)
    once = column.singletons + 1
    expected = column.out_of_range_share + (once + 2 * once**0.5) / max(learned, 1.0)
    count = sum(unseen.values())
    impossible = column.kind == "boolean" and count > 0
    limit = settings.max_unseen + column.out_of_range_share
    if not impossible and not _is_surely_more(count, present, expected, SURE_UNSEEN, limit):
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
    return _check_range(target, facts, settings)


def _check_classes(target: "Column", facts: WordFacts, contract: "Contract") -> list[Finding]:
    unknown = {word: count for word, count in facts.counts.items() if word not in contract.classes}
    if not unknown:
        return []
    share = sum(unknown.values()) / (facts.rows - facts.missing)
    examples = ", ".join(repr(word) for word in sorted(unknown)[:3])
    known = ", ".join(repr(word) for word in contract.classes[:10])
    text = f"target '{target.name}': {share:.1%} of the labels are classes never seen: {examples}. Known: {known}."
    return [Finding(target.name, "impossible_target", text, share, REPLACED, "data.target", share >= REPLACED)]


def raise_findings(findings: Iterable[Finding], where: str) -> None:
    """Raise one `DataError` that lists all blocking findings, each with the setting that changes it."""
    blocking = [finding for finding in findings if finding.blocking]
    if blocking:
        lines = "".join(f"\n- {finding.text} ({finding.key})" for finding in blocking)
        raise DataError(f"{where}: the data can't be used; nothing was trained.{lines}")
