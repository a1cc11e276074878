"""The live model on the rows whose labels have not come: what it is probably worth there, and what that is worth."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evergreen.data.batches import Batch
from evergreen.data.schema import conform
from evergreen.data.sources import Table
from evergreen.data.windows import Maturity, key_to_json, to_key
from evergreen.drift.estimation.estimate import (
    MAX_ROWS,
    MIN_REFERENCE,
    Estimate,
    estimate_performance,
    no_estimate,
)
from evergreen.drift.estimation.track import ScoredEstimate
from evergreen.drift.label_bias import chosen_with_bias
from evergreen.monitoring.holdout import read_holdout
from evergreen.monitoring.track_record import digest_of_rows, read_scored, score_due
from evergreen.registry.cards import Card
from evergreen.registry.journal import Entry
from evergreen.scoring.metrics import metric_named
from evergreen.scoring.predictions import Predictions, predict
from evergreen.settings import Settings
from evergreen.training.admission import OpenedModel

PARTS = ("labels", "labelled", "keys")  # of a batch, beside its frame


def estimate_waiting(
    settings: Settings,
    entries: tuple[Entry, ...],
    table: Table,
    model: OpenedModel,
    card: Card,
    batch: Batch,
    answers: Predictions,
    maturity: Maturity,
) -> tuple[Estimate | None, tuple[ScoredEstimate, ...]]:
    """The estimate for the rows after the mature stretch, and the earlier estimates that could be scored now.

    Args:
        batch, answers: the rows that the model has not seen, at least one, and what it says of them.
        maturity: how far their labels are complete.

    There is no estimate where every row has its label or will never get one, or `performance.estimate` is "off".
    """
    if settings.performance.estimate == "off":
        return None, ()
    metric, positive = metric_named(settings.performance, card.task, settings.root), card.positive or None
    mature = batch.mature(maturity)
    scored = score_due(entries, card.digest, batch, answers, metric, settings, positive)
    judged = find_judged(batch, answers, maturity, settings.performance.max_drop)
    asked = find_waiting(batch, mature)
    if not asked.any():
        return None, scored
    track = (*read_scored(entries), *scored)
    holdout, lacking = read_holdout(card, table, settings.data)
    waiting = batch.rows(asked)
    known, said = join_known(holdout, model, card, batch.rows(judged), answers.take(judged))
    if holdout is None and len(known) < MIN_REFERENCE:
        since = f", and {len(known):,} of {MIN_REFERENCE:,} labelled rows have come since" if len(known) else ""
        found = no_estimate(settings.performance, card.task, len(waiting), lacking + since, track, settings.root)
    else:
        found = _estimate(settings, model, card, (known, waiting), (said, answers.take(asked)), track)
    if table.current is not None and not table.time:
        found = replace(found, content=digest_of_rows(waiting, settings))
    start, stop = (key_to_json(to_key(waiting.keys[place])) for place in (0, -1))
    return replace(found, start=start, stop=stop, model=card.digest), scored


def _estimate(
    settings: Settings,
    model: OpenedModel,
    card: Card,
    rows: tuple[Batch, Batch],
    answers: tuple[Predictions, Predictions],
    track: Sequence[ScoredEstimate],
) -> Estimate:
    """The estimate from the rows whose labels are known, for those that wait for them."""
    known, waiting = rows
    return estimate_performance(
        conform(known.frame, model.contract),
        answers[0],
        known.labels,
        conform(waiting.frame, model.contract),
        answers[1],
        settings=settings.performance,
        task=card.task,
        positive=card.positive or None,
        track=track,
        baseline=_baseline_of(card, settings),
        root=settings.root,
        seed=settings.training.seed,
    )


def _baseline_of(card: Card, settings: Settings) -> float | None:
    """What the model has shown on the rows it was admitted on; None where it may have learned them."""
    score = card.baseline.get(metric_named(settings.performance, card.task, settings.root).name)
    return None if score is None or card.training.get("baseline_may_be_in_sample") else score["value"]


def join_known(
    holdout: Batch | None, model: OpenedModel, card: Card, judged: Batch, answers: Predictions
) -> tuple[Batch, Predictions]:
    """The newest labelled rows that a model was not trained on, at most 10,000, and what it says of them.

    Args:
        holdout: the rows it was admitted on; None where they are gone, or it has learned them too.
        judged, answers: those since whose labels are complete, and its answers for them.
    """
    import pandas as pd

    known, said = judged, answers
    if holdout is not None:
        shown = predict(model.estimator, conform(holdout.frame, model.contract), card.task, model.contract.classes)
        parts = (np.concatenate([getattr(each, name) for each in (holdout, judged)]) for name in PARTS)
        known = Batch(pd.concat([holdout.frame, judged.frame], ignore_index=True), *parts)
        said = join_answers(shown, answers)
    newest = np.arange(len(known))[-MAX_ROWS:]
    return known.rows(newest), said.take(newest)


def find_judged(batch: Batch, answers: Predictions, maturity: Maturity, max_drop: float) -> np.ndarray:
    """Mask of the rows that a model may be judged by: labelled, mature, and no biased choice of them."""
    mature = batch.mature(maturity)
    biased = chosen_with_bias(answers, batch.labelled, mature, max_drop)
    return np.zeros(len(batch), bool) if biased else mature & batch.labelled


def find_waiting(batch: Batch, mature: np.ndarray) -> np.ndarray:
    """Mask of the rows to estimate for: those after the mature ones, from the first one without its label on."""
    asked = ~mature
    unlabelled = np.flatnonzero(asked & ~batch.labelled)
    asked[: unlabelled[0] if len(unlabelled) else len(batch)] = False
    return asked


def join_answers(first: Predictions, then: Predictions) -> Predictions:
    """The answers of one model for two stretches of rows, one after the other."""
    probabilities = None
    if first.probabilities is not None and then.probabilities is not None:
        probabilities = np.concatenate([first.probabilities, then.probabilities])
    return Predictions(np.concatenate([first.values, then.values]), probabilities, first.classes)
