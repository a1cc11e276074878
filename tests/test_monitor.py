"""The whole loop on small worlds whose truth is known: what it must do, and when it must keep still."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from described import check_document
from projects import PROJECT, events, journal, make_project, run, tree, world, write_table

import detect_drift
import monitor

OLD = world(3000, seed=1)
SAME = world(3000, start="2025-02-01", seed=2)
FLIPPED = world(3000, start="2025-02-01", seed=3, flip=True)
SHIFTED = world(3000, start="2025-02-01", seed=4, shift=1.5)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A project whose first model is live; copy it before changing anything."""
    folder = tmp_path_factory.mktemp("trained") / "project"
    make_project(folder, OLD)
    assert monitor.main(["--config", str(folder / "config.toml"), "-q"]) == 0
    return folder


@pytest.fixture
def project(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "project"))


def test_the_first_run_trains_the_first_model_and_the_second_finds_nothing_to_do(project, capsys):
    assert events(project) == ["deploy", "run"]
    before = tree(project / "model")["model.pkl"]
    code, document = run(monitor, capsys, project / "config.toml")
    assert (code, document["deployed"], document["decision"]["retrain"]) == (0, False, False)
    assert "nothing new to do" in document["decision"]["reasons"][0]
    assert tree(project / "model")["model.pkl"] == before


def test_more_of_the_same_world_is_left_alone(project, capsys):
    write_table(project, pd.concat([OLD, SAME]))
    code, document = run(monitor, capsys, project / "config.toml")
    assert code == 0
    assert document["drift"]["verdict"] == "no_drift"
    assert document["drift"]["performance"]["verdict"] == "fine"
    assert not document["decision"]["retrain"]
    assert document["training"] is None


def test_other_outcomes_for_the_same_inputs_are_found_and_the_better_challenger_goes_live(project, capsys):
    write_table(project, pd.concat([OLD, FLIPPED]))
    code, document = run(monitor, capsys, project / "config.toml")
    assert code == 0
    drift = document["drift"]
    assert {column["status"] for column in drift["columns"]} <= {"no_drift", "watch"}
    assert (drift["verdict"], drift["target"]["verdict"], drift["predictions"]["verdict"]) == (
        "drift",
        "drift",
        "no_drift",
    )
    assert document["drift"]["performance"]["verdict"] == "severe"
    assert document["comparison"]["winner"] == "challenger"
    assert document["deployed"]
    assert document["model"]["version"] == 2
    assert events(project) == ["deploy", "run", "deploy", "run"]
    assert len(list((project / "model" / "model_backups").glob("model_backup_*.pkl"))) == 1


def test_a_few_nights_of_a_changed_world_are_enough_to_learn_it(project, capsys):
    """900 rows of it: of these 200 show the gain, which is large, and 700 teach."""
    write_table(project, pd.concat([OLD, FLIPPED.head(900)]))
    _, document = run(monitor, capsys, project / "config.toml")
    assert document["drift"]["performance"]["verdict"] == "severe"
    assert document["training"]["holdout_rows"] == 200
    assert document["deployed"]
    assert document["comparison"]["challenger"] > 0.8


def test_a_shift_that_costs_nothing_trains_a_challenger_but_keeps_the_champion(project, capsys):
    more_plus = world(6000, start="2025-02-01", seed=5, step="5min")
    frame = pd.concat([OLD, more_plus[(more_plus["plan"] == "plus") | (more_plus.index % 3 == 0)]])
    write_table(project, frame)
    code, document = run(monitor, capsys, project / "config.toml", "--exit-code")
    assert document["drift"]["verdict"] == "drift"
    assert document["comparison"]["winner"] != "challenger"
    assert not document["deployed"]
    assert document["model"]["version"] == 1
    assert code == 12


def test_the_result_fulfils_its_schema_and_the_reports_say_the_same(project, capsys):
    write_table(project, pd.concat([OLD, FLIPPED]))
    _, document = run(monitor, capsys, project / "config.toml")
    check_document(document)
    reports = project / "reports"
    assert json.loads((reports / "latest.json").read_text())["run"] == document["run"]
    for ending in ("html", "md", "json"):
        assert (reports / f"{document['run']}.{ending}").exists()
    assert "PERFORMANCE DRIFT DETECTED!" in (reports / "latest.md").read_text()
    assert "PERFORMANCE DRIFT DETECTED!" in (reports / "latest.html").read_text()


