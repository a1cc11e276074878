"""Bad data: what a batch must not look like, told apart from drift, which is a true change of the world.

Each finding names the column, what was found, what was expected and the setting that changes it. A
blocking finding means that nothing is trained; the others are shown and left to people.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import pyarrow as pa

from evergreen.data.kinds import check_known
from evergreen.errors import DataError, UsageError
from evergreen.settings import DataSettings

if TYPE_CHECKING:
    from evergreen.data.schema import Column, Contract
    from evergreen.data.sources import Table

ALIKE = 0.7  # names this similar are taken for one column that was renamed
WORDS = re.compile(r"[^\W\d_]+|\d+")


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
        other for other in extra if _similarity(name, other) >= ALIKE and fits(table.new_types[other], column.kind)
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
    if fits(found, column.kind):
        return []
    first = next((str(value) for piece in table.arrays(column.name) for value in piece.drop_null().slice(0, 1)), "")
    expected = {"number": "numbers", "boolean": "true and false", "category": "categories"}[column.kind]
    text = (
        f"column '{column.name}' held {expected} and now holds {found} values, such as '{first}'. "
        'Mend the source, or add a word that means "no value" to data.missing.'
    )
    return [Finding(column.name, "retyped", text, str(found), column.kind, "data.missing", True)]


def fits(found: pa.DataType, kind: str) -> bool:
    """Whether values of a stored type can be what a column of the contract holds."""
    if pa.types.is_null(found) or pa.types.is_boolean(found):
        return True
    if pa.types.is_int64(found) or pa.types.is_float64(found):
        return True  # numbers as categories, or 0 and 1 as truth: the values decide
    words = pa.types.is_string(found) or pa.types.is_dictionary(found)
    return kind == "category" and words


def raise_findings(findings: Iterable[Finding], where: str) -> None:
    """Raise one `DataError` that lists all blocking findings, each with the setting that changes it."""
    blocking = [finding for finding in findings if finding.blocking]
    if blocking:
        lines = "".join(f"\n- {finding.text} ({finding.key})" for finding in blocking)
        raise DataError(f"{where}: the data can't be used; nothing was trained.{lines}")
