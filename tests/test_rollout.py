"""rollout.py as its users call it: what it prints, what it changes, and with which code it ends."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.registry.models import at, make_card, make_pickle, open_store, put_live

import rollout
from evergreen import files
from evergreen.registry.store import Store

SRC = Path(__file__).parents[1] / "src"
CONFIG = """
[data]
source = "rows.csv"
time = "seen"
target = "left"
positive = "yes"
[promotion]
max_latency_ms = 60000
"""


class Bench:
    """A folder with a configuration, and the command called on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        (folder / "config.toml").write_text(CONFIG)

    @property
    def store(self) -> Store:
        return open_store(self.folder / "model")

    def call(self, *words: object) -> tuple[int, str, str]:
        code = rollout.main([*map(str, words), "--config", str(self.folder / "config.toml")])
        shown = self.capsys.readouterr()
        return code, shown.out, shown.err

    def json(self, *words: object) -> dict:
        code, out, _ = self.call(*words, "--json")
        assert code == 0
        return json.loads(out)


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


@pytest.fixture
def three(bench: Bench) -> Bench:
    """Versions 1, 2 and 3 went live an hour apart, and the loop ran once after that."""
    for number, name in enumerate(("first", "second", "third")):
        put_live(bench.store, name, number, training={"rows": 9000, "estimator": "sklearn.linear_model.Ridge"})
    bench.store.record("run", at(5), run="20261122T010939Z-1a2b", verdict="no_drift", retrained=False)
    return bench


# status


def test_status_tells_what_is_live_since_when_why_and_what_there_is_to_go_back_to(three):
    code, out, err = three.call("status")
    assert (code, err) == (0, "")
    name = three.store.live_digest()[:12]
    for line in (
        f"live      version 3 ({name}), trained, since 21 Nov 2026, 22:09 UTC",
        "why       third is better",
        "learned   Ridge on 9,000 rows",
        "baseline  accuracy 0.850 (0.830 to 0.870) on 1,000 rows",
        "before    version 2 (",
        "backup    model_backup_20261121_220939.pkl  version 2 (",
        "last run  22 Nov 2026, 01:09 UTC, no drift",
    ):
        assert f"\n{line}" in f"\n{out}"


def test_status_as_json_has_the_same_and_no_bulk(three):
    document = three.json("status")
    assert (document["format"], document["model"]["version"], document["waiting"]) == (1, 3, None)
    assert document["model"]["since"] == "2026-11-21T22:09:39Z"
    assert document["last_run"]["verdict"] == "no_drift"
    assert [each["problem"] for each in document["backups"]] == [None, None]
    assert "profile" not in document["model"]


def test_status_of_an_empty_store_is_no_error(bench):
    code, out, _ = bench.call("status")
    assert code == 0
    assert "live      no model" in out
    assert not bench.store.folder.exists()


def test_status_says_that_a_model_was_put_there_by_hand(three):
    shutil.copy(three.store.backups()[-1].path, three.store.model_path)
    _, out, _ = three.call("status")
    assert "live      version 1 (" in out
    assert "put there by hand since the last run" in out


def test_status_of_an_unknown_model_ends_with_4_and_names_the_remedies(three):
    three.store.model_path.write_bytes(make_pickle("foreign"))
    code, out, _ = three.call("status")
    assert code == 4
    assert "is not known here" in out.splitlines()[0]
    assert "rollout.py adopt" in out
    assert "rollout.py rollback" in out
    assert "\nbackup    model_backup_" in out


def test_status_without_the_live_file_says_so_and_what_there_is_to_go_back_to(three):
    three.store.model_path.unlink()
    code, out, _ = three.call("status")
    assert code == 4
    assert out.startswith("problem   ")
    assert "the live model is gone; version 3 should be there" in out
    assert "no model\n" not in out
    for label in ("before    version 2 (", "backup    model_backup_", "last run  22 Nov 2026"):
        assert f"\n{label}" in out
    code, out, _ = three.call("status", "--json")
    document = json.loads(out)
    assert (code, document["model"], len(document["backups"])) == (4, None, 2)
    assert "is gone" in document["problem"]


# history


def test_history_lists_every_change_with_its_reason_and_who_did_it(three):
    three.call("rollback", "--reason", "complaints", "--by", "ana")
    code, out, _ = three.call("history")
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines] == ["deploy", "deploy", "deploy", "rollback"]
    assert lines[3].endswith("by ana  complaints")
    assert "third is better" in lines[2]
    assert [event["event"] for event in three.json("history")["events"]] == ["deploy", "deploy", "deploy", "rollback"]