def test_a_dry_run_does_everything_and_changes_nothing(project, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_OUTPUT", str(project / "outputs"))
    monkeypatch.setenv("EVERGREEN_ALERT_URLS", "json://localhost")
    sent = []
    monkeypatch.setattr("evergreen.reporting.alerts._notify", lambda *told: sent.append(told) is None)
    write_table(project, pd.concat([OLD, FLIPPED]))
    before = tree(project)
    code, document = run(monitor, capsys, project / "config.toml", "--dry-run")
    assert (code, document["deployed"], document["dry_run"]) == (0, True, True)
    assert "would be live now, as version 2. Nothing was changed" in document["summary"]
    assert not sent
    assert tree(project) == before


def test_a_dry_run_on_a_new_project_leaves_no_trace(tmp_path, capsys):
    config = make_project(tmp_path / "new", OLD)
    before = tree(tmp_path)
    code, document = run(monitor, capsys, config, "--dry-run")
    assert (code, document["first_model"]["outcome"]) == (0, "deployed")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda frame: frame.drop(columns="a"), ["'a'", "missing"]),
        (lambda frame: frame.rename(columns={"a": "aa"}), ["'a'", "aa"]),
        (lambda frame: frame.assign(a=frame["a"].map(lambda value: f"{value} EUR")), ["'a'", "EUR"]),
    ],
)
def test_a_table_of_another_form_ends_with_3_and_changes_no_model(project, capsys, damage, words):
    before = {name: content for name, content in tree(project / "model").items() if "history" not in name}
    write_table(project, damage(pd.concat([OLD, SAME])))
    assert monitor.main(["--config", str(project / "config.toml")]) == 3
    shown = capsys.readouterr().err
    assert all(word in shown for word in words)
    after = {name: content for name, content in tree(project / "model").items() if "history" not in name}
    assert after == before
    assert journal(project)[-1]["failed"]
    assert "failed" in (project / "reports" / "latest.md").read_text().lower()


def test_four_kinds_of_damage_are_told_in_one_message(project, capsys):
    wrong = FLIPPED.assign(a=FLIPPED["a"].where(FLIPPED.index % 10 != 0, -9999.0)).drop(columns="b")
    wrong = wrong.assign(at=wrong["at"].where(wrong.index % 100 != 0))
    write_table(project, pd.concat([OLD.drop(columns="b"), wrong]).assign(plan=pd.Timestamp("2025-01-01")))
    assert monitor.main(["--config", str(project / "config.toml")]) == 3
    shown = " ".join(capsys.readouterr().err.split())
    assert "column 'b' is missing" in shown
    assert "column 'plan' held categories" in shown
    assert "column 'a': 9.1% of the values are far outside" in shown
    assert "30 rows have no 'at'" in shown


def test_sentinels_in_a_column_block_training_and_end_with_3_but_are_reported(project, capsys):
    broken = FLIPPED.assign(a=FLIPPED["a"].where(FLIPPED.index % 10 != 0, -9999.0))
    write_table(project, pd.concat([OLD, broken]))
    code, document = run(monitor, capsys, project / "config.toml")
    assert code == 3
    assert document["training"] is None
    assert [finding["column"] for finding in document["drift"]["quality"] if finding["blocking"]] == ["a"]
    assert "Data quality" in document["decision"]["blocked"][0]


@pytest.mark.parametrize(("strict", "expected"), [("false", 0), ("true", 3)])
def test_values_beyond_what_is_known_stop_the_loop_only_where_it_is_strict(project, capsys, strict, expected):
    write_table(project, pd.concat([OLD, SHIFTED]))
    code, document = run(monitor, capsys, project / "config.toml", "--set", f"data.strict={strict}")
    finding = next(each for each in document["drift"]["quality"] if each["column"] == "a")
    assert (code, finding["finding"], finding["blocking"]) == (expected, "out_of_range", strict == "true")
    assert document["drift"]["verdict"] == "drift"
    assert (document["training"] is None) == (strict == "true")


def test_rows_that_were_loaded_twice_block_and_are_no_drift(project, capsys):
    again = OLD.tail(1000).assign(at=pd.date_range("2025-02-01", periods=1000, freq="10min"))
    write_table(project, pd.concat([OLD, again]))
    code, document = run(monitor, capsys, project / "config.toml")
    assert (code, document["training"]) == (3, None)
    assert [each["finding"] for each in document["drift"]["quality"] if each["blocking"]] == ["duplicate_batch"]


