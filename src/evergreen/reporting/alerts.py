"""Who is told what, once: alerts on a change of state, kept and tried again until they arrive.

Drift, lost performance and failing runs are *states*: one alert when they begin, one when they clear.
A deploy, a challenger that waits or is rejected, and a roll-back are *events*: one alert each. An alert is
written to the outbox before it is sent, so that it survives a crash; it can therefore, rarely, arrive twice,
but never not at all while its address works. Nothing here can fail a run or hold it up beyond the time limit.
"""

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from evergreen.errors import IntegrityError
from evergreen.files import digest_of, read_bytes, write_atomic
from evergreen.reporting import words
from evergreen.reporting.documents import showable, to_json
from evergreen.reporting.paragraph import summarise
from evergreen.verdicts import shows_loss

if TYPE_CHECKING:
    from apprise import NotifyBase

    from evergreen.settings import AlertSettings

logger = logging.getLogger(__name__)

NO_LIMIT = 300.0  # seconds; a timeout taken out of the settings must still not hang a nightly run for ever
MAX_BODY = 1500  # the shortest of the common services cut below 2,000 characters


@dataclass(frozen=True)
class Alert:
    """One message: `event` is the configured name it belongs to, `arrived` the addresses that have it."""

    event: str
    title: str
    body: str
    time: str = ""
    arrived: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outbox:
    """What is remembered between runs: the states last told, the alerts not yet everywhere, how many were given up."""

    states: Mapping[str, bool]
    pending: tuple[Alert, ...] = ()
    dropped: int = 0


@dataclass(frozen=True)
class Delivery:
    """What came of sending: alerts that are everywhere now, those still waiting, those given up, failing addresses."""

    arrived: int
    pending: int
    dropped: int
    failing: tuple[str, ...] = ()


def alert_changes(
    document: Mapping[str, Any], previous_states: Mapping[str, bool]
) -> tuple[tuple[Alert, ...], dict[str, bool]]:
    """The alerts that a run gives reason for, and the states to remember for the next one.

    A state that this run could not judge (not enough evidence, nothing new, failed earlier) stays as it was.
    """
    shown = showable(document)
    states = dict(previous_states)
    alerts = []
    for name, (event, is_on, began, ended) in _states(shown).items():
        if is_on is not None and is_on != states.get(name, False):
            alerts.append(_alert(event, began if is_on else ended, shown))
        if is_on is not None:
            states[name] = is_on
    alerts += [_alert(event, title, shown) for event, happened, title in _events(shown) if happened]
    return tuple(alerts), states


def _states(shown: words.Document) -> dict[str, tuple[str, bool | None, str, str]]:
    """State → (event, on / off / unknown, title when it begins, title when it clears)."""
    moved = words.has_data_drift(shown) or words.has_prediction_drift(shown)
    calm = (shown.get("drift") or {}).get("verdict") == "no_drift"
    lost = shows_loss((words.performance_of(shown) or {}).get("verdict"))
    return {
        "failed": ("failed", bool(shown.get("failure")), "RUN FAILED!", "runs succeed again"),
        "bad data": (
            "failed",
            bool(words.blocking_findings(shown)) if shown.get("drift") else None,
            "BAD DATA, nothing is trained",
            "the data can be trusted again",
        ),
        "drift": (
            "drift",
            True if moved else False if calm else None,
            "DATA DRIFT DETECTED!" if words.has_data_drift(shown) else "PREDICTION DRIFT DETECTED!",
            "drift has cleared",
        ),
        "performance": ("drift", lost, "PERFORMANCE DRIFT DETECTED!", "performance is within its limit again"),
    }


def _events(shown: words.Document) -> list[tuple[str, bool, str]]:
    return [
        ("deployed", bool(shown.get("deployed")), "new model deployed"),
        ("deployed", words.outcome_of(shown) == "staged", "a challenger waits for approval"),
        ("rejected", words.is_rejected(shown), "new model rejected"),
        ("rolled_back", bool(shown.get("rolled_back")), "rolled back to the previous model"),
    ]


def _alert(event: str, title: str, shown: words.Document) -> Alert:
    """Plain text: a title that says what, one paragraph that says how much, and where to read on."""
    where = ", ".join(str(shown[key]) for key in ("source", "run", "report") if shown.get(key))
    body = summarise(shown)[:MAX_BODY]
    return Alert(event, f"Evergreen: {title}", f"{body} ({where})" if where else body)


def send_alerts(
    document: Mapping[str, Any], outbox_path: Path, urls: str, settings: "AlertSettings", now: datetime
) -> Delivery:
    """Tell what changed with this run to all addresses in `urls` (as apprise writes them, apart by space or comma).

    Alerts left over from earlier runs go first. Without addresses nothing is done and nothing remembered: the
    first run that has some tells the state of things then.
    """
    if not urls.strip():
        return Delivery(0, 0, 0)
    outbox = read_outbox(outbox_path)
    alerts, states = alert_changes(document, outbox.states)
    wanted = tuple(alert for alert in alerts if alert.event in settings.events)
    return deliver(wanted, outbox_path, replace(outbox, states=states), urls=urls, settings=settings, now=now)


def send_event(alert: Alert, outbox_path: Path, urls: str, settings: "AlertSettings", now: datetime) -> Delivery:
    """Tell one event outside any run, such as a roll-back by hand; the states that runs have told stay as they are."""
    if not urls.strip() or alert.event not in settings.events:
        return Delivery(0, 0, 0)
    return deliver([alert], outbox_path, read_outbox(outbox_path), urls=urls, settings=settings, now=now)


