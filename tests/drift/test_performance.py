"""The verdict on performance: what must fire, what must stay silent, and what is said about it."""

import dataclasses
import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from evergreen.data.labels import label_text
from evergreen.data.windows import Maturity
from evergreen.drift.blocks import score_blocks
from evergreen.drift.performance import (
    diagnose,
    drop_bounds,
    judge_performance,
)
from evergreen.drift.performance_check import check_model_performance_drift
from evergreen.errors import DataError, UsageError
from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import METRICS, Score, exact_score, sample_rows, score, score_all, score_sample
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PerformanceSettings
from evergreen.verdicts import LOSSES

DEFAULTS = PerformanceSettings()


def batch(hits, rows):
    """Labels and predictions with exactly so many hits, spread evenly, classes in turn."""
    y = np.array(["0", "1"], dtype=object)[np.arange(rows) % 2]
    right = np.diff(np.floor(np.arange(rows + 1) * hits / rows + 1e-9)) > 0
    said = np.where(right, y, np.where(y == "1", "0", "1"))
    return y, Predictions(said.astype(object), None, ("0", "1"))


def accuracy_of(hits, rows):
    return {"accuracy": score(METRICS["accuracy"], *batch(hits, rows))}


def judged(hits, rows, *, baseline=None, config=DEFAULTS, **more):
    y, said = batch(hits, rows)
    baseline = accuracy_of(1700, 2000) if baseline is None else baseline
    return judge_performance(y, said, baseline=baseline, settings=config, task="classification", **more)


# The rule, on both sides


@pytest.mark.parametrize(
    ("hits", "rows", "verdict"),
    [
        (850, 1000, "fine"),
        (900, 1000, "fine"),
        (840, 1000, "fine"),
        (820, 1000, "not_enough_evidence"),  # surely worse, perhaps by the limit
        (797, 1000, "degraded"),
        (690, 1000, "severe"),
        (77, 100, "degraded"),
        (82, 100, "not_enough_evidence"),
        (40, 60, "severe"),
        (30, 49, "not_enough_evidence"),  # fewer than min_labels, whatever they say
    ],
)
def test_the_verdict_follows_the_interval_of_the_drop(hits, rows, verdict):
    found = judged(hits, rows, config=PerformanceSettings(min_score="off"))
    assert found.verdict == verdict
    assert found.reasons


@settings(max_examples=200, deadline=None)
@given(
    rows=st.integers(50, 400), data=st.data(), base=st.integers(100, 3000), max_drop=st.sampled_from([0.02, 0.05, 0.2])
)
def test_the_verdict_is_that_of_statsmodels_newcombe_and_wilson(rows, data, base, max_drop):
    hits, base_hits = data.draw(st.integers(0, rows)), data.draw(st.integers(0, base))
    low, high = confint_proportions_2indep(base_hits, base, hits, rows, method="newcomb", compare="diff", alpha=0.1)
    drop = base_hits / base - hits / rows
    most = proportion_confint(hits, rows, alpha=0.1, method="wilson")[1]
    expected = (
        "severe"
        if low > max_drop
        else "breach"
        if base_hits / base >= 0.8 and most < 0.8
        else "degraded"
        if low > 0 and drop >= max_drop
        else "fine"
        if high < max_drop
        else "not_enough_evidence"
    )
    found = judged(hits, rows, baseline=accuracy_of(base_hits, base), config=PerformanceSettings(max_drop=max_drop))
    near = min(abs(low - max_drop), abs(high - max_drop), abs(low), abs(drop - max_drop), abs(most - 0.8)) < 1e-9
    assert found.verdict == expected or near
    two_sided = confint_proportions_2indep(base_hits, base, hits, rows, method="newcomb", compare="diff", alpha=0.05)
    assert found.drop_interval == pytest.approx(two_sided, abs=1e-9)
    assert found.interval == pytest.approx(proportion_confint(hits, rows, method="wilson"), abs=1e-9)


