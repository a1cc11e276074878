"""Killed, failed and corrupted at every point: the live model is always a whole old or a whole new one.

Each loop runs one piece of work with a fault at its first, second, third … call that changes the disk, until the
work gets through untouched, and judges the folder after each. The last tests plant bugs and show that the
loops find them.
"""

import errno
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from tests.faults import Outcome, every_point, run_forked
from tests.registry.models import at, make_card, make_pickle, open_store, put_live

from evergreen import files
from evergreen.errors import BusyError, IntegrityError
from evergreen.registry import backups, journal
from evergreen.registry.store import Store

SRC = Path(__file__).parents[2] / "src"
OLD, NEW = make_pickle("old"), make_pickle("new")
ONCE, FOR_GOOD = False, True
ERRORS = [
    (errno.ENOSPC, ONCE),
    (errno.ENOSPC, FOR_GOOD),
    (errno.EIO, ONCE),
    (errno.EACCES, FOR_GOOD),
    (errno.EMFILE, ONCE),
]


@pytest.fixture(autouse=True)
def quick_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process loses nothing that it wrote, synced or not; the syncs stay calls that are counted and fail."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A store with two earlier models, `old` live, and `new` waiting."""
    store = open_store(tmp_path / "template")
    put_live(store, "first", 0)
    put_live(store, "old", 1)
    store.stage(NEW, make_card(NEW, store.next_version()))
    return store.folder


@pytest.fixture
def deployed(staged: Path) -> Path:
    """The same with `new` live and `old` before it."""
    deploy(staged)
    return staged


def deploy(folder: Path) -> None:
    store = open_store(folder)
    live, new = files.digest_of(OLD), files.digest_of(NEW)
    with store.lock():
        store.deploy(new, expected_live=live, now=at(2), reason="better", actor="tester")


def roll_back(folder: Path) -> None:
    store = open_store(folder)
    with store.lock():
        store.rollback(now=at(3), reason="worse", actor="tester")


def reconcile(folder: Path) -> None:
    store = open_store(folder)
    with store.lock():
        store.reconcile(at(4))


def judge(folder: Path, outcome: Outcome, event: str, before: bytes, after: bytes) -> None:
    """The promises of the store, whatever happened to the work that was to bring `after` in place of `before`."""
    store = open_store(folder)
    live = store.model_path.read_bytes()
    assert live in (before, after), "torn or lost"
    assert not outcome.done or live == after, "acknowledged and lost"
    assert store.load_live()[1].digest == files.digest_of(live)
    kept = {each.digest for each in store.backups() if not each.problem}
    assert live == before or files.digest_of(before) in kept, "new without a backup of the old"
    reconcile(folder)
    assert not list(folder.rglob("*.tmp"))
    told = [entry.get("digest") for entry in store.entries() if entry.event == event]
    assert told.count(files.digest_of(after)) == (live == after), "each change is told exactly once"
    assert journal.unfinished_intent(store.entries()) is None
    assert store.verify() == []


def try_again(folder: Path, work: Callable[[Path], None], after: bytes) -> None:
    """Whatever was left behind does not stand in the way of the next attempt."""
    store = open_store(folder)
    if store.model_path.read_bytes() != after:
        work(folder)
    assert store.model_path.read_bytes() == after
    assert store.verify() == []


WORKS = {"deploy": ("deploy", deploy, OLD, NEW), "rollback": ("rollback", roll_back, NEW, OLD)}


def faulty_runs(
    template: Path, scratch: Path, name: str, code: int | None = None, lasting: bool = False
) -> list[Outcome]:
    """Run deploy or rollback with the fault at every point and judge each; returns how they ended."""
    event, work, before, after = WORKS[name]
    outcomes = []
    for folder, outcome in every_point(template, scratch, work, code, lasting):
        judge(folder, outcome, event, before, after)
        try_again(folder, work, after)
        outcomes.append(outcome)
    return outcomes


