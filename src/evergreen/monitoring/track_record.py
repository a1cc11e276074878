"""The estimates of earlier runs, from the journal, held against the labels that have come since.

Each run's line keeps the estimate it made and the earlier ones that it could score. An estimate is scored
once, in the first run in which the labels of all its rows are mature, while the model that it was made for is
live. Nightly estimates are mostly of the same rows: of several with rows in common the one with the most rows is
scored and the others never are, so that the record counts windows of rows and not nights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evergreen.data.batches import Batch
from evergreen.data.rows import digest_rows
from evergreen.data.sources import Window
from evergreen.data.windows import Timeline, find_maturity, to_key
from evergreen.drift.estimation.track import ScoredEstimate
from evergreen.drift.label_bias import chosen_with_bias
from evergreen.registry.journal import Entry, past_runs
from evergreen.scoring.metrics import Metric, sample_rows
from evergreen.scoring.predictions import Predictions
from evergreen.settings import Settings


@dataclass(frozen=True)
class PastEstimate:
    """An estimate as the journal remembers it: for which rows of which model, and what was said.

    `content` is the digest of the rows, kept where row numbers alone don't tell which rows they are.
    """

    metric: str
    value: float
    baseline: float
    carried: float
    rows: int
    start: str | int
    stop: str | int
    model: str
    content: str


def share_rows(one: PastEstimate | ScoredEstimate, other: PastEstimate | ScoredEstimate) -> bool:
    """Whether two windows overlap. ISO texts sort as their times do; a time and a row number never meet."""
    ends: list[Any] = [one.start, one.stop, other.start, other.stop]
    return type(one.start) is type(other.start) and ends[2] <= ends[1] and ends[0] <= ends[3]


def read_scored(entries: Sequence[Entry]) -> tuple[ScoredEstimate, ...]:
    """Every scored estimate of the journal, of whatever model, oldest first."""
    lines = past_runs(tuple(entries))
    return tuple(ScoredEstimate.from_dict(each) for line in lines for each in line.get("scored") or ())


def read_estimates(entries: Sequence[Entry], model: str) -> tuple[PastEstimate, ...]:
    """The estimates that were made for one model, oldest first."""
    lines = (line.get("estimate") for line in past_runs(tuple(entries)))
    return tuple(_read_estimate(line) for line in lines if line and line["model"] == model)


def _read_estimate(line: Mapping[str, Any]) -> PastEstimate:
    return PastEstimate(
        metric=line["metric"],
        value=line["value"],
        baseline=line["baseline"],
        carried=line["carried"],
        rows=line["rows"],
        start=line["from"],
        stop=line["to"],
        model=line["model"],
        content=line.get("content") or "",
    )


def score_due(
    entries: Sequence[Entry],
    model: str,
    batch: Batch,
    answers: Predictions,
    metric: Metric,
    settings: Settings,
    positive: str | None,
) -> tuple[ScoredEstimate, ...]:
    """The estimates that can be scored now and never were, in the order of their rows.

    Args:
        batch, answers: the rows that the live model has not seen, and what it says of them.
    """
    counted: list[PastEstimate | ScoredEstimate] = [
        each for each in read_scored(entries) if _still_there(each, batch, settings)
    ]
    scored: list[ScoredEstimate] = []
    past = reversed(read_estimates(entries, model))
    for estimate in sorted(past, key=lambda each: -each.rows):  # of equally long ones the newest comes first
        if estimate.metric != metric.name or any(share_rows(estimate, other) for other in counted):
            continue
        rows = _find_rows(estimate, batch)
        if not _complete(estimate, batch, rows, settings):
            continue
        if chosen_with_bias(answers, batch.labelled, rows, settings.performance.max_drop):
            continue
        judged = rows & batch.labelled
        realised = metric.measure(sample_rows(batch.labels[judged], answers.take(judged), positive)).value
        if np.isfinite(realised):
            counted.append(estimate)
            scored.append(_score(estimate, float(realised), int(judged.sum())))
    return tuple(sorted(scored, key=lambda each: each.start))  # type: ignore[arg-type,return-value]


def _still_there(scored: ScoredEstimate, batch: Batch, settings: Settings) -> bool:
    """Whether a window that has been scored may have rows in this table.

    Of two tables without a time the current one may be another each night, and its row numbers begin anew.
    """
    if not scored.content:
        return True
    return scored.content == digest_of_rows(batch.rows(_find_rows(scored, batch)), settings)


def _find_rows(estimate: PastEstimate | ScoredEstimate, batch: Batch) -> np.ndarray:
    """Mask of the rows that an estimate was made for; none where its keys are of another kind."""
    if isinstance(estimate.start, str) != (batch.keys.dtype.kind == "M"):
        return np.zeros(len(batch), bool)
    first, last = (np.asarray(key, dtype=batch.keys.dtype) for key in (estimate.start, estimate.stop))
    return np.asarray((batch.keys >= first) & (batch.keys <= last))


def _complete(estimate: PastEstimate, batch: Batch, rows: np.ndarray, settings: Settings) -> bool:
    """Whether all rows of an estimate are there, are the same, and have labels that are complete."""
    if int(rows.sum()) < estimate.rows:
        return False
    last = np.flatnonzero(rows)[-1]
    stop = None if last + 1 == len(batch) else to_key(batch.keys[last + 1])
    window = Window(to_key(batch.keys[np.argmax(rows)]), stop)
    maturity = find_maturity(Timeline(batch.keys, batch.labelled), window, settings.data)
    needed = max(settings.performance.min_labels, settings.data.min_coverage * rows.sum())
    return (
        maturity.until is None
        and maturity.labelled_rows >= needed
        and estimate.content in ("", digest_of_rows(batch.rows(rows), settings))
    )


def digest_of_rows(batch: Batch, settings: Settings) -> str:
    """Which rows these are, whatever has become of their labels."""
    return digest_rows(batch.frame.drop(columns=settings.data.target, errors="ignore"))


def _score(past: PastEstimate, realised: float, rows: int) -> ScoredEstimate:
    return ScoredEstimate(
        metric=past.metric,
        estimate=past.value,
        realised=realised,
        carried=past.carried,
        baseline=past.baseline,
        rows=rows,
        start=past.start,
        stop=past.stop,
        model=past.model,
        content=past.content,
    )
