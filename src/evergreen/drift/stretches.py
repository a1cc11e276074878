"""A reference cut into stretches of time, short and long ones: by the calendar where it can be, else by rows.

Batches come by the hour, the day or the week, and rows of one batch have something in common. Stretches that begin
and end with the calendar are such batches; stretches of equally many rows would mix two, and look steadier.
"""

import math
from dataclasses import dataclass

import numpy as np

MIN_ROWS = 50  # of a stretch: below, the noise of the rows is all there is to see
MOST_PIECES = 512
HALVINGS = 5  # without a calendar: lengths below the longest, 8 stretches to 256
MINUTE = 60 * 10**6  # in microseconds, as times are kept
HOUR, DAY = 60 * MINUTE, 24 * 60 * MINUTE
UNITS = (MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY)
MONDAY = 4 * DAY  # 1970-01-05, the first one; weeks are counted from it


@dataclass(frozen=True)
class Stretches:
    """Rows cut into pieces, and pieces taken together to stretches.

    Attributes:
        codes: shape `(rows,)`, the piece of each row, in order of time; `pieces` for rows without a time.
        lengths: for each length of stretches the first piece of every stretch, ascending; none where the rows are too
            few to tell anything.
    """

    codes: np.ndarray
    pieces: int
    lengths: tuple[np.ndarray, ...]


def cut_stretches(times: np.ndarray, least: int) -> Stretches:
    """Cut rows into stretches of at least 50 rows; only lengths of which there are at least so many.

    Args:
        times: shape `(rows,)`, `datetime64[us]` in any order, or the numbers of the rows.
    """
    timeless = np.isnat(times) if times.dtype.kind == "M" else np.zeros(len(times), bool)
    known = np.count_nonzero(~timeless)
    if known < MIN_ROWS * least:
        return Stretches(timeless.astype(np.int32), 1, ())
    if times.dtype.kind == "M":
        units = times.astype("datetime64[us]").astype(np.int64) - MONDAY
        for place in range(len(UNITS)):
            found = _cut_by_calendar(units, timeless, place, least)
            if found is not None:
                return found
    return _cut_by_rows(times, timeless, least)


def _cut_by_calendar(moments: np.ndarray, timeless: np.ndarray, place: int, least: int) -> Stretches | None:
    """Pieces of one unit of the calendar; None when they are too many, too few or too short."""
    unit = UNITS[place]
    if (moments[~timeless].max() - moments[~timeless].min()) // unit >= 100 * MOST_PIECES:
        return None
    pieces, rows = np.unique(moments[~timeless] // unit, return_counts=True)
    full = rows >= MIN_ROWS
    if len(pieces) > MOST_PIECES or np.count_nonzero(full) < least or 2 * rows[full].sum() < rows.sum():
        return None
    lengths = [_firsts(pieces * unit // length) for length in _lengths(place)]
    codes = np.where(timeless, len(pieces), np.searchsorted(pieces, moments // unit))
    return Stretches(codes.astype(np.int32), len(pieces), tuple(one for one in lengths if len(one) >= least))


def _lengths(place: int) -> list[int]:
    """A unit and the longer ones, each doubled while that stays shorter than the next; weeks up to half a year."""
    found = []
    for unit, longer in zip(UNITS[place:], (*UNITS[place + 1 :], 32 * UNITS[-1]), strict=True):
        doublings = math.ceil(math.log2(longer / unit))
        found += [unit * 2**step for step in range(doublings)]
    return found


def _firsts(codes: np.ndarray) -> np.ndarray:
    """Where a new value begins among ascending ones."""
    return np.flatnonzero(np.diff(codes, prepend=codes[0] - 1))


def _cut_by_rows(times: np.ndarray, timeless: np.ndarray, least: int) -> Stretches:
    """About equally many rows each, in order of time; rows of one time are never parted."""
    ordered = np.sort(times[~timeless])
    halvings = min(HALVINGS, int(math.log2(len(ordered) / (MIN_ROWS * least))))
    pieces = least * 2**halvings
    borders = ordered[np.arange(1, pieces) * len(ordered) // pieces]
    codes = np.where(timeless, pieces, np.searchsorted(borders, times, "right"))
    lengths = tuple(np.arange(0, pieces, 2**step) for step in range(halvings + 1))
    return Stretches(codes.astype(np.int32), pieces, lengths)
