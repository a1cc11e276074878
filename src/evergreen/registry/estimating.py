"""The live model on the rows whose labels have not come: what it is probably worth there, and what that is worth."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evergreen.data.batches import Batch
from evergreen.data.schema import conform
from evergreen.data.sources import Table
from evergreen.data.windows import Maturity, key_to_json, to_key
from evergreen.drift.estimation.estimate import Estimate, estimate_performance, no_estimate, score_newest
from evergreen.drift.estimation.track import ScoredEstimate
from evergreen.registry.cards import Card
from evergreen.registry.holdout import read_holdout
from evergreen.registry.journal import Entry
from evergreen.registry.track_record import digest_of_rows, read_scored, score_due
from evergreen.scoring.metrics import metric_named
from evergreen.scoring.predictions import Predictions, predict
from evergreen.settings import Settings
from evergreen.training.admission import OpenedModel


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
    asked = find_waiting(batch, mature)
    if not asked.any():
        return None, scored
    track = (*read_scored(entries), *scored)
    holdout, lacking = read_holdout(card, table, settings.data)
    waiting, judged = batch.rows(asked), mature & batch.labelled
    if holdout is None or not len(holdout):
        found = no_estimate(settings.performance, card.task, len(waiting), lacking, track, settings.root)
    else:
        answered = (holdout, batch.rows(judged), waiting), (answers.take(judged), answers.take(asked))
        found = _estimate(settings, model, card, *answered, track)
    if table.current is not None and not table.time:
        found = replace(found, content=digest_of_rows(waiting, settings))
    start, stop = (key_to_json(to_key(waiting.keys[place])) for place in (0, -1))
    return replace(found, start=start, stop=stop, model=card.digest), scored


def _estimate(
    settings: Settings,
    model: OpenedModel,
    card: Card,
    rows: tuple[Batch, Batch, Batch],
    answers: tuple[Predictions, Predictions],
    track: Sequence[ScoredEstimate],
) -> Estimate:
    """The estimate from the holdout, the rows since with their labels, and those that wait for them."""
    holdout, judged, waiting = rows
    metric, positive = metric_named(settings.performance, card.task, settings.root), card.positive or None
    features = conform(holdout.frame, model.contract)
    known = predict(model.estimator, features, card.task, model.contract.classes)
    labels = np.concatenate([holdout.labels, judged.labels])
    return estimate_performance(
        features,
        known,
        holdout.labels,
        conform(waiting.frame, model.contract),
        answers[1],
        settings=settings.performance,
        task=card.task,
        positive=positive,
        track=track,
        carried=score_newest(metric, labels, join_answers(known, answers[0]), len(waiting), positive),
        root=settings.root,
        seed=settings.training.seed,
    )


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
