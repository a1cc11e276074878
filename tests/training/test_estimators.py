import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_tables import contract_of, make_amounts, make_features, make_labels

from evergreen.errors import DataError, UsageError
from evergreen.settings import TrainingSettings
from evergreen.training.estimators import (
    address_params,
    build_estimator,
    count_levels,
    name_estimator,
    present_columns,
)

FRAME = make_features()
LABELS = make_labels(FRAME)
AMOUNTS = make_amounts(FRAME)


def build(estimator="auto", *, task="classification", frame=FRAME, root=Path(), seed=0, **options):
    labels = LABELS if task == "classification" else AMOUNTS
    settings = TrainingSettings(estimator=estimator, **options)
    contract = count_levels(contract_of(frame, labels[: len(frame)], task), frame)
    return build_estimator(settings, contract, task, seed, root)


@pytest.mark.parametrize(
    "estimator",
    [
        "auto",
        "sklearn.ensemble.HistGradientBoostingClassifier",
        "sklearn.ensemble.RandomForestClassifier",
        "sklearn.linear_model.LogisticRegression",
        "sklearn.neighbors.KNeighborsClassifier",
    ],
)
def test_any_classifier_learns_from_missing_values_and_categories(estimator):
    model = build(estimator).fit(FRAME[:900], LABELS[:900])
    later = FRAME[900:].copy()
    assert np.mean(model.predict(later) == LABELS[900:]) > 0.8
    later["plan"] = "never seen"
    later["noise"] = np.nan
    assert set(model.predict(later)) <= {"stays", "leaves"}


@pytest.mark.parametrize("estimator", ["auto", "sklearn.linear_model.Ridge", "sklearn.ensemble.ExtraTreesRegressor"])
def test_any_regressor_learns_from_missing_values_and_categories(estimator):
    model = build(estimator, task="regression").fit(FRAME[:900], AMOUNTS[:900])
    assert np.mean(np.abs(model.predict(FRAME[900:]) - AMOUNTS[900:])) < 3


@pytest.mark.parametrize(
    "labels", [np.where(LABELS == "stays", 1, 0), np.where(LABELS == "stays", True, False), LABELS]
)
def test_a_pickle_answers_in_the_users_own_type_without_evergreen(tmp_path, labels):
    model = build().fit(FRAME, labels)
    file, rows = tmp_path / "model.pkl", tmp_path / "rows.pkl"
    file.write_bytes(pickle.dumps(model, protocol=5))
    FRAME.head(50).to_pickle(rows)
    code = (
        "import pandas, pickle, sys\n"
        f"model = pickle.load(open({str(file)!r}, 'rb'))\n"
        f"answers = model.predict(pandas.read_pickle({str(rows)!r}))\n"
        "print(answers.tolist())\n"
        "assert not any(name.split('.')[0] == 'evergreen' for name in sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == str(model.predict(FRAME.head(50)).tolist())


def test_a_category_with_a_thousand_values_is_no_obstacle():
    random = np.random.default_rng(0)
    town = random.choice([f"town {number}" for number in range(1000)], len(FRAME))
    frame = FRAME.assign(town=town)
    for estimator in ("auto", "sklearn.linear_model.LogisticRegression"):
        model = build(estimator, frame=frame).fit(frame, LABELS)
        assert np.mean(model.predict(frame) == LABELS) > 0.8


def test_an_unseen_category_counts_as_missing():
    model = build().fit(FRAME, LABELS)
    unseen, missing = FRAME.assign(plan="platinum"), FRAME.assign(plan=np.nan)
    np.testing.assert_array_equal(model.predict_proba(unseen), model.predict_proba(missing.astype({"plan": object})))


@pytest.mark.parametrize("estimator", ["auto", "sklearn.linear_model.LogisticRegression"])
def test_columns_without_any_value_are_left_out_of_a_fit_and_no_obstacle_later(estimator):
    frame = FRAME.assign(noise=np.nan, plan=pd.Series(np.nan, index=FRAME.index, dtype=object))
    contract = present_columns(contract_of(FRAME, LABELS), frame)
    assert contract.features == ("signal",)
    model = build_estimator(TrainingSettings(estimator=estimator), contract, "classification", 0, Path())
    model.fit(frame, LABELS)
    assert np.mean(model.predict(FRAME) == LABELS) > 0.7


def test_a_frame_without_any_value_is_bad_data():
    with pytest.raises(DataError, match="None of the 3 features has a value in the 1,200 rows"):
        present_columns(contract_of(FRAME, LABELS), pd.DataFrame(np.nan, FRAME.index, FRAME.columns))


def test_params_reach_the_estimator_and_the_seed_fills_what_is_left_open():
    model = build("sklearn.ensemble.RandomForestClassifier", params={"n_estimators": 7}, seed=3)
    assert model[-1].n_estimators == 7
    assert model[-1].random_state == 3
    assert build(params={"random_state": 9}, seed=3)[-1].random_state == 9


def test_without_preprocessing_the_estimator_gets_the_columns_as_they_are():
    from sklearn.ensemble import RandomForestClassifier

    model = build("sklearn.ensemble.RandomForestClassifier", preprocessing="none")
    assert isinstance(model, RandomForestClassifier)


def test_a_factory_of_the_users_is_used_as_it_is(tmp_path):
    (tmp_path / "own_models.py").write_text(
        "from sklearn.tree import DecisionTreeClassifier\n"
        "def make(depth):\n    return DecisionTreeClassifier(max_depth=depth)\n"
    )
    model = build("own_models:make", params={"depth": 2}, root=tmp_path, seed=5)
    assert (type(model).__name__, model.max_depth, model.random_state) == ("DecisionTreeClassifier", 2, 5)
    assert name_estimator(model) == "sklearn.tree.DecisionTreeClassifier"


@pytest.mark.parametrize(
    ("estimator", "params", "message"),
    [
        ("sklearn.ensemble.NoSuchForest", {}, "sklearn.ensemble has no 'NoSuchForest'"),
        ("no_such_package.Model", {}, "can't import no_such_package"),
        ("forest", {}, "expected 'module:function' or 'package.Class'"),
        ("no_such_module:make", {}, "can't import no_such_module"),
        ("auto", {"depth": 3}, "does not take them: got an unexpected keyword argument 'depth'"),
        ("sklearn.preprocessing.StandardScaler", {}, "gives a StandardScaler without fit and predict"),
    ],
)
def test_what_can_not_be_built_is_refused_with_the_reason(estimator, params, message):
    with pytest.raises(UsageError, match=message):
        build(estimator, params=params)


def test_parameters_to_search_are_found_in_the_pipeline_and_in_its_last_step():
    model = build()
    names = address_params(model, ["max_depth", "model__max_iter", "columns__sparse_threshold"])
    assert set(names.values()) == {"model__max_depth", "model__max_iter", "columns__sparse_threshold"}
    with pytest.raises(UsageError, match="has no parameter 'max_dept'; did you mean 'max_depth'"):
        address_params(model, ["max_dept"])
