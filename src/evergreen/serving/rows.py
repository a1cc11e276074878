"""From the bytes of a request to the rows a model may see, or to a list of what is wrong with them.

Nothing is guessed and nothing silently repaired: a value is what the contract says or it is refused with
its row and feature. Answers never repeat a client's values.
"""

import difflib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.data.schema import Column, Contract, conform

if TYPE_CHECKING:
    import pandas as pd

MAX_PROBLEMS = 20  # listed in one answer; more are only counted
MAX_NAME = 100  # characters of a client's feature name that are repeated to it


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a request; row and feature where it lies in one."""

    problem: str
    row: int | None = None
    feature: str | None = None


class RequestError(Exception):
    """A request that can't be answered: the HTTP status, a sentence, and where it is wrong.

    `problems` are the first ones found, of `total`; `rows` is how many rows were sent.
    """

    def __init__(
        self, status: int, detail: str, problems: tuple[Problem, ...] = (), *, total: int = 0, rows: int = 0
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.problems, self.total, self.rows = status, detail, problems, total, rows


def parse_json(body: bytes) -> Any:
    """The document in a request body, by the letter of the JSON standard.

    Python's own reader would take NaN and Infinity, and of two equal keys the last; both are refused here.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=_no_key_twice, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise RequestError(400, f"The body is not UTF-8 (byte {error.start}).") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise RequestError(400, f"The body is not JSON: {error.msg} ({where}).") from None
    except RecursionError:
        raise RequestError(400, "The body is nested too deeply.") from None
    except ValueError:  # Python reads no whole number of more than 4300 digits
        raise RequestError(400, "The body has a number with too many digits.") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RequestError(400, "The body has an object with the same key twice.")
    return found


def _refuse_constant(name: str) -> Any:
    raise RequestError(400, f"The body is not JSON: {name} is no JSON value; send null for a missing value.")


def rows_of(document: Any, max_rows: int) -> list[dict[str, Any]]:
    """The rows of a request: `{"rows": [{feature: value}, ...]}`, or `{"row": {feature: value}}` for one."""
    shape = 'Expected {"rows": [{feature: value, ...}, ...]} or {"row": {feature: value, ...}}'
    if not isinstance(document, dict) or len(document) != 1 or not document.keys() <= {"row", "rows"}:
        raise RequestError(422, f"{shape}, with nothing beside it.")
    rows = document.get("rows", [document.get("row")])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RequestError(422, f"{shape}; found something else in the place of a row.")
    if not 1 <= len(rows) <= max_rows:
        raise RequestError(422, f"Expected 1 to {max_rows:,} rows, found {len(rows):,}.", rows=len(rows))
    return rows


def features_of(rows: list[dict[str, Any]], contract: Contract) -> "pd.DataFrame":
    """The rows as the model was trained to see them, or `RequestError` 422 with all problems found."""
    import pandas as pd

    wrong = Counter[str]()  # by feature
    problems = list(_unknown_names(rows, contract, wrong))
    columns = {column.name: _read_column(column, rows, problems, wrong) for column in contract.columns}
    if problems:
        listed = sorted(problems, key=lambda each: (each.row or 0, str(each.feature)))[:MAX_PROBLEMS]
        detail = "The rows do not fit the model's contract, which is at /model."
        raise RequestError(422, detail, tuple(listed), total=wrong.total(), rows=len(rows))
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    return conform(frame, contract)


def known_besides(contract: Contract) -> tuple[str, ...]:
    """Columns of the reference that are no features: identifiers, times, the target."""
    return contract.others + ((contract.target.name,) if contract.target else ())


def _unknown_names(rows: list[dict[str, Any]], contract: Contract, wrong: Counter[str]) -> Iterator[Problem]:
    """Names that were in no column of the reference; its other columns may be sent and are passed over."""
    known = {*contract.features, *known_besides(contract)}
    for number, row in enumerate(rows):
        for name in sorted(row.keys() - known):
            wrong[""] += 1
            if wrong[""] <= MAX_PROBLEMS:
                near = difflib.get_close_matches(name[:MAX_NAME], contract.features, n=1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                yield Problem(f"the model does not know this feature{hint}", number, printable(name))


def _read_column(column: Column, rows: list[dict[str, Any]], problems: list[Problem], wrong: Counter[str]) -> list[Any]:
    """The values of one feature; what is wrong is counted, and the first of it listed."""
    read, expected = READERS[column.kind]
    values = []
    for number, row in enumerate(rows):
        try:
            value = row[column.name]
            values.append(None if value is None else read(value))
        except (KeyError, ValueError) as error:
            wrong[column.name] += 1
            if wrong[column.name] <= MAX_PROBLEMS:
                found = "is missing; " if isinstance(error, KeyError) else ""
                problems.append(Problem(f"{found}expected {expected}", number, column.name))
    return values


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    try:
        number = float(value)
    except OverflowError:
        raise ValueError from None
    if not math.isfinite(number):
        raise ValueError
    return number


def _truth(value: Any) -> bool:
    if value not in (True, False) or not isinstance(value, bool | int | float):
        raise ValueError
    return bool(value)


def _category(value: Any) -> Any:
    if isinstance(value, str):
        value.encode()  # half a surrogate pair is no text: UnicodeEncodeError is a ValueError
        return value
    return value if isinstance(value, bool) else _number(value)


READERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "number": (_number, "a finite number or null"),
    "boolean": (_truth, "true, false or null"),
    "category": (_category, "text, a number or null"),
}


def unseen_categories(features: "pd.DataFrame", contract: Contract) -> dict[str, np.ndarray]:
    """By feature, the numbers of the rows whose category the model never saw; they are answered all the same.

    A feature with more categories than its contract lists can't be judged and is left out.
    """
    found = {}
    for column in contract.columns:
        if column.kind == "category" and column.distinct == len(column.categories):
            values = features[column.name]
            rows = np.flatnonzero(~values.isin(column.categories) & values.notna())
            if rows.size:
                found[column.name] = rows
    return found


def printable(name: str) -> str:
    """A client's word, short and safe to send back."""
    return name[:MAX_NAME].encode("utf-8", "replace").decode()
