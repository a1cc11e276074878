"""The rows on which two models can be compared fairly: labelled, and new to both."""

from typing import Any

from evergreen.data.batches import Batch, read_batch
from evergreen.data.schema import Contract
from evergreen.data.sources import Table, Window
from evergreen.data.windows import Maturity, current_window, find_maturity, read_timeline
from evergreen.registry.cards import Card
from evergreen.registry.describing import last_key_of
from evergreen.settings import Settings


def find_stretch(table: Table, cards: tuple[Card, Card], settings: Settings) -> tuple[Window, Maturity]:
    """The rows after the last of both models, and how far their labels are complete.

    A current table that comes back may be new to one of the two and old to the other.
    """
    seen: list[Any] = [key for card in cards if (key := last_key_of(card, table)) is not None]
    timeline = read_timeline(table, settings.data)
    window = current_window(timeline, max(seen, default=None), settings.data)
    return window, find_maturity(timeline, window, settings.data)


def read_contest(
    table: Table, cards: tuple[Card, Card], contracts: tuple[Contract, Contract], settings: Settings
) -> Batch:
    """These rows, with the features that either model wants; empty while no labels are complete."""
    window, maturity = find_stretch(table, cards, settings)
    features = sorted({name for contract in contracts for name in contract.features})
    batch = read_batch(table, window, features, settings.data, cards[0].task)
    return batch.rows(batch.labelled & batch.mature(maturity))
