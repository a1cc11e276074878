"""Correlations of a batch are held against those that stretches of the reference ordinarily have."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from detect_drift import check_data_drift
from evergreen.drift.in_time import profile_rows, relate_rows
from evergreen.drift.joint import compare_relations
from evergreen.drift.pair_steadiness import (
    PairLevel,
    Scores,
    find_pair_levels,
    fisher,
    merge_pair_levels,
    read_pair_level,
    usual_p_values,
)
from evergreen.drift.relations import measure_relations
from evergreen.drift.steadiness import SHRINKAGE
from evergreen.settings import DataSettings, DriftSettings, Settings

START = pd.Timestamp("2026-01-05")
BY_TIME = Settings(data=DataSettings(time="at"))


def days(rng, first, count, spread, r=0.3, a_day=100, columns=4):
    """Rows of days of which each has a correlation of its own: Fisher's z differs by so much from day to day."""
    parts = []
    for day in range(first, first + count):
        own = np.tanh(np.arctanh(r) + spread * rng.normal())
        hidden = rng.normal(size=(a_day, 1))
        x = np.sqrt(abs(own)) * hidden * np.sign(own) ** np.arange(columns)
        x = x + np.sqrt(1 - abs(own)) * rng.normal(size=(a_day, columns))
        frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(columns)])
        parts.append(frame.assign(at=START + pd.Timedelta(days=day) + pd.to_timedelta(np.arange(a_day), unit="min")))
    return pd.concat(parts, ignore_index=True)


def test_levels_hold_the_mean_and_spread_of_fishers_z_of_the_stretches():
    rng = np.random.default_rng(1)
    values, pieces = rng.normal(size=(2400, 3)), np.repeat(np.arange(24), 100)
    values[::7, 1] = np.nan
    scores = Scores(np.rint(100 * values), 5, np.zeros(2400, int))
    short, long = find_pair_levels(scores, pieces, [np.arange(24), np.arange(0, 24, 2)], 8)
    assert (short.chunks, short.rows, short.looked_at, long.chunks, long.rows) == (24, 500, 100, 12, 1000)
    frame = pd.DataFrame(np.rint(100 * values))
    pairs = [1, 2, 2], [0, 0, 1]
    own, rest = (
        np.arctanh([frame[pick(place)].corr().to_numpy()[pairs] for place in range(24)])
        for pick in (lambda place: pieces == place, lambda place: pieces != place)
    )
    expected = own - rest
    assert short.means[[1, 2, 2], [0, 0, 1]] == pytest.approx(expected.mean(axis=0))
    assert short.spreads[[1, 2, 2], [0, 0, 1]] == pytest.approx(expected.std(axis=0, ddof=1))
    assert np.isnan(np.diag(short.means)).all()