def chance_of_loss(accuracy, rows, baseline=0.85, baseline_rows=2000):
    """Probability of a verdict of loss, by enumeration of the batch and quantiles of the baseline."""
    bases = stats.binom.ppf((np.arange(9) + 0.5) / 9, baseline_rows, baseline).astype(int)
    off = PerformanceSettings(min_score="off")
    chance = 0.0
    for hits in range(int(stats.binom.ppf(1e-5, rows, accuracy)), rows + 1):
        lost = [
            judged(hits, rows, baseline=accuracy_of(base, baseline_rows), config=off).verdict in LOSSES
            for base in bases
        ]
        chance += stats.binom.pmf(hits, rows, accuracy) * np.mean(lost)
        if not any(lost):
            break
    return chance


@pytest.mark.parametrize(("rows", "known"), [(50, 0.058), (100, 0.054), (200, 0.032)])
def test_an_unchanged_model_is_seldom_called_degraded(rows, known):
    assert chance_of_loss(0.85, rows) == pytest.approx(known, abs=0.01)


@pytest.mark.parametrize(("rows", "known"), [(50, 0.59), (100, 0.81), (200, 0.94)])
def test_a_loss_of_ten_points_is_found_as_often_as_promised(rows, known):
    assert chance_of_loss(0.75, rows) == pytest.approx(known, abs=0.03)


def lost_by_chance(accuracy, stay, rows, *, in_time, runs=600):
    """Share of unchanged models called worse by 5 points; neighbouring errors have the correlation `stay`."""
    lost = 0
    for seed in range(runs):
        random, scores = np.random.default_rng(seed), []
        for n in (2000, rows):
            fresh = np.flatnonzero((random.random(n) >= stay) | (np.arange(n) == 0))
            wrong = np.repeat(random.random(len(fresh)) >= accuracy, np.diff([*fresh, n]))
            sample = Sample(np.zeros(n, int), wrong.astype(int), None, ("0", "1"), 1)
            scores.append(score_sample(METRICS["accuracy"], sample, ordered=in_time))
        lost += drop_bounds(METRICS["accuracy"], *scores, 0.9)[0] > 0 and scores[0].value - scores[1].value >= 0.05
    return lost / runs


def test_errors_that_come_in_runs_make_the_verdict_more_careful_and_others_do_not():
    blind, told = (lost_by_chance(0.85, 0.6, 200, in_time=in_time) for in_time in (False, True))
    assert blind > 0.12
    assert told < 0.6 * blind
    blind, told = (lost_by_chance(0.85, 0.0, 100, in_time=in_time) for in_time in (False, True))
    assert told == pytest.approx(blind, abs=0.01)


def test_rows_in_time_order_are_judged_as_such():
    wrong = np.repeat(np.random.default_rng(0).random(40) < 0.2, 25).astype(int)
    y, said = np.array(["0"] * 1000, dtype=object), Predictions(wrong.astype(str).astype(object), None, ("0", "1"))
    arguments = {"baseline": accuracy_of(1700, 2000), "settings": DEFAULTS, "task": "classification"}
    blind = judge_performance(y, said, **arguments)
    told = judge_performance(y, said, times=np.arange(1000), **arguments)
    assert told.current == blind.current
    assert told.interval[1] - told.interval[0] > 2 * (blind.interval[1] - blind.interval[0])
    assert told.scores["accuracy"].low == told.interval[0]


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(50, 300), hits=st.integers(0, 299), extra=st.integers(1, 50))
def test_fewer_hits_never_make_a_verdict_better(rows, hits, extra):
    order = ["fine", "not_enough_evidence", "degraded", "breach", "severe"]
    hits = min(hits, rows)
    worse, better = judged(max(hits - extra, 0), rows), judged(hits, rows)
    assert order.index(worse.verdict) >= order.index(better.verdict)


# Metrics other than accuracy


def regression(size, rows, seed):
    random = np.random.default_rng(seed)
    y = random.normal(100, 20, rows)
    return y, Predictions(y + random.normal(0, size, rows))


@pytest.mark.parametrize("name", ["mae", "rmse", "pinball"])
@pytest.mark.parametrize(("size", "verdict"), [(10.0, "fine"), (5.0, "fine"), (13.0, "severe")])
def test_regression_is_judged_by_the_share_its_error_grew(name, size, verdict):
    baseline = score_all("regression", *regression(10.0, 20_000, 0))
    y, said = regression(size, 5_000, 1)
    found = judge_performance(y, said, baseline=baseline, settings=PerformanceSettings(metric=name), task="regression")
    assert found.verdict == verdict
    assert found.relative
    assert found.drop == pytest.approx(size / 10 - 1, abs=0.03)


