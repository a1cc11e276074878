"""What two profiles tell about bad data: the same as a look at the rows, and silence about clean batches."""

import numpy as np
import pandas as pd
import pytest

from evergreen.data.schema import infer_contract
from evergreen.data.sources import table_of
from evergreen.data.values import check_values
from evergreen.drift.columns import compare_profiles
from evergreen.drift.profile import profile_frame
from evergreen.drift.soundness import check_profiles, find_missing, known_bins
from evergreen.settings import DataSettings, DriftSettings

SETTINGS = DataSettings(kinds={"word": "category"})


def profiles(before, after, **kinds):
    reference = profile_frame(before, kinds)
    return reference, profile_frame(after, kinds, against=reference)


def findings(before, after, settings=SETTINGS, **kinds):
    found = check_profiles(*profiles(before, after, **kinds), kinds, settings)
    return [(each.finding, each.blocking) for each in found]


@pytest.mark.parametrize("draw", ["normal", "lognormal", "standard_cauchy", "exponential"])
@pytest.mark.parametrize("rows", [1000, 20_000, 50_001])
def test_the_known_range_of_a_profile_is_that_of_the_rows(draw, rows):
    values = getattr(np.random.default_rng(rows), draw)(size=rows)
    column = profile_frame(pd.DataFrame({"x": values}), {"x": "number"}).columns["x"]
    first, last = known_bins(column)
    low, high = column.edges[first - 1], column.edges[last]
    below, above = (values < low).sum() + (values == low).sum(), (values > high).sum()
    assert below <= 0.0005 * rows and above <= 0.0005 * rows
    if rows >= 2000:  # with fewer, what lies beyond the ends is nothing
        assert below >= 0.0005 * rows - 1 and above >= 0.0005 * rows - 1


@pytest.mark.parametrize("factor", [1.3, 1000.0])
def test_a_unit_error_in_a_tenth_of_the_rows_is_found_as_among_the_rows(factor):
    random = np.random.default_rng(1)
    before, after = (pd.DataFrame({"x": random.normal(70, 3, rows)}) for rows in (20_000, 2000))
    after["x"] = after["x"].where(random.random(2000) >= 0.1, after["x"] * factor)
    (finding,) = check_profiles(*profiles(before, after, x="number"), ["x"], SETTINGS)
    (expected, *_) = check_values(
        table_of(after, "new"), infer_contract(table_of(before, "old"), DataSettings()), DataSettings()
    )
    assert (finding.finding, finding.column, finding.blocking) == ("out_of_range", "x", expected.blocking)
    assert expected.blocking is (factor == 1000.0)
    assert finding.value == pytest.approx(expected.value, abs=0.005)
    strict = DataSettings(strict=True)
    assert findings(before, after, strict, x="number") == [("out_of_range", True)]


def test_clean_batches_of_numbers_and_rare_words_are_silent():
    random = np.random.default_rng(2)
    weights = 1 / np.arange(1, 3001)
    for rows in (300, 3000):
        before, after = (pd.DataFrame(random.lognormal(size=(size, 10))).rename(columns=str) for size in (5000, rows))
        words = [random.choice(3000, size, p=weights / weights.sum()).astype(str) for size in (5000, rows)]
        kinds = dict.fromkeys(before.columns, "number") | {"word": "category"}
        assert findings(before.assign(word=words[0]), after.assign(word=words[1]), **kinds) == []


def test_new_words_are_found_and_most_of_them_block():
    random = np.random.default_rng(3)
    before = pd.DataFrame({"word": random.choice(list("abc"), 2000)})
    for share, blocks in ((0.005, None), (0.05, False), (0.7, True)):
        after = pd.DataFrame({"word": random.choice(list("abc"), 1000)})
        after.loc[: int(share * 1000) - 1, "word"] = "new"
        expected = [] if blocks is None else [("unseen_categories", blocks)]
        assert findings(before, after, word="category") == expected