def test_the_live_model_is_looked_at_more_deeply_on_demand(project, capsys):
    """Neither column moves, nor their correlation: only where one is large the other is, whatever its sign."""
    tied = SAME.assign(b=SAME["b"].abs().sort_values().to_numpy()[SAME["a"].abs().rank().astype(int) - 1])
    tied["b"] *= [1, -1] * 1500
    write_table(project, pd.concat([OLD, tied]))
    code, drift = run(detect_drift, capsys, project / "config.toml", "--deep")
    assert (code, drift["joint"]["deep"]["verdict"], drift["joint"]["pairs"]) == (0, "drift", [])
    assert {column["name"] for column in drift["joint"]["deep"]["columns"]} == {"a", "b"}
    assert drift["retraining_recommended"]


def test_a_second_run_at_the_same_time_leaves_at_once_and_writes_nothing(project):
    from evergreen.files import lock

    before = tree(project)
    with lock(project / "model" / ".lock"):
        assert monitor.main(["--config", str(project / "config.toml"), "-q"]) == 75
    after = tree(project)
    assert {name for name in after if after[name] != before.get(name)} <= {"model/.lock"}


def test_an_altered_model_is_refused_with_4_before_it_is_opened(project, capsys):
    pickle = project / "model" / "model.pkl"
    pickle.write_bytes(pickle.read_bytes() + b"\0")
    assert monitor.main(["--config", str(project / "config.toml")]) == 4
    assert "not known here" in capsys.readouterr().err


def test_a_fit_that_fails_ends_with_1_and_the_champion_stays_live(project, capsys):
    (project / "broken.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n"
        "class Broken(LogisticRegression):\n"
        "    def fit(self, X, y, **rest):\n"
        "        raise RuntimeError('the licence has expired')\n"
        "def make():\n    return Broken()\n"
    )
    before = tree(project / "model")["model.pkl"]
    write_table(project, pd.concat([OLD, FLIPPED]))
    words = [
        "--config",
        str(project / "config.toml"),
        "--set",
        "training.estimator=broken:make",
        "--set",
        "training.params={}",
    ]
    assert monitor.main(words) == 1
    assert "the licence has expired" in capsys.readouterr().err
    assert tree(project / "model")["model.pkl"] == before
    assert journal(project)[-1]["failure"]["kind"] == "TrainingError"
    write_table(project, pd.concat([OLD, FLIPPED, world(500, start="2025-03-01", seed=9, flip=True)]))
    assert monitor.main(words) == 0, "a fit that failed is not tried again the very next night"
    assert "Cooling down" in json.loads((project / "reports" / "latest.json").read_text())["decision"]["blocked"][0]


def test_a_fit_that_hangs_is_ended_at_its_limit(project, capsys):
    (project / "sleepy.py").write_text(
        "import time\nfrom sklearn.linear_model import LogisticRegression\n"
        "class Sleepy(LogisticRegression):\n"
        "    def fit(self, X, y, **rest):\n        time.sleep(600)\n"
        "def make():\n    return Sleepy()\n"
    )
    write_table(project, pd.concat([OLD, FLIPPED]))
    words = ["--set", "training.estimator=sleepy:make", "--set", "training.params={}", "--set", "training.timeout=3s"]
    assert monitor.main(["--config", str(project / "config.toml"), *words]) == 1
    assert "did not finish within 3 s" in capsys.readouterr().err


def test_when_the_old_world_returns_the_predecessor_takes_its_place_back_by_itself(project, capsys):
    write_table(project, pd.concat([OLD, FLIPPED]))
    _, document = run(monitor, capsys, project / "config.toml")
    assert document["deployed"]
    back = world(1500, start="2025-03-01", seed=7)
    write_table(project, pd.concat([OLD, FLIPPED, back]))
    _, document = run(monitor, capsys, project / "config.toml")
    assert document["rolled_back"]
    assert document["model"]["version"] == 1
    assert document["training"] is None
    assert "rollback" in events(project)


