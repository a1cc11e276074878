"""Columns that no longer go together as they did are found; whatever columns do alone, is not taken for it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from detect_drift import check_data_drift
from evergreen.data.frames import to_arrow
from evergreen.drift.in_time import profile_rows, relate_rows
from evergreen.drift.joint import compare_relations
from evergreen.drift.profile import Profile, merge, profile_arrays, relate_frame
from evergreen.drift.relations import measure_relations, split_in_time
from evergreen.drift.seasons import season_of
from evergreen.settings import DataSettings, DriftSettings, Settings

DEFAULTS = DriftSettings()
WEEKDAY = DriftSettings(season="weekday")
START = pd.Timestamp("2026-03-02")  # a Monday


def correlated(rng, rows, r):
    """Two columns, of which one is far from normal; their order goes together as normal values with r do."""
    x = rng.normal(size=rows)
    y = r * x + np.sqrt(1 - r**2) * rng.normal(size=rows)
    return pd.DataFrame({"x": x, "y": np.exp(2 * y)})


def relate(reference, current, settings=DEFAULTS):
    kinds = dict.fromkeys(reference.columns, "number")
    profile = relate_frame(
        profile_rows(reference, kinds, np.repeat(np.datetime64("NaT", "us"), len(reference)), settings), reference
    )
    samples = {name: current[name].to_numpy() for name in current}
    now = measure_relations(samples, profile.columns, against=profile.relations)
    return profile.relations, now, compare_relations(profile.relations, now, settings)


def test_correlations_are_those_of_numpy_on_normal_scores():
    """And the z of their change is Fisher's, with the factor by which either scatters more."""
    rng = np.random.default_rng(1)
    before, after = correlated(rng, 900, 0.6), correlated(rng, 500, 0.2)
    reference, current, joint = relate(before, after)
    r = np.corrcoef(*(stats.norm.ppf((stats.rankdata(before[name]) - 0.5) / 900) for name in "xy"))[0, 1]
    places = [np.searchsorted(np.sort(before[name]), after[name]) / 900 for name in "xy"]
    s = np.corrcoef(*(stats.norm.ppf(np.clip(place, 0.5 / 900, 1 - 0.5 / 900)) for place in places))[0, 1]
    pair = joint.pairs[0]
    assert (pair.reference, pair.current) == (pytest.approx(r, abs=0.01), pytest.approx(s, abs=0.01))
    factor = max(reference.scatter_factors()[0, 1], current.scatter_factors()[0, 1])
    z = (np.arctanh(pair.reference) - np.arctanh(pair.current)) / np.sqrt(factor * (1 / 897 + 1 / 497))
    assert pair.p_adjusted == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-6)
    assert (pair.columns, pair.status, joint.verdict) == (("x", "y"), "drift", "drift")


def test_clean_runs_are_rarely_significant():
    """200 runs at 5 %; a change is called drift only where it is material too, which none is."""
    rng = np.random.default_rng(2)
    found = [relate(correlated(rng, 1000, 0.4), correlated(rng, 1000, 0.4))[2] for _ in range(200)]
    significant = [any(pair.p_adjusted <= 0.05 for pair in joint.pairs) for joint in found]
    assert 0.0 < np.mean(significant) <= 0.10
    assert not any(joint.drifted for joint in found)


def test_a_change_of_three_tenths_is_found_in_a_thousand_rows():
    rng = np.random.default_rng(3)
    found = [relate(correlated(rng, 1000, 0.4), correlated(rng, 1000, 0.1))[2].verdict for _ in range(60)]
    assert found.count("drift") >= 57


def test_columns_that_move_alone_are_no_change_of_relations():
    rng = np.random.default_rng(4)
    after = correlated(rng, 2000, 0.5)
    joint = relate(correlated(rng, 2000, 0.5), after.assign(y=after["y"] * 3, x=after["x"] + 0.4))[2]
    assert joint.verdict == "no_drift"


def test_the_order_of_rows_and_columns_makes_no_difference():
    rng = np.random.default_rng(5)
    before, after = (correlated(rng, 800, r).assign(z=rng.normal(size=800)) for r in (0.5, 0.1))
    mixed = [frame.sample(frac=1, random_state=1)[["z", "y", "x"]] for frame in (before, after)]
    assert relate(before, after)[2] == relate(*mixed)[2]