@pytest.mark.parametrize("name", ["roc_auc", "pr_auc", "f1", "balanced_accuracy", "precision", "recall", "brier"])
def test_other_metrics_find_a_loss_and_stay_silent_without(name):
    def drawn(separation, seed):
        random = np.random.default_rng(seed)
        truth = (random.random(4000) < 0.4).astype(int)
        chance = 1 / (1 + np.exp(-separation * (truth - 0.5 + random.normal(0, 0.5, 4000))))
        names = np.array(["0", "1"], dtype=object)
        said = Predictions(names[(chance > 0.5).astype(int)], np.column_stack([1 - chance, chance]), ("0", "1"))
        return (names[truth], said) if separation > 1 else (random.permutation(names[truth]), said)

    baseline = score_all("classification", *drawn(2, 0))
    config = PerformanceSettings(metric=name)
    verdicts = [
        judge_performance(*drawn(separation, 1), baseline=baseline, settings=config, task="classification").verdict
        for separation in (2, 1)
    ]
    assert verdicts == ["fine", "severe"]


def test_few_rows_leave_a_regression_undecided_and_say_how_many_it_takes():
    baseline = score_all("regression", *regression(10.0, 20_000, 0))
    found = judge_performance(*regression(10.0, 100, 1), baseline=baseline, settings=DEFAULTS, task="regression")
    assert found.verdict == "not_enough_evidence"
    # |normal| has a standard deviation of 0.756 of its mean: (0.756 · 2.487 / 0.05)² rows, and the baseline's share
    assert found.labels_needed + 100 == pytest.approx(1500, rel=0.3)


def test_a_relative_interval_holds_the_truth_as_often_as_it_says():
    missed = 0
    for seed in range(400):
        base = score(METRICS["mae"], *regression(10.0, 150, 2 * seed))
        current = score(METRICS["mae"], *regression(12.0, 100, 2 * seed + 1))
        low, high = drop_bounds(METRICS["mae"], base, current, 0.9)
        missed += not low <= 0.2 <= high
    assert 0.06 <= missed / 400 <= 0.14


def test_the_error_of_the_baseline_grows_with_the_ratio():
    base = Score("mae", 10.0, 0, 0, 1.0, 10**7)
    low, high = drop_bounds(METRICS["mae"], base, exact_score("mae", 20.0), 0.95)
    assert (low, high) == pytest.approx((1 - 1.96 * 0.2, 1 + 1.96 * 0.2), abs=1e-3)


def test_a_metric_the_batch_cannot_define_is_not_judged():
    y = np.array(["1"] * 60, dtype=object)
    shares = np.column_stack([np.linspace(0, 1, 60), np.linspace(1, 0, 60)])
    found = judge_performance(
        y,
        Predictions(y, shares, ("0", "1")),
        baseline={"roc_auc": exact_score("roc_auc", 0.9)},
        settings=PerformanceSettings(metric="roc_auc"),
        task="classification",
    )
    assert (found.verdict, found.current, found.baseline) == ("not_enough_evidence", None, 0.9)
    assert found.reasons == ("roc_auc is not defined: all 60 rows are of class '1'.",)


def test_a_configured_cost_is_judged():
    config = PerformanceSettings(metric="cost", cost_matrix={"1": {"0": 10.0}, "0": {"1": 1.0}})
    baseline = score_all("classification", *batch(1800, 2000), settings=config)
    y, said = batch(700, 1000)
    found = judge_performance(y, said, baseline=baseline, settings=config, task="classification")
    assert (found.metric, found.verdict) == ("cost", "severe")


# The floor


def test_accuracy_surely_below_the_floor_is_a_breach():
    found = judged(760, 1000, baseline=accuracy_of(1620, 2000))
    assert (found.verdict, found.floor) == ("breach", 0.80)
    assert found.reasons[-1] == "accuracy is surely below the floor 0.800: at most 0.781."


def test_a_point_below_the_floor_is_mentioned_and_not_judged():
    found = judged(795, 1000, baseline=accuracy_of(1620, 2000))
    assert found.verdict == "fine"
    assert found.reasons[-1] == "accuracy 0.795 is below the floor 0.800, but not surely so."


