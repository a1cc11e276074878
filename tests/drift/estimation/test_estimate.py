"""The estimate: right where the world only shifts, silent where it knows nothing, honest about the rest."""

import numpy as np
import pandas as pd
import pytest
from estimated_worlds import Judge, accuracy, draw_rows, estimate

from evergreen.drift.estimation.estimate import estimate_performance
from evergreen.drift.estimation.track import ScoredEstimate, judge_track
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PerformanceSettings

RIGHT = tuple(ScoredEstimate("accuracy", 0.80, 0.801, 0.85, 0.86) for _ in range(6))
WRONG = tuple(ScoredEstimate("accuracy", 0.80, 0.70, 0.71, 0.86) for _ in range(6))


@pytest.fixture(scope="module")
def reference():
    return draw_rows(4000, seed=0)


@pytest.fixture(scope="module")
def shifted():
    return draw_rows(2000, seed=1, shift=1.2)


@pytest.fixture(scope="module")
def on_shifted(reference, shifted):
    return estimate(reference, shifted, track=RIGHT)


@pytest.fixture(scope="module")
def unproven(reference, shifted):
    return estimate(reference, shifted, track=RIGHT[:4])


@pytest.fixture(scope="module")
def unreliable(reference, shifted):
    return estimate(reference, shifted, track=WRONG)


def test_under_covariate_shift_the_error_is_at_most_half_of_that_of_the_baseline(reference):
    errors, constant = [], []
    for seed in range(4):
        current = draw_rows(2000, seed=10 + seed, shift=[0.7, 1.4][seed % 2])
        found, realised = estimate(reference, current), accuracy(*current[:2])
        errors.append(abs(found.value - realised))
        constant.append(abs(found.baseline - realised))
    assert np.mean(constant) > 0.05
    assert np.mean(errors) <= 0.5 * np.mean(constant)
    assert np.mean(errors) <= 0.02


def test_without_a_shift_the_estimate_stays_near_the_baseline(reference):
    current = draw_rows(2000, seed=2)
    found = estimate(reference, current, track=RIGHT)
    assert found.verdict == "no_drop" and abs(found.value - accuracy(*current[:2])) < 0.025
    assert found.outside < 0.05 and not found.methods_disagree
    assert found.value == pytest.approx((found.error_model + found.pape) / 2)


def test_a_proven_record_and_a_drop_beyond_the_band_make_an_estimated_drop(on_shifted, shifted):
    assert on_shifted.verdict == "estimated_drop"
    assert on_shifted.baseline - on_shifted.band[1] >= 0.05
    assert on_shifted.drop == pytest.approx(on_shifted.baseline - on_shifted.value)
    assert on_shifted.band[0] <= accuracy(*shifted[:2]) <= on_shifted.band[1]


def test_scores_calibrated_for_the_new_rows_come_nearer_than_those_calibrated_for_the_old(on_shifted, shifted):
    realised = accuracy(*shifted[:2])
    assert abs(on_shifted.pape - realised) < 0.6 * abs(on_shifted.cbpe - realised)


def test_without_a_good_record_the_same_drop_counts_for_nothing(on_shifted, unproven, unreliable):
    assert (unproven.verdict, unreliable.verdict) == ("unproven", "unreliable")
    assert on_shifted.value == unproven.value == unreliable.value
    for found in (unproven, unreliable):
        assert "nothing is done because of it" in " ".join(found.reasons)


def test_the_band_holds_the_usual_error_of_the_past(reference, shifted, on_shifted, unreliable):
    without = estimate(reference, shifted)
    half = [(each.band[1] - each.band[0]) / 2 for each in (on_shifted, without, unreliable)]
    assert half[0] < half[1] < half[2]
    assert half[1] ** 2 - half[0] ** 2 == pytest.approx(0.025**2 - 0.001**2, rel=1e-6)
    assert half[2] ** 2 - half[0] ** 2 == pytest.approx(0.1**2 - 0.001**2, rel=1e-6)


