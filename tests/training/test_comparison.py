import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from evergreen.errors import IntegrityError, UsageError
from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import METRICS
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PromotionSettings
from evergreen.training.comparison import Contender, compare_models, decide
from evergreen.training.evidence import Gain, measure_gain

CLASSES = ("0", "1")


def answers(right, truth):
    """Predictions of a model that is right where it says so."""
    wrong = np.where(truth == "1", "0", "1").astype(object)
    return Predictions(np.where(right, truth, wrong).astype(object), None, CLASSES)


def make_truth(rows):
    return np.resize(np.array(["1", "0"], dtype=object), rows)


def compare(champion, challenger, truth, metric="accuracy", *, frame=None, candidates=1, **promotion):
    return compare_models(
        Contender("c" * 64, champion, "rows"),
        Contender("d" * 64, challenger, "rows"),
        truth,
        METRICS[metric],
        PromotionSettings(**promotion),
        frame=frame,
        candidates=candidates,
    )


def compare_counts(rows, better, worse, **options):
    """Where only the challenger is right, where only the champion is, and both right everywhere else."""
    truth, place = make_truth(rows), np.arange(rows)
    return compare(
        answers(place >= better, truth), answers((place < better) | (place >= better + worse), truth), truth, **options
    )


@pytest.mark.parametrize(
    ("gate", "rows", "better", "worse", "winner", "words"),
    [
        # p = P(X ≥ 30 of 40) = 0.001
        ("superior", 1000, 30, 10, "challenger", "reaches 0.01 (promotion.min_improvement) and is not luck: p = 0.001"),
        # the gain of exactly one point counts
        ("superior", 1000, 12, 2, "challenger", "reaches 0.01"),
        ("superior", 1000, 60, 50, "undecided", "may be luck: p = 0.2, the limit is 0.05"),
        ("superior", 10_000, 140, 60, "undecided", "(promotion.min_improvement), and the rows are too few to rule out"),
        ("superior", 100_000, 500, 300, "champion", "Surely less is gained than 0.01"),
        ("superior", 1000, 10, 40, "champion", "The challenger is surely worse."),
        ("superior", 1000, 20, 20, "champion", "A tie: the champion stays."),
        ("superior", 1000, 0, 0, "champion", "A tie: the champion stays."),
        ("superior", 199, 60, 0, "undecided", "199 rows are too few to decide: 200 are needed (promotion.min_rows)"),
        ("superior", 200, 60, 0, "challenger", "is not luck"),
        ("non_inferior", 1000, 36, 30, "challenger", "surely does not lose 0.01 (promotion.min_improvement): with 95%"),
        ("non_inferior", 1000, 12, 12, "champion", "A tie"),
        ("non_inferior", 1000, 11, 12, "challenger", "it gains at least -0.00889"),
        ("non_inferior", 1000, 30, 35, "undecided", "can't rule out that it loses 0.01 (promotion.min_improvement)"),
        ("non_inferior", 1000, 2, 11, "champion", "surely worse"),
        ("non_inferior", 1000, 20, 20, "champion", "A tie"),
        ("not_worse", 1000, 30, 35, "challenger", "It is not surely worse, and does not look worse by 0.01"),
        ("not_worse", 1000, 30, 40, "undecided", "It looks worse by 0.01 (promotion.min_improvement) or more"),
        ("not_worse", 1000, 2, 20, "champion", "surely worse"),
        ("not_worse", 1000, 20, 20, "champion", "A tie"),
        ("not_worse", 199, 60, 0, "undecided", "too few"),
        ("tutorial", 1000, 60, 50, "challenger", "does not ask whether it is luck"),
        ("tutorial", 1000, 59, 50, "champion", "does not reach 0.01"),
        ("tutorial", 199, 60, 0, "undecided", "too few"),
    ],
)  # fmt: skip
def test_the_rule_of_the_gate_decides(gate, rows, better, worse, winner, words):
    comparison = compare_counts(rows, better, worse, gate=gate)
    assert comparison.winner == winner
    assert words in " ".join(comparison.reasons)
    assert comparison.gain == pytest.approx((better - worse) / rows)


def test_scores_gain_and_interval_are_in_the_first_reason():
    comparison = compare_counts(1000, 30, 10)
    assert comparison.reasons[0] == (
        "accuracy of the challenger is 0.99, of the champion 0.97: gain 0.02 "
        "(95% interval of the gain: 0.00734 to 0.0326) on the same 1,000 rows."
    )


