"""Intervals against statsmodels and scipy, and by how often they hold what they promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from evergreen.scoring import intervals


@given(st.integers(1, 5000), st.data(), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_equals_statsmodels(rows, data, confidence):
    hits = data.draw(st.integers(0, rows))
    expected = proportion_confint(hits, rows, alpha=1 - confidence, method="wilson")
    assert intervals.wilson(hits / rows, rows, confidence) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 500), st.integers(1, 500), st.data())
def test_the_difference_of_two_wilson_intervals_is_newcombe(rows, others, data):
    hits, more = data.draw(st.integers(0, rows)), data.draw(st.integers(0, others))
    expected = confint_proportions_2indep(hits, rows, more, others, method="newcomb", compare="diff", alpha=0.05)
    first, second = hits / rows, more / others
    found = intervals.difference(first, intervals.wilson(first, rows), second, intervals.wilson(second, others))
    assert found == pytest.approx(expected, abs=1e-10)


@given(st.floats(0, 1), st.integers(1, 10_000))
def test_wilson_holds_its_value_and_stays_between_0_and_1(value, rows):
    low, high = intervals.wilson(value, rows)
    assert 0 <= low <= value <= high <= 1


def test_wilson_without_rows_knows_nothing():
    assert intervals.wilson(0.5, 0) == (0.0, 1.0)


def test_the_t_interval_equals_scipy():
    values = np.random.default_rng(0).normal(3, 2, 25)
    found = intervals.student(values.mean(), stats.sem(values), 25, 0.9)
    assert found == pytest.approx(stats.t.interval(0.9, 24, values.mean(), stats.sem(values)))


def test_the_difference_of_two_normal_intervals_is_the_usual_one():
    low, high = intervals.difference(5.0, (5 - 1.2, 5 + 1.2), 3.0, (3 - 0.5, 3 + 0.5))
    assert (low, high) == pytest.approx((2 - 1.3, 2 + 1.3))


@given(hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(-5, 5)))
def test_ranks_equal_scipy_with_ties(values):
    assert intervals.average_ranks(values).tolist() == stats.rankdata(values).tolist()


def delong_by_definition(positive, scores):
    """The variance as DeLong, DeLong and Clarke-Pearson (1988) write it, in O(m·n)."""
    ones, zeros = scores[positive], scores[~positive]
    wins = (ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros)
    return wins.mean(), wins.mean(1).var(ddof=1) / len(ones) + wins.mean(0).var(ddof=1) / len(zeros)


@given(st.integers(0, 10_000), st.integers(4, 60), st.integers(1, 8))
def test_auc_and_its_variance_equal_their_definition(seed, rows, levels):
    random = np.random.default_rng(seed)
    positive = np.arange(rows) % 2 == 0
    scores = random.integers(0, levels, rows) + positive * random.random()
    value, shares = intervals.auc_contributions(positive, scores)
    expected, variance = delong_by_definition(positive, scores)
    assert value == pytest.approx(expected, abs=1e-12)
    assert np.sum(shares**2) == pytest.approx(variance, abs=1e-12)


def test_the_error_of_a_paired_auc_difference_is_that_of_the_bootstrap():
    random = np.random.default_rng(1)
    positive = random.random(400) < 0.4
    first = positive + random.normal(size=400)
    second = first + 0.7 * random.normal(size=400)
    pairs = [intervals.auc_contributions(positive, scores)[1] for scores in (first, second)]
    draws = [random.integers(0, 400, 400) for _ in range(1000)]
    drawn = [
        np.subtract(*(intervals.auc_contributions(positive[rows], scores[rows])[0] for scores in (first, second)))
        for rows in draws
    ]
    assert np.sqrt(np.sum((pairs[0] - pairs[1]) ** 2)) == pytest.approx(np.std(drawn), rel=0.1)


def mean_shares(values):
    return (values - values.mean()) / len(values)


def test_independent_rows_keep_the_plain_error():
    values = np.random.default_rng(3).normal(size=2000)
    assert intervals.spread(mean_shares(values), ordered=True) == pytest.approx(values.std() / 2000**0.5, rel=0.15)


def test_the_order_of_rows_is_ignored_unless_it_is_time():
    shares = mean_shares(np.repeat([1.0, -1.0, 2.0, 0.0], 50))
    assert intervals.spread(shares) == pytest.approx(math.sqrt(np.sum(shares**2)))


def test_rows_like_their_neighbours_widen_the_error_to_what_it_is():
    random = np.random.default_rng(4)
    means, errors = [], []
    for _ in range(300):
        values = stats_autoregression(random, 1000, 0.8)
        means.append(values.mean())
        errors.append(intervals.spread(mean_shares(values), ordered=True))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.2)
    assert np.mean(errors) > 2 * 1 / math.sqrt(1000)


def stats_autoregression(random, rows, memory):
    values = np.empty(rows)
    values[0] = random.normal()
    shocks = random.normal(size=rows) * math.sqrt(1 - memory**2)
    for row in range(1, rows):
        values[row] = memory * values[row - 1] + shocks[row]
    return values


def test_the_blocked_error_is_the_limit_of_the_moving_block_bootstrap():
    random = np.random.default_rng(5)
    values = stats_autoregression(random, 400, 0.7)
    length = intervals.block_length(values)
    starts = random.integers(0, 400 - length + 1, (4000, 400 // length))
    drawn = values[(starts[:, :, None] + np.arange(length)).reshape(4000, -1)].mean(axis=1)
    scale = math.sqrt(400 / (400 // length * length))
    assert intervals.spread(mean_shares(values), ordered=True) == pytest.approx(np.std(drawn) / scale, rel=0.05)


@pytest.mark.parametrize("values", [np.zeros(100), np.ones(5), np.arange(19.0)])
def test_too_few_or_constant_rows_have_no_blocks(values):
    assert intervals.block_length(values) == 1


def test_a_perfect_score_is_known_as_well_as_the_rows_that_bear_it():
    assert intervals.equivalent_rows(1.0, 0.0, 5) == 5
    assert intervals.equivalent_rows(0.75, 0.01, 20) == 20
    assert intervals.equivalent_rows(0.8, math.sqrt(0.8 * 0.2 / 100), 1000) == pytest.approx(100)


def test_labels_needed_are_those_of_the_table():
    error = math.sqrt(0.85 * 0.15 / 2000)
    assert intervals.labels_needed(0.80 * 0.20, error, 0.05) == pytest.approx(470, abs=1)
    assert intervals.labels_needed(0.83 * 0.17, error, 0.02) == pytest.approx(150_000, rel=0.05)
    assert intervals.labels_needed(0.84 * 0.16, error, 0.01) is None
