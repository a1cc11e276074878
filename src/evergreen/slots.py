"""When the monitor is due: one run per local day, or one per interval. Pure arithmetic, no clock.

The `schedule` library of scheduler.py only turns the loop. What is due is decided here, because its own
`.at(time, zone)` (1.2.2) runs twice on the day after a clock change, and its intervals stand still while a
clock that was set back catches up.
"""

import difflib
import math
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from evergreen.errors import UsageError
from evergreen.settings import ScheduleSettings, format_duration

# A remembered slot further ahead than this was written while the clock was wrong (no clock is set back by
# a day and a half on purpose), so it can't tell what has been done.
MOST_AHEAD = timedelta(hours=36)


@dataclass(frozen=True)
class Plan:
    """When to run: every day `at` a wall-clock time of a zone, or, when set, `every` so often."""

    at: time
    zone: ZoneInfo
    every: timedelta | None = None

    def __str__(self) -> str:
        return f"every {format_duration(self.every)}" if self.every else f"daily at {self.at:%H:%M} {self.zone.key}"


@dataclass(frozen=True)
class Slot:
    """One run that is due: its name, which is remembered, and the moment (UTC) it was meant for."""

    key: str
    due: datetime


def read_plan(settings: ScheduleSettings) -> Plan:
    """The plan of the `[schedule]` section; `UsageError` names the key of a time or zone that can't be read."""
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", settings.at.strip())
    if not match:
        raise UsageError(f"schedule.at: expected a time of day such as '02:00', found '{settings.at}'.")
    if settings.every is not None and settings.every < timedelta(seconds=1):
        raise UsageError(f"schedule.every: expected at least 1s, found '{format_duration(settings.every)}'.")
    return Plan(time(int(match[1]), int(match[2])), _read_zone(settings.timezone), settings.every)


def _read_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, zoneinfo.available_timezones(), n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else ", such as 'Europe/Berlin' or 'UTC'."
        raise UsageError(f"schedule.timezone: '{name}' is no time zone of the tz database{hint}") from None


def moment_of(day: date, at: time, zone: ZoneInfo) -> datetime | None:
    """The moment (UTC) of a wall-clock time on a local day, exactly one for every day that exists.

    A time that the clocks jump over is run at the first moment after the jump, or a minute before it when
    the jump ends on the next day; a time that comes twice is run the first time. None for a day that a zone
    skipped as a whole (Samoa, 30 December 2011).

    >>> moment_of(date(2026, 3, 29), time(2, 30), ZoneInfo("Europe/Berlin")).isoformat()
    '2026-03-29T01:00:00+00:00'
    >>> moment_of(date(2026, 10, 25), time(2, 30), ZoneInfo("Europe/Berlin")).isoformat()
    '2026-10-25T00:30:00+00:00'
    """
    wall = datetime.combine(day, at, zone)
    moment = wall.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return moment
    jump = _jump_between(wall.replace(fold=1).astimezone(UTC), moment, zone)
    candidates = (jump, jump - timedelta(minutes=1))
    return next((moment for moment in candidates if moment.astimezone(zone).date() == day), None)


def _jump_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The second at which the zone's offset changes between two moments, by bisection."""
    offset = before.astimezone(zone).utcoffset()
    low, high = math.floor(before.timestamp()), math.ceil(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def latest_slot(plan: Plan, now: datetime) -> Slot:
    """The newest daily slot that is not after `now`."""
    return max(_slots_around(plan, now, lambda due: due <= now), key=lambda slot: slot.due)


def next_slot(plan: Plan, now: datetime) -> Slot:
    """The first daily slot after `now`."""
    return min(_slots_around(plan, now, lambda due: due > now), key=lambda slot: slot.due)


def _slots_around(plan: Plan, now: datetime, wanted: Callable[[datetime], bool]) -> list[Slot]:
    today = now.astimezone(plan.zone).date()
    days = [today + timedelta(days=shift) for shift in range(-2, 3)]  # two: a zone may skip a day
    moments = ((day, moment_of(day, plan.at, plan.zone)) for day in days)
    return [Slot(day.isoformat(), due) for day, due in moments if due and wanted(due)]


def due_slot(plan: Plan, now: datetime, last_due: datetime | None, since: datetime) -> Slot | None:
    """The daily slot to run now, or None.

    Only the newest slot counts, so a long downtime is caught up by one run. It is due when it is newer than
    the last one run (`last_due`); without such a memory, or with one that a wrong clock left in the far
    future, when it came after `since`, the moment the loop began to watch.

    >>> berlin = Plan(time(2), ZoneInfo("Europe/Berlin"))
    >>> noon = datetime(2026, 7, 10, 12, tzinfo=UTC)
    >>> due_slot(berlin, noon, noon - timedelta(days=9), since=noon).key
    '2026-07-10'
    >>> due_slot(berlin, noon, None, since=noon)
    """
    slot = latest_slot(plan, now)
    known = last_due is not None and last_due <= now + MOST_AHEAD
    return slot if slot.due > (last_due if known and last_due else since) else None


def first_wait(every: timedelta, now: datetime, last_started: datetime | None) -> float:
    """Seconds from the start of the loop to the first interval run; at once when there never was one.

    >>> morning = datetime(2026, 7, 10, 6, tzinfo=UTC)
    >>> first_wait(timedelta(hours=6), morning, morning - timedelta(hours=4))
    7200.0
    """
    if last_started is None:
        return 0.0
    remaining = every - (now - last_started)
    return min(max(remaining, timedelta()), every).total_seconds()


def next_beat(previous: float, every: timedelta, steady: float) -> float:
    """The next point of an interval's grid after `steady` (seconds of a clock that nobody sets).

    Points that passed meanwhile (a long job, a machine asleep) are dropped, not piled up.

    >>> next_beat(100.0, timedelta(seconds=60), 350.0)
    400.0
    """
    seconds = every.total_seconds()
    return previous + seconds * (math.floor((steady - previous) / seconds) + 1)
