"""Training by hand: the same gates and comparison as in the loop, and what `--force` skips and what not."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from projects import PROJECT, events, journal, make_project, run, tree, world, write_table

import continuous_training
import detect_drift
import monitor

OLD = world(3000, seed=1)
SAME = world(3000, start="2025-02-01", seed=2)
FLIPPED = world(3000, start="2025-02-01", seed=3, flip=True)


@pytest.fixture
def project(tmp_path):
    config = make_project(tmp_path / "project", OLD)
    assert continuous_training.main(["--config", str(config), "-q"]) == 0
    return config.parent


def trained(document):
    return document["training"] or document["first_model"]


def records(project):
    return sorted((project / "model" / "comparisons").glob("comparison_*.json"))


def test_the_first_model_needs_only_the_gates_and_the_floor(project):
    assert events(project) == ["deploy", "run"]
    (record,) = records(project)
    assert json.loads(record.read_text())["comparison"] is None
    (card,) = (project / "model" / "cards").glob("*.json")
    gates = {gate["name"]: gate["passed"] for gate in json.loads(card.read_text())["gates"]}
    assert gates == dict.fromkeys(["size", "loads", "answers", "repeats", "latency", "floor"], True)


def test_a_challenger_that_is_no_better_is_rejected_and_the_record_says_why(tmp_path, capsys):
    """A straight line has learned all it can from the first rows: more of the same teaches it nothing."""
    project = tmp_path / "line"
    make_project(project, OLD, training='estimator = "sklearn.linear_model.LogisticRegression"\n')
    run(continuous_training, capsys, project / "config.toml")
    write_table(project, pd.concat([OLD, SAME]))
    before = tree(project / "model")["model.pkl"]
    code, document = run(continuous_training, capsys, project / "config.toml", "--exit-code")
    assert code == 12
    assert trained(document)["outcome"] == "rejected"
    assert tree(project / "model")["model.pkl"] == before
    record = json.loads(records(project)[-1].read_text())
    assert record["comparison"]["winner"] != "challenger"
    assert record["comparison"]["champion_digest"] != record["comparison"]["challenger_digest"]
    assert len(record["comparison"]["rows_digest"]) == 64
    assert trained(record)["reasons"]


def test_no_more_rows_are_learned_from_than_allowed(project, capsys):
    write_table(project, pd.concat([OLD, SAME]))
    _, document = run(continuous_training, capsys, project / "config.toml", "--set", "training.max_rows=900")
    assert trained(document)["rows"] == 900
    assert trained(document)["from"].startswith("2025-01-01T00"), "thinned out, not cut off"


def test_force_skips_the_comparison_and_records_who_and_why(project, capsys):
    write_table(project, pd.concat([OLD, SAME]))
    words = ["--force", "--reason", "new tariff", "--by", "ada"]
    code, document = run(continuous_training, capsys, project / "config.toml", *words)
    assert (code, document["deployed"]) == (0, True)
    assert document["comparison"]["forced"] == {"by": "ada", "why": "new tariff"}
    deploy = [line for line in journal(project) if line["event"] == "deploy"][-1]
    assert (deploy["reason"], deploy["actor"]) == ("new tariff", "ada")
    assert json.loads(records(project)[-1].read_text())["comparison"]["forced"]["by"] == "ada"
    known = {key for key, value in document["comparison"].items() if value not in (None, [], {})}
    assert known == {"winner", "forced", "reasons", "champion_digest", "challenger_digest"}
    assert {"metric", "gain", "interval", "p_value", "rows", "slices", "scores"} <= document["comparison"].keys()


@pytest.mark.parametrize(("word", "learns"), [("off", False), ("on", True), ("auto", False)])
def test_a_winner_learns_the_rows_it_was_judged_on_where_that_is_wanted(project, capsys, word, learns):
    write_table(project, pd.concat([OLD, FLIPPED]))
    _, document = run(continuous_training, capsys, project / "config.toml", "--set", f"training.learn_holdout={word}")
    training, comparison = trained(document), document["comparison"]
    assert document["deployed"]
    assert training["holdout_learned"] is learns
    fitted = next(one["rows"] for one in training["candidates"] if one["window"] == training["window"])
    assert (training["rows"] >= fitted + training["holdout_rows"]) is learns
    assert (comparison["challenger_digest"] == training["digest"]) is not learns
    assert training["baseline"]["accuracy"]["value"] == pytest.approx(comparison["challenger"])
    assert {gate["name"] for gate in training["gates"]} == {"size", "loads", "answers", "repeats", "latency", "floor"}


def test_the_preset_by_cost_learns_them_by_itself(tmp_path, capsys):
    config = make_project(tmp_path / "cost", OLD)
    _, document = run(continuous_training, capsys, config, "--set", "policy.preset=cost")
    assert trained(document)["holdout_learned"] is True
    assert trained(document)["rows"] == len(OLD)


def test_each_further_look_at_the_same_holdout_has_to_be_more_certain(project, capsys):
    write_table(project, pd.concat([OLD, SAME]))
    words = ["--set", "promotion.min_improvement=0.5"]
    looks = [run(continuous_training, capsys, project / "config.toml", *words)[1]["comparison"] for _ in range(3)]
    assert len({look["rows_digest"] for look in looks}) == 1
    assert [look["candidates"] for look in looks] == [1, 2, 3]
    assert [look["alpha"] for look in looks] == [0.05, 0.025, pytest.approx(0.05 / 3)]


def test_force_does_not_skip_the_safety_gates(project, capsys):
    write_table(project, pd.concat([OLD, SAME]))
    before = tree(project / "model")["model.pkl"]
    words = ["--force", "--reason", "I want it", "--set", "promotion.max_size_mb=0.001"]
    _, document = run(continuous_training, capsys, project / "config.toml", *words)
    assert trained(document)["outcome"] == "rejected"
    assert "promotion.max_size_mb" in trained(document)["reasons"][0]
    assert tree(project / "model")["model.pkl"] == before


def test_a_model_without_a_clue_is_not_let_in_as_the_first(tmp_path, capsys):
    noise = OLD.assign(y=np.random.default_rng(0).choice(["yes", "no"], len(OLD)))
    config = make_project(tmp_path / "noise", noise)
    code, document = run(continuous_training, capsys, config, "--exit-code")
    assert (code, trained(document)["outcome"], document["model"]) == (12, "rejected", None)
    assert "always giving the same answer" in trained(document)["reasons"][0]
    assert not (config.parent / "model" / "model.pkl").exists()


def test_a_floor_set_by_the_user_holds_for_the_first_model_too(tmp_path, capsys):
    config = make_project(tmp_path / "floor", OLD, performance="min_score = 0.99\n")
    _, document = run(continuous_training, capsys, config)
    assert trained(document)["outcome"] == "rejected"
    assert "performance.min_score" in trained(document)["reasons"][0]


def test_holdout_rows_that_stand_among_the_training_rows_are_left_out_and_counted(project, capsys):
    """Late copies of old rows: the same customer, the same moment, delivered twice."""
    late = pd.concat([OLD, SAME]).assign(id=range(6000)).drop(columns="at")
    copies = late.iloc[:300]
    frame = pd.concat([late, copies])
    config = make_project(project.parent / "leak", frame, time="", data='identifiers = ["id"]\n')
    _, document = run(continuous_training, capsys, config)
    assert trained(document)["leaked_rows"] == 300
    assert trained(document)["holdout_rows"] == round(0.2 * 6300) - 300


def test_repeated_rows_are_ordinary_in_a_table_of_few_categories(tmp_path, capsys):
    frame = OLD[["plan", "y"]].assign(size=np.where(OLD["a"] > 0, "large", "small"))
    config = make_project(tmp_path / "coarse", frame, time="")
    _, document = run(continuous_training, capsys, config)
    assert trained(document)["leaked_rows"] == 0
    assert document["deployed"]


def test_holdout_rows_are_later_than_all_training_rows(project):
    (card,) = (project / "model" / "cards").glob("*.json")
    training = json.loads(card.read_text())["training"]
    assert training["to"] < json.loads(card.read_text())["seen_until"]
    assert training["rows"] + training["holdout_rows"] == len(OLD)


def test_the_deployed_pickle_opens_in_a_plain_python_and_answers_in_the_users_labels(project):
    code = (
        "import pickle, pandas as pd\n"
        f"model = pickle.load(open({str(project / 'model' / 'model.pkl')!r}, 'rb'))\n"
        f"frame = pd.read_csv({str(project / 'table.csv')!r})\n"
        "print(sorted(set(model.predict(frame[['a', 'b', 'plan']]))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "['no', 'yes']"


@pytest.mark.parametrize(("labels", "answers"), [((0, 1), {0, 1}), ((False, True), {False, True})])
def test_labels_keep_their_own_type_in_the_model(tmp_path, labels, answers):
    frame = OLD.assign(y=np.where(OLD["y"] == "yes", labels[1], labels[0]))
    config = make_project(tmp_path / "typed", frame)
    assert continuous_training.main(["--config", str(config), "-q"]) == 0
    model = pickle.loads((config.parent / "model" / "model.pkl").read_bytes())
    found = {value.item() for value in model.classes_}
    assert found == answers
    assert {type(value) for value in found} == {type(labels[0])}


def test_regression_and_multiclass_go_the_same_way(tmp_path, capsys):
    numbers = OLD.assign(y=(OLD["a"] * 3 + OLD["b"] + np.random.default_rng(1).normal(0, 0.5, len(OLD))).round(4))
    later = FLIPPED.assign(y=(-3 * FLIPPED["a"] + FLIPPED["b"]).round(4))
    config = make_project(tmp_path / "numbers", numbers)
    _, document = run(monitor, capsys, config)
    assert document["first_model"]["baseline"]["mae"]["value"] < 0.8
    write_table(config.parent, pd.concat([numbers, later]))
    _, document = run(monitor, capsys, config)
    assert document["drift"]["performance"]["metric"] == "mae"
    assert document["deployed"]

    def thirds(frame, turn):
        return frame.assign(y=pd.cut(frame["a"] * turn, [-9, -0.4, 0.4, 9], labels=["low", "mid", "high"]))

    config = make_project(tmp_path / "thirds", thirds(OLD, 1))
    run(monitor, capsys, config)
    write_table(config.parent, pd.concat([thirds(OLD, 1), thirds(FLIPPED, -1)]))
    _, document = run(monitor, capsys, config)
    assert document["drift"]["performance"]["verdict"] == "severe"
    assert document["deployed"]


def test_a_model_goes_on_learning_by_partial_fit(tmp_path, capsys):
    training = 'estimator = "sklearn.linear_model.SGDClassifier"\nparams = {loss = "log_loss"}\nwindow = "all"\n'
    config = make_project(tmp_path / "update", OLD, training=training)
    _, first = run(continuous_training, capsys, config)
    write_table(config.parent, pd.concat([OLD, FLIPPED]))
    _, document = run(continuous_training, capsys, config, "--set", "training.update=true")
    assert trained(document)["window"] == "update"
    assert trained(document)["rows"] == 3000 - 1200
    assert document["deployed"]
    assert first["model"]["version"] == 1


def test_too_few_labels_are_said_in_numbers_and_end_with_3(tmp_path, capsys):
    config = make_project(tmp_path / "few", OLD.head(300))
    assert continuous_training.main(["--config", str(config)]) == 3
    assert "training.min_holdout asks for 200" in capsys.readouterr().err


def test_without_a_target_nothing_can_be_trained_and_the_key_is_named(tmp_path, capsys):
    config = make_project(tmp_path / "aimless", OLD, target="")
    assert continuous_training.main(["--config", str(config)]) == 3
    assert "data.target" in capsys.readouterr().err


def test_a_metric_that_the_holdout_can_not_tell_is_a_gate_not_passed_and_no_crash(tmp_path, capsys):
    """Nobody has left lately: there is no ROC AUC without both classes."""
    frame = OLD.assign(y=OLD["y"].where(OLD.index < 2000, "no"))
    config = make_project(tmp_path / "lately", frame, performance='metric = "roc_auc"\n')
    code, document = run(continuous_training, capsys, config)
    assert (code, trained(document)["outcome"]) == (0, "rejected")
    assert "There is no roc_auc on the holdout" in trained(document)["reasons"][0]


def test_force_goes_on_without_a_column_that_is_gone_for_good(project, capsys):
    less = pd.concat([OLD, SAME]).drop(columns="b")
    write_table(project, less)
    assert run(continuous_training, capsys, project / "config.toml")[0] == 3
    code, document = run(continuous_training, capsys, project / "config.toml", "--force", "--reason", "b is gone")
    assert (code, document["deployed"]) == (0, True)
    write_table(project, pd.concat([less, world(600, start="2025-03-01", seed=5).drop(columns="b")]))
    code, document = run(monitor, capsys, project / "config.toml")
    assert (code, document["watch"]) == (0, None), "the predecessor wants the column and can't be watched"
    assert document["drift"]["performance"]["labelled_rows"] == 600


def test_the_remedy_of_the_readme_for_a_column_that_is_gone_for_good(project, capsys):
    """Into data.exclude, then --force; from then on every run does without it, and so does a fresh start."""
    less = pd.concat([OLD, SAME]).drop(columns="b")
    write_table(project, less)
    config, out = project / "config.toml", ["--set", 'data.exclude=["b"]']
    assert run(monitor, capsys, config, *out)[0] == 3
    code, document = run(continuous_training, capsys, config, *out, "--force", "--reason", "b is gone")
    assert (code, document["deployed"]) == (0, True)
    write_table(project, pd.concat([less, world(600, start="2025-03-01", seed=5).drop(columns="b")]))
    assert run(monitor, capsys, config, *out)[0] == 0
    code, document = run(monitor, capsys, config, *out, "--set", "registry.folder=fresh")
    assert (code, document["deployed"]) == (0, True)


@pytest.mark.parametrize("script", [continuous_training, monitor, detect_drift], ids=lambda script: script.__name__)
def test_another_target_than_the_live_models_is_refused_and_nothing_changes(project, capsys, script):
    write_table(project, pd.concat([OLD, SAME]))
    before = tree(project / "model")["model.pkl"]
    force = ["--force"] if script is continuous_training else []
    for target, words in (("plan", "data.target says 'plan'"), ("", "data.target is not set")):
        arguments = ["--config", str(project / "config.toml"), "--set", f"data.target={target}", *force]
        assert script.main(arguments) == 2
        said = capsys.readouterr().err
        assert "The live model predicts 'y'" in said and words in said and "registry.folder" in said
    assert tree(project / "model")["model.pkl"] == before


@pytest.mark.parametrize("script", [continuous_training, monitor], ids=lambda script: script.__name__)
def test_a_target_that_is_not_in_the_table_is_named_with_the_nearest_column(project, tmp_path, capsys, script):
    renamed = pd.concat([OLD, SAME]).rename(columns={"y": "yy"})
    write_table(project, renamed)
    fresh = make_project(tmp_path / "fresh", renamed)
    for config in (project / "config.toml", fresh):
        assert script.main(["--config", str(config)]) == 2
        said = capsys.readouterr().err
        assert "data.target names the column 'y', which is not there; did you mean 'yy'? Found: at, a, b" in said


def test_a_current_table_whose_labels_are_still_to_come_may_lack_the_target(project, capsys):
    OLD.to_csv(project / "reference.csv", index=False)
    SAME.drop(columns="y").to_csv(project / "current.csv", index=False)
    pair = 'source = ""\nreference = "reference.csv"\ncurrent = "current.csv"'
    config = project / "config.toml"
    config.write_text(config.read_text().replace('source = "table.csv"', pair))
    assert run(detect_drift, capsys, config)[0] == 0


def test_drift_against_the_live_model_tells_bad_data_by_its_exit_code_after_the_report(project, capsys):
    write_table(project, pd.concat([OLD, SAME.assign(a=SAME["a"] * 1e6)]))
    code, document = run(detect_drift, capsys, project / "config.toml")
    assert code == 3
    assert [finding["finding"] for finding in document["quality"] if finding["blocking"]] == ["out_of_range"]


OWN_MODEL = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

class Rule(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.classes_[(X["a"] + X["b"] / 2 > 0).astype(int)]
"""


def test_a_model_of_a_class_beside_the_configuration_is_trained_opened_and_watched(tmp_path):
    config = make_project(tmp_path / "own", OLD, training='estimator = "rule_of_test:Rule"\n')
    (tmp_path / "own" / "rule_of_test.py").write_text(OWN_MODEL)
    for script in ("continuous_training", "monitor"):  # processes of their own: nothing is imported yet
        command = [sys.executable, str(PROJECT / "src" / f"{script}.py"), "--config", str(config), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"]["version"] == 1


def test_sentinels_in_the_new_rows_teach_nobody_and_the_failure_is_on_record(project):
    broken = FLIPPED.assign(a=FLIPPED["a"].where(FLIPPED.index % 5 != 0, -9999.0))
    write_table(project, pd.concat([OLD, broken]))
    before = tree(project / "model")["model.pkl"]
    words = ["--config", str(project / "config.toml"), "-q"]
    assert continuous_training.main(words) == 3
    assert continuous_training.main([*words, "--force", "--reason", "I want it"]) == 3
    assert tree(project / "model")["model.pkl"] == before
    assert journal(project)[-1]["failure"]["kind"] == "DataError"
