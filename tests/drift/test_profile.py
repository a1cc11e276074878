"""Profiles: exact counts, merging, types, and how close the statistics are to those of the raw values."""

import json
from datetime import datetime
from decimal import Decimal
from functools import reduce

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from evergreen.data.formats.chunks import from_tables
from evergreen.data.sources import Table
from evergreen.drift import passes
from evergreen.drift.columns import compare_profiles
from evergreen.drift.distances import ks_bounds
from evergreen.drift.measures import measure_column
from evergreen.drift.profile import Profile, merge, profile_arrays, profile_frame, profile_table
from evergreen.settings import DriftSettings

# A busy machine is no failure.
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def profile_of(values, against=None, kind="number"):
    array = values if isinstance(values, pa.Array) else pa.array(values)
    return profile_arrays({"x": array}, {"x": kind}, against=against)


def column_of(values, against=None, kind="number"):
    return profile_of(values, against, kind).columns["x"]


def table_of_chunks(*tables):
    chunks = from_tables(tables)
    return Table("memory", chunks.types, sum(table.num_rows for table in tables), "", chunks, ("",))


def statistics(reference, current):
    before = profile_of(reference)
    after = profile_of(current, before)
    return measure_column("x", before.columns["x"], after.columns["x"]).statistics


def true_ks(x, y):
    both = np.concatenate([x, y])
    shares = [np.searchsorted(np.sort(values), both, "right") / len(values) for values in (x, y)]
    return np.abs(shares[0] - shares[1]).max()


finite = st.floats(-1e6, 1e6) | st.integers(-5, 5).map(float) | st.sampled_from([0.1, 0.2, 1e-300, -0.0])
samples = st.lists(finite, min_size=1, max_size=400).map(np.array)


@settings(calm, max_examples=200)
@given(samples, samples)
def test_the_true_ks_distance_lies_between_the_bounds(reference, current):
    before = profile_of(reference)
    f, g = before.columns["x"], column_of(current, before)
    low, high = ks_bounds(f.counts, g.counts, f.points)
    exact = true_ks(reference, current)
    assert low - 1e-9 <= exact <= high + 1e-9


@settings(calm, max_examples=200)
@given(samples, samples)
def test_wasserstein_from_profiles_never_exceeds_the_true_one(reference, current):
    found = statistics(reference, current)
    if "wasserstein" in found and np.std(reference) > 0:
        exact = stats.wasserstein_distance(reference, current) / np.std(reference)
        assert found["wasserstein"] <= exact * (1 + 1e-6) + 1e-6


@settings(calm, max_examples=100)
@given(samples, st.lists(samples, min_size=1, max_size=4))
def test_merged_profiles_equal_that_of_all_rows_in_any_order(reference, parts):
    bins = profile_of(reference)
    pieces = [profile_of(part, bins) for part in parts]
    whole = column_of(np.concatenate(parts), bins)
    for order in (pieces, pieces[::-1]):
        merged = reduce(merge, order).columns["x"]
        assert merged.counts.tolist() == whole.counts.tolist()
        assert (merged.low, merged.high, merged.absent) == (whole.low, whole.high, whole.absent)
        np.testing.assert_allclose(merged.sums, whole.sums, rtol=1e-9, atol=1e-6)


labels = st.lists(st.sampled_from(["a", "b", "ü", "", None]) | st.text(max_size=3), min_size=1, max_size=60)


@calm
@given(labels, labels, labels)
def test_merging_categories_is_associative_and_commutative(one, two, three):
    a, b, c = (profile_of(pa.array(part, pa.string()), kind="category") for part in (one, two, three))
    whole = profile_of(pa.array(one + two + three, pa.string()), kind="category")
    for merged in (merge(merge(a, b), c), merge(a, merge(b, c)), merge(merge(c, b), a)):
        assert merged == whole


