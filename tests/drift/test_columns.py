"""The rule on columns, on both sides: what must be called drift, and what must not."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from evergreen.config_file import load
from evergreen.drift.columns import STATISTICS, compare_profiles
from evergreen.drift.measures import SHOWN_BINS, SHOWN_LABELS
from evergreen.drift.profile import Profile, profile_arrays
from evergreen.errors import UsageError
from evergreen.settings import DriftRule, DriftSettings

DEFAULTS = DriftSettings()
RNG_COLUMNS = [f"x{i}" for i in range(20)]


def kind_of(values):
    types = pa.types
    if types.is_timestamp(values.type):
        return "time"
    return "category" if types.is_string(values.type) or types.is_dictionary(values.type) else "number"


def compare(reference, current, settings=DEFAULTS, kinds=None):
    """The verdicts by column name, from dictionaries of values."""
    before = {name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in reference.items()}
    after = {name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in current.items()}
    kinds = kinds or {name: kind_of(values) for name, values in before.items()}
    profile = profile_arrays(before, kinds)
    columns = compare_profiles(profile, profile_arrays(after, kinds, against=profile), settings)
    return {column.name: column for column in columns}


def judge(reference, current, settings=DEFAULTS, kind=None):
    return compare({"x": reference}, {"x": current}, settings, {"x": kind} if kind else None)["x"]


def clean_and_shifted(rng, rows, shift=0.0, scale=1.0, reference_rows=4000):
    reference = {name: rng.normal(size=reference_rows) for name in RNG_COLUMNS}
    current = {name: rng.normal(size=rows) for name in RNG_COLUMNS}
    current["x0"] = current["x0"] * scale + shift
    return compare(reference, current)


def test_clean_runs_are_silent():
    """400 runs of 20 columns, 500 rows: at most 2 % with an alarm, and the test itself keeps its level of 5 %."""
    rng = np.random.default_rng(11)
    runs = [clean_and_shifted(rng, 500).values() for _ in range(400)]
    alarms = np.mean([any(column.status == "drift" for column in run) for run in runs])
    significant = np.mean([any(column.p_adjusted <= 0.05 for column in run) for run in runs])
    assert alarms <= 0.02
    assert 0.02 <= significant <= 0.08


@pytest.mark.parametrize(("shift", "scale"), [(0.3, 1.0), (0.0, 1.5)], ids=["mean", "spread"])
def test_a_material_change_in_one_of_twenty_columns_is_found(shift, scale):
    """A power of 0.95 shows as at least 90 of 100; the other columns stay silent."""
    rng = np.random.default_rng(12)
    runs = [clean_and_shifted(rng, 1000, shift, scale, reference_rows=10_000) for _ in range(100)]
    assert np.mean([run["x0"].status == "drift" for run in runs]) >= 0.95
    assert np.mean([run["x1"].status == "drift" for run in runs]) <= 0.02


def test_a_sure_but_small_change_is_only_watched():
    rng = np.random.default_rng(13)
    column = judge(rng.normal(size=200_000), rng.normal(0.02, 1, 200_000))
    assert (column.status, column.p_adjusted < 1e-4) == ("watch", True)
    assert "a sure change, but a small one" in column.reason


def test_a_large_effect_in_few_rows_that_chance_can_make_is_only_watched():
    rng = np.random.default_rng(14)
    found = [judge(rng.normal(size=120), rng.normal(size=120)) for _ in range(20)]
    watched = [column for column in found if column.status == "watch"]
    assert watched and sum(column.status == "drift" for column in found) <= 3
    assert "chance alone" in watched[0].reason


def test_too_few_rows_are_never_called_drift_and_tell_what_they_could_have_shown():
    rng = np.random.default_rng(15)
    column = judge(rng.normal(size=5000), rng.normal(3, 1, 99))
    assert column.status == "watch"
    assert "fewer than 100 rows" in column.reason
    column = judge(rng.normal(size=5000), rng.normal(size=50))
    assert column.status == "not_enough_evidence"
    assert column.smallest_shift == pytest.approx(0.46, abs=0.05)
    assert judge(rng.normal(size=5000), rng.normal(3, 1, 100)).status == "drift"


def test_a_column_with_few_values_among_many_rows_is_not_judged_by_its_values():
    rng = np.random.default_rng(16)
    mask = np.arange(2000) >= 40
    x, y = pa.array(rng.normal(size=2000), mask=mask), pa.array(rng.normal(4, 1, 2000), mask=mask)
    assert judge(x, y).status == "watch"
    same = pa.array(rng.normal(size=2000), mask=mask)
    assert judge(x, same).status == "not_enough_evidence"


def test_a_shift_of_one_sd_is_found_in_spite_of_an_enormous_value_in_the_reference():
    rng = np.random.default_rng(17)
    column = judge(np.append(rng.normal(size=20_000), 1e6), rng.normal(1, 1, 2000))
    assert (column.status, column.statistics["ks"]) == ("drift", pytest.approx(0.383, abs=0.03))


def test_a_stuck_value_in_a_tenth_of_the_rows_is_found():
    """It moves KS by at most 0.05 and PSI little; the group it falls in tells."""
    rng = np.random.default_rng(18)
    y = np.where(rng.random(5000) < 0.1, 0.01, rng.normal(size=5000))
    column = judge(rng.normal(size=20_000), y)
    assert (column.status, column.statistic) == ("drift", "group")
    assert "limit 5 points" in column.reason


def test_a_jump_of_missing_values_is_drift_and_a_small_one_is_watched():
    rng = np.random.default_rng(19)

    def with_missing(share, rows=3000):
        return pa.array(rng.normal(size=rows), mask=rng.random(rows) < share)

    column = judge(with_missing(0.02), with_missing(0.30))
    assert (column.status, column.statistic, column.threshold) == ("drift", "missing", 0.05)
    assert column.missing_current == pytest.approx(0.30, abs=0.03)
    assert column.reason.startswith("Missing values: 2.")
    assert judge(with_missing(0.02), with_missing(0.30), DriftSettings(min_missing=0.4)).status == "watch"
    assert judge(with_missing(0.02, 50_000), with_missing(0.03, 50_000)).status == "watch"
    assert judge(with_missing(0.02), with_missing(0.02)).status == "no_drift"


def test_infinities_count_as_missing():
    x = np.linspace(0, 1, 1000)
    column = judge(x, np.where(np.arange(1000) % 5, x, np.inf))
    assert (column.status, column.statistic, column.effect) == ("drift", "missing", pytest.approx(0.2))


def words(rng, rows, shares):
    return np.array(list("abcdefgh"))[: len(shares)][rng.choice(len(shares), rows, p=shares)]


def test_categories_both_sides():
    rng = np.random.default_rng(20)
    reference = words(rng, 5000, [0.5, 0.3, 0.2])
    column = judge(reference, words(rng, 1000, [0.3, 0.3, 0.4]))
    assert (column.status, column.kind) == ("drift", "category")
    assert column.reason.startswith("'") and "like a shift of" in column.reason
    assert judge(reference, words(rng, 1000, [0.5, 0.3, 0.2])).status == "no_drift"


def test_a_new_category_in_a_small_batch_is_drift():
    rng = np.random.default_rng(21)
    column = judge(words(rng, 50_000, [0.5, 0.5]), words(rng, 150, [0.4, 0.45, 0.15]))
    assert column.status == "drift"
    assert "'c' (new)" in column.reason


def test_very_many_categories_are_silent_when_nothing_changed():
    rng = np.random.default_rng(22)
    shares = 1 / np.arange(1, 2001)
    names = np.array([f"c{i}" for i in range(2000)])
    draw = [names[rng.choice(2000, rows, p=shares / shares.sum())] for rows in (10_000, *[500] * 30)]
    found = [judge(draw[0], current).status for current in draw[1:]]
    assert found.count("drift") <= 1


def test_numbers_with_few_values_are_compared_by_value():
    rng = np.random.default_rng(23)
    column = judge(rng.poisson(2, 5000), rng.poisson(2, 2000))
    assert column.status == "no_drift"
    assert column.distribution["kind"] == "category"
    moved = judge(rng.integers(0, 5, 5000), np.append(rng.integers(0, 5, 1800), [7] * 200))
    assert moved.status == "drift"
    table = np.array([np.bincount(rng.integers(0, 4, rows)) for rows in (4000, 3000)])
    values = [np.repeat(np.arange(4.0), counts) for counts in table]
    assert judge(*values).p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, rel=1e-9)


def test_a_constant_column_that_comes_alive_is_drift():
    rng = np.random.default_rng(24)
    assert judge(np.full(17_000, 0.42), rng.random(150)).status == "drift"
    same = judge(np.full(500, 0.42), np.full(500, 0.42))
    assert (same.status, same.p_value) == ("no_drift", None)
    assert "One and the same value" in same.reason
    assert judge(np.full(500, 0.42), np.full(50, 0.42)).status == "not_enough_evidence"


def test_times_and_texts_are_skipped_unless_they_go_missing():
    day = np.arange(400).astype("datetime64[D]").astype("datetime64[us]")
    assert judge(day, day + 400).status == "skipped"
    assert judge(day, day).reason == "Values of kind time are not compared; none is missing."
    empty = pa.nulls(400, pa.timestamp("us"))
    assert judge(empty, empty).reason == "Values of kind time are not compared; their missing rates can't be tested."
    gone = pa.array(day, mask=np.arange(400) < 100)
    assert judge(day, gone).status == "drift"
    assert judge([f"id{i}" for i in range(200)], [f"new{i}" for i in range(200)], kind="text").status == "skipped"


def test_what_can_not_be_compared_is_invalid_and_does_not_hide_the_others():
    rng = np.random.default_rng(25)
    x, y = rng.normal(size=500), rng.normal(2, 1, 500)
    reference = {"gone": x, "retyped": x, "words": ["a", "b"] * 250, "good": x}
    current = {"retyped": ["a"] * 500, "words": [7] * 500, "good": y}
    found = compare(reference, current)
    statuses = {name: column.status for name, column in found.items()}
    assert statuses == dict.fromkeys(("gone", "retyped", "words"), "invalid") | {"good": "drift"}
    assert found["gone"].reason == "The column is missing in the current rows; the reference has it."
    assert "string" in found["retyped"].reason
    assert found["words"].reason == "Holds numbers in the current rows and texts in the reference."


@pytest.mark.parametrize("kept", [0, 5])
def test_a_column_that_lost_its_values_drifted_whether_a_few_are_left_or_none(kept):
    x = np.random.default_rng(26).normal(size=500)
    rest = np.where(np.arange(500) < kept, x, np.nan)
    found = compare({"x": x, "infinite": x}, {"x": rest, "infinite": np.where(np.isnan(rest), np.inf, x)})
    assert {column.status for column in found.values()} == {"drift"}
    assert all(column.missing_drifted and column.moved["missing"] == [0.0, 1 - kept / 500] for column in found.values())


def test_codes_written_as_text_in_one_file_and_as_numbers_in_the_other_are_the_same_categories():
    rng = np.random.default_rng(26)
    codes = rng.integers(1, 8, 3000)
    column = judge([str(code) for code in codes[:2000]], codes[2000:], kind="category")
    assert column.status == "no_drift"


def test_a_column_without_values_in_the_reference_that_gets_some_is_drift():
    assert judge(pa.nulls(300), pa.array([1.0] * 300), kind="text").status == "drift"
    assert judge(pa.nulls(300, pa.float64()), pa.array([1.0] * 300)).status == "drift"
    assert judge(pa.nulls(300, pa.float64()), pa.nulls(300, pa.float64())).status == "skipped"


@pytest.mark.parametrize("correction", ["bh", "holm", "bonferroni", "none"])
def test_p_values_are_corrected_over_all_columns_and_their_missing_rates(correction):
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(27)
    reference = {name: pa.array(rng.normal(size=1000), mask=rng.random(1000) < 0.1) for name in RNG_COLUMNS[:5]}
    current = {name: pa.array(rng.normal(size=800), mask=rng.random(800) < 0.12) for name in RNG_COLUMNS[:5]}
    found = compare(reference, current, DriftSettings(correction=correction)).values()
    alone = compare(reference, current, DriftSettings(correction="none")).values()
    method = {"bh": "fdr_bh"}.get(correction, correction)
    shown = [column.p_value for column in alone]
    assert all(column.p_adjusted >= column.p_value - 1e-12 for column in found)
    if correction == "bonferroni":
        for column in found:
            assert column.p_adjusted == pytest.approx(min(1.0, column.p_value * 10))
    if correction == "none":
        assert [column.p_adjusted for column in found] == shown
    if correction in ("bh", "holm"):
        # Ten tests in the family, five values and five missing rates, so never milder than over five alone.
        assert min(column.p_adjusted for column in found) >= min(multipletests(shown, method=method)[1]) - 1e-12


def rules(*made):
    return DriftSettings(rules=tuple(DriftRule(**rule) for rule in made))


@pytest.mark.parametrize("statistic", ["ks", "psi", "js", "wasserstein", "chi2", "mean_shift"])
def test_every_statistic_can_be_chosen_with_its_own_threshold(statistic):
    rng = np.random.default_rng(28)
    x, y = rng.normal(size=5000), rng.normal(0.6, 1, 5000)
    usual = judge(x, y, rules({"columns": "x", "statistic": statistic}))
    assert (usual.statistic, usual.threshold) == (statistic, STATISTICS[statistic].threshold)
    assert usual.status == ("watch" if statistic == "mean_shift" else "drift")
    strict = judge(x, y, rules({"columns": "x", "statistic": statistic, "threshold": usual.effect * 1.01}))
    assert strict.status == "watch"
    loose = judge(x, y, rules({"columns": "x", "statistic": statistic, "threshold": usual.effect * 0.99}))
    assert loose.status == "drift"
    assert usual.equivalent_shift == pytest.approx(0.6, abs=0.06)


def test_the_first_rule_that_fits_and_applies_wins():
    rng = np.random.default_rng(29)
    reference = {"price_a": rng.normal(size=1000), "price_b": rng.normal(size=1000), "other": rng.normal(size=1000)}
    settings = rules(
        {"columns": "price_b", "statistic": "default"},
        {"columns": "price_*", "statistic": "psi", "threshold": 0.25},
    )
    found = compare(reference, reference, settings)
    assert (found["price_a"].statistic, found["price_a"].threshold) == ("psi", 0.25)
    assert found["price_b"].threshold in (0.1, 0.2, 0.05)
    assert found["other"].threshold in (0.1, 0.2, 0.05)


def test_a_rule_that_does_not_apply_says_so_and_leaves_the_default():
    rng = np.random.default_rng(30)
    column = judge(words(rng, 500, [0.5, 0.5]), words(rng, 500, [0.5, 0.5]), rules({"columns": "*", "statistic": "ks"}))
    assert column.status in ("no_drift", "watch")
    assert "The rule '*' does not apply: KS distance is not defined here." in column.reason


def test_a_threshold_without_a_statistic_is_refused(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('[drift]\nrules = [{columns = "a", threshold = 0.3}]\n')
    with pytest.raises(UsageError, match="'threshold' needs a 'statistic'"):
        load(config, {})


def test_the_default_thresholds_are_those_of_the_settings():
    rng = np.random.default_rng(31)
    x, y = rng.normal(size=5000), rng.normal(0.4, 1, 5000)
    assert judge(x, y).status == "drift"
    loose = DriftSettings(min_ks=0.5, min_psi=1.0, min_group=0.5)
    assert judge(x, y, loose).status == "watch"


def test_distributions_for_the_chart_are_shares_and_bounded():
    rng = np.random.default_rng(32)
    numbers = judge(rng.normal(size=5000), rng.normal(2, 1, 5000)).distribution
    assert numbers["kind"] == "number"
    assert len(numbers["edges"]) == SHOWN_BINS + 1
    assert numbers["edges"][0] < -2 and numbers["edges"][-1] > 4
    many = np.array([f"c{i:02d}" for i in range(40)])
    categories = judge(many[rng.integers(0, 40, 5000)], many[rng.integers(0, 40, 5000)]).distribution
    assert len(categories["labels"]) == SHOWN_LABELS and categories["labels"][-1] == "other values"
    for shown in (numbers, categories):
        for side in ("reference", "current"):
            assert sum(shown[side]) == pytest.approx(1.0)
            assert min(shown[side]) >= 0
    histogram, _ = np.histogram(np.clip(rng.normal(2, 1, 5000), *np.array(numbers["edges"])[[0, -1]]), numbers["edges"])
    np.testing.assert_allclose(numbers["current"], histogram / 5000, atol=0.02)


def test_a_wrong_order_of_columns_or_an_extra_one_changes_nothing():
    rng = np.random.default_rng(33)
    reference = {"a": rng.normal(size=500), "b": rng.normal(size=500)}
    current = {"b": rng.normal(1, 1, 500), "a": rng.normal(size=500)}
    straight = compare(reference, {"a": current["a"], "b": current["b"]})
    assert compare(reference, current | {"new": current["a"]}) == straight


def test_no_current_rows_at_all_are_not_enough_evidence():
    rng = np.random.default_rng(34)
    reference = {"x": rng.normal(size=500), "w": ["a", "b"] * 250}
    found = compare(reference, {"x": pa.array([], pa.float64()), "w": pa.array([], pa.string())})
    assert {column.status for column in found.values()} == {"not_enough_evidence"}


def test_categories_all_too_rare_to_be_tested_are_not_enough_evidence():
    reference = [f"c{i}" for i in range(400) for _ in range(3)]
    assert judge(reference, [f"c{i}" for i in range(150)]).status == "not_enough_evidence"


def test_nothing_to_compare_gives_nothing():
    assert compare_profiles(Profile({}, 0), Profile({}, 0), DEFAULTS) == ()