def test_the_more_candidates_were_tried_the_more_certain_it_must_be():
    one, twenty = (compare_counts(1000, 30, 12, candidates=candidates) for candidates in (1, 20))
    assert one.winner == "challenger"
    assert twenty.winner == "undecided"
    assert "the limit is 0.0025 (promotion.alpha, shared by 20 candidates)" in twenty.reasons[1]


def test_a_gate_that_lets_in_what_is_no_worse_grows_more_certain_with_the_candidates_as_well():
    """Lower bounds of the gain of 0.006, by hand: se = sqrt((66 - 36 / 1000) / 1000) / sqrt(1000) = 0.0081."""
    one, two = (compare_counts(1000, 36, 30, gate="non_inferior", candidates=candidates) for candidates in (1, 3))
    assert (one.winner, two.winner) == ("challenger", "undecided")
    assert "with 98.33% certainty (3 candidates share promotion.alpha) it gains at least -0.0113" in two.reasons[1]


def test_relative_metrics_gain_a_share_of_the_champions_score():
    random = np.random.default_rng(0)
    truth = random.normal(size=2000)
    noise = random.normal(size=2000)
    comparison = compare(Predictions(truth + noise), Predictions(truth + 0.9 * noise), truth, "mae")
    assert comparison.gain == pytest.approx(0.1)
    assert comparison.winner == "challenger"
    assert "gain 10%" in comparison.reasons[0]
    assert set(comparison.scores) >= {"mae", "rmse", "r2"}


def test_scores_of_all_metrics_that_apply_are_kept_for_both():
    comparison = compare_counts(1000, 30, 10)
    assert comparison.scores["accuracy"] == {"champion": 0.97, "challenger": 0.99}
    assert "f1" in comparison.scores
    assert "roc_auc" not in comparison.scores


def test_the_record_is_strict_json_and_names_both_models_and_the_rows():
    frame = pd.DataFrame({"plan": np.resize(["gold", "basic"], 1000)})
    record = json.loads(json.dumps(compare_counts(1000, 30, 10, frame=frame).to_dict(), allow_nan=False))
    assert record["champion_digest"] == "c" * 64
    assert record["challenger_digest"] == "d" * 64
    assert record["rows_digest"] == "rows"
    assert record["interval"] == pytest.approx([0.0073, 0.0326], abs=1e-4)
    assert record["slices"][0]["verdict"] == "ok"
    one_class = np.full(300, "1", dtype=object)
    half = np.full((300, 2), 0.5)
    mute = compare(Predictions(one_class, half, CLASSES), Predictions(one_class, half, CLASSES), one_class, "roc_auc")
    record = json.loads(json.dumps(mute.to_dict(), allow_nan=False))
    assert (record["gain"], record["interval"], record["winner"]) == (None, [None, None], "undecided")
    assert "These rows can't tell: all 300 rows are of class '1'. The champion stays." in record["reasons"]


def test_one_model_or_different_rows_stop_the_run():
    truth = make_truth(300)
    one = answers(np.ones(300, bool), truth)
    with pytest.raises(IntegrityError, match="the same model"):
        compare_models(
            Contender("c", one, "rows"), Contender("c", one, "rows"), truth, METRICS["accuracy"], PromotionSettings()
        )
    with pytest.raises(IntegrityError, match="different rows"):
        compare_models(
            Contender("c", one, "these"), Contender("d", one, "those"), truth, METRICS["accuracy"], PromotionSettings()
        )


# Groups of rows


def compare_groups(plans, champion_right, challenger_right, **options):
    truth = make_truth(len(plans))
    frame = pd.DataFrame({"plan": plans, "number": np.arange(len(plans)) % 3})
    return compare(answers(champion_right, truth), answers(challenger_right, truth), truth, frame=frame, **options)


def test_a_group_that_is_surely_worse_blocks_a_better_model():
    plans = np.repeat(np.array(["basic", "gold"], dtype=object), [3000, 300])
    place = np.arange(3300)
    champion = place >= 400
    challenger = (place < 3000) | (place >= 3060)
    comparison = compare_groups(plans, champion, challenger)
    assert comparison.winner == "champion"
    assert comparison.gain > 0.1
    assert comparison.reasons[-1].startswith(
        "But it is surely worse where plan = 'gold' (300 rows, gain -0.2, at most -0.1"
    )
    assert comparison.reasons[-1].endswith("a loss of 0.02 is allowed (promotion.max_slice_loss). The champion stays.")
    assert {one.value: one.verdict for one in comparison.slices} == {"basic": "ok", "gold": "worse"}
    assert compare_groups(plans, champion, challenger, max_slice_loss=0.3).winner == "challenger"
    assert compare_groups(plans, champion, challenger, slices=()).winner == "challenger"


