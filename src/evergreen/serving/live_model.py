"""The model that answers now, and the watch that takes a newly deployed one into service.

A request takes `LiveModel.loaded` once and uses nothing else, so the version in its answer is the version
that predicted, whatever is deployed meanwhile.
"""

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evergreen.data.schema import Contract
from evergreen.errors import EvergreenError
from evergreen.registry.cards import Card
from evergreen.registry.store import Store
from evergreen.serving.metrics import Metrics

LOOK_SECONDS = 1.0  # between two looks at the live file; a look is one stat()
RETRY_SECONDS = 10.0  # before a file that could not be loaded is tried again: its card may have been restored

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A verified model with what belongs to it; never changed, only exchanged as a whole."""

    model: Any
    card: Card
    contract: Contract


class LiveModel:
    """Holds the loaded model and keeps it up to date from a thread of its own.

    `loaded` is the model in service, None until the first one could be loaded. `problem` says why the
    file that is live now is not in service, empty when it is.
    """

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self.store, self.metrics = store, metrics
        self.loaded: LoadedModel | None = None
        self.problem = "no model was loaded yet"
        self._seen: tuple[int, ...] | None = None
        self._retry_at = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="live-model", daemon=True)

    def start(self) -> None:
        """Load the live model, if there is one, and begin to watch."""
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._ended.set()
        self._thread.join()

    def refresh(self) -> None:
        """Load the live model if its file is another than the one seen last, or a failed load is due again."""
        mark = file_mark(self.store.model_path)
        if mark == self._seen and (not self.problem or time.monotonic() < self._retry_at):
            return
        # Marked before it is read: a file exchanged while we read it is looked at again.
        self._seen = mark
        try:
            loaded = load_model(self.store)
        except (EvergreenError, OSError) as error:
            self._keep_last(str(error))
        except Exception as error:  # whatever a model does when it is opened, the one in service goes on
            logger.exception("loading the live model failed unexpectedly")
            self._keep_last(f"{type(error).__name__}: {error}")
        else:
            self._take(loaded)

    def _take(self, loaded: LoadedModel) -> None:
        if self.loaded is None or self.loaded.card.digest != loaded.card.digest:
            self.loaded = loaded  # the one step in which the server goes from the old model to the new
            self.metrics.reloads.inc()
            logger.info("now serving %s", loaded.card.name)
        self.problem = ""
        self.metrics.version.set(loaded.card.version)
        self.metrics.ready.set(1)

    def _keep_last(self, problem: str) -> None:
        if problem != self.problem:  # said once, however often it is tried again
            kept = f"still serving {self.loaded.card.name}" if self.loaded else "nothing to serve"
            logger.error("%s (%s)", problem, kept)
        self.problem = problem
        self._retry_at = time.monotonic() + RETRY_SECONDS
        self.metrics.reload_failures.inc()

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.refresh()


def load_model(store: Store) -> LoadedModel:
    """The live model, verified before it is opened, with its card and contract."""
    model, card = store.load_live()
    return LoadedModel(model, card, Contract.from_dict(card.contract))


def file_mark(path: Path) -> tuple[int, ...] | None:
    """What tells one file at a path from the next; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