def test_a_model_that_never_cleared_the_usual_floor_is_not_held_to_it():
    found = judged(700, 1000, baseline=accuracy_of(1400, 2000))
    assert (found.verdict, found.floor) == ("fine", None)
    assert "baseline 0.700 lies below the usual 0.80. Set performance.min_score" in found.reasons[-1]


def test_the_floor_can_be_set_and_switched_off():
    low = accuracy_of(1400, 2000)
    assert judged(700, 1000, baseline=low, config=PerformanceSettings(min_score=0.75)).verdict == "breach"
    off = judged(760, 1000, baseline=accuracy_of(1620, 2000), config=PerformanceSettings(min_score="off"))
    assert (off.verdict, off.floor) == ("degraded", None)
    assert len(off.reasons) == 2


def test_a_floor_for_an_error_is_a_ceiling():
    y, said = regression(10.0, 2000, 1)
    baseline = score_all("regression", *regression(10.0, 2000, 0))
    for ceiling, verdict in ((7.0, "breach"), (9.0, "fine")):
        config = PerformanceSettings(metric="mae", min_score=ceiling, max_drop=0.2)
        found = judge_performance(y, said, baseline=baseline, settings=config, task="regression")
        assert found.verdict == verdict
    assert found.reasons[-1].startswith("A loss of 20% or more is ruled out")


def test_other_metrics_have_no_floor_of_their_own():
    y, said = batch(500, 1000)
    found = judge_performance(
        y,
        said,
        baseline=score_all("classification", y, said),
        settings=PerformanceSettings(metric="f1"),
        task="classification",
    )
    assert (found.verdict, found.floor) == ("fine", None)


# Words and numbers that go with the verdict


def test_the_reasons_carry_every_number():
    found = judged(893, 1204, baseline=accuracy_of(4305, 5000))
    assert found.reasons[0] == (
        "accuracy fell from 0.861 to 0.742 (drop 0.119, 95% interval 0.093 to 0.146, 1,204 labelled rows; limit 0.05)."
    )
    assert found.reasons[1] == "The loss is surely more than the limit: at least 0.097."
    assert (found.baseline, found.max_drop, found.labelled_rows) == (0.861, 0.05, 1204)


def test_an_improvement_is_called_one():
    found = judged(950, 1000)
    assert found.verdict == "fine"
    assert found.reasons[0].startswith("accuracy rose from 0.850 to 0.950 (gain 0.100, 95% interval 0.0")
    assert found.reasons[1].startswith("The model has surely become better, by at least 0.08")


def test_a_small_loss_that_is_certain_is_not_hidden_behind_fine():
    found = judged(20_500, 25_000, baseline=accuracy_of(42_000, 50_000))
    assert found.verdict == "fine"
    assert found.reasons[1].startswith("There surely is a loss, but one of 0.05 or more is ruled out")


def test_too_few_labels_say_how_many_are_needed():
    found = judged(30, 49)
    assert (found.verdict, found.labels_needed, found.current) == ("not_enough_evidence", 1, None)
    assert found.reasons == ("Not enough evidence: 49 labelled rows, and 50 are needed (performance.min_labels).",)
    assert judge_performance(
        np.array([]), Predictions(np.array([])), baseline={}, settings=DEFAULTS, task="regression"
    ).labelled_rows == 0  # fmt: skip


def test_an_open_verdict_says_how_many_labels_would_settle_it():
    found = judged(83, 100)
    assert found.verdict == "not_enough_evidence"
    assert found.labels_needed == pytest.approx(370, abs=1)
    assert "takes about 47" in found.reasons[2]
    assert "there are 100" in found.reasons[2]


def test_a_baseline_too_small_for_the_limit_is_told():
    found = judged(83, 100, baseline=accuracy_of(170, 200))
    assert (found.verdict, found.labels_needed) == ("not_enough_evidence", None)
    assert (
        "baseline was measured on 200 rows, too few to tell a loss of 0.05 however many labels come" in found.reasons[2]
    )


def test_a_metric_without_baseline_is_shown_and_not_judged():
    found = judged(900, 1000, baseline={})
    assert (found.verdict, found.current, found.drop) == ("not_enough_evidence", 0.9, None)
    assert "has no baseline" in found.reasons[0]
    assert judged(600, 1000, baseline={}, config=PerformanceSettings(min_score=0.7)).verdict == "breach"


