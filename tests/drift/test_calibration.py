"""What differs from day to day anyway is no drift, and what goes beyond it is."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from detect_drift import check_data_drift
from evergreen.data.sources import table_of
from evergreen.drift.calibration import level_for, t_quantile
from evergreen.drift.columns import compare_profiles
from evergreen.drift.in_time import profile_reference, profile_rows, with_past
from evergreen.drift.profile import Profile, profile_arrays
from evergreen.drift.steadiness import Level, from_scale, to_scale
from evergreen.settings import DataSettings, DriftSettings, Settings

DEFAULTS = DriftSettings()
START = np.datetime64("2026-03-02T00:00", "us")  # a Monday
DAY = 24 * 3600 * 10**6


def times_of(days, rows):
    """So many rows a day, evenly spread over it."""
    at = np.repeat(np.arange(days), rows) * DAY + np.tile(np.arange(rows) * (DAY // rows), days)
    return START + at.astype("timedelta64[us]")


def kinds_of(columns):
    return {name: "number" if pa.array(values).type == pa.float64() else "category" for name, values in columns.items()}


def reference_of(columns, times, settings=DEFAULTS):
    arrays = {name: pa.array(values) for name, values in columns.items()}
    return with_past(profile_arrays(arrays, kinds_of(columns)), lambda name: [arrays[name]], times, settings)


def judge(reference, columns, settings=DEFAULTS):
    arrays = {name: pa.array(values) for name, values in columns.items()}
    current = profile_arrays(arrays, kinds_of(columns), against=reference)
    return {column.name: column for column in compare_profiles(reference, current, settings)}


def days_of(rng, days, rows, between, columns=1):
    """Columns of normal values whose mean differs from day to day by `between` standard deviations."""
    return {
        f"x{i}": (rng.normal(size=(days, rows)) + rng.normal(0, between, (days, 1))).ravel() for i in range(columns)
    }


def run(rng, between, columns=1, days=10, shift=0.0):
    reference = reference_of(days_of(rng, days, 500, between, columns), times_of(days, 500))
    current = days_of(rng, 1, 500, between, columns)
    current["x0"] = current["x0"] + shift
    return judge(reference, current)


def test_the_calibrated_p_value_is_that_of_the_formula():
    """Every number again, stretch by stretch, with SciPy's t distribution and nothing of ours but the edges."""
    rng = np.random.default_rng(1)
    days = rng.normal(size=(12, 400)) + rng.normal(0, 0.3, (12, 1))
    now = rng.normal(0.8, 1, 400)
    reference = reference_of({"x": days.ravel()}, times_of(12, 400))
    edges = reference.columns["x"].edges
    twenty = np.array([0, *np.flatnonzero(np.diff(_group_of_each_bin(reference.columns["x"].counts))) + 1])
    distances = {"ks": [], "groups": []}
    for day in range(12):
        for name, value in _distances(days[day], np.delete(days, day, axis=0).ravel(), edges, twenty).items():
            distances[name].append(np.log(value))
    expected = []
    for name, value in _distances(now, days.ravel(), edges, twenty).items():
        logs = np.array(distances[name])
        centred = logs - logs.mean()
        alike = max(0.0, centred[1:] @ centred[:-1] / (centred @ centred))
        k = 12 * (1 - alike) / (1 + alike)
        statistic = (np.log(value) - logs.mean()) / (logs.std(ddof=1) * np.sqrt(1 + 1 / k))
        expected.append(stats.t.sf(statistic, k - 1))
    column = judge(reference, {"x": now})["x"]
    assert column.p_calibrated == pytest.approx(2 * min(expected), rel=2e-3)  # levels are kept with 5 digits
    assert column.p_adjusted == max(column.p_value, column.p_calibrated)
    assert (column.usual["chunks"], column.usual["rows"], column.usual["measure"]) == (12, 400, "ks")


def _group_of_each_bin(counts):
    middle = np.cumsum(counts) - counts / 2
    return np.minimum((middle / counts.sum() * 20).astype(int), 19)


def _distances(one, rest, edges, twenty):
    p, q = (
        np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) / len(values) for values in (rest, one)
    )
    ks = max(abs(p[:place].sum() - q[:place].sum()) for place in range(1, len(p)))
    p, q = np.add.reduceat(p, twenty), np.add.reduceat(q, twenty)
    return {"ks": ks, "groups": np.sqrt(sum((a - b) ** 2 / (a + b) for a, b in zip(p, q, strict=True)) / 2)}


