"""Which rows are new, which are judged, which are trained on: stretches of a table by time or row number.

The order key of a row is its time, or its row number in a table without one. A stretch never ends
between two rows of the same time.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.data.arrays import to_numpy
from evergreen.data.rows import row_digests
from evergreen.data.sources import Table, Window
from evergreen.errors import DataError, UsageError
from evergreen.settings import DataSettings, TrainingSettings, parse_duration

if TYPE_CHECKING:
    import pandas as pd

BLOCKS = 10  # of a window, to find where its labels stop being complete
MIN_BLOCK_ROWS = 20  # fewer say nothing about the share of labels


@dataclass(frozen=True)
class Timeline:
    """Order keys of all rows (n,), sorted ascending, and which of these rows have a label.

    Keys are `datetime64[us]` or, in a table without a time column, the row numbers as int64.
    """

    keys: np.ndarray
    labelled: np.ndarray

    def inside(self, window: Window) -> slice:
        """Where the rows of a window stand in `keys`."""
        return slice(self._place(window.start, 0), self._place(window.stop, len(self.keys)))

    def _place(self, key: datetime | int | None, default: int) -> int:
        return default if key is None else int(np.searchsorted(self.keys, _as_key(key), "left"))


@dataclass(frozen=True)
class Split:
    """Stretches to train on and to judge by, and how many labelled rows each has."""

    train: Window
    holdout: Window
    train_rows: int
    holdout_rows: int


@dataclass(frozen=True)
class Maturity:
    """How far the labels of a window are complete.

    Rows before `until` are mature (None: all of the window). `coverage` is the labelled share of the
    mature rows, or of the window where none is mature. The counts are those of the mature rows.
    """

    until: datetime | int | None
    coverage: float
    labelled_rows: int
    unlabelled_rows: int
    reason: str


def read_timeline(table: Table, settings: DataSettings) -> Timeline:
    """Times and which labels are there, sorted by time; only those two columns are read.

    Raises `DataError` when times are missing.
    """
    labelled = _read_labelled(table, settings)
    if not table.time:
        return Timeline(np.arange(table.rows, dtype=np.int64), labelled)
    keys = np.concatenate([to_numpy(piece) for piece in table.arrays(table.time)])
    missing = np.flatnonzero(np.isnat(keys))
    if len(missing):
        raise DataError(
            f"{table.name}: {len(missing)} rows have no '{table.time}' (the first is data row {missing[0] + 1}); "
            "every row needs a time. Fill it in, or drop these rows."
        )
    order = np.argsort(keys, kind="stable")
    return Timeline(keys[order], labelled[order])


def _read_labelled(table: Table, settings: DataSettings) -> np.ndarray:
    if not settings.target or settings.target not in table.types:
        return np.zeros(table.rows, bool)
    return np.concatenate([_present(piece) for piece in table.arrays(settings.target)])


def _present(piece: pa.Array) -> np.ndarray:
    missing = pc.is_null(piece, nan_is_null=True)
    return ~to_numpy(missing)


def to_key(key: Any) -> datetime | int:
    """An element of `Timeline.keys` as the end of a window.

    >>> to_key(np.datetime64("2025-03-31T10:00", "us"))
    datetime.datetime(2025, 3, 31, 10, 0)
    """
    return key.astype("datetime64[us]").item() if isinstance(key, np.datetime64) else int(key)


def key_to_json(key: datetime | int | None) -> str | int | None:
    """A window's end as a card keeps it: a time as ISO text, a row number as it is.

    >>> key_to_json(datetime(2026, 11, 21)), key_to_json(7)
    ('2026-11-21T00:00:00', 7)
    """
    return key.isoformat() if isinstance(key, datetime) else key


def key_from_json(value: str | int | None) -> datetime | int | None:
    """What `key_to_json` wrote, as a window's end again."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _as_key(key: datetime | int) -> Any:
    return np.datetime64(key, "us") if isinstance(key, datetime) else np.int64(key)


def _next_key(keys: np.ndarray) -> datetime | int:
    """A key that is later than all."""
    return to_key(keys[-1] + (np.timedelta64(1, "us") if keys.dtype.kind == "M" else 1))