def test_too_few_or_too_short_stretches_and_rows_without_a_time_tell_nothing():
    rng = np.random.default_rng(2)
    scores = Scores(np.rint(100 * rng.normal(size=(700, 2))), 1, np.zeros(700, int))
    assert find_pair_levels(scores, np.repeat(np.arange(7), 100), [np.arange(7)], 8) == ()
    assert find_pair_levels(scores, np.repeat(np.arange(14), 50) // 2 * 2, [np.arange(14)], 8) == ()
    assert find_pair_levels(scores, np.full(700, -1), [np.arange(8)], 8) == ()


def test_how_usual_a_change_is_comes_from_students_t():
    level = PairLevel(12, 100.0, 100.0, 12.0, np.array([[np.nan, 0.1], [0.1, np.nan]]), np.full((2, 2), 0.2))
    (found,) = usual_p_values([level], 100, np.array([0.7]), np.array([100.0]), (np.array([0]), np.array([1])))
    borrowed = min(SHRINKAGE, 0)
    assert found == pytest.approx(2 * stats.t.sf(0.6 / (0.2 * np.sqrt(1 + 1 / 12)), 11 + borrowed))
    (fewer,) = usual_p_values([level], 100, np.array([0.7]), np.array([20.0]), (np.array([0]), np.array([1])))
    more = np.sqrt(0.2**2 + 1 / 17 - 1 / 97 + 0.2**2 / 12)
    assert fewer == pytest.approx(2 * stats.t.sf(0.6 / more, 11 + borrowed))


def test_rows_of_many_stretches_average_out_what_stretches_differ_by():
    level = PairLevel(12, 100.0, 100.0, 12.0, np.zeros((2, 2)), np.full((2, 2), 0.2))
    changes, places = np.array([0.5]), (np.array([0]), np.array([1]))
    found = [usual_p_values([level], rows, changes, np.array([rows]), places)[0] for rows in (100, 200, 800, 10_000)]
    assert found == sorted(found, reverse=True)
    noise, borne = 1 / 97, 0.2**2 * np.exp(np.sqrt(2 / 11))
    scale = np.sqrt((borne - noise) / 8 + 1 / 797 + 0.2**2 / 12)
    assert found[2] == pytest.approx(2 * stats.t.sf(0.5 / scale, 11))


def test_levels_go_through_a_file():
    rng = np.random.default_rng(3)
    scores = Scores(np.rint(100 * rng.normal(size=(1600, 3))), 1, np.zeros(1600, int))
    (level,) = find_pair_levels(scores, np.repeat(np.arange(16), 100), [np.arange(16)], 8)
    again = read_pair_level(json.loads(json.dumps(level.to_dict(), allow_nan=False)))
    assert again.means == pytest.approx(level.means, abs=1e-4, nan_ok=True)
    assert again.spreads == pytest.approx(level.spreads, abs=1e-4, nan_ok=True)
    assert (again.chunks, again.rows, again.independent) == (level.chunks, level.rows, level.independent)


def test_days_whose_correlations_differ_are_no_drift_and_rows_alone_would_say_so():
    """Twenty clean weeks: rows taken for independent are sure of a change in nearly half of them."""
    rng = np.random.default_rng(4)
    alarms = {"by time": 0, "rows alone": 0}
    for _ in range(20):
        reference, week = days(rng, 0, 84, 0.35), days(rng, 90, 7, 0.35)
        for words, settings in (("by time", BY_TIME), ("rows alone", Settings(drift=DriftSettings()))):
            drop = [] if words == "by time" else ["at"]
            report = check_data_drift(reference.drop(columns=drop), week.drop(columns=drop), settings)
            alarms[words] += any(pair.p_adjusted <= 0.05 for pair in report.joint.pairs)
    assert alarms["by time"] <= 3 and alarms["rows alone"] >= 6


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_a_relation_that_is_lost_is_found_beside_days_that_differ_little(spread):
    rng = np.random.default_rng(5)
    for _ in range(5):
        reference, week = days(rng, 0, 84, spread, r=0.6), days(rng, 90, 7, spread, r=0.2)
        assert check_data_drift(reference, week, BY_TIME).joint.verdict == "drift"


def test_a_pair_that_no_stretch_tells_is_judged_by_its_rows():
    nothing = PairLevel(8, 100.0, 100.0, 2.0, np.full((2, 2), np.nan), np.full((2, 2), np.nan))
    assert np.isnan(usual_p_values([nothing], 100, np.ones(1), np.full(1, 100.0), (np.array([0]), np.array([1])))).all()


def test_stretches_of_two_parts_are_pooled_by_length_in_any_order():
    rng = np.random.default_rng(6)
    one, other = (
        find_pair_levels(Scores(values, 1, np.zeros(rows, int)), np.arange(rows) // 100, [np.arange(rows // 100)], 8)
        for rows in (1600, 2400)
        for values in [np.rint(100 * rng.normal(size=(rows, 3)))]
    )
    (merged,), (again,) = merge_pair_levels(one, other), merge_pair_levels(other, one)
    assert (merged.chunks, merged.looked_at, merged.independent) == (40, 100, one[0].independent + other[0].independent)
    for level in (merged, again):
        assert level.means[1, 0] == pytest.approx((16 * one[0].means[1, 0] + 24 * other[0].means[1, 0]) / 40)
    assert merged.spreads == pytest.approx(again.spreads, nan_ok=True)
    assert merge_pair_levels(one, ()) == merge_pair_levels((), one) == one


def test_levels_of_seasons_are_not_for_a_comparison_without_seasons():
    """A card made with drift.season, and the setting taken back: within weekdays weeks differ less than weekdays do."""
    rng = np.random.default_rng(7)
    parts = [days(rng, day, 1, 0.0, r=0.2 + 0.6 * (day % 7 >= 5)) for day in range(84)]
    week = pd.concat([days(rng, day, 1, 0.0, r=0.2 + 0.6 * (day % 7 >= 5)) for day in (89, 90)], ignore_index=True)
    reference = pd.concat(parts, ignore_index=True)
    kinds = dict.fromkeys([f"x{i}" for i in range(4)], "number")
    settings = DriftSettings(season="weekday")
    times = reference["at"].to_numpy().astype("datetime64[us]")
    profile = relate_rows(profile_rows(reference, kinds, times, settings), reference, times, settings)
    samples = {name: week[name].to_numpy() for name in kinds}
    now = measure_relations(samples, profile.columns, against=profile.relations)
    bare = compare_relations(replace(profile.relations, levels=()), now, settings)
    assert compare_relations(profile.relations, now, settings) == bare


def test_fishers_z_stays_finite():
    assert np.isfinite(fisher(np.array([-1.0, 1.0]))).all()
