"""Performance with labels: false alarms and power of one look, and of a watch that looks at every batch."""

from functools import cache, partial

import numpy as np
from checks import Check, Measured, Simulation, median, share

from evergreen.drift.leak import BATCH, LeakState, find_leak
from evergreen.drift.performance import judge_performance
from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import METRICS, Score, sample_rows, score_sample
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PerformanceSettings
from evergreen.verdicts import shows_loss

CLASSES = ("no", "yes")
BASELINE_ROWS, ACCURACY = 2_000, 0.85
NO_FLOOR = PerformanceSettings(min_score="off")
STREAM_BASELINE, CHANGE, STREAM = 5_000, 10_000, 30_000
AS_ADWIN = 1e5  # rows to a false alarm: with it both detectors alarm in 4 of 100 streams of 20,000 healthy rows


def answers(hits: int, rows: int) -> tuple[np.ndarray, Predictions]:
    """Labels, and what a model says that is right on so many of them."""
    truth = np.resize(np.array(CLASSES, dtype=object), rows)
    wrong = np.where(truth == "yes", "no", "yes").astype(object)
    return truth, Predictions(np.where(np.arange(rows) < hits, truth, wrong).astype(object), None, CLASSES)


@cache
def baseline(hits: int, rows: int) -> dict[str, Score]:
    """The accuracy of a model on its holdout."""
    sample = sample_rows(*answers(hits, rows), "yes")
    return {"accuracy": score_sample(METRICS["accuracy"], sample, 0.95, 0)}


@cache
def loses(hits: int, rows: int, known: int) -> bool:
    """Whether the product speaks of a loss."""
    truth, said = answers(hits, rows)
    found = judge_performance(
        truth, said, baseline=baseline(known, BASELINE_ROWS), settings=NO_FLOOR, task="classification", positive="yes"
    )
    return bool(shows_loss(found.verdict))


def most_hits_of_a_loss(rows: int, known: int) -> int:
    """The most right answers that still make a loss, by halving: fewer never make a better verdict."""
    low, high = -1, rows
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if loses(middle, rows, known) else (low, middle)
    return low


def losses_called(simulation: Simulation, rows: int, accuracy: float) -> Measured:
    """How often a loss is called for a model with this accuracy, its baseline having been 0.85; by enumeration."""
    from scipy.stats import binom

    low, high = binom.ppf([1e-4, 1 - 1e-4], BASELINE_ROWS, ACCURACY).astype(int)
    known = np.arange(low, high + 1)
    chance = [binom.cdf(most_hits_of_a_loss(rows, int(hits)), rows, accuracy) for hits in known]
    return Measured(float(np.average(chance, weights=binom.pmf(known, BASELINE_ROWS, ACCURACY))), note="exact")


def stream(rng: np.random.Generator, rows: int, worse: float) -> np.ndarray:
    """Errors of a model, 15 % and from row 10,000 on more."""
    chance = np.where(np.arange(rows) < CHANGE, 1 - ACCURACY, 1 - ACCURACY + worse)
    return rng.random(rows) < chance


def first_alarm(rng: np.random.Generator, rows: int, worse: float) -> int | None:
    """Rows until the product's watch alarms, the model having been known by 5,000 rows; None without an alarm.

    Before a loss there are 10,000 healthy rows; after an alarm among them the watch begins anew.
    """
    known = baseline(int(rng.binomial(STREAM_BASELINE, ACCURACY)), STREAM_BASELINE)["accuracy"]
    start = LeakState(1 - known.value + known.standard_error)
    errors, begin, state = stream(rng, rows, worse).reshape(-1, BATCH).sum(axis=1), CHANGE if worse else 0, start
    for batch, wrong in enumerate(errors.tolist()):
        state = state.with_errors(BATCH, wrong)
        seen = (batch + 1) * BATCH
        if state.evidence >= AS_ADWIN:
            if seen > begin:
                return seen - begin
            state = start
    return None