def test_columns_borrow_the_spread_of_the_others():
    """By hand: s² = ((K - 1)·s² + 4·median²)/(K + 3), K + 3 degrees of freedom."""
    rng = np.random.default_rng(2)
    reference = reference_of(days_of(rng, 10, 300, 0.1, columns=5), times_of(10, 300))
    level = [10, 300.0, -2.5, 0.3, 10.0]
    levels = {f"x{i}": {"ks": [[*level[:3], spread, 10.0]]} for i, spread in enumerate((0.3, 0.2, 0.4, 0.5, 0.6))}
    column = judge(replace(reference, steadiness=levels), {f"x{i}": rng.normal(size=300) for i in range(5)})["x0"]
    spread = np.sqrt((9 * 0.3**2 + 4 * 0.4**2) / 13)
    statistic = (np.log(column.statistics["ks"]) + 2.5) / (spread * np.sqrt(1.1))
    assert column.p_calibrated == pytest.approx(stats.t.sf(statistic, 13), rel=1e-9)
    limit = np.exp(-2.5 + stats.t.isf(0.05, 13) * spread * np.sqrt(1.1))
    assert column.usual["distance"] == pytest.approx(limit, rel=1e-6)


@pytest.mark.parametrize("freedom", [1.0, 7.3, 40.0])
def test_quantiles_of_t_are_those_of_scipy(freedom):
    assert t_quantile(0.05, freedom) == pytest.approx(stats.t.isf(0.05, freedom), rel=1e-8)


@pytest.mark.parametrize("between", [0.0, 0.1, 0.2])
def test_a_clean_day_is_rarely_significant_whatever_the_days_differ_by(between):
    """At a level of 5 %, 100 days: the test of the rows alone is sure of a change in a third to half of them."""
    rng = np.random.default_rng(3)
    found = [run(rng, between)["x0"] for _ in range(100)]
    assert np.mean([column.p_adjusted <= 0.05 for column in found]) <= 0.10
    if between:
        assert np.mean([column.p_value <= 0.05 for column in found]) >= 0.2


def test_runs_of_twenty_columns_are_silent_where_days_differ_and_a_large_shift_is_found():
    rng = np.random.default_rng(4)
    clean = [run(rng, 0.1, columns=20).values() for _ in range(34)]
    assert np.mean([any(column.status == "drift" for column in columns) for columns in clean]) <= 0.06
    shifted = [run(rng, 0.1, columns=20, shift=0.8)["x0"].status for _ in range(20)]
    assert shifted.count("drift") >= 17


def test_a_material_difference_that_is_usual_is_watched_and_says_so():
    rng = np.random.default_rng(5)
    reference = reference_of(days_of(rng, 12, 2000, 0.5), times_of(12, 2000))
    column = judge(reference, {"x0": rng.normal(0.5, 1, 2000)})["x0"]
    assert (column.status, column.p_value < 1e-6) == ("watch", True)
    assert "stretches of the reference differ as much among themselves (KS up to 0." in column.reason
    assert column.reason.endswith(f"is usual here); p = {column.p_adjusted:.2g}.")
    without = judge(replace(reference, steadiness=None), {"x0": rng.normal(0.5, 1, 2000)})["x0"]
    assert (without.status, without.usual, without.p_calibrated) == ("drift", None, None)


def test_a_small_difference_that_is_usual_is_no_drift():
    rng = np.random.default_rng(6)
    days = days_of(rng, 12, 20_000, 0.05)
    now = rng.normal(days["x0"].mean() + 0.06, 1, 20_000)
    column = judge(reference_of(days, times_of(12, 20_000)), {"x0": now})["x0"]
    assert (column.status, column.p_value < 1e-6) == ("no_drift", True)
    assert "is usual here" in column.reason


def words(rng, share, rows=500):
    return np.where(rng.random(rows) < share, "a", np.where(rng.random(rows) < 0.5, "b", "c"))


def test_shares_of_categories_that_differ_from_day_to_day_are_usual():
    rng = np.random.default_rng(7)
    shares = 0.4 + rng.normal(0, 0.08, 14)
    reference = reference_of({"w": np.concatenate([words(rng, share) for share in shares])}, times_of(14, 500))
    usual = judge(reference, {"w": words(rng, 0.50)})["w"]
    assert (usual.status, usual.p_value < 0.01, usual.usual["measure"]) == ("watch", True, "groups")
    assert "Cramér's V up to" in usual.reason
    assert judge(reference, {"w": words(rng, 0.9)})["w"].status == "drift"


def gaps(rng, share, rows=500):
    return pa.array(rng.normal(size=rows), mask=rng.random(rows) < share)


