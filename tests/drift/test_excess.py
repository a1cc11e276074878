"""The excess of errors: grows with what errors cost, forgets what was paid back, and finds the cheapest rhythm."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.drift.excess import accumulate_excess, reference_loss, weigh_shadow, windows_of

LOSSES = st.lists(st.integers(0, 4).map(lambda quarters: quarters / 4), min_size=1, max_size=60).map(np.array)


def test_window_by_window_by_hand():
    """Sums less 0.25 a row: -0.5 (forgotten), +1.0, -0.5, +1.5."""
    losses = np.array([0, 0, 1, 0.5, 0, 0, 1, 1], float)
    found = accumulate_excess(losses, [2, 4, 6], 0.25)
    assert (found.total, found.since, found.rows) == (2.0, 2, 6)
    assert found.standard_error == pytest.approx(np.sqrt(6) * np.std(losses[2:], ddof=1))


def test_a_model_that_does_as_well_as_a_fresh_one_has_no_excess():
    found = accumulate_excess(np.array([0, 1, 0, 1], float), [2], 0.5)
    assert (found.total, found.since, found.rows, found.standard_error) == (0.0, 4, 0, 0.0)


@given(LOSSES, st.lists(st.integers(0, 70), max_size=8), st.sampled_from([0.0, 0.25, 0.5]))
def test_it_is_the_largest_sum_over_the_newest_windows(losses, ends, reference):
    """The recursion is a walk held at zero; where it stands is the largest of its last rises (Lindley 1952)."""
    borders = windows_of(sorted(ends), len(losses))
    sums = [float(np.sum(losses[begin:end] - reference)) for begin, end in borders]
    largest = max([0.0, *(math.fsum(sums[place:]) for place in range(len(sums)))])
    found = accumulate_excess(losses, sorted(ends), reference)
    assert found.total == pytest.approx(largest, abs=1e-9)
    assert found.rows == len(losses) - found.since


@given(LOSSES, st.integers(0, 2**32 - 1))
def test_the_order_of_rows_within_a_window_makes_no_difference(losses, seed):
    mixed = np.random.default_rng(seed).permutation(losses)
    assert accumulate_excess(losses, [], 0.25).total == pytest.approx(accumulate_excess(mixed, [], 0.25).total)


def rhythm(growth, price, rows=200, windows=400):
    """Windows between retrainings when the excess of a window grows by `growth` with the model's age, without noise."""
    losses = []
    for period in range(1, windows):
        losses += [0.1 + growth * (period - 0.5) / rows] * rows
        ends = list(range(rows, len(losses) + 1, rows))
        if accumulate_excess(np.array(losses), ends, 0.1).total >= price:
            return period
    return math.inf


@pytest.mark.parametrize(("growth", "price"), [(0.4, 20), (1.0, 20), (2.0, 100), (5.0, 20), (0.1, 5)])
def test_where_errors_grow_linearly_the_rhythm_is_the_cheapest_one(growth, price):
    """Within one window of sqrt(2c / a), where the cost per window, c / T + aT / 2, is smallest."""
    assert abs(rhythm(growth, price) - math.sqrt(2 * price / growth)) <= 1


def test_after_a_jump_it_is_paid_for_at_most_twice():
    """The clairvoyant pays one retraining; here the excess is at most one window beyond its price when it is seen."""
    losses = np.concatenate([np.full(2000, 0.1), np.full(2000, 0.3)])
    for windows in range(1, 21):
        rows = 200 * windows
        found = accumulate_excess(losses[:rows], range(200, rows + 1, 200), 0.1)
        if found.total >= 100:
            break
    assert (rows, found.since) == (2600, 2000)
    assert found.total <= 100 + 0.2 * 200


def test_noise_around_the_reference_stays_within_a_few_standard_errors():
    rng = np.random.default_rng(5)
    reached = []
    for _ in range(200):
        losses = (rng.random(20 * 200) < 0.15).astype(float)
        found = accumulate_excess(losses, range(200, 4001, 200), 0.15)
        reached.append(found.total >= max(20, 1.5 * found.standard_error))
    assert np.mean(reached) < 0.2


@pytest.mark.parametrize(
    ("own", "ancestors", "expected"),
    [
        (0.20, [], 0.20),
        (0.10, [0.30, 0.30], 0.10),
        (0.40, [0.10, 0.20], 0.15),
        (0.40, [*[0.01] * 3, *[0.30] * 7], 0.30),
    ],
    ids=["alone", "best", "after a jump", "only eight are remembered"],
)
def test_a_fresh_model_is_as_good_as_its_ancestors_have_shown_to_be_possible(own, ancestors, expected):
    assert reference_loss(own, ancestors) == pytest.approx(expected)
    assert reference_loss(own, ancestors) == pytest.approx(min(own, np.quantile([*ancestors, own][-8:], 0.25)))


def test_a_shadow_gains_where_the_champion_errs_and_it_does_not():
    champion, challenger = np.array([1, 1, 0, 1, 1.0]), np.array([0, 0, 1, 0, 0.0])
    found = weigh_shadow(champion, challenger, [2], digest="ab", trained="2026-11-21")
    assert (found.advantage, found.rows, found.digest) == (3.0, 5, "ab")
    assert weigh_shadow(challenger, champion, [2]).advantage == 0.0
    assert weigh_shadow(np.empty(0), np.empty(0), []).advantage == 0.0
