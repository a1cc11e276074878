"""The e-detector for slow losses: its guarantee by enumeration and simulation, its delays, and what it says."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evergreen.data.labels import label_text
from evergreen.drift.leak import (
    BATCH,
    GROWTH,
    LeakState,
    allowed_loss,
    bets_against,
    find_leak,
    growth_of_errors,
    growth_of_losses,
)
from evergreen.drift.performance import diagnose, judge_performance
from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import METRICS, Score, exact_score, score_all
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PerformanceSettings
from evergreen.verdicts import calls_for_retraining, shows_loss

DEFAULTS = PerformanceSettings()
NAMES = np.array(["0", "1"], dtype=object)

# The guarantee


@pytest.mark.parametrize("limit", [0.01, 0.15, 0.5, 0.9])
@pytest.mark.parametrize("rows", [1, 2, 5, 12])
def test_no_bet_wins_on_average_while_the_risk_is_allowed(limit, rows):
    errors = np.arange(rows + 1)
    factors = np.exp(growth_of_errors(rows, errors, limit))
    for risk in np.linspace(0, limit, 13):
        expected = stats.binom.pmf(errors, rows, risk) @ factors
        assert (expected <= 1 + 1e-12).all()
        assert expected.mean() <= 1 + 1e-12
    worse = stats.binom.pmf(errors, rows, min(1, limit * 1.1)) @ factors
    assert (worse > 1).all()  # and does once it is not


@pytest.mark.parametrize("seed", range(5))
def test_no_bet_wins_on_average_on_losses_between_0_and_1(seed):
    random = np.random.default_rng(seed)
    losses, chances = random.random(6), random.dirichlet(np.ones(6))
    risk = float(losses @ chances)
    factors = np.exp([growth_of_losses(np.array([loss]), risk) for loss in losses])
    assert chances @ factors == pytest.approx(np.ones(len(GROWTH)), abs=1e-12)


def test_a_single_row_never_ruins_a_bet():
    for risk in (0.001, 0.15, 0.5, 0.95):
        assert (1 - bets_against(risk) * risk >= 0.1 - 1e-12).all()


def test_a_batch_of_one_row_is_the_row_by_row_form():
    random = np.random.default_rng(0)
    errors = (random.random(300) < 0.2).astype(float)
    fortunes = np.zeros(len(GROWTH))
    state = other = LeakState(0.16)
    for error in errors:
        fortunes = (fortunes + 1) * (1 + bets_against(0.16) * (error - 0.16))
        state, other = state.with_errors(1, int(error)), other.with_losses(np.array([error]))
    assert state.evidence == pytest.approx(fortunes.mean(), rel=1e-9)
    assert other.evidence == pytest.approx(fortunes.mean(), rel=1e-9)
    assert (state.rows, other.rows) == (300, 300)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=20))
def test_errors_have_a_closed_form(counts):
    state = other = LeakState(0.3)
    for count in counts:
        state = state.with_errors(20, count)
        other = other.with_losses(np.repeat([1.0, 0.0], [count, 20 - count]))
    assert state.log_evidence == pytest.approx(other.log_evidence, abs=1e-9)


def rows_to_alarm(limit, batch, risks, runs, longest, seed, risk=0.16):
    """Rows until the evidence reaches the limit, (runs,), `longest` where it never does."""
    random = np.random.default_rng(seed)
    logs, stopped, errors = np.full((runs, len(GROWTH)), -np.inf), np.full(runs, longest), np.zeros(runs)
    for step in range(longest // batch):
        errors = random.binomial(batch, risks(errors))
        logs = growth_of_errors(batch, errors, risk) + np.logaddexp(logs, math.log(batch))
        alarm = (np.exp(logs).mean(axis=1) >= limit) & (stopped == longest)
        stopped[alarm] = (step + 1) * batch
    return stopped


@pytest.mark.parametrize("batch", [1, 10, 100])
def test_false_alarms_are_at_least_as_far_apart_as_promised(batch):
    rows = rows_to_alarm(1000, batch, lambda errors: 0.16 + 0 * errors, runs=500, longest=6000, seed=batch)
    assert rows.mean() >= 900


def test_errors_that_come_in_runs_do_not_break_the_promise():
    risks = lambda last: np.where(last > 0, 0.16, 0.02)  # noqa: E731 never above the limit, and never independent
    rows = rows_to_alarm(1000, 1, risks, runs=500, longest=4000, seed=9)
    assert rows.mean() >= 900


@pytest.mark.parametrize(("worse", "known"), [(0.03, 2200), (0.05, 900), (0.10, 300)])
def test_a_leak_is_found_as_fast_as_promised(worse, known):
    """The table of chapter 4.2: baseline 0.15 from 5,000 rows, no tolerance, batches of 100."""
    delays = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        base = random.binomial(5000, 0.15) / 5000
        state = LeakState(base + math.sqrt(base * (1 - base) / 5000))
        for _ in range(50):
            state = state.with_errors(100, int(random.binomial(100, 0.15)))
        while state.evidence < 1e5 and state.rows < 20_000:
            state = state.with_errors(100, int(random.binomial(100, 0.15 + worse)))
        delays.append(state.rows - 5000)
    assert np.median(delays) <= known * 1.15 + 100


def test_it_is_faster_than_adwin_and_alarms_seldom():
    from river import drift

    ours, theirs = [], []
    for seed in range(15):
        random = np.random.default_rng(seed)
        errors = (random.random(16_000) < np.where(np.arange(16_000) < 10_000, 0.15, 0.20)).astype(float)
        state, adwin = LeakState(0.155), drift.ADWIN(delta=0.002)
        found = [None, None]
        for row, error in enumerate(errors):
            adwin.update(error)
            if found[1] is None and adwin.drift_detected and row >= 10_000:
                found[1] = row - 10_000
        for batch in errors.reshape(-1, 100):
            state = state.with_errors(100, int(batch.sum()))
            if found[0] is None and state.evidence >= 1e5:
                found[0] = state.rows - 10_000
        ours.append(found[0] or 6000)
        theirs.append(found[1] or 6000)
    assert min(ours) > 0
    assert np.median(ours) <= np.median(theirs)


# The state


@given(
    st.floats(0.001, 0.999),
    st.lists(st.one_of(st.just(-math.inf), st.floats(-1e300, 1e300)), min_size=5, max_size=5),
    st.integers(0, 10**12),
)
def test_the_state_goes_through_json_bit_for_bit(risk, logs, rows):
    state = LeakState(risk, rows, tuple(logs))
    assert LeakState.from_dict(json.loads(json.dumps(state.to_dict(), allow_nan=False))) == state


def test_evidence_starts_at_nothing_and_never_overflows():
    state = LeakState(0.1)
    assert state.evidence == 0
    for _ in range(20):
        state = state.with_errors(1000, 1000)
    assert 1e300 < state.evidence < math.inf


# The allowed loss


def test_what_is_allowed_is_baseline_standard_error_and_tolerance():
    base = Score("accuracy", 0.85, 0, 0, 0.005, 5000, 5000)
    assert allowed_loss(METRICS["accuracy"], base, 0.01) == pytest.approx((0.15 + 0.005 + 0.01, 1.0))
    mae = Score("mae", 8.0, 0, 0, 0.1, 3600)
    risk, bound = allowed_loss(METRICS["mae"], mae, 0.01)
    assert bound == pytest.approx(8 + 3 * 0.1 * 60)
    assert risk * bound == pytest.approx(8 + 0.1 + 0.08)


def test_a_baseline_without_room_leaves_nothing_to_watch():
    assert allowed_loss(METRICS["accuracy"], Score("accuracy", 0.0, 0, 0, 0.0, 100, 100), 0.01) is None
    assert allowed_loss(METRICS["mae"], exact_score("mae", 5.0), 0.01) is None
    assert allowed_loss(METRICS["accuracy"], None, 0.01) is None


@pytest.mark.parametrize("metric", ["mae", "rmse", "r2", "pinball"])
@pytest.mark.parametrize(("growth", "alarm"), [(1.0, False), (1.1, True)])
def test_absolute_errors_leak_too(metric, growth, alarm):
    def drawn(size, rows, seed):
        random = np.random.default_rng(seed)
        y = random.normal(100, 20, rows)
        return y, Predictions(y + size * random.standard_t(4, rows))

    baseline = score_all("regression", *drawn(10, 5000, 0))
    y, said = drawn(10 * growth, 10_000, 1)
    found = find_leak(METRICS[metric], baseline, Sample(y, said.values), np.arange(10_000), DEFAULTS)
    assert found.alarm is alarm
    assert found.metric == ("pinball" if metric == "pinball" else "mae")


@pytest.mark.parametrize("metric", ["roc_auc", "f1", "balanced_accuracy", "cost"])
def test_metrics_that_are_no_mean_over_rows_are_not_watched(metric):
    y, said = answers(0.8, 1000)
    assert find_leak(METRICS[metric], {}, Sample(y == "1", said.values == "1"), np.arange(1000), DEFAULTS) is None


# The verdict


def answers(accuracy, rows, seed=0):
    """Labels and predictions; `accuracy` may differ from row to row."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, rows)
    wrong = random.random(rows) >= accuracy
    return NAMES[truth], Predictions(NAMES[truth ^ wrong], None, ("0", "1"))


