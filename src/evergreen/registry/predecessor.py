"""The model before the live one stays on watch: if later labels show that it was better, it takes its place back."""

from dataclasses import dataclass
from datetime import datetime

from evergreen.data.batches import read_batch
from evergreen.data.quality import can_answer, check_target
from evergreen.data.sources import Table, Window
from evergreen.data.windows import Maturity, current_window, find_maturity, read_timeline
from evergreen.registry.cards import Card, read_card
from evergreen.registry.describing import last_key_of, open_model
from evergreen.registry.journal import GOES_LIVE, Entry
from evergreen.registry.store import Store, write_comparison
from evergreen.scoring.metrics import metric_named
from evergreen.settings import Settings
from evergreen.training.admission import compare
from evergreen.training.comparison import Comparison


@dataclass(frozen=True)
class Watch:
    """How the predecessor does on the labelled rows that neither it nor the live model has seen."""

    rolled_back: bool
    comparison: Comparison


def watch_predecessor(
    settings: Settings, store: Store, table: Table, *, run: str, now: datetime, actor: str
) -> Watch | None:
    """Compare the live model with the one before on the rows since; roll back when the predecessor is surely better.

    None when there is nothing to watch: no predecessor, the live model came by hand, too few labels yet, or
    a table that lacks what one of the two wants. There is a look in every run, so the k-th may spend only
    alpha / k(k + 1): over all looks together the chance of going back to a model that is no better stays
    below `promotion.alpha`.
    """
    before, since, live = store.predecessor(), _entries_since_deploy(store), store.live()
    if before is None or since is None or live is None:
        return None
    window, maturity = _stretch_since(table, (live.card, read_card(store.cards_folder, before)), settings)
    if maturity.labelled_rows < settings.promotion.min_rows:
        return None
    (champion, card), (predecessor, _) = open_model(store), open_model(store, before)
    check_target(table, settings.data, champion.contract)
    if not all(can_answer(table, model.contract, settings.data) for model in (champion, predecessor)):
        return None
    features = sorted({*champion.contract.features, *predecessor.contract.features})
    batch = read_batch(table, window, features, settings.data, card.task)
    rows = batch.rows(batch.labelled & batch.before(maturity.until))
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


def _stretch_since(table: Table, cards: tuple[Card, Card], settings: Settings) -> tuple[Window, Maturity]:
    """The rows after the last of both models, and how far their labels are complete.

    A current table that comes back may be new to the live model and old to the one before.
    """
    live, before = (last_key_of(card, table) for card in cards)
    last = max(live, before) if isinstance(live, int) and isinstance(before, int) else live
    timeline = read_timeline(table, settings.data)
    window = current_window(timeline, last, settings.data)
    return window, find_maturity(timeline, window, settings.data)
