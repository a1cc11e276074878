"""The contract of the features: what a model may expect of every table it will ever be shown.

Inferred once from the reference, kept in the model's card, and checked on every batch (`quality`).
`conform` is the one conversion to what a model sees: training, comparison and serving share it.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evergreen.data.facts import NumberFacts, WordFacts, number_facts, word_facts
from evergreen.data.kinds import check_known, infer_kinds
from evergreen.data.labels import label_text
from evergreen.errors import DataError
from evergreen.settings import DataSettings

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.data.sources import Table, Window

logger = logging.getLogger(__name__)

MAX_CATEGORIES = 1000
MAX_CLASSES = 20  # a whole-number target with more values is a quantity, not a class
RANGE = (0.0005, 0.9995)  # quantiles that the known range of a number runs between
FEATURE_KINDS = ("number", "category", "boolean")


@dataclass(frozen=True)
class Column:
    """One column of the contract, as the reference had it.

    `low` and `high` are the 0.05 % and 99.95 % quantiles of a number. `categories` are the known
    values of a category as text, at most 1000, the most frequent first. `out_of_range_share` is the
    reference's own share of present values that a check would call out of range or unknown.
    `singletons` and `distinct` count the values that came once, and all values. `top_share` is the
    share of the value that came most often, `longest_run` the most rows in a row with one value, as the table
    stands. `integers`: all present numbers are whole.
    """

    name: str
    kind: str
    missing_share: float
    low: float | None = None
    high: float | None = None
    out_of_range_share: float = 0.0
    categories: tuple[str, ...] = ()
    singletons: int = 0
    distinct: int = 0
    integers: bool = False
    top_share: float = 0.0
    longest_run: int = 0

    @property
    def known(self) -> tuple[float, float]:
        """The known range of a number; without end where nothing is known."""
        return (-math.inf, math.inf) if self.low is None or self.high is None else (self.low, self.high)

    @property
    def limits(self) -> tuple[float, float]:
        """Beyond these a number is called out of range: a whole width of the known range away from it.

        So a price that rises step by step never leaves them unnoticed by the drift report first,
        and a unit error (grams for kilograms) or a sentinel (-999) does at once.
        """
        low, high = self.known
        width = high - low or max(abs(high), 1.0)
        return low - width, high + width


@dataclass(frozen=True)
class Contract:
    """The features in file order, the target, and what else the reference had.

    `classes` are the known labels as text, sorted (classification). `label_type` says what type
    labels had in the reference: "text", "integer", "number" or "boolean". `others` are columns that
    are no features: identifiers, times, free text and what the user excludes.
    """

    columns: tuple[Column, ...]
    target: Column | None
    task: str | None
    classes: tuple[str, ...]
    label_type: str
    time: str
    rows: int
    others: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features, in order."""
        return tuple(column.name for column in self.columns)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` reads it back."""
        return asdict(self)

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> "Contract":
        """The contract that `to_dict` wrote."""
        target = document["target"]
        changed = {
            "columns": tuple(_column_from(column) for column in document["columns"]),
            "target": _column_from(target) if target else None,
            "classes": tuple(document["classes"]),
            "others": tuple(document["others"]),
        }
        return Contract(**{**document, **changed})


def _column_from(document: Mapping[str, Any]) -> Column:
    return Column(**{**document, "categories": tuple(document["categories"])})


def infer_contract(table: "Table", settings: DataSettings, window: "Window | None" = None) -> Contract:
    """The contract that a stretch of a table fulfils, read in one pass over each column.

    Raises `UsageError` for settings that name columns which are not there, `DataError` when no
    feature is left or the target can't be learned.
    """
    check_known(settings.identifiers, table, "data.identifiers")
    _tell_absent(settings.exclude, table)
    check_known((settings.target,) if settings.target else (), table, "data.target")
    kinds = infer_kinds(table, settings.kinds)
    kept_out = {settings.target, table.time, *settings.identifiers, *settings.exclude}
    columns = [
        describe_column(table, name, kind, window)
        for name, kind in kinds.items()
        if name not in kept_out and kind in FEATURE_KINDS
    ]
    features = tuple(column for column in columns if column.distinct)
    if not features:
        listed = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
        raise DataError(f"{table.name}: no column to learn from among {listed}. Set data.kinds where a kind is wrong.")
    names = {settings.target, *(column.name for column in features)}
    rows = sum(len(piece) for piece in table.arrays(features[0].name, window))
    contract = Contract(features, None, None, (), "", table.time, rows, tuple(n for n in table.types if n not in names))
    if not settings.target:
        return contract
    target = describe_target(table, settings, window)
    task = settings.task if settings.task != "auto" else _guess_task(target)
    if task == "regression" and target.kind != "number":
        raise DataError(
            f"{table.name}: the target '{target.name}' holds {target.kind} values, data.task is regression."
        )
    classes = tuple(sorted(target.categories)) if task == "classification" else ()
    if task == "classification" and target.distinct > len(classes):
        raise DataError(
            f"{table.name}: the target '{target.name}' has {target.distinct} classes; at most {MAX_CATEGORIES}."
        )
    return replace(contract, target=target, task=task, classes=classes, label_type=_label_type(target, table))


def _tell_absent(excluded: tuple[str, ...], table: "Table") -> None:
    """A column to leave out may be gone already; a name that nobody ever wrote is worth a warning."""
    for name in excluded:
        if name not in table.types:
            close = get_close_matches(name, list(table.types), n=1)
            hint = f"; did you mean '{close[0]}'?" if close else "."
            logger.warning("%s: data.exclude names the column '%s', which is not there%s", table.name, name, hint)


def describe_column(table: "Table", name: str, kind: str, window: "Window | None" = None) -> Column:
    """What the values of one column are like, read in one pass."""
    chunks = table.arrays(name, window)
    if kind == "number":
        return _describe_number(name, number_facts(chunks, table.rows))
    return _describe_words(name, kind, word_facts(chunks))


def _describe_number(name: str, facts: NumberFacts) -> Column:
    column = Column(
        name,
        "number",
        missing_share=facts.missing / max(facts.rows, 1),
        distinct=facts.distinct,
        integers=facts.whole and facts.distinct > 0,
        top_share=facts.top_share,
        longest_run=facts.longest_run,
    )
    if not facts.distinct:
        return column
    low, high = (float(value) for value in np.quantile(facts.sample, RANGE))
    if low == high:  # nearly all values are the same: the rare others are known as well
        low, high = float(facts.sample[0]), float(facts.sample[-1])
    column = replace(column, low=low, high=high)
    return replace(column, out_of_range_share=_share_outside(facts.sample, column.limits))


def _share_outside(sample: np.ndarray, limits: tuple[float, float]) -> float:
    return float(np.mean((sample < limits[0]) | (sample > limits[1])))


def _describe_words(name: str, kind: str, facts: WordFacts) -> Column:
    counts = sorted(facts.counts.items(), key=lambda item: (-item[1], item[0]))
    known = counts[:MAX_CATEGORIES]
    present = facts.rows - facts.missing
    return Column(
        name,
        kind,
        missing_share=facts.missing / max(facts.rows, 1),
        out_of_range_share=1 - sum(count for _, count in known) / present if present else 0.0,
        categories=tuple(word for word, _ in known),
        singletons=sum(count == 1 for _, count in counts),
        distinct=len(counts),
        top_share=known[0][1] / present if present else 0.0,
        longest_run=facts.longest_run,
    )


def describe_target(table: "Table", settings: DataSettings, window: "Window | None" = None) -> Column:
    """The target: as a number where it can be one and is none of a few classes, else by its labels."""
    name = settings.target
    found = table.types[name]
    numeric = pa.types.is_int64(found) or pa.types.is_float64(found)
    if numeric and settings.task != "classification":
        facts = number_facts(table.arrays(name, window), table.rows)
        if settings.task == "regression" or not facts.whole or facts.distinct > MAX_CLASSES:
            return _describe_number(name, facts)
    kind = "boolean" if pa.types.is_boolean(found) else "category"
    column = _describe_words(name, kind, word_facts(table.arrays(name, window)))
    if not column.distinct:
        raise DataError(f"{table.name}: the target '{name}' has no labels at all.")
    return column


def _guess_task(target: Column) -> str:
    return "regression" if target.kind == "number" else "classification"


def _label_type(target: Column, table: "Table") -> str:
    found = table.types[target.name]
    if pa.types.is_boolean(found):
        return "boolean"
    if not (pa.types.is_int64(found) or pa.types.is_float64(found)):
        return "text"
    whole = target.integers or all(float(word).is_integer() for word in target.categories)
    return "integer" if whole and (target.kind == "category" or target.integers) else "number"


def conform(frame: "pd.DataFrame", contract: Contract) -> "pd.DataFrame":
    """What a model sees of a table: the features in contract order, each in its one type.

    Numbers and booleans become float64 (true is 1.0) with NaN for missing and infinite values;
    categories become text in object columns, spelled as `labels.spell_label` does, with NaN for
    missing. Times, text and columns that the contract does not know are dropped. The frame
    itself is left alone. Raises `DataError` for missing columns and values that are no numbers.
    """
    import pandas as pd

    absent = [name for name in contract.features if name not in frame.columns]
    if absent:
        raise DataError(f"column {', '.join(map(repr, absent))} is missing; the model learned from it.")
    columns = {column.name: _conform_column(frame[column.name], column) for column in contract.columns}
    kept = {name: pd.Series(values, frame.index, values.dtype, copy=False) for name, values in columns.items()}
    return pd.DataFrame(kept, index=frame.index, copy=False)


def _conform_column(values: "pd.Series[Any]", column: Column) -> np.ndarray:
    if column.kind == "category":
        words = label_text(values)
        words[words == None] = np.nan  # noqa: E711 - element by element
        return words
    if column.kind == "boolean":
        return _truth_values(label_text(values), column.name)
    return _numbers(values, column.name)


def _truth_values(words: np.ndarray, name: str) -> np.ndarray:
    known = {"1": 1.0, "0": 0.0, "true": 1.0, "false": 0.0, None: np.nan}
    odd = [word for word in set(words) if str(word).lower() not in known and word is not None]
    if odd:
        raise DataError(f"column '{name}': expected true or false, found {odd[0]!r}.")
    return np.array([known[word.lower() if word else None] for word in words], np.float64)


def _numbers(values: "pd.Series[Any]", name: str) -> np.ndarray:
    import pandas as pd

    try:
        numbers = pd.to_numeric(values).to_numpy(np.float64, na_value=np.nan, copy=True)
    except (ValueError, TypeError) as error:
        raise DataError(f"column '{name}': expected numbers, found {_first_odd(values)!r}.") from error
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _first_odd(values: "pd.Series[Any]") -> Any:
    import pandas as pd

    odd = values[pd.to_numeric(values, errors="coerce").isna() & values.notna()]
    return odd.iloc[0] if len(odd) else values.iloc[0]