def test_groups_are_no_reason_where_the_challenger_loses_anyway():
    place = np.arange(3300)
    comparison = compare_groups(np.repeat(["basic", "gold"], [3000, 300]), place >= 0, place < 3000)
    assert {one.value: one.verdict for one in comparison.slices} == {"basic": "ok", "gold": "worse"}
    assert len(comparison.reasons) == 2


def test_a_group_that_may_only_be_unlucky_does_not_block():
    plans = np.repeat(np.array(["basic", "gold"], dtype=object), [3000, 300])
    place = np.arange(3300)
    comparison = compare_groups(plans, place >= 400, (place < 3000) | (place >= 3010))
    assert comparison.winner == "challenger"
    assert {one.value: one.verdict for one in comparison.slices} == {"basic": "ok", "gold": "ok"}


def test_the_more_groups_are_looked_at_the_more_certain_a_loss_must_be():
    place, truth = np.arange(3300), make_truth(3300)
    champion, challenger = answers(place >= 400, truth), answers((place < 3000) | (place >= 3016), truth)
    frame = pd.DataFrame({"plan": np.repeat(["basic", "gold"], [3000, 300])})
    assert compare(champion, challenger, truth, frame=frame).winner == "champion"
    more = {f"other {number}": np.resize(["a", "b"], 3300) for number in range(9)}
    assert compare(champion, challenger, truth, frame=frame.assign(**more)).winner == "challenger"


def test_a_group_with_too_few_rows_is_unknown_and_missing_values_are_a_group():
    plans = np.repeat(np.array(["basic", "gold", None], dtype=object), [1000, 99, 101])
    place = np.arange(1200)
    comparison = compare_groups(plans, place >= 60, (place < 1000) | (place >= 1080))
    assert {one.value: one.verdict for one in comparison.slices} == {
        "basic": "ok",
        "(missing)": "ok",
        "gold": "unknown",
    }
    assert {one.value: one.gain for one in comparison.slices}["gold"] is None
    told = compare_groups(plans, place >= 60, (place < 1000) | (place >= 1080), min_slice_rows=99)
    assert {one.value: one.verdict for one in told.slices}["gold"] != "unknown"


def test_auto_takes_categories_with_few_values_and_never_more_than_twenty_groups():
    random = np.random.default_rng(0)
    levels = {"flag": 2, "plan": 3, "region": 8, "month": 10, "town": 400, "only": 1}
    frame = pd.DataFrame({name: random.integers(0, count, 3000).astype(str) for name, count in levels.items()})
    frame["number"] = random.integers(0, 3, 3000)
    frame["sure"] = random.random(3000) < 0.5
    frame["day"] = pd.Timestamp("2025-01-01")
    comparison = compare_counts(3000, 100, 20, frame=frame)
    assert {one.column for one in comparison.slices} == {"flag", "sure", "plan", "region"}
    assert len(comparison.slices) == 15
    named = compare_counts(3000, 100, 20, frame=frame, slices=("number",))
    assert [(one.column, one.value) for one in named.slices] == [
        ("number", v) for v in sorted("012", key=lambda v: -(frame["number"] == int(v)).sum())
    ]


def test_columns_that_can_not_be_cut_into_groups_are_refused():
    frame = pd.DataFrame({"plan": np.resize(["a", "b"], 1000), "id": np.arange(1000)})
    with pytest.raises(UsageError, match=r"promotion\.slices: there is no column 'plam'\. Found: plan, id"):
        compare_counts(1000, 30, 10, frame=frame, slices=("plam",))
    with pytest.raises(UsageError, match=r"column 'id' has 1,000 different values"):
        compare_counts(1000, 30, 10, frame=frame, slices=("id",))


# How often it decides right: simulations at 8 % of rows on which the two differ


