"""Rows of a column counted apart: by stretch of time, by season, or by both, on the bins of its profile.

Every column has a layout: its bins (a number), its most frequent labels and one place for all others (a category), or
one place for whatever there is (time, text); the last place is for rows without a usable value. In this layout
columns are vectors of counts, which can be added, weighed and compared whatever they hold.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.data.arrays import to_numpy
from evergreen.data.labels import spell_label
from evergreen.drift.summaries import LABELS, LARGEST, BareProfile, CategoryProfile, ColumnProfile, NumberProfile


def kept_labels(column: CategoryProfile) -> list[str]:
    """The labels that have a place of their own: the 1000 most frequent, in this order, also after a file."""
    return sorted(column.counts, key=lambda label: (-column.counts[label], label))[:LABELS]


def lay_out(column: ColumnProfile, like: ColumnProfile) -> np.ndarray:
    """The counts of a column in the layout of `like`, shape `(places,)`, int64; `places` depends on `like` alone."""
    if isinstance(column, NumberProfile):
        return np.append(column.counts, column.absent)
    if isinstance(column, CategoryProfile) and isinstance(like, CategoryProfile):
        named = [column.counts.get(label, 0) for label in kept_labels(like)]
        return np.array([*named, column.present - sum(named), column.absent])
    return np.array([column.present, column.absent])


def restore(counts: np.ndarray, like: ColumnProfile) -> ColumnProfile:
    """A column with these counts, whole numbers, in the layout of `like`.

    Inside a bin values lie as they do in `like`, and so does their scale: bins are narrow, and a distance in standard
    deviations should be in the same ones for all seasons.
    """
    places, absent = counts[:-1], int(counts[-1])
    if isinstance(like, NumberProfile):
        filled = np.maximum(like.counts, 1)
        sums = np.where(places > 0, like.sums / filled, 0.0) * places
        rows = max(1, int(places.sum()))
        spread = like.deviation if like.present else 0.0
        squares = rows * (spread**2 + (float(sums.sum()) / rows) ** 2)
        return NumberProfile(like.edges, like.points, places, sums, squares, absent, 0, like.low, like.high)
    if isinstance(like, CategoryProfile):
        named = dict(zip(kept_labels(like), places[:-1].tolist(), strict=True))
        rest = {"other_labels": like.distinct - len(named), "other_single": 0}
        return CategoryProfile(named, absent, like.family, int(places[-1]), kind=like.kind, **rest)
    return BareProfile(like.kind, int(places.sum()), absent)


def count_groups(pieces: Iterable[pa.Array], column: ColumnProfile, codes: np.ndarray, groups: int) -> np.ndarray:
    """How many rows of each group stand in each place of the column's layout, shape `(groups, places)`.

    Args:
        pieces: the column in row order, as many rows as there are `codes`.
        column: the profile of these very rows, whose layout is used.
        codes: shape `(rows,)`, the group of each row, from 0; `groups` or more for rows that belong to none.
    """
    width = len(lay_out(column, column))
    place_of = _places(column)
    total = np.zeros((groups + 1) * width, np.int64)
    begin = 0
    for piece in pieces:
        group = np.minimum(codes[begin : begin + len(piece)], groups).astype(np.int64)
        total += np.bincount(group * width + place_of(piece), minlength=len(total))
        begin += len(piece)
    return total.reshape(groups + 1, width)[:groups]


def _places(column: ColumnProfile) -> Callable[[pa.Array], np.ndarray]:
    """What finds the place of each value of a piece in the layout of a column."""
    if isinstance(column, NumberProfile):
        return lambda piece: _number_places(piece, column.edges)
    if isinstance(column, CategoryProfile):
        known = {label: place for place, label in enumerate(kept_labels(column))}
        return lambda piece: _label_places(piece, known)
    return lambda piece: to_numpy(pc.is_null(piece, nan_is_null=True)).astype(np.int64)


def _number_places(piece: pa.Array, edges: np.ndarray) -> np.ndarray:
    values = piece.dictionary_decode() if pa.types.is_dictionary(piece.type) else piece
    if pa.types.is_decimal(values.type) or pa.types.is_floating(values.type):
        values = values.cast(pa.float64())
    numbers = to_numpy(values).astype(np.float64, copy=False)
    return np.where(np.abs(numbers) <= LARGEST, np.searchsorted(edges, numbers, "left"), len(edges) + 1)


def _label_places(piece: pa.Array, known: dict[str, int]) -> np.ndarray:
    encoded = piece if pa.types.is_dictionary(piece.type) else piece.dictionary_encode()
    rest, missing = len(known), len(known) + 1
    labels = encoded.dictionary.to_pylist()
    places = [missing if _is_missing(label) else known.get(spell_label(label), rest) for label in labels]
    codes = pc.fill_null(encoded.indices, len(labels))
    return np.array([*places, missing], np.int64)[to_numpy(codes)]


def _is_missing(label: object) -> bool:
    return label is None or label != label  # noqa: PLR0124 - NaN


def whole_counts(shares: np.ndarray, rows: float) -> np.ndarray:
    """Shares of `rows` as whole numbers, shape `(places,)`: rounded so that no running total is off by more than ½."""
    return np.diff(np.rint(np.cumsum(shares) * rows).astype(np.int64), prepend=0)
