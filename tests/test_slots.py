"""What is due when: every local day exactly one run, whatever the clocks of the world do."""

import functools
import zoneinfo
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.errors import UsageError
from evergreen.settings import ScheduleSettings
from evergreen.slots import (
    Plan,
    due_slot,
    first_wait,
    latest_slot,
    moment_of,
    next_beat,
    next_slot,
    read_plan,
)

YEAR = 2026
TIMES = (time(0, 0), time(0, 30), time(1, 30), time(2, 0), time(2, 30), time(23, 30))
BERLIN = ZoneInfo("Europe/Berlin")


def changes_of(zone: ZoneInfo, year: int) -> tuple[datetime, ...]:
    """The days (their noon, UTC) by which the zone's offset has changed, found by walking the year."""
    noons = [datetime(year, 1, 1, 12, tzinfo=UTC) + timedelta(days=day) for day in range(365)]
    offsets = [noon.astimezone(zone).utcoffset() for noon in noons]
    return tuple(noons[i] for i in range(1, len(noons)) if offsets[i] != offsets[i - 1])


@functools.cache
def zones_that_change() -> dict[str, tuple[datetime, ...]]:
    """Every zone of the tz database whose clocks change in the year."""
    found = {name: changes_of(ZoneInfo(name), YEAR) for name in sorted(zoneinfo.available_timezones())}
    return {name: changes for name, changes in found.items() if changes}


def runs_of(plan: Plan, start: datetime, stop: datetime, step: timedelta) -> list[datetime]:
    """The moments at which a loop that looks every `step` would run."""
    last_due, runs, now = latest_slot(plan, start).due, [], start
    while now < stop:
        slot = due_slot(plan, now, last_due, since=start)
        if slot:
            runs.append(slot.due)
            last_due = slot.due
        now += step
    return runs


def test_every_zone_with_a_clock_change_runs_exactly_once_on_each_local_day_around_it():
    simulated = 0
    for name, changes in zones_that_change().items():
        zone = ZoneInfo(name)
        for change in changes:
            today = change.astimezone(zone).date()
            days = [today + timedelta(days=shift) for shift in (-2, -1, 0, 1)]
            for at in TIMES:
                runs = runs_of(
                    Plan(at, zone), change - timedelta(days=4), change + timedelta(days=3), timedelta(hours=2)
                )
                counts = Counter(run.astimezone(zone).date() for run in runs)
                assert [counts[day] for day in days] == [1, 1, 1, 1], (name, change, at, runs)
                simulated += 1
    assert simulated > 1000  # some 200 zones, two changes each, six times of day


def test_a_naive_local_time_loop_would_fail_that_simulation():
    """The rule the simulation guards: comparing bare wall-clock times runs twice on the night the clock goes back."""
    change = datetime(2026, 10, 25, 1, tzinfo=UTC)
    at, runs, previous = time(2, 30), 0, None
    for minute in range(-180, 180):
        wall = (change + timedelta(minutes=minute)).astimezone(BERLIN).replace(tzinfo=None)
        runs += previous is not None and previous.time() < at <= wall.time()
        previous = wall
    assert runs == 2


@pytest.mark.parametrize(
    ("day", "at", "zone", "expected"),
    [
        (date(2026, 7, 1), time(2), "UTC", "2026-07-01T02:00:00+00:00"),
        (date(2026, 7, 1), time(2), "Europe/Berlin", "2026-07-01T00:00:00+00:00"),
        # the gap: 02:30 does not exist, so the first moment after it, 03:00 summer time
        (date(2026, 3, 29), time(2, 30), "Europe/Berlin", "2026-03-29T01:00:00+00:00"),
        (date(2026, 3, 29), time(2, 0), "Europe/Berlin", "2026-03-29T01:00:00+00:00"),
        (date(2026, 3, 29), time(3, 0), "Europe/Berlin", "2026-03-29T01:00:00+00:00"),
        # the hour that comes twice: the first one
        (date(2026, 10, 25), time(2, 30), "Europe/Berlin", "2026-10-25T00:30:00+00:00"),
        # half an hour of change
        (date(2026, 10, 4), time(2, 15), "Australia/Lord_Howe", "2026-10-03T15:30:00+00:00"),
        # a day that begins at 01:00
        (date(2026, 9, 6), time(0, 0), "America/Santiago", "2026-09-06T04:00:00+00:00"),
        # a gap that ends on the next day: the last minute of the evening before it
        (date(2026, 3, 28), time(23, 30), "America/Nuuk", "2026-03-29T00:59:00+00:00"),
    ],
)
def test_a_wall_clock_time_becomes_one_moment(day, at, zone, expected):
    assert moment_of(day, at, ZoneInfo(zone)).isoformat() == expected


def test_a_day_that_a_zone_skipped_has_no_run_and_its_neighbours_have_one_each():
    samoa = Plan(time(2), ZoneInfo("Pacific/Apia"))
    assert moment_of(date(2011, 12, 30), samoa.at, samoa.zone) is None
    start = datetime(2011, 12, 28, 12, tzinfo=UTC)
    runs = runs_of(samoa, start, start + timedelta(days=5), timedelta(hours=1))
    days = [run.astimezone(samoa.zone).day for run in runs]
    assert days == [29, 31, 1, 2]


