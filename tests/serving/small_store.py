"""A small store with a real contract and real models, and a real server over it on loopback."""

import contextlib
import pickle
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import uvicorn
from sklearn.dummy import DummyRegressor

from evergreen.data.schema import conform, infer_contract
from evergreen.data.sources import open_table
from evergreen.files import digest_of
from evergreen.registry.cards import Card
from evergreen.registry.store import Store
from evergreen.settings import DataSettings, RegistrySettings, Settings, TrainingSettings
from evergreen.training.estimators import build_estimator

NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
GOOD_ROW = {"age": 42, "income": 31000.5, "member": True, "plan": "basic"}


def customers(rows=600, target="churned", seed=7):
    """A table of every kind of column, with missing values, and a target that follows from it."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(rows) + 10_000,
            "age": random.integers(18, 90, rows),
            "income": np.where(random.random(rows) < 0.1, np.nan, random.normal(30_000, 8_000, rows).round(1)),
            "member": random.random(rows) < 0.5,
            "plan": random.choice(["basic", "plus", "pro"], rows),
        }
    )
    frame["churned"] = (frame["age"] + 20 * (frame["plan"] == "basic") + random.normal(0, 10, rows) > 60).astype(int)
    frame["spend"] = frame["age"] * 2.0 + random.normal(0, 1, rows)
    frame["mood"] = np.where(frame["churned"] == 1, "grumpy", "happy")
    frame["gone"] = frame["churned"] == 1
    return frame.drop(columns={"churned", "spend", "mood", "gone"} - {target})


def contract_of(frame, folder, target="churned"):
    path = folder / f"{target}.csv"
    frame.to_csv(path, index=False)
    settings = DataSettings(target=target, identifiers=("customer_id",))
    return infer_contract(open_table(str(path), settings, folder), settings)


def card_of(content, contract, version=1):
    task = contract.task
    return Card(
        digest=digest_of(content),
        version=version,
        created=NOW.isoformat(),
        task=task,
        target=contract.target.name,
        classes=contract.classes,
        contract=contract.to_dict(),
        profile={},
        baseline={"accuracy" if task == "classification" else "mae": {"value": 0.8}},
        seen_until=None,
        libraries={},
    )


def train(frame, contract):
    """The default model of the toolkit, quickly."""
    target = contract.target.name
    training = TrainingSettings(params={"max_iter": 10})
    model = build_estimator(training, contract, contract.task, 0, Path())
    return model.fit(conform(frame, contract), frame[target])


def constant_model(version):
    """A regression model whose prediction is its version."""
    return DummyRegressor(strategy="constant", constant=float(version)).fit([[0]], [0.0])


class SmallStore:
    """A store to deploy models to, and the settings of a server over it."""

    def __init__(self, folder):
        self.settings = Settings(root=folder)
        self.store = Store(folder / "model", RegistrySettings())
        self.deploys = 0

    def deploy(self, model, contract, version=1):
        content = pickle.dumps(model, protocol=5)
        card = card_of(content, contract, version)
        self.deploys += 1
        with self.store.lock():
            self.store.stage(content, card)
            now = NOW + timedelta(minutes=self.deploys)
            live = self.store.live_digest()
            self.store.deploy(card.digest, expected_live=live, now=now, reason="test", actor="tests")
        return card


@contextlib.contextmanager
def server_of(app):
    """The app behind a real uvicorn on a free port of loopback; gives its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