def test_all_metrics_and_their_baselines_are_kept_for_the_report():
    found = judged(900, 1000)
    assert {"accuracy", "f1", "recall"} <= set(found.scores)
    assert found.baselines["accuracy"].rows == 2000
    assert dataclasses.is_dataclass(found)
    assert found.from_labels


def test_missing_labels_and_unknown_metrics_are_refused():
    y, said = batch(50, 60)
    y[3] = None
    with pytest.raises(DataError, match="missing in 1 of 60"):
        judge_performance(y, said, baseline={}, settings=DEFAULTS, task="classification")
    with pytest.raises(UsageError, match="Did you mean 'accuracy'"):
        judged(50, 60, config=PerformanceSettings(metric="acuracy"))


# Time


def test_blocks_show_the_score_over_time():
    times = np.datetime64("2026-01-01") + np.arange(1000).astype("timedelta64[h]")
    found = judged(850, 1000, times=times.astype("datetime64[ns]"))
    assert len(found.blocks) == 20
    assert sum(block.rows for block in found.blocks) == 1000
    assert (found.blocks[0].start, found.blocks[-1].stop) == ("2026-01-01T00:00:00", "2026-02-11T15:00:00")
    assert all(block.low <= block.value <= block.high for block in found.blocks)


def test_blocks_are_never_smaller_than_the_labels_that_are_needed():
    found = judged(220, 260)
    assert [block.rows for block in found.blocks] == [52] * 5
    assert (found.blocks[1].start, found.blocks[1].stop) == (52, 103)


def test_blocks_take_any_kind_of_time_and_leave_out_what_they_cannot_tell():
    y = np.array(["0"] * 50 + ["0", "1"] * 25, dtype=object)
    sample = sample_rows(y, Predictions(y, np.full((100, 2), 0.5), ("0", "1")))
    times = np.array([datetime(2026, 1, 1, hour) for hour in range(20)] * 5, dtype=object)
    blocks = score_blocks(METRICS["roc_auc"], sample, times, DEFAULTS)
    assert [(block.start, block.rows) for block in blocks] == [("2026-01-01T10:00:00", 50)]


def test_rows_whose_labels_are_still_coming_are_told():
    maturity = Maturity(500, 0.9, 450, 50, "of the rows from 500 on only 40% have a label")
    for hits, rows in ((10, 20), (425, 500)):
        found = judged(hits, rows, maturity=maturity)
        assert found.coverage == 0.9
        assert found.reasons[-1] == "Not judged: of the rows from 500 on only 40% have a label."
    whole = judged(425, 500, maturity=Maturity(None, 1.0, 500, 0, ""))
    assert not any("Not judged" in reason for reason in whole.reasons)


# Labels that came early


def with_scores(shares, seed=0):
    """Rows whose model is right as often as it says, with these probabilities."""
    random = np.random.default_rng(seed)
    names = np.array(["0", "1"], dtype=object)
    said = Predictions(names[(shares > 0.5).astype(int)], np.column_stack([1 - shares, shares]), ("0", "1"))
    return names[(random.random(len(shares)) < shares).astype(int)], said


def test_labels_of_a_biased_choice_of_rows_are_not_judged():
    random = np.random.default_rng(3)
    shares = random.beta(1, 3, 4000)
    early = random.random(4000) < 0.1 + 0.9 * shares  # the likely cases are found first
    y, said = with_scores(shares)
    baseline = score_all("classification", y, said)
    found = judge_performance(
        y[early],
        said.take(early),
        unlabelled=said.take(~early),
        baseline=baseline,
        settings=DEFAULTS,
        task="classification",
    )
    blind = judge_performance(y[early], said.take(early), baseline=baseline, settings=DEFAULTS, task="classification")
    assert found.verdict == "biased_labels"
    assert found.current is None
    assert "biased choice" in found.reasons[0]
    assert found.coverage == pytest.approx(early.mean())
    assert blind.verdict in LOSSES  # what the check protects from


def test_labels_that_are_late_at_random_are_judged():
    random = np.random.default_rng(4)
    y, said = with_scores(random.beta(1, 3, 4000))
    early = random.random(4000) < 0.3
    found = judge_performance(
        y[early],
        said.take(early),
        unlabelled=said.take(~early),
        baseline=score_all("classification", y, said),
        settings=DEFAULTS,
        task="classification",
    )
    assert found.verdict == "fine"


