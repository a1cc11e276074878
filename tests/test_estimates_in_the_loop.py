"""Night after night: an estimate for the rows without labels, held against the labels a night later."""

from dataclasses import replace

import numpy as np
import pandas as pd
from projects import journal, make_project, run, write_table

import monitor
from evergreen.data.sources import open_tables
from evergreen.data.windows import key_to_json, to_key
from evergreen.monitoring.holdout import read_holdout
from evergreen.registry.store import Store
from evergreen.settings import Settings

NIGHT = 500
LEARN = 'estimator = "sklearn.linear_model.LogisticRegression"\n'


def draw_night(number, rows=NIGHT, shift=0.0, turned=False):
    """Rows whose outcomes are the less certain, the larger a is; `turned` ones have the opposite outcome."""
    rng = np.random.default_rng([number + 10, rows])
    a, b = rng.normal(shift, 1, rows), rng.normal(0, 1, rows)
    chances = 1 / (1 + np.exp(-np.where(turned, -1, 1) * b * 5 / (1 + np.exp(2 * a))))
    return pd.DataFrame(
        {
            "at": pd.date_range("2025-01-01", periods=rows, freq="min") + pd.Timedelta(days=10 + number),
            "a": a.round(4),
            "b": b.round(4),
            "y": np.where(rng.random(rows) < chances, "yes", "no"),
        }
    )


class Nights:
    """A table that grows by one night a run, whose newest night has no labels yet; nothing is ever retrained."""

    def __init__(self, folder, capsys, **settings):
        self.capsys, self.rows = capsys, [draw_night(-9, rows=8000)]
        sections = {"policy": 'mode = "advise"\n', "training": LEARN} | settings
        self.config = make_project(folder, self.rows[0], **sections)
        self.write_and_run()

    def pass_night(self, **world):
        self.rows.append(draw_night(len(self.rows), **world))
        return self.write_and_run()

    def write_and_run(self):
        newest = self.rows[-1].assign(y=None) if len(self.rows) > 1 else self.rows[-1]
        write_table(self.config.parent, pd.concat([*self.rows[:-1], newest]))
        return run(monitor, self.capsys, self.config)[1]

    @property
    def lines(self):
        return [entry for entry in journal(self.config.parent) if entry["event"] == "run"]


def test_trust_is_earned_by_five_nights_used_once_and_lost_when_the_outcomes_turn(tmp_path, capsys):
    nights = Nights(tmp_path / "project", capsys)
    drift = [nights.pass_night(shift=[0.0, 0.6][night % 2])["drift"] for night in range(6)]
    assert [each["estimate"]["verdict"] for each in drift[:5]] == ["unproven"] * 5
    assert [len(each["scored"]) for each in drift] == [0, 1, 1, 1, 1, 1]
    assert [each["estimate"]["track"]["windows"] for each in drift] == [0, 1, 2, 3, 4, 5]
    lines = nights.lines
    made = {line["estimate"]["from"]: line["estimate"]["value"] for line in lines if line["estimate"]}
    scored = [record for line in lines for record in line["scored"]]
    assert [made[record["start"]] for record in scored] == [record["estimate"] for record in scored]
    assert [record["rows"] for record in scored] == [NIGHT] * 5
    last = drift[-1]["estimate"]
    assert last["track"]["reliable"] and last["verdict"] == "no_drop"

    hard = nights.pass_night(shift=1.1)
    found = hard["drift"]["estimate"]
    assert found["verdict"] == "estimated_drop" and found["baseline"] - found["band"][1] >= 0.05
    assert any("Estimated without labels" in reason for reason in hard["decision"]["reasons"])
    assert hard["drift"]["retraining_recommended"]

    verdicts = [nights.pass_night(turned=True)["drift"]["estimate"]["verdict"] for _ in range(3)]
    assert verdicts[-1] == "unreliable"


def test_a_night_without_a_word_of_estimates_where_they_are_off_or_every_row_has_its_label(tmp_path, capsys):
    nights = Nights(tmp_path / "project", capsys, performance='estimate = "off"\n')
    assert nights.pass_night()["drift"]["estimate"] is None
    assert nights.lines[-1]["estimate"] is None and nights.lines[-1]["scored"] == []
    nights = Nights(tmp_path / "other", capsys)
    nights.rows.append(draw_night(1))
    write_table(nights.config.parent, pd.concat(nights.rows))
    assert run(monitor, capsys, nights.config)[1]["drift"]["estimate"] is None


def test_a_holdout_that_is_gone_or_too_small_is_not_enough_evidence(tmp_path, capsys):
    nights = Nights(tmp_path / "project", capsys)
    nights.rows[0] = nights.rows[0].iloc[:7000]
    found = nights.pass_night()["drift"]["estimate"]
    assert (found["verdict"], found["value"]) == ("not_enough_evidence", None)
    assert "of the 1,600 labelled rows of the model's holdout the table has only 600 left" in found["reasons"][0]
    small = Nights(tmp_path / "small", capsys, training=LEARN + "max_holdout = 1400\n")
    found = small.pass_night()["drift"]["estimate"]
    assert "it takes 1,500 labelled rows" in found["reasons"][0]


def test_an_adopted_model_of_unknown_training_rows_is_not_estimated(tmp_path, capsys):
    nights = Nights(tmp_path / "project", capsys)
    settings = Settings.model_validate(
        {"root": nights.config.parent, "data": {"source": "table.csv", "target": "y", "time": "at"}}
    )
    table, card = open_tables(settings.data, settings.root), Store.of(settings).live().card
    batch, lacking = read_holdout(card, table, settings.data)
    assert len(batch) == card.training["holdout_rows"] == 1600 and lacking == ""
    assert batch.labelled.all() and key_to_json(to_key(batch.keys[-1])) == card.seen_until
    unknown = replace(card, training={**card.training, "baseline_may_be_in_sample": True})
    assert read_holdout(unknown, table, settings.data)[0] is None
    old = replace(card, training={})
    assert "does not say on which rows" in read_holdout(old, table, settings.data)[1]
