"""The presets by cost and naive: what each acts on, how retrainings in vain are remembered, and what comes of it."""

import dataclasses

import numpy as np
import pytest

from evergreen.drift.excess import Excess, ShadowFinding, accumulate_excess, reference_loss
from evergreen.policy import PastRun, Signals, back_off, cool_down, decide, mute, read_past
from evergreen.scoring.metrics import METRICS
from evergreen.settings import PolicySettings, Settings
from evergreen.training.comparison import decide as compare_gain
from evergreen.training.evidence import Gain

QUIET = Signals("no_drift", "minor", (), "no_drift", "fine", "", 3.0, 5000, 5000, 9000)
CALM = PastRun(wanted=False, retrained=False, deployed=False)
REJECTED = PastRun(wanted=True, retrained=True, deployed=False)
PAID = PastRun(wanted=True, retrained=True, deployed=True, gained=True)
IN_VAIN = PastRun(wanted=True, retrained=True, deployed=True, gained=False)
OPEN = PastRun(wanted=True, retrained=True, deployed=True)
COST = PolicySettings(preset="cost")


def saw(**changes):
    return dataclasses.replace(QUIET, **changes)


def excess(total, error=1.0):
    return Excess(total, error, 0, 1000, 0.15)


DRIFTED = saw(drift="drift", drifted_columns=("age",), severity="major", predictions="drift", relations="drift")
SEVERE = saw(performance="severe", performance_reason="accuracy fell from 0.86 to 0.64.")


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        (saw(excess=excess(19.9)), False),
        (saw(excess=excess(20.0)), True),
        (saw(excess=excess(20.0, error=13.4)), False),
        (saw(excess=excess(20.0, error=13.3)), True),
        (saw(shadow=ShadowFinding(19.9, 900)), False),
        (saw(shadow=ShadowFinding(20.0, 900)), True),
        (SEVERE, True),
        (saw(performance="degraded", performance_reason="x"), False),
        (saw(performance="breach", performance_reason="x"), False),
        (saw(performance="leak", performance_reason="x", leak=True), False),
        (saw(estimate="estimated_drop", estimate_reason="An estimated drop."), True),
        (saw(estimate="unreliable", estimate_reason="x"), False),
        (DRIFTED, False),
        (dataclasses.replace(DRIFTED, label_lag_runs=10), False),
        (dataclasses.replace(DRIFTED, label_lag_runs=11), True),
        (dataclasses.replace(DRIFTED, label_lag_runs=None), True),
        (saw(predictions="drift", label_lag_runs=None), True),
        (saw(drift="drift", drifted_columns=("a",), severity="major", label_lag_runs=None), True),
        (saw(drift="drift", drifted_columns=("a",), severity="moderate", label_lag_runs=None), False),
        (saw(relations="drift", label_lag_runs=None), False),
        (saw(bare=("By the bare rules a moved.",)), False),
    ],
)
def test_by_cost_only_errors_that_cost_too_much_and_what_guards_them_count(signals, expected):
    decision = decide(signals, (), COST)
    assert decision.retrain is expected
    assert decision.reasons
    assert decision.preset == "cost"


@pytest.mark.parametrize(
    ("signals", "preset", "expected"),
    [
        (saw(excess=excess(500.0)), "hybrid", False),
        (saw(shadow=ShadowFinding(500.0, 900)), "hybrid", True),
        (saw(shadow=ShadowFinding(19.0, 900)), "hybrid", False),
        (saw(shadow=ShadowFinding(500.0, 900)), "performance", True),
        (saw(shadow=ShadowFinding(500.0, 900)), "schedule", False),
        (saw(shadow=ShadowFinding(500.0, 900)), "naive", False),
        (saw(relations="drift"), "hybrid", True),
        (saw(relations="drift"), "drift", True),
        (saw(relations="drift"), "performance", False),
        (saw(estimate="estimated_drop", estimate_reason="x."), "hybrid", True),
        (saw(estimate="estimated_drop", estimate_reason="x."), "performance", False),
        (saw(performance="leak", performance_reason="x", leak=True), "hybrid", False),
        (saw(performance="leak", performance_reason="x", leak=True), "performance", False),
        (saw(bare=("By the bare rules a moved.",)), "naive", True),
        (saw(bare=("By the bare rules a moved.",)), "hybrid", False),
        (saw(age_days=31), "naive", True),
        (DRIFTED, "naive", False),
        (SEVERE, "naive", False),
        (SEVERE, "schedule", False),
        (saw(age_days=31), "performance", False),
    ],
)
def test_the_other_presets_keep_to_their_own(signals, preset, expected):
    assert decide(signals, (), PolicySettings(preset=preset)).retrain is expected


