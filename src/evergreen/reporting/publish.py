"""The end of every run: its line in the journal, its reports, its alerts, in the order of what must not be lost."""

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from evergreen.errors import StorageError, UsageError
from evergreen.files import remove, write_atomic
from evergreen.registry.journal import past_runs
from evergreen.registry.store import Store
from evergreen.reporting.alerts import send_alerts
from evergreen.reporting.documents import jsonable, plain, showable, to_json
from evergreen.reporting.history import build_history, mark_since, summarise_run
from evergreen.reporting.html import render_html
from evergreen.reporting.markdown import render_markdown
from evergreen.reporting.paragraph import summarise
from evergreen.settings import Settings

logger = logging.getLogger(__name__)

RUN_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-z]{1,16}")
ENDINGS = ("json", "html", "md")


def publish(
    document: Mapping[str, Any], settings: Settings, store: Store, *, now: datetime, alert_urls: str
) -> dict[str, Any]:
    """Record a run, write its reports, and tell who wants to know; returns the document with its history.

    The journal must be written. A report that can't be, or an alert that does not arrive, is logged and
    changes nothing about the run.
    """
    drift = mark_since(document.get("drift"), past_runs(store.entries()))
    store.record("run", now, **jsonable(summarise_run(document)))
    told = {**document, "drift": drift, "history": build_history(past_runs(store.entries()))}
    told["summary"] = summarise(showable(told))
    folder = settings.path(settings.reports.folder)
    try:
        told["report"] = str(folder / f"{document['run']}.html")
        write_reports(told, folder, str(document["run"]), settings.reports.keep)
    except StorageError as error:
        told["report"] = None
        logger.warning("the reports could not be written: %s", error)
    send_alerts(told, store.folder / "alerts.json", alert_urls, settings.alerts, now)
    return told


def write_reports(document: Mapping[str, Any], folder: Path, run: str, keep: int) -> dict[str, Path]:
    """Write a run's JSON, HTML and Markdown, point `latest.*` at them, and forget all but the newest `keep` runs.

    Returns the paths of this run's files by ending. Only files named like a run of ours are ever deleted.
    """
    if not RUN_NAME.fullmatch(run):
        raise UsageError(f"'{plain(run, 80)}' can't name a report; expected a run such as 20261121T200939Z-1a2b.")
    contents = {
        "json": to_json(document) + "\n",
        "html": render_html(document),
        "md": render_markdown(document),
    }
    for name in (run, "latest"):
        for ending, content in contents.items():
            write_atomic(folder / f"{name}.{ending}", content)
    _forget_old(folder, keep)
    return {ending: folder / f"{run}.{ending}" for ending in contents}


def _forget_old(folder: Path, keep: int) -> None:
    files = [path for path in folder.iterdir() if RUN_NAME.fullmatch(path.stem) and path.suffix[1:] in ENDINGS]
    newest = sorted({path.stem for path in files}, reverse=True)[:keep]
    for path in files:
        if path.stem not in newest and path.is_file():
            remove(path)
