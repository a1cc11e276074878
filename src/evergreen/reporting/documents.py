"""The one result of a run as a plain document: made strict, made safe to show, written as files.

Text, Markdown, HTML, alerts and exit codes are all functions of this document, so they can't disagree.
"""

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any

FORMAT = 1
MAX_TEXT = 600  # one value from a table may be megabytes; a report needs enough of it to be recognised
COLUMN_KEYS = (
    *("name", "kind", "status", "reason", "statistic", "effect", "threshold", "p_value", "p_adjusted"),
    *("missing_reference", "missing_current", "equivalent_shift", "smallest_shift", "importance", "distribution"),
    *("p_calibrated", "usual", "moved", "since"),
)
PERFORMANCE_KEYS = (
    *("metric", "baseline", "current", "interval", "drop", "drop_interval", "verdict", "reasons", "labelled_rows"),
    *("labels_needed", "coverage", "floor", "blocks", "scores", "leak", "slices", "reweighted"),
)
COMPARISON_KEYS = (
    *("metric", "champion", "challenger", "gain", "interval", "p_value", "winner", "forced", "reasons", "rows"),
    *("leaked_rows", "slices", "scores"),
)
NUMBER = r"[-+]?\d[\d_,. ]*([eE][-+]?\d+)?%?"
NUMBERS = re.compile(rf"{NUMBER}( to {NUMBER})?")  # or a range of them, as slices are called


def to_json(document: Mapping[str, Any], *, indent: int | None = 2) -> str:
    """The document as strict JSON, in plain ASCII, so that no terminal, pipe or parser can misread it.

    Numbers JSON doesn't know (NaN, infinities) become null, times become ISO 8601 text, NumPy values plain ones.

    >>> to_json({"effect": float("nan"), "name": "größe"}, indent=None)
    '{"effect": null, "name": "gr\\\\u00f6\\\\u00dfe"}'
    """
    return json.dumps(jsonable(document), allow_nan=False, indent=indent)


def jsonable(value: Any) -> Any:
    """The value made of dicts with text keys, lists, text, finite numbers, booleans and None only."""
    if value is None or isinstance(value, bool):
        return value
    if type(value) is float:  # most values of a document; asking whether it is a mapping takes longer than the rest
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(jsonable(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((jsonable(item) for item in value), key=str)
    return _from_scalar(value)


def _from_scalar(value: Any) -> Any:
    """One value; those of other libraries are recognised by what they offer, so that none has to be imported."""
    if isinstance(value, Enum):
        return jsonable(value.value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # a lone surrogate is no text in any encoding
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    return _from_object(value)


def _from_object(value: Any) -> Any:
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):  # NumPy arrays and scalars; datetime64 would become a bare count of nanoseconds
        return jsonable(value.tolist() if value.dtype.kind not in "mM" else value.astype("datetime64[us]").tolist())
    raise TypeError(f"a {type(value).__name__} can't stand in a result: {value!r}")


def as_run_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """A run document, whatever was given: one already, or the drift object alone, which gets wrapped.

    >>> sorted(as_run_document({"format": 1, "verdict": "no_drift", "columns": []}))
    ['drift', 'format']
    """
    if "verdict" in document and "drift" not in document:
        return {"format": FORMAT, "drift": dict(document)}
    return dict(document)


def showable(document: Mapping[str, Any]) -> dict[str, Any]:
    """The run document with every text in it safe to show and every part whole; what all renderers start from."""
    strict = jsonable(as_run_document(document))
    shown: dict[str, Any] = _shown(strict)
    if failure := shown.get("failure"):  # our own messages may list several problems, one a line
        failure["lines"] = [plain(line) for line in strict["failure"]["message"].splitlines() if line.strip()]
        failure["message"] = " ".join(failure["lines"])
    if drift := shown.get("drift"):
        for part in (drift, drift.get("predictions"), drift.get("target")):
            if part:
                part["columns"] = [_whole(column, COLUMN_KEYS) for column in part.get("columns") or []]
        drift["performance"] = _whole(drift.get("performance"), PERFORMANCE_KEYS)
    shown["comparison"] = _whole(shown.get("comparison"), COMPARISON_KEYS)
    return shown


def _whole(part: dict[str, Any] | None, keys: Sequence[str]) -> dict[str, Any] | None:
    """The part with null for every optional key that it leaves out."""
    return dict.fromkeys(keys) | part if part else None


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, dict):
        return {plain(key): _shown(item) for key, item in value.items()}
    return value


def plain(text: str, limit: int = MAX_TEXT) -> str:
    """Text as one harmless line: no control or direction characters, no spreadsheet formula, bounded.

    Line breaks, escape sequences and invisible characters become their visible codes; a text that a
    spreadsheet would run after pasting (`=cmd…`) gets an apostrophe in front.

    >>> plain("a\\nb"), plain("=1+1"), plain("-2.5 to 3")
    ('a\\\\nb', "'=1+1", '-2.5 to 3')
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    line = cut if cut.isascii() and cut.isprintable() else "".join(map(_visible, cut))
    risky = line.lstrip()[:1] in ("=", "+", "-", "@") and len(line) > 1 and not NUMBERS.fullmatch(line)
    return "'" + line if risky else line


def _visible(character: str) -> str:
    """Categories C* and Zl, Zp: controls, format characters (bidi overrides, zero width), surrogates, separators."""
    category = unicodedata.category(character)
    hidden = category[0] == "C" or category in ("Zl", "Zp")
    return ascii(character)[1:-1] if hidden else character
