"""A reference put together from parts knows what its days differ by, and so alarms no sooner than one file of all."""

import json
from functools import reduce

import numpy as np
import pytest
from pandas import DataFrame

from evergreen.drift.columns import compare_profiles
from evergreen.drift.in_time import profile_rows
from evergreen.drift.profile import Profile, merge
from evergreen.drift.steadiness import merge_steadiness
from evergreen.settings import DriftSettings

DEFAULTS = DriftSettings()
DAY = 24 * 3600 * 10**6
KINDS = {"plan": "category", "x": "number"}


def days_from(rng, day, days, between=0.25, a_day=500):
    """Days that differ in the share of gold, and in the level of a count of few values."""
    odds, level = (np.repeat(rng.normal(0, between, days), a_day) for _ in range(2))
    gold = rng.random(len(odds)) < 1 / (1 + np.exp(-odds))
    x = np.clip(np.rint(4 + level * 2 + 1.5 * rng.normal(size=len(odds))), 0, 8)
    x[:9] = range(9)  # every value occurs in every part, so that all have the same bins
    at = (day + np.repeat(np.arange(days), a_day)) * DAY + np.tile(np.arange(a_day) * (DAY // a_day), days)
    frame = DataFrame({"plan": np.where(gold, "gold", "basic"), "x": x})
    return frame, np.datetime64("2026-03-02", "us") + at.astype("timedelta64[us]")


def profile(rows, against=None):
    frame, times = rows
    return profile_rows(frame, KINDS, times, DEFAULTS, against=against)


def alarms(reference, batches):
    columns = [compare_profiles(reference, profile(rows, reference), DEFAULTS) for rows in batches]
    return sum(any(column.status == "drift" for column in found) for found in columns)


@pytest.mark.parametrize("parts_know", [True, False])
def test_parts_do_not_alarm_on_days_that_the_whole_calls_usual(parts_know):
    """Of 40 ordinary days; parts that were profiled against the first one know nothing of their own days."""
    rng = np.random.default_rng(1)
    rows = [days_from(rng, 14 * part, 14) for part in range(3)]
    first = profile(rows[0])
    rest = [profile(each, None if parts_know else first) for each in rows[1:]]
    merged = reduce(merge, [first, *rest])
    batches = [days_from(rng, 50 + day, 1) for day in range(40)]
    assert alarms(merged, batches) <= 4
    without = Profile(**{**merged.__dict__, "steadiness": None})
    assert alarms(without, batches) >= 16
    shifted = [(frame.assign(x=np.minimum(frame["x"] + 5, 8)), times) for frame, times in batches[:10]]
    assert alarms(merged, shifted) >= 9


def test_levels_of_one_length_are_pooled_as_one_sample_would_be():
    rng = np.random.default_rng(2)
    logs = rng.normal(-3, 0.4, 10), rng.normal(-2, 0.2, 30)
    one, other = ({"x": {"ks": [[len(s), 500.0, s.mean(), s.std(ddof=1), 8.0]]}} for s in logs)
    chunks, rows, mean, spread, independent = merge_steadiness(one, other)["x"]["ks"][0]
    both = np.concatenate(logs)
    assert (chunks, rows, independent) == (40, 500.0, 16.0)
    assert (mean, spread) == (pytest.approx(both.mean(), rel=1e-4), pytest.approx(both.std(ddof=1), rel=1e-4))
    assert merge_steadiness(one, other) == merge_steadiness(other, one)


def test_what_only_one_part_knows_is_kept():
    level, longer = [10, 500.0, -3.0, 0.3, 9.0], [8, 5000.0, -4.0, 0.2, 8.0]
    one = {"x": {"ks": [level]}, "y": {"missing": [level]}}
    merged = merge_steadiness(one, {"x": {"ks": [longer], "groups": [level]}})
    assert merged == {"x": {"ks": [level, longer], "groups": [level]}, "y": {"missing": [level]}}
    assert merge_steadiness(None, one) == merge_steadiness(one, None) == one
    assert merge_steadiness(None, None) is None


def test_a_merged_reference_keeps_what_it_knows_in_its_file():
    rng = np.random.default_rng(3)
    merged = merge(profile(days_from(rng, 0, 10)), profile(days_from(rng, 10, 12)))
    again = Profile.from_dict(json.loads(json.dumps(merged.to_dict())))
    now = profile(days_from(rng, 30, 1), merged)
    assert compare_profiles(again, now, DEFAULTS) == compare_profiles(merged, now, DEFAULTS)
    assert compare_profiles(merged, now, DEFAULTS)[0].usual["chunks"] == 22
