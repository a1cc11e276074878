"""Class labels as text: one spelling of a class, whatever type a file or a model keeps it in.

A label that a CSV file holds as an integer, a file with missing labels as a float, and a model as a
boolean is one class. So labels are compared as text, and only here is decided which text.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from evergreen.errors import UsageError

BOOLEAN_WORDS = {"true": "1", "false": "0"}


def label_text(values: Any) -> np.ndarray:
    """The labels as an object array of `str`, with None where the label is missing.

    Labels that are equal in Python have equal text: `True`, `1` and `1.0` are all "1", `False` and
    `0.0` are "0", `2.5` is "2.5". Text stays exactly as it is. None, NaN, NaT and `pandas.NA` are
    missing.

    Args:
        values: one-dimensional; a list, array, Series or arrow array of any type.

    >>> label_text([1.0, 0.0, float("nan")])
    array(['1', '0', None], dtype=object)
    >>> label_text([True, False]), label_text(["UP", "DOWN"])
    (array(['1', '0'], dtype=object), array(['UP', 'DOWN'], dtype=object))
    """
    import pandas

    codes, uniques = pandas.factorize(values if isinstance(values, np.ndarray) else pandas.Series(values))
    texts = np.array([*map(spell_label, uniques), None], dtype=object)
    return texts[codes]


def own_labels(labels: np.ndarray, label_type: str) -> np.ndarray:
    """Labels from their text back in the type that the user keeps them in, so that a model answers in it.

    Args:
        labels: (n,) text without missing values, or numbers, which stay as they are.
        label_type: `Contract.label_type`: "text", "integer", "number" or "boolean".

    >>> own_labels(np.array(["1", "0"], dtype=object), "integer")
    array([1, 0])
    """
    if labels.dtype != object or label_type == "text":
        return labels
    if label_type == "boolean":
        return labels == "1"
    numbers = labels.astype(np.float64)
    return numbers.astype(np.int64) if label_type == "integer" else numbers


def find_label(word: str, classes: Sequence[str]) -> str:
    """The class a person means by a word from the configuration: `true` for "1", `1.0` for "1".

    Raises `UsageError` naming the known classes when there is none.

    >>> find_label("True", ("0", "1"))
    '1'
    """
    for spelling in (word, BOOLEAN_WORDS.get(word.lower(), word), _number_text(word)):
        if spelling in classes:
            return spelling
    known = ", ".join(repr(name) for name in classes[:20])
    raise UsageError(f"There is no class '{word}' in the target. Known classes: {known}.")


def spell_label(label: Any) -> str:
    """The text of one label that is not missing.

    >>> spell_label(1.0), spell_label(True), spell_label("1.0")
    ('1', '1', '1.0')
    """
    if isinstance(label, bool | np.bool_):
        return str(int(label))
    if isinstance(label, float | np.floating):
        return str(int(label)) if math.isfinite(label) and label == int(label) else repr(float(label))
    return str(label)


def _number_text(word: str) -> str:
    try:
        return spell_label(float(word))
    except ValueError:
        return word
