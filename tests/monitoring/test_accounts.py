"""What the live model's decisions have cost, worked out anew in each run from rows, cards and the journal."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from tests.registry.models import at, make_card, make_pickle, open_store, put_live

from evergreen.data.batches import Batch
from evergreen.drift.excess import accumulate_excess
from evergreen.monitoring.accounts import (
    Account,
    baseline_of,
    counted_from,
    excess_document,
    find_excess,
    label_lag,
    open_account,
    runs_since_live,
    window_ends,
)
from evergreen.registry.cards import read_card
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PerformanceSettings, Settings


def cost(mean, kind="wrong", unit=1.0, rows=400):
    return {"kind": kind, "mean": mean, "standard_error": 0.01, "rows": rows, "unit": unit}


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "model")


def night(store, hours, **content):
    store.record("run", at(hours), **{"run": f"r{hours}", "news": True} | content)


def costs_of(losses, kind="wrong"):
    return Account(np.arange(1000, 1000 + len(losses)), np.asarray(losses, float), kind)


def excess_of(store, digest, account):
    return find_excess(store, read_card(store.cards_folder, digest), account)


def test_windows_are_what_came_between_the_runs(store):
    digest = put_live(store, "a", decision_cost=cost(0.25))
    night(store, 1, judged_until=1003)
    night(store, 2, judged_until=1003)
    night(store, 3)
    night(store, 4, judged_until=1007)
    losses = [1, 1, 1, 0, 0, 0, 0, 0, 1, 1]
    found = excess_of(store, digest, costs_of(losses))
    assert found == accumulate_excess(np.array(losses, float), [4, 8], 0.25)
    assert (found.total, found.since) == (2.5, 0)


def test_the_reference_remembers_what_models_before_have_shown_to_be_possible(store):
    put_live(store, "old", decision_cost=cost(0.10))
    put_live(store, "older still", 1, decision_cost=cost(0.12))
    digest = put_live(store, "excuse", 2, decision_cost=cost(0.40))
    found = excess_of(store, digest, costs_of([0, 1]))
    assert found.reference_loss == pytest.approx(np.quantile([0.10, 0.12, 0.40], 0.25))


def test_a_baseline_that_may_flatter_and_one_of_another_kind_are_no_example(store):
    put_live(store, "adopted", decision_cost=cost(0.01), training={"baseline_may_be_in_sample": True})
    put_live(store, "in money", 1, decision_cost=cost(0.02, kind="cost"), baseline={})
    digest = put_live(store, "c", 2, decision_cost=cost(0.30))
    assert excess_of(store, digest, costs_of([0, 1])).reference_loss == 0.30


def test_numbers_are_counted_on_the_scale_of_the_live_model(store):
    put_live(store, "a", decision_cost=cost(2.0, kind="error", unit=4.0), task="regression")
    digest = put_live(store, "b", 1, decision_cost=cost(3.0, kind="error", unit=10.0), task="regression")
    found = excess_of(store, digest, costs_of([0.1, 0.9], kind="error"))
    assert found.reference_loss == pytest.approx(np.quantile([0.2, 0.3], 0.25))


def test_rows_that_a_challenger_was_tried_for_in_vain_count_no_more(store):
    digest = put_live(store, "a", decision_cost=cost(0.25))
    night(store, 1, judged_until=1003, retrained=True, outcome="rejected")
    found = excess_of(store, digest, costs_of([1, 1, 1, 1, 1, 0, 1]))
    assert (found.total, found.since, found.rows) == (2 - 0.75, 4, 3)


def test_a_model_that_came_back_does_not_pay_for_the_time_it_was_replaced(store):
    first = put_live(store, "a", decision_cost=cost(0.25))
    night(store, 1, judged_until=1001, retrained=True, deployed=True)
    put_live(store, "b", 2, decision_cost=cost(0.25))
    night(store, 3, judged_until=1004)
    store.rollback(now=at(4), reason="better", actor="monitor")
    night(store, 4, judged_until=1005, rolled_back=True)
    assert counted_from(store.entries()) == 1004
    assert excess_of(store, first, costs_of([1, 1, 1, 1, 1, 1, 0])).since == 5


def test_a_table_that_is_replaced_each_time_is_one_window(store):
    digest = put_live(store, "a", decision_cost=cost(0.25))
    night(store, 1, judged_until=1001, retrained=True)
    card = read_card(store.cards_folder, digest)
    found = find_excess(store, card, costs_of([1, 1, 1, 0]), replaced=True)
    assert (found.total, found.rows) == (2.0, 4)


def test_what_an_older_run_deployed_is_not_among_the_runs_since(store):
    put_live(store, "a")
    night(store, 1, judged_until=1)
    put_live(store, "b", 2)
    night(store, 3, judged_until=3)
    assert [run["run"] for run in runs_since_live(store.entries())] == ["r3"]


def test_keys_may_be_times():
    keys = np.array(["2026-01-01", "2026-01-02", "2026-01-02", "2026-01-05"], "datetime64[us]")
    assert window_ends(keys, [{"judged_until": "2026-01-02T00:00:00"}, {}, {"judged_until": "2026-01-04"}]) == [3, 3]


def test_cards_of_older_versions_tell_the_share_of_errors_all_the_same():
    score = {"metric": "accuracy", "value": 0.85, "standard_error": 0.01, "rows": 900}
    old = make_card(make_pickle("a"), baseline={"accuracy": score, "cost": {**score, "value": 1.5}})
    assert baseline_of(old, "wrong").mean == pytest.approx(0.15)
    assert baseline_of(old, "cost").mean == 1.5
    assert baseline_of(old, "error") is None
    assert baseline_of(make_card(make_pickle("a"), baseline={}), "wrong") is None


def test_an_account_holds_the_cost_of_each_labelled_row():
    labels = np.array(["1", "0", "1"], dtype=object)
    batch = Batch(pd.DataFrame({"a": [1, 2, 3]}), labels, np.ones(3, bool), np.arange(3))
    said = Predictions(np.array(["1", "1", "0"], dtype=object), None, ("0", "1"))
    account = open_account(Settings(), make_card(make_pickle("a")), batch, said)
    assert (account.costs.tolist(), account.last_key, account.kind) == ([0, 1, 1], 2, "wrong")
    settings = Settings(performance=PerformanceSettings(metric="cost", cost_matrix={"1": {"0": 9}, "0": {"1": 2}}))
    assert open_account(settings, make_card(make_pickle("a")), batch, said) is None, "the card knows no such cost"
    assert open_account(Settings(), make_card(make_pickle("a")), batch.rows(np.zeros(3, bool)), said) is None


def test_an_old_model_for_numbers_has_no_measure_and_a_new_one_its_own():
    batch = Batch(pd.DataFrame({"a": [1, 2]}), np.array([1.0, 5.0]), np.ones(2, bool), np.arange(2))
    said = Predictions(np.array([3.0, 5.0]))
    assert open_account(Settings(), make_card(make_pickle("a"), task="regression"), batch, said) is None
    card = make_card(make_pickle("a"), task="regression", decision_cost=cost(1.0, kind="error", unit=4.0))
    assert open_account(Settings(), card, batch, said).costs.tolist() == [0.5, 0.0]


def test_the_document_dates_the_excess():
    keys = np.array(["2026-01-01", "2026-01-02", "2026-01-03"], "datetime64[us]")
    account = Account(keys, np.array([0.0, 1.0, 1.0]), "wrong")
    found = accumulate_excess(account.costs, [1, 2], 0.5)
    told = excess_document(found, account, 20.0, 2)
    assert told["since"] == "2026-01-02T00:00:00"
    assert {key: told[key] for key in ("total", "limit", "backoff", "rows")} == {
        "total": 1.0,
        "limit": 20.0,
        "backoff": 2,
        "rows": 2,
    }
    calm = accumulate_excess(np.zeros(3), [1, 2], 0.5)
    assert excess_document(calm, account, 20.0, 1)["since"] is None


def test_labels_are_late_by_the_runs_whose_newest_rows_still_lack_theirs():
    runs = [{"news": True, "table": {"newest": f"2026-01-0{day}T00:00:00"}} for day in range(1, 7)]
    assert label_lag(runs, "2026-01-06T00:00:00", "2026-01-06T00:00:00") == 0
    assert label_lag(runs, "2026-01-04T12:00:00", "2026-01-07T00:00:00") == 3
    assert label_lag([*runs, {"news": False, "table": None}], None, "2026-01-07T00:00:00") == 7
    assert datetime.fromisoformat("2026-01-04T12:00:00")


def test_runs_of_the_time_before_a_table_had_times_are_passed_over():
    runs = [{"news": True, "table": {"newest": newest}} for newest in (100, 200, "2026-01-01T00:00:00")]
    assert label_lag(runs, "2026-01-01T00:00:00", "2026-01-02T00:00:00") == 1
    assert label_lag(runs, 100, 300) == 2
    assert label_lag(runs, 100, "2026-01-02T00:00:00") == 2
    times, numbers = np.array(["2026-01-01", "2026-01-02"], "datetime64[us]"), np.arange(10)
    assert window_ends(times, [{"judged_until": 100}, {"judged_until": "2026-01-01T00:00:00"}]) == [0, 1]
    assert window_ends(numbers, [{"judged_until": "2026-01-01T00:00:00"}, {"judged_until": 4}]) == [0, 5]


@pytest.mark.parametrize(
    ("kind", "unit"), [("wrong", "wrong decisions"), ("error", "errors of the best constant"), ("cost", "cost")]
)
def test_the_document_names_the_unit(kind, unit):
    account = costs_of([1, 1, 0], kind)
    assert excess_document(accumulate_excess(account.costs, [], 0.1), account, 20.0, 1)["unit"] == unit
