"""The loop over a known past: the same as the live loop, blind to the future, and worth its cache."""

import json
import pickle
import re
import tomllib
from dataclasses import replace as replaced

import jsonschema
import numpy as np
import pandas as pd
import pytest
from projects import PROJECT, journal, make_project, tree, world, write_table

import monitor
import replay as command
from evergreen.config_file import load
from evergreen.replay import library as libraries
from evergreen.replay.advice import advise
from evergreen.replay.library import Library
from evergreen.replay.past import read_past
from evergreen.replay.plays import find_opening, play_loop, settings_of_play, temporary_store, train_on_all
from evergreen.replay.policies import PRESETS, choose_policies
from evergreen.replay.replaying import hindsight_optimum, replay

TRAINING = "params = {max_iter = 8}\nwindow = '200'\nmin_holdout = 60\n"
POLICY = "preset = 'performance'\nmin_new_rows = 100\n"
PROMOTION = "min_rows = 60\n"
BLOCK = 150
SCHEMA = json.loads((PROJECT / "docs" / "results.schema.json").read_text())


def changing_world(seed=3):
    """The dependence turns round after half of the rows."""
    frame = pd.concat([world(900, seed=seed), world(900, seed=seed + 1, flip=True)], ignore_index=True)
    frame["at"] = pd.date_range("2025-01-01", periods=len(frame), freq="10min")
    return frame


def project(folder, frame=None):
    frame = changing_world() if frame is None else frame
    return make_project(folder, frame, training=TRAINING, policy=POLICY, promotion=PROMOTION)


def read(config, delay="", block=str(BLOCK)):
    settings = load(config, {})
    return settings, read_past(settings, block, delay)


def play(config, folder, delay="", first=4, **policy):
    settings, past = read(config, delay)
    own = settings_of_play(settings, past, policy)
    return play_loop("one", own, Library(folder, past), first, command.run_night)


def told(made):
    return [(night.trained, night.deployed, night.rolled_back, night.why, night.failure) for night in made.nights]


def test_a_replay_decides_what_the_live_loop_decides_night_after_night(tmp_path, capsys):
    frame = changing_world()
    config = project(tmp_path / "live", frame)
    _, past = read(config)
    for block in range(4, past.blocks):
        write_table(config.parent, frame.iloc[: past.edges[block]])
        monitor.main(["--config", str(config), "-q"])
    capsys.readouterr()
    live = [
        (line["retrained"], line["deployed"], line["rolled_back"], " ".join(line["reasons"]), "")
        for line in journal(config.parent)
        if line["event"] == "run"
    ]
    write_table(config.parent, frame)
    assert told(play(config, tmp_path / "cache")) == live
    assert sum(retrained and deployed for retrained, deployed, *_ in live) >= 1
    assert sum(line["retrained"] for line in journal(config.parent) if line["event"] == "run") >= 1


