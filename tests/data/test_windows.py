"""Windows: what is new, what is held out, how far labels are complete; and that equal times never part."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_tools import open_text

from evergreen.data.sources import Window
from evergreen.data.windows import (
    Timeline,
    current_window,
    fade_weights,
    find_maturity,
    first_stretch,
    in_order,
    key_from_json,
    key_to_json,
    read_timeline,
    split_holdout,
    split_mature,
    thin,
    to_key,
)
from evergreen.errors import DataError, UsageError
from evergreen.settings import DataSettings, TrainingSettings

START = np.datetime64("2025-01-01", "us")
DAY = datetime(2025, 1, 1)


def days(*numbers: float) -> np.ndarray:
    return START + (np.array(numbers) * 86_400e6).astype("timedelta64[us]")


def timeline(keys: np.ndarray, labelled: np.ndarray | None = None) -> Timeline:
    return Timeline(keys, np.ones(len(keys), bool) if labelled is None else labelled)


ROWS = timeline(np.arange(1000, dtype=np.int64))
DAYS = timeline(days(*range(1000)))


def test_a_timeline_is_sorted_and_knows_which_rows_have_labels(tmp_path):
    table = open_text(tmp_path, "t,y\n2025-01-03,1\n2025-01-01,\n2025-01-02,0\n", time="t", target="y")
    found = read_timeline(table, DataSettings(time="t", target="y"))
    assert found.keys.tolist() == [datetime(2025, 1, day) for day in (1, 2, 3)]
    assert found.labelled.tolist() == [False, True, True]


def test_without_a_time_the_rows_stand_in_time_order(tmp_path):
    table = open_text(tmp_path, "x,y\n5,a\n6,\n", target="y")
    found = read_timeline(table, DataSettings(target="y"))
    assert (found.keys.tolist(), found.labelled.tolist()) == ([0, 1], [True, False])
    assert read_timeline(table, DataSettings()).labelled.tolist() == [False, False]


def test_labels_that_are_nan_are_missing(tmp_path):
    table = open_text(tmp_path, "y,x\n1.5,1\nnan,1\n,1\n", target="y")
    assert read_timeline(table, DataSettings(target="y")).labelled.tolist() == [True, False, False]


def test_missing_times_are_refused_with_their_number_and_the_first_row(tmp_path):
    table = open_text(tmp_path, "t,y\n2025-01-03,1\n,1\n,0\n", time="t")
    with pytest.raises(DataError, match=r"t.csv: 2 rows have no 't' \(the first is data row 2\)"):
        read_timeline(table, DataSettings(time="t"))


@pytest.mark.parametrize(
    "line, seen, stretch, start",
    [
        (ROWS, None, "all", 0),
        (ROWS, 599, "all", 600),
        (ROWS, 599, "100", 900),
        (ROWS, 949, "100", 950),
        (ROWS, None, "5000", 0),
        (ROWS, 999, "all", 1000),
        (DAYS, None, "all", DAY),
        (DAYS, DAY + timedelta(days=599), "all", DAY + timedelta(days=600)),
        (DAYS, DAY + timedelta(days=599, hours=1), "all", DAY + timedelta(days=600)),
        (DAYS, DAY, "30d", DAY + timedelta(days=970)),
        (DAYS, DAY, "100", DAY + timedelta(days=900)),
        (DAYS, DAY + timedelta(days=999), "30d", DAY + timedelta(days=999, microseconds=1)),
    ],
)
def test_current_is_what_was_not_seen_or_the_newest_of_it(line, seen, stretch, start):
    assert current_window(line, seen, DataSettings(current_window=stretch)) == Window(start, None)


def test_a_table_without_a_time_that_lost_rows_is_refused():
    with pytest.raises(DataError, match=r"has seen 1,001 rows, and now the table has only 1,000.*data.time"):
        current_window(ROWS, 1000, DataSettings())


def test_nothing_new_is_a_window_without_rows():
    window = current_window(DAYS, to_key(DAYS.keys[-1]), DataSettings())
    assert DAYS.inside(window) == slice(1000, 1000)


@pytest.mark.parametrize("stretch, message", [("30d", r"needs data\.time"), ("soon", "needs data"), ("", "needs data")])
def test_a_length_of_time_needs_a_time(stretch, message):
    with pytest.raises(UsageError, match=message):
        current_window(ROWS, None, DataSettings(current_window=stretch))
    if stretch == "soon":
        with pytest.raises(UsageError, match=r"data\.current_window: expected a length of time"):
            current_window(DAYS, None, DataSettings(current_window=stretch))


def test_the_holdout_is_the_newest_labelled_block():
    split = split_holdout(ROWS, TrainingSettings())
    assert (split.train, split.holdout) == (Window(None, 800), Window(800, None))
    assert (split.train_rows, split.holdout_rows) == (800, 200)
    assert split_holdout(ROWS, TrainingSettings(holdout_share=0.4)).holdout_rows == 400


def test_at_most_half_of_the_new_labelled_rows_are_held_out():
    labelled = np.arange(1000) < 900
    split = split_holdout(timeline(ROWS.keys, labelled), TrainingSettings(min_holdout=50), seen_until=599)
    assert split.holdout == Window(750, None)
    assert (split.train_rows, split.holdout_rows) == (750, 150)
    assert split_holdout(ROWS, TrainingSettings(), seen_until=0).holdout == Window(800, None)


def test_later_rows_can_be_left_out():
    until = first_stretch(ROWS, 0.5).stop
    split = split_holdout(ROWS, TrainingSettings(min_holdout=100), until=until)
    assert (split.train, split.holdout) == (Window(None, 400), Window(400, 500))


def test_the_first_stretch_takes_all_rows_of_its_last_time():
    assert first_stretch(timeline(days(0, 1, 1, 1, 2)), 0.4) == Window(None, DAY + timedelta(days=2))
    assert first_stretch(ROWS, 1.0) == Window(None, None)


@pytest.mark.parametrize(
    "line, seen, message",
    [
        (timeline(ROWS.keys, ROWS.keys < 100), None, "100 rows have a label, 100 of them are new, which gives 20"),
        (ROWS, 899, "1000 rows have a label, 100 of them are new, which gives 50"),
        (timeline(days(*[1] * 1000)), None, "one and the same time"),
    ],
)
def test_too_few_labels_for_a_holdout_are_refused(line, seen, message):
    with pytest.raises(DataError, match=message):
        split_holdout(line, TrainingSettings(), seen_until=seen)


@given(st.lists(st.integers(0, 30), min_size=20, max_size=200), st.data())
def test_no_split_parts_equal_times_or_puts_newer_rows_into_training(numbers, data):
    keys = np.sort(days(*numbers))
    labelled = np.array(data.draw(st.lists(st.booleans(), min_size=len(keys), max_size=len(keys))))
    line = timeline(keys, labelled)
    try:
        split = split_holdout(line, TrainingSettings(min_holdout=2))
    except DataError:
        return
    train, holdout = keys[line.inside(split.train)], keys[line.inside(split.holdout)]
    assert len(train) + len(holdout) == len(keys)
    assert train.max() < holdout.min()
    assert (split.train_rows, split.holdout_rows) == (
        labelled[line.inside(split.train)].sum(),
        labelled[line.inside(split.holdout)].sum(),
    )
    assert split.train_rows > 0
    assert split.holdout_rows >= 2


def maturity(labelled: np.ndarray, line: Timeline = DAYS, start: int = 0, **settings: object):
    window = Window(to_key(line.keys[start]), None)
    return find_maturity(timeline(line.keys, labelled), window, DataSettings(**settings))


def test_complete_labels_are_mature_to_the_end():
    found = maturity(np.ones(1000, bool))
    assert (found.until, found.coverage, found.labelled_rows, found.reason) == (None, 1.0, 1000, "")


def test_rows_are_judged_up_to_the_first_block_with_too_few_labels():
    labelled = np.arange(1000) < 730
    found = maturity(labelled)
    assert found.until == DAY + timedelta(days=700)
    assert (found.coverage, found.labelled_rows, found.unlabelled_rows) == (1.0, 700, 0)
    assert "only 30% have a label; data.min_coverage asks for 80%" in found.reason


def test_gaps_below_the_limit_do_not_matter():
    labelled = np.arange(1000) % 10 > 0
    found = maturity(labelled)
    assert (found.until, found.labelled_rows, found.unlabelled_rows) == (None, 900, 100)


def test_rows_older_than_the_delay_are_mature_whatever_their_coverage():
    labelled = (np.arange(1000) % 2 == 0) & (np.arange(1000) < 900)
    assert maturity(labelled).labelled_rows == 0
    found = maturity(labelled, label_delay="100d")
    assert found.until == DAY + timedelta(days=900)
    assert (found.coverage, found.labelled_rows, found.unlabelled_rows) == (0.5, 450, 450)


def test_without_labels_nothing_is_mature_and_the_reason_is_given():
    found = maturity(np.zeros(1000, bool), line=ROWS)
    assert (found.until, found.coverage, found.labelled_rows) == (0, 0.0, 0)
    assert "only 0% have a label" in found.reason


def test_an_empty_window_has_no_rows_to_judge():
    found = find_maturity(DAYS, Window(DAY + timedelta(days=5000), None), DataSettings())
    assert (found.coverage, found.reason) == (0.0, "there are no rows")


def test_a_delay_needs_times():
    with pytest.raises(UsageError, match=r"data\.label_delay is a length of time, which needs data\.time"):
        maturity(np.zeros(1000, bool), line=ROWS, label_delay="1d")


def test_rows_of_one_time_are_in_one_block():
    line = timeline(days(*np.repeat(np.arange(8), 125)))
    found = maturity(np.arange(1000) < 450, line=line)
    assert (found.until, found.labelled_rows, found.unlabelled_rows) == (DAY + timedelta(days=3), 375, 0)


def test_order_of_rows_in_a_file_makes_no_difference_where_there_is_a_time():
    frame = pd.DataFrame({"t": days(2, 1, 1, 0), "x": [4, 3, 2, 1], "w": ["d", "c", "b", "a"]})
    ordered = in_order(frame, "t")
    assert ordered["t"].is_monotonic_increasing
    for seed in range(5):
        pd.testing.assert_frame_equal(in_order(frame.sample(frac=1, random_state=seed), "t"), ordered)
    assert in_order(frame, "")["x"].tolist() == [4, 3, 2, 1]
    assert frame["x"].tolist() == [4, 3, 2, 1]


def test_weights_halve_with_every_half_life():
    assert fade_weights(days(0, 10, 20), timedelta(days=10)).tolist() == [0.25, 0.5, 1.0]
    with pytest.raises(UsageError, match=r"needs data\.time"):
        fade_weights(np.arange(3), timedelta(days=1))


@given(st.integers(1, 3000), st.integers(1, 500), st.integers(0, 5))
def test_a_sample_represents_every_time_by_its_share(rows, wanted, seed):
    found = thin(rows, wanted, seed)
    assert len(found) == min(rows, wanted)
    assert np.all(np.diff(found) > 0)
    assert 0 <= found[0] <= found[-1] < rows
    assert found.tolist() == thin(rows, wanted, seed).tolist()
    if rows > wanted:
        expected = (np.arange(wanted) + 0.5) * rows / wanted
        assert np.all(np.abs(found - expected) <= rows / wanted + 1)


def test_samples_of_two_seeds_differ_and_no_limit_keeps_all():
    assert thin(1000, 100, 0).tolist() != thin(1000, 100, 1).tolist()
    assert thin(5, 0, 0).tolist() == [0, 1, 2, 3, 4]


@given(st.one_of(st.none(), st.integers(0, 10**12), st.datetimes()))
def test_a_key_survives_json(key):
    assert key_from_json(key_to_json(key)) == key


def late_labels(rows: int, waiting: int, known_early: float) -> np.ndarray:
    """All labelled but the newest `waiting` rows, of which a share is known early."""
    labelled = np.ones(rows, bool)
    labelled[rows - waiting :] = np.random.default_rng(0).random(waiting) < known_early
    return labelled


def test_rows_whose_labels_are_still_coming_in_are_neither_learned_from_nor_judged_by():
    line = timeline(np.arange(4000, dtype=np.int64), late_labels(4000, 900, 0.5))
    assert split_holdout(line, TrainingSettings()).holdout.stop is None
    split = split_mature(line, DataSettings(), TrainingSettings())
    assert 3000 <= split.holdout.stop <= 3150
    assert line.labelled[line.inside(split.holdout)].mean() > 0.95
    assert split.holdout_rows == pytest.approx(0.2 * split.holdout.stop, abs=2)
    assert split_mature(line, DataSettings(), TrainingSettings(), until=2000).holdout.stop == 2000


def test_complete_labels_that_end_at_once_are_used_to_the_last():
    line = timeline(np.arange(4000, dtype=np.int64), late_labels(4000, 900, 0.0))
    assert split_mature(line, DataSettings(), TrainingSettings()) == split_holdout(line, TrainingSettings())


def test_sparse_labels_that_have_waited_are_used():
    line = timeline(days(*np.arange(4000) / 10), np.arange(4000) % 2 == 0)
    patient = DataSettings(time="at", label_delay="7d")
    assert split_mature(line, patient, TrainingSettings()).holdout_rows == pytest.approx(400, abs=10)
    with pytest.raises(DataError, match=r"Not enough labelled rows.* only 50% have a label; data.min_coverage"):
        split_mature(line, DataSettings(time="at"), TrainingSettings())


def test_a_holdout_is_no_longer_than_its_bound_and_no_shorter_than_it_must_be():
    keys = np.arange(10_000)
    timeline = Timeline(keys, np.ones(10_000, bool))
    assert split_holdout(timeline, TrainingSettings(max_holdout=300)).holdout_rows == 300
    assert split_holdout(timeline, TrainingSettings(max_holdout=50)).holdout_rows == 200
    assert split_holdout(timeline, TrainingSettings()).holdout_rows == 2000