def judged(accuracy, rows, seed=0, *, times=True, config=DEFAULTS):
    y, said = answers(accuracy, rows, seed)
    baseline = score_all("classification", *answers(0.85, 5000, 10_000 + seed))
    keys = np.datetime64("2026-01-01", "us") + np.arange(rows) * np.timedelta64(10, "m")
    return judge_performance(
        y, said, baseline=baseline, settings=config, task="classification", times=keys if times else None
    )


def test_a_slow_loss_is_called_a_leak_with_the_time_it_began():
    found = judged(np.where(np.arange(10_000) < 7000, 0.85, 0.80), 10_000)
    assert found.verdict == "leak"
    assert found.leak.alarm
    assert found.leak.evidence >= found.leak.limit == 100_000
    began = (np.datetime64(found.leak.since) - np.datetime64("2026-01-01")) / np.timedelta64(10, "m")
    assert began == pytest.approx(7000, abs=600)
    assert found.leak.found == pytest.approx(0.20, abs=0.02)
    assert found.leak.allowed == pytest.approx(0.165, abs=0.01)
    assert f"A leak: since {found.leak.since} its error rate has been " in " ".join(found.reasons)


def test_a_model_that_holds_does_not_leak():
    found = [judged(0.85, 5000, seed) for seed in range(20)]
    assert {report.verdict for report in found} == {"fine"}
    assert not any(report.leak.alarm or report.leak.since for report in found)
    assert all(report.leak.rows == 5000 for report in found)


