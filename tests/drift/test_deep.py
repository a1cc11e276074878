"""A classifier tells new rows from old ones where there is something to tell, and is not fooled by storage."""

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import detect_drift
from detect_drift import check_data_drift
from evergreen.drift.deep import compare_rows, fit_domain_classifier, in_like_seasons, rank_auc
from evergreen.settings import DataSettings, DriftSettings, Settings

DEFAULTS = DriftSettings()
SEASONAL = DriftSettings(season="weekday", deep=True)
DEEP = Settings(drift=DriftSettings(deep=True))


def rows_of(rng, rows=400):
    return pd.DataFrame({"a": rng.normal(size=rows), "b": rng.normal(size=rows), "w": rng.choice(list("xyz"), rows)})


KINDS = {"a": "number", "b": "number", "w": "category"}


def in_a_ring(rng, rows=400):
    """Neither column changes, and neither does their correlation: only the middle is empty now."""
    frame = rows_of(rng, rows)
    angle, radius = rng.uniform(0, 2 * np.pi, rows), rng.normal(1.4, 0.1, rows)
    return frame.assign(a=radius * np.cos(angle), b=radius * np.sin(angle))


def test_the_auc_is_that_of_scikit_learn_with_ties():
    rng = np.random.default_rng(1)
    for rows in (5, 50, 500):
        scores, truth = rng.integers(0, 8, rows) / 8, np.arange(rows) % 3 == 0
        assert rank_auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), rel=1e-12)


def test_the_auc_found_is_the_mean_of_scikit_learns_over_the_folds():
    rng = np.random.default_rng(2)
    domain = fit_domain_classifier(rows_of(rng), in_a_ring(rng), seed=0)
    rows, scores = domain.rows, np.concatenate([domain.reference, domain.current])
    folds = [rows.fold == fold for fold in range(3)]
    expected = np.mean([roc_auc_score(rows.is_current[fold], scores[fold]) for fold in folds])
    assert domain.auc == pytest.approx(expected, rel=1e-12)
    variance = sum((len(scores[fold]) + 1) / (12 * np.prod(np.bincount(rows.is_current[fold]))) for fold in folds) / 9
    assert domain.z == pytest.approx((expected - 0.5) / np.sqrt(variance))


def test_clean_rows_are_not_told_apart():
    rng = np.random.default_rng(3)
    found = [compare_rows(rows_of(rng, 1000), rows_of(rng, 1000), KINDS, DEFAULTS, 0).verdict for _ in range(10)]
    assert found.count("drift") == 0


def test_a_change_that_only_columns_together_show_is_found_and_its_columns_are_named():
    rng = np.random.default_rng(4)
    deep = compare_rows(rows_of(rng), in_a_ring(rng), KINDS, DEFAULTS, seed=0)
    assert (deep.verdict, deep.auc > 0.7, deep.z > 5) == ("drift", True, True)
    assert {column["name"] for column in deep.columns} == {"a", "b"}


def test_the_order_of_rows_and_columns_makes_no_difference():
    rng = np.random.default_rng(5)
    before, after = rows_of(rng, 300), in_a_ring(rng, 300)
    mixed = [frame.sample(frac=1, random_state=1)[["w", "b", "a"]] for frame in (before, after)]
    straight, again = (fit_domain_classifier(*frames, seed=0) for frames in ((before, after), mixed))
    assert (again.auc, again.z) == (straight.auc, straight.z)
    assert sorted(again.current) == sorted(straight.current)


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("boolean", [True, False] * 150, [1, 0] * 150),
        ("boolean", [True, False, None] * 100, [1.0, 0.0, None] * 100),
        ("category", [1, 2, 3] * 100, [1.0, 2.0, 3.0] * 100),
        ("category", ["1", "2", None] * 100, [1, 2, None] * 100),
        ("number", [Decimal("1.50"), Decimal("2.25")] * 150, [1.5, 2.25] * 150),
    ],
)
def test_how_a_file_keeps_a_value_is_no_drift(kind, before, after):
    deep = compare_rows(pd.DataFrame({"v": before}), pd.DataFrame({"v": after}), {"v": kind}, DEFAULTS, seed=0)
    assert (deep.verdict, deep.auc < 0.55) == ("no_drift", True)