def test_what_comes_later_changes_nothing_before(tmp_path):
    frame = changing_world()
    other = frame.copy()
    other.loc[1200:, ["a", "b"]] = 0.5
    other.loc[1200:, "y"] = "yes"
    one = play(project(tmp_path / "one", frame), tmp_path / "cache")
    two = play(project(tmp_path / "two", other), tmp_path / "cache")
    assert told(one)[: 1200 // BLOCK - 4 + 1] == told(two)[: 1200 // BLOCK - 4 + 1]
    assert told(one) != told(two)


def test_labels_of_late_blocks_are_not_used(tmp_path):
    frame = changing_world()
    other = frame.copy()
    late = slice(1200 - 2 * BLOCK, 1199)  # their labels come with block 8 or later
    other.loc[late, "y"] = np.where(other.loc[late, "y"] == "yes", "no", "yes")
    one, two = (
        play(project(tmp_path / name, rows), tmp_path / "cache", delay="2", first=6)
        for name, rows in (("one", frame), ("two", other))
    )
    assert told(one)[:3] == told(two)[:3]
    at_once = play(project(tmp_path / "three", frame), tmp_path / "cache", first=6)
    assert told(at_once) != told(one)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay")
    config = project(folder / "project")
    return config, folder / "cache"


def replayed(config, folder, jobs=1, names=("performance", "never", "every-1", "every-3"), cost=5.0):
    settings, past = read(config)
    policies = choose_policies(names, settings, past, cost)
    return replay(settings, past, policies, folder, command.run_night, retrain_cost=cost, jobs=jobs)


def facts(found):
    return [
        (one.policy.name, one.costs.tolist(), one.retrained, one.deployed, one.false_alarms) for one in found.outcomes
    ]


def test_an_interrupted_replay_goes_on_where_it_was_and_nothing_is_fitted_twice(small, monkeypatch):
    config, folder = small
    real, fitted = libraries.fit, []

    def fails_after_three(job):
        if len(fitted) == 3:
            raise KeyboardInterrupt
        fitted.append(len(job.labels))
        return real(job)

    monkeypatch.setattr(libraries, "fit", fails_after_three)
    with pytest.raises(KeyboardInterrupt):
        replayed(config, folder)
    kept = len(list(folder.rglob("*.npz")))
    monkeypatch.setattr(libraries, "fit", lambda job: fitted.append(len(job.labels)) or real(job))
    whole = replayed(config, folder)
    assert kept == 3
    assert len(fitted) == len(list(folder.rglob("*.npz")))
    monkeypatch.setattr(libraries, "fit", None)  # all is known by now
    assert facts(replayed(config, folder)) == facts(whole)


@pytest.mark.parametrize("words", [[], ["--calibrate"]])
def test_after_ctrl_c_one_is_told_that_nothing_is_lost(tmp_path, capsys, monkeypatch, words):
    def interrupt(job):
        raise KeyboardInterrupt

    monkeypatch.setattr(libraries, "fit", interrupt)
    config = project(tmp_path)
    assert command.main(["--config", str(config), "--block", str(BLOCK), "--jobs", "1", *words]) == 130
    said = capsys.readouterr().err
    assert "Fitted models are kept: the same command goes on where it was." in said
    assert "Interrupted" in said.splitlines()[-1]


def test_the_log_tells_early_what_is_being_done(small, capsys):
    config, _ = small
    words = ["--config", str(config), "--block", "300", "--jobs", "1"]
    assert command.main([*words, "--policy", "never"]) == 0
    played = capsys.readouterr().err
    assert "looking for the first block that a model can be trained for, from block 1 on" in played
    assert "the first model answers from block 1 on" in played
    assert command.main([*words, "--calibrate"]) == 0
    calibrated = capsys.readouterr().err
    assert "1,800 rows in 6 blocks" in calibrated
    assert "judged 1 of 2 stretches" in calibrated
    assert "looking for the smallest shifts" in calibrated


def test_two_processes_find_what_one_finds(small, tmp_path):
    config, folder = small
    assert facts(replayed(config, tmp_path / "other", jobs=2)) == facts(replayed(config, folder))


def test_the_best_period_is_at_most_what_the_played_rules_cost(small):
    config, folder = small
    found = {one.policy.name: one.cost(5.0) for one in replayed(config, folder).outcomes}
    assert found["hindsight"] <= min(found["never"], found["every-1"], found["every-3"])


def test_no_period_is_cheaper_than_the_best_schedule(small, tmp_path):
    _, folder = small
    frame = changing_world()
    config = make_project(
        tmp_path, frame, training=TRAINING.replace("'200'", "'all'"), policy=POLICY, promotion=PROMOTION
    )
    settings, past = read(config)
    best = hindsight_optimum(settings, past, folder, command.run_night, retrain_cost=5.0, jobs=1)
    periods = {one.policy.name: one.cost(5.0) for one in replayed(config, folder, names=("never", "every-1")).outcomes}
    assert best <= periods["hindsight"] <= min(periods["never"], periods["every-1"])


def test_a_retraining_after_the_change_is_no_false_alarm_and_all_costs_add_up(small):
    config, folder = small
    found = {one.policy.name: one for one in replayed(config, folder).outcomes}
    every, never = found["every-1"], found["never"]
    assert len(every.retrained) == len(every.costs) - 1
    assert every.cost(5.0) == every.costs.sum() + 5.0 * len(every.retrained)
    assert every.costs[-1] < 0.7 * never.costs[-1]
    assert every.false_alarms < len(every.retrained)
    assert never.false_alarms == 0


def test_changed_rows_or_settings_are_other_models_and_the_same_are_not(small, tmp_path):
    config, _ = small
    settings, past = read(config)
    library = Library(tmp_path, past)
    plain = settings_of_play(settings, past, {})
    key = train_on_all(plain, library, 5)
    assert train_on_all(plain, library, 5) == key
    assert train_on_all(settings_of_play(settings, past, {"preset": "drift"}), library, 5) == key
    seeded = plain.model_copy(update={"training": plain.training.model_copy(update={"seed": 1})})
    assert train_on_all(seeded, library, 5) != key
    frame = changing_world()
    frame.loc[1700, "a"] += 1  # later than the training rows: the model is the same, its answers are not
    _, other = read(project(tmp_path / "changed", frame))
    assert train_on_all(plain, Library(tmp_path, other), 5) != key


def test_what_is_kept_are_numbers(small, tmp_path):
    config, _ = small
    settings, past = read(config)
    train_on_all(settings_of_play(settings, past, {}), Library(tmp_path, past), 5)
    (path,) = tmp_path.rglob("*.*")
    with np.load(path, allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "iuf" for name in arrays)


def test_a_model_answers_in_memory_as_it_did(small, tmp_path):
    from evergreen.data.schema import conform
    from evergreen.replay.library import Remembered, recall
    from evergreen.training.fitting import fit

    config, _ = small
    settings, past = read(config)
    jobs = []
    library = Library(tmp_path, past)
    real = libraries.fit
    libraries.fit = lambda job: jobs.append(job) or real(job)
    try:
        key = train_on_all(settings_of_play(settings, past, {}), library, 5)
    finally:
        libraries.fit = real
    model = pickle.loads(fit(jobs[0]).pickle)
    memory = recall(str(tmp_path), key)
    rows = conform(past.batch.frame.iloc[past.edges[6] : past.edges[8]].reset_index(drop=True), jobs[0].contract)
    answers = memory.answers(slice(int(past.edges[6]), int(past.edges[8])))
    assert (answers.values == model.predict(rows)).all()
    np.testing.assert_array_equal(answers.probabilities, model.predict_proba(rows))
    np.testing.assert_array_equal(Remembered(str(tmp_path), key).predict_proba(rows), model.predict_proba(rows))
    with pytest.raises(LookupError, match="was not asked about"):
        Remembered(str(tmp_path), key).predict(rows.assign(a=99.0))


def test_the_opening_waits_for_enough_labels(small, tmp_path):
    config, _ = small
    settings, past = read(config)
    patient = settings_of_play(settings, past, {})
    patient = patient.model_copy(update={"training": patient.training.model_copy(update={"min_holdout": 140})})
    first, key = find_opening(patient, Library(tmp_path, past), 1, command.run_night)
    assert past.edges[first] * patient.training.holdout_share >= 139.5
    assert key


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--label-delay", "50"], r"label delay .* is too long .* 0 of 1,650 rows have shown their label"),
        (["--set", "training.first_share=0.99"], r"training\.first_share leaves no block to play"),
    ],
)
def test_what_leaves_nothing_to_play_is_named(small, capsys, words, message):
    config, _ = small
    assert command.main(["--config", str(config), "--block", str(BLOCK), *words]) == 3
    assert re.search(message, capsys.readouterr().err)