@pytest.mark.parametrize("name", WORKS)
def test_killed_at_any_point_the_old_or_the_new_model_is_live_and_the_journal_tells_it(name, request, tmp_path):
    template = request.getfixturevalue("staged" if name == "deploy" else "deployed")
    outcomes = faulty_runs(template, tmp_path, name)
    assert outcomes[-1].done
    assert len(outcomes) > 25, "the loop has to reach the calls it is about"
    assert {outcome.ended for outcome in outcomes[:-1]} == {"killed"}


@pytest.mark.parametrize(("code", "lasting"), ERRORS, ids=lambda value: errno.errorcode.get(value, str(value)))
def test_a_disk_that_fails_at_any_point_of_a_deploy_leaves_the_old_or_the_new_model(code, lasting, staged, tmp_path):
    outcomes = faulty_runs(staged, tmp_path, "deploy", code, lasting)
    assert outcomes[-1].done
    assert {outcome.ended for outcome in outcomes} <= {"done", "StorageError"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_a_disk_that_fails_at_any_point_of_a_rollback_leaves_the_old_or_the_new_model(code, deployed, tmp_path):
    outcomes = faulty_runs(deployed, tmp_path, "rollback", code, lasting=True)
    assert {outcome.ended for outcome in outcomes} <= {"done", "StorageError", "IntegrityError"}


def test_a_failed_write_names_the_file_and_the_reason(staged, tmp_path):
    for _, outcome in every_point(staged, tmp_path, deploy, errno.ENOSPC):
        if not outcome.done:
            assert "No space left on device" in outcome.message
            assert str(tmp_path) in outcome.message


def test_killed_in_the_middle_of_the_repair_the_next_repair_finishes_it(staged, tmp_path):
    crashed = crash_after_the_swap(staged, tmp_path / "crashed")
    for folder, outcome in every_point(crashed, tmp_path, reconcile):
        judge(folder, outcome, "deploy", OLD, NEW)


def crash_after_the_swap(template: Path, folder: Path) -> Path:
    """A store whose deploy was killed between the rename and its result in the journal."""
    for left, _ in every_point(template, folder.parent, deploy):
        store = open_store(left)
        if store.model_path.read_bytes() == NEW and journal.unfinished_intent(store.entries()):
            shutil.copytree(left, folder)
            return folder
    raise AssertionError("no such point")


def test_killed_while_recording_a_restore_by_hand_the_next_run_records_it_once(deployed, tmp_path):
    store = open_store(deployed)
    shutil.copy(store.backups()[0].path, store.model_path)
    for folder, outcome in every_point(deployed, tmp_path, reconcile):
        reconcile(folder)
        judge(folder, outcome, "restored", NEW, OLD)


def test_killed_at_any_point_staging_a_challenger_leaves_the_live_model_alone(deployed, tmp_path):
    newer = make_pickle("newer")

    def stage(folder: Path) -> None:
        store = open_store(folder)
        with store.lock():
            store.stage(newer, make_card(newer, 4))

    for folder, _ in every_point(deployed, tmp_path, stage):
        reconcile(folder)
        store = open_store(folder)
        assert store.model_path.read_bytes() == NEW
        assert store.verify() == []
        stage(folder)
        store.deploy(
            files.digest_of(newer), expected_live=files.digest_of(NEW), now=at(5), reason="better", actor="tester"
        )
        assert store.model_path.read_bytes() == newer


def test_killed_at_any_point_pruning_keeps_the_champion_its_predecessor_and_the_newest(tmp_path):
    store = open_store(tmp_path / "template")
    digests = [put_live(store, f"model {number}", number) for number in range(8)]

    def prune(folder: Path) -> None:
        few = open_store(folder, keep_backups=2, pinned=("1",))
        with few.lock():
            few.prune()

    outcomes = []
    for folder, outcome in every_point(store.folder, tmp_path, prune):
        kept = [each.digest for each in open_store(folder).backups()]
        assert kept[:2] == [digests[6], digests[5]]
        assert digests[0] in kept, "pinned"
        assert open_store(folder).verify() == []
        prune(folder)
        assert [each.digest for each in open_store(folder).backups()] == [digests[6], digests[5], digests[0]]
        outcomes.append(outcome)
    assert len(outcomes) > 8


@pytest.mark.parametrize("code", [None, errno.ENOSPC], ids=["killed", "disk full"])
def test_a_journal_line_cut_short_is_never_taken_for_an_entry_and_never_hides_the_next(code, deployed, tmp_path):
    before = open_store(deployed).entries()

    def append(folder: Path) -> None:
        open_store(folder).record("run", at(6), run="20261122T020939Z-1a2b", verdict="no_drift")

    for folder, outcome in every_point(deployed, tmp_path, append, code):
        store = open_store(folder)
        told = store.entries()
        assert told[: len(before)] == before
        assert len(told) - len(before) <= 1
        assert not outcome.done or told[-1].event == "run"
        store.record("run", at(7), run="20261122T030939Z-1a2b", verdict="drift")
        assert store.entries()[: len(told)] == told
        assert store.entries()[-1].get("verdict") == "drift"
        assert store.verify() == []


# The lock


def run_process(code: str, *arguments: object) -> subprocess.Popen:
    """A Python process of its own that can import the project."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)


STARTER = """
    import sys
    from pathlib import Path
    from evergreen import files
    from evergreen.errors import BusyError
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        with files.lock(Path(sys.argv[1])):
            print("in", flush=True)
            sys.stdin.readline()
    except BusyError as error:
        print("busy", flush=True)
        raise SystemExit(int(error.exit_code))
"""

HOLDER = """
    import subprocess, sys
    from pathlib import Path
    from evergreen import files
    with files.lock(Path(sys.argv[1])):
        child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL)
        print(child.pid, flush=True)
        sys.stdin.readline()
