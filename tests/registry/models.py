"""Small stand-ins for models and cards: what the registry does with them depends only on their bytes."""

import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path

from evergreen.files import digest_of
from evergreen.registry.cards import Card
from evergreen.registry.store import Store
from evergreen.settings import RegistrySettings

START = datetime(2026, 11, 21, 20, 9, 39, tzinfo=UTC)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def make_pickle(name: str) -> bytes:
    return pickle.dumps({"name": name, "weights": list(range(300))})


def make_card(content: bytes, version: int = 1, **more: object) -> Card:
    known = {
        "created": "2026-11-21T20:09:39Z",
        "task": "classification",
        "target": "churned",
        "contract": {},
        "profile": {},
        "baseline": {"accuracy": {"metric": "accuracy", "value": 0.85, "low": 0.83, "high": 0.87, "rows": 1000}},
        "seen_until": "2026-11-20T00:00:00",
    }
    return Card(digest=digest_of(content), version=version, **{**known, **more})


def open_store(folder: Path, **settings: object) -> Store:
    return Store(folder, RegistrySettings(**settings))


def put_live(store: Store, name: str, hours: float = 0, **more: object) -> str:
    """Stage and deploy a model the way a run does; returns its digest."""
    content = make_pickle(name)
    live = store.live_digest()
    with store.lock():
        store.reconcile(at(hours))
        store.stage(content, make_card(content, store.next_version(), parent=live, **more))
        store.deploy(digest_of(content), expected_live=live, now=at(hours), reason=f"{name} is better", actor="tester")
    return digest_of(content)
