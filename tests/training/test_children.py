import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import child_work
import psutil
import pytest

from evergreen.errors import DataError, TrainingError, UsageError
from evergreen.training.children import Limits, run_in_child, warm_up

NO_LIMITS = Limits()


def run(function, *arguments, limits=NO_LIMITS, **options):
    return run_in_child(function, arguments, limits, what="The work", **options)


def workers():
    """Children of ours that are at work; the fork server itself stays."""
    me = psutil.Process()
    below = me.children(recursive=True)
    return [process for process in below if os.getsid(process.pid) != os.getsid(0)]


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    yield
    assert workers() == []


def test_the_result_comes_back_from_another_process():
    pid, group, session = run(child_work.name_group)
    assert pid != os.getpid()
    assert pid == group == session


def test_arguments_and_results_larger_than_any_pipe_arrive_whole():
    content = os.urandom(5_000_000)
    assert run(child_work.size_of, content) == (5_000_000, content)


def test_an_exception_comes_back_with_type_message_and_place():
    with pytest.raises(TrainingError) as caught:
        run(child_work.fail, ValueError("the third layer is too wide"))
    message = str(caught.value)
    assert message.startswith("The work failed: ValueError: the third layer is too wide\n")
    assert "child_work.py" in message
    assert "raise error" in message


@pytest.mark.parametrize("error", [UsageError("wrong key"), DataError("no rows"), TrainingError("hopeless")])
def test_our_own_errors_come_back_as_they_are(error):
    with pytest.raises(type(error), match=f"^{error}$"):
        run(child_work.fail, error)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_nothing_that_ends_the_child_ends_the_parent(error):
    with pytest.raises(TrainingError, match=type(error).__name__):
        run(child_work.fail, error)


def test_work_that_takes_too_long_is_ended_and_the_advice_follows():
    with pytest.raises(TrainingError, match=r"The work did not finish within 0\.5 s and was ended.* Have patience\.$"):
        run(child_work.sleep, 600, limits=Limits(seconds=0.5), advice="Have patience.")


def test_helpers_of_a_child_that_takes_too_long_are_ended_with_it(tmp_path):
    file = tmp_path / "helper"
    with pytest.raises(TrainingError, match="did not finish"):
        run(child_work.sleep_beside_a_helper, file, limits=Limits(seconds=2))
    helper = int(file.read_text())
    assert not psutil.pid_exists(helper) or psutil.Process(helper).status() == psutil.STATUS_ZOMBIE


def test_helpers_are_asked_to_end_before_they_are_killed(tmp_path):
    file = tmp_path / "word"
    with pytest.raises(TrainingError, match="did not finish"):
        run(child_work.sleep_beside_a_tidy_helper, file, limits=Limits(seconds=3))
    assert file.read_text() == "tidied up"


def test_a_child_that_does_not_listen_is_killed():
    with pytest.raises(TrainingError, match="did not finish"):
        run(child_work.ignore_signals_and_sleep, limits=Limits(seconds=0.5))


def test_more_memory_than_the_limit_is_refused_in_words():
    with pytest.raises(TrainingError, match=r"needs more memory than its limit, 0\.5 GB"):
        run(child_work.allocate, 10, limits=Limits(memory_bytes=2**29))


def test_memory_within_the_limit_is_granted_though_the_libraries_take_some_too():
    assert run(child_work.allocate, 0.25, limits=Limits(memory_bytes=2**29)) == 2**25


@pytest.mark.parametrize(
    ("function", "arguments", "fate"),
    [
        (child_work.crash, (), r"was killed by SIGSEGV: a crash in a library\?"),
        (child_work.kill_itself, (), r"was killed by SIGKILL: out of memory\?"),
        (child_work.leave, (3,), "ended by itself with exit code 3"),
    ],
)
def test_a_child_that_dies_is_an_error_that_says_how(function, arguments, fate):
    with pytest.raises(TrainingError, match=f"The work {fate}"):
        run(function, *arguments)


def test_what_a_child_prints_goes_to_standard_error_and_nothing_else_does(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import child_work\n"
        "from evergreen.training.children import Limits, run_in_child\n"
        "if __name__ == '__main__':\n"
        "    run_in_child(child_work.speak, ('noise',), Limits(), what='x')\n"
        "    run_in_child(child_work.share_work, (2,), Limits(), what='x')\n"
        "    print('{}')\n"
    )
    ended = run_script(script)
    assert ended.stdout == "{}\n"
    assert ended.stderr == "noise\nnoise\n"


def test_modules_in_the_given_folders_can_be_imported(tmp_path):
    (tmp_path / "of_the_user.py").write_text("ANSWER = 42\n")
    assert run(child_work.import_module, "of_the_user", folders=(tmp_path,)) == 42
    with pytest.raises(TrainingError, match="No module named 'of_the_user'"):
        run(child_work.import_module, "of_the_user")


def test_a_child_may_have_workers_of_its_own_and_they_go_with_it():
    workers_seen, child = run(child_work.share_work, 2)
    assert child not in workers_seen
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in workers_seen)


def test_scratch_files_of_a_child_are_gone_afterwards(tmp_path, monkeypatch):
    warm_up()  # the server has a folder of its own, which stays as long as it
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run(child_work.share_work, 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_when_its_parent_is_gone(tmp_path, number):
    script, file = tmp_path / "script.py", tmp_path / "helper"
    script.write_text(
        "import child_work, pathlib\n"
        "from evergreen.training.children import Limits, run_in_child\n"
        "if __name__ == '__main__':\n"
        f"    run_in_child(child_work.sleep_beside_a_helper, (pathlib.Path({str(file)!r}),), Limits(), what='x')\n"
    )
    parent = subprocess.Popen([sys.executable, script], env=paths(), stderr=subprocess.DEVNULL)
    wait_for(lambda: file.exists() and file.read_text())
    helper = psutil.Process(int(file.read_text()))
    parent.send_signal(number)
    parent.wait()
    wait_for(lambda: not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE)


def test_warming_up_twice_is_free():
    warm_up()
    warm_up()
    assert run(child_work.add, 1, 2) == 3


def paths():
    here = Path(__file__).parent
    return os.environ | {"PYTHONPATH": f"{here}:{here.parents[1] / 'src'}"}


def run_script(script):
    return subprocess.run([sys.executable, script], env=paths(), capture_output=True, text=True, check=True)


def wait_for(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen within 30 s")


def test_ctrl_c_while_the_libraries_are_imported_leaves_no_traceback_and_the_next_fit_works(tmp_path):
    """A terminal sends the signal to the whole group: the fork server must not die of it, halfway through."""
    script = f"""
import os, signal, sys
sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
import child_work
from evergreen.training.children import Limits, run_in_child, warm_up
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a test in the background inherits that it is ignored
    warm_up()
    try:
        os.killpg(0, signal.SIGINT)
        signal.pause()
    except KeyboardInterrupt:
        print(len(run_in_child(child_work.name_group, (), Limits(), what="The work")))
"""
    (tmp_path / "starter.py").write_text(script)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "starter.py")],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == ("3", "")