def current_window(timeline: Timeline, seen_until: datetime | int | None, settings: DataSettings) -> Window:
    """What the live model has not seen: the rows after `seen_until`, or only the newest of them.

    `data.current_window` narrows: "all", a length of time ("30d") or a number of rows ("5000").
    `seen_until` is the last key that was used for training or holdout; None means nothing was seen.
    The window has no end, and no rows when nothing is new. Raises `DataError` when a table without a
    time has lost rows that were seen: what is new in it can't be told any more.
    """
    keys = timeline.keys
    if isinstance(seen_until, int) and seen_until >= len(keys):
        raise DataError(
            f"The model has seen {seen_until + 1:,} rows, and now the table has only {len(keys):,}. Without a time, "
            "new rows have to stand below the old ones: keep the old rows, or name the time column (data.time)."
        )
    first = 0 if seen_until is None else int(np.searchsorted(keys, _as_key(seen_until), "right"))
    first = max(first, first_of_newest(keys, settings.current_window, "data.current_window"))
    return Window(_next_key(keys) if first == len(keys) else to_key(keys[first]), None)


def first_of_newest(keys: np.ndarray, stretch: str, setting: str) -> int:
    """Position at which the newest stretch of sorted keys begins: `all`, a number of rows, or a length of time.

    `setting` names the key in the `UsageError` for what is none of these.

    >>> first_of_newest(np.arange(1000), "300", "training.window")
    700
    """
    if stretch == "all":
        return 0
    if stretch.isdigit():
        return max(0, len(keys) - int(stretch))
    if keys.dtype.kind != "M":
        raise UsageError(f"{setting} = '{stretch}' is a length of time, which needs data.time; or give rows.")
    try:
        length = parse_duration(stretch)
    except ValueError as error:
        raise UsageError(f"{setting}: {error}, or 'all', or a number of rows.") from None
    return int(np.searchsorted(keys, keys[-1] - np.timedelta64(length or timedelta(0)), "right"))


def first_stretch(timeline: Timeline, share: float) -> Window:
    """The oldest `share` of all rows; the row at the end takes all rows of its time with it."""
    last = max(1, round(share * len(timeline.keys))) - 1
    after = int(np.searchsorted(timeline.keys, timeline.keys[last], "right"))
    return Window(None, None if after == len(timeline.keys) else to_key(timeline.keys[after]))