def test_the_reason_tells_what_it_has_cost_and_what_a_retraining_costs():
    decision = decide(saw(excess=excess(61.0)), [REJECTED, CALM], COST)
    assert decision.reasons == (
        "Errors beyond those of a fresh model have cost 61 on 1,000 rows; a retraining costs 20 (policy.retrain_cost), "
        "times 2 after retrainings that brought no gain.",
    )
    assert (decision.limit, decision.backoff) == (40.0, 2)
    calm = decide(saw(excess=excess(7.0)), (), COST)
    assert calm.reasons[0].startswith("No reason to retrain: errors beyond those of a fresh model have cost 7 of 20")


def test_without_labels_there_is_no_limit_and_no_news_means_nothing_to_do():
    assert decide(QUIET, (), COST).limit is None
    idle = decide(saw(excess=excess(900.0), news=False), (), COST)
    assert not idle.wanted
    assert idle.limit == 20.0


@pytest.mark.parametrize(
    ("past", "factor"),
    [
        ([], 1),
        ([CALM, PAID], 1),
        ([REJECTED], 2),
        ([IN_VAIN], 2),
        ([OPEN], 1),
        ([REJECTED, OPEN], 2),
        ([REJECTED, IN_VAIN, CALM, PAID], 2),
        ([REJECTED, PAID, PAID], 1),
        ([REJECTED] * 7, 16),
        ([*[REJECTED] * 7, PAID], 8),
    ],
)
def test_the_price_doubles_with_each_retraining_in_vain_and_halves_with_each_that_paid(past, factor):
    assert back_off(past, COST) == factor
    limit = decide(saw(excess=excess(0.0)), past, COST).limit
    assert limit == 20.0 * factor


@pytest.mark.parametrize(
    ("past", "runs"),
    [
        ([], 0),
        ([PAID], 0),
        ([OPEN], 0),
        ([REJECTED], 4),
        ([REJECTED, CALM], 3),
        ([IN_VAIN, *[CALM] * 4], 0),
        ([REJECTED, CALM, REJECTED], 8),
        ([REJECTED, CALM, IN_VAIN, CALM, REJECTED], 16),
        ([REJECTED] * 6, 16),
        ([REJECTED, PAID, CALM], 0),
    ],
)
def test_safety_triggers_are_silent_for_4_8_16_runs_after_retrainings_in_vain(past, runs):
    assert mute(past, COST) == runs
    settings = PolicySettings(preset="cost", cool_down=0, max_retrains=30)
    decision = decide(SEVERE, past, settings)
    assert decision.wanted
    assert decision.retrain is (runs == 0)
    assert not runs or f"counts again in {runs} runs" in " ".join(decision.blocked)
    assert decide(dataclasses.replace(SEVERE, excess=excess(1000.0)), past, settings).retrain


def test_by_cost_the_cool_down_stays_one_run_and_under_other_presets_it_doubles():
    assert cool_down([REJECTED] * 3, COST) == 1
    assert cool_down([REJECTED] * 3, PolicySettings()) == 8
    assert cool_down([PAID, IN_VAIN], PolicySettings()) == 2
    assert cool_down([REJECTED, OPEN], PolicySettings()) == 1


