import json
import pickle
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from small_tables import make_amounts, make_features, make_job, make_labels

from evergreen.errors import DataError, TrainingError, UsageError
from evergreen.files import digest_of
from evergreen.settings import ComputeSettings, PerformanceSettings
from evergreen.training import importances
from evergreen.training.children import Limits
from evergreen.training.fitting import fit, fit_in_child, limits_of
from evergreen.training.search import search_params

FRAME = make_features(1500)
LABELS = make_labels(FRAME)
TIMES = np.datetime64("2025-01-01", "us") + np.arange(len(FRAME)) * np.timedelta64(1, "h")
SGD = {"estimator": "sklearn.linear_model.SGDClassifier", "params": {"loss": "log_loss"}}


def accuracy(fitted, frame=FRAME, labels=LABELS):
    return float(np.mean(pickle.loads(fitted.pickle).predict(frame) == labels))


def test_a_challenger_comes_back_from_the_child_with_what_is_to_know_of_it():
    fitted = fit_in_child(make_job(FRAME, LABELS), Limits(seconds=300))
    assert accuracy(fitted) > 0.85
    assert fitted.digest == digest_of(fitted.pickle)
    assert fitted.estimator == "sklearn.ensemble.HistGradientBoostingClassifier"
    assert fitted.seconds > 0
    assert fitted.rows == len(FRAME)
    assert fitted.window == "all"


def test_importances_are_shares_and_find_what_matters():
    found = fit(make_job(FRAME, LABELS)).importances
    assert set(found) == {"signal", "noise", "plan"}
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) >= 0
    assert found["signal"] > found["plan"] > found["noise"]


def test_rows_with_more_categories_than_the_contract_has_seen_can_be_learned_from():
    town = np.array([f"town {number % 600}" for number in range(len(FRAME))], dtype=object)
    fitted = fit(make_job(FRAME.assign(town=town), LABELS))  # the contract of these jobs counts none
    assert accuracy(fitted, FRAME.assign(town=town)) > 0.8


def test_importances_are_the_same_in_one_question_and_in_many(monkeypatch):
    whole = fit(make_job(FRAME, LABELS)).importances
    monkeypatch.setattr(importances, "MAX_CELLS", 1)
    assert fit(make_job(FRAME, LABELS)).importances == whole


def test_importances_of_a_model_that_uses_nothing_are_all_zero():
    job = make_job(FRAME, LABELS, estimator="sklearn.dummy.DummyClassifier", preprocessing="none")
    assert set(fit(job).importances.values()) == {0.0}


def test_the_same_rows_and_seed_give_the_same_bytes_in_any_process_with_any_number_of_jobs():
    forest = {"estimator": "sklearn.ensemble.RandomForestClassifier", "params": {"n_estimators": 20}}
    for options in ({}, forest):
        one = fit_in_child(make_job(FRAME, LABELS, **options), Limits())
        two = fit_in_child(make_job(FRAME, LABELS, compute=ComputeSettings(jobs=2), **options), Limits())
        assert one.digest == two.digest
    other_seed = fit(make_job(FRAME, LABELS, seed=1, **forest))
    assert other_seed.digest != one.digest


def test_regression_is_fitted_and_judged_as_such():
    amounts = make_amounts(FRAME)
    fitted = fit(make_job(FRAME, amounts, task="regression"))
    error = np.mean(np.abs(pickle.loads(fitted.pickle).predict(FRAME) - amounts))
    assert error < 2
    assert fitted.estimator.endswith("Regressor")


def test_limits_are_those_the_user_set():
    training = make_job(FRAME, LABELS, timeout="90s", memory_gb=2).training
    assert limits_of(training) == Limits(90.0, 2 * 2**30)
    assert limits_of(make_job(FRAME, LABELS, timeout="").training) == Limits(None, None)