def test_no_unlabelled_rows_are_no_bias():
    nothing = Predictions(np.array([], dtype=object), None, ("0", "1"))
    found = judged(850, 1000, unlabelled=nothing)
    assert (found.verdict, found.coverage) == ("fine", 1.0)


# Diagnosis


@pytest.mark.parametrize(
    ("drifted", "verdict", "start"),
    [
        (True, "severe", "Drift and loss"),
        (True, "breach", "Drift and loss"),
        (True, "fine", "Drift without loss"),
        (False, "degraded", "Loss without drift"),
        (False, "fine", "Neither"),
        (
            True,
            "not_enough_evidence",
            "Not enough evidence for a diagnosis: the data has changed; whether the model holds",
        ),
        (False, "biased_labels", "Not enough evidence for a diagnosis: the data has not changed; whether the model"),
        (False, None, "Not enough evidence for a diagnosis: the data has not changed; whether the model holds is not"),
        (
            None,
            "severe",
            "Not enough evidence for a diagnosis: the model has become worse; whether the data has changed",
        ),
        (None, None, "Not enough evidence for a diagnosis: neither"),
    ],
)
def test_drift_and_loss_together_tell_what_to_do(drifted, verdict, start):
    assert diagnose(drifted, verdict).startswith(start)


# The function for notebooks


@pytest.fixture(scope="module")
def model():
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(2000, 2)), columns=["a", "b"])
    return LogisticRegression().fit(frame, frame.a + frame.b + random.normal(0, 0.5, 2000) > 0)


def rows_for(model, share_right, rows=1000, seed=1):
    frame = pd.DataFrame(np.random.default_rng(seed).normal(size=(rows, 2)), columns=["a", "b"])
    wrong = np.random.default_rng(seed).random(rows) >= share_right
    return frame, model.predict(frame) ^ wrong


def test_a_notebook_is_told_of_a_loss(model):
    X, y = rows_for(model, 0.75)
    found = check_model_performance_drift(model, X, y, 0.90)
    assert (found.drifted, found.verdict) == (True, "severe")
    assert found.drop == pytest.approx(0.15, abs=0.04)
    assert found.drop_interval[0] < found.drop < found.drop_interval[1]
    assert str(found).startswith("PERFORMANCE DRIFT DETECTED!\naccuracy fell from 0.900")
    assert "baseline counts as exact" in found.text


def test_a_notebook_is_not_told_of_a_loss_without_one(model):
    found = check_model_performance_drift(model, *rows_for(model, 0.90), 0.90)
    assert found.drifted is False
    assert "DETECTED" not in found.text
    assert found.text.startswith("No performance drift.")


def test_a_notebook_is_told_when_rows_are_too_few(model):
    found = check_model_performance_drift(model, *rows_for(model, 0.6, rows=40), 0.90)
    assert (found.drifted, found.verdict, found.current) == (None, "not_enough_evidence", None)
    assert found.text.startswith("Not enough evidence about performance drift.")


def test_the_threshold_is_the_callers(model):
    X, y = rows_for(model, 0.83)
    assert check_model_performance_drift(model, X, y, 0.90, threshold=0.2).drifted is False
    assert check_model_performance_drift(model, X, y, 0.90, threshold=0.02).drifted is True


@pytest.mark.parametrize(
    "as_type", [bool, int, float, "Int64", "boolean", lambda y: pd.DataFrame({"y": y}), lambda y: y.tolist()]
)
def test_labels_of_any_type_match_the_model(model, as_type):
    X, y = rows_for(model, 0.90)
    labels = (
        as_type(pd.Series(y)) if callable(as_type) and not isinstance(as_type, type) else pd.Series(y).astype(as_type)
    )
    assert check_model_performance_drift(model, X, labels, 0.90).current == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ((90, 0.05), "baseline_accuracy: expected a share between 0 and 1, found 90; give 0.9 for 90 %."),
        ((-0.1, 0.05), "baseline_accuracy: expected a share between 0 and 1, found -0.1; give 0.05 for 5 %."),
        (("0.9", 0.05), "baseline_accuracy: expected a share between 0 and 1, found '0.9'; give 0.05 for 5 %."),
        ((float("nan"), 0.05), "baseline_accuracy: expected a share between 0 and 1, found nan; give 0.05 for 5 %."),
        ((0.9, 0), "threshold: expected a share between 0 and 1, found 0; give 0.05 for 5 %."),
        ((0.9, 5), "threshold: expected a share between 0 and 1, found 5; give 0.05 for 5 %."),
    ],
)
def test_a_baseline_or_threshold_that_is_no_share_is_refused_in_words(model, shares, words):
    with pytest.raises(UsageError) as found:
        check_model_performance_drift(model, *rows_for(model, 0.9), *shares)
    assert str(found.value) == words


