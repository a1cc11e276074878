"""Trust is earned by estimates that proved right, and lost by those that did not."""

import json

import pytest

from evergreen.drift.estimation.track import ScoredEstimate, judge_track


def record(estimate, realised, carried, metric="accuracy", baseline=0.9):
    return ScoredEstimate(metric, estimate, realised, carried, baseline)


GOOD = record(0.85, 0.86, 0.90)
BAD = record(0.90, 0.80, 0.81)


@pytest.mark.parametrize(
    ("scored", "reliable"),
    [
        ([GOOD] * 5, True),
        ([GOOD] * 4, False),
        ([BAD] * 8, False),
        ([record(0.85, 0.86, 0.865)] * 6, False),  # carrying the last score forward was better
        ([record(0.82, 0.86, 0.90)] * 6, False),  # better than carrying forward, and off by more than 2.5 points
        ([record(0.836, 0.86, 0.90)] * 6, True),
        ([BAD] * 30 + [GOOD] * 20, True),  # an older world says little about this one
    ],
)
def test_an_estimate_is_relied_on_after_five_windows_no_worse_than_its_rivals(scored, reliable):
    assert judge_track(scored, "accuracy", 0.05).reliable is reliable


def test_after_a_long_good_record_five_wrong_windows_are_enough_to_lose_it():
    # The outcomes change by 13, by 8 and by 5 points; the estimate never sees it, the labels do one window later.
    for change in (0.13, 0.08, 0.05):
        now = record(0.85, 0.85 - change, 0.85 - change + 0.008)
        first = record(0.85, 0.85 - change, 0.85)
        lost = [judge_track([GOOD] * 15 + [first] + [now] * k, "accuracy", 0.05).reliable for k in range(5)]
        assert lost[-1] is False, change


def test_errors_of_relative_metrics_are_shares_of_the_baseline():
    mae = [record(110.0, 112.0, 100.0, "mae", 100.0)] * 5
    track = judge_track(mae, "mae", 0.05)
    assert track.error == pytest.approx(0.02) and track.carried_error == pytest.approx(0.12) and track.reliable
    assert track.usual_error == pytest.approx(0.02) and track.tolerated == 0.025


def test_records_of_another_metric_do_not_count():
    assert judge_track([GOOD] * 9, "roc_auc", 0.05).windows == 0
    none = judge_track([], "accuracy", 0.05)
    assert (none.error, none.usual_error, none.reliable) == (None, 0.025, False)


def test_the_usual_error_is_the_one_that_nine_of_ten_do_not_exceed():
    errors = [0.01 * k for k in range(11)]
    track = judge_track([record(0.8 + error, 0.8, 0.9) for error in errors], "accuracy", 0.5)
    assert track.usual_error == pytest.approx(0.09)


def test_a_record_survives_json():
    assert ScoredEstimate.from_dict(json.loads(json.dumps(GOOD.to_dict()))) == GOOD