@pytest.mark.parametrize("name", ["normal", "lognormal", "cauchy", "rounded", "atoms", "spike"])
def test_the_profile_is_exact_to_a_thousandth(name):
    rng = np.random.default_rng(5)
    shapes = {
        "normal": lambda n, d: rng.normal(d, 1, n),
        "lognormal": lambda n, d: rng.lognormal(d, 2, n),
        "cauchy": lambda n, d: rng.standard_cauchy(n) + d,
        "rounded": lambda n, d: np.round(rng.normal(50 + 5 * d, 12, n), 1),
        "atoms": lambda n, d: np.where(rng.random(n) < 0.3 + 0.1 * d, 0.0, rng.exponential(1, n)),
        "spike": lambda n, d: np.where(rng.random(n) < 0.1, 3.3, rng.normal(d, 1, n)),
    }
    x, y = shapes[name](20_000, 0.0), shapes[name](20_000, 0.2)
    assert statistics(x, y)["ks"] == pytest.approx(stats.ks_2samp(x, y).statistic, abs=1e-3)


@pytest.mark.parametrize("offset", [0.0, 1.7e9])
def test_wasserstein_and_mean_of_a_plain_shift_are_exact(offset):
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=5000) + offset, rng.normal(0.5, 1, 5000) + offset
    found = statistics(x, y)
    assert found["wasserstein"] == pytest.approx(stats.wasserstein_distance(x, y) / x.std(), rel=1e-3)
    assert found["mean_shift"] == pytest.approx(abs(y.mean() - x.mean()) / x.std(), rel=1e-4)


def test_one_enormous_value_in_the_reference_does_not_blind_it():
    """KS of a shift by 1 sd is 0.383; this sample's own is 0.37 to 0.40."""
    rng = np.random.default_rng(7)
    x, y = np.append(rng.normal(size=20_000), 1e6), rng.normal(1, 1, 5000)
    found = statistics(x, y)
    assert found["ks"] == pytest.approx(stats.ks_2samp(x, y).statistic, abs=1e-3)
    assert found["ks"] == pytest.approx(statistics(x[:-1], y)["ks"], abs=0.006)
    assert found["psi"] > 0.8


@settings(calm, max_examples=50)
@given(st.integers(0, 10_000))
def test_psi_does_not_change_when_both_samples_are_stretched_monotonously(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=600), rng.normal(0.3, 1.2, 500)
    assert statistics(x, y)["psi"] == pytest.approx(statistics(np.exp(x), np.exp(y))["psi"], abs=1e-9)


def test_psi_is_silent_in_small_clean_samples():
    """With empty bins floored at 0.0001 the raw index exceeds 0.2 in 3 % of clean batches of 100, and in 44 % of 50."""
    rng = np.random.default_rng(8)
    psi = [statistics(rng.normal(size=3000), rng.normal(size=50))["psi"] for _ in range(200)]
    assert abs(np.mean(psi)) < 0.03
    assert np.mean(np.array(psi) > 0.2) <= 0.08


def test_the_order_of_rows_is_irrelevant():
    rng = np.random.default_rng(9)
    x = rng.lognormal(size=5000)
    shuffled = rng.permutation(x)
    assert profile_of(x).to_dict() == profile_of(shuffled).to_dict()


def test_missing_values_nan_and_infinities_are_told_apart():
    column = column_of(pa.array([1.0, None, float("nan"), float("inf"), float("-inf"), 2.0]))
    assert (column.present, column.missing, column.non_finite, column.absent) == (2, 2, 2, 4)
    assert (column.low, column.high) == (1.0, 2.0)


def test_an_empty_and_an_all_missing_column_have_profiles():
    for values in ([], [None, None], [float("nan")]):
        column = column_of(pa.array(values, pa.float64()))
        assert (column.present, column.absent, column.low) == (0, len(values), None)
    assert column_of(pa.nulls(3)).absent == 3


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0, 1, 1, 0, None] * 20, pa.int8()),
        pa.array([0, 1, 1, 0, None] * 20, pa.uint64()),
        pa.array([0.0, 1.0, 1.0, 0.0, None] * 20, pa.float32()),
        pa.array([0.0, 1.0, 1.0, 0.0, float("nan")] * 20),
        pa.array([False, True, True, False, None] * 20),
        pa.array([Decimal("0.0"), Decimal("1.0"), Decimal("1.0"), Decimal("0.0"), None] * 20),
        pa.array([0, 1, 1, 0, None] * 20).dictionary_encode(),
    ],
    ids=lambda values: str(values.type),
)
@pytest.mark.parametrize("kind", ["number", "boolean", "category"])
def test_the_same_values_in_any_numeric_type_have_the_same_profile(values, kind):
    plain = profile_of(pa.array([0, 1, 1, 0, None] * 20, pa.int64()), kind=kind)
    assert profile_of(values, plain, kind=kind).to_dict() == plain.to_dict()