OWN_MODELS = """
import time
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

class Own(LogisticRegression):
    def __init__(self, fault=""):
        super().__init__()
        self.fault = fault
    def fit(self, X, y, sample_weight=None):
        if self.fault == "hangs":
            time.sleep(600)
        if self.fault == "raises":
            raise ArithmeticError("the loss is not a number")
        if self.fault == "eats":
            np.ones(10 * 2**27)
        return super().fit(X[["signal"]], y)
    def predict(self, X):
        return super().predict(X[["signal"]])
    def predict_proba(self, X):
        return super().predict_proba(X[["signal"]])

def make(fault=""):
    return Own(fault)
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "own_estimators.py").write_text(OWN_MODELS)
    return tmp_path


@pytest.mark.parametrize(
    ("fault", "limits", "message"),
    [
        ("hangs", Limits(seconds=4), r"The fit did not finish within 4 s.*Raise training\.timeout"),
        ("raises", Limits(), "The fit failed: ArithmeticError: the loss is not a number"),
        ("eats", Limits(memory_bytes=2**29), r"The fit needs more memory than its limit, 0\.5 GB\. Raise training"),
    ],
)
def test_a_fit_that_goes_wrong_is_a_message_and_nothing_else(root, fault, limits, message):
    job = make_job(FRAME, LABELS, estimator="own_estimators:make", params={"fault": fault}, root=root)
    with pytest.raises(TrainingError, match=message):
        fit_in_child(job, limits)


def test_an_estimator_of_the_users_own_module_can_be_fitted(root):
    job = make_job(FRAME, LABELS, estimator="own_estimators:make", root=root, window="all")
    assert fit_in_child(job, Limits()).estimator == "own_estimators.Own"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:0], "no labelled rows"),
        (np.full(300, "stays"), "300 training rows have the same target value, 'stays'"),
    ],
)
def test_nothing_to_learn_is_bad_data(labels, message):
    job = make_job(FRAME[: len(labels)], labels) if len(labels) else None
    job = job or replace(make_job(FRAME[:10], LABELS[:10]), features=FRAME[:0], labels=labels, keys=np.arange(0))
    with pytest.raises(DataError, match=message):
        fit_in_child(job, Limits())


def test_a_metric_that_needs_probabilities_refuses_an_estimator_without():
    roc_auc = PerformanceSettings(metric="roc_auc")
    job = make_job(FRAME, LABELS, estimator="sklearn.svm.LinearSVC", performance=roc_auc)
    with pytest.raises(UsageError, match=r"'roc_auc' needs probabilities, and sklearn\.svm\.LinearSVC gives none"):
        fit(job)
    assert fit(make_job(FRAME, LABELS, estimator="sklearn.svm.LinearSVC")).rows == len(FRAME)


# Windows and weights: the world changes after row 1100


CHANGED = np.where(np.arange(len(FRAME)) < 1100, LABELS, np.where(LABELS == "stays", "leaves", "stays"))


@pytest.mark.parametrize(("window", "rows"), [("all", 1500), ("300", 300), ("10d", 240), ("5000", 1500)])
def test_a_window_that_is_named_is_what_is_learned_from(window, rows):
    fitted = fit(make_job(FRAME, LABELS, window=window, keys=TIMES))
    assert (fitted.window, fitted.rows, fitted.candidates) == (window, rows, ())


@pytest.mark.parametrize(("window", "message"), [("10d", "needs data.time"), ("soon", "or 'all', or a number")])
def test_a_window_that_can_not_be_cut_is_refused(window, message):
    keys = TIMES if window == "soon" else None
    with pytest.raises(UsageError, match=message):
        fit(make_job(FRAME, LABELS, window=window, keys=keys))


def test_after_a_change_a_short_window_wins_and_the_refit_takes_in_the_newest_rows():
    fitted = fit(make_job(FRAME, CHANGED))
    assert fitted.window != "all"
    assert accuracy(fitted, FRAME[1400:], CHANGED[1400:]) > 0.8
    scores = {candidate.window: candidate.score for candidate in fitted.candidates}
    assert scores[fitted.window] > scores["all"] + 0.2


def test_in_a_stable_world_the_longest_window_wins():
    fitted = fit(make_job(FRAME, LABELS))
    assert fitted.window == "all"
    assert len(fitted.candidates) >= 2


def test_faded_weights_let_the_newest_rows_count():
    even = fit(make_job(FRAME, CHANGED, window="all", keys=TIMES))
    faded = fit(make_job(FRAME, CHANGED, window="all", keys=TIMES, half_life="2d"))
    newest = slice(1300, None)
    assert accuracy(faded, FRAME[newest], CHANGED[newest]) > accuracy(even, FRAME[newest], CHANGED[newest]) + 0.1


def test_weights_are_refused_by_an_estimator_that_takes_none():
    job = make_job(FRAME, LABELS, keys=TIMES, half_life="2d", estimator="sklearn.neighbors.KNeighborsClassifier")
    with pytest.raises(UsageError, match=r"KNeighborsClassifier takes no weights"):
        fit(job)


# Search


def test_the_search_finds_the_parameter_that_matters_in_time_order():
    fitted = fit(make_job(FRAME, LABELS, search={"max_iter": [1, 60], "learning_rate": [0.0001, 0.1]}, window="all"))
    assert fitted.params == {"max_iter": 60, "learning_rate": 0.1}
    assert pickle.loads(fitted.pickle)[-1].max_iter == 60


def test_the_search_takes_errors_as_what_they_are():
    amounts = make_amounts(FRAME)
    fitted = fit(make_job(FRAME, amounts, task="regression", search={"max_iter": [1, 60]}, window="all"))
    assert fitted.params == {"max_iter": 60}


class Remembers(ClassifierMixin, BaseEstimator):
    """Knows the newest row it has seen."""

    def __init__(self, depth=1):
        self.depth = depth

    def fit(self, X, y):
        self.newest_ = X.index.max()
        return self


def test_every_fold_of_a_search_is_judged_on_rows_later_than_those_it_learned_from():
    distances = []

    def judge(model, features, labels):
        distances.append(features.index.min() - model.newest_)
        return model.depth

    best = search_params(
        Remembers(), FRAME, LABELS, {"depth": [1, 2, 3]}, folds=3, seed=0, scorer=judge, fit_arguments={}
    )
    assert best == {"depth": 3}
    assert len(distances) > 3
    assert min(distances) > 0


def test_a_large_grid_is_sampled(monkeypatch):
    monkeypatch.setattr("evergreen.training.search.MAX_COMBINATIONS", 6)
    search = {"alpha": [10.0**-power for power in range(1, 13)], "l1_ratio": list(np.linspace(0, 1, 10))}
    fitted = fit(make_job(FRAME, LABELS, search=search, window="all", **SGD))
    assert set(fitted.params) == {"loss", "alpha", "l1_ratio"}


def test_a_search_with_two_jobs_finds_what_a_search_with_one_finds():
    options = {"search": {"max_depth": [1, 2, 4]}, "window": "all"}
    one = fit_in_child(make_job(FRAME, LABELS, **options), Limits())
    two = fit_in_child(make_job(FRAME, LABELS, compute=ComputeSettings(jobs=2), **options), Limits())
    assert one.digest == two.digest


def test_a_combination_that_fails_loses_and_when_all_fail_it_says_why():
    fitted = fit(make_job(FRAME, LABELS, search={"learning_rate": [-1.0, 0.1]}, window="all"))
    assert fitted.params == {"learning_rate": 0.1}
    with pytest.raises(TrainingError, match=r"(?s)no combination that can be fitted.*learning_rate"):
        fit(make_job(FRAME, LABELS, search={"learning_rate": [-1.0, -2.0]}, window="all"))


def test_columns_that_came_later_disturb_neither_windows_nor_search():
    newest = FRAME["signal"].where(np.arange(len(FRAME)) > 1350)
    frame = FRAME.assign(newest=newest)
    fitted = fit(make_job(frame, LABELS, search={"max_depth": [1, 3]}))
    assert accuracy(fitted, frame) > 0.8
    assert set(fitted.importances) == {"signal", "noise", "plan", "newest"}


def test_an_unknown_parameter_to_search_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'max_depth'"):
        fit(make_job(FRAME, LABELS, search={"max_dept": [1, 2]}))


# Update


def test_an_update_goes_on_from_the_champion_with_the_new_rows_only():
    first = fit(make_job(FRAME[:1000], LABELS[:1000], window="all", **SGD))
    job = make_job(FRAME, CHANGED, update=True, champion=first.pickle, seen_until=1099, **SGD)
    updated = fit_in_child(job, Limits())
    assert (updated.window, updated.rows) == ("update", 400)
    assert accuracy(updated, FRAME[1100:], CHANGED[1100:]) > accuracy(first, FRAME[1100:], CHANGED[1100:]) + 0.1
    champion, challenger = pickle.loads(first.pickle), pickle.loads(updated.pickle)
    assert challenger[-1].t_ > champion[-1].t_
    rows = FRAME.head(20)
    np.testing.assert_array_equal(champion[:-1].transform(rows), challenger[:-1].transform(rows))


def test_an_update_by_time_takes_the_rows_after_the_last_one_seen():
    first = fit(make_job(FRAME[:1000], LABELS[:1000], window="all", **SGD))
    for seen in (TIMES[1200], TIMES[1200].astype(object)):
        job = make_job(FRAME, LABELS, update=True, champion=first.pickle, seen_until=seen, keys=TIMES, **SGD)
        assert fit(job).rows == 299


def test_an_update_is_refused_where_there_is_nothing_new_or_no_way_to_go_on():
    forest = fit(make_job(FRAME, LABELS, window="all"))
    with pytest.raises(UsageError, match=r"HistGradientBoostingClassifier can't go on learning.*partial_fit"):
        fit(make_job(FRAME, LABELS, update=True, champion=forest.pickle))
    first = fit(make_job(FRAME, LABELS, window="all", **SGD))
    with pytest.raises(DataError, match="no labelled rows after 1499"):
        fit(make_job(FRAME, LABELS, update=True, champion=first.pickle, seen_until=1499, **SGD))


def test_without_a_champion_an_update_is_a_first_fit():
    assert fit(make_job(FRAME, LABELS, update=True, window="all", **SGD)).window == "all"


# Dask


CLUSTER = """
import sys, json, time
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        print(json.dumps({"address": cluster.scheduler_address}), flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    script = tmp_path_factory.mktemp("cluster") / "cluster.py"
    script.write_text(CLUSTER)
    paths = {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "PATH": ""}
    process = subprocess.Popen(
        [sys.executable, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=paths,
    )
    yield json.loads(process.stdout.readline())["address"]
    process.stdin.close()
    process.wait(30)


def work_of(cluster):
    """How many steps the tasks of a cluster have gone through so far; a client that only calls makes none."""
    from distributed import Client

    with Client(cluster, timeout=10, set_as_default=False) as client:
        return client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter)


@pytest.mark.slow
def test_a_forest_and_a_search_on_a_dask_cluster_answer_as_those_from_here_to_the_last_bit(cluster):
    dask = ComputeSettings(backend="dask", address=cluster)
    forest = {"estimator": "sklearn.ensemble.RandomForestClassifier", "params": {"n_estimators": 10}, "window": "all"}
    for options in (forest, {"search": {"max_depth": [1, 3]}, "window": "all"}):
        here = fit_in_child(make_job(FRAME, LABELS, **options), Limits(seconds=120))
        before = work_of(cluster)
        there = fit_in_child(make_job(FRAME, LABELS, compute=dask, **options), Limits(seconds=120))
        assert work_of(cluster) > before, "the cluster had nothing to do"
        assert here.params == there.params
        answers = [pickle.loads(fitted.pickle).predict_proba(FRAME) for fitted in (here, there)]
        np.testing.assert_array_equal(*answers)


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_a_message(monkeypatch):
    monkeypatch.setattr("evergreen.training.fitting.CONNECT_SECONDS", 1)
    nowhere = ComputeSettings(backend="dask", address="tcp://127.0.0.1:9")
    job = make_job(FRAME, LABELS, compute=nowhere, estimator="sklearn.ensemble.RandomForestClassifier")
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:9': no Dask scheduler answers there"):
        fit(job)


def test_weights_and_windows_by_time_need_times():
    with pytest.raises(UsageError, match=r"half_life is a length of time"):
        fit(make_job(FRAME, LABELS, half_life=timedelta(days=2)))