def test_a_loss_beyond_the_limit_keeps_its_graver_name_and_says_since_when():
    found = judged(np.where(np.arange(4000) < 2000, 0.85, 0.60), 4000)
    assert found.verdict == "severe"
    assert found.leak.alarm
    assert any(reason.startswith("A leak: since 2026-01-1") for reason in found.reasons)


def test_rows_without_an_order_are_not_a_stream():
    assert judged(0.80, 10_000, times=False).leak is None


def test_rows_beyond_the_last_complete_batch_wait():
    whole, more = judged(0.83, 5000), judged(0.83, 5000 + BATCH - 1)
    y, _ = answers(0.83, 5000)
    assert more.leak.rows == whole.leak.rows == len(y)


def test_fewer_rows_than_a_batch_tell_nothing():
    assert judged(0.85, 99).leak is None


def test_the_limit_and_the_tolerance_are_the_users():
    accuracy = np.where(np.arange(10_000) < 7000, 0.85, 0.80)
    assert judged(accuracy, 10_000, config=PerformanceSettings(leak_tolerance=0.08)).verdict == "fine"
    patient = judged(accuracy, 10_000, config=PerformanceSettings(labels_per_false_alarm=1e300))
    assert (patient.verdict, patient.leak.limit) == ("fine", 1e300)


def test_a_leak_alarms_and_is_no_reason_to_retrain():
    assert shows_loss("leak") is True
    assert not calls_for_retraining("leak")
    assert diagnose(True, "leak").startswith("Drift and a leak")
    assert diagnose(False, "leak").startswith("A leak without drift")


# Real tables, of which it is known when something changed

DATA = Path(os.environ.get("EVERGREEN_DATA", "."))


@pytest.mark.skipif("EVERGREEN_DATA" not in os.environ, reason="needs the folder of real tables in EVERGREEN_DATA")
@pytest.mark.parametrize(
    ("name", "truth", "task", "verdict", "since"),
    [
        ("car_loan", "repaid", "classification", "leak", "2019-03-31"),
        ("credit_card", "y_true", "classification", "severe", "2020-11-01"),
        ("car_price", "y_true", "regression", "fine", None),
    ],
)
def test_the_day_is_found_on_which_real_errors_began_to_grow(name, truth, task, verdict, since):
    reference = pd.read_parquet(DATA / f"{name}_reference.parquet")
    analysis = pd.read_parquet(DATA / f"{name}_analysis.parquet")
    analysis = analysis.merge(pd.read_parquet(DATA / f"{name}_analysis_targets.parquet"), on="id")

    def said(frame):
        values = frame.y_pred.to_numpy(float) if task == "regression" else label_text(frame.y_pred)
        return Predictions(values, None, () if task == "regression" else tuple(sorted(set(values))))

    for rows, leaks in ((analysis[: len(analysis) // 2], False), (analysis, since is not None)):
        found = judge_performance(
            rows[truth],
            said(rows),
            baseline=score_all(task, reference[truth], said(reference), ordered=True),
            settings=DEFAULTS,
            task=task,
            times=rows.timestamp.to_numpy().astype("datetime64[us]"),
        )
        assert found.leak.alarm is leaks
    assert found.verdict == verdict
    assert found.leak.since is None if since is None else found.leak.since.startswith(since)