def deliver(
    alerts: Sequence[Alert], outbox_path: Path, outbox: Outbox, *, urls: str, settings: "AlertSettings", now: datetime
) -> Delivery:
    """Send what waits in the outbox, then `alerts`; what doesn't arrive within the time limit waits for the next run.

    Never raises for a failing address, service or disk: that is logged, with the secrets of an address left out.
    """
    queue = [*outbox.pending, *(replace(alert, time=now.isoformat()) for alert in alerts)]
    pending = tuple(queue[-settings.max_pending :])
    outbox = replace(outbox, pending=pending, dropped=outbox.dropped + len(queue) - len(pending))
    _write_outbox(outbox_path, outbox)
    if not pending:
        return Delivery(0, 0, outbox.dropped)
    limit = settings.timeout.total_seconds() if settings.timeout else NO_LIMIT
    services = _open_services(urls, limit)
    arrived = _send_everywhere(pending, services, limit)
    told = [replace(alert, arrived=got) for alert, got in zip(pending, arrived, strict=True)]
    waiting = tuple(alert for alert in told if not services or set(services) - set(alert.arrived))
    _write_outbox(outbox_path, replace(outbox, pending=waiting))
    failing = tuple(address for address in services if any(address not in alert.arrived for alert in waiting))
    for address in failing:
        logger.warning("alerts to %s did not arrive; they are kept and sent again in the next run", address)
    return Delivery(len(told) - len(waiting), len(waiting), outbox.dropped, failing)


def _open_services(urls: str, limit: float) -> dict[str, "NotifyBase"]:
    """The services behind the addresses, by a name that can be shown and stored."""
    import apprise

    for chatty in ("apprise", "urllib3"):  # their logs spell out addresses, and with them tokens
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    asset = apprise.AppriseAsset(app_id="Evergreen", app_desc="Evergreen", app_url="", async_mode=False)
    asset.image_url_mask = asset.image_url_logo = ""  # no picture from the public net in anybody's chat
    box = apprise.Apprise(asset=asset)
    if not box.add(urls):
        logger.warning("an alert address was not understood and is left out; apprise's documentation has the forms")
    for service in box:
        service.socket_connect_timeout = min(service.socket_connect_timeout, limit)
        service.socket_read_timeout = min(service.socket_read_timeout, limit)
    return {_shown_address(service): service for service in box}


def _shown_address(service: "NotifyBase") -> str:
    """Kind and host of a service, and a mark that tells two of them on one host apart; no user, path or token.

    The mark is six digits of a digest: enough to recognise an address, far too few to guess one from.
    """
    masked = urlsplit(service.url(privacy=True))
    host = masked.netloc.rpartition("@")[2]
    named = host if "." in host or ":" in host else ""  # some services carry a key where a host would stand
    mark = digest_of(service.url(privacy=False).encode())[:6]
    return f"{masked.scheme}://{named} #{mark}"


def _send_everywhere(
    alerts: Sequence[Alert], services: Mapping[str, "NotifyBase"], limit: float
) -> list[tuple[str, ...]]:
    """Send to all services side by side, at most `limit` seconds; per alert, the addresses that have it now.

    The threads are daemons: one that hangs in a service (a drip-fed answer outlasts any socket timeout) is left
    behind, and its alert counts as not arrived.
    """
    arrived = [[address for address in alert.arrived if address in services] for alert in alerts]
    stopped = threading.Event()
    senders = [
        threading.Thread(target=_send_to_one, args=(alerts, arrived, address, service, stopped), daemon=True)
        for address, service in services.items()
    ]
    everything = threading.Thread(target=_run_all, args=(senders,), daemon=True)
    everything.start()
    everything.join(limit)
    stopped.set()
    return [tuple(addresses) for addresses in arrived]


def _run_all(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _send_to_one(
    alerts: Sequence[Alert],
    arrived: list[list[str]],
    address: str,
    service: "NotifyBase",
    stopped: threading.Event,
) -> None:
    """Send to one service, oldest first, until one fails: whoever is down now is down for the rest too."""
    for alert, addresses in zip(alerts, arrived, strict=True):
        if address in addresses:
            continue
        if stopped.is_set() or not _notify(service, alert, address):
            return
        addresses.append(address)


def _notify(service: "NotifyBase", alert: Alert, address: str) -> bool:
    """Ask the plug-in itself: apprise's own `notify` sends from a pool of threads that is waited for at exit."""
    try:
        return bool(service.notify(body=alert.body, title=alert.title, body_format="text"))
    except Exception as error:  # a plug-in for somebody's chat must not end a run; its message may hold a token
        logger.warning("sending to %s raised %s", address, type(error).__name__)
        return False


def read_outbox(path: Path) -> Outbox:
    """The outbox of earlier runs; an empty one when there is none, or when it can't be read (which is logged)."""
    try:
        content = json.loads(read_bytes(path))
        pending = tuple(Alert(**item | {"arrived": tuple(item["arrived"])}) for item in content["pending"])
        states = {str(name): bool(on) for name, on in content["states"].items()}
        return Outbox(states, pending, int(content["dropped"]))
    except FileNotFoundError:
        return Outbox({})
    except (IntegrityError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logger.warning("%s: not an outbox of ours (%s); alerts that waited there are lost", path, error)
        return Outbox({})


def _write_outbox(path: Path, outbox: Outbox) -> None:
    try:
        write_atomic(path, to_json({"format": 1, **asdict(outbox)}) + "\n")
    except OSError as error:
        logger.warning("%s; alerts may be sent twice", error)
