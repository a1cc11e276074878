"""The bare rules of tutorials: found as they are written, with all their false alarms."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from detect_drift import check_data_drift
from evergreen.drift.bare_rules import find_bare
from evergreen.drift.performance import PerformanceReport


def frame(rows, seed, columns=20, **shifts):
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(rng.normal(size=(rows, columns)), columns=[f"c{number}" for number in range(columns)])
    return made.assign(**{name: made[name] + shift for name, shift in shifts.items()})


@pytest.fixture(scope="module")
def calm():
    return check_data_drift(frame(5000, 1, columns=2), frame(500, 2, columns=2))


def test_clean_batches_alarm_in_half_of_the_runs_or_more():
    reference = frame(3000, 0)
    alarms = [bool(find_bare(check_data_drift(reference, frame(300, seed)))) for seed in range(1, 21)]
    assert 0.4 <= np.mean(alarms) <= 0.85


def test_a_moved_column_is_named_and_a_calm_table_is_not(calm):
    assert find_bare(calm) == ()
    found = find_bare(check_data_drift(frame(3000, 1, columns=3), frame(500, 2, columns=3, c1=3.0)))
    assert len(found) == 1
    assert "c1" in found[0]


def test_a_category_alarms_by_its_raw_index():
    rng = np.random.default_rng(0)
    before = pd.DataFrame({"plan": rng.choice(["a", "b"], 2000, p=[0.9, 0.1])})
    after = pd.DataFrame({"plan": rng.choice(["a", "b"], 500, p=[0.5, 0.5])})
    assert "plan" in find_bare(check_data_drift(before, after))[0]


@pytest.mark.parametrize(
    ("current", "drop", "words"),
    [
        (0.90, 0.02, []),
        (0.849, 0.051, ["dropped by 0.051"]),
        (0.85, 0.05, []),
        (0.79, 0.02, ["below 0.80"]),
        (0.70, 0.2, ["dropped by 0.200", "below 0.80"]),
        (None, None, []),
    ],
)
def test_scores_are_taken_as_bare_numbers(calm, current, drop, words):
    report = PerformanceReport("accuracy", True, False, 0.05, 60, current=current, drop=drop)
    found = find_bare(dataclasses.replace(calm, performance=report))
    assert len(found) == len(words)
    assert all(word in sentence for word, sentence in zip(words, found, strict=True))


def test_the_floor_is_one_of_accuracy_only(calm):
    report = PerformanceReport("f1", True, False, 0.05, 60, current=0.5, drop=0.0)
    assert find_bare(dataclasses.replace(calm, performance=report)) == ()