def test_bad_rows_do_not_bring_the_predecessor_back(project, capsys):
    write_table(project, pd.concat([OLD, FLIPPED]))
    run(monitor, capsys, project / "config.toml")
    back = world(1500, start="2025-03-01", seed=7)
    write_table(project, pd.concat([OLD, FLIPPED, back.assign(a=back["a"].where(back.index % 10 != 0, -9999.0))]))
    before = tree(project / "model")["model.pkl"]
    code, document = run(monitor, capsys, project / "config.toml")
    assert (code, document["rolled_back"], document["watch"]) == (3, False, None)
    assert tree(project / "model")["model.pkl"] == before


def test_a_better_model_is_not_taken_back(project, capsys):
    write_table(project, pd.concat([OLD, FLIPPED]))
    run(monitor, capsys, project / "config.toml")
    write_table(project, pd.concat([OLD, FLIPPED, world(1500, start="2025-03-01", seed=8, flip=True)]))
    _, document = run(monitor, capsys, project / "config.toml")
    assert not document["rolled_back"]
    assert document["watch"]["winner"] == "champion"
    assert document["model"]["version"] == 2


def test_other_settings_are_a_reason_to_look_at_the_same_table_again(project, capsys):
    write_table(project, pd.concat([OLD, FLIPPED]))
    run(monitor, capsys, project / "config.toml", "--set", "policy.mode=advise")
    _, again = run(monitor, capsys, project / "config.toml", "--set", "policy.mode=advise")
    assert not again["news"]
    _, loud = run(monitor, capsys, project / "config.toml", "--set", "policy.mode=advise", "--set", "reports.keep=7")
    assert not loud["news"], "where reports go decides nothing"
    _, document = run(monitor, capsys, project / "config.toml")
    assert document["news"]
    assert document["deployed"]


def test_advice_only_recommends(project, capsys):
    write_table(project, pd.concat([OLD, FLIPPED]))
    _, document = run(monitor, capsys, project / "config.toml", "--set", "policy.mode=advise")
    assert (document["decision"]["recommended"], document["decision"]["retrain"]) == (True, False)
    assert document["training"] is None


def test_approval_stages_the_challenger_and_a_person_promotes_it(project, capsys):
    import rollout

    write_table(project, pd.concat([OLD, FLIPPED]))
    words = ["--set", "policy.mode=approve"]
    _, document = run(monitor, capsys, project / "config.toml", *words)
    assert document["training"]["outcome"] == "staged"
    assert document["model"]["version"] == 1
    assert rollout.main(["promote", "--config", str(project / "config.toml"), "--reason", "looks good"]) == 0
    assert journal(project)[-1]["event"] == "deploy"
    assert journal(project)[-1]["digest"] == document["training"]["digest"]
    assert journal(project)[-1]["reason"] == "looks good"


@pytest.mark.parametrize(
    ("frame", "code"), [(SAME, 0), (SHIFTED, 10), (SAME.head(60).assign(y=None), 11)], ids=["calm", "drift", "few"]
)
def test_the_outcome_can_be_told_by_the_exit_code(project, capsys, frame, code):
    write_table(project, pd.concat([OLD, frame]))
    words = ["--exit-code", "--set", "policy.mode=advise"]
    assert run(monitor, capsys, project / "config.toml", *words)[0] == code


def test_labels_that_come_late_are_waited_for(project, capsys):
    write_table(project, pd.concat([OLD, FLIPPED.assign(y=None)]))
    _, document = run(monitor, capsys, project / "config.toml")
    assert document["drift"]["performance"]["verdict"] == "not_enough_evidence"
    assert not document["decision"]["retrain"]
    write_table(project, pd.concat([OLD, FLIPPED]))
    _, document = run(monitor, capsys, project / "config.toml")
    assert document["drift"]["performance"]["verdict"] == "severe"
    assert document["deployed"]


def test_early_and_biased_labels_are_not_judged(project, capsys):
    """Those who leave are known at once, those who stay only later: the first labels are nearly all of one kind."""
    early = FLIPPED.assign(y=FLIPPED["y"].where(FLIPPED["y"] == "yes"))
    write_table(project, pd.concat([OLD, early]))
    _, document = run(monitor, capsys, project / "config.toml")
    assert document["drift"]["performance"]["verdict"] == "not_enough_evidence"


