"""Labels that came early from special rows are told apart from labels that are merely late."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from evergreen.drift.label_bias import ks_distance, labels_biased, model_scores
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
