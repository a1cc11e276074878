"""The labelled rows that a model of the store was not trained on, read again from the table."""

from datetime import datetime, timedelta

from evergreen.data.batches import Batch, read_batch
from evergreen.data.sources import Table, Window
from evergreen.data.windows import key_from_json
from evergreen.registry.cards import Card
from evergreen.registry.describing import contract_of, last_key_of
from evergreen.settings import DataSettings


def read_holdout(card: Card, table: Table, settings: DataSettings) -> tuple[Batch | None, str]:
    """The labelled rows after the model's last training row, up to the last one that its baseline was measured on.

    None, and why in words, where they are not to be had any more: only the very rows of the card count.
    """
    if card.training.get("baseline_may_be_in_sample"):
        return None, "the model was adopted without --trained-until, and may have been trained on all labelled rows"
    if card.training.get("holdout_learned"):
        return None, "the model has learned the rows that were kept aside as well (training.learn_holdout)"
    if card.training.get("to") is None or card.seen_until is None:
        return None, "the model's card does not say on which rows it was trained"
    first, last = key_from_json(card.training["to"]), key_from_json(card.seen_until)
    if last_key_of(card, table) != last:
        return None, "the table with the model's holdout has been replaced by another one"
    batch = read_batch(table, Window(_after(first), _after(last)), contract_of(card).features, settings, card.task)
    batch = batch.labelled_rows()
    wanted = int(card.training.get("holdout_rows", 0))
    if len(batch) < wanted:
        return None, f"of the {wanted:,} labelled rows of the model's holdout the table has only {len(batch):,} left"
    return batch, ""


def _after(key: datetime | int | None) -> datetime | int:
    """The next possible key."""
    assert key is not None, "asked for keys that are there"
    return key + timedelta(microseconds=1) if isinstance(key, datetime) else key + 1