def test_an_old_model_is_retrained_by_schedule_alone(project, capsys):
    import time_machine

    write_table(project, pd.concat([OLD, SAME]))
    with time_machine.travel("2099-01-01", tick=True):
        _, document = run(monitor, capsys, project / "config.toml")
    assert "days old" in document["decision"]["reasons"][0]
    assert document["training"] is not None


@pytest.mark.parametrize("change", ["rows", "columns", "parquet"])
def test_order_and_format_of_the_table_make_no_difference(tmp_path, capsys, change):
    frame = pd.concat([OLD, FLIPPED], ignore_index=True)
    config = make_project(tmp_path / "plain", frame, training="params = {max_iter = 30}\nfirst_share = 0.5\n")
    other = make_project(tmp_path / "other", frame, training="params = {max_iter = 30}\nfirst_share = 0.5\n")
    words = []
    if change == "rows":
        write_table(other.parent, frame.sample(frac=1, random_state=1))
    elif change == "columns":
        write_table(other.parent, frame[["plan", "y", "at", "b", "a"]])
    else:
        frame.to_parquet(other.parent / "table.parquet")
        words = ["--set", "data.source=table.parquet"]
    _, one = run(monitor, capsys, config)
    _, two = run(monitor, capsys, other, *words)
    assert one["comparison"]["rows_digest"] == two["comparison"]["rows_digest"]
    assert one["comparison"]["challenger"] == two["comparison"]["challenger"]
    statistics = [{c["name"]: (c["status"], c["effect"]) for c in each["drift"]["columns"]} for each in (one, two)]
    assert statistics[0] == statistics[1]
    if change != "columns":
        assert one["model"]["digest"] == two["model"]["digest"]


def test_two_tables_instead_of_one(tmp_path, capsys):
    config = make_project(tmp_path / "pair", OLD)
    FLIPPED.to_csv(config.parent / "now.csv", index=False)
    config.write_text(
        config.read_text().replace('source = "table.csv"', 'reference = "table.csv"\ncurrent = "now.csv"')
        + "\n[policy]\nmin_new_rows = 500\n"
    )
    _, document = run(monitor, capsys, config)
    assert document["first_model"]["outcome"] == "deployed"
    assert document["drift"]["current"]["rows"] == 3000
    assert document["deployed"]
    assert document["model"]["version"] == 2


@pytest.fixture
def pair(tmp_path, capsys):
    """Two tables without a time, the second one replaced every night; `night` does that and runs the loop."""
    config = make_project(tmp_path / "pair", OLD.drop(columns="at"), time="")
    text = config.read_text().replace('source = "table.csv"', 'reference = "table.csv"\ncurrent = "now.csv"')
    config.write_text(text + "\n[policy]\nmin_new_rows = 500\n")

    def night(frame, *words):
        frame.drop(columns="at").to_csv(config.parent / "now.csv", index=False)
        return run(monitor, capsys, config, *words)

    return night


def test_a_current_table_that_is_replaced_by_one_of_equal_size_is_seen(pair):
    assert pair(SAME)[1]["first_model"]["outcome"] == "deployed"
    _, document = pair(SAME.sample(frac=1, random_state=1))
    assert not document["news"]
    assert "nothing new to do" in document["decision"]["reasons"][0]
    _, document = pair(FLIPPED)
    assert (document["news"], document["deployed"], document["model"]["version"]) == (True, True, 2)
    _, document = pair(FLIPPED)
    assert "nothing new to do" in document["decision"]["reasons"][0]
    assert document["drift"]["current"]["rows"] < 100, "only rows that repeat training rows may be left over"
    _, document = pair(SAME)
    assert document["news"]
    assert document["drift"]["current"]["rows"] == 3000
    assert document["rolled_back"], "the world is the old one again, and so is the better model"


def test_a_current_table_that_has_grown_is_known_by_its_first_rows(pair):
    pair(FLIPPED)
    _, document = pair(pd.concat([FLIPPED, world(400, seed=9, flip=True)]))
    assert document["drift"]["current"]["rows"] == 400


def test_another_form_of_the_second_table_is_told_as_that_of_one_table_is(pair):
    pair(SAME)
    words = ["--set", "policy.mode=advise"]
    code, document = pair(SAME.rename(columns={"plan": "plan_name"}), *words)
    assert code == 3
    assert "'plan_name' is new: it was probably renamed" in document["failure"]["message"]
    assert pair(SAME.assign(more=1), *words)[0] == 0
    assert pair(SAME.assign(more=1), *words, "--set", "data.allow_extra_columns=false")[0] == 3


