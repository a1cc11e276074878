"""References are cut where the calendar does, and no row is lost or parted from those of its time."""

import numpy as np
import pytest

from evergreen.drift.stretches import DAY, HOUR, MINUTE, cut_stretches

START = np.datetime64("2026-03-02T00:00", "us")  # a Monday


def moments(*microseconds):
    return START + np.concatenate(microseconds).astype("timedelta64[us]")


def rows_of(cut):
    """How many rows each stretch has, length by length."""
    pieces = np.bincount(cut.codes, minlength=cut.pieces)[: cut.pieces]
    return [np.add.reduceat(pieces, firsts).tolist() for firsts in cut.lengths]


def test_days_stay_whole():
    """100 rows by day and none at night, 16 days: days, pairs of days; four days only come four times."""
    times = moments(*(day * DAY + 8 * HOUR + np.arange(100) * 4 * MINUTE for day in range(16)))
    assert rows_of(cut_stretches(times, 8))[-2:] == [[100] * 16, [200] * 8]


def test_weeks_begin_on_monday():
    times = moments(*(np.array([day * DAY]).repeat(10) for day in range(7 * 20)))
    assert rows_of(cut_stretches(times, 8)) == [[70] * 20, [140] * 10]


def test_the_shortest_stretches_have_fifty_rows():
    times = moments(np.arange(0, 30 * DAY, 30 * MINUTE))
    assert min(rows_of(cut_stretches(times, 3))[0]) >= 50


def test_rows_without_a_calendar_are_cut_in_equal_parts():
    cut = cut_stretches(np.arange(1600), 8)
    assert rows_of(cut) == [[50] * 32, [100] * 16, [200] * 8]
    assert rows_of(cut_stretches(np.arange(100_000), 8))[0] == pytest.approx([100_000 / 256] * 256, abs=1)


def test_times_all_within_seconds_are_cut_by_rows_and_equal_times_stay_together():
    times = moments(np.repeat(np.arange(20), 100))
    codes = cut_stretches(times, 8).codes.reshape(20, 100)
    assert (codes == codes[:, :1]).all()
    assert (np.diff(codes[:, 0]) >= 0).all()


def test_rows_without_a_time_are_in_no_stretch():
    times = moments(np.arange(0, 20 * DAY, DAY // 100))
    times[::10] = np.datetime64("NaT")
    cut = cut_stretches(times, 8)
    assert ((cut.codes == cut.pieces) == np.isnat(times)).all()
    assert sum(rows_of(cut)[0]) == 1800


def test_the_order_of_rows_makes_no_difference():
    rng = np.random.default_rng(1)
    times = moments(rng.integers(0, 40 * DAY, 5000))
    order = rng.permutation(5000)
    straight, mixed = cut_stretches(times, 8), cut_stretches(times[order], 8)
    assert (straight.codes[order] == mixed.codes).all()
    assert [a.tolist() for a in straight.lengths] == [a.tolist() for a in mixed.lengths]


def test_rows_without_a_time_are_in_no_stretch_of_a_few_rows_either():
    cut = cut_stretches(np.array(["2026-03-02", "NaT"], "datetime64[us]"), 8)
    assert (cut.codes.tolist(), cut.pieces) == ([0, 1], 1)


@pytest.mark.parametrize("rows", [0, 1, 399])
def test_too_few_rows_are_not_cut(rows):
    assert cut_stretches(np.arange(rows), 8).lengths == ()
    assert cut_stretches(moments(np.arange(rows)), 8).lengths == ()
