"""What a calibration may say: nothing of runs that can't alarm, of stretches nobody judged, and of none at all."""

import json

import jsonschema
import numpy as np
import pandas as pd
import pytest
from projects import PROJECT, make_project, world

import replay as command
from evergreen.reporting.replay_page import render_html
from evergreen.reporting.replay_text import render_text

TRAINING = "params = {max_iter = 8}\nmin_holdout = 60\n"
SCHEMA = json.loads((PROJECT / "docs" / "results.schema.json").read_text())


def calibrated(capsys, folder, frame, block, target="y"):
    """The document, and its sentences as one text."""
    config = make_project(folder, frame, target=target, training=TRAINING, performance="max_drop = 0.2\n")
    assert command.main(["--config", str(config), "--block", block, "--calibrate", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SCHEMA)
    return document, " ".join(document["calibration"]["sentences"])


def turning(period, rows=1200):
    """A world whose dependence turns round every `period` rows."""
    parts = [world(period, seed=seed, flip=bool(seed % 2)) for seed in range(rows // period)]
    return pd.concat(parts, ignore_index=True).assign(at=pd.date_range("2025-01-01", periods=rows, freq="10min"))


def test_runs_with_too_few_rows_promise_nothing_and_longer_blocks_are_named(tmp_path, capsys):
    document, said = calibrated(capsys, tmp_path, world(1200), "60", target="")
    found = document["calibration"]
    assert "no run can alarm: a block has about 60 rows, fewer than drift.min_rows = 100" in said
    assert "--block 200" in said
    assert "expect" not in said
    assert "Hardly any change" not in said
    assert found["too_small"] == found["settings"][0]["runs"] > 0
    assert {setting["expected"] for setting in found["settings"][:-1]} == {None}
    assert found["settings"][-1]["expected"] is not None  # the bare rules don't ask how many rows there are
    line = next(line for line in render_text(document).splitlines() if line.startswith("as configured"))
    assert line.split()[2:4] == ["–", "–"]


def test_a_past_too_short_for_longer_blocks_is_said_to_be(tmp_path, capsys):
    _, said = calibrated(capsys, tmp_path, world(600), "60", target="")
    assert "no run can alarm" in said
    assert "too short for blocks of 200" in said


def test_of_blocks_that_differ_the_small_ones_are_counted(tmp_path, capsys):
    start, hours = np.datetime64("2025-01-01", "s"), np.arange(12)
    times = [start + np.timedelta64(hour, "h") + np.arange(0, 3600, 60 if hour % 2 else 30) for hour in hours]
    frame = world(sum(map(len, times))).assign(at=np.concatenate(times))
    document, said = calibrated(capsys, tmp_path, frame, "1h", target="")
    found = document["calibration"]
    assert found["too_small"] == found["settings"][0]["runs"] / 2
    assert f"In {found['too_small']} of {found['settings'][0]['runs']} runs there were fewer rows" in said
    assert "As configured, expect" in said


def test_a_stretch_without_labels_is_not_called_quiet_in_words_json_or_page(tmp_path, capsys):
    frame = world(2400)
    frame.loc[1600:, "y"] = None
    document, said = calibrated(capsys, tmp_path, frame, "200")
    found = document["calibration"]
    assert [stretch["quiet"] for stretch in found["stretches"]] == [True, None]
    assert all(stretch["used"] for stretch in found["stretches"])
    assert (found["quiet"], found["not_judged"]) == (1, 1)
    assert "1 of 2 stretches" in said
    assert "1 could not be judged for want of labels" in said
    assert "may be a true one" in said
    for shown in (render_text(document), render_html(document)):
        assert "1 could not be judged for want of labels" in " ".join(shown.split())


def test_where_no_stretch_was_judged_quiet_no_alarm_is_called_false(tmp_path, capsys):
    frame = world(2400)
    frame.loc[800:, "y"] = None
    document, said = calibrated(capsys, tmp_path, frame, "200")
    assert (document["calibration"]["quiet"], document["calibration"]["not_judged"]) == (0, 2)
    assert "nobody can tell which of these alarms are false" in said
    assert "false alarms per" not in said


def test_without_any_labels_no_stretch_is_called_quiet(tmp_path, capsys):
    document, said = calibrated(capsys, tmp_path, world(1200), "120", target="")
    assert "because there are no labels" in said
    assert document["calibration"]["quiet"] == 0
    assert document["calibration"]["families"] == ["columns", "relations"]


@pytest.mark.parametrize("render", [render_text, render_html])
def test_where_nothing_was_quiet_there_are_no_figures(tmp_path, capsys, render):
    document, said = calibrated(capsys, tmp_path, turning(400), "100")
    found = document["calibration"]
    assert not any(stretch["used"] for stretch in found["stretches"])
    assert "no run to count" in said
    assert {(setting["runs"], setting["expected"], setting["at_most"]) for setting in found["settings"]} == {
        (0, None, None)
    }
    assert "smallest shift" not in render(document)