def test_a_value_rounded_to_32_bits_is_the_same_value():
    values = np.tile([0.1, 0.2, 0.7, 12.34], 100)
    double, single = profile_of(values), profile_of(pa.array(values.astype(np.float32)))
    assert column_of(values.astype(np.float32).astype(float), double).counts[double.columns["x"].points].sum() == 400
    assert column_of(values, single).counts[single.columns["x"].points].sum() == 400


def test_labels_of_dictionaries_and_plain_text_are_the_same():
    words = pa.array(["b", "a", None, "b"])
    plain = profile_of(words, kind="category")
    assert plain == profile_of(words.dictionary_encode(), kind="category")
    assert plain.columns["x"].counts == {"a": 1, "b": 2}
    assert plain.columns["x"].singletons == 1


def test_large_whole_numbers_keep_all_digits_as_labels():
    column = column_of(pa.array([2**60 + 1, 2**60]), kind="category")
    assert set(column.counts) == {str(2**60 + 1), str(2**60)}


def test_columns_that_are_not_what_they_should_be_do_not_hide_the_others():
    table = pa.table({"x": ["a", "b"], "y": [1.0, 2.0], "z": [[1], [2]]})
    made = profile_table(table_of_chunks(table), {"x": "number", "y": "number", "z": "category"})
    assert "string" in made.columns["x"].problem and "numbers were expected" in made.columns["x"].problem
    assert "list" in made.columns["z"].problem
    assert made.columns["y"].present == 2


def test_of_times_and_texts_only_the_missing_rate_is_kept():
    table = pa.table({"t": [datetime(2025, 1, 1), None], "w": ["one", "two"]})
    made = profile_table(table_of_chunks(table), {"t": "time", "w": "text"})
    assert (made.columns["t"].present, made.columns["t"].absent) == (1, 1)
    assert (made.columns["w"].present, made.columns["w"].absent) == (2, 0)


@pytest.fixture
def chunked():
    rng = np.random.default_rng(10)
    x = rng.normal(size=9000)
    x[::7] = np.nan
    words = np.array(["a", "b", "c"])[rng.integers(0, 3, 9000)]
    tables = [pa.table({"x": x[i : i + 1000], "w": words[i : i + 1000]}) for i in range(0, 9000, 1000)]
    return table_of_chunks(*tables)


KINDS = {"x": "number", "w": "category"}


def test_the_number_of_threads_does_not_matter(chunked):
    assert profile_table(chunked, KINDS, jobs=1).to_dict() == profile_table(chunked, KINDS, jobs=3).to_dict()


def test_columns_come_in_the_order_asked_for_and_unknown_ones_are_left_out(chunked):
    made = profile_table(chunked, {"w": "category", "nowhere": "number", "x": "number"})
    assert list(made.columns) == ["w", "x"]
    assert made.rows == 9000


def test_a_reference_too_long_to_hold_is_profiled_in_two_passes_as_well(chunked, monkeypatch):
    held = profile_table(chunked, KINDS)
    monkeypatch.setattr(passes, "HELD_ROWS", 1000)
    monkeypatch.setattr(passes, "SAMPLE_ROWS", 3000)
    streamed = profile_table(chunked, KINDS)
    column = streamed.columns["x"]
    assert (column.present, column.absent) == (held.columns["x"].present, held.columns["x"].absent)
    assert column.mean == pytest.approx(held.columns["x"].mean)
    assert column.counts.max() / column.present < 3 / 200  # bins from a third of the rows are still nearly equal
    assert streamed.columns["w"] == held.columns["w"]


