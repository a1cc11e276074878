"""What a past costs under each schedule: brute force agrees."""

from itertools import combinations

import numpy as np
import pytest

from evergreen.replay.costs import best_period, best_schedule, cost_of_period


def random_table(blocks, first, seed):
    rng = np.random.default_rng(seed)
    table = np.full((blocks, blocks), np.nan)
    for trained in range(first, blocks):
        table[trained, trained:] = rng.integers(0, 20, blocks - trained) + np.arange(blocks - trained)
    return table


def cost_of(table, first, schedule, price):
    trained, cost = first, 0.0
    for block in range(first, len(table)):
        if block in schedule:
            trained, cost = block, cost + price
        cost += table[trained, block]
    return cost


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("price", [0.5, 7.0, 60.0])
def test_the_best_period_is_the_cheapest_of_all(seed, price):
    first, table = 2, random_table(14, 2, seed)
    every = {
        period: cost_of(table, first, range(first + period, 14, period), price) for period in range(1, 14 - first + 1)
    }
    period, cost = best_period(table, first, price)
    assert cost == pytest.approx(min(every.values()))
    assert cost == pytest.approx(every[period])
    assert cost_of_period(table, first, 3, price) == pytest.approx(every[3])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("price", [0.5, 7.0, 60.0])
def test_the_best_schedule_is_the_cheapest_of_all_subsets(seed, price):
    first, table = 1, random_table(9, 1, seed)
    later = range(first + 1, 9)
    every = [subset for size in range(len(later) + 1) for subset in combinations(later, size)]
    schedule, cost = best_schedule(table, first, price)
    assert cost == pytest.approx(min(cost_of(table, first, subset, price) for subset in every))
    assert cost == pytest.approx(cost_of(table, first, schedule, price))


def test_a_ramp_of_errors_is_cut_where_the_accumulated_excess_reaches_the_price():
    blocks, rate, price = 121, 2.0, 100.0
    age = np.arange(blocks)
    table = np.array([[rate * (t - s) if t >= s else np.nan for t in age] for s in age])
    assert abs(best_period(table, 0, price)[0] - np.sqrt(2 * price / rate)) <= 1