def test_the_naive_preset_knows_no_patience_but_bad_data_stops_it():
    alarmed = saw(bare=("accuracy is 0.70, below 0.80.",), new_labelled_rows=10)
    naive = PolicySettings(preset="naive")
    assert decide(alarmed, [REJECTED] * 9, naive).retrain
    assert not decide(dataclasses.replace(alarmed, blocking=("Data quality: x.",)), (), naive).retrain


def test_whether_a_deploy_paid_is_read_from_the_first_look_at_the_model_before():
    deploy = {"news": True, "wanted": True, "retrained": True, "deployed": True}
    assert read_past([deploy]) == (OPEN,)
    assert read_past([deploy, {"news": True, "gained": None}, {"news": True, "gained": True}])[0].gained is True
    assert read_past([deploy, {"news": True, "gained": False}, {"news": True, "gained": True}])[0].gained is False
    assert read_past([deploy, {"gained": False}]) == (IN_VAIN,), "a run without news may still find it out"


def test_a_look_is_credited_to_the_model_that_is_live_not_to_one_that_was_rejected_or_waits():
    deploy = {"news": True, "retrained": True, "deployed": True, "wanted": True}
    staged = {"news": True, "retrained": True, "deployed": False, "outcome": "staged"}
    rejected = {"news": True, "retrained": True, "outcome": "rejected"}
    past = read_past([deploy, staged, rejected, {"news": True, "gained": True}])
    assert [run.gained for run in past] == [True, None, None, None]
    back = {"news": True, "rolled_back": True, "gained": False}
    assert back_off(read_past([deploy, back]), COST) == 2, (
        "a model that is taken back is one retraining in vain, not two"
    )
    first = {"news": False, "first": True, "deployed": True}
    assert read_past([first, {"news": True, "gained": True}]) == (CALM,)


def test_a_model_that_is_taken_back_after_many_looks_is_one_retraining_in_vain_whatever_the_looks_said():
    deploy = {"news": True, "retrained": True, "deployed": True, "wanted": True}
    back = {"news": True, "rolled_back": True, "gained": False}
    for gained in (True, False, None):
        past = read_past([deploy, {"news": True, "gained": gained}, {"news": True}, back])
        assert (back_off(past, COST), mute(past, COST)) == (2, 4)
        assert cool_down(past, PolicySettings()) == 2
    assert back_off(read_past([{"news": True, "rolled_back": True}]), COST) == 2, "a rollback whose deploy is not known"


def test_an_undecided_comparison_says_nothing_about_gains():
    tried = {"news": True, "retrained": True, "outcome": "rejected"}
    assert back_off(read_past([tried | {"undecided": True}]), COST) == 1
    assert back_off(read_past([tried | {"undecided": False}]), COST) == 2
    assert mute(read_past([tried | {"undecided": True}]), COST) == 4, "what only guards stays silent all the same"


def test_a_rollback_after_a_challenger_went_live_by_hand_is_not_booked_on_the_deploy_before():
    deploy = {"news": True, "retrained": True, "deployed": True, "wanted": True}
    staged = {"news": True, "retrained": True, "deployed": False, "outcome": "staged"}
    back = {"news": True, "rolled_back": True, "gained": False}
    past = read_past([deploy, {"news": True, "gained": True}, staged, {"news": True}, back])
    assert past[0].gained is True
    assert back_off(past, COST) == 2


@pytest.mark.parametrize(
    ("past", "retrained"),
    [([CALM] * 29, False), ([CALM] * 30, True), ([CALM, REJECTED, *[CALM] * 29], False), ([PAID, *[CALM] * 30], True)],
)
def test_by_cost_age_counts_after_thirty_runs_without_a_retraining_only(past, retrained):
    old = saw(age_days=31)
    assert decide(old, past, COST).retrain is retrained
    assert not decide(saw(age_days=30), past, COST).wanted
    assert decide(old, [], PolicySettings()).retrain, "under other presets age alone is enough"


