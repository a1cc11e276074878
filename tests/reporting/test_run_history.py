"""The history of runs, from the journal's entries."""

import pytest

from evergreen.reporting.history import build_history


def entry(**more):
    return {"event": "run", "seq": 1, "run": "r", "time": "2026-11-21T02:00:00+00:00", "verdict": "no_drift"} | more


def test_without_runs_there_is_nothing_to_divide_by():
    assert build_history([]) == {
        **{"runs": [], "drift_frequency": None, "retraining_success_rate": None, "mean_training_seconds": None}
    }


def test_rates_by_hand():
    history = build_history(
        [
            entry(verdict="drift", retrained=True, deployed=True, training_seconds=2.0),
            entry(verdict="drift", retrained=True, deployed=False, training_seconds=4.0),
            entry(),
            entry(verdict="not_enough_evidence"),
            entry(verdict=None, failed=True),
        ]
    )
    assert history["drift_frequency"] == pytest.approx(2 / 3)  # runs without a verdict don't count
    assert history["retraining_success_rate"] == 0.5
    assert history["mean_training_seconds"] == 3.0


def test_a_deploy_by_hand_is_not_a_successful_retraining():
    assert build_history([entry(deployed=True), entry(retrained=True)])["retraining_success_rate"] == 0.0


def test_runs_stay_in_order_and_only_a_year_of_nights_is_shown():
    runs = build_history([entry(run=f"r{i}") for i in range(400)])["runs"]
    assert [runs[0]["run"], runs[-1]["run"], len(runs)] == ["r35", "r399", 365]


def test_the_journal_s_own_bookkeeping_stays_in_the_journal():
    run = build_history([entry(previous="ab" * 32, score=0.8)])["runs"][0]
    assert run["score"] == 0.8
    assert not {"seq", "previous", "event"} & run.keys()