@pytest.mark.parametrize(
    ("time", "version"),
    [
        ("2026-11-20", None),
        ("2026-11-21T20:09:38", None),
        ("2026-11-21T20:09:39Z", 1),
        ("2026-11-21T22:30:00+01:00", 2),
        ("2026-11-21", 3),
        ("2030-01-01", 3),
    ],
)
def test_history_at_a_time_gives_the_one_model_that_was_live(time, version, three):
    document = three.json("history", "--at", time)
    assert (document["model"] and document["model"]["version"]) == version
    _, out, _ = three.call("history", "--at", time)
    assert ("live      no model" in out) == (version is None)


def test_a_time_that_is_none_is_a_usage_error(three):
    code, _, err = three.call("history", "--at", "yesterday")
    assert code == 2
    assert "'yesterday' is no time such as 2026-11-21" in err


def test_a_reason_with_control_characters_stays_on_one_line(bench):
    put_live(bench.store, "first")
    bench.call("rollback")
    bench.store.record("refused", at(1), reason="a\nlive      forged\x1b[31m")
    _, out, _ = bench.call("history")
    assert len(out.splitlines()) == 2
    assert "\x1b" not in out


# verify


def test_verify_says_that_all_is_as_recorded(three):
    code, out, _ = three.call("verify")
    assert code == 0
    assert out == "verified  the live model, its card, 2 backups and the journal are as recorded\n"


def test_verify_of_an_empty_store_says_that_there_is_no_model_yet(bench):
    assert bench.call("verify")[:2] == (0, "verified  there is no model yet, so nothing to verify\n")


def test_verify_lists_every_problem_and_ends_with_4(three):
    three.store.backups()[0].path.write_bytes(b"damaged")
    path = three.store.journal_path
    path.write_text(path.read_text().replace("second is better", "second is best"))
    code, out, _ = three.call("verify")
    assert code == 4
    assert out.count("problem ") == len(out.splitlines()) >= 3
    code, out, _ = three.call("verify", "--json")
    document = json.loads(out)
    assert (code, document["ok"]) == (4, False)
    assert any("was changed, added or removed" in problem for problem in document["problems"])


# rollback


def test_rollback_takes_one_command(three):
    code, out, _ = three.call("rollback")
    assert code == 0
    assert out.startswith("live      version 2 (")
    assert "again, in place of version 3 (" in out
    assert three.store.live().card.version == 2
    entry = three.store.entries()[-1]
    assert (entry.event, entry.get("reason")) == ("rollback", "rolled back by hand")
    assert entry.get("actor")


def test_rollback_to_a_version_and_as_json(three):
    document = three.json("rollback", "--to", "1")
    assert (document["rolled_back"], document["event"]["version"]) == (True, 1)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--to", "9"], 2, "Model '9' is not known here. Known are: version 1"),
        (["--to", "3"], 2, "is live already; nothing was changed"),
        (["--to", "../../x"], 2, "is not known here"),
    ],
)
def test_a_rollback_that_can_not_be_done_says_why_and_changes_nothing(words, code, message, three):
    found, out, err = three.call("rollback", *words)
    assert (found, out) == (code, "")
    assert message in err
    assert three.store.live().card.version == 3


def test_the_first_model_has_nothing_to_go_back_to(bench):
    put_live(bench.store, "first")
    code, _, err = bench.call("rollback")
    assert code == 2
    assert "there is nothing to roll back to" in err


def test_a_rollback_during_a_run_is_turned_away_with_75(three):
    with three.store.lock():
        code, _, err = three.call("rollback")
    assert code == 75
    assert "Another run holds the lock" in err
    assert three.store.live().card.version == 3