"""


def test_of_twenty_that_start_at_once_exactly_one_enters(tmp_path):
    starters = [run_process(STARTER, tmp_path / ".lock") for _ in range(20)]
    assert {starter.stdout.readline() for starter in starters} == {"ready\n"}
    for starter in starters:
        starter.stdin.write("go\n")
        starter.stdin.flush()
    told = [starter.stdout.readline().strip() for starter in starters]
    assert sorted(told) == ["busy"] * 19 + ["in"]
    codes = [starter.communicate("leave\n")[0] or starter.returncode for starter in starters]
    assert sorted(codes) == [0] + [75] * 19


def test_a_killed_holder_frees_the_lock_even_when_a_program_that_it_started_lives_on(tmp_path):
    holder = run_process(HOLDER, tmp_path / ".lock")
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(BusyError, match="Another run holds the lock"), files.lock(tmp_path / ".lock"):
            pass
        holder.kill()
        holder.wait(timeout=30)
        os.kill(child, 0)  # still there
        with files.lock(tmp_path / ".lock"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_holder_that_was_stopped_and_overtaken_refuses_its_stale_decision(staged, tmp_path, monkeypatch):
    """Someone copies another model into place after the decision, just before the rename."""
    store = open_store(staged)
    first = next(each.path for each in store.backups())

    def overtaken(path: Path, content: bytes) -> None:
        files.write_atomic(path, content)
        shutil.copy(first, store.model_path)

    monkeypatch.setattr(backups, "write_backup", overtaken)
    with pytest.raises(IntegrityError, match="The decision is stale and nothing was changed"):
        deploy(staged)
    monkeypatch.undo()
    reconcile(staged)
    assert store.model_path.read_bytes() == first.read_bytes()
    assert [entry.event for entry in store.entries()][-2:] == ["abandoned", "restored"]
    assert store.verify() == []


# Corrupted models


class Canary:
    """Unpickling this leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, (str(self.path),)


