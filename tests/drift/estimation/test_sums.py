"""Metrics from chances: the sums are those of the field, and so is their spread."""

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as oracle

from evergreen.drift.estimation.models import Calibration
from evergreen.drift.estimation.sums import (
    expect_auc,
    expect_average_precision,
    label_spread,
    losses_of,
    measure_chances,
)
from evergreen.scoring.measures import Sample, misses
from evergreen.scoring.metrics import METRICS
from evergreen.settings import PerformanceSettings

# Of NannyML 0.13.1 on the rows of `recorded_rows`: CBPE(y_pred_proba="p", y_pred="pred", y_true="y",
# problem_type="classification_binary", metrics=[...], chunk_size=2000).fit(reference).estimate(current).
NANNYML = {
    "accuracy": 0.7532609548735364,
    "f1": 0.822134992771317,
    "roc_auc": 0.8148472639843417,
    "precision": 0.7572957631602163,
    "recall": 0.8991168638129584,
}


def recorded_rows(seed, rows, shift):
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, 1, rows)
    truth = (rng.random(rows) < 1 / (1 + np.exp(-1.5 * x))).astype(int)
    return 1 / (1 + np.exp(-(3.0 * x + 0.4))), truth


def sample_of(scores, threshold=0.5, truth=None):
    said = (scores >= threshold).astype(int)
    truth = np.zeros(len(scores), int) if truth is None else truth
    return Sample(truth, said, np.column_stack([1 - scores, scores]), ("no", "yes"), positive=1)


def losses(metric, sample, **settings):
    return losses_of(metric, PerformanceSettings(**settings), Path(), sample)


def test_cbpe_equals_that_of_nannyml_to_six_decimals():
    (known, truth), (waiting, _) = recorded_rows(1, 5000, 0.0), recorded_rows(2, 2000, 0.6)
    chances = Calibration(known, truth.astype(float), np.ones(5000), waiting[None]).expect()
    rows = sample_of(waiting)
    for metric, value in NANNYML.items():
        found = measure_chances(metric, chances, rows, losses(metric, rows))
        assert found == pytest.approx(value, abs=5e-7 if metric != "roc_auc" else 5e-6), metric


@pytest.mark.parametrize("decimals", [9, 1], ids=["distinct scores", "many ties"])
def test_for_certain_chances_every_metric_is_that_of_the_labels(decimals):
    rng = np.random.default_rng(3)
    scores = rng.random(800).round(decimals)
    truth = (rng.random(800) < scores).astype(int)
    rows, said = sample_of(scores, 0.6), (scores >= 0.6).astype(int)
    chances = truth.astype(float)
    assert expect_auc(chances, scores) == pytest.approx(oracle.roc_auc_score(truth, scores), abs=1e-12)
    precision = oracle.average_precision_score(truth, scores)
    assert expect_average_precision(chances, scores) == pytest.approx(precision, abs=1e-12)
    expected = {
        "accuracy": oracle.accuracy_score(truth, said),
        "balanced_accuracy": oracle.balanced_accuracy_score(truth, said),
        "precision": oracle.precision_score(truth, said),
        "recall": oracle.recall_score(truth, said),
        "f1": oracle.f1_score(truth, said),
        "brier": oracle.brier_score_loss(truth, scores),
    }
    for metric, value in expected.items():
        assert measure_chances(metric, chances, rows, losses(metric, rows)) == pytest.approx(value, abs=1e-12), metric


@pytest.mark.parametrize("metric", ["accuracy", "brier", "log_loss", "f1", "roc_auc", "recall", "cost"])
def test_the_expected_metric_is_the_mean_over_the_labels_that_may_come(metric):
    rng = np.random.default_rng(4)
    scores = rng.beta(1.5, 1.5, 1000).clip(0.01, 0.99)
    rows, settings = (
        sample_of(scores),
        {"cost_matrix": {"yes": {"no": 5.0}, "no": {"yes": 1.0}}} if metric == "cost" else {},
    )
    kind = losses(metric, rows, **settings)
    drawn = [(rng.random(1000) < scores).astype(float) for _ in range(400)]
    values = [measure_chances(metric, labels, rows, kind) for labels in drawn]
    spread = label_spread(metric, scores, rows, kind, seed=0)
    assert measure_chances(metric, scores, rows, kind) == pytest.approx(np.mean(values), abs=4 * spread / 20)
    assert spread == pytest.approx(np.std(values), rel=0.2)


def test_when_the_scores_are_the_true_chances_the_band_covers_what_comes_in_95_of_100_cases():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(2000):
        scores = rng.beta(2, 1, 400)
        rows = sample_of(scores)
        truth = rng.random(400) < scores
        realised = np.mean((rows.predicted == 1) == truth)
        half = 1.96 * label_spread("accuracy", scores, rows, misses, seed=0)
        covered += abs(measure_chances("accuracy", scores, rows, misses) - realised) <= half
    assert 0.94 <= covered / 2000 <= 0.96


def test_rows_that_cant_tell_a_metric_give_nan():
    rows = sample_of(np.full(50, 0.2))
    assert np.isnan(measure_chances("precision", np.full(50, 0.1), rows, None))
    assert np.isnan(expect_auc(np.ones(50), np.arange(50.0)))


def test_a_cost_function_counts_row_by_row_or_not_at_all(tmp_path):
    (tmp_path / "estimated_costs.py").write_text(
        "def by_row(truth, said):\n    return (truth != said) * 2.0\n\ndef in_all(truth, said):\n    return 7.0\n"
    )
    rows = sample_of(np.array([0.9, 0.2]))

    def kind(name):
        return losses_of("cost", PerformanceSettings(cost_function=f"estimated_costs:{name}"), tmp_path, rows)

    assert kind("in_all") is None
    assert measure_chances("cost", np.array([0.8, 0.4]), rows, kind("by_row")) == pytest.approx(0.6)


def test_every_metric_is_a_mean_over_rows_or_has_a_formula_or_is_refused():
    from evergreen.drift.estimation.sums import RANKS, RATIOS

    rows = sample_of(np.array([0.9, 0.2]))
    told = {name for name in METRICS if name != "cost" and losses(name, rows) is not None} | set(RATIOS) | set(RANKS)
    assert set(METRICS) - told == {"r2", "cost"}
