"""What each policy would have done: the loop run night after night over the past, or a rule without eyes."""

import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.data.batches import read_batch
from evergreen.data.schema import infer_contract
from evergreen.data.sources import Window
from evergreen.data.windows import read_timeline, thin, to_key
from evergreen.errors import DataError, TrainingError, UsageError
from evergreen.files import read_bytes
from evergreen.policy.reasons import ON_ESTIMATES
from evergreen.registry.store import Store
from evergreen.replay.library import Library, Remembered
from evergreen.replay.past import Past
from evergreen.settings import Settings
from evergreen.training.fitting import FitJob, Workshop, job_for

if TYPE_CHECKING:
    from evergreen.data.sources import Table


@dataclass(frozen=True)
class Night:
    """What one run of the loop did.

    `trained` counts a challenger that was meant to go live, `shadow` one that is only watched. `why` is in words, and
    so is what held a wanted retraining back.
    """

    trained: bool
    deployed: bool
    rolled_back: bool
    shadow: bool
    why: str
    failure: str = ""
    held_back: str = ""


RunNight = Callable[[Settings, Store, "Table", str, datetime, Workshop], Night]


@dataclass(frozen=True)
class Play:
    """What a policy did with the past: before each block, and by which model each block was answered.

    Attributes:
        name: of the policy.
        first: the first block that is answered by a model.
        live: for each block from `first` on, the model (its key in the library).
        nights: for each of these blocks, what was done just before it.
    """

    name: str
    first: int
    live: tuple[str, ...]
    nights: tuple[Night, ...]


IDLE = Night(False, False, False, False, "")


def settings_of_play(settings: Settings, past: Past, policy: Mapping[str, Any]) -> Settings:
    """The user's settings under another policy, for a table that is given, each fit on one thread.

    Performance is estimated only where the preset acts on it: an estimate takes longer than all else in a night.

    Raises `UsageError` for models that go on learning: a model of the past is known by its answers only.
    """
    if settings.training.update:
        raise UsageError("A replay fits models anew: play it with --set training.update=false.")
    changes: dict[str, Any] = {"data": past.settings}
    changes["policy"] = settings.policy.model_copy(update={"mode": "auto", **policy})
    changes["training"] = settings.training.model_copy(update={"first_share": 1.0})
    if changes["policy"].preset not in ON_ESTIMATES:
        changes["performance"] = settings.performance.model_copy(update={"estimate": "off"})
    changes["alerts"] = settings.alerts.model_copy(update={"events": ()})
    changes["compute"] = settings.compute.model_copy(update={"backend": "loky", "address": "", "jobs": 1})
    return settings.model_copy(update=changes)


def play_loop(name: str, settings: Settings, library: Library, first: int, run_night: RunNight) -> Play:
    """Run the loop before every block from `first` on; `settings` are those of `settings_of_play`."""
    past = library.past
    live: list[str] = []
    nights: list[Night] = []
    with temporary_store(settings) as (own, store):
        for block in range(first, past.blocks):
            night = run_night(own, store, past.before(block), run_name(block), past.moment(block), library)
            nights.append(night)
            live.append(live_key(store))
    return Play(name, first, tuple(live), tuple(nights))


@contextmanager
def temporary_store(settings: Settings) -> Iterator[tuple[Settings, Store]]:
    """An empty store, and the settings that lead to it.

    Its pickles will be notes: the models themselves are in the library, as numbers.
    """
    with tempfile.TemporaryDirectory(prefix="evergreen-replay-") as scratch:
        registry = settings.registry.model_copy(update={"folder": str(Path(scratch) / "model")})
        settings = settings.model_copy(update={"registry": registry})
        yield settings, Store.of(settings)


def run_name(block: int) -> str:
    """What the run before a block is called."""
    return f"block-{block}"


def live_key(store: Store) -> str:
    """The key, in the library, of the store's live model; empty without one."""
    return key_of(read_bytes(store.model_path)) if store.live_digest() else ""


def key_of(content: bytes) -> str:
    """The key of a model of ours from its pickle."""
    model: Remembered = pickle.loads(content)
    return model.key


def find_opening(settings: Settings, library: Library, warm_up: int, run_night: RunNight) -> tuple[int, str]:
    """The first block that a model can be trained for, and that model, with which all policies begin.

    Raises `DataError` when there never is one, with the last night's failure or, if no night was played, why.
    """
    past, failure = library.past, ""
    with temporary_store(settings) as (own, store):
        for block in range(warm_up, past.blocks - 1):
            night = run_night(own, store, past.before(block), run_name(block), past.moment(block), library)
            if key := live_key(store):
                return block, key
            failure = night.failure or night.why
    why = failure or _no_night(past)
    raise DataError(f"{past.name}: no first model could be trained on any part of the past. {why}")


def _no_night(past: Past) -> str:
    """Why no night was played: the labels of the warm-up come with the last block or after it, or it is too long."""
    rows, shown = (int(numbers[-2]) for numbers in (past.edges, past.known))
    if shown == rows:
        return "training.first_share leaves no block to play: choose a smaller one."
    return (
        f"The label delay (--label-delay, or data.label_delay) is too long for it: when the last block begins, "
        f"{shown:,} of {rows:,} rows have shown their label. Choose a shorter delay, or wait for more rows."
    )


def train_on_all(settings: Settings, library: Library, block: int) -> str:
    """A model of all rows whose labels are known before a block, none kept aside; its key, or empty if none can be.

    This is what a plain schedule does: it trains on what there is, and what was trained goes live.
    """
    table = library.past.before(block)
    try:
        fitted = library.fit(_job_of_all(settings, table, round(library.past.edges[-1] / library.past.blocks)))
    except (DataError, TrainingError):
        return ""
    return key_of(fitted.pickle)


def _job_of_all(settings: Settings, table: "Table", block_rows: int) -> FitJob:
    timeline = read_timeline(table, settings.data)
    until = int(np.flatnonzero(timeline.labelled)[-1]) + 1 if timeline.labelled.any() else 0
    if until < settings.training.min_holdout:
        raise DataError("too few labelled rows")
    window = Window(None, to_key(timeline.keys[until]) if until < len(timeline.keys) else None)
    contract = infer_contract(table, settings.data, window)
    batch = read_batch(table, window, contract.features, settings.data, contract.task).labelled_rows()
    batch = batch.rows(thin(len(batch), settings.training.max_rows, settings.training.seed))
    return job_for(batch, contract, settings, window_rows=block_rows)


def play_rule(name: str, first: int, models: Mapping[int, str], blocks: int, period: int) -> Play:
    """A rule without eyes: every `period` blocks a model of all known rows takes over, unasked; 0 means never.

    `models` are the first model, by its block, and those of `train_on_all`.
    """
    live, nights, key = [], [], models[first]
    for block in range(first, blocks):
        trained = period > 0 and block > first and (block - first) % period == 0
        key = (models[block] or key) if trained else key
        live.append(key)
        nights.append(Night(True, bool(models[block]), False, False, "the schedule") if trained else IDLE)
    return Play(name, first, tuple(live), tuple(nights))
