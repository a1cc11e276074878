"""The loop under the preset by cost, night after night: accounts, a challenger in shadow, and training what pays."""

import pandas as pd
from described import check_document
from projects import events, journal, make_project, run, world, write_table

import monitor
import rollout
from evergreen.policy import reasons

POLICY = 'preset = "cost"\nmin_new_rows = 200\nretrain_cost = 60\nshadow_every = 2\n'
STEP = pd.Timedelta("10min")


class Nights:
    """A growing table: each night brings 400 rows, and the loop runs."""

    def __init__(self, folder, capsys, rows=2000, **sections):
        self.parts, self.capsys = [world(rows, seed=1)], capsys
        self.config = make_project(folder, self.parts[0], policy=POLICY, **sections)

    def next(self, *words, **more):
        start = self.parts[-1]["at"].iloc[-1] + STEP
        self.parts.append(world(400, start=start, seed=len(self.parts), **more))
        return self.look(*words)

    def look(self, *words):
        write_table(self.config.parent, pd.concat(self.parts))
        code, document = run(monitor, self.capsys, self.config, *words)
        check_document(document)
        assert code == 0, document["failure"]
        return document


def test_a_stretch_of_nights_by_cost(tmp_path, capsys):
    """Calm, a shadow, a changed world: the errors cost more than a retraining, and the next models know better."""
    nights = Nights(tmp_path / "p", capsys)
    first = nights.look()
    assert (first["deployed"], first["excess"], first["shadow"]) == (True, None, None)
    calm = nights.next()
    assert not calm["decision"]["retrain"]
    assert calm["decision"]["preset"] == "cost"
    assert calm["excess"]["limit"] >= 60
    assert calm["excess"]["reference_loss"] < 0.3
    shadowed = nights.next()
    while shadowed["shadow"] is None and len(nights.parts) < 7:
        shadowed = nights.next()
    assert "does not go live" in shadowed["shadow"]["reasons"][-1]
    assert not shadowed["deployed"]
    assert rollout.main(["promote", "--config", str(nights.config)]) == 2, "a shadow does not wait for approval"
    watched = nights.next()
    assert watched["shadow"]["rows"] == 400
    assert len(watched["shadow"]["digest"]) == 64
    changed = nights.next(flip=True)
    assert changed["excess"]["total"] > changed["excess"]["limit"]
    assert changed["decision"]["retrain"]
    assert changed["training"] is not None
    deployed = changed
    while not deployed["deployed"] and len(nights.parts) < 14:
        deployed = nights.next(flip=True)
    assert deployed["deployed"]
    fresh = nights.next(flip=True)
    assert fresh["excess"]["total"] < 100, "the new model is counted from its own last row"
    assert fresh["shadow"] is None or fresh["shadow"]["digest"] is None
    assert "shadow" in events(nights.config.parent)
    assert [line["settings_digest"] for line in journal(nights.config.parent) if line["event"] == "run"]


def test_by_cost_a_model_is_retrained_for_its_age_after_many_quiet_runs_only(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reasons, "INSURED_RUNS", 1)
    nights, old = Nights(tmp_path / "p", capsys), ("--set", "policy.max_age_days=0.0000001")
    nights.look(*old)
    first, second = nights.next(*old), nights.next(*old)
    assert not first["decision"]["wanted"]
    assert "days old" in second["decision"]["reasons"][0]
    assert "1 runs have passed without a retraining" in second["decision"]["reasons"][0]


def test_the_excess_of_each_run_is_that_of_the_windows_of_the_runs(tmp_path, capsys):
    """Said by the journal: what a run had judged is where the next window begins; nothing else is remembered."""
    nights = Nights(tmp_path / "p", capsys)
    nights.look()
    nights.next()
    nights.next("--set", "policy.shadow_every=0")
    lines = [line for line in journal(nights.config.parent) if line["event"] == "run"]
    ends = [line["judged_until"] for line in lines[1:]]
    assert ends == [part["at"].iloc[-1].isoformat() for part in nights.parts[1:]]
    again = nights.next("--set", "policy.shadow_every=0", "--dry-run")
    assert again["excess"] == nights.look("--set", "policy.shadow_every=0", "--dry-run")["excess"]


def test_numbers_cost_their_error_in_units_of_the_best_constant(tmp_path, capsys):
    def numbers(frame):
        return frame.assign(y=frame["a"] * 10 + (frame["y"] == "yes"))

    parts = [numbers(world(2000, seed=1)), numbers(world(500, start="2025-02-01", seed=2))]
    config = make_project(tmp_path / "p", parts[0], policy=POLICY)
    run(monitor, capsys, config)
    write_table(config.parent, pd.concat(parts))
    _, calm = run(monitor, capsys, config)
    assert 0 < calm["excess"]["reference_loss"] < 0.2, "a model that knows nearly everything"
    shifted = parts[1].assign(y=parts[1]["y"] + 50, at=pd.date_range("2025-03-01", periods=500, freq="10min"))
    write_table(config.parent, pd.concat([*parts, shifted]))
    _, lost = run(monitor, capsys, config, "--set", "policy.mode=advise")
    assert lost["excess"]["total"] > 500, "each of 500 answers is worse than without any model"
    assert lost["decision"]["recommended"]