def week(rng, day, days, weekday=-0.1, weekend=0.9, a_day=300):
    """Rows whose columns go together at weekends alone; neither column has a rhythm of its own."""
    at = START + pd.to_timedelta(day + np.arange(days * a_day) // a_day, unit="D")
    r = np.where(at.day_of_week >= 5, weekend, weekday)
    x = rng.normal(size=len(at))
    return pd.DataFrame({"at": at, "x": x, "y": r * x + np.sqrt(1 - r**2) * rng.normal(size=len(at))})


def settings_of(season, **drift):
    return Settings(data=DataSettings(time="at"), drift=DriftSettings(season=season, **drift))


def test_a_weekend_is_no_relation_drift_beside_weekends_and_a_real_change_is_found():
    rng = np.random.default_rng(6)
    reference, weekend = week(rng, 0, 28), week(rng, 33, 2)
    calm = check_data_drift(reference, weekend, settings_of("weekday")).joint
    assert (calm.verdict, calm.pairs) == ("no_drift", ())
    changed = week(rng, 33, 2, weekend=0.3)
    assert check_data_drift(reference, changed, settings_of("")).joint.verdict == "no_drift", "days differ as much"
    joint = check_data_drift(reference, changed, settings_of("weekday")).joint
    assert (joint.verdict, joint.pairs[0].columns) == ("drift", ("x", "y"))
    assert (joint.pairs[0].reference, joint.pairs[0].current) == (
        pytest.approx(0.9, abs=0.05),
        pytest.approx(0.3, abs=0.1),
    )


def test_relations_within_seasons_by_hand():
    """Fisher's z in each season, averaged by the current rows in it."""
    rng = np.random.default_rng(7)
    before, after = week(rng, 0, 14), week(rng, 16, 4, weekend=0.4)
    profile = relate_rows(profile_of(before), before, times_of(before), WEEKDAY)
    now = relate_now(profile, after)
    z, variance, total = 0.0, 0.0, 0
    for season in now.seasons:
        one, other = (relations.seasons[season] for relations in (profile.relations, now))
        n, m = one.rows, other.rows
        factor = max(one.scatter_factors()[0, 1], other.scatter_factors()[0, 1])
        z += m * (np.arctanh(one.correlations()[0, 1]) - np.arctanh(other.correlations()[0, 1]))
        variance += m**2 * factor * (1 / (n - 3) + 1 / (m - 3))
        total += m
    pair = compare_relations(replace(profile.relations, levels=()), now, WEEKDAY).pairs[0]
    assert total == 4 * 300
    assert np.arctanh(pair.reference) - np.arctanh(pair.current) == pytest.approx(z / total)
    assert pair.p_adjusted == pytest.approx(2 * stats.norm.sf(abs(z) / np.sqrt(variance)), rel=1e-6)


def profile_of(frame):
    return profile_rows(frame, {"x": "number", "y": "number"}, times_of(frame), WEEKDAY)


def times_of(frame):
    return frame["at"].to_numpy().astype("datetime64[us]")


def relate_now(profile, frame):
    samples = {name: frame[name].to_numpy() for name in ("x", "y")}
    now = measure_relations(samples, profile.columns, against=profile.relations)
    edges = {name: profile.columns[name].edges for name in samples}
    return split_in_time(now, samples, edges, weight=1, seasons=season_of(times_of(frame), "weekday"))


def test_seasonal_relations_without_drift_are_silent():
    rng = np.random.default_rng(8)
    before = week(rng, 0, 28)
    profile = relate_rows(profile_of(before), before, times_of(before), WEEKDAY)
    found = []
    for day in range(28, 88):
        joint = compare_relations(profile.relations, relate_now(profile, week(rng, day, 1 + day % 4)), WEEKDAY)
        found.append(any(pair.p_adjusted <= 0.05 for pair in joint.pairs))
        assert joint.verdict == "no_drift"
    assert np.mean(found) <= 0.15


def test_relations_of_seasons_survive_their_file_and_add_up():
    rng = np.random.default_rng(9)
    before, after = week(rng, 0, 14), week(rng, 14, 7)
    profile = relate_rows(profile_of(before), before, times_of(before), WEEKDAY)
    again = Profile.from_dict(json.loads(json.dumps(profile.to_dict())))
    whole = compare_relations(profile.relations, relate_now(profile, after), WEEKDAY)
    assert compare_relations(again.relations, relate_now(again, after), WEEKDAY) == whole
    arrays = {name: to_arrow(after[name]) for name in ("x", "y")}
    now = profile_arrays(arrays, {"x": "number", "y": "number"}, against=profile)
    parts = [replace(now, relations=relate_now(profile, after.iloc[part])) for part in (slice(500), slice(500, None))]
    merged = merge(*parts).relations
    for season, part in relate_now(profile, after).seasons.items():
        for sums in ("counts", "sums", "squares", "products"):
            assert getattr(merged.seasons[season], sums).tolist() == getattr(part, sums).tolist()


def test_in_few_rows_a_changed_relation_is_watched_and_no_alarm():
    rng = np.random.default_rng(8)
    few = relate(correlated(rng, 2000, 0.5), correlated(rng, 300, -0.5))[2]
    many = relate(correlated(rng, 2000, 0.5), correlated(rng, 600, -0.5))[2]
    assert (few.verdict, few.pairs[0].status) == ("no_drift", "watch")
    assert (many.verdict, many.pairs[0].status) == ("drift", "drift")