@pytest.mark.parametrize("folder", [SRC.parent, SRC])
def test_it_runs_as_a_process_from_anywhere_without_the_heavy_libraries(folder, three):
    command = [sys.executable, "-X", "importtime", os.path.relpath(SRC / "rollout.py", folder), "rollback", "--config"]
    done = subprocess.run(
        [*command, str(three.folder / "config.toml")], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("live      version 2 (")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "evergreen.registry.store" in imported
    assert not {"sklearn", "pandas", "numpy", "scipy", "pyarrow"} & imported


# promote


def test_a_challenger_that_waits_is_shown_with_what_it_gains_and_why(three):
    content = make_pickle("fourth")
    found = {"metric": "mae", "champion": 50.0, "challenger": 40.0, "gain": 0.2, "interval": [0.1, 0.3], "rows": 1200}
    comparison = found | {"winner": "challenger", "reasons": ["The gain reaches 1% and is not luck."]}
    three.store.stage(content, make_card(content, 4, parent=three.store.live_digest(), comparison=comparison))
    out = three.call("status")[1]
    assert "\ngain      mae 40 against 50, gain +20.0% (+10.0% to +30.0%) on the same 1,200 rows\n" in out
    assert "\nbecause   The gain reaches 1% and is not luck.\n" in out
    assert three.json("status")["waiting"]["comparison"]["gain"] == 0.2


def test_a_challenger_that_waits_is_shown_and_let_in_by_a_person(three):
    content = make_pickle("fourth")
    card = make_card(content, 4, parent=three.store.live_digest(), reason="gain 0.03")
    three.store.stage(content, card)
    assert f"waiting   {card.name}: let it in with python src/rollout.py promote" in three.call("status")[1]
    assert "gain      not compared with the live model" in three.call("status")[1]
    code, out, _ = three.call("promote", "--by", "ana")
    assert (code, out) == (0, f"live      {card.name}\n")
    entry = three.store.entries()[-1]
    assert (entry.event, entry.get("actor"), entry.get("reason")) == ("deploy", "ana", "gain 0.03")
    assert three.call("promote")[0] == 2


def test_a_challenger_compared_with_another_model_than_the_live_one_is_not_let_in(three):
    content = make_pickle("fourth")
    three.store.stage(content, make_card(content, 4, parent=three.store.predecessor()))
    code, _, err = three.call("promote")
    assert code == 4
    assert "The decision is stale" in err
    assert three.store.live().card.version == 3


# adopt


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    chance = np.random.default_rng(7)
    count = 3000
    frame = pd.DataFrame(
        {
            "seen": pd.date_range("2026-01-01", periods=count, freq="h"),
            "visits": chance.integers(0, 30, count),
            "spent": chance.normal(100, 20, count).round(2),
            "plan": chance.choice(["basic", "plus"], count),
        }
    )
    pull = 0.2 * (frame.visits - 15) + 0.03 * (frame.spent - 100)
    frame["left"] = np.where(chance.random(count) < 1 / (1 + np.exp(-pull)), "yes", "no")
    return frame


@pytest.fixture(scope="module")
def foreign(rows: pd.DataFrame) -> bytes:
    """A model of somebody else's: two of the columns, in its own order, of the first 1,500 rows."""
    from sklearn.linear_model import LogisticRegression

    old = rows.head(1500)
    return pickle.dumps(LogisticRegression().fit(old[["spent", "visits"]].astype(float), old.left))


@pytest.fixture
def team(bench: Bench, rows: pd.DataFrame, foreign: bytes) -> Bench:
    rows.to_csv(bench.folder / "rows.csv", index=False)
    (bench.folder / "ours.pkl").write_bytes(foreign)
    return bench


def test_a_team_adopts_its_own_model_and_it_is_live_with_a_card(team, rows, foreign):
    until = rows.seen[1499]
    code, out, err = team.call(
        "adopt", team.folder / "ours.pkl", "--trained-until", until.isoformat(), "--by", "ana", "--reason", "begin"
    )
    assert code == 0, err
    assert "adopted, since" in out
    assert "note" not in out
    model, card = team.store.load_live()
    assert card.digest == files.digest_of(foreign)
    assert (card.origin, card.actor, card.reason, card.version) == ("adopted", "ana", "begin", 1)
    assert [column["name"] for column in card.contract["columns"]] == ["spent", "visits"]
    assert (card.training["rows"], card.training["holdout_rows"]) == (1500, 300)
    assert card.seen_until == rows.seen[1799].isoformat()
    later = rows.iloc[1500:1800]
    truth = (model.predict(later[["spent", "visits"]].astype(float)) == later.left).mean()
    assert card.baseline["accuracy"]["value"] == pytest.approx(truth)
    assert not card.training["baseline_may_be_in_sample"]
    assert team.store.entries()[-1].event == "adopt"
    assert team.call("verify")[0] == 0


def test_without_knowing_what_it_learned_from_the_baseline_is_said_to_flatter(team, rows):
    code, out, err = team.call("adopt", team.folder / "ours.pkl")
    assert code == 0, err
    assert "note      the baseline may flatter it" in out
    card = team.store.live().card
    assert card.training["holdout_rows"] == 600
    assert card.seen_until == rows.seen[2999].isoformat()
    assert "note      the baseline may flatter it" in team.call("status")[1]


def test_a_model_adopted_again_keeps_its_version_and_gets_the_better_card(team, rows):
    team.call("adopt", team.folder / "ours.pkl")
    team.call("adopt", team.folder / "ours.pkl", "--trained-until", rows.seen[1499].isoformat())
    card = team.store.live().card
    assert (card.version, card.training["baseline_may_be_in_sample"]) == (1, False)
    assert team.call("verify")[0] == 0


def test_an_unknown_live_model_is_adopted_where_it_lies(team, foreign):
    put_live(team.store, "first")
    team.store.model_path.write_bytes(foreign)
    code, _, err = team.call("adopt", team.store.model_path)
    assert code == 0, err
    assert team.store.live().card.origin == "adopted"
    assert team.store.load(team.store.predecessor())[0]["name"] == "first"
    assert team.call("verify")[0] == 0


class Harm:
    """Unpickling this ends the process."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (7,)


def test_what_is_no_model_or_harms_the_process_is_not_adopted(team):
    for name, content, message in (
        ("dict.pkl", pickle.dumps({"a": 1}), "has no predict: not a model"),
        ("harm.pkl", pickle.dumps(Harm()), "The model can't be adopted"),
        ("text.pkl", b"not a pickle", "The model can't be adopted"),
    ):
        (team.folder / name).write_bytes(content)
        code, _, err = team.call("adopt", team.folder / name)
        assert code == 4, err
        assert message in err
    assert team.store.live_digest() is None
    assert team.store.entries() == ()


def test_a_model_that_wants_columns_which_are_not_there_names_them(team, rows):
    from sklearn.linear_model import LogisticRegression

    frame = rows.assign(tenure=1.0)[["spent", "tenure"]]
    (team.folder / "other.pkl").write_bytes(pickle.dumps(LogisticRegression().fit(frame, rows.left)))
    code, _, err = team.call("adopt", team.folder / "other.pkl")
    assert code == 3
    assert "expects columns that are not among the features here: tenure. Found: visits, spent, plan" in err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nothing.pkl"], 2, "nothing.pkl: there is no such file"),
        (["."], 4, "expected a regular file"),
        (["ours.pkl", "--trained-until", "2026-05-01T00:00"], 3, "the baseline needs at least 200 later ones"),
        (["ours.pkl", "--trained-until", "2020-01-01"], 3, "0 labelled rows are up to then and 3000 are later"),
        (["ours.pkl", "--trained-until", "spring"], 2, "'spring' is no time"),
        (["ours.pkl", "--set", "data.target="], 2, "Set data.target"),
        (["ours.pkl", "--set", "data.source=none.csv"], 3, "none.csv"),
    ],
)
def test_an_adoption_that_can_not_be_done_says_why_and_changes_nothing(words, code, message, team):
    found, out, err = team.call("adopt", team.folder / words[0], *words[1:])
    assert (found, out) == (code, ""), err
    assert message in err
    assert team.store.live_digest() is None


def test_a_model_that_was_trained_here_keeps_the_card_of_its_training(three):
    (three.folder / "rows.csv").write_text("seen,visits,left\n2026-01-01T00:00,1,no\n")
    shutil.copy(three.store.backups()[0].path, three.folder / "copy.pkl")
    code, _, err = three.call("adopt", three.folder / "copy.pkl")
    assert code == 2
    assert "trained here; to make it live: python src/rollout.py rollback --to 2" in err


def test_row_numbers_say_what_was_learned_where_there_is_no_time(team, rows):
    rows.drop(columns="seen").to_csv(team.folder / "rows.csv", index=False)
    code, _, err = team.call("adopt", team.folder / "ours.pkl", "--set", "data.time=", "--trained-until", "1999")
    assert code == 0, err
    card = team.store.live().card
    assert (card.training["rows"], card.training["to"], card.seen_until) == (2000, 1999, 2399)
    code, _, err = team.call("adopt", team.folder / "ours.pkl", "--set", "data.time=", "--trained-until", "2026-01-01")
    assert code == 2
    assert "it takes the number of the last row" in err


def test_a_moment_is_utc_and_a_bare_day_means_its_end():
    assert rollout._moment("2026-11-21") == datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC)
    assert rollout._moment("2026-11-21T20:00:00+02:00") == datetime(2026, 11, 21, 18, tzinfo=UTC)


def test_help_tells_each_command(capsys):
    with pytest.raises(SystemExit) as end:
        rollout.main(["--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert all(f"rollout.py {name}" in out for name in rollout.COMMANDS)