def test_a_table_without_a_time_is_taken_in_the_order_of_its_rows(tmp_path, capsys):
    frame = pd.concat([OLD, FLIPPED]).drop(columns="at")
    config = make_project(tmp_path / "rows", frame, time="", training="params = {max_iter = 30}\nfirst_share = 0.5\n")
    _, document = run(monitor, capsys, config)
    assert document["drift"]["performance"]["verdict"] == "severe"
    assert document["deployed"]
    _, document = run(monitor, capsys, config)
    assert "nothing new to do" in document["decision"]["reasons"][0]


def test_in_github_actions_outputs_and_a_summary_are_written(project, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    run(monitor, capsys, project / "config.toml")
    outputs = dict(line.split("=") for line in (tmp_path / "outputs").read_text().splitlines())
    assert outputs["deployed"] == "false"
    assert len(outputs["model_digest"]) == 64
    assert (tmp_path / "summary").read_text().startswith("#")


@pytest.mark.parametrize("where", ["root", "src"])
def test_it_runs_as_a_process_from_the_root_and_from_src(project, where):
    folder, script = (PROJECT, "src/monitor.py") if where == "root" else (PROJECT / "src", "monitor.py")
    words = [sys.executable, script, "--config", str(project / "config.toml"), "--json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"]["version"] == 1


@pytest.mark.parametrize("script", ["monitor", "detect_drift", "continuous_training", "rollout"])
def test_help_answers_without_loading_anything_heavy(script):
    words = [sys.executable, "-X", "importtime", f"src/{script}.py", "--help"]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert "usage:" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"pandas", "sklearn", "numpy", "pyarrow", "scipy", "rich", "multiprocessing"}


def test_a_column_that_was_excluded_since_is_left_out_and_the_champion_still_gets_it(project, capsys):
    write_table(project, pd.concat([OLD, FLIPPED]))
    code, document = run(monitor, capsys, project / "config.toml", "--set", 'data.exclude=["b"]')
    assert (code, document["deployed"]) == (0, True)
    card = json.loads((project / "model" / "cards" / f"{document['model']['digest']}.json").read_text())
    assert [column["name"] for column in card["contract"]["columns"]] == ["a", "plan"]


def test_a_target_of_classes_stays_one_when_it_gets_more_values(tmp_path, capsys):
    """Marks from 0 to 19 are classes; with 20 and 21 among them they would be taken for numbers."""
    old = OLD.assign(y=(OLD["a"] * 3 + 10).clip(0, 19).round().astype(int))
    new = FLIPPED.assign(y=(FLIPPED["a"] * 3 + 12).clip(0, 21).round().astype(int))
    config = make_project(tmp_path / "marks", old)
    run(monitor, capsys, config)
    write_table(config.parent, pd.concat([old, new]))
    _, document = run(monitor, capsys, config)
    assert document["comparison"]["metric"] == "accuracy"
    assert document["deployed"]


def test_a_reason_to_retrain_waits_until_there_are_labels_enough_for_a_holdout(project, capsys):
    """A tenth of 2400 rows is new enough for the policy, but half of it is too little to compare models on."""
    write_table(project, pd.concat([OLD, FLIPPED.head(300)]))
    code, document = run(monitor, capsys, project / "config.toml")
    assert code == 0
    assert document["decision"]["wanted"]
    assert "training.min_holdout asks for 200" in document["decision"]["blocked"][0]
    write_table(project, pd.concat([OLD, FLIPPED.head(400)]))
    assert run(monitor, capsys, project / "config.toml")[1]["training"] is not None


def test_with_json_a_run_that_failed_shows_its_document_and_keeps_its_exit_code(project, capsys):
    write_table(project, pd.concat([OLD, SAME]).drop(columns="b"))
    code, document = run(monitor, capsys, project / "config.toml")
    check_document(document)
    assert (code, document["failure"]["kind"], document["model"]["version"]) == (3, "DataError", 1)
    assert "column 'b' is missing" in document["failure"]["message"]
    code, document = run(monitor, capsys, project / "config.toml", "--set", "drift.alpha=7")
    assert (code, document["format"], document["failure"]["kind"]) == (2, 1, "UsageError")
