"""When the policy retrains, when it waits, and that it always says why."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.policy import PastRun, Signals, cool_down, decide, read_past
from evergreen.settings import PolicySettings

QUIET = Signals("no_drift", "minor", (), "no_drift", "fine", "", 3.0, 5000, 5000, 9000)
CALM = PastRun(wanted=False, retrained=False, deployed=False)
WANTED = PastRun(wanted=True, retrained=False, deployed=False)
DEPLOYED = PastRun(wanted=True, retrained=True, deployed=True)
REJECTED = PastRun(wanted=True, retrained=True, deployed=False)


def saw(**changes):
    return dataclasses.replace(QUIET, **changes)


DRIFTED = saw(drift="drift", drifted_columns=("age", "plan"), severity="minor")
LOST = saw(performance="degraded", performance_reason="accuracy fell from 0.86 to 0.74.")


@pytest.mark.parametrize(
    ("signals", "preset", "expected"),
    [
        (QUIET, "hybrid", False),
        (DRIFTED, "hybrid", True),
        (saw(predictions="drift"), "hybrid", True),
        (LOST, "hybrid", True),
        (saw(performance="severe", performance_reason="x"), "hybrid", True),
        (saw(performance="breach", performance_reason="x"), "hybrid", True),
        (saw(performance="not_enough_evidence"), "hybrid", False),
        (saw(performance="biased_labels"), "hybrid", False),
        (saw(drift="not_enough_evidence"), "hybrid", False),
        (saw(age_days=30.0), "hybrid", False),
        (saw(age_days=30.1), "hybrid", True),
        (DRIFTED, "performance", False),
        (LOST, "performance", True),
        (LOST, "drift", False),
        (DRIFTED, "drift", True),
        (DRIFTED, "schedule", False),
        (saw(age_days=31), "schedule", True),
        (saw(age_days=31), "drift", False),
        (DRIFTED, "volume", False),
    ],
)
def test_each_preset_acts_on_its_own_triggers_and_no_others(signals, preset, expected):
    decision = decide(signals, (), PolicySettings(preset=preset, volume=10**9))
    assert decision.retrain is expected
    assert decision.reasons


def test_volume_is_off_until_set_and_then_counts_new_rows():
    assert not decide(saw(new_rows=10**9), (), PolicySettings()).retrain
    assert not decide(saw(new_rows=4999), (), PolicySettings(preset="volume", volume=5000)).retrain
    assert decide(saw(new_rows=5000), (), PolicySettings(preset="volume", volume=5000)).retrain


@pytest.mark.parametrize(("severity", "expected"), [("minor", False), ("moderate", True), ("major", True)])
def test_drift_in_columns_the_model_hardly_uses_can_be_left_alone(severity, expected):
    signals = dataclasses.replace(DRIFTED, severity=severity)
    assert decide(signals, (), PolicySettings(drift_severity="moderate")).retrain is expected


def test_nothing_new_means_nothing_to_do_even_for_an_old_model():
    for nothing in (saw(new_rows=0, age_days=400), saw(news=False, age_days=400)):
        decision = decide(nothing, (), PolicySettings())
        assert not decision.retrain
        assert "nothing new to do" in decision.reasons[0]


def test_the_past_is_read_from_the_journal_and_idle_runs_do_not_count():
    runs = [
        {"news": True, "wanted": True},
        {"news": False, "wanted": False},
        {"news": True, "wanted": True, "retrained": True, "deployed": True},
        {"news": True, "rolled_back": True, "deployed": False},
        {"retrained": True, "outcome": "rejected"},
        {"retrained": True, "wanted": True, "outcome": "staged"},
    ]
    assert read_past(runs) == (
        WANTED,
        dataclasses.replace(DEPLOYED, gained=False),
        PastRun(wanted=False, retrained=True, deployed=False, taken_back=True),
        PastRun(wanted=False, retrained=True, deployed=False),
        DEPLOYED,
    )


def test_a_rollback_holds_the_next_retraining_back_like_a_rejected_challenger():
    past = read_past([{"news": True, "rolled_back": True}])
    assert not decide(LOST, (*past, CALM), PolicySettings()).retrain
    assert decide(LOST, (*past, CALM, CALM), PolicySettings()).retrain


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"blocking": ("Data quality: column 'age' is missing.",)}, "Data quality: column 'age' is missing."),
        ({"new_labelled_rows": 899}, "Only 899 new labelled rows; 900 are needed"),
    ],
)
def test_an_obstacle_stops_a_wanted_retraining_and_is_named(changes, words):
    decision = decide(dataclasses.replace(LOST, **changes), (), PolicySettings())
    assert decision.wanted
    assert not decision.retrain
    assert words in decision.blocked[0]


def test_obstacles_are_not_mentioned_when_nobody_wants_to_retrain():
    assert decide(saw(blocking=("x",)), (DEPLOYED,), PolicySettings()).blocked == ()


def test_a_retraining_is_followed_by_one_run_of_cool_down():
    assert not decide(LOST, (DEPLOYED,), PolicySettings()).retrain
    assert decide(LOST, (DEPLOYED, CALM), PolicySettings()).retrain
    assert decide(LOST, (DEPLOYED,), PolicySettings(cool_down=0)).retrain


def test_each_rejected_challenger_doubles_the_wait_up_to_the_bound():
    settings = PolicySettings()
    assert [cool_down((REJECTED,) * k, settings) for k in range(7)] == [1, 2, 4, 8, 16, 16, 16]
    assert cool_down((REJECTED, REJECTED, DEPLOYED), settings) == 1
    assert not decide(LOST, (REJECTED, CALM), settings).retrain
    assert decide(LOST, (REJECTED, CALM, CALM), settings).retrain
    assert "no gain" in decide(LOST, (REJECTED, CALM), settings).blocked[0]


def test_back_off_keeps_a_hopeless_problem_from_retraining_every_night():
    settings, past = PolicySettings(), []
    for _ in range(90):
        retrain = decide(LOST, past, settings).retrain
        past.append(dataclasses.replace(REJECTED if retrain else WANTED))
    assert sum(run.retrained for run in past) <= 9


def test_the_budget_counts_only_the_last_runs():
    settings = PolicySettings(cool_down=0)
    assert not decide(LOST, (DEPLOYED,) * 8, settings).retrain
    assert "budget" in decide(LOST, (DEPLOYED,) * 8, settings).blocked[0]
    assert decide(LOST, (DEPLOYED,) * 8 + (CALM,) * 23, settings).retrain


def test_reasons_can_be_required_in_a_row():
    settings = PolicySettings(in_a_row=3)
    assert not decide(LOST, (WANTED,), settings).retrain
    assert not decide(LOST, (WANTED, CALM), settings).retrain
    assert decide(LOST, (WANTED, WANTED), settings).retrain


def test_more_than_one_reason_can_be_required():
    settings = PolicySettings(reasons_needed=2)
    assert not decide(LOST, (), settings).retrain
    both = dataclasses.replace(LOST, drift="drift", drifted_columns=("age",))
    assert decide(both, (), settings).retrain


@pytest.mark.parametrize(
    ("key", "value", "signals", "past"),
    [
        ("max_age_days", 60.0, saw(age_days=45.0), ()),
        ("drift_severity", "major", DRIFTED, ()),
        ("min_new_rows", 50, dataclasses.replace(LOST, new_labelled_rows=100), ()),
        ("min_new_share", 0.01, dataclasses.replace(LOST, new_labelled_rows=100), ()),
        ("max_retrains", 3, LOST, (DEPLOYED,) * 3 + (CALM,) * 2),
        ("budget_runs", 9, LOST, (DEPLOYED,) * 8 + (CALM,) * 2),
        ("max_backoff", 2, LOST, (REJECTED,) * 3 + (CALM,) * 2),
    ],
)
def test_each_limit_is_the_users_to_set(key, value, signals, past):
    default, chosen = PolicySettings(), PolicySettings(**{key: value})
    assert decide(signals, past, default).retrain != decide(signals, past, chosen).retrain


def test_advise_only_recommends_and_approve_trains():
    advice = decide(LOST, (), PolicySettings(mode="advise"))
    assert (advice.retrain, advice.recommended) == (False, True)
    assert decide(LOST, (), PolicySettings(mode="approve")).retrain


@given(
    drift=st.sampled_from(["drift", "no_drift", "not_enough_evidence"]),
    performance=st.sampled_from([None, "fine", "degraded", "severe", "breach", "not_enough_evidence"]),
    labelled=st.integers(0, 5000),
    past=st.lists(st.sampled_from([CALM, WANTED, DEPLOYED, REJECTED]), max_size=40),
    mode=st.sampled_from(["advise", "approve", "auto"]),
)
def test_a_decision_never_contradicts_itself(drift, performance, labelled, past, mode):
    signals = saw(
        drift=drift,
        drifted_columns=("age",),
        performance=performance,
        performance_reason="loss.",
        new_labelled_rows=labelled,
    )
    decision = decide(signals, past, PolicySettings(mode=mode))
    assert decision.recommended == (decision.wanted and not decision.blocked)
    assert not decision.retrain or decision.recommended
    assert all(decision.reasons)
