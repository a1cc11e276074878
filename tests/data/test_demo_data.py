"""The demo table: what the script writes is what is committed, and the documented truth is in it."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evergreen.data.quality import check_table
from evergreen.data.schema import conform, infer_contract
from evergreen.data.sources import Window, open_table
from evergreen.data.values import check_values
from evergreen.data.windows import find_maturity, first_stretch, read_timeline, split_holdout
from evergreen.settings import DataSettings, TrainingSettings

FOLDER = Path(__file__).parents[2] / "data"
sys.path.insert(0, str(FOLDER))
import make_demo  # noqa: E402

SETTINGS = DataSettings(time="observed_at", target="churned", identifiers=("customer_id",))

NUMBERS = ("age", "income", "tenure_days", "num_purchases", "avg_transaction_value", "days_since_last_purchase")


@pytest.fixture(scope="module")
def table():
    return open_table("customers.csv", SETTINGS, FOLDER)


@pytest.fixture(scope="module")
def frame(table) -> pd.DataFrame:
    return table.frame(list(table.types))


@pytest.fixture(scope="module")
def stretches(frame) -> dict[str, pd.DataFrame]:
    when = frame["observed_at"]
    rise, change = pd.Timestamp(make_demo.PRICE_RISE), pd.Timestamp(make_demo.NEW_BEHAVIOUR)
    return {
        "still": frame[when < rise],
        "dearer": frame[(when >= rise) & (when < change)],
        "new": frame[when >= change],
    }


def accuracy(model, frame: pd.DataFrame, contract) -> float:
    known = frame[frame["churned"].notna()]
    return float((model.predict(features(known, contract)) == known["churned"]).mean())


def features(frame: pd.DataFrame, contract) -> pd.DataFrame:
    seen = conform(frame, contract)
    return seen.assign(plan=seen["plan"].astype("category"), region=seen["region"].astype("category"))


def fit(frame: pd.DataFrame, contract):
    from sklearn.ensemble import HistGradientBoostingClassifier

    known = frame[frame["churned"].notna()]
    model = HistGradientBoostingClassifier(max_iter=40, categorical_features="from_dtype", random_state=0)
    return model.fit(features(known, contract), known["churned"])


def test_the_committed_table_is_what_the_script_writes():
    written = make_demo.write_csv(make_demo.make_customers(np.random.default_rng(make_demo.SEED)))
    assert (FOLDER / "customers.csv").read_text(encoding="utf-8") == written
    assert len(written) <= 1_200_000


def test_it_has_the_columns_and_kinds_it_promises(table):
    contract = infer_contract(table, SETTINGS)
    kinds = dict.fromkeys(NUMBERS, "number") | {"plan": "category", "region": "category"}
    assert {column.name: column.kind for column in contract.columns} == kinds
    assert contract.others == ("customer_id", "observed_at")
    assert (contract.task, contract.classes, contract.rows) == ("classification", ("0", "1"), make_demo.ROWS)
    assert "customer_id" not in infer_contract(table, DataSettings(target="churned")).features


def test_the_dates_stand_where_the_documentation_says(frame, stretches):
    before = {name: len(rows) / len(frame) for name, rows in stretches.items()}
    assert before["still"] == pytest.approx(0.54, abs=0.01)
    assert before["still"] + before["dearer"] == pytest.approx(0.61, abs=0.01)
    assert frame["churned"].isna().mean() == pytest.approx(0.03, abs=0.005)
    assert frame["churned"].isna().idxmax() == frame["churned"].notna().sum()
    assert frame["observed_at"].is_monotonic_increasing
    assert frame["customer_id"].is_unique


def test_missing_values_are_where_the_documentation_says(frame):
    nothing = frame["num_purchases"] == 0
    assert (frame["days_since_last_purchase"].isna() == nothing).all()
    assert (frame["avg_transaction_value"].isna() == nothing).all()
    assert frame["income"].isna().mean() == pytest.approx(make_demo.UNTOLD_INCOME, abs=0.01)
    assert frame["region"].isna().mean() == pytest.approx(make_demo.UNKNOWN_REGION, abs=0.005)
    assert frame[["age", "tenure_days", "plan", "customer_id"]].notna().all().all()


def test_customers_are_believable(frame):
    income = frame.groupby("plan")["income"].median()
    assert income["basic"] < income["standard"] < income["premium"]
    assert frame["age"].between(18, 90).all()
    assert (frame["tenure_days"] <= (frame["age"] - 17) * 180 + 1).all()
    assert not (frame["days_since_last_purchase"] > frame["tenure_days"]).any()


def test_weekends_differ_every_week(stretches):
    rows = stretches["still"]
    weekend = rows["observed_at"].dt.day_of_week >= 5
    means = rows.groupby(weekend)[["num_purchases", "avg_transaction_value"]].mean()
    assert means.loc[True, "num_purchases"] < 0.92 * means.loc[False, "num_purchases"]
    assert means.loc[True, "avg_transaction_value"] > 1.05 * means.loc[False, "avg_transaction_value"]
    visits = weekend.mean() / (1 - weekend.mean()) / (2 / 5)
    assert visits == pytest.approx(make_demo.WEEKEND_VISITS, rel=0.1)


def test_the_price_rise_shifts_three_inputs_and_no_other(stretches):
    from scipy.stats import ks_2samp

    still, later = stretches["still"], pd.concat([stretches["dearer"], stretches["new"]])
    moved = {}
    for name in NUMBERS:
        moved[name] = ks_2samp(still[name].dropna(), later[name].dropna()).statistic
    assert min(moved.pop("num_purchases"), moved.pop("avg_transaction_value")) >= 0.10
    assert max(moved.values()) < 0.05
    value = later["avg_transaction_value"].median() / still["avg_transaction_value"].median()
    assert value == pytest.approx(make_demo.DEARER, rel=0.06)
    shares = [rows["plan"].value_counts(normalize=True) for rows in (still, later)]
    assert shares[0]["premium"] - shares[1]["premium"] >= 0.05
    halves = still.iloc[: len(still) // 2], still.iloc[len(still) // 2 :]
    for name in "num_purchases", "avg_transaction_value":
        assert ks_2samp(halves[0][name].dropna(), halves[1][name].dropna()).statistic < 0.05


def test_the_new_behaviour_does_not_show_in_the_inputs(stretches):
    from scipy.stats import ks_2samp

    for name in NUMBERS:
        moved = ks_2samp(stretches["dearer"][name].dropna(), stretches["new"][name].dropna()).statistic
        assert moved < 0.07, name


def test_a_model_from_before_fails_and_one_from_after_is_good_again(table, frame, stretches):
    line = read_timeline(table, SETTINGS)
    first = split_holdout(line, TrainingSettings(), until=first_stretch(line, 0.5).stop)
    contract = infer_contract(table, SETTINGS, first.train)
    rows = {name: table.frame(list(table.types), getattr(first, name)) for name in ("train", "holdout")}
    champion = fit(rows["train"], contract)
    baseline = accuracy(champion, rows["holdout"], contract)
    assert baseline >= 0.84
    assert accuracy(champion, stretches["dearer"], contract) >= baseline - 0.04
    assert accuracy(champion, stretches["new"], contract) <= 0.70

    again = split_holdout(line, TrainingSettings(), seen_until=rows["holdout"]["observed_at"].max().to_pydatetime())
    older, holdout = (table.frame(list(table.types), window) for window in (again.train, again.holdout))
    assert holdout["observed_at"].min() > pd.Timestamp(make_demo.NEW_BEHAVIOUR)
    for share in 0.25, 0.10, 0.05:
        challenger = fit(older.iloc[-int(share * len(older)) :], contract)
        assert accuracy(challenger, holdout, contract) >= 0.84


def test_the_later_rows_are_good_data_with_mature_labels_but_for_the_newest(table):
    line = read_timeline(table, SETTINGS)
    first = first_stretch(line, 0.5)
    contract = infer_contract(table, SETTINGS, first)
    current = Window(first.stop, None)
    assert check_table(table, contract, SETTINGS) == check_values(table, contract, SETTINGS, current) == ()
    found = find_maturity(line, current, SETTINGS)
    assert found.coverage == 1.0
    assert found.labelled_rows >= 5000
    assert "only" in found.reason
