"""The loop around the monitor: it survives what its runs do, what clocks do, and its own restarts."""

import functools
import gc
import http.server
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import schedule
import scheduler
import time_machine

from evergreen.registry.store import Store
from evergreen.settings import RegistrySettings, ScheduleSettings, Settings
from evergreen.slots import read_plan

ROOT = Path(__file__).parent.parent
START = datetime(2026, 7, 10, 12, tzinfo=UTC)
NEVER = timedelta(days=1)


class FakeClocks:
    """A wall clock that a test can set, and a steady one that only ever goes on."""

    def __init__(self, start=START):
        self.wall, self.elapsed, self.until = start, 0.0, None

    def sleep(self, seconds):
        self.wall += timedelta(seconds=seconds)
        self.elapsed += seconds

    def as_clocks(self):
        return scheduler.Clocks(now=lambda: self.wall, steady=lambda: self.elapsed, sleep=self.sleep)


def make_loop(folder, settings=None, code="", *, clocks=None, timeout=NEVER, grace=timedelta(seconds=1)):
    return scheduler.Loop(
        plan=read_plan(settings or ScheduleSettings(every="1h")),
        job=scheduler.Job((sys.executable, "-c", code), timeout=timeout, grace=grace),
        memory=folder / "model" / "scheduler.json",
        heartbeat=folder / "reports" / "heartbeat",
        tell_loss=lambda how, started, ended: None,
        clocks=clocks or scheduler.Clocks(),
    )


def memory_of(loop):
    return json.loads(loop.memory.read_text())


@pytest.fixture
def counted(monkeypatch):
    """Runs that only count themselves: the wall-clock moment of each."""
    runs = []
    monkeypatch.setattr(scheduler.Loop, "run_job", lambda loop: runs.append(loop.clocks.now()) or 0)
    return runs


def pass_time(loop, fake, span, step=timedelta(minutes=1)):
    for _ in range(int(span / step)):
        loop.turn()
        fake.sleep(step.total_seconds())


# What is run, and when


def test_a_daily_plan_runs_once_a_day_at_its_time(tmp_path, counted):
    fake = FakeClocks()
    loop = make_loop(tmp_path, ScheduleSettings(at="02:00", timezone="Europe/Berlin"), clocks=fake.as_clocks())
    pass_time(loop, fake, timedelta(days=5), timedelta(minutes=5))
    assert [run.isoformat() for run in counted] == [f"2026-07-{day}T00:00:00+00:00" for day in range(11, 16)]


def test_an_interval_wins_over_a_time_of_day_and_begins_with_a_run(tmp_path, counted):
    fake = FakeClocks()
    loop = make_loop(tmp_path, ScheduleSettings(at="02:00", every="6 hours"), clocks=fake.as_clocks())
    pass_time(loop, fake, timedelta(hours=24))
    assert [run.hour for run in counted] == [12, 18, 0, 6]


@pytest.mark.parametrize(
    "jump", [timedelta(hours=-1), timedelta(hours=3), timedelta(days=-20000), timedelta(days=4200)]
)
def test_an_interval_does_not_care_when_the_wall_clock_is_set(tmp_path, counted, jump):
    fake = FakeClocks()
    loop = make_loop(tmp_path, ScheduleSettings(every="1h"), clocks=fake.as_clocks())
    pass_time(loop, fake, timedelta(hours=5.5))
    fake.wall += jump
    pass_time(loop, fake, timedelta(hours=4.5))
    assert len(counted) == 10


def test_a_run_longer_than_its_interval_neither_overlaps_nor_piles_up(tmp_path, monkeypatch):
    fake, starts = FakeClocks(), []

    def long_run(loop):
        starts.append(fake.elapsed / 60)
        fake.sleep(150 * 60)
        return 0

    monkeypatch.setattr(scheduler.Loop, "run_job", long_run)
    loop = make_loop(tmp_path, ScheduleSettings(every="1h"), clocks=fake.as_clocks())
    pass_time(loop, fake, timedelta(hours=5))
    assert starts[:3] == [0, 180, 360]  # every third point of the hourly grid


@pytest.mark.parametrize("every", [None, "1h"])
def test_a_machine_asleep_for_ten_slots_makes_up_for_them_with_one_run(tmp_path, counted, every):
    fake = FakeClocks()
    loop = make_loop(tmp_path, ScheduleSettings(every=every), clocks=fake.as_clocks())
    pass_time(loop, fake, timedelta(days=1))
    before = len(counted)
    fake.sleep(timedelta(days=10).total_seconds())
    pass_time(loop, fake, timedelta(minutes=30))
    assert len(counted) == before + 1