def test_the_text_always_says_what_cannot_be_seen(on_shifted, unproven, unreliable):
    for found in (on_shifted, unproven, unreliable):
        assert "(concept drift)" in found.reasons[-1] and "the only proof" in found.reasons[-1]


def test_concept_drift_is_not_seen_and_ends_the_trust_within_five_windows(reference):
    track, windows = list(RIGHT) * 3, 0
    carried = 0.81
    while judge_track(track, "accuracy", 0.05).reliable and windows < 5:
        current = draw_rows(1500, seed=30 + windows, turned=True)
        found, realised = estimate(reference, current, track=track, carried=carried), accuracy(*current[:2])
        assert found.verdict != "estimated_drop" and found.value - realised > 0.3
        track.append(ScoredEstimate("accuracy", found.value, realised, carried, found.baseline))
        carried, windows = realised, windows + 1
    assert not judge_track(track, "accuracy", 0.05).reliable


def test_rows_beyond_the_known_data_get_no_estimate(reference):
    frame, labels, chances = draw_rows(1000, seed=3)
    frame.loc[frame.index[:200], "c"] = 50.0
    found = estimate(reference, (frame, labels, chances), track=RIGHT)
    assert found.verdict == "outside_known_data" and found.value is None and found.band is None
    assert found.outside == pytest.approx(0.2, abs=0.02)
    assert "lie outside the known data" in found.reasons[0] and "in c" in found.reasons[0]


@pytest.mark.parametrize(
    ("rows", "waiting", "settings", "words"),
    [
        (1499, 500, {}, "it takes 1,500 labelled rows"),
        (2000, 49, {}, "49 rows wait for their label, and 50 are needed"),
        (2000, 199, {"min_labels": 200}, "199 rows wait for their label, and 200 are needed"),
    ],
)
def test_too_few_rows_on_either_side_are_not_enough_evidence(rows, waiting, settings, words):
    found = estimate(draw_rows(rows, seed=0), draw_rows(waiting, seed=1), **settings)
    assert (found.verdict, found.value) == ("not_enough_evidence", None)
    assert words in found.reasons[0]


@pytest.mark.parametrize("metric", ["roc_auc", "f1", "log_loss", "brier", "balanced_accuracy"])
def test_other_metrics_of_two_classes_are_estimated_too(reference, shifted, metric):
    from evergreen.scoring.metrics import METRICS, sample_rows

    found = estimate(reference, shifted, metric=metric)
    answers = Predictions(Judge().predict(shifted[0]), Judge().predict_proba(shifted[0]), ("no", "yes"))
    realised = METRICS[metric].measure(sample_rows(shifted[1], answers, "yes")).value
    assert abs(found.value - realised) < 0.6 * abs(found.baseline - realised)
    assert found.band[0] <= realised <= found.band[1]
    assert (found.drop > 0) == (METRICS[metric].higher_is_better == (found.baseline > found.value))


def three_classes(rows, seed, shift):
    frame, _, chances = draw_rows(rows, seed, shift)
    shares = np.column_stack([chances, 0.7 * (1 - chances), 0.3 * (1 - chances)])
    draws = np.random.default_rng(seed + 1000).random(rows)
    classes = np.array(["a", "b", "c"], dtype=object)
    labels = classes[(draws[:, None] > shares.cumsum(axis=1)).sum(axis=1).clip(0, 2)]
    yes = 1 / (1 + np.exp(-2.0 * frame["b"].to_numpy()))
    said = np.column_stack([yes, 0.7 * (1 - yes), 0.3 * (1 - yes)])
    return frame, labels, Predictions(classes[said.argmax(axis=1)], said, ("a", "b", "c"))


def estimate_classes(metric):
    (known, labels, said), (waiting, truth, answers) = three_classes(4000, 0, 0.0), three_classes(2000, 1, 1.2)
    settings = PerformanceSettings(metric=metric)
    found = estimate_performance(
        known, said, labels, waiting, answers, settings=settings, task="classification", track=RIGHT
    )
    return found, float(np.mean(answers.values == truth))


