"""Where data has a rhythm, like is compared with like: a Saturday with Saturdays."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import detect_drift
from detect_drift import check_data_drift
from evergreen.config_file import load
from evergreen.drift.columns import compare_profiles
from evergreen.drift.in_time import profile_rows
from evergreen.drift.outcomes import profile_answers, profile_target
from evergreen.drift.profile import Profile, merge, profile_arrays
from evergreen.drift.seasons import effective_rows, like_with_like, season_of
from evergreen.drift.steadiness import find_levels
from evergreen.errors import UsageError
from evergreen.scoring.predictions import Predictions
from evergreen.settings import DataSettings, DriftSettings, Settings

START = pd.Timestamp("2026-03-02")  # a Monday
WEEKDAY = DriftSettings(season="weekday")
BARE = DriftSettings(season="weekday", min_chunks=10_000)  # without calibration, to see what seasons do alone
KINDS = {"x": "number", "plan": "category"}


def rows_from(rng, day, days, a_day=240, shift=0.0):
    """Rows of a shop: at weekends values are larger by 1.5 standard deviations, and gold is bought more often."""
    at = START + pd.to_timedelta(day * 24 * 60 + np.arange(days * a_day) * (24 * 60 // a_day), unit="min")
    weekend = at.day_of_week >= 5
    x = rng.normal(size=len(at)) + 1.5 * weekend + shift
    plan = np.where(rng.random(len(at)) < np.where(weekend, 0.6, 0.2), "gold", "basic")
    return pd.DataFrame({"at": at, "x": x, "plan": plan})


def times_of(frame):
    return frame["at"].to_numpy().astype("datetime64[us]")


def profile(frame, settings, against=None):
    return profile_rows(frame, KINDS, times_of(frame), settings, against=against)


def judge(reference, current, settings=BARE):
    before = profile(reference, settings)
    columns = compare_profiles(before, profile(current, settings, before), settings)
    return {column.name: column for column in columns}


@pytest.mark.parametrize(("by", "name"), [("hour", "hour"), ("weekday", "day_of_week"), ("month", "month")])
def test_seasons_are_those_of_pandas(by, name):
    at = pd.date_range("1931-12-30 22:00", periods=40_000, freq="7h3min")
    assert season_of(at.to_numpy().astype("datetime64[us]"), by).tolist() == getattr(at, name).tolist()


def test_effective_rows_by_hand():
    """Half of the current rows are from a season with 100 rows of 1000: 1/(0.25/100 + 0.25/900) = 360."""
    assert effective_rows({"5": 0.5, "0": 0.5}, {"0": 900, "5": 100}) == pytest.approx(360)


def test_the_reference_is_weighed_to_the_seasons_of_the_current_rows():
    """By hand: 600 rows of Monday with 10 % gold, 200 of Tuesday with 50 %; now a quarter is from Monday."""
    times = np.repeat(np.array(["2026-03-02", "2026-03-03"], "datetime64[us]"), (600, 200))
    plan = ["gold"] * 60 + ["basic"] * 540 + ["gold"] * 100 + ["basic"] * 100
    frame = pd.DataFrame({"at": times, "x": np.repeat([0.0, 10.0], (600, 200)), "plan": plan})
    before = profile(frame, BARE)
    now = profile(frame.iloc[[*range(50), *range(600, 750)]], BARE, before)
    weighed = like_with_like(before, now)
    rows = 1 / (0.25**2 / 600 + 0.75**2 / 200)
    assert weighed.rows == round(rows) == weighed.columns["plan"].present
    assert weighed.columns["plan"].counts["gold"] / rows == pytest.approx(0.25 * 0.1 + 0.75 * 0.5, abs=1 / rows)
    assert weighed.columns["x"].mean == pytest.approx(7.5, abs=10 / rows)
    assert weighed.columns["x"].deviation == pytest.approx(before.columns["x"].deviation)


def test_a_weekend_is_no_drift_beside_weekends_and_a_real_shift_is_found():
    rng = np.random.default_rng(12)
    reference = rows_from(rng, 0, 28)
    weekend = rows_from(rng, 33, 2)
    without = judge(reference, weekend, DriftSettings(min_chunks=10_000))
    assert {column.status for column in without.values()} == {"drift"}
    assert {column.status for column in judge(reference, weekend).values()} == {"no_drift"}
    shifted = judge(reference, rows_from(rng, 33, 2, shift=0.6))
    assert (shifted["x"].status, shifted["plan"].status) == ("drift", "no_drift")


def test_seasonal_rows_without_drift_are_silent_with_and_without_calibration():
    """40 stretches of one to three days each: no more alarms than without a rhythm."""
    rng = np.random.default_rng(2)
    references = {settings: profile(rows_from(rng, 0, 56), settings) for settings in (BARE, WEEKDAY)}
    alarms = dict.fromkeys(references, 0)
    for day in range(57, 97):
        rows = rows_from(rng, day, 1 + day % 3)
        for settings, reference in references.items():
            found = compare_profiles(reference, profile(rows, settings, reference), settings)
            alarms[settings] += any(column.status == "drift" for column in found)
    assert max(alarms.values()) <= 2


def test_calibration_compares_stretches_within_their_seasons():
    """Days of a weekly rhythm that are otherwise alike lie close together: a shift of 0.5 is not taken for one."""
    rng = np.random.default_rng(3)
    reference = profile(rows_from(rng, 0, 56), WEEKDAY)
    plain = profile(rows_from(rng, 0, 56), DriftSettings())
    rows = rows_from(rng, 61, 1, shift=0.5)
    found = compare_profiles(reference, profile(rows, WEEKDAY, reference), WEEKDAY)[0]
    assert (found.status, found.usual["distance"] < 0.15) == ("drift", True)
    assert compare_profiles(plain, profile(rows, DriftSettings(), plain), DriftSettings())[0].usual["distance"] > 0.2


def test_a_rhythm_of_the_week_is_no_drift_of_the_predictions():
    """The answers on a holdout of 2.4 days, Tuesday to Thursday, against those of whole weeks."""
    rng = np.random.default_rng(4)

    def said_of(frame):
        score = 1 / (1 + np.exp(-frame["x"].to_numpy()))
        return Predictions(
            np.where(score > 0.5, "1", "0").astype(object), np.column_stack([1 - score, score]), ("0", "1")
        )

    holdout = rows_from(rng, 1, 3).iloc[: int(2.4 * 240)]
    week = rows_from(rng, 7, 7)
    for settings, drifts in ((DriftSettings(), True), (WEEKDAY, False)):
        before = profile_answers(said_of(holdout), times_of(holdout), settings)
        now = profile_answers(said_of(week), times_of(week), settings, against=before)
        statuses = {column.status for column in compare_profiles(before, now, settings)}
        assert ("drift" in statuses) == drifts
    assert (now.rows, now.seasons["left_out"]) == (720, 960)
    labels = (week["x"] + rng.normal(size=len(week))).to_numpy()
    truth = profile_target(labels[240:960], times_of(week)[240:960], WEEKDAY)
    again = profile_target(labels, times_of(week), WEEKDAY, against=truth)
    assert compare_profiles(truth, again, WEEKDAY)[0].status == "no_drift"


def settings_of(**drift):
    return Settings(data=DataSettings(time="at"), drift=DriftSettings(**drift))


def test_rows_of_a_season_that_the_reference_does_not_know_are_left_out_and_counted():
    rng = np.random.default_rng(5)
    report = check_data_drift(rows_from(rng, 0, 5), rows_from(rng, 11, 3), settings_of(season="weekday"))
    assert report.season == {"by": "weekday", "rows_left_out": 480}
    assert (report.current.rows, report.verdict) == (240, "no_drift")


def test_nothing_comparable_is_not_enough_evidence_and_says_why():
    rng = np.random.default_rng(6)
    report = check_data_drift(rows_from(rng, 0, 5), rows_from(rng, 12, 2), settings_of(season="weekday"))
    assert (report.verdict, report.season["rows_left_out"]) == ("not_enough_evidence", 480)
    assert "None of the 480 new rows can be compared: the reference has no rows of their weekday" in str(report)


def test_a_stretch_that_is_alone_in_its_season_tells_nothing_of_what_is_usual():
    """Nine stretches: each with a season of its own, or all with the same two."""
    column = profile_arrays({"x": pa.array(np.arange(5400.0) % 300)}, {"x": "number"}).columns["x"]
    places = len(column.counts) + 1
    alone, together = np.zeros((9, 9, places), int), np.zeros((9, 2, places), int)
    for stretch in range(9):
        alone[stretch, stretch, :100] = together[stretch, :, :100] = 6
    lengths = [np.arange(9)]
    assert find_levels(alone, lengths, column, 8) == {}
    assert find_levels(together, lengths, column, 8)["ks"][0][:2] == [9, 1200.0]


def test_rows_without_a_time_are_left_out():
    rng = np.random.default_rng(7)
    now = rows_from(rng, 7, 7)
    now.loc[:99, "at"] = pd.NaT
    report = check_data_drift(rows_from(rng, 0, 28), now, settings_of(season="weekday"))
    assert (report.season["rows_left_out"], report.verdict) == (100, "no_drift")


def test_a_season_without_a_time_is_refused(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('[drift]\nseason = "hour"\n')
    with pytest.raises(UsageError, match=r"season = 'hour' needs data\.time, the column that says when"):
        load(config, {})


def test_a_card_from_before_the_setting_is_compared_as_a_whole_and_that_is_told(caplog):
    rng = np.random.default_rng(8)
    old = replace(profile(rows_from(rng, 0, 28), DriftSettings()), source="training rows")
    now = profile(rows_from(rng, 28, 7), WEEKDAY, old)
    assert now.seasons is None
    told = "training rows: the rows were not kept by weekday, so seasons are not compared; the model was made before"
    assert told in caplog.text and "The next training keeps them." in caplog.text


def test_a_saved_profile_without_seasons_is_told_in_words_that_know_no_model(tmp_path, capsys):
    rng = np.random.default_rng(8)
    rows_from(rng, 0, 28).to_csv(tmp_path / "old.csv", index=False)
    rows_from(rng, 28, 7).to_csv(tmp_path / "new.csv", index=False)
    old, new, saved = (str(tmp_path / name) for name in ("old.csv", "new.csv", "old.json"))
    timed = ["--set", "data.time=at"]
    assert detect_drift.main(["--reference", old, "--profile-out", saved, *timed]) == 0
    capsys.readouterr()
    assert detect_drift.main(["--reference", saved, "--current", new, *timed, "--set", "drift.season=weekday"]) == 0
    told = capsys.readouterr().err
    assert "the profile was taken before drift.season was set. Take it again with the setting." in told
    assert "model" not in told and "training" not in told


def test_seasons_survive_the_file_of_a_profile():
    rng = np.random.default_rng(9)
    frame = rows_from(rng, 0, 28)
    frame["plan"] = [f"p{i}" for i in np.minimum(rng.geometric(0.003, len(frame)), 1500)]
    before = profile(frame, WEEKDAY)
    again = Profile.from_dict(json.loads(json.dumps(before.to_dict())))
    now = profile(frame.iloc[-400:], WEEKDAY, before)
    assert compare_profiles(again, now, WEEKDAY) == compare_profiles(before, now, WEEKDAY)


def test_parts_of_the_current_rows_merge_with_their_seasons():
    rng = np.random.default_rng(10)
    before, now = profile(rows_from(rng, 0, 5), WEEKDAY), rows_from(rng, 7, 7)
    whole = profile(now, WEEKDAY, before)
    parts = merge(profile(now.iloc[:300], WEEKDAY, before), profile(now.iloc[300:], WEEKDAY, before))
    assert parts.seasons == whole.seasons
    assert merge(before, before).seasons is None


def test_row_order_and_file_format_make_no_difference(tmp_path, capsys):
    rng = np.random.default_rng(11)
    reference, current = rows_from(rng, 0, 28), rows_from(rng, 33, 3, shift=0.4)
    shuffled = reference.sample(frac=1, random_state=1), current.sample(frac=1, random_state=2)[["plan", "x", "at"]]
    documents = []
    for name, frames in {
        "a.parquet": (reference, current),
        "b.parquet": shuffled,
        "c.csv": (reference, current),
    }.items():
        for side, frame in zip(("old", "new"), frames, strict=True):
            path = tmp_path / f"{side}_{name}"
            frame.to_csv(path, index=False) if name.endswith("csv") else frame.to_parquet(
                path, row_group_size=1000, index=False
            )
        old, new = (str(tmp_path / f"{side}_{name}") for side in ("old", "new"))
        (tmp_path / "config.toml").write_text('[data]\ntime = "at"\n\n[drift]\nseason = "weekday"\n')
        flags = ["--json", "--config", str(tmp_path / "config.toml")]
        assert detect_drift.main(["--reference", old, "--current", new, *flags]) == 0
        document = json.loads(capsys.readouterr().out)
        documents.append([document["season"], sorted(map(json.dumps, document["columns"]))])
    assert documents[0] == documents[1] == documents[2]
    assert documents[0][0] == {"by": "weekday", "rows_left_out": 0}


def test_seasons_go_with_a_target_and_with_excluded_columns():
    rng = np.random.default_rng(9)
    at = pd.date_range("2026-01-01", periods=4000, freq="h")
    frame = pd.DataFrame({"at": at, "x": rng.normal(size=4000), "y": rng.normal(size=4000), "no": np.arange(4000)})
    settings = Settings(data=DataSettings(time="at", exclude=("no",)), drift=DriftSettings(season="weekday"))
    report = check_data_drift(frame[:3000], frame[3000:], settings, target="y")
    assert [column.name for column in report.columns if column.status != "skipped"] == ["x"]
    assert [column.name for column in report.target.columns] == ["y"]