def test_it_says_what_it_will_run_and_when(tmp_path):
    fake = FakeClocks()
    daily = make_loop(tmp_path, ScheduleSettings(timezone="Europe/Berlin"), clocks=fake.as_clocks())
    assert daily.describe_next() == "daily at 02:00 Europe/Berlin; next run 2026-07-11 02:00 CEST (in 12:00:00)"
    assert (
        make_loop(tmp_path, clocks=fake.as_clocks()).describe_next().startswith("every 1h; next run 2026-07-10 12:00")
    )


# What is remembered


@pytest.mark.parametrize("round_", range(10))
@pytest.mark.parametrize("every", [None, "1h"])
def test_a_restart_in_the_middle_of_a_slot_does_not_run_it_again(tmp_path, monkeypatch, every, round_):
    fake, runs = FakeClocks(datetime(2026, 7, 11, 1, 59, tzinfo=UTC)), []
    settings = ScheduleSettings(every=every)

    def killed(loop):
        runs.append(fake.wall)
        fake.sleep(60 * round_)
        raise KeyboardInterrupt  # stands for kill -9: nothing after this line of the old process happens

    monkeypatch.setattr(scheduler.Loop, "run_job", killed)
    with pytest.raises(KeyboardInterrupt):
        pass_time(make_loop(tmp_path, settings, clocks=fake.as_clocks()), fake, timedelta(hours=1))
    restarted = make_loop(tmp_path, settings, clocks=fake.as_clocks())
    assert memory_of(restarted)["ended"] is None
    pass_time(restarted, fake, timedelta(minutes=45))
    assert len(runs) == 1


def test_what_was_run_is_on_disk_with_its_slot_times_and_exit_code(tmp_path):
    loop = make_loop(tmp_path, code="raise SystemExit(3)")
    loop.turn()
    memory = memory_of(loop)
    assert memory["exit_code"] == 3
    assert memory["due"] <= memory["started"] <= memory["ended"]
    assert list(memory) == ["format", "slot", "due", "started", "ended", "exit_code"]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"due": 3, "started": 4}', '{"due": "x"}', "\x00" * 100])
def test_a_memory_that_cannot_be_understood_is_reported_and_not_fatal(tmp_path, counted, caplog, content):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "scheduler.json").write_text(content)
    with caplog.at_level(logging.WARNING):
        make_loop(tmp_path, clocks=FakeClocks().as_clocks()).turn()
    assert "can't be understood" in caplog.text
    assert len(counted) == 1


def test_a_disk_that_refuses_the_memory_does_not_stop_the_runs(tmp_path, counted, monkeypatch, caplog):
    def refuse(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scheduler.files, "write_atomic", refuse)
    fake = FakeClocks()
    pass_time(make_loop(tmp_path, clocks=fake.as_clocks()), fake, timedelta(hours=3))
    assert len(counted) == 3
    assert "a restart may run this slot again" in caplog.text


# What its runs may do