@given(
    st.sampled_from(
        ["UTC", "Europe/Berlin", "America/Nuuk", "Australia/Lord_Howe", "America/Havana", "Pacific/Chatham"]
    ),
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)),
)
def test_the_slots_around_a_moment_enclose_it_and_are_about_a_day_apart(zone, at, now):
    plan = Plan(at, ZoneInfo(zone))
    before, after = latest_slot(plan, now), next_slot(plan, now)
    assert before.due <= now < after.due
    assert timedelta(hours=20) < after.due - before.due < timedelta(hours=28)
    assert next_slot(plan, before.due) == after


def test_a_run_is_due_from_its_slot_on_and_only_once():
    plan = Plan(time(2), BERLIN)
    slot = datetime(2026, 7, 10, 0, tzinfo=UTC)  # 02:00 summer time
    yesterday = slot - timedelta(days=1)
    assert due_slot(plan, slot - timedelta(seconds=1), yesterday, yesterday) is None
    assert due_slot(plan, slot, yesterday, yesterday).key == "2026-07-10"
    assert due_slot(plan, slot + timedelta(hours=23), slot, yesterday) is None


def test_ten_missed_days_are_caught_up_by_one_run():
    plan = Plan(time(2), BERLIN)
    start = datetime(2026, 7, 10, 12, tzinfo=UTC)
    slot = due_slot(plan, start, start - timedelta(days=10), start)
    assert slot.key == "2026-07-10"
    assert due_slot(plan, start + timedelta(minutes=1), slot.due, start) is None


def test_the_first_start_ever_waits_for_the_next_slot():
    plan = Plan(time(2), BERLIN)
    start = datetime(2026, 7, 10, 12, tzinfo=UTC)
    assert due_slot(plan, start, None, start) is None
    assert due_slot(plan, start + timedelta(hours=11), None, start) is None
    assert due_slot(plan, start + timedelta(hours=12), None, start).key == "2026-07-11"


def test_a_clock_set_back_an_hour_does_not_run_the_slot_again():
    plan = Plan(time(2), BERLIN)
    slot = datetime(2026, 7, 10, 0, tzinfo=UTC)
    moments = [slot - timedelta(hours=1) + timedelta(minutes=minute) for minute in range(0, 180)]
    assert not any(due_slot(plan, moment, slot, slot) for moment in moments)


def test_a_clock_that_was_in_2038_and_came_back_does_not_silence_the_scheduler_for_years():
    plan = Plan(time(2), BERLIN)
    now = datetime(2026, 7, 10, 12, tzinfo=UTC)
    wrong = datetime(2038, 1, 1, 1, tzinfo=UTC)
    assert due_slot(plan, now, wrong, since=now) is None
    assert due_slot(plan, now + timedelta(hours=12), wrong, since=now).key == "2026-07-11"


def test_a_machine_that_boots_in_1970_does_not_repeat_the_slot_of_today():
    plan = Plan(time(2), BERLIN)
    today = datetime(2026, 7, 10, 0, tzinfo=UTC)
    boot = datetime(1970, 1, 1, tzinfo=UTC)
    assert due_slot(plan, boot, today, since=boot) is None
    assert due_slot(plan, today + timedelta(hours=3), today, since=boot) is None


@pytest.mark.parametrize(
    ("since_last_run", "wait"),
    [
        (None, 0.0),  # never run: at once
        (timedelta(hours=2), 4 * 3600.0),
        (timedelta(hours=6), 0.0),
        (timedelta(days=3), 0.0),  # downtime is caught up by one run
        (timedelta(hours=-1), 6 * 3600.0),  # the clock was set back: never longer than one interval
    ],
)
def test_an_interval_goes_on_where_the_last_process_left_it(since_last_run, wait):
    now = datetime(2026, 7, 10, 12, tzinfo=UTC)
    last = None if since_last_run is None else now - since_last_run
    assert first_wait(timedelta(hours=6), now, last) == wait


def test_an_interval_keeps_its_grid_and_drops_what_it_missed():
    minute = timedelta(minutes=1)
    assert next_beat(0.0, minute, 0.5) == 60.0
    assert next_beat(0.0, minute, 60.0) == 120.0
    assert next_beat(0.0, minute, 605.0) == 660.0


def test_the_plan_is_read_from_the_settings():
    assert str(read_plan(ScheduleSettings())) == "daily at 02:00 UTC"
    assert read_plan(ScheduleSettings(at="3:05", timezone="Europe/Berlin")) == Plan(time(3, 5), BERLIN)
    assert str(read_plan(ScheduleSettings(every="6 hours"))) == "every 6h"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"at": "25:00"}, r"schedule.at: expected a time of day such as '02:00', found '25:00'"),
        ({"at": "2am"}, r"schedule.at: expected a time of day such as '02:00', found '2am'"),
        ({"timezone": "Europe/Berlim"}, r"schedule.timezone: 'Europe/Berlim' .* did you mean 'Europe/Berlin'\?"),
        ({"timezone": "../etc/passwd"}, r"schedule.timezone: '../etc/passwd' is no time zone"),
        ({"timezone": ""}, r"schedule.timezone: '' is no time zone"),
        ({"every": "0s"}, r"schedule.every: expected at least 1s, found '0s'"),
    ],
)
def test_a_plan_that_cannot_be_read_names_the_key(settings, message):
    with pytest.raises(UsageError, match=message):
        read_plan(ScheduleSettings(**settings))