def split_holdout(
    timeline: Timeline,
    training: TrainingSettings,
    *,
    seen_until: datetime | int | None = None,
    until: datetime | int | None = None,
) -> Split:
    """Older rows to train on and the newest labelled rows to judge by; `until` (exclusive) leaves out later ones.

    The holdout is `holdout_share` of the labelled rows, but at most `max_holdout` and at most half of those
    that came after `seen_until`: the other half is what a challenger learns the news from. Raises `DataError` when it
    would have fewer than `min_holdout` rows, or nothing would be left to train on.
    """
    everything = timeline.inside(Window(None, until))
    keys = timeline.keys[everything][timeline.labelled[everything]]
    seen = 0 if seen_until is None else int(np.searchsorted(keys, _as_key(seen_until), "right"))
    size = min(round(training.holdout_share * len(keys)), len(keys) if seen_until is None else (len(keys) - seen) // 2)
    size = min(size, max(training.max_holdout, training.min_holdout))
    if size < training.min_holdout:
        raise DataError(_too_few(len(keys), len(keys) - seen, size, training))
    cut = int(np.searchsorted(keys, keys[len(keys) - size], "left"))
    if cut == 0:
        raise DataError(f"All {len(keys)} labelled rows have one and the same time; nothing is left to train on.")
    border = to_key(keys[cut])
    return Split(Window(None, border), Window(border, until), cut, len(keys) - cut)


def _too_few(labelled: int, new: int, size: int, training: TrainingSettings) -> str:
    return (
        f"Not enough labelled rows for a holdout: {labelled} rows have a label, {new} of them are new, which gives "
        f"{size}; training.min_holdout asks for {training.min_holdout}. Wait for labels, or lower it."
    )


def split_mature(
    timeline: Timeline,
    data: DataSettings,
    training: TrainingSettings,
    *,
    seen_until: datetime | int | None = None,
    until: datetime | int | None = None,
) -> Split:
    """`split_holdout`, without the newest rows whose labels are still coming in.

    Labels that come early are not like the others, so nothing is judged by them, and a challenger is not
    taught by them either. Raises `DataError` when the rows with complete labels are too few.
    """
    reason = ""
    while True:
        try:
            split = split_holdout(timeline, training, seen_until=seen_until, until=until)
        except DataError as error:
            raise DataError(f"{error}{reason}") from None
        maturity = find_maturity(timeline, _labelled_stretch(timeline, split.holdout), data)
        if maturity.until is None:
            return split
        until, reason = maturity.until, f" Not counted are newer rows: {maturity.reason}."


def lacks_labels(
    timeline: Timeline, data: DataSettings, training: TrainingSettings, seen_until: datetime | int | None
) -> str:
    """Why there is no `split_mature` yet, in words; empty when there is one."""
    try:
        split_mature(timeline, data, training, seen_until=seen_until)
    except DataError as error:
        return str(error)
    return ""


def _labelled_stretch(timeline: Timeline, window: Window) -> Window:
    """A window up to its last labelled row: where no label has come at all, none came early."""
    rows = timeline.inside(window)
    labelled = timeline.keys[rows][timeline.labelled[rows]]
    return Window(window.start, _next_key(labelled))


def find_maturity(timeline: Timeline, window: Window, settings: DataSettings) -> Maturity:
    """How far the labels of a window are complete enough to judge a model by.

    Labels that come early are not like the others (a customer who left is known at once). So the
    window is looked at in up to 10 blocks of equal size, and judged up to the first one with less
    than `min_coverage` of its labels, unless that block is older than `label_delay`.
    """
    rows = timeline.inside(window)
    keys, labelled = timeline.keys[rows], timeline.labelled[rows]
    if not len(keys):
        return Maturity(None, 0.0, 0, 0, "there are no rows")
    edges = _block_edges(keys)
    for begin, end in pairwise(edges):
        share = float(labelled[begin:end].mean())
        if share < settings.min_coverage and not _has_waited(keys[end - 1], timeline.keys[-1], settings.label_delay):
            return _mature_until(keys, labelled, begin, share, settings)
    return _maturity(None, labelled, "")


def _block_edges(keys: np.ndarray) -> np.ndarray:
    blocks = min(BLOCKS, max(1, len(keys) // MIN_BLOCK_ROWS))
    starts = np.linspace(0, len(keys), blocks + 1).astype(int)[:-1]
    return np.unique([*np.searchsorted(keys, keys[starts], "left"), len(keys)])


def _has_waited(key: Any, newest: Any, delay: timedelta | None) -> bool:
    if delay is None:
        return False
    if not isinstance(key, np.datetime64):
        raise UsageError("data.label_delay is a length of time, which needs data.time.")
    return bool(key <= newest - np.timedelta64(delay))


def _mature_until(keys: np.ndarray, labelled: np.ndarray, end: int, share: float, settings: DataSettings) -> Maturity:
    border = to_key(keys[end])
    reason = f"of the rows from {border} on only {share:.0%} have a label; data.min_coverage asks for "
    reason += f"{settings.min_coverage:.0%}, because labels that come early are not like the others"
    mature = labelled[:end] if end else labelled
    found = _maturity(border, mature, reason)
    return found if end else replace(found, labelled_rows=0, unlabelled_rows=0)


def _maturity(until: datetime | int | None, labelled: np.ndarray, reason: str) -> Maturity:
    count = int(labelled.sum())
    return Maturity(until, count / len(labelled), count, len(labelled) - count, reason)


def in_order(frame: "pd.DataFrame", time: str) -> "pd.DataFrame":
    """The rows in order of time, with a new index from 0; without a time (`""`) as they stand.

    Rows of the same time are ordered by their content, so the order in the file makes no difference.
    """
    if not time:
        return frame.reset_index(drop=True)
    keys = frame[time].to_numpy()
    tied = len(np.unique(keys)) < len(keys)
    order = np.lexsort((row_digests(frame), keys)) if tied else np.argsort(keys, kind="stable")
    return frame.iloc[order].reset_index(drop=True)


def fade_weights(keys: np.ndarray, half_life: timedelta) -> np.ndarray:
    """Weights in (0, 1] that halve with every `half_life` of age, shape (n,); the newest row has 1.

    `keys` are times; for row numbers there is no age, which raises `UsageError`.

    >>> fade_weights(np.array(["2025-01-01", "2025-01-08"], "datetime64[us]"), timedelta(days=7))
    array([0.5, 1. ])
    """
    if keys.dtype.kind != "M":
        raise UsageError("training.half_life is a length of time, which needs data.time.")
    ages = (keys.max() - keys) / np.timedelta64(half_life)
    return np.asarray(np.exp2(-ages), np.float64)


def thin(rows: int, max_rows: int, seed: int) -> np.ndarray:
    """Positions of at most `max_rows` of `rows` rows, ascending: one at random from each stretch of equal length.

    So every time is represented by its share of the rows, and 0 as `max_rows` keeps all.

    >>> thin(3, 10, seed=0)
    array([0, 1, 2])
    """
    if not max_rows or rows <= max_rows:
        return np.arange(rows)
    edges = np.linspace(0, rows, max_rows + 1).astype(int)
    return np.random.default_rng(seed).integers(edges[:-1], edges[1:])
