"""A challenger in shadow: trained like any other, never live, asked about the same rows as the live model.

It was trained for that, or it is one whose comparison could not be decided. It has a folder of its own, apart from
challengers that wait for approval. Only the last one is kept, and it is forgotten as soon as another model goes live
or the next challenger is tried: then it has said what it had to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from evergreen import files
from evergreen.data.batches import Batch
from evergreen.data.sources import Table
from evergreen.drift.excess import ShadowFinding, weigh_shadow
from evergreen.errors import IntegrityError
from evergreen.monitoring.accounts import open_account, runs_since_live, window_ends
from evergreen.monitoring.contest import can_take_part, read_contest
from evergreen.registry import cards
from evergreen.registry.backups import read_if_intact
from evergreen.registry.cards import Card
from evergreen.registry.describing import contract_of, open_model
from evergreen.registry.journal import GOES_LIVE, Entry
from evergreen.registry.store import Store
from evergreen.settings import PolicySettings, Settings
from evergreen.training.admission import OpenedModel

FOLDER = "shadow"
EVENT = "shadow"


@dataclass(frozen=True)
class Shadow:
    """The challenger in shadow, opened, and its card."""

    model: OpenedModel
    card: Card


def shadow_folder(store: Store) -> Path:
    """Where the challenger in shadow lies."""
    return store.folder / FOLDER


def keep_shadow(store: Store, content: bytes, card: Card, *, now: datetime, run: str) -> None:
    """Keep a challenger to be watched, in place of the one before; the caller holds the store's lock."""
    forget_shadow(store)
    folder = shadow_folder(store)
    files.write_atomic(folder / f"{card.digest}.pkl", content)
    cards.write_card(folder, card)
    store.record(EVENT, now, digest=card.digest, run=run, kept=True)


def refuse_shadow(store: Store, reasons: Sequence[str], *, now: datetime, run: str) -> None:
    """Record that a challenger for the shadow did not pass the safety gates."""
    store.record(EVENT, now, digest=None, run=run, kept=False, reason=" ".join(reasons))


def forget_shadow(store: Store) -> None:
    """Remove what is in shadow, and what a crash has left there."""
    for path in shadow_folder(store).glob("*"):
        files.remove(path)


def shadow_on_record(entries: Sequence[Entry]) -> str | None:
    """The digest of the challenger in shadow; None when there is none, or its time is over."""
    tried = None  # the last run that tried a challenger: its line follows what it did, so the shadow may be its own
    for entry in reversed(entries):
        if entry.event in GOES_LIVE:
            return None
        if entry.event == EVENT:
            return entry.get("digest") if tried in (None, entry.get("run")) else None
        if entry.event == "run" and entry.get("retrained"):
            tried = tried or entry.get("run")
    return None


def shadow_is_due(store: Store, policy: PolicySettings) -> bool:
    """Whether another challenger is to be trained for the shadow: so many runs with news have passed, or it is gone.

    The run that trained the one before is the first of them: its line follows what it did. A mode that never
    retrains has no use for one.
    """
    if policy.preset != "cost" or policy.shadow_every == 0 or policy.mode == "advise":
        return False
    entries = store.entries()
    digest = shadow_on_record(entries)
    if digest is not None and not _pickle_of(store, digest).exists():
        return True
    passed = 0
    for entry in reversed(entries):
        if entry.event in (EVENT, *GOES_LIVE) or (entry.event == "run" and entry.get("retrained")):
            break
        passed += entry.event == "run" and bool(entry.get("news"))
    return passed >= policy.shadow_every


def _pickle_of(store: Store, digest: str) -> Path:
    return cards.card_path(shadow_folder(store), digest).with_suffix(".pkl")


def open_shadow(store: Store) -> Shadow | None:
    """The challenger in shadow, from the very bytes that are on record; forgotten when its time is over."""
    digest = shadow_on_record(store.entries())
    if digest is None:
        forget_shadow(store)
        return None
    content = read_if_intact(_pickle_of(store, digest), digest)
    if content is None:
        return None
    try:
        card = cards.read_card(shadow_folder(store), digest)
    except IntegrityError:
        return None
    return Shadow(OpenedModel(digest, cards.open_model(content, card), contract_of(card)), card)


def watch_shadow(settings: Settings, store: Store, table: Table) -> ShadowFinding | None:
    """What the challenger in shadow would have saved on the labelled rows that neither it nor the live model has seen.

    None when there is no shadow, the table lacks what it wants, or no labelled rows have come since.
    """
    shadow = open_shadow(store)
    if shadow is None:
        return None
    champion, card = open_model(store)
    if not can_take_part(shadow.card, table, settings):
        return None
    rows = read_contest(table, (card, shadow.card), (champion, shadow.model), settings)
    known = {"digest": shadow.card.digest, "trained": shadow.card.created}
    costs = [_costs_of(model, rows, card, settings) for model in (champion, shadow.model)]
    ends = window_ends(rows.keys, runs_since_live(store.entries())) if len(rows) else []
    return weigh_shadow(costs[0], costs[1], ends, **known)


def _costs_of(model: OpenedModel, rows: Batch, card: Card, settings: Settings) -> np.ndarray:
    """In the unit of the live model's card; none where it tells none."""
    account = open_account(settings, card, rows, model.answer(rows, card.task).predictions) if len(rows) else None
    return account.costs if account else np.empty(0)


def shadow_document(
    finding: ShadowFinding | None, trained: Sequence[str], policy: PolicySettings
) -> dict[str, Any] | None:
    """The part of a run's document that tells of it; `trained` says what became of one trained in this run.

    None when nothing is in shadow and nothing was to be.
    """
    if finding is None and not trained:
        return None
    watched = finding or ShadowFinding(0.0, 0)
    seen = (
        f"The challenger in shadow since {watched.trained} would have saved {watched.advantage:.3g} on "
        f"{watched.rows:,} labelled rows; {policy.retrain_cost:g} would pay for a retraining."
    )
    return {
        "digest": watched.digest or None,
        "since": watched.trained or None,
        "rows": watched.rows,
        "advantage": watched.advantage,
        "limit": policy.retrain_cost,
        "reasons": [*([seen] if finding else []), *trained],
    }
