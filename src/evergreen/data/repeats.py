"""The same rows once more: a batch that was delivered, or loaded, twice."""

from typing import TYPE_CHECKING

import numpy as np

from evergreen.data.chance import is_surely_more
from evergreen.data.quality import Finding
from evergreen.data.rows import row_digests
from evergreen.data.sources import Table, Window
from evergreen.data.windows import Timeline, to_key

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.data.schema import Contract

LOOK_ROWS = 20_000  # the newest of a batch, and as many before it, tell
LEAST_ROWS = 1000  # however small the batch, so many before it tell how rows ordinarily repeat
REPEATED = 0.95  # share of rows that were there before, from which on a batch is the one before
ORDINARY = 0.05  # above this share of repeated rows, equal rows are different observations in this table
SURE = 0.001


def check_repeats(
    table: Table,
    timeline: Timeline,
    window: Window,
    new: "pd.DataFrame",
    contract: "Contract",
) -> tuple[Finding, ...]:
    """A finding when the new rows are, but for time and identifiers, the very rows of the stretch before them.

    None in a table whose rows ordinarily repeat, within that stretch or from one stretch to the next: a list of all
    customers every night, or a few categories. Nothing is to be learned from such rows, and a challenger
    would be judged on the rows it was taught; so it blocks.

    Args:
        window, new: where the new rows are, and the rows themselves in their order, with the contract's features.
    """
    place = timeline.inside(window)
    features = [name for name in contract.features if name in new.columns]
    most = min(max(place.stop - place.start, LEAST_ROWS), place.start, LOOK_ROWS)
    if not most or not features:
        return ()
    before = _read_digests(table, timeline, features, place.start - most, place.start)
    rows = min(len(new), LOOK_ROWS)
    repeated = int(np.isin(row_digests(new[features].tail(rows)), before).sum())
    if repeated < REPEATED * rows:  # the usual case; the older rows are read on suspicion only
        return ()
    older = _read_digests(table, timeline, features, max(0, place.start - 2 * most), place.start - most)
    usual = max(1 - len(np.unique(before)) / len(before), float(np.isin(before, older).mean()))
    chance = max(usual, 3 / len(before))  # none of n rows repeated leaves up to 3/n open
    if usual > ORDINARY or not is_surely_more(repeated, rows, chance, SURE, REPEATED):
        return ()
    text = (
        f"{repeated / rows:.1%} of the new rows are, but for time and identifiers, the very rows before them; "
        f"ordinarily it is {usual:.1%}. Was a batch loaded twice? Take it out."
    )
    return (Finding("", "duplicate_batch", text, repeated / rows, REPEATED, "data.source", True),)


def _read_digests(table: Table, timeline: Timeline, features: list[str], start: int, stop: int) -> np.ndarray:
    """Of the rows from one place to another; rows of the same time as the first one are all read."""
    if start >= stop:
        return np.empty(0, np.uint64)
    window = Window(to_key(timeline.keys[start]), to_key(timeline.keys[stop]))
    return row_digests(table.frame(features, window))