def test_by_cost_the_price_is_the_budget_unless_the_user_sets_one():
    asked, few = saw(excess=excess(1000.0)), saw(excess=excess(1000.0), new_labelled_rows=10)
    assert decide(asked, [PAID, CALM] * 15, COST).retrain
    assert decide(few, (), COST).retrain
    limited = PolicySettings(preset="cost", max_retrains=3, min_new_rows=500)
    assert "The budget is used up: 15 retrainings" in decide(asked, [PAID, CALM] * 15, limited).blocked[0]
    assert "Only 10 new labelled rows; 500 are needed" in decide(few, (), limited).blocked[0]


def test_old_journals_are_read_as_before():
    past = read_past([{"news": True, "wanted": True, "retrained": True, "deployed": True}, {"news": True}])
    assert past == (OPEN, CALM)
    assert back_off(past, COST) == 1


# What comes of it, over 90 windows of generated losses: no models, only how often they err.


def play(error, *, cost, seed, windows=90, rows=300, holdout=600):
    """Retrainings tried when a model trained before window s errs in window t with probability `error(s, t)`.

    The gate is the one of the preset, on a holdout where both models are asked.
    """
    rng = np.random.default_rng(seed)
    settings = PolicySettings(preset="cost", retrain_cost=cost)
    trained, before, tries = 0, 0, 0
    own, baselines = rng.binomial(holdout, error(0, 0)) / holdout, []
    losses, past = np.empty(0), []
    for window in range(windows):
        losses = np.append(losses, rng.random(rows) < error(trained, window))
        live = [place for place, run in enumerate(past) if run.deployed]
        if live and past[live[-1]].gained is None:
            old = np.mean(rng.random(rows) < error(before, window))
            past[live[-1]] = dataclasses.replace(past[live[-1]], gained=bool(losses[-rows:].mean() < old))
        found = accumulate_excess(losses, range(rows, len(losses) + 1, rows), reference_loss(own, baselines))
        signals = saw(performance="not_enough_evidence", excess=found, new_labelled_rows=len(losses))
        retrain = decide(signals, past, settings).retrain
        winner = judge(rng, error(trained, window), error(window, window), holdout) if retrain else ""
        promoted = winner == "challenger"
        past.append(PastRun(retrain, retrain, deployed=promoted, undecided=winner == "undecided"))
        tries += retrain
        if promoted:
            baselines.append(own)
            before, trained = trained, window
            own = rng.binomial(holdout, error(window, window)) / holdout
        if retrain:
            losses = np.empty(0)
    return tries


def judge(rng, champion, challenger, rows, churn=0.06):
    both = max(min(champion, challenger) - churn / 2, 0)
    better, worse, _ = rng.multinomial(rows, [champion - both, challenger - both, 1 + 2 * both - champion - challenger])
    gain, error = (better - worse) / rows, np.sqrt(better + worse - (better - worse) ** 2 / rows) / rows
    found = Gain(0.8, 0.8, gain, gain - 1.96 * error, gain + 1.96 * error, error, 1.0)
    return compare_gain(found, rows, METRICS["accuracy"], Settings(policy=COST).promotion_rules)[0]


def test_a_world_that_stands_still_is_retrained_at_most_once_in_fifty_windows():
    tries = [play(lambda s, t: 0.15, cost=100, seed=seed) for seed in range(12)]
    assert np.mean(tries) <= 90 / 50


def test_where_it_only_gets_noisier_the_back_off_bounds_the_retrainings():
    """Every model gets worse alike: nothing is ever gained, and each time it takes longer until the next try."""
    tries = [play(lambda s, t: 0.10 + 0.25 * t / 90, cost=20, seed=seed) for seed in range(8)]
    assert np.mean(tries) <= 20
    assert max(tries) <= 26


def test_where_models_grow_old_it_retrains_often_and_after_a_jump_soon():
    ageing = [play(lambda s, t: 0.10 + min(0.4, 0.004 * (t - s)), cost=20, seed=seed) for seed in range(6)]
    assert 10 <= np.mean(ageing) <= 25
    jumps = [play(lambda s, t: 0.10 + 0.3 * (s // 30 != t // 30), cost=20, seed=seed) for seed in range(6)]
    assert 2 <= np.mean(jumps) <= 8
