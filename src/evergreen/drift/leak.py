"""Does the model lose slowly, a little in every batch? Evidence that may be looked at after each of them.

A test at 5 % that is repeated every day cries wolf within the month. The Shiryaev-Roberts e-detector (Shin, Ramdas
and Rinaldo 2022) does not: whatever the order of the rows and the size of the batches, on average at least
`performance.labels_per_false_alarm` labelled rows pass until a false alarm. It watches the loss x of each row, 0 to 1:

    r0 = (baseline's loss + its standard error + tolerance) / bound       what a model that holds loses at most
    λk = min(gk / (r0(1 − r0)), 0.9 / r0),  g = 0.02, 0.05, 0.1, 0.2, 0.4  bets on large and on small losses
    Mk ← (Mk + rows of the batch) · Π (1 + λk(x − r0))
    alarm when the mean of the five Mk reaches the limit

As long as the loss expected of each row is at most r0, Mk minus the rows so far can only shrink on average, and from
that follows the rate of false alarms. The tolerance is what absorbs good and bad days.

Losses without an upper bound (absolute errors, log loss) count as at most `bound`, the baseline's mean and three of
its standard deviations: cutting only makes losses smaller, so the guarantee stays.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evergreen.drift.blocks import plain_key
from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import METRICS, Metric, Score
from evergreen.settings import PerformanceSettings

GROWTH = np.array([0.02, 0.05, 0.1, 0.2, 0.4])
MAX_BET = 0.9  # of what could be lost on one row, so that no single row ends a bet
BATCH = 100  # rows; smaller ones alarm more often on healthy rows, larger ones later
DEVIATIONS = 3.0


@dataclass(frozen=True)
class LeakState:
    """All that has to be kept between two batches: five floats, the limit on the loss, and a count.

    Attributes:
        risk: the loss per row that is still allowed, between 0 and 1.
        rows: rows seen so far.
        log_evidence: ln Mk of each of the five bets; −inf before the first row.

    >>> state = LeakState(0.16).with_errors(100, 15)
    >>> state.with_errors(100, 14).evidence < state.with_errors(100, 40).evidence
    True
    """

    risk: float
    rows: int = 0
    log_evidence: tuple[float, ...] = (-math.inf,) * len(GROWTH)

    def with_errors(self, rows: int, errors: int) -> "LeakState":
        """After a batch of rows with so many errors: the loss of a row is 0 or 1."""
        return self.grown(rows, growth_of_errors(rows, np.asarray(errors), self.risk))

    def with_losses(self, losses: np.ndarray) -> "LeakState":
        """After a batch of rows with these losses, (n,) float from 0 to 1."""
        return self.grown(len(losses), growth_of_losses(losses, self.risk))

    def grown(self, rows: int, growth: np.ndarray) -> "LeakState":
        """After a batch by which the logarithm of each bet grew so much, (5,)."""
        grown = growth + np.logaddexp(self.log_evidence, math.log(rows))
        return replace(self, rows=self.rows + rows, log_evidence=tuple(grown.tolist()))

    @property
    def evidence(self) -> float:
        """Mean of the five Mk; on average at most the rows seen, as long as the model holds."""
        top = max(self.log_evidence)
        if top == -math.inf:
            return 0.0
        total = top + math.log(sum(math.exp(value - top) for value in self.log_evidence) / len(GROWTH))
        return math.exp(min(total, 700.0))  # about 1e304; larger is no float any more

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; −inf is None."""
        values = [value if math.isfinite(value) else None for value in self.log_evidence]
        return {"risk": self.risk, "rows": self.rows, "log_evidence": values}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "LeakState":
        """The state that `to_dict` wrote, bit for bit."""
        values = tuple(-math.inf if value is None else value for value in plain["log_evidence"])
        return cls(plain["risk"], plain["rows"], values)


@dataclass(frozen=True)
class Leak:
    """What the e-detector says of a model's labelled rows.

    Attributes:
        alarm: the evidence has reached the limit.
        evidence: at the last complete batch of 100 rows; 1 million says the more, 100 says nothing.
        limit: rows to a false alarm, on average at least.
        rows: labelled rows the evidence rests on.
        since: time or number of the row from which on it grew; None without an alarm.
        metric: whose losses were watched; for accuracy they are the errors.
        allowed, found: mean loss per row that is still allowed, and that of the rows since then (without an alarm, of
            all), in the metric's unit; large losses count as cut at the bound.
    """

    alarm: bool
    evidence: float
    limit: float
    rows: int
    since: str | int | None
    metric: str
    allowed: float
    found: float


