"""A run on a copy of the state: everything is done, nothing is changed."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evergreen.settings import Settings

# The pickle first, the cards after it: a deploy in between still leaves the copied pickle its card.
STATE = ("model.pkl", "history.jsonl", "cards", "model_backups", "shadow")


@contextmanager
def rehearse(settings: Settings) -> Iterator[Settings]:
    """The same settings with models and reports in a temporary folder, and without alerts."""
    folder = settings.path(settings.registry.folder)
    with tempfile.TemporaryDirectory(prefix="evergreen-dry-run-") as scratch:
        copy = Path(scratch) / "model"
        copy.mkdir()
        for source in (folder / name for name in STATE):
            if source.is_dir():
                shutil.copytree(source, copy / source.name)
            elif source.exists():
                shutil.copy2(source, copy / source.name)
        changes = {
            "registry": settings.registry.model_copy(update={"folder": str(copy)}),
            "reports": settings.reports.model_copy(update={"folder": str(Path(scratch) / "reports")}),
            "alerts": settings.alerts.model_copy(update={"events": ()}),
        }
        yield settings.model_copy(update=changes)
