import math

import numpy as np
import pytest
from sklearn.metrics import f1_score, mean_absolute_error, roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar

from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import METRICS, Metric
from evergreen.training.evidence import measure_gain

CLASSES = ("0", "1")


def binary(truth, champion, challenger):
    """Samples of two models from the probabilities they give class 1."""
    return [
        Sample(truth, (scores > 0.5).astype(int), np.column_stack([1 - scores, scores]), CLASSES, 1)
        for scores in (champion, challenger)
    ]


def make_scores(rows, seed, quality=(1.0, 1.3)):
    """Truth, and two models' probabilities that err together to a part."""
    random = np.random.default_rng(seed)
    truth = (random.random(rows) < 0.4).astype(int)
    shared, signs = random.normal(size=rows), 2 * truth - 1
    return truth, *[1 / (1 + np.exp(-(q * signs + shared + random.normal(size=rows)))) for q in quality]


def gain_of(metric, champion, challenger, confidence=0.95, seed=0):
    chosen = metric if isinstance(metric, Metric) else METRICS[metric]
    return measure_gain(chosen, champion, challenger, confidence=confidence, seed=seed)


@pytest.mark.parametrize(("rows", "seed"), [(60, 0), (300, 1), (2000, 2), (9999, 3)])
def test_accuracy_is_judged_by_the_exact_mcnemar_test(rows, seed):
    champion, challenger = binary(*make_scores(rows, seed))
    gain = gain_of("accuracy", champion, challenger)
    right = [sample.truth == sample.predicted for sample in (champion, challenger)]
    better, worse = np.sum(right[1] & ~right[0]), np.sum(right[0] & ~right[1])
    table = [[np.sum(right[0] & right[1]), worse], [better, np.sum(~right[0] & ~right[1])]]
    oracle = mcnemar(table, exact=True)
    assert gain.value == (better - worse) / rows
    two_sided = min(1, 2 * gain.p_value) if better > worse else None
    if two_sided is not None:
        assert two_sided == pytest.approx(oracle.pvalue, rel=1e-9)


def test_accuracy_where_the_two_never_differ_is_no_gain_for_sure():
    champion, _ = binary(*make_scores(100, 0))
    gain = gain_of("accuracy", champion, champion)
    assert (gain.value, gain.p_value, gain.standard_error) == (0, 1, 0)
    assert gain.low < 0 < gain.high


def test_auc_is_judged_by_delongs_test_with_the_bootstraps_error():
    champion, challenger = binary(*make_scores(500, 4))
    gain = gain_of("roc_auc", champion, challenger)
    random, truth = np.random.default_rng(0), champion.truth

    def difference(rows):
        aucs = [roc_auc_score(truth[rows], sample.probabilities[rows, 1]) for sample in (champion, challenger)]
        return aucs[1] - aucs[0]

    drawn = [difference(random.integers(0, 500, 500)) for _ in range(600)]
    assert gain.value == pytest.approx(difference(np.arange(500)))
    assert gain.standard_error == pytest.approx(np.std(drawn), rel=0.1)
    assert gain.p_value == pytest.approx(0.5 * math.erfc(gain.value / gain.standard_error / math.sqrt(2)))


def test_a_regression_is_judged_by_the_paired_bootstrap_of_the_relative_gain():
    random = np.random.default_rng(5)
    truth = random.normal(size=400)
    champion, challenger = (Sample(truth, truth + random.standard_t(4, size=400) * size) for size in (1.0, 0.8))
    gain = gain_of("mae", champion, challenger)
    errors = [mean_absolute_error(truth, sample.predicted) for sample in (champion, challenger)]
    assert gain.value == pytest.approx(1 - errors[1] / errors[0])
    losses = np.abs([sample.predicted - truth for sample in (champion, challenger)])

    def share(rows):
        return 1 - losses[1][rows].mean() / losses[0][rows].mean()

    drawn = [share(random.integers(0, 400, 400)) for _ in range(4000)]
    assert gain.standard_error == pytest.approx(np.std(drawn), rel=0.07)
    assert (gain.low, gain.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)