def test_truth_values_in_one_file_and_ones_in_the_other_are_no_drift():
    rng = np.random.default_rng(6)
    before, after = ({"paid": rng.random(1000) < 0.4, "a": rng.normal(size=1000)} for _ in range(2))
    report = check_data_drift(pd.DataFrame(before), pd.DataFrame(after | {"paid": after["paid"].astype(int)}), DEEP)
    assert (report.joint.deep.verdict, report.verdict) == ("no_drift", "no_drift")


def test_a_mix_of_seasons_is_no_difference_and_a_change_within_them_is():
    """At weekends values are larger; new rows are mostly from weekends."""
    rng = np.random.default_rng(9)

    def rows(days, extra=0.0):
        at = pd.Timestamp("2026-03-02") + pd.to_timedelta(np.repeat(days, 200), unit="D")
        return pd.DataFrame({"at": at, "a": rng.normal(size=len(at)) + 2 * (at.day_of_week >= 5) + extra})

    before, after, shifted = rows(range(14)), rows([18, 19, 20, 26, 27]), rows([18, 19, 20, 26, 27], 1.0)
    assert fit_domain_classifier(before[["a"]], after[["a"]], seed=0).auc > 0.6
    for now, low, high in ((after, 0.0, 0.55), (shifted, 0.65, 1.0)):
        pair = in_like_seasons(before, now, "at", "weekday")
        shares = [frame["at"].dt.day_of_week.value_counts(normalize=True).sort_index() for frame in pair]
        np.testing.assert_allclose(*shares, atol=0.002)
        assert low <= fit_domain_classifier(*(frame[["a"]] for frame in pair), seed=0).auc <= high
    report = check_data_drift(before, after, Settings(data=DataSettings(time="at"), drift=SEASONAL))
    assert (report.joint.deep.verdict, report.verdict) == ("no_drift", "no_drift")


@pytest.mark.parametrize("rows", [(0, 300), (300, 1), (2, 300), (300, 0)])
def test_too_few_rows_to_learn_from_are_not_enough_evidence(rows):
    rng = np.random.default_rng(7)
    deep = compare_rows(*(rows_of(rng, count) for count in rows), KINDS, DEFAULTS, seed=0)
    assert (deep.verdict, deep.auc, deep.rows) == ("not_enough_evidence", None, rows)
    assert f"there are {rows[0]} and {rows[1]}, and it takes at least 3 of each" in deep.reasons[0]


def test_the_smallest_tables_are_looked_at_without_a_finding():
    rng = np.random.default_rng(8)
    deep = compare_rows(rows_of(rng, 3), rows_of(rng, 3), KINDS, DEFAULTS, seed=0)
    assert (deep.verdict, deep.rows) == ("not_enough_evidence", (3, 3))


@pytest.mark.parametrize(
    ("columns", "lacking"),
    [
        ({"at": pd.date_range("2026-01-01", periods=90, freq="h")}, "no number, category or boolean"),
        ({"note": [f"a sentence about order {i}, by hand" for i in range(90)]}, "no number, category or boolean"),
        ({"a": [1.0]}, "there are 1 and 1"),
    ],
)
def test_tables_without_anything_to_learn_from_are_no_error(tmp_path, capsys, columns, lacking):
    path = tmp_path / "rows.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    assert detect_drift.main(["--reference", str(path), "--current", str(path), "--deep", "--json"]) == 0
    joint = json.loads(capsys.readouterr().out)["joint"]
    assert (joint["verdict"], joint["deep"]["auc"]) == ("not_enough_evidence", None)
    assert lacking in joint["deep"]["reasons"][0]
