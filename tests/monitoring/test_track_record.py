"""Which earlier estimates are held against the labels that have come, and which never are."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from evergreen.data.batches import Batch
from evergreen.drift.estimation.track import ScoredEstimate
from evergreen.monitoring.track_record import digest_of_rows, read_scored, score_due
from evergreen.registry.journal import Entry
from evergreen.scoring.metrics import METRICS
from evergreen.scoring.predictions import Predictions
from evergreen.settings import DataSettings, Settings

SETTINGS = Settings(data=DataSettings(target="y", time="at"))
LIVE, OTHER = "a" * 64, "b" * 64
DAY = 100  # rows
START = np.datetime64("2026-01-01", "us")


def moment(row):
    return (START + np.timedelta64(int(row), "m")).item().isoformat()


def line(first, last, model=LIVE, scored=(), **more):
    """A run's line in the journal: an estimate for the rows from `first` up to but without `last`."""
    made = {
        "metric": "accuracy",
        "value": 0.8,
        "band": [0.75, 0.85],
        "baseline": 0.9,
        "carried": 0.85,
        "rows": last - first,
        "from": moment(first),
        "to": moment(last - 1),
        "model": model,
        "content": "",
        "verdict": "unproven",
    }
    return Entry(1, "2026-01-01T00:00:00Z", "run", "", {"estimate": made | more, "scored": list(scored)})


def quiet():
    return Entry(1, "2026-01-01T00:00:00Z", "run", "", {"verdict": "no_drift"})


def rows_until(last, labelled=None):
    """Rows 0 to `last`, of which every tenth is answered wrongly, labelled up to `labelled`."""
    truth = np.where(np.arange(last) % 10 == 0, "no", "yes").astype(object)
    known = np.arange(last) < (last if labelled is None else labelled)
    frame = pd.DataFrame({"x": np.arange(last, dtype=float), "y": np.where(known, truth, None)})
    keys = START + np.arange(last) * np.timedelta64(1, "m")
    return Batch(frame, np.where(known, truth, None), known, keys)


def due(entries, batch, model=LIVE, settings=SETTINGS):
    answers = Predictions(np.full(len(batch), "yes", dtype=object), None, ("no", "yes"))
    return score_due(entries, model, batch, answers, METRICS["accuracy"], settings, None)


def windows(scored):
    return [(each.start, each.stop) for each in scored]


def test_an_estimate_is_scored_by_the_labels_of_its_rows():
    (found,) = due([quiet(), line(100, 300)], rows_until(400))
    assert (found.estimate, found.carried, found.baseline, found.rows) == (0.8, 0.85, 0.9, 200)
    assert found.realised == pytest.approx(0.9) and found.error == pytest.approx(0.1)
    assert windows([found]) == [(moment(100), moment(299))]


@pytest.mark.parametrize(
    "entry",
    [
        line(100, 500),  # some of its rows still wait for their labels
        line(100, 300, model=OTHER),
        line(100, 300, metric="f1"),
        line(100, 300, rows=260),  # some of its rows are no longer there
        line(100, 140),  # fewer labels than performance.min_labels
        line(100, 300, content="of other rows"),
        line(100, 300, **{"from": 100, "to": 299}),  # the table had no time then
    ],
)
def test_an_estimate_that_cannot_be_scored_is_left_alone(entry):
    assert due([entry], rows_until(500, 400)) == ()


def test_the_content_tells_the_rows_where_their_numbers_do_not():
    batch = rows_until(400)
    content = digest_of_rows(batch.rows(np.arange(100, 300)), SETTINGS)
    assert len(due([line(100, 300, content=content)], batch)) == 1
    relabelled = replace(batch, frame=batch.frame.assign(y="yes"))
    assert len(due([line(100, 300, content=content)], relabelled)) == 1
    assert due([line(100, 300, content=content)], replace(batch, frame=batch.frame.assign(x=0.0))) == ()


def test_labels_that_never_come_do_not_stand_in_the_way_while_they_are_few():
    batch = rows_until(400)
    few, many, early = np.arange(400) % 10 == 3, np.arange(400) % 3 == 1, np.arange(400) >= 270
    for holes, scored in ((few, 1), (many, 0), (early, 0)):
        assert len(due([line(100, 300)], replace(batch, labelled=batch.labelled & ~holes))) == scored


