"""Chances of counts against SciPy; the checks of values against simulated batches, clean and bad."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from evergreen.data.chance import binomial_tail, is_surely_more
from evergreen.data.schema import infer_contract
from evergreen.data.sources import table_of
from evergreen.data.values import check_values, expect_beyond
from evergreen.settings import DataSettings

SETTINGS = DataSettings()
WORDS = DataSettings(kinds={"word": "category"})


@given(st.integers(1, 100_000), st.floats(0, 1), st.floats(1e-6, 1 - 1e-6))
def test_the_tail_of_the_binomial_is_that_of_scipy(rows, place, share):
    count = round(place * (rows + 1))
    expected = scipy.stats.binom.sf(count - 1, rows, share)
    assert binomial_tail(count, rows, share) == pytest.approx(expected, rel=1e-7, abs=1e-12)


def test_the_ends_of_the_tail():
    assert binomial_tail(0, 10, 0.5) == binomial_tail(3, 10, 1.0) == 1
    assert binomial_tail(11, 10, 0.5) == binomial_tail(1, 10, 0.0) == 0
    assert binomial_tail(10_050, 10_000_000, 0.001) == pytest.approx(scipy.stats.binom.sf(10_049, 10**7, 0.001))


def test_more_than_expected_is_both_a_share_and_no_chance():
    assert is_surely_more(30, 1000, 0.001, 0.001, 0.01)
    assert not is_surely_more(9, 1000, 0.001, 0.001, 0.01)  # below its limit
    assert not is_surely_more(1, 100, 0.001, 0.001, 0.01)  # chance
    assert not is_surely_more(0, 100, 0.0, 0.001, 0.0)


def test_few_rows_leave_open_where_the_range_ends():
    for rows in (50, 500, 5000, 50_000, 5_000_000):
        open_share = scipy.stats.gamma.ppf(0.999, rows / 1000 + 2) / rows
        assert expect_beyond(rows) == pytest.approx(open_share, rel=0.03)
    assert expect_beyond(10**9) == pytest.approx(0.001, rel=0.01)
    assert expect_beyond(100_000, usual=0.02) == 0.02


def findings_of(contract, rows):
    return [(each.finding, each.blocking) for each in check_values(table_of(rows, "new"), contract, SETTINGS)]


@pytest.mark.parametrize("learned", [100, 500, 2000, 20_000])
@pytest.mark.parametrize("draw", ["normal", "standard_cauchy", "lognormal", "exponential"])
def test_of_a_thousand_clean_columns_about_one_has_values_out_of_range(learned, draw):
    random = np.random.default_rng(learned)
    found = []
    for _ in range(5):
        values = pd.DataFrame(getattr(random, draw)(size=(learned, 20)))
        contract = infer_contract(table_of(values.rename(columns=str), "old"), SETTINGS)
        later = pd.DataFrame(getattr(random, draw)(size=(5000, 20))).rename(columns=str)
        found += findings_of(contract, later)
    assert found in ([], [("out_of_range", False)])  # of 100 columns


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.3, [("out_of_range", False)]), (2.54, [("out_of_range", True)]), (1, [])]
)
def test_a_unit_error_in_a_tenth_of_the_rows_is_found(factor, expected):
    random = np.random.default_rng(7)
    contract = infer_contract(table_of(pd.DataFrame({"height": random.normal(70, 3, 20_000)}), "old"), SETTINGS)
    values = random.normal(70, 3, 2000)
    values[random.random(2000) < 0.1] *= factor
    assert findings_of(contract, pd.DataFrame({"height": values})) == expected


def words(random, distinct, rows, alpha=1.1):
    """Labels of a heavy-tailed distribution: many of them rare."""
    weights = 1 / np.arange(1, distinct + 1) ** alpha
    return np.array([f"w{number}" for number in random.choice(distinct, rows, p=weights / weights.sum())])


@pytest.mark.parametrize(("distinct", "rows"), [(1000, 500), (5000, 500), (5000, 10_000), (20_000, 2000)])
def test_clean_batches_of_many_rare_categories_are_silent(distinct, rows):
    random = np.random.default_rng(distinct + rows)
    alarms = unseen = 0
    for _ in range(10):
        contract = infer_contract(table_of(pd.DataFrame({"word": words(random, distinct, 10_000)}), "old"), WORDS)
        for _ in range(5):
            later = words(random, distinct, rows)
            unseen += not set(later) <= set(contract.columns[0].categories)
            alarms += findings_of(contract, pd.DataFrame({"word": later})) != []
    assert unseen == 50  # "any unknown value" would alarm every time
    assert alarms <= 1


def test_two_percent_of_truly_new_categories_are_found():
    random = np.random.default_rng(2)
    contract = infer_contract(table_of(pd.DataFrame({"word": words(random, 1000, 10_000)}), "old"), WORDS)
    for _ in range(20):
        later = words(random, 1000, 10_000).astype(object)
        later[random.random(10_000) < 0.02] = "new"
        assert findings_of(contract, pd.DataFrame({"word": later})) == [("unseen_categories", False)]
