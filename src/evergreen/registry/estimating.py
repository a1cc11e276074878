"""The live model on the rows whose labels have not come: what it is probably worth there, and what that is worth."""

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
    mature = batch.before(maturity.until) if maturity.labelled_rows else np.zeros(len(batch), bool)
    scored = score_due(entries, card.digest, batch, answers, mature, metric, settings, positive)
    if mature.all():
        return None, scored
    track = (*read_scored(entries), *scored)
    holdout, lacking = read_holdout(card, table, settings.data)
    waiting = batch.rows(~mature)
    if holdout is None or not len(holdout):
        found = no_estimate(settings.performance, card.task, len(waiting), lacking, track, settings.root)
        return _place(found, waiting, card), scored
    known = predict(model.estimator, conform(holdout.frame, model.contract), card.task, model.contract.classes)
    judged = mature & batch.labelled
    carried = score_newest(
        metric,
        np.concatenate([holdout.labels, batch.labels[judged]]),
        join_answers(known, answers.take(judged)),
        len(waiting),
        positive,
    )
    found = estimate_performance(
        conform(holdout.frame, model.contract),
        known,
        holdout.labels,
        conform(waiting.frame, model.contract),
        answers.take(~mature),
        settings=settings.performance,
        task=card.task,
        positive=positive,
        track=track,
        carried=carried,
        root=settings.root,
        seed=settings.training.seed,
    )
    content = digest_of_rows(waiting, settings) if table.current is not None and not table.time else ""
    return replace(_place(found, waiting, card), content=content), scored


def join_answers(first: Predictions, then: Predictions) -> Predictions:
    """The answers of one model for two stretches of rows, one after the other."""
    probabilities = None
    if first.probabilities is not None and then.probabilities is not None:
        probabilities = np.concatenate([first.probabilities, then.probabilities])
    return Predictions(np.concatenate([first.values, then.values]), probabilities, first.classes)


def _place(found: Estimate, rows: Batch, card: Card) -> Estimate:
    """The estimate with which rows of which model it is of."""
    start, stop = (key_to_json(to_key(rows.keys[place])) for place in (0, -1))
    return replace(found, start=start, stop=stop, model=card.digest)
