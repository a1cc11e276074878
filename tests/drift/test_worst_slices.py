"""Groups the model does badly for: a planted one is found, and where there is none, none is named."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from evergreen.drift.performance import PerformanceReport
from evergreen.drift.worst_slices import find_worst_slices, fisher, name_worst_slices, welch
from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import METRICS
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PerformanceSettings, Settings

DEFAULTS = PerformanceSettings()


def features(rows, seed):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(rows, 4)), columns=list("abcd"))
    frame["plan"] = random.choice(["basic", "plus", "family", "gold"], rows, p=[0.5, 0.3, 0.12, 0.08])
    frame["city"] = random.choice([f"city {k}" for k in range(30)], rows)
    frame["paid"] = random.random(rows) < 0.3
    frame["since"] = np.datetime64("2026-01-01") + random.integers(0, 300, rows).astype("timedelta64[D]")
    frame.loc[random.random(rows) < 0.1, "d"] = np.nan
    return frame


def with_errors(chance, rows, seed):
    random = np.random.default_rng(1000 + seed)
    truth = random.integers(0, 2, rows)
    return Sample(truth, truth ^ (random.random(rows) < chance), None, ("0", "1"), 1)


def found_in(frame, sample, metric="accuracy", config=DEFAULTS, min_rows=100):
    return find_worst_slices(frame, sample, METRICS[metric], config, min_rows)


def test_the_tests_are_those_of_scipy():
    for rows, wrong, everything, all_wrong in ((100, 30, 1000, 150), (60, 50, 100, 70), (60, 20, 100, 70)):
        expected = stats.hypergeom(everything, all_wrong, rows).sf(wrong - 1)
        assert fisher(rows, wrong, everything, all_wrong) == pytest.approx(expected, rel=1e-9)
    random = np.random.default_rng(0)
    first, second = random.exponential(1.2, 150), random.exponential(1.0, 900)
    sides = [(sample.std(ddof=1) / np.sqrt(len(sample)), len(sample)) for sample in (first, second)]
    expected = stats.ttest_ind(first, second, equal_var=False, alternative="greater").pvalue
    assert welch(first.mean() - second.mean(), *sides) == pytest.approx(expected, rel=1e-9)


def test_a_group_that_is_20_points_worse_is_found_and_told_with_its_numbers():
    for seed in range(10):
        frame = features(4000, seed)
        gold = (frame.plan == "gold").to_numpy()
        sample = with_errors(np.where(gold, 0.35, 0.15), 4000, seed)
        worst = found_in(frame, sample)[0]
        assert (worst.column, worst.value, worst.rows, worst.metric) == ("plan", "gold", gold.sum(), "accuracy")
        right = sample.truth == sample.predicted
        assert (worst.score, worst.rest) == pytest.approx((right[gold].mean(), right[~gold].mean()))
        assert worst.gap == pytest.approx(worst.rest - worst.score)
        assert worst.interval[0] < worst.gap < worst.interval[1]
        assert worst.p_value < 0.05


def test_without_a_bad_group_hardly_ever_one_is_named():
    named = [bool(found_in(features(1000, seed), with_errors(0.15, 1000, seed))) for seed in range(150)]
    assert np.mean(named) <= 0.05


def test_without_a_bad_group_none_is_named_for_skewed_losses_either():
    def drawn(seed):
        random = np.random.default_rng(seed)
        y = random.normal(size=1000)
        return Sample(y, y + random.lognormal(0, 1, 1000))

    assert np.mean([bool(found_in(features(1000, seed), drawn(seed), "mae")) for seed in range(100)]) <= 0.05


def test_a_small_group_and_a_small_gap_are_not_named():
    frame = features(4000, 0)
    gold = (frame.plan == "gold").to_numpy()
    sample = with_errors(np.where(gold, 0.9, 0.15), 4000, 0)
    assert {group.column for group in found_in(frame, sample, min_rows=1000)} <= {"plan"}
    assert not any(group.value == "gold" for group in found_in(frame, sample, min_rows=1000))
    frame = pd.DataFrame({"half": np.arange(200_000) % 2 == 0})
    small = with_errors(np.where(frame.half, 0.17, 0.13), 200_000, 0)
    assert found_in(frame, small) == ()
    assert found_in(frame, small, config=PerformanceSettings(max_drop=0.02))[0].value == "True"


@pytest.mark.parametrize(
    ("column", "where", "value"),
    [
        ("a", lambda frame: frame.a < -0.9, "below -0.8"),
        ("d", lambda frame: frame.d.isna(), "(missing)"),
        ("paid", lambda frame: frame.paid, "True"),
        ("since", lambda frame: frame.since >= "2026-09-15", "from 2026-0"),
        ("city", lambda frame: frame.city == "city 7", "city 7"),
    ],
)
def test_groups_of_every_kind_of_column_are_looked_at(column, where, value):
    frame = features(6000, 1)
    sample = with_errors(np.where(where(frame), 0.5, 0.1), 6000, 1)
    worst = found_in(frame, sample)[0]
    assert worst.column == column
    assert worst.value.startswith(value)


def test_the_worst_come_first_and_at_most_five():
    frame = pd.DataFrame({"k": np.repeat([str(k) for k in range(10)], 500)})
    chance = np.repeat([0.1, 0.1, 0.1, 0.1, 0.5, 0.6, 0.7, 0.7, 0.8, 0.9], 500)
    found = found_in(frame, with_errors(chance, 5000, 0))
    assert len(found) == 5
    assert found[0].value == "9"
    assert [group.gap for group in found] == sorted((group.gap for group in found), reverse=True)


def test_the_interval_is_newcombes_for_all_groups_together():
    frame = pd.DataFrame({"k": np.repeat(["x", "y", "z"], [300, 700, 1000])})
    sample = with_errors(np.repeat([0.5, 0.1, 0.1], [300, 700, 1000]), 2000, 0)
    worst = found_in(frame, sample)[0]
    right, rest = round(worst.score * 300), round(worst.rest * 1700)
    expected = confint_proportions_2indep(rest, 1700, right, 300, method="newcomb", alpha=0.05 / 3)
    assert worst.interval == pytest.approx(expected, abs=1e-9)


def test_a_relative_metric_compares_shares():
    random = np.random.default_rng(0)
    y, frame = random.normal(size=3000), pd.DataFrame({"k": np.arange(3000) % 3})
    said = y + np.where(frame.k == 0, 1.5, 1.0) * random.normal(size=3000)
    worst = found_in(frame.astype(str), Sample(y, said), "r2")
    assert (worst[0].value, worst[0].metric) == ("0", "mae")
    assert worst[0].gap == pytest.approx(0.5, abs=0.1)


def test_a_metric_that_is_no_mean_looks_at_errors():
    frame = pd.DataFrame({"k": np.arange(2000) % 2 == 0})
    assert found_in(frame, with_errors(np.where(frame.k, 0.4, 0.1), 2000, 0), "roc_auc")[0].metric == "accuracy"


def test_columns_that_cannot_be_cut_are_no_trouble():
    frame = pd.DataFrame(
        {"same": 1.0, "none": np.nan, "text": "x", "infinite": np.where(np.arange(1000) % 2, np.inf, 0.0)}
    )
    frame["nullable"] = pd.array([None, 1, 2, 3] * 250, dtype="Int64")
    assert found_in(frame, with_errors(0.2, 1000, 0)) == ()
    assert found_in(frame.iloc[:, :0], with_errors(0.2, 1000, 0)) == ()


def test_few_rows_name_nothing():
    frame = pd.DataFrame({"k": ["x"] * 60 + ["y"] * 60})
    assert found_in(frame, with_errors(np.repeat([1.0, 0.0], 60), 120, 0)) == ()


def test_the_order_of_rows_and_columns_does_not_matter():
    frame = features(3000, 3)
    sample = with_errors(np.where(frame.plan == "gold", 0.45, 0.1), 3000, 3)
    order = np.random.default_rng(0).permutation(3000)
    assert found_in(frame.iloc[order, ::-1].reset_index(drop=True), sample.take(order)) == found_in(frame, sample)


def test_the_report_names_the_worst_group_only_where_there_is_a_loss():
    frame = pd.DataFrame({"plan": np.where(np.arange(1000) % 4 == 0, "gold", "basic")})
    truth = np.array(["0", "1"], dtype=object)[np.arange(1000) // 4 % 2]
    said = np.where((frame.plan == "gold") & (np.arange(1000) % 8 == 4), "0", truth).astype(object)
    for verdict, told in (("fine", 0), ("leak", 1), ("severe", 1)):
        report = PerformanceReport("accuracy", True, False, 0.05, 1000, verdict, ("why",), current=0.9)
        named = name_worst_slices(
            report, frame, truth, Predictions(said, None, ("0", "1")), Settings(), task="classification"
        )
        assert named.slices[0].value == "gold"
        assert len(named.reasons) == 1 + told
    assert named.reasons[1].startswith("It is at its worst where plan is gold: accuracy 0.")
    unjudged = PerformanceReport("accuracy", True, False, 0.05, 1000)
    assert name_worst_slices(unjudged, frame, truth, None, Settings(), task="classification") is unjudged
