"""Rows of a kind that the labelled rows know nothing about are recognised; ordinary ones are not called so."""

import numpy as np
import pandas as pd
import pytest

from evergreen.drift.estimation.support import LARGEST_RATIO, SMALLEST_RATIO, find_beyond, find_support


def normal(rows, seed, columns=4, shift=0.0):
    values = np.random.default_rng(seed).normal(0, 1, (rows, columns))
    frame = pd.DataFrame(values, columns=[f"x{i}" for i in range(columns)])
    return frame.assign(x0=frame["x0"] + shift)


@pytest.mark.parametrize("columns", [3, 40])
def test_rows_of_the_same_world_are_inside_however_many_columns_there_are(columns):
    reference, current = normal(1500, 1, columns), normal(800, 2, columns)
    beyond, by_chance, _ = find_beyond(reference, current)
    assert beyond.mean() == pytest.approx(by_chance, abs=0.03)
    assert find_support(reference, current, seed=0).outside < 0.05


@pytest.mark.parametrize(("shift", "outside"), [(0.5, False), (1.0, False), (6.0, True)])
def test_only_a_shift_beyond_the_known_range_is_outside(shift, outside):
    support = find_support(normal(2000, 1), normal(1000, 2, shift=shift), seed=0)
    assert (support.outside > 0.05) is outside
    assert not outside or support.columns[0] == "x0"


def test_a_hole_in_the_known_rows_is_found_by_the_density():
    reference = normal(4000, 1)
    reference = reference[(reference["x0"] - 0.2).abs() > 0.4].reset_index(drop=True)
    current = normal(4000, 2)
    current = current[(current["x0"] - 0.2).abs() < 0.3].reset_index(drop=True)
    beyond, _, _ = find_beyond(reference, current)
    assert beyond.mean() < 0.05
    assert find_support(reference, current, seed=0).outside > 0.5


def test_categories_that_the_labelled_rows_do_not_have_are_outside():
    words = np.array(["a", "b"], dtype=object)
    reference = normal(1500, 1).assign(plan=words[np.arange(1500) % 2])
    current = normal(1000, 2).assign(plan=np.where(np.arange(1000) % 5 == 0, "new", "a").astype(object))
    support = find_support(reference, current, seed=0)
    assert support.outside == pytest.approx(0.2, abs=0.02) and support.columns[0] == "plan"


def test_missing_values_are_not_outside_by_themselves():
    reference = normal(500, 1).assign(x1=np.nan)
    current = normal(300, 2).assign(x0=np.nan, x1=np.nan)
    beyond, _, _ = find_beyond(reference, current)
    assert beyond.mean() < 0.05


def test_ratios_are_the_true_ones_on_average_and_clipped():
    support = find_support(normal(4000, 1), normal(2000, 2, shift=0.7), seed=0)
    values = normal(4000, 1)["x0"].to_numpy()
    true = np.exp(0.7 * values - 0.245)
    assert np.corrcoef(np.log(support.ratios), np.log(true))[0, 1] > 0.8
    assert support.ratios.mean() == pytest.approx(1, abs=0.2)
    assert support.ratios.min() >= SMALLEST_RATIO and support.ratios.max() <= LARGEST_RATIO