def test_the_sample_for_the_bins_does_not_depend_on_the_chunks(chunked, monkeypatch):
    monkeypatch.setattr(passes, "HELD_ROWS", 1000)
    monkeypatch.setattr(passes, "SAMPLE_ROWS", 40)
    whole = table_of_chunks(
        pa.concat_tables([pa.table({"x": chunk}) for chunk in chunked.arrays("x")]).combine_chunks()
    )
    edges = [profile_table(table, {"x": "number"}).columns["x"].edges for table in (chunked, whole)]
    np.testing.assert_array_equal(*edges)


def test_a_window_is_profiled_alone(chunked):
    from evergreen.data.sources import Window

    part = profile_table(chunked, KINDS, window=Window(500, 2500))
    assert (part.rows, part.start, part.stop) == (2000, "500", "2500")


def test_profiles_survive_json_in_every_bit(chunked):
    made = profile_table(chunked, KINDS)
    text = json.dumps(made.to_dict(), allow_nan=False)
    again = Profile.from_dict(json.loads(text))
    assert again.to_dict() == made.to_dict()
    assert again.columns["x"].deviation == made.columns["x"].deviation
    current = profile_table(chunked, KINDS, against=again)
    assert merge(again, current).rows == 18_000


def test_of_very_many_categories_a_file_names_a_thousand():
    column = profile_of(pa.array([f"c{i:04d}" for i in range(1500)] + ["c0000"]), kind="category")
    kept = Profile.from_dict(column.to_dict()).columns["x"]
    assert len(kept.counts) == 1000 and kept.counts["c0000"] == 2
    assert (kept.present, kept.distinct, kept.singletons) == (1501, 1500, 1499)


def test_profiles_on_other_bins_or_of_other_columns_are_not_merged():
    with pytest.raises(ValueError, match="different bins"):
        merge(profile_of([1.0, 2.0]), profile_of([3.0, 4.0]))
    with pytest.raises(ValueError, match="different kinds"):
        merge(profile_of([1.0]), profile_of(["a"], kind="category"))
    with pytest.raises(ValueError, match="different columns"):
        merge(profile_of([1.0]), profile_arrays({"y": pa.array([1.0])}, {"y": "number"}))


def test_a_pandas_frame_has_the_profile_of_the_same_arrow_table(chunked):
    frame = chunked.frame(["x", "w"])
    assert profile_frame(frame, KINDS).to_dict()["columns"] == profile_table(chunked, KINDS).to_dict()["columns"]


def test_a_pandas_column_of_mixed_types_is_read_as_text():
    made = profile_frame(pd.DataFrame({"x": [1, "a", None, 2.5]}), {"x": "category"})
    assert made.columns["x"].counts == {"1": 1, "2.5": 1, "a": 1}
    assert made.columns["x"].missing == 1


def test_values_at_the_limits_of_64_bits_are_counted_and_the_largest_as_infinite():
    """The largest number is a usual sentinel, and its square no number at all."""
    extremes = np.finfo(float)
    column = column_of(np.array([extremes.min, extremes.max, 0.0, 5e-324] * 30))
    assert (column.present, column.non_finite, column.missing) == (60, 60, 0)
    assert (column.low, column.high) == (0.0, 5e-324)
    most = column_of(np.array([-1e140, 1e140] * 60, dtype=float))
    assert (most.present, most.deviation) == (120, 1e140)
    single = np.array([np.finfo(np.float32).min, np.finfo(np.float32).max, 1.0, -np.inf, np.inf, np.nan], np.float32)
    assert (column_of(single).present, column_of(single).non_finite, column_of(single).missing) == (3, 2, 1)


@given(st.lists(st.floats(width=64), min_size=1, max_size=50))
def test_whatever_the_numbers_a_profile_is_plain_json_and_comparable(values):
    found = profile_of(np.array(values))
    json.dumps(found.to_dict(), allow_nan=False)
    (column,) = compare_profiles(found, found, DriftSettings())
    assert column.status in ("not_enough_evidence", "skipped", "no_drift")
    json.dumps([column.distribution, column.statistics], allow_nan=False)