def test_missing_rates_that_differ_from_day_to_day_are_usual():
    rng = np.random.default_rng(8)
    arrays = [gaps(rng, share) for share in rng.uniform(0.02, 0.30, 14)]
    reference = reference_of({"x": pa.concat_arrays(arrays)}, times_of(14, 500))
    usual = judge(reference, {"x": gaps(rng, 0.28)})["x"]
    assert (usual.status, usual.statistic, usual.p_value < 1e-6) == ("watch", "missing", True)
    assert "points more is usual here" in usual.reason
    found = judge(reference, {"x": gaps(rng, 0.8)})["x"]
    assert (found.status, found.statistic) == ("drift", "missing")
    steady = reference_of({"x": pa.concat_arrays([gaps(rng, 0.05) for _ in range(14)])}, times_of(14, 500))
    assert judge(steady, {"x": gaps(rng, 0.28)})["x"].status == "drift"


def test_columns_that_never_change_are_no_obstacle():
    rng = np.random.default_rng(9)
    columns = {"same": np.full(4000, 7.0), "x": rng.normal(size=4000), "w": ["a"] * 4000}
    reference = reference_of(columns, times_of(10, 400))
    now = {"same": np.full(400, 7.0), "x": rng.normal(size=400), "w": ["a"] * 400}
    assert {column.status for column in judge(reference, now).values()} == {"no_drift"}
    assert judge(reference, now | {"same": rng.normal(size=400)})["same"].status == "drift"
    assert judge(reference, now | {"w": words(rng, 0.7, 400)})["w"].status == "drift"


def test_current_rows_of_many_days_are_held_against_less_than_those_of_one():
    """A level's distances shrink with more rows by their noise, never by what days have in common."""
    levels = [Level(10, 500.0, np.log(0.05), 0.3, 10.0)]

    def noise(rows):
        return 0.832 / np.sqrt(rows)

    typical = [np.exp(level_for(levels, rows, noise).mean) for rows in (125, 500, 1000, 10_000, 10**9)]
    assert typical[:2] == pytest.approx([0.1, 0.05])
    assert typical == sorted(typical, reverse=True)
    lasting = (0.05 * np.exp(0.3 / np.sqrt(10))) ** 2 - noise(500) ** 2
    assert typical[-1] == pytest.approx(np.sqrt(lasting), rel=1e-3)


def test_the_level_nearest_in_length_is_used():
    levels = [Level(80, 60.0, -2.0, 0.3, 80.0), Level(20, 500.0, -3.0, 0.3, 20.0), Level(8, 2000.0, -4.0, 0.2, 8.0)]
    chosen = [level_for(levels, rows, lambda rows: 1 / rows).chunks for rows in (10, 60, 300, 900, 1100, 4000)]
    assert chosen == [80, 80, 20, 20, 8, 8]


def test_rows_longer_than_any_stretch_are_held_against_the_length_that_tells_most():
    """Weeks of a rhythm lie closer together than its days; but three weeks know too little of their spread."""
    days, weeks = Level(40, 300.0, -1.5, 0.3, 40.0), Level(9, 2100.0, -3.0, 0.3, 9.0)

    def chosen(*levels):
        return level_for(levels, 10**6, lambda rows: rows**-0.5).chunks

    assert chosen(days, weeks) == 9
    assert chosen(replace(days, mean=-3.0), weeks) == 40
    assert chosen(replace(days, mean=-2.8), replace(weeks, independent=2.0)) == 40


def test_neighbours_that_share_a_day_count_for_less():
    rng = np.random.default_rng(10)
    hours = reference_of(days_of(rng, 9, 4800, 0.3), times_of(9, 4800))
    level = Level(*next(level for level in hours.steadiness["x0"]["ks"] if level[0] > 100))
    assert level.independent < level.chunks / 3


def test_a_reference_without_enough_stretches_is_judged_by_its_rows_alone():
    rng = np.random.default_rng(11)
    assert reference_of({"x": rng.normal(size=399)}, np.arange(399)).steadiness is None
    assert reference_of({"x": rng.normal(size=400)}, np.arange(400)).steadiness is not None
    sixteen = DriftSettings(min_chunks=16)
    assert reference_of({"x": rng.normal(size=799)}, np.arange(799), sixteen).steadiness is None
    assert reference_of({"x": rng.normal(size=4000)}, np.repeat(START, 4000)).steadiness is None