def test_failing_runs_do_not_end_the_loop(tmp_path, caplog):
    for code, words in [
        ("raise RuntimeError", "ended with exit code 1"),
        ("raise SystemExit(75)", "ended with exit code 75"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
    ]:
        make_loop(tmp_path / words, code=code).turn()
        assert words in caplog.text


def test_a_command_that_cannot_be_started_does_not_end_the_loop(tmp_path, caplog):
    loop = make_loop(tmp_path)
    loop.job = scheduler.Job(("/nonexistent/python",), timeout=NEVER, grace=NEVER)
    loop.turn()
    assert "could not be started" in caplog.text
    assert memory_of(loop)["exit_code"] is None


def test_a_hanging_run_is_asked_to_end_and_its_clean_up_is_waited_for(tmp_path):
    script = (
        "import pathlib, signal, sys, time\n"
        f"ended = pathlib.Path({str(tmp_path / 'ended')!r})\n"
        "signal.signal(signal.SIGTERM, lambda *_: (ended.write_text('cleaned up'), sys.exit(143)))\n"
        "time.sleep(600)"
    )
    loop = make_loop(tmp_path, code=script, timeout=timedelta(seconds=1.0), grace=timedelta(seconds=30))
    loop.turn()
    assert (tmp_path / "ended").read_text() == "cleaned up"
    assert memory_of(loop)["exit_code"] == 143


def test_a_run_deaf_to_sigterm_is_killed_with_all_its_children(tmp_path):
    script = (
        "import pathlib, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(child.pid))\n"
        "time.sleep(600)"
    )
    loop = make_loop(tmp_path, code=script, timeout=timedelta(seconds=1.0), grace=timedelta(seconds=0.2))
    loop.turn()
    assert memory_of(loop)["exit_code"] == -signal.SIGKILL
    assert gone(int((tmp_path / "child").read_text()))


def test_what_a_run_leaves_behind_is_ended_with_it(tmp_path):
    script = (
        "import pathlib, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(child.pid))"
    )
    loop = make_loop(tmp_path, code=script)
    loop.turn()
    assert memory_of(loop)["exit_code"] == 0
    assert gone(int((tmp_path / "child").read_text()))


def gone(pid):
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_flood_on_standard_output_does_not_grow_the_loop(tmp_path):
    flood = "import sys\nfor _ in range(1000): sys.stdout.write('x' * 1_000_000)"
    code = f"""
import resource, sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
import pathlib, test_scheduler as t
loop = t.make_loop(pathlib.Path({str(tmp_path)!r}), code={flood!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
loop.turn()
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(t.memory_of(loop)["exit_code"], grown, file=sys.stderr)
"""
    with Path(os.devnull).open("wb") as sink:
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        ran = subprocess.run(
            [sys.executable, "-c", code], stdout=sink, stderr=subprocess.PIPE, check=True, env=environment, timeout=60
        )
    exit_code, grown_kb = ran.stderr.split()[-2:]
    assert int(exit_code) == 0
    assert int(grown_kb) < 20_000


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
        ("import nothing_like_that", "ended with exit code 1"),
        ("import time; time.sleep(600)", "killed by SIGTERM"),
    ],
)
def test_a_run_that_could_not_tell_is_recorded_and_alerted(tmp_path, code, how, alerts):
    settings, store = Settings(root=tmp_path), Store(tmp_path / "model", RegistrySettings())
    loop = make_loop(tmp_path, code=code, timeout=timedelta(seconds=0.5))
    loop.tell_loss = functools.partial(scheduler.tell_lost_run, settings)
    loop.turn()
    (entry,) = store.entries()
    assert (entry.event, entry.get("failed")) == ("run", True)
    assert how in entry.get("failure")["message"]
    (document,) = [json.loads(path.read_text()) for path in (tmp_path / "reports").glob("2*.json")]
    assert document["failure"]["kind"] == "LostRun"
    assert len(alerts) == 1
    assert how in alerts[0]


@pytest.fixture
def alerts(monkeypatch):
    """What a chat room on loopback is told."""
    told = []

    class Room(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Room) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("EVERGREEN_ALERT_URLS", f"json://127.0.0.1:{server.server_port}")
        yield told
        server.shutdown()
        thread.join()


def test_a_run_that_told_itself_is_not_told_again(tmp_path, alerts):
    settings, store = Settings(root=tmp_path), Store(tmp_path / "model", RegistrySettings())
    loop = make_loop(tmp_path, code="raise SystemExit(3)")
    loop.tell_loss = functools.partial(scheduler.tell_lost_run, settings)
    store.record("run", datetime.now(UTC) + timedelta(seconds=1), run="the monitor's own")
    loop.turn()
    assert [entry.get("run") for entry in store.entries()] == ["the monitor's own"]
    assert not alerts


@pytest.mark.parametrize("code", [0, 75])
def test_a_good_run_and_one_that_found_another_at_work_are_no_losses(tmp_path, code):
    told = []
    loop = make_loop(tmp_path, code=f"raise SystemExit({code})")
    loop.tell_loss = lambda *_: told.append(code)
    loop.turn()
    assert not told


def test_a_loss_that_cannot_be_recorded_does_not_end_the_loop(tmp_path, caplog):
    loop = make_loop(tmp_path, code="raise SystemExit(1)")
    loop.tell_loss = functools.partial(scheduler.tell_lost_run, Settings(root=tmp_path))
    with Store(tmp_path / "model", RegistrySettings()).lock():  # another run holds it
        loop.turn()
    assert "the lost run could not be recorded" in caplog.text


# The loop itself


def test_it_is_alive_as_long_as_its_heartbeat_is_touched_even_during_a_run(tmp_path, monkeypatch):
    loop = make_loop(tmp_path, code="import time; time.sleep(1.5)")
    beats = []
    monkeypatch.setattr(scheduler.Loop, "beat", lambda loop: beats.append(loop.last.get("ended")))
    loop.turn()
    assert len(beats) >= 2
    monkeypatch.undo()
    loop.turn()
    assert loop.heartbeat.exists()


