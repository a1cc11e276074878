"""The rows on which two models can be compared fairly: labelled, new to both, and no biased choice."""

from typing import Any

import numpy as np

from evergreen.data.batches import Batch, read_batch
from evergreen.data.quality import can_answer
from evergreen.data.sources import Table, Window
from evergreen.data.windows import Maturity, current_window, find_maturity, read_timeline
from evergreen.drift.label_bias import chosen_with_bias
from evergreen.registry.cards import Card
from evergreen.registry.describing import contract_of, key_fits, last_key_of
from evergreen.settings import Settings
from evergreen.training.admission import OpenedModel


def can_take_part(card: Card, table: Table, settings: Settings) -> bool:
    """Whether a table has what a model wants, and tells which of its rows are new to it."""
    return key_fits(card, table) and can_answer(table, contract_of(card), settings.data)


def find_stretch(table: Table, cards: tuple[Card, Card], settings: Settings) -> tuple[Window, Maturity]:
    """The rows after the last of both models, and how far their labels are complete.

    A current table that comes back may be new to one of the two and old to the other.
    """
    seen: list[Any] = [key for card in cards if (key := last_key_of(card, table)) is not None]
    timeline = read_timeline(table, settings.data)
    window = current_window(timeline, max(seen, default=None), settings.data)
    return window, find_maturity(timeline, window, settings.data)


def read_contest(
    table: Table, cards: tuple[Card, Card], models: tuple[OpenedModel, OpenedModel], settings: Settings
) -> Batch:
    """These rows, with the features that either model wants; none while no labels are complete.

    And none where the labels so far are a biased choice, by the answers of either model: a predecessor that is
    better on early positives alone must not come back because of them.
    """
    window, maturity = find_stretch(table, cards, settings)
    features = sorted({name for model in models for name in model.contract.features})
    batch = read_batch(table, window, features, settings.data, cards[0].task)
    stretch = batch.rows(batch.mature(maturity))
    if any(_is_biased(model, stretch, cards[0].task, settings) for model in models):
        return stretch.rows(stretch.labelled & False)
    return stretch.labelled_rows()


def _is_biased(model: OpenedModel, stretch: Batch, task: str, settings: Settings) -> bool:
    if stretch.labelled.all():
        return False
    answers = model.answer(stretch, task).predictions
    return chosen_with_bias(answers, stretch.labelled, np.ones(len(stretch), bool), settings.performance.max_drop)