def assert_refused(store: Store, contents: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pickle.loads", lambda *_: pytest.fail("unpickled before it was verified"))
    for content in contents:
        store.model_path.write_bytes(content)
        with pytest.raises(IntegrityError, match="is not known here, so it was not opened"):
            store.load_live()


def test_a_model_cut_short_anywhere_is_refused_before_it_is_unpickled(deployed, monkeypatch):
    lengths = {*range(64), *(len(NEW) * share // 100 for share in range(100))}
    assert_refused(open_store(deployed), [NEW[:length] for length in lengths], monkeypatch)


def test_a_model_with_any_bit_flipped_is_refused_before_it_is_unpickled(deployed, monkeypatch):
    chance, damaged = random.Random(0), []
    for _ in range(2000):
        content = bytearray(NEW)
        content[chance.randrange(len(NEW))] ^= 1 << chance.randrange(8)
        damaged.append(bytes(content))
    assert_refused(open_store(deployed), damaged, monkeypatch)


def test_a_foreign_pickle_never_runs_its_code(deployed, tmp_path):
    import pickle

    store = open_store(deployed)
    store.model_path.write_bytes(pickle.dumps(Canary(tmp_path / "was-run")))
    for reading in (store.load_live, store.live, store.verify, lambda: reconcile(deployed)):
        try:
            reading()
        except IntegrityError as error:
            assert "rollout.py adopt" in str(error)
    assert not (tmp_path / "was-run").exists()


def test_the_bytes_that_were_hashed_are_the_bytes_that_are_opened(deployed, monkeypatch):
    """The file is exchanged right after it was read: the model that was verified is the one that comes back."""
    store = open_store(deployed)
    real = files.read_bytes

    def exchanging(path: Path, **options: object) -> bytes:
        content = real(path, **options)
        if path == store.model_path:
            path.write_bytes(OLD)
        return content

    monkeypatch.setattr(files, "read_bytes", exchanging)
    model, card = store.load_live()
    assert (model["name"], card.digest) == ("new", files.digest_of(NEW))


# The order of system calls

LINTED = """
    import os, sys
    from pathlib import Path
    from evergreen import files
    seed = sys.argv[2]
    if seed == "no fsync":
        os.fsync = lambda descriptor: None
    if seed == "no folder sync":
        files.sync_folder = lambda folder: None
    from tests.registry import test_crashes
    getattr(test_crashes, sys.argv[3])(Path(sys.argv[1]))
"""
RENAME = re.compile(r'rename(?:at2?)?\((?:AT_FDCWD[^,]*, )?"([^"]+)", (?:AT_FDCWD[^,]*, )?"([^"]+)"')
TOUCHED = re.compile(r"(write|fsync|fdatasync)\(\d+<([^>]+)>")


def lint_order(trace: str) -> list[str]:
    """Renames of files that were not synced before, or whose folder was not synced after; appends never synced."""
    findings, unsynced, unsynced_names = [], set(), {}
    for line in trace.splitlines():
        if match := RENAME.search(line):
            findings += [f"{match[2]}: renamed into place unsynced"] if match[1] in unsynced else []
            findings += [f"{name}: the next step came before its folder was synced" for name in unsynced_names]
            unsynced_names = {match[2]: str(Path(match[2]).parent)}
        elif match := TOUCHED.search(line):
            call, path = match.groups()
            if call == "write":
                unsynced.add(path)
            else:
                unsynced.discard(path)
                unsynced_names = {name: folder for name, folder in unsynced_names.items() if folder != path}
    findings += [f"{name}: its folder was never synced" for name in unsynced_names]
    return findings + [f"{path}: written and never synced" for path in unsynced if path.endswith(".jsonl")]


def trace_of(folder: Path, work: str, seed: str = "") -> str:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed; it shows the order of system calls")
    environment = {**os.environ, "PYTHONPATH": f"{SRC}:{SRC.parent}"}
    output = folder.parent / "trace.txt"
    calls = "trace=write,fsync,fdatasync,rename,renameat,renameat2"
    command = ["strace", "-f", "-y", "-s", "200", "-e", calls, "-o", str(output), sys.executable, "-c"]
    done = subprocess.run(
        [*command, textwrap.dedent(LINTED), str(folder), seed, work],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "ptrace" in done.stderr:
        pytest.skip("strace is not allowed to trace here")
    assert done.returncode == 0, done.stderr
    return "\n".join(line for line in output.read_text().splitlines() if str(folder) in line)


@pytest.mark.parametrize("work", ["deploy", "roll_back"])
def test_every_rename_follows_a_sync_of_the_file_and_is_followed_by_one_of_its_folder(work, request):
    trace = trace_of(request.getfixturevalue("staged" if work == "deploy" else "deployed"), work)
    assert lint_order(trace) == []
    renamed = [Path(match[2]).name for match in RENAME.finditer(trace)]
    assert renamed[-1] == "model.pkl", "the one rename that decides comes last"
    assert renamed[-2].startswith("model_backup_"), "after the backup"
    assert trace.count("history.jsonl") >= 4, "intent and result, each written and synced"


# Planted bugs: the tests of the tests


def write_in_place(path: Path, content: bytes | str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(descriptor, content.encode() if isinstance(content, str) else content)
    os.close(descriptor)


def test_the_loop_finds_a_write_in_place(staged, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "write_atomic", write_in_place)
    with pytest.raises((AssertionError, IntegrityError)):
        faulty_runs(staged, tmp_path, "deploy")


def test_the_loop_finds_a_backup_that_is_made_after_the_swap(staged, tmp_path, monkeypatch):
    postponed, real, record = [], backups.write_backup, Store.record

    def recording(store: Store, event: str, *rest: object, **content: object) -> object:
        if event == "deploy":
            [real(*each) for each in postponed]
        return record(store, event, *rest, **content)

    monkeypatch.setattr(backups, "write_backup", lambda *each: postponed.append(each))
    monkeypatch.setattr(Store, "record", recording)
    with pytest.raises(AssertionError, match="new without a backup of the old"):
        faulty_runs(staged, tmp_path, "deploy")


def test_the_loop_finds_a_deploy_without_an_intent(staged, tmp_path, monkeypatch):
    record = Store.record

    def forgetful(store: Store, event: str, *rest: object, **content: object) -> object:
        return None if event == "intent" else record(store, event, *rest, **content)

    monkeypatch.setattr(Store, "record", forgetful)
    with pytest.raises(AssertionError, match="each change is told exactly once"):
        faulty_runs(staged, tmp_path, "deploy")


def test_the_loop_finds_a_card_that_is_written_after_the_swap(staged, tmp_path, monkeypatch):
    postponed, real = [], files.write_atomic

    def late(path: Path, content: bytes) -> None:
        if path.parent.name == "cards":
            postponed.append((path, content))
            return
        real(path, content)
        if path.name == "model.pkl":
            [real(*each) for each in postponed]

    monkeypatch.setattr(files, "write_atomic", late)
    with pytest.raises(IntegrityError, match="is not known here"):
        faulty_runs(staged, tmp_path, "deploy")


@pytest.mark.parametrize(
    ("seed", "finding"),
    [("no fsync", "renamed into place unsynced"), ("no folder sync", "before its folder was synced")],
)
def test_the_order_check_finds_missing_syncs(seed, finding, staged):
    findings = lint_order(trace_of(staged, "deploy", seed))
    assert any(finding in each for each in findings)


def test_a_second_process_finds_a_missing_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "lock", lambda _path: nullcontext())
    with files.lock(tmp_path / ".lock"):
        assert run_forked(lambda: files.lock(tmp_path / ".lock").__enter__(), None).done
    monkeypatch.undo()
    with files.lock(tmp_path / ".lock"):
        assert run_forked(lambda: files.lock(tmp_path / ".lock").__enter__(), None).ended == "BusyError"