def test_rows_that_have_waited_long_enough_are_scored_only_when_most_have_their_label():
    waited = Settings(data=DataSettings(target="y", time="at", label_delay="30m"))
    batch = rows_until(400)
    half_empty = batch.labelled & ~((np.arange(400) >= 200) & (np.arange(400) < 300))
    tenth_empty = batch.labelled & ~((np.arange(400) >= 280) & (np.arange(400) < 300))
    for labelled, scored in ((half_empty, 0), (tenth_empty, 1)):
        assert len(due([line(100, 300)], replace(batch, labelled=labelled), settings=waited)) == scored


def test_the_same_rows_estimated_in_five_nights_are_one_window():
    nights = [line(0, DAY * night) for night in range(1, 6)]
    found = due(nights, rows_until(500))
    assert windows(found) == [(moment(0), moment(499))]
    written = line(600, 700, scored=[each.to_dict() for each in found])
    assert read_scored([*nights, written]) == found
    assert due([*nights, written], rows_until(600)) == ()


def test_of_estimates_for_the_same_rows_the_last_one_counts():
    (found,) = due([line(0, 200, value=0.7), line(0, 200, value=0.75)], rows_until(200))
    assert found.estimate == 0.75


def test_windows_of_rolling_nights_are_disjoint():
    # Labels come three days late: each night's estimate is of the last three days.
    nights = [line(DAY * night, DAY * (night + 3)) for night in range(20)]
    scored = []
    for night in range(3, 24):
        entries = [*nights[: night - 2], line(9000, 9300, scored=[each.to_dict() for each in scored])]
        scored += due(entries, rows_until(DAY * (night + 1), DAY * night))
    ends = sorted(windows(scored))
    assert len(ends) >= 5
    assert all(first[1] < then[0] for first, then in pairwise(ends))


def test_estimates_of_other_models_for_the_same_rows_count_once():
    record = ScoredEstimate("accuracy", 0.8, 0.8, 0.8, 0.9, 100, moment(150), moment(249), OTHER)
    entries = [line(900, 950, model=OTHER, scored=[record.to_dict()]), line(100, 200), line(250, 350)]
    assert windows(due(entries, rows_until(400))) == [(moment(250), moment(349))]


def test_row_numbers_are_found_as_times_are():
    batch = replace(rows_until(400), keys=np.arange(1000, 1400))
    (found,) = due([line(0, 200, **{"from": 1100, "to": 1299})], batch)
    assert (found.start, found.stop, found.rows) == (1100, 1299, 200)


def test_an_old_journal_without_estimates_has_no_record():
    assert read_scored([quiet()]) == () and due([quiet()], rows_until(100)) == ()


def test_rows_whose_labels_are_a_biased_choice_so_far_are_scored_when_the_others_have_come():
    """Nine of ten have their label, and of the waiting ones the model says something else."""
    batch = rows_until(400)
    waiting = np.arange(400) % 10 == 3
    said = Predictions(np.where(waiting, "no", "yes").astype(object), None, ("no", "yes"))
    early = replace(batch, labelled=~waiting)
    assert score_due([line(100, 300)], LIVE, early, said, METRICS["accuracy"], SETTINGS, None) == ()
    assert len(score_due([line(100, 300)], LIVE, batch, said, METRICS["accuracy"], SETTINGS, None)) == 1


def test_a_table_that_is_another_one_each_night_earns_trust_with_the_same_row_numbers():
    scored = []
    for night in range(5):
        batch = rows_until(200)
        batch = replace(batch, frame=batch.frame.assign(x=float(night)), keys=np.arange(1000, 1200))
        content = digest_of_rows(batch.rows(np.arange(100)), SETTINGS)
        entries = [line(0, 100, content=content, **{"from": 1000, "to": 1099})]
        scored += due([*entries, line(900, 950, OTHER, [each.to_dict() for each in scored])], batch)
    assert len(scored) == 5
    assert len({each.content for each in scored}) == 5


def test_a_table_that_only_grows_counts_its_rows_once_all_the_same():
    batch = replace(rows_until(400), keys=np.arange(1000, 1400))
    first = digest_of_rows(batch.rows(np.arange(0, 100)), SETTINGS)
    both = digest_of_rows(batch.rows(np.arange(0, 200)), SETTINGS)
    (scored,) = due([line(0, 100, content=first, **{"from": 1000, "to": 1099})], batch)
    entries = [line(0, 200, content=both, **{"from": 1000, "to": 1199}), line(0, 9, OTHER, [scored.to_dict()])]
    assert due(entries, batch) == ()


def test_a_record_of_an_older_version_is_read():
    (scored,) = due([line(100, 300)], rows_until(400))
    old = {name: value for name, value in scored.to_dict().items() if name != "content"}
    assert read_scored([line(0, 9, OTHER, [old])]) == (scored,)