def find_leak(
    metric: Metric, baseline: Mapping[str, Score], sample: Sample, keys: np.ndarray, settings: PerformanceSettings
) -> Leak | None:
    """Watch the losses of labelled rows in time order, in batches of 100.

    Only complete batches count, so that looking again after more rows sees the same batches and some more.

    Args:
        metric: what performance is judged by. Where it is no mean over rows, absolute errors are watched in a
            regression, and nothing in a classification: a share of errors moves with the mix of classes too.
        baseline: the model's scores by metric, from its card.
        keys: (n,) time or row number of each row.

    None without a complete batch, without a baseline, or with one that leaves nothing to watch (no spread is known).
    """
    watched = watched_metric(metric)
    batches = len(sample.truth) // BATCH
    if watched is None or watched.losses is None or batches == 0:
        return None
    scale = allowed_loss(watched, baseline.get(watched.name), settings.leak_tolerance)
    if scale is None:
        return None
    risk, bound = scale
    losses = np.minimum(watched.losses(sample)[: batches * BATCH] / bound, 1.0).reshape(batches, BATCH)
    if losses.min() < 0:
        return None
    growth = _growth(losses, risk)
    state = LeakState(risk)
    for batch in growth:
        state = state.grown(BATCH, batch)
    alarm = state.evidence >= settings.labels_per_false_alarm
    start = _start_of_growth(growth[:, int(np.argmax(state.log_evidence))]) if alarm else 0
    return Leak(
        alarm,
        state.evidence,
        settings.labels_per_false_alarm,
        state.rows,
        plain_key(keys[start * BATCH]) if alarm else None,
        watched.name,
        risk * bound,
        float(losses[start:].mean()) * bound,
    )


def watched_metric(metric: Metric) -> Metric | None:
    """The metric whose row losses are watched for this one; None when there is none."""
    if metric.losses is not None:
        return metric
    return METRICS["mae"] if "regression" in metric.tasks and metric.name != "cost" else None


def allowed_loss(metric: Metric, base: Score | None, tolerance: float) -> tuple[float, float] | None:
    """r0, and the bound it is a share of: 1 for scores between 0 and 1, else mean and three deviations.

    The tolerance is in the unit of the score, or for relative metrics a share of the baseline, as `max_drop` is.
    None when that leaves no room between 0 and the bound.
    """
    if base is None or not base.defined:
        return None
    loss = 1 - base.value if metric.higher_is_better else base.value
    bound = loss + DEVIATIONS * base.standard_error * math.sqrt(base.rows) if metric.relative else 1.0
    allowed = loss + base.standard_error + tolerance * (loss if metric.relative else 1.0)
    return (allowed / bound, bound) if 0 < allowed < bound else None


def bets_against(risk: float) -> np.ndarray:
    """λk, (5,): how much each bet wins per unit of loss above the allowed one."""
    return np.minimum(GROWTH / (risk * (1 - risk)), MAX_BET / risk)


def growth_of_errors(rows: int, errors: np.ndarray, risk: float) -> np.ndarray:
    """ln of what the bets win on batches of `rows` rows with so many errors each, shape of `errors` + (5,)."""
    bets, wrong = bets_against(risk), errors[..., None]
    return np.asarray(wrong * np.log1p(bets * (1 - risk)) + (rows - wrong) * np.log1p(-bets * risk))


def growth_of_losses(losses: np.ndarray, risk: float) -> np.ndarray:
    """ln of what the bets win on rows with these losses from 0 to 1; summed over the last axis, which becomes (5,)."""
    return np.stack([np.log1p(bet * (losses - risk)).sum(axis=-1) for bet in bets_against(risk)], axis=-1)


def _growth(losses: np.ndarray, risk: float) -> np.ndarray:
    """Of many batches, (batches, rows) -> (batches, 5); errors have a closed form."""
    if np.isin(losses, (0.0, 1.0)).all():
        return growth_of_errors(losses.shape[1], losses.sum(axis=1), risk)
    return growth_of_losses(losses, risk)


def _start_of_growth(growth: np.ndarray) -> int:
    """The batch from which on a bet has won most: where its fortune was lowest."""
    return int(np.argmin(np.concatenate([[0.0], np.cumsum(growth)[:-1]])))
