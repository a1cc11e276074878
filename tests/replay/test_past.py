"""A past in blocks, and what was known of it before each."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from evergreen.data.windows import read_timeline
from evergreen.errors import UsageError
from evergreen.replay.past import cut, read_past, show_labels
from evergreen.settings import Settings


def past_of(tmp_path, frame, block="", delay="", **data):
    frame.to_csv(tmp_path / "rows.csv", index=False)
    known = {"source": "rows.csv", "target": "y", **data}
    return read_past(Settings(root=tmp_path, data=known), block, delay)


def frame_of(rows=200):
    return pd.DataFrame(
        {
            "at": pd.date_range("2025-01-01", periods=rows, freq="6h"),
            "a": np.arange(rows) * 1.5,
            "y": ["no", "yes"] * (rows // 2),
        }
    )


def test_a_hundred_blocks_by_default_and_rows_of_one_time_stay_together():
    keys = np.repeat(np.datetime64("2025-01-01") + np.arange(500), 2).astype("datetime64[us]")
    edges = cut(keys)
    assert len(edges) == 101
    assert edges[0] == 0
    assert edges[-1] == 1000
    assert all(keys[edge - 1] < keys[edge] for edge in edges[1:-1])


def test_blocks_of_a_day_hold_the_rows_of_a_day_and_empty_days_are_no_blocks():
    days = np.array(["2025-01-01", "2025-01-02", "2025-01-05", "2025-01-06", "2025-01-07"], "datetime64[us]")
    assert cut(np.repeat(days, 3), "1d").tolist() == [0, 3, 6, 9, 12, 15]


@pytest.mark.parametrize(
    ("keys", "block", "message"),
    [
        (np.arange(100), "1d", "needs data.time"),
        (np.arange(100), "90", "a replay needs 4"),
        (np.arange(100), "0", "at least one row"),
        (np.arange(100), "often", "expected a length of time"),
    ],
)
def test_a_block_that_can_not_be_cut_says_why(keys, block, message):
    with pytest.raises(UsageError, match=message):
        cut(keys, block)


@pytest.mark.parametrize(("block", "words"), [("30", "30 rows"), ("", "about 2 rows"), ("12h", "12h")])
def test_a_block_is_as_long_as_was_asked_though_the_last_one_is_short(tmp_path, block, words):
    assert past_of(tmp_path, frame_of(), block, time="at").length == words


def test_labels_come_some_blocks_or_some_days_later():
    keys = np.datetime64("2025-01-01T00:00", "us") + np.arange(40) * np.timedelta64(6, "h")
    edges = np.arange(0, 41, 4)
    assert show_labels(keys, edges, "0").tolist() == edges.tolist()
    assert show_labels(keys, edges, "3").tolist() == [0, 0, 0, 0, 4, 8, 12, 16, 20, 24, 28]
    assert show_labels(keys, edges, "3d").tolist()[:6] == [0, 0, 0, 0, 4, 8]
    with pytest.raises(UsageError, match=r"needs data\.time"):
        show_labels(np.arange(40), edges, "3d")


def test_before_a_block_its_rows_and_late_labels_are_not_there(tmp_path):
    past = past_of(tmp_path, frame_of(), "20", "2", time="at")
    table = past.before(5)
    timeline = read_timeline(table, past.settings)
    assert table.rows == 100
    assert timeline.labelled.tolist() == [True] * 60 + [False] * 40
    assert table.frame(["a"])["a"].tolist() == [1.5 * row for row in range(100)]
    assert past.moment(5) == datetime(2025, 1, 26, tzinfo=UTC)


def test_rows_in_any_order_are_the_same_past_and_other_rows_another(tmp_path):
    frame = frame_of()
    past = past_of(tmp_path, frame, time="at")
    mixed = past_of(tmp_path, frame.sample(frac=1, random_state=1), time="at")
    assert mixed.digest == past.digest
    assert mixed.table.equals(past.table)
    frame.loc[150, "a"] += 1
    assert past_of(tmp_path, frame, time="at").digest != past.digest


def test_without_times_nights_are_counted(tmp_path):
    past = past_of(tmp_path, frame_of().drop(columns="at"), "20")
    assert (past.moment(7) - past.moment(5)).days == 2
    assert past.label_of(3) == 60


def test_a_replay_without_a_target_says_what_to_set(tmp_path):
    with pytest.raises(UsageError, match=r"set data\.target"):
        past_of(tmp_path, frame_of(), target="")
