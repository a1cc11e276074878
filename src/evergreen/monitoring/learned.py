"""What a classifier finds when it is shown the rows that the live model learned from, and those that came since."""

import logging
from typing import TYPE_CHECKING

from evergreen.data.sources import Table, Window
from evergreen.data.windows import key_from_json
from evergreen.registry.cards import Card
from evergreen.registry.describing import contract_of, kinds_of, last_key_of
from evergreen.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.drift.deep import DeepDrift

logger = logging.getLogger(__name__)


def look_deeper(settings: Settings, card: Card, table: Table, current: "pd.DataFrame") -> "DeepDrift | None":
    """Compare the features of new rows with those of the model's training; None where these are not in the table."""
    from evergreen.drift.deep import compare_rows, in_like_seasons, read_rows

    contract = contract_of(card)
    names = [name for name in contract.features if name in current.columns]
    window = learned_window(card, table)
    timed = [settings.data.time] if settings.drift.season else []
    learned = read_rows(table, [*names, *timed], window) if window else None
    if learned is None or len(learned) == 0:
        logger.warning(
            "The rows that the live model learned from are not in the table: drift.deep has nothing to show."
        )
        return None
    if settings.drift.season:
        learned, current = in_like_seasons(
            learned, current[[*names, *timed]], settings.data.time, settings.drift.season
        )
    return compare_rows(learned, current[names], kinds_of(contract), settings.drift, settings.training.seed)


def learned_window(card: Card, table: Table) -> Window | None:
    """From the model's first training row up to its last (exclusive), as far as the table has not been replaced."""
    first, last = (key_from_json(card.training.get(end)) for end in ("from", "to"))
    kept = last_key_of(card, table)
    if first is None or last is None or kept is None:
        return None
    return Window(first, min(last, kept))
