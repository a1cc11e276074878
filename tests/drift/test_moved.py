"""What moved in a drifted column, from its two profiles: quantiles, labels, missing rates."""

import numpy as np
import pyarrow as pa
import pytest

from evergreen.drift.columns import compare_profiles
from evergreen.drift.measures import measure_column
from evergreen.drift.moved import SHARES, describe_move
from evergreen.drift.profile import Profile, profile_arrays
from evergreen.settings import DriftSettings


def profiles(before, after, kind="number"):
    reference = profile_arrays({"x": pa.array(before)}, {"x": kind})
    return reference, profile_arrays({"x": pa.array(after)}, {"x": kind}, against=reference)


def move(before, after, kind="number"):
    reference, current = profiles(before, after, kind)
    return describe_move(reference.columns["x"], current.columns["x"])


@pytest.mark.parametrize("draw", ["normal", "lognormal", "exponential", "standard_t"])
def test_quantiles_are_those_of_the_values(draw):
    random = np.random.default_rng(1)
    size = {"standard_t": (3,)}.get(draw, ())
    before = getattr(random, draw)(*size, size=20_000)
    after = getattr(random, draw)(*size, size=20_000) + 0.7
    found = move(before, after)["quantiles"]
    assert [row["share"] for row in found] == list(SHARES)
    for values, side in ((before, "reference"), (after, "current")):
        places = np.searchsorted(np.sort(values), [row[side] for row in found]) / len(values)
        assert np.abs(places - SHARES).max() < 0.006  # right to one bin of the profile


def test_quantiles_of_few_values_are_these_values():
    found = move([0.0] * 51 + [1.0] * 29 + [7.0] * 20, [0.0] * 20 + [1.0] * 31 + [7.0] * 49)["quantiles"]
    assert [round(row["reference"], 9) for row in found] == [0, 0, 0, 1, 7]
    assert [round(row["current"], 9) for row in found] == [0, 1, 1, 7, 7]


def test_labels_gained_and_lost_come_with_their_shares_the_largest_first():
    before = ["a"] * 50 + ["b"] * 30 + ["c"] * 19 + ["rare"]
    after = ["a"] * 20 + ["b"] * 30 + ["c"] * 10 + ["new"] * 35 + ["d"] * 5
    found = move(before, after, "category")
    assert found["gained"] == [
        {"label": "new", "reference": 0.0, "current": 0.35},
        {"label": "d", "reference": 0.0, "current": 0.05},
    ]
    assert [label["label"] for label in found["lost"]] == ["a", "c", "rare"]
    assert found["lost"][0] == {"label": "a", "reference": 0.5, "current": 0.2}
    assert found["quantiles"] == []


def test_many_labels_are_cut_and_noise_is_not_named():
    before = [f"l{i:02d}" for i in range(20)] * 50
    after = [f"m{i:02d}" for i in range(20)] * 49 + [f"l{i:02d}" for i in range(20)]
    found = move(before, after, "category")
    assert len(found["gained"]) == len(found["lost"]) == 5
    assert move(["a", "b"] * 1000, ["a", "b"] * 999 + ["a", "a"], "category")["gained"] == []


def test_missing_rates_are_told_of_every_kind():
    assert move([1.0, 2.0, None, 4.0], [1.0, None, None, None])["missing"] == [0.25, 0.75]
    assert move(["a", None], [None, None], "category") == {
        "quantiles": [],
        "gained": [],
        "lost": [],
        "missing": [0.5, 1.0],
    }


def test_only_what_drifted_or_is_watched_is_described():
    random = np.random.default_rng(3)
    values, kinds = random.normal(size=(2, 1000)), {"calm": "number", "moved": "number"}
    before = profile_arrays({"calm": pa.array(values[0]), "moved": pa.array(values[1])}, kinds)
    later = random.normal(size=(2, 1000))
    after = profile_arrays({"calm": pa.array(later[0]), "moved": pa.array(later[1] + 1)}, kinds, against=before)
    columns = {column.name: column for column in compare_profiles(before, after, DriftSettings())}
    assert columns["calm"].status == "no_drift" and columns["calm"].moved is None
    assert columns["moved"].status == "drift"
    median = columns["moved"].moved["quantiles"][2]
    assert median["current"] - median["reference"] == pytest.approx(1, abs=0.15)


def test_a_column_that_is_gone_has_nothing_to_tell():
    before, _ = profiles([1.0, 2.0] * 100, [1.0])
    gone = compare_profiles(before, Profile({}, 100), DriftSettings())[0]
    assert gone.status == "invalid" and gone.moved is None


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (np.full(2000, 7.0), np.repeat([6.0, 7.0, 8.0], 400)),
        (np.linspace(0, 100, 2000), np.repeat([-9999.0, 50.0], [900, 100])),
        (np.repeat([0.0, 1.0, 2.5], [1200, 500, 300]), np.repeat([-1.0, 0.0, 3.0], [200, 700, 100])),
    ],
)
def test_quantiles_are_values_that_are_there_where_they_are_few(before, now):
    reference = profile_arrays({"x": pa.array(before)}, {"x": "number"})
    current = profile_arrays({"x": pa.array(now)}, {"x": "number"}, against=reference)
    told = describe_move(reference.columns["x"], current.columns["x"])["quantiles"]
    for each in told:
        assert each["current"] == pytest.approx(np.quantile(now, each["share"], method="inverted_cdf"))


def test_a_value_with_a_bin_of_its_own_is_named_and_nothing_is_where_nothing_moved():
    reference = profile_arrays({"x": pa.array(np.append(np.zeros(600), np.linspace(0.1, 3, 400)))}, {"x": "number"})
    lower = pa.array(np.append(np.linspace(-2, -1, 300), np.linspace(0.1, 3, 700)))
    current = profile_arrays({"x": lower}, {"x": "number"}, against=reference)
    columns = reference.columns["x"], current.columns["x"]
    assert measure_column("x", *columns).mover == "value 0: 60.0% before, 0.0% now"
    assert measure_column("x", columns[0], columns[0]).mover == ""
    negative = profile_arrays({"x": pa.array(np.full(500, -1.0))}, {"x": "number"}, against=reference)
    assert measure_column("x", columns[0], negative.columns["x"]).mover.startswith(
        "values below 0: 0.0% before, 100.0%"
    )


def test_a_flag_is_told_by_true_and_false():
    flags = [pa.array(np.arange(1000) % 10 < share) for share in (3, 6)]
    reference = profile_arrays({"x": flags[0]}, {"x": "boolean"})
    current = profile_arrays({"x": flags[1]}, {"x": "boolean"}, against=reference)
    columns = reference.columns["x"], current.columns["x"]
    assert describe_move(*columns)["gained"] == [{"label": "true", "reference": 0.3, "current": 0.6}]
    measured = measure_column("x", *columns)
    assert measured.mover == "'true': 30.0% before, 60.0% now" and set(measured.distribution["labels"]) == {
        "true",
        "false",
    }