def test_with_more_classes_the_accuracy_is_estimated_and_nothing_else():
    found, realised = estimate_classes("accuracy")
    assert abs(found.value - realised) < 0.5 * abs(found.baseline - realised)
    assert found.band[0] <= realised <= found.band[1]
    refused, _ = estimate_classes("f1")
    assert refused.verdict == "not_enough_evidence"
    assert "f1 can't be estimated without labels here" in refused.reasons[0]


def houses(rows, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    x, z = rng.normal(shift, 1, rows), rng.normal(0, 1, rows)
    price = 50 + 10 * z + rng.normal(0, 1, rows) * np.exp(0.5 * x + 1)
    return pd.DataFrame({"x": x, "z": z}), price, Predictions(50 + 10 * z)


def estimate_houses(shift, metric="mae", seed=1):
    (known, prices, said), (waiting, truth, answers) = houses(5000, 0), houses(2000, seed, shift)
    return (
        estimate_performance(
            known,
            said,
            prices,
            waiting,
            answers,
            settings=PerformanceSettings(metric=metric),
            task="regression",
            track=tuple(ScoredEstimate(metric, 3.0, 3.01, 3.5, 2.6) for _ in range(6)),
        ),
        truth - answers.values,
    )


def test_the_error_of_a_regression_is_told_within_a_tenth_under_a_strong_shift():
    found = [estimate_houses(1.0, seed=seed) for seed in range(1, 4)]
    relative = [abs(each.value / np.abs(errors).mean() - 1) for each, errors in found]
    constant = [abs(each.baseline / np.abs(errors).mean() - 1) for each, errors in found]
    assert np.mean(relative) < 0.10 and np.mean(constant) > 0.3
    each = found[0][0]
    assert each.verdict == "estimated_drop" and each.drop == pytest.approx(each.value / each.baseline - 1)
    assert each.pape is None and each.cbpe is None and each.value == each.error_model


def test_rmse_is_estimated_and_r2_refused():
    found, errors = estimate_houses(0.7, "rmse")
    assert found.value == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.1)
    assert found.value > 1.2 * found.baseline
    refused, _ = estimate_houses(0.7, "r2")
    assert "r2 can't be estimated without labels here, because it is no mean" in refused.reasons[0]


def test_a_model_that_is_always_right_or_has_one_answer_breaks_nothing():
    frame, _, _ = draw_rows(1600, seed=0)
    yes = Predictions(np.full(1600, "yes", dtype=object), None, ("no", "yes"))
    settings = PerformanceSettings()
    found = estimate_performance(
        frame, yes, yes.values, frame, yes, settings=settings, task="classification", track=RIGHT
    )
    assert (found.value, found.verdict) == (1.0, "no_drop")


def test_methods_that_see_different_things_are_said_to_disagree(on_shifted):
    from dataclasses import replace

    from evergreen.drift.estimation.words import disagree_words

    apart = replace(on_shifted, error_model=0.80, pape=0.83)
    assert apart.methods_disagree and "0.800 by the error model, 0.830" in disagree_words(apart)
    assert disagree_words(replace(apart, pape=0.815)) == ""
    assert disagree_words(replace(apart, pape=None)) == ""


def test_the_same_rows_give_the_same_estimate_and_the_document_is_plain_json(reference, shifted, on_shifted):
    import json

    assert estimate(reference, shifted, track=RIGHT) == on_shifted
    document = json.loads(json.dumps(on_shifted.to_dict(), allow_nan=False))
    assert {"verdict", "band", "from", "to", "track", "outside", "error_model", "pape", "cbpe"} <= set(document)
    assert document["track"].pop("error") == pytest.approx(0.001)
    assert document["track"] == {"windows": 6, "carried_error": pytest.approx(0.049), "reliable": True}


def test_what_is_carried_forward_is_the_score_of_as_many_newest_rows(reference):
    current = draw_rows(600, seed=4)
    newest = reference[0].iloc[-600:], reference[1][-600:]
    assert estimate(reference, current).carried == pytest.approx(accuracy(*newest))