def promoted(rows, gain, gate, *, trials, seed, candidates=1):
    """Share of trials in which the (best of the) challengers with this true gain is promoted."""
    random = np.random.default_rng(seed)
    shares = [(0.08 + gain) / 2, (0.08 - gain) / 2, 0.92]
    promotion, accuracy, truth, place = (
        PromotionSettings(gate=gate),
        METRICS["accuracy"],
        np.zeros(rows),
        np.arange(rows),
    )
    wins = 0
    for _ in range(trials):
        better, worse = max(random.multinomial(rows, shares, candidates)[:, :2], key=lambda pair: pair[0] - pair[1])
        champion = Sample(truth, place < better, classes=CLASSES)
        challenger = Sample(truth, (place >= better) & (place < better + worse), classes=CLASSES)
        found = measure_gain(accuracy, champion, challenger, confidence=0.95, seed=0)
        wins += decide(found, rows, accuracy, promotion, candidates)[0] == "challenger"
    return wins / trials


@pytest.mark.parametrize(
    ("rows", "gain", "gate", "low", "high"),
    [
        (200, -0.01, "superior", 0, 0.02),
        (2000, -0.01, "superior", 0, 0.005),
        (200, 0.0, "superior", 0, 0.05),
        (2000, 0.0, "superior", 0.01, 0.07),
        (10_000, 0.0, "superior", 0, 0.005),
        (10_000, 0.02, "superior", 0.99, 1),
        (2000, 0.02, "superior", 0.85, 1),
        (500, 0.02, "non_inferior", 0.70, 0.85),
        (2000, 0.02, "non_inferior", 0.98, 1),
        (2000, -0.01, "non_inferior", 0.02, 0.08),
        (10_000, 0.02, "non_inferior", 0.99, 1),
        (10_000, -0.01, "non_inferior", 0, 0.06),
        (10_000, 0.0, "non_inferior", 0.9, 1),
    ],
)
def test_models_are_promoted_about_as_often_as_they_should_be(rows, gain, gate, low, high):
    assert low <= promoted(rows, gain, gate, trials=400, seed=rows) <= high


def exactly_promoted(rows, gain, gate, discordant=0.08):
    """The same share without chance: every outcome of 200 rows that matters, by its probability."""
    accuracy, promotion = METRICS["accuracy"], PromotionSettings(gate=gate)
    right = (discordant + gain) / 2 / discordant
    total = 0.0
    for differing in range(1, 45):
        weight = binom.pmf(differing, rows, discordant)
        for better in range(differing + 1):
            worse = differing - better
            error = math.sqrt(differing - (better - worse) ** 2 / rows) / rows
            gained, luck = (better - worse) / rows, binom.sf(better - 1, differing, 0.5)
            found = Gain(0.8, 0.8, gained, gained - 1.96 * error, gained + 1.96 * error, error, luck)
            if decide(found, rows, accuracy, promotion)[0] == "challenger":
                total += weight * binom.pmf(better, differing, right)
    return total


@pytest.mark.parametrize(
    ("gain", "gate", "low", "high"),
    [
        (-0.01, "superior", 0.005, 0.015),
        (-0.01, "non_inferior", 0.04, 0.06),
        (-0.01, "tutorial", 0.15, 0.25),
        (-0.01, "not_worse", 0.33, 0.40),
        (-0.05, "not_worse", 0, 0.01),
        (0.0, "non_inferior", 0.10, 0.16),
        (0.02, "non_inferior", 0.42, 0.48),
        (0.02, "superior", 0.16, 0.22),
    ],
)
def test_of_200_rows_the_share_of_promotions_is_known_exactly(gain, gate, low, high):
    assert low <= exactly_promoted(200, gain, gate) <= high


def test_calibration_is_told_for_both_models_where_they_give_probabilities():
    truth = np.array(["1"] * 700 + ["0"] * 300, dtype=object)
    said = np.full(1000, "1", dtype=object)
    honest, boastful = (np.tile([1 - p, p], (1000, 1)) for p in (0.7, 0.95))
    comparison = compare(Predictions(said, boastful, CLASSES), Predictions(said, honest, CLASSES), truth, "accuracy")
    assert comparison.scores["calibration_error"] == pytest.approx({"champion": 0.25, "challenger": 0.0})
    assert comparison.scores["log_loss"]["champion"] > comparison.scores["log_loss"]["challenger"]


def test_the_best_of_twenty_equal_challengers_is_rarely_promoted():
    assert promoted(2000, 0.0, "superior", trials=300, seed=1, candidates=20) <= 0.05