@pytest.mark.parametrize("kind", ["number", "category"])
def test_one_value_only_is_told_and_a_constant_reference_expects_it(kind):
    before = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0] * 500})
    stuck = pd.DataFrame({"x": [3.0] * 500})
    if kind == "category":
        before, stuck = before.astype(str), stuck.astype(str)
    assert findings(before, stuck, x=kind) == [("constant", False)]
    assert findings(stuck, stuck, x=kind) == []


def test_a_missing_rate_that_moved_is_a_finding_and_drift_whatever_the_values_did():
    random = np.random.default_rng(4)
    before = pd.DataFrame({name: random.normal(size=3000) for name in ("calm", "gone", "both")})
    after = pd.DataFrame({"calm": random.normal(size=1000), "gone": random.normal(size=1000)})
    after["both"] = random.normal(3, 1, 1000)
    after.loc[random.random(1000) < 0.1, "gone"] = np.nan
    after.loc[random.random(1000) < 0.1, "both"] = np.nan
    kinds = dict.fromkeys(before.columns, "number")
    columns = compare_profiles(*profiles(before, after, **kinds), DriftSettings())
    assert {column.name: column.status for column in columns} == {"calm": "no_drift", "gone": "drift", "both": "drift"}
    found = find_missing(columns, DataSettings())
    assert [(each.column, each.finding, each.blocking) for each in found] == [
        ("gone", "missing_rate", False),
        ("both", "missing_rate", False),
    ]
    assert "in the reference it was 0.0%" in found[0].text
    assert all(each.blocking for each in find_missing(columns, DataSettings(strict=True)))
    assert not any(each.blocking for each in find_missing(columns, DataSettings(strict=True, exclude=("gone", "both"))))


def test_a_sensor_that_is_stuck_blocks_where_no_value_was_frequent():
    random = np.random.default_rng(5)
    before, stuck = pd.DataFrame({"x": random.normal(size=2000)}), pd.DataFrame({"x": [3.0] * 500})
    assert findings(before, stuck, x="number") == [("constant", True)]
    idle = pd.DataFrame({"x": np.where(np.arange(2000) % 10 < 4, 0.0, random.normal(size=2000))})
    assert findings(idle, stuck, x="number") == [("constant", False)], "it may have been idle for 800 rows on end"


def test_half_of_a_column_lost_blocks_and_less_is_told():
    random = np.random.default_rng(6)
    before = pd.DataFrame({"x": random.normal(size=2000)})
    for lost, blocks in ((0.4, False), (0.6, True)):
        after = pd.DataFrame({"x": np.where(np.arange(1000) < 1000 * lost, np.nan, random.normal(size=1000))})
        (found,) = find_missing(compare_profiles(*profiles(before, after, x="number"), DriftSettings()), DataSettings())
        assert (found.finding, found.blocking) == ("missing_rate", blocks)


def test_a_column_without_any_value_is_told_once_unless_the_reference_had_none_either():
    nothing, some = pd.DataFrame({"x": [np.nan] * 200}), pd.DataFrame({"x": np.arange(1000.0)})
    assert findings(some, nothing, x="number") == [("all_missing", True)]
    assert findings(nothing, some, x="number") == findings(nothing, nothing, x="number") == []
    columns = compare_profiles(*profiles(some, nothing, x="number"), DriftSettings())
    assert find_missing(columns, DataSettings()) == ()


def test_a_sentinel_that_leaps_over_everything_known_blocks_and_growth_does_not():
    random = np.random.default_rng(7)
    before = pd.DataFrame({"x": random.normal(45, 10, 2000)})
    sentinel = pd.DataFrame({"x": np.where(np.arange(500) < 400, -9999.0, random.normal(45, 10, 500))})
    assert findings(before, sentinel, x="number") == [("out_of_range", True)]
    grams = pd.DataFrame({"x": 1000 * random.normal(45, 10, 500)})
    assert findings(before, grams, x="number") == [("out_of_range", True)]
    grown = pd.DataFrame({"x": random.normal(85, 20, 500)})
    assert findings(before, grown, x="number") == [("out_of_range", False)]
    assert findings(before, pd.DataFrame({"x": random.normal(45, 10, 500)}), x="number") == []