def adwin_alarm(rng: np.random.Generator, rows: int, worse: float) -> int | None:
    """The same for river's ADWIN with its defaults, which has seen 10,000 healthy rows before a loss."""
    from river.drift import ADWIN

    detector = ADWIN()
    for row, error in enumerate(stream(rng, rows, worse)):
        detector.update(int(error))
        if detector.drift_detected and (not worse or row >= CHANGE):
            return row + 1 - (CHANGE if worse else 0)
    return None


def watch_alarms(simulation: Simulation) -> Measured:
    """How often the watch alarms within 20,000 healthy rows."""
    return share([row is not None for row in simulation.repeat(first_alarm, 20_000, 0.0)])


def watch_delay(simulation: Simulation, worse: float) -> Measured:
    """Rows until a loss is seen; streams in which it never is count as the longest."""
    return median([STREAM if row is None else row for row in simulation.repeat(first_alarm, CHANGE + STREAM, worse)])


def adwin_delay(simulation: Simulation, worse: float) -> Measured:
    """The same for ADWIN."""
    if worse == 0:
        return share([row is not None for row in simulation.repeat(adwin_alarm, 20_000, 0.0)])
    return median([STREAM if row is None else row for row in simulation.repeat(adwin_alarm, CHANGE + STREAM, worse)])


def default_run(rng: np.random.Generator, worse: float) -> bool:
    """With the default tolerance of a point: whether 20,000 rows with so much more error end in an alarm."""
    known = baseline(int(rng.binomial(STREAM_BASELINE, ACCURACY)), STREAM_BASELINE)
    right = rng.random(20_000) >= 1 - ACCURACY + worse
    sample = Sample(np.ones(len(right), dtype=np.int64), right.astype(np.int64), None, CLASSES, 1)
    found = find_leak(METRICS["accuracy"], known, sample, np.arange(len(right)), NO_FLOOR)
    return found is not None and found.alarm


def default_alarms(simulation: Simulation, worse: float) -> Measured:
    """How often they do, at the end of the 20,000 rows."""
    return share(simulation.repeat(default_run, worse))


CHECKS = (
    Check("an unchanged model called worse, 50 labels", partial(losses_called, rows=50, accuracy=0.85), 1, None, 0.06),
    Check(
        "an unchanged model called worse, 100 labels", partial(losses_called, rows=100, accuracy=0.85), 1, None, 0.06
    ),
    Check(
        "an unchanged model called worse, 200 labels", partial(losses_called, rows=200, accuracy=0.85), 1, None, 0.04
    ),
    Check(
        "an unchanged model called worse, 1,000 labels",
        partial(losses_called, rows=1000, accuracy=0.85),
        1,
        None,
        0.001,
    ),
    Check("a loss of 10 points found, 50 labels", partial(losses_called, rows=50, accuracy=0.75), 1, 0.56),
    Check("a loss of 10 points found, 100 labels", partial(losses_called, rows=100, accuracy=0.75), 1, 0.78),
    Check("a loss of 10 points found, 200 labels", partial(losses_called, rows=200, accuracy=0.75), 1, 0.92),
    Check("the watch alarms within 20,000 healthy rows, tolerance 0", watch_alarms, 1000, None, 0.06),
    Check("rows until 3 points are seen, tolerance 0", partial(watch_delay, worse=0.03), 400, None, 2300),
    Check("rows until 5 points are seen, tolerance 0", partial(watch_delay, worse=0.05), 400, None, 950),
    Check("rows until 10 points are seen, tolerance 0", partial(watch_delay, worse=0.10), 400, None, 350),
    Check("for comparison: ADWIN alarms within 20,000 healthy rows", partial(adwin_delay, worse=0.0), 400),
    Check("for comparison: rows until ADWIN sees 3 points", partial(adwin_delay, worse=0.03), 200),
    Check("for comparison: rows until ADWIN sees 5 points", partial(adwin_delay, worse=0.05), 200),
    Check("for comparison: rows until ADWIN sees 10 points", partial(adwin_delay, worse=0.10), 200),
    Check(
        "with the default tolerance: alarms in 20,000 healthy rows", partial(default_alarms, worse=0.0), 400, None, 0.02
    ),
    Check("with the default tolerance: 3 points found in 20,000 rows", partial(default_alarms, worse=0.03), 200),
)
