"""The end of every run: its line in the journal, its reports, its alerts, in the order of what must not be lost."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from evergreen.errors import StorageError
from evergreen.registry.journal import past_runs
from evergreen.registry.store import Store
from evergreen.reporting.alerts import send_alerts
from evergreen.reporting.documents import jsonable, write_reports
from evergreen.reporting.history import build_history, summarise_run
from evergreen.settings import Settings

logger = logging.getLogger(__name__)


def publish(
    document: Mapping[str, Any], settings: Settings, store: Store, *, now: datetime, alert_urls: str
) -> dict[str, Any]:
    """Record a run, write its reports, and tell who wants to know; returns the document with its history.

    The journal must be written. A report that can't be, or an alert that does not arrive, is logged and
    changes nothing about the run.
    """
    store.record("run", now, **jsonable(summarise_run(document)))
    told = {**document, "history": build_history(past_runs(store.entries()))}
    folder = settings.path(settings.reports.folder)
    try:
        told["report"] = str(folder / f"{document['run']}.html")
        write_reports(told, folder, str(document["run"]), settings.reports.keep)
    except StorageError as error:
        told["report"] = None
        logger.warning("the reports could not be written: %s", error)
    send_alerts(told, store.folder / "alerts.json", alert_urls, settings.alerts, now)
    return told
