"""Which rows the stretches of the past are judged on: those of the last three runs, within bounds."""

from dataclasses import replace

import numpy as np
import pytest
from small_tables import make_features, make_job, make_labels

from evergreen.training.competition import validation_start
from evergreen.training.fitting import fit


@pytest.mark.parametrize(
    ("rows", "most", "window_rows", "judged"),
    [
        (10_000, 10_000, None, 1500),
        (10_000, 800, None, 800),
        (10_000, 10_000, 500, 1500),
        (10_000, 10_000, 100, 300),
        (10_000, 10_000, 10, 200),
        (10_000, 10_000, 5000, 3300),
        (10_000, 800, 500, 800),
        (400, 10_000, 200, 132),
    ],
    ids=["no history", "bounded", "three windows", "small windows", "at least 200", "at most a third", "most", "few"],
)
def test_candidates_are_judged_on_the_last_three_windows(rows, most, window_rows, judged):
    assert rows - validation_start(np.arange(rows), most, window_rows) == judged


def test_rows_of_one_time_stay_together():
    keys = np.repeat(np.arange(100), 10)
    assert validation_start(keys, 10_000, 75) == 770


def test_a_change_within_the_last_windows_is_learned_from_its_own_rows():
    """The last tenth has turned round. 15 % of the rows reach back before that; three windows of 50 do not."""
    frame = make_features(4000)
    labels = make_labels(frame)
    turned = np.where(labels[3600:] == "stays", "leaves", "stays")
    job = make_job(frame, np.concatenate([labels[:3600], turned]), params={"max_iter": 20})
    assert fit(job).window == "all"
    assert fit(replace(job, window_rows=50)).window == "5%"
