"""Labels that came early from special rows are told apart from labels that are merely late."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from evergreen.drift.label_bias import ks_distance, labels_biased, model_scores, reweigh
from evergreen.scoring.intervals import wilson
from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import METRICS, exact_score
from evergreen.scoring.predictions import Predictions

numbers = hnp.arrays(np.float64, st.integers(1, 40), elements=st.integers(-4, 4).map(float))


@pytest.mark.filterwarnings("ignore:ks_2samp")  # scipy's p-value of a handful of ties, not its distance
@given(numbers, numbers)
def test_the_distance_equals_scipy_with_ties(first, second):
    assert ks_distance(first, second) == pytest.approx(stats.ks_2samp(first, second).statistic, abs=1e-12)


def test_the_p_value_is_the_asymptotic_one_of_scipy():
    random = np.random.default_rng(0)
    first, second = random.normal(size=400), random.normal(0.2, 1, 300)
    expected = stats.kstwobign.sf(np.sqrt(400 * 300 / 700) * stats.ks_2samp(first, second).statistic)
    assert labels_biased(first, second).p_value == pytest.approx(expected)


def test_different_scores_of_many_rows_are_biased():
    random = np.random.default_rng(1)
    found = labels_biased(random.normal(0.5, 1, 1000), random.normal(0, 1, 1000))
    assert found.biased
    assert found.ks > 0.15
    assert found.unlabelled_share == 0.5


def test_alike_scores_are_seldom_biased():
    random = np.random.default_rng(2)
    found = [labels_biased(random.random(300), random.random(200)).biased for _ in range(300)]
    assert np.mean(found) < 0.06


def test_a_difference_that_is_not_significant_is_no_bias():
    assert not labels_biased(np.arange(10.0), np.arange(10.0) + 3).biased


def test_a_difference_that_is_not_material_is_no_bias():
    random = np.random.default_rng(3)
    found = labels_biased(random.normal(0.1, 1, 100_000), random.normal(0, 1, 100_000))
    assert found.p_value < 1e-6
    assert not found.biased


def test_a_few_rows_that_never_get_a_label_do_not_silence_the_verdict():
    random = np.random.default_rng(4)
    found = labels_biased(random.normal(0, 1, 10_000), random.normal(3, 1, 300))
    assert found.ks > 0.8
    assert not found.biased
    assert labels_biased(random.normal(0, 1, 10_000), random.normal(3, 1, 300), max_drop=0.01).biased


def test_several_scores_are_corrected_for_their_number():
    random = np.random.default_rng(5)
    first, second = random.random((200, 3)), random.random((200, 3))
    alone = min(labels_biased(first[:, k], second[:, k]).p_value for k in range(3))
    assert labels_biased(first, second).p_value == pytest.approx(min(1, 3 * alone))


def test_a_model_speaks_by_probability_class_or_value():
    shares = np.array([[0.2, 0.8], [0.6, 0.4]])
    named = np.array(["b", "a"], dtype=object)
    assert model_scores(Predictions(named, shares, ("a", "b"))).tolist() == [0.8, 0.4]
    assert model_scores(Predictions(named, None, ("a", "b"))).tolist() == [1, 0]
    assert model_scores(Predictions(named, None, ("a", "b", "c"))).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert model_scores(Predictions(np.array([1.5, 2.5]))).tolist() == [1.5, 2.5]


# Re-weighting


def window(seed, rows=4000, task="classification"):
    """All rows of a window and those labelled early, likely cases first; the model is right as often as it says."""
    random = np.random.default_rng(seed)
    shares = random.beta(1, 3, rows)
    early = random.random(rows) < 0.1 + 0.6 * shares
    if task == "regression":
        said = 100 * shares
        return Sample(said + (1 + said) * random.normal(size=rows), said), Predictions(said), early
    names = np.array(["0", "1"], dtype=object)
    wrong = random.random(rows) < np.minimum(shares, 1 - shares)
    predicted = (shares > 0.5).astype(int)
    said = Predictions(names[predicted], np.column_stack([1 - shares, shares]), ("0", "1"))
    return Sample(predicted ^ wrong, predicted, said.probabilities, ("0", "1"), 1), said, early


def reweighted(seed, metric, task="classification", baseline=None):
    sample, said, early = window(seed, task=task)
    rows = np.flatnonzero(early)
    found = reweigh(METRICS[metric], baseline or {}, sample.take(rows), said.take(early), said.take(~early), 0.95)
    return found, METRICS[metric].measure(sample).value, METRICS[metric].measure(sample.take(rows)).value


@pytest.mark.parametrize(("metric", "task"), [("accuracy", "classification"), ("mae", "regression")])
def test_weights_undo_a_choice_that_the_scores_show(metric, task):
    found, truths, biased = zip(*(reweighted(seed, metric, task) for seed in range(150)), strict=True)
    values = np.array([each.value for each in found])
    off, before = abs(np.mean(values - truths)), abs(np.mean(np.array(biased) - truths))
    assert off < 0.15 * before
    held = [each.interval[0] <= truth <= each.interval[1] for each, truth in zip(found, truths, strict=True)]
    assert np.mean(held) >= 0.92


def test_the_interval_is_wider_the_fewer_rows_stand_for_the_others():
    found, _, _ = reweighted(0, "accuracy")
    _, _, early = window(0)
    assert found.effective_rows < early.sum()
    plain = wilson(found.value, early.sum())
    assert found.interval[1] - found.interval[0] > plain[1] - plain[0]


def test_labels_that_are_late_at_random_are_weighted_as_they_are():
    sample, said, _ = window(1)
    early = np.random.default_rng(0).random(4000) < 0.5
    rows = sample.take(np.flatnonzero(early))
    found = reweigh(METRICS["accuracy"], {}, rows, said.take(early), said.take(~early), 0.95)
    assert found.value == pytest.approx(METRICS["accuracy"].measure(rows).value, abs=0.005)
    assert found.effective_rows == pytest.approx(early.sum(), rel=0.01)


def test_a_hand_worked_case_counts_each_group_by_its_share_of_all_rows():
    # Two scores: on 0.2 the model is right in 30 of 40 rows, on 0.9 in 10 of 10; of the others 50 have 0.9.
    sample = Sample(np.repeat([0, 1, 1], [30, 10, 10]), np.repeat([0, 0, 1], [30, 10, 10]), None, ("0", "1"), 1)
    said = Predictions(np.full(50, "0", dtype=object), shares_of(np.repeat([0.2, 0.9], [40, 10])), ("0", "1"))
    others = Predictions(np.full(50, "1", dtype=object), shares_of(np.full(50, 0.9)), ("0", "1"))
    found = reweigh(METRICS["accuracy"], {"accuracy": exact_score("accuracy", 0.8)}, sample, said, others, 0.95)
    assert found.value == pytest.approx(0.4 * 0.75 + 0.6 * 1.0)
    assert found.effective_rows == pytest.approx(1 / (0.4**2 / 40 + 0.6**2 / 10))
    assert found.baseline == 0.8


def shares_of(positive):
    return np.column_stack([1 - positive, positive])


def test_scores_no_labelled_row_has_join_the_nearest_group():
    sample = Sample(np.array([0] * 60), np.array([0] * 60), None, ("0", "1"), 1)
    said = Predictions(np.full(60, "0", dtype=object), shares_of(np.linspace(0.3, 0.4, 60)), ("0", "1"))
    others = Predictions(np.full(80, "1", dtype=object), shares_of(np.linspace(0.0, 1.0, 80)), ("0", "1"))
    found = reweigh(METRICS["roc_auc"], {}, sample, said, others, 0.95)
    assert (found.metric, found.value) == ("accuracy", 1.0)
    assert 0.5 < found.interval[0] < 1.0


def test_three_classes_are_weighted_by_class_and_how_sure_the_model_is():
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.ones(3), 6000)
    names = np.array(["a", "b", "c"], dtype=object)
    predicted = shares.argmax(axis=1)
    right = random.random(6000) < shares.max(axis=1)
    sample = Sample(np.where(right, predicted, (predicted + 1) % 3), predicted, shares, ("a", "b", "c"))
    said, early = Predictions(names[predicted], shares, ("a", "b", "c")), random.random(6000) < shares.max(axis=1) ** 2
    found = reweigh(
        METRICS["accuracy"], {}, sample.take(np.flatnonzero(early)), said.take(early), said.take(~early), 0.95
    )
    assert found.value == pytest.approx(right.mean(), abs=0.02)
    assert right[early].mean() > right.mean() + 0.04