def test_arrays_and_regressors_work_too():
    from sklearn.linear_model import LinearRegression

    random = np.random.default_rng(0)
    X = random.normal(size=(500, 1))
    y = 3 * X[:, 0] + random.normal(size=500)
    model = LinearRegression().fit(X, y)
    good, bad = (check_model_performance_drift(model, X, target, model.score(X, y)) for target in (y, y[::-1]))
    assert (good.metric, good.drifted, bad.drifted) == ("r2", False, True)


# Real tables, whose drift is known

DATA = Path(os.environ.get("EVERGREEN_DATA", "."))
real = pytest.mark.skipif(
    "EVERGREEN_DATA" not in os.environ, reason="needs the folder of real tables in EVERGREEN_DATA"
)


def shipped(name, truth, target_type=None):
    """Labels and shipped predictions of the reference and of both halves of the analysis rows."""
    reference = pd.read_parquet(DATA / f"{name}_reference.parquet")
    analysis = pd.read_parquet(DATA / f"{name}_analysis.parquet")
    analysis = analysis.merge(pd.read_parquet(DATA / f"{name}_analysis_targets.parquet"), on="id")
    half = len(analysis) // 2
    return [(frame[truth], frame) for frame in (reference, analysis[:half], analysis[half:])]


def verdicts(parts, task, said, metric="auto"):
    (y, frame), *halves = parts
    baseline = score_all(task, y, said(frame))
    return [
        judge_performance(y, said(frame), baseline=baseline, settings=PerformanceSettings(metric=metric), task=task)
        for y, frame in halves
    ]


def classes_said(frame):
    values = label_text(frame.y_pred)
    return Predictions(values, None, tuple(sorted(set(values))))


@real
def test_car_loan_first_holds_and_then_loses_less_than_the_limit():
    before, after = verdicts(shipped("car_loan", "repaid"), "classification", classes_said)
    assert (before.verdict, after.verdict) == ("fine", "fine")
    assert abs(before.drop) < 0.004
    assert after.drop == pytest.approx(0.028, abs=0.002)
    assert after.reasons[1].startswith("There surely is a loss, but")


@real
def test_credit_card_first_holds_and_then_is_severe():
    before, after = verdicts(shipped("credit_card", "y_true"), "classification", classes_said)
    assert (before.verdict, after.verdict) == ("fine", "severe")
    assert after.drop == pytest.approx(0.188, abs=0.003)
    assert after.floor is None


@real
def test_car_price_becomes_better_and_that_is_no_harm():
    before, after = verdicts(
        shipped("car_price", "y_true"), "regression", lambda frame: Predictions(frame.y_pred.to_numpy(float))
    )
    assert (before.verdict, after.verdict) == ("fine", "fine")
    assert "surely become better" in after.reasons[1]


@real
def test_a_model_of_the_first_electricity_days_is_severe_once_the_market_changes():
    from sklearn.ensemble import HistGradientBoostingClassifier

    table = pd.read_parquet(DATA / "electricity.parquet")
    X, y = table.drop(columns=["class", "date"]).astype(float), table["class"].to_numpy()
    model = HistGradientBoostingClassifier(max_iter=50, random_state=0).fit(X[:9000], y[:9000])
    base = check_model_performance_drift(model, X[9000:11_000], y[9000:11_000], 0.8).current
    assert check_model_performance_drift(model, X[11_000:13_000], y[11_000:13_000], base, 0.1).drifted is False
    assert check_model_performance_drift(model, X[19_000:21_000], y[19_000:21_000], base, 0.1).verdict == "severe"