def test_a_ratio_such_as_f1_is_judged_by_the_paired_bootstrap():
    champion, challenger = binary(*make_scores(600, 6))
    gain = gain_of("f1", champion, challenger)
    random, truth = np.random.default_rng(1), champion.truth
    drawn = []
    for _ in range(400):
        rows = random.integers(0, 600, 600)
        scores = [f1_score(truth[rows], sample.predicted[rows]) for sample in (champion, challenger)]
        drawn.append(scores[1] - scores[0])
    assert gain.standard_error == pytest.approx(np.std(drawn), rel=0.12)
    assert (gain.low, gain.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.015)


@pytest.mark.parametrize(
    "metric", ["accuracy", "balanced_accuracy", "f1", "roc_auc", "pr_auc", "log_loss", "brier", "precision", "recall"]
)
def test_a_better_model_gains_on_every_metric_and_a_worse_one_loses_as_much(metric):
    champion, challenger = binary(*make_scores(3000, 7, quality=(0.6, 1.6)))
    gain, loss = gain_of(metric, champion, challenger), gain_of(metric, challenger, champion)
    assert gain.value > 0
    assert gain.p_value < 0.01
    assert 0 < gain.low < gain.value < gain.high
    assert loss.high < 0
    assert loss.p_value > 0.99


def test_neighbours_that_err_alike_widen_the_interval_of_a_regression():
    random = np.random.default_rng(8)
    n = 2000
    slow = np.convolve(random.normal(size=n + 99), np.ones(100) / 10, "valid")
    truth = np.zeros(n)
    champion = Sample(truth, np.full(n, 5.0))
    together = gain_of("mae", champion, Sample(truth, 4.9 + slow))
    apart = gain_of("mae", champion, Sample(truth, 4.9 + random.permutation(slow)))
    assert together.standard_error > 4 * apart.standard_error


def test_a_cost_that_is_one_number_for_all_rows_is_drawn_anew():
    from evergreen.scoring.costs import measure_function

    champion, challenger = binary(*make_scores(300, 9, quality=(0.5, 2.0)))
    total = Metric(
        "cost", ("classification",), False, True, False, measure_function(lambda y, p: float(np.mean(y != p)))
    )
    gain = gain_of(total, champion, challenger)
    misses = [np.mean(sample.truth != sample.predicted) for sample in (champion, challenger)]
    assert gain.value == pytest.approx(1 - misses[1] / misses[0])
    assert gain.p_value < 0.01
    assert gain == gain_of(total, champion, challenger)


def test_what_the_rows_can_not_tell_is_not_a_number_with_the_reason():
    truth, old, new = make_scores(50, 0)
    champion, challenger = binary(np.ones_like(truth), old, new)
    assert math.isnan(gain_of("roc_auc", champion, challenger).value)
    assert "all 50 rows are of class '1'" in gain_of("roc_auc", champion, challenger).reason
    mute = Sample(truth, challenger.predicted, None, CLASSES, 1)
    assert gain_of("roc_auc", champion, mute).reason == "roc_auc needs probabilities, and the challenger gives none"


def test_the_same_seed_gives_the_same_interval():
    champion, challenger = binary(*make_scores(500, 10))
    assert gain_of("brier", champion, challenger) == gain_of("brier", champion, challenger)
    assert gain_of("brier", champion, challenger) != gain_of("brier", champion, challenger, seed=1)


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "brier"])
def test_intervals_cover_the_true_gain_as_often_as_they_say(metric):
    truth, old, new = make_scores(200_000, 11)
    true_gain = gain_of(metric, *binary(truth, old, new)).value
    covered = 0
    for number in range(250):
        rows = slice(number * 400, (number + 1) * 400)
        gain = gain_of(metric, *binary(truth[rows], old[rows], new[rows]), seed=number)
        covered += gain.low <= true_gain <= gain.high
    assert 0.92 <= covered / 250 <= 0.98