def test_ten_thousand_turns_leak_neither_memory_nor_descriptors_nor_zombies(tmp_path, monkeypatch):
    fake = FakeClocks()
    loop = make_loop(tmp_path, ScheduleSettings(every="20m"), code="", clocks=fake.as_clocks())
    loop.job = scheduler.Job(("/bin/true",), timeout=NEVER, grace=NEVER)
    process, turns = psutil.Process(), Counter()
    with time_machine.travel(START, tick=False) as traveller:

        def sleep(seconds):
            fake.sleep(1.0)
            traveller.shift(1.0)
            turns["all"] += 1
            if turns["all"] == 1_000:
                gc.collect()
                turns["memory"], turns["descriptors"] = process.memory_info().rss, process.num_fds()
            loop.stopping = turns["all"] >= 11_000

        loop.clocks = scheduler.Clocks(now=lambda: fake.wall, steady=lambda: fake.elapsed, sleep=sleep)
        scheduler.keep_turning(loop)
    gc.collect()
    assert memory_of(loop)["exit_code"] == 0
    assert process.memory_info().rss - turns["memory"] < 5_000_000
    assert process.num_fds() == turns["descriptors"]
    assert not [child for child in process.children() if child.status() == psutil.STATUS_ZOMBIE]


def turns_while_the_clock_jumps(loop, jump):
    """How often the loop turns in 60 seconds of which the wall clock jumps in the middle."""
    turned = []
    loop.turn = lambda: turned.append(1)
    with time_machine.travel(START, tick=False) as traveller:
        seconds = iter(range(60))

        def sleep(_seconds):
            second = next(seconds, None)
            loop.stopping = second is None
            traveller.shift(1.0)
            if second == 30:
                traveller.shift(jump.total_seconds())

        loop.clocks = scheduler.Clocks(sleep=sleep)
        scheduler.keep_turning(loop)
    return len(turned)


@pytest.mark.parametrize("hours", [0, -1, 3, -24 * 365])
def test_the_loop_keeps_turning_when_the_clock_is_set(tmp_path, hours):
    assert turns_while_the_clock_jumps(make_loop(tmp_path), timedelta(hours=hours)) >= 58


def test_schedule_alone_would_be_silent_after_a_clock_is_set_back():
    """Why the turn is booked anew: the library waits for the old hour to come again."""
    with time_machine.travel(START, tick=False) as traveller:
        turned, front = [], schedule.Scheduler()
        front.every(1).seconds.do(lambda: turned.append(1))
        traveller.shift(-3600)
        for _ in range(60):
            traveller.shift(1.0)
            front.run_pending()
    assert not turned


# As a process


@pytest.fixture
def project(tmp_path):
    """A project folder with a stub monitor that sleeps as long as the file `seconds` says."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "evergreen").symlink_to(ROOT / "src" / "evergreen")
    for name in ("scheduler.py", "src/utils.py"):  # copies: they find the project by their own place
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "config.toml").touch()
    (tmp_path / "src" / "monitor.py").write_text(
        "import pathlib, sys, time\n"
        "root = pathlib.Path(__file__).parent.parent\n"
        "(root / 'arguments').write_text(' '.join(sys.argv[1:]))\n"
        "(root / 'started').touch()\n"
        "time.sleep(float((root / 'seconds').read_text()))\n"
        "(root / 'finished').touch()\n"
    )
    (tmp_path / "seconds").write_text("0")
    return tmp_path


def start(project, *options):
    command = [sys.executable, "scheduler.py", "--set", "schedule.every=1h", *options]
    return subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True)


def wait_for(path, seconds=30):
    for _ in range(seconds * 20):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_scheduler_lets_the_run_under_way_finish_and_exits_0(project, number):
    (project / "seconds").write_text("2")
    process = start(project, "--set", "schedule.grace=30s")
    wait_for(project / "started")
    process.send_signal(number)
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert (project / "finished").exists()
    assert "next run" in log
    assert "stopping; the run under way has 0:00:30 to finish" in log
    assert json.loads((project / "model" / "scheduler.json").read_text())["exit_code"] == 0


def test_a_run_that_does_not_finish_within_the_grace_is_ended_with_the_scheduler(project):
    (project / "seconds").write_text("600")
    process = start(project, "--set", "schedule.grace=1s")
    wait_for(project / "started")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert not (project / "finished").exists()
    assert json.loads((project / "model" / "scheduler.json").read_text())["exit_code"] == -signal.SIGTERM


def test_a_second_scheduler_on_the_same_folder_leaves_at_once(project):
    process = start(project)
    wait_for(project / "finished")
    second = start(project)
    _, log = second.communicate(timeout=30)
    assert second.returncode == 75
    assert "Another run holds the lock" in log
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_the_monitor_gets_the_options_the_scheduler_got(project):
    process = start(project, "--config", "config.toml", "-q")
    wait_for(project / "finished")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert (project / "arguments").read_text() == "--set schedule.every=1h --config config.toml -q"


def test_a_wrong_plan_is_refused_before_anything_is_run(project):
    process = start(project, "--set", "schedule.timezone=Mars/Olympus")
    _, log = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "schedule.timezone: 'Mars/Olympus' is no time zone" in log
    assert not (project / "started").exists()
