"""The model before the live one stays on watch: if later labels show that it was better, it takes its place back."""

import math
from dataclasses import dataclass
from datetime import datetime

from evergreen.data.quality import check_target
from evergreen.data.sources import Table
from evergreen.monitoring.contest import can_take_part, find_stretch, read_contest
from evergreen.registry.cards import read_card
from evergreen.registry.comparisons import write_comparison
from evergreen.registry.describing import open_model
from evergreen.registry.journal import GOES_LIVE, Entry
from evergreen.registry.store import Store
from evergreen.scoring.metrics import metric_named
from evergreen.settings import Settings
from evergreen.training.admission import compare
from evergreen.training.comparison import Comparison


@dataclass(frozen=True)
class Watch:
    """How the predecessor does on the labelled rows that neither it nor the live model has seen."""

    rolled_back: bool
    comparison: Comparison

    @property
    def gained(self) -> bool | None:
        """Whether the live model does better than the one it replaced; None when the rows can't tell."""
        gain = self.comparison.gain
        return gain < 0 if math.isfinite(gain) else None


def watch_predecessor(
    settings: Settings, store: Store, table: Table, *, run: str, now: datetime, actor: str
) -> Watch | None:
    """Compare the live model with the one before on the rows since; roll back when the predecessor is surely better.

    None when there is nothing to watch: no predecessor, the live model came by hand, too few labels yet or a biased
    choice of them, or a table that lacks what one of the two wants. There is a look in every run, so the k-th may
    spend only alpha / k(k + 1): over all looks together the chance of going back to a model that is no better stays
    below `promotion.alpha`.
    """
    before, since, live = store.predecessor(), _entries_since_deploy(store), store.live()
    if before is None or since is None or live is None:
        return None
    cards = live.card, read_card(store.cards_folder, before)
    if not all(can_take_part(card, table, settings) for card in cards):
        return None
    _, maturity = find_stretch(table, cards, settings)
    if maturity.labelled_rows < settings.promotion.min_rows:
        return None
    (champion, card), (predecessor, older) = open_model(store), open_model(store, before)
    check_target(table, settings.data, champion.contract)
    rows = read_contest(table, (card, older), (champion, predecessor), settings)
    if len(rows) < settings.promotion.min_rows:
        return None
    look = 1 + sum(entry.event == "run" and bool(entry.get("watched")) for entry in since)
    strict = settings.promotion.model_copy(update={"gate": "superior"})
    found = compare(
        champion.answer(rows, card.task),
        predecessor.answer(rows, card.task),
        rows,
        settings.model_copy(update={"promotion": strict}),
        metric_named(settings.performance, card.task, settings.root),
        candidates=look * (look + 1),
    )
    better = found.winner == "challenger"
    record = {"format": 1, "run": f"{run}.watch", "look": look, "comparison": found.to_dict(), "rolled_back": better}
    write_comparison(store.folder, f"{run}.watch", record)
    if better:
        reason = "The model before it is surely better on the rows since. " + " ".join(found.reasons)
        store.rollback(now=now, reason=reason, actor=actor, expected_live=card.digest, run=run)
    return Watch(better, found)


def _entries_since_deploy(store: Store) -> tuple[Entry, ...] | None:
    """The journal since the live model was deployed; None when it came to be live in another way."""
    entries = store.entries()
    places = [place for place, entry in enumerate(entries) if entry.event in GOES_LIVE]
    return entries[places[-1] :] if places and entries[places[-1]].event == "deploy" else None