def test_what_a_reference_knows_survives_its_file_and_is_small():
    rng = np.random.default_rng(12)
    columns = days_of(rng, 20, 200, 0.1, columns=3) | {"w": words(rng, 0.3, 4000)}
    reference = reference_of(columns, times_of(20, 200))
    again = Profile.from_dict(reference.to_dict())
    now = {name: values[:200] for name, values in columns.items()}
    assert [c.p_calibrated for c in judge(again, now).values()] == [
        c.p_calibrated for c in judge(reference, now).values()
    ]
    assert all(sum(map(len, levels.values())) <= 12 for levels in reference.steadiness.values())


@pytest.mark.parametrize("season", ["", "hour"])
def test_the_number_of_jobs_makes_no_difference(season):
    rng = np.random.default_rng(14)
    frame = pd.DataFrame(days_of(rng, 10, 300, 0.1, columns=6) | {"at": times_of(10, 300)})
    table = table_of(frame, "rows", DataSettings(time="at"))
    kinds = dict.fromkeys([f"x{i}" for i in range(6)], "number") | {"at": "time"}
    one, four = (profile_reference(table, kinds, DriftSettings(season=season), jobs=jobs) for jobs in (1, 4))
    assert one.to_dict() == four.to_dict()
    assert one.steadiness.keys() == kinds.keys()


def test_the_order_of_rows_and_columns_makes_no_difference():
    rng = np.random.default_rng(13)
    frame = pd.DataFrame(days_of(rng, 10, 300, 0.1, columns=3) | {"w": words(rng, 0.3, 3000)})
    kinds = dict.fromkeys(["x0", "x1", "x2"], "number") | {"w": "category"}
    times = times_of(10, 300)
    order = rng.permutation(3000)
    straight = profile_rows(frame, kinds, times, DEFAULTS)
    mixed = profile_rows(frame.iloc[order][["w", "x2", "x0", "x1"]], kinds, times[order], DEFAULTS)
    assert straight.steadiness == {name: mixed.steadiness[name] for name in straight.steadiness}


def seasonal(rng, first, days, shift=0.0, a_day=60):
    """Temperatures of a year with summer and winter."""
    at = pd.Timestamp("2022-01-01") + pd.to_timedelta(first * 24 * 60 + np.arange(days * a_day) * 24, unit="min")
    wave = 10 * np.sin(2 * np.pi * at.day_of_year / 365.25)
    noise = rng.normal(size=(2, len(at)))
    return pd.DataFrame({"at": at, "x": 12 + wave + 3 * noise[0] + shift, "y": noise[1]})


def test_what_is_ordinary_is_said_to_be_with_the_way_to_see_more():
    rng = np.random.default_rng(8)
    settings = Settings(data=DataSettings(time="at"))
    reference, july = seasonal(rng, 0, 730), seasonal(rng, 730 + 181, 31)
    report = check_data_drift(reference, july, settings)
    (x,) = [column for column in report.columns if column.name == "x"]
    assert (report.verdict, x.status, x.ordinary) == ("no_drift", "watch", True)
    assert x.smallest_shift > 1, "a shift that small hides among the seasons"
    (told,) = report.reasons
    assert told.startswith("No change out of the ordinary in 2 columns. Stretches of the reference differ among")
    assert "as much as now: x. If these are seasons, drift.season compares like with like." in told


def test_where_stretches_lie_far_apart_rows_beyond_them_all_are_drift():
    """The logarithm of a distance ends at 0: where stretches lie 0.8 from the rest, 1 would be next to nothing more."""
    rng = np.random.default_rng(9)
    settings = Settings(data=DataSettings(time="at"))
    reference = seasonal(rng, 0, 730)
    assert check_data_drift(reference, seasonal(rng, 730, 365), settings).verdict == "no_drift"
    assert check_data_drift(reference, seasonal(rng, 730, 365, shift=40), settings).drifted == ("x",)


@given(st.floats(0.001, 0.999))
def test_the_scale_of_distances_has_a_way_back(distance):
    assert from_scale(float(to_scale(distance, 10_000))) == pytest.approx(distance)


def test_the_shift_that_would_have_shown_shows_and_half_of_it_may_not():
    """With twenty columns whose days differ, and one of them shifted by just that much."""
    rng = np.random.default_rng(10)
    found = {1.0: 0, 0.5: 0}
    for _ in range(16):
        reference = days_of(rng, 40, 200, 0.25, columns=20)
        known, day = reference_of(reference, times_of(40, 200)), days_of(rng, 1, 200, 0.25, columns=20)
        shift = judge(known, day)["x0"].smallest_shift * np.std(reference["x0"])
        for factor in found:
            found[factor] += judge(known, {**day, "x0": day["x0"] + factor * shift})["x0"].p_adjusted <= 0.05
    assert found[1.0] >= 12 > found[0.5]