def test_only_what_a_workshop_made_is_spared_the_safety_gates(small, tmp_path):
    config, _ = small
    settings, past = read(config)
    asked = []
    for workshop in (Library(tmp_path, past), None):
        with temporary_store(settings_of_play(settings, past, {})) as (own, store):
            made = monitor.monitor(own, store, "one", past.moment(6), past.before(6), workshop).first_model
        asked.append([gate.name for gate in made.shown.gates])
    assert asked[0] == asked[1][-1:] == ["floor"]
    assert len(asked[1]) > 3


def test_the_command_prints_the_table_the_advice_and_the_page(small, tmp_path, capsys):
    config, _ = small
    page = tmp_path / "replay.html"
    words = ["--config", str(config), "--block", str(BLOCK), "--policy", "performance", "never", "every-1"]
    assert command.main([*words, "--jobs", "1", "--cost", "5", "--html", str(page)]) == 0
    shown = capsys.readouterr().out
    assert "RECOMMENDED:" in shown
    assert "[policy]" in shown
    assert "every block" in shown
    assert page.read_text().count("<svg") >= 8
    assert command.main([*words, "--jobs", "1", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    jsonschema.validate(whole, SCHEMA)
    document = whole["replay"]
    by_name = {each["name"]: each for each in document["policies"]}
    assert set(by_name) == {"performance", "never", "every-1", "hindsight"}
    assert by_name["hindsight"]["ratio"] == 1.0
    assert by_name["every-1"]["retrains"] == len(by_name["every-1"]["by_block"]["score"]) - 1
    assert document["advice"]["lines"][0] == "[policy]"


@pytest.mark.parametrize("name", ["config.toml", "table.csv", "other-name.html"])
@pytest.mark.parametrize("words", [[], ["--calibrate"]])
def test_a_page_never_takes_the_place_of_what_the_replay_reads(tmp_path, capsys, name, words):
    config = project(tmp_path)
    (tmp_path / "other-name.html").symlink_to("table.csv")
    before = tree(tmp_path)
    page = tmp_path / name
    assert command.main(["--config", str(config), *words, "--html", str(page)]) == 2
    assert f"{page} is an input of this run, and would be lost: name another file." in capsys.readouterr().err
    assert tree(tmp_path) == before


def test_a_handful_of_blocks_is_shown_and_recommends_nothing(small, tmp_path, capsys):
    config, _ = small
    page = tmp_path / "replay.html"
    words = ["--block", "300", "--label-delay", "1", "--policy", "performance", "never", "--jobs", "1"]
    assert command.main(["--config", str(config), *words, "--html", str(page)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "RECOMMENDED" not in shown
    assert "NO RECOMMENDATION: Only 4 blocks could be played" in shown
    assert "labels 1 block late" in shown
    assert "Only 4 blocks could be played" in page.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policy", "sometimes"], "no policy 'sometimes'"),
        (["--block", "1700"], "needs 4"),
        (["--block", "x"], "length"),
        (["--cost", "-5"], "--cost -5: expected a number above 0"),
        (["--cost", "0"], "--cost 0: expected a number above 0"),
        (["--cost", "nan"], "--cost nan: expected a number above 0"),
        (["--cost", "inf"], "--cost inf: expected a number above 0"),
    ],
)
def test_a_wrong_word_is_a_usage_error(small, capsys, words, message):
    config, _ = small
    assert command.main(["--config", str(config), *words]) == 2
    assert message in capsys.readouterr().err


def test_calibration_tells_quiet_stretches_false_alarms_and_smallest_shifts(small, capsys):
    config, _ = small
    assert command.main(["--config", str(config), "--block", "60", "--calibrate", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SCHEMA)
    found = document["calibration"]
    assert not all(stretch["used"] for stretch in found["stretches"])  # the world turned round in one of them
    assert any(stretch["used"] for stretch in found["stretches"])
    assert found["settings"][0]["title"] == "as configured"
    assert {shift["column"] for shift in found["shifts"]} == {"a", "b", "plan"}
    assert found["per"] == "month"
    assert command.main(["--config", str(config), "--block", "60", "--calibrate"]) == 0
    assert "smallest shift" in capsys.readouterr().out


def test_models_that_go_on_learning_are_not_replayed(small, capsys):
    config, _ = small
    assert command.main(["--config", str(config), "--set", "training.update=true"]) == 2
    assert "training.update=false" in capsys.readouterr().err


def test_the_recommended_lines_play_what_was_played(small):
    config, folder = small
    settings, past = read(config)
    policies = choose_policies(("performance", "naive", "cost", "every-1"), settings, past, 5.0)
    found = replay(settings, past, policies, folder, command.run_night, retrain_cost=5.0, jobs=1)
    advice = advise(found)
    played = next(one.play for one in found.outcomes if one.policy.name == advice.name)
    lines = tomllib.loads("\n".join(advice.lines))["policy"]
    pasted = settings.model_copy(update={"policy": settings.policy.model_copy(update=lines)})
    own = settings_of_play(pasted, past, {})
    again = play_loop(advice.name, own, Library(folder, past), found.first, command.run_night)
    assert told(again) == told(played)
    assert again.live == played.live
    assert any(night.trained for night in played.nights)


def test_only_presets_that_act_on_estimates_make_any(small):
    config, _ = small
    settings, past = read(config)
    made = {name: settings_of_play(settings, past, {"preset": name}).performance.estimate for name in PRESETS}
    assert {name for name, estimate in made.items() if estimate == "auto"} == {"hybrid", "cost"}


def test_policies_have_words_and_settings(small):
    config, _ = small
    settings, past = read(config)
    chosen = choose_policies(("volume", "cost", "every-5"), settings, past, 7.0)
    assert [each.title for each in chosen] == ["preset volume", "preset cost", "every 5 blocks"]
    assert chosen[0].changes["volume"] == 10 * BLOCK
    assert chosen[1].changes == {"preset": "cost", "retrain_cost": 7.0}
    assert replaced(chosen[2], period=0).watches is False
