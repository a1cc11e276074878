"""What must not spoil a night: a shadow that can't be trained, labels that came early, a table that got its times."""

import numpy as np
import pandas as pd
import pytest
from projects import journal, make_project, run, world, write_table

import continuous_training
import monitor

OLD = world(2000, seed=1)
NIGHT = world(600, start="2025-02-01", seed=2)
COST = 'preset = "cost"\nmin_new_rows = 200\nshadow_every = 1\n'
LEARN = 'estimator = "sklearn.linear_model.LogisticRegression"\n'
BROKEN = ["--set", "training.estimator=broken:make", "--set", "training.params={}"]


@pytest.fixture
def project(tmp_path, capsys):
    config = make_project(tmp_path / "p", OLD, policy=COST, training=LEARN)
    assert run(monitor, capsys, config)[1]["deployed"]
    return config


def last_run(config):
    return [line for line in journal(config.parent) if line["event"] == "run"][-1]


def test_a_shadow_that_cannot_be_trained_is_told_and_the_night_goes_on(project, capsys):
    (project.parent / "broken.py").write_text("def make():\n    raise RuntimeError('the licence has expired')\n")
    write_table(project.parent, pd.concat([OLD, NIGHT]))
    run(monitor, capsys, project, "--set", "policy.mode=advise")  # a night with news, so that one is due
    code, document = run(monitor, capsys, project, *BROKEN)
    assert (code, document["failure"], document["shadow_trained"]) == (0, None, False)
    assert "the licence has expired" in " ".join(document["shadow"]["reasons"])
    line = last_run(project)
    assert (line["retrained"], line["failed"]) == (False, False)
    assert line["judged_until"] == NIGHT["at"].iloc[-1].isoformat()
    (shadow,) = [each for each in journal(project.parent) if each["event"] == "shadow"]
    assert (shadow["kept"], shadow["digest"]) == (False, None)


def test_where_nothing_is_trained_no_shadow_is_either_and_another_preset_for_a_night_keeps_it(project, capsys):
    write_table(project.parent, pd.concat([OLD, NIGHT]))
    assert run(monitor, capsys, project, "--set", "policy.mode=advise")[1]["shadow"] is None
    trained = run(monitor, capsys, project)[1]
    assert trained["shadow_trained"]
    more = world(600, start="2025-02-20", seed=3)
    write_table(project.parent, pd.concat([OLD, NIGHT, more]))
    other = run(monitor, capsys, project, "--set", "policy.preset=schedule")[1]
    assert other["shadow"]["rows"] == 600
    assert list((project.parent / "model" / "shadow").glob("*.pkl"))


def early(frame):
    """Of each hundred rows those that the model calls yes have their label, and few of the others."""
    likely = frame["a"] + 0.5 * frame["b"] + (frame["plan"] == "pro") > -0.5
    known = likely | (np.random.default_rng(0).random(len(frame)) < 0.4)
    return frame.assign(y=frame["y"].where(known))


def test_labels_that_are_a_biased_choice_open_no_account_and_bring_no_predecessor_back(project, capsys):
    flipped = world(1500, start="2025-02-01", seed=4, flip=True)
    write_table(project.parent, pd.concat([OLD, flipped]))
    assert run(monitor, capsys, project)[1]["deployed"]
    back = world(1500, start="2025-03-01", seed=5)
    words = ["--set", "data.min_coverage=0.5", "--set", "policy.mode=advise"]
    write_table(project.parent, pd.concat([OLD, flipped, early(back)]))
    _, document = run(monitor, capsys, project, *words)
    assert document["drift"]["performance"]["verdict"] == "biased_labels"
    assert (document["excess"], document["judged_until"], document["watch"]) == (None, None, None)
    assert "not representative" in document["decision"]["reasons"][0]
    write_table(project.parent, pd.concat([OLD, flipped, back]))
    _, document = run(monitor, capsys, project, *words)
    assert document["rolled_back"], "with all the labels it is surely better"


@pytest.mark.parametrize("gained", [True, False])
def test_a_table_that_got_or_lost_its_times_is_told_and_force_begins_anew(tmp_path, capsys, gained):
    before, after = ("", "at") if gained else ("at", "")
    config = make_project(tmp_path / "p", OLD, time=before, training=LEARN, data='exclude = ["at"]\n' if gained else "")
    run(monitor, capsys, config)
    write_table(config.parent, pd.concat([OLD, NIGHT]))
    words = ["--set", f"data.time={after}", "--set", "data.exclude=" + ("[]" if gained else '["at"]')]
    for script in (monitor, continuous_training):
        code, document = run(script, capsys, config, *words)
        assert (code, document["failure"]["kind"]) == (2, "UsageError")
        assert "data.time" in document["failure"]["message"] and "--force" in document["failure"]["message"]
    assert run(continuous_training, capsys, config, *words, "--force")[1]["deployed"]
    write_table(config.parent, pd.concat([OLD, NIGHT, world(600, start="2025-03-01", seed=6)]))
    code, document = run(monitor, capsys, config, *words)
    assert (code, document["drift"]["current"]["rows"], document["watch"]) == (0, 600, None)


def test_a_challenger_that_could_not_be_decided_is_watched_on_later_labels(tmp_path, capsys):
    config = make_project(tmp_path / "p", OLD, training=LEARN, policy="min_new_rows = 200\n")
    run(monitor, capsys, config)
    write_table(config.parent, pd.concat([OLD, world(600, start="2025-02-01", seed=4, shift=1.5)]))
    _, document = run(monitor, capsys, config, "--set", "promotion.min_rows=5000")
    assert document["comparison"]["winner"] == "undecided"
    assert "watched in shadow" in document["training"]["reasons"][-1]
    assert not document["deployed"]
    assert [entry["undecided"] for entry in journal(config.parent) if entry["event"] == "run"] == [False, True]
    more = [world(600, start="2025-02-01", seed=4, shift=1.5), world(600, start="2025-03-01", seed=5)]
    write_table(config.parent, pd.concat([OLD, *more]))
    _, document = run(monitor, capsys, config, "--set", "policy.mode=advise")
    assert document["shadow"]["rows"] == 600
    assert document["shadow"]["digest"]
