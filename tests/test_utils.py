"""The error boundary, the log and the common options, as every command has them."""

import contextlib
import json
import logging
import os
import pty
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import utils
from evergreen.errors import BusyError, DataError, EvergreenError, IntegrityError, UsageError

SRC = Path(__file__).parent.parent / "src"


def run_body(body, *words):
    return utils.run(body, utils.parser("A test.").parse_args(words))


def raiser(error):
    def body(_arguments):
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (DataError("x"), 3),
        (IntegrityError("x"), 4),
        (BusyError("x"), 75),
        (EvergreenError("x"), 1),
        (ZeroDivisionError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_kind_of_trouble_has_its_exit_code(error, code):
    assert run_body(raiser(error)) == code


def test_an_expected_error_is_its_message_without_a_traceback(capsys):
    run_body(raiser(DataError("data/current.csv: column 'tenure' is missing.")))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "data/current.csv: column 'tenure' is missing." in shown.err
    assert "Traceback" not in shown.err


def test_an_unexpected_error_leaves_its_traceback_in_the_log(capsys):
    run_body(raiser(ZeroDivisionError("nobody thought of this")))
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "nobody thought of this" in shown


def test_quiet_silences_all_but_errors_and_verbose_shows_details(capsys):
    def body(_arguments):
        logging.getLogger("evergreen.test").info("a step")
        logging.getLogger("evergreen.test").debug("a detail")
        logging.getLogger("evergreen.test").error("trouble")
        return 0

    seen = {}
    for word in ("-q", "-v", None):
        run_body(body, *([word] if word else []))
        seen[word] = capsys.readouterr().err
    assert [text in seen["-q"] for text in ("a step", "a detail", "trouble")] == [False, False, True]
    assert [text in seen[None] for text in ("a step", "a detail", "trouble")] == [True, False, True]
    assert [text in seen["-v"] for text in ("a step", "a detail", "trouble")] == [True, True, True]


def test_a_log_line_from_hostile_data_stays_one_line(capsys):
    def body(_arguments):
        logging.getLogger("evergreen.test").warning("column %s", "a\n2030 error: forged\x1b[31m\u2028x")
        return 0

    run_body(body)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "\x1b" not in lines[0]


def test_a_command_leaves_the_logging_of_its_caller_alone():
    before = list(logging.getLogger("evergreen").handlers), logging.getLogger("evergreen").level
    run_body(lambda _arguments: 0)
    assert (list(logging.getLogger("evergreen").handlers), logging.getLogger("evergreen").level) == before


def test_settings_come_from_the_named_file_and_flags(tmp_path, monkeypatch):
    (tmp_path / "other.toml").write_text("[drift]\nmin_rows = 77\n")
    words = ["--config", str(tmp_path / "other.toml"), "--set", "drift.alpha=0.01"]
    settings = utils.settings_from(utils.parser("A test.").parse_args(words))
    assert (settings.drift.min_rows, settings.drift.alpha) == (77, 0.01)


def test_without_a_named_file_the_projects_own_is_used_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = utils.settings_from(utils.parser("A test.").parse_args([]))
    assert settings.root == SRC.parent


def test_a_request_to_stop_runs_the_clean_up_and_ends_with_143(tmp_path):
    script = textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(SRC)!r})
        import utils
        def body(arguments):
            try:
                print("ready", flush=True)
                time.sleep(60)
            finally:
                open({str(tmp_path / "cleaned")!r}, "w").close()
        sys.exit(utils.run(body, utils.parser("x").parse_args([])))
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143
    assert (tmp_path / "cleaned").exists()
    process.stdout.close()


def test_a_reader_that_leaves_early_is_not_an_error(tmp_path):
    script = f"""
import sys
sys.path.insert(0, {str(SRC)!r})
import utils
def body(arguments):
    for _ in range(100_000):
        print("x" * 100)
    return 0
sys.exit(utils.run(body, utils.parser("x").parse_args([])))
"""
    (tmp_path / "body.py").write_text(script)
    shell = f"{sys.executable} {tmp_path / 'body.py'} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0
    assert done.stderr == ""


def test_json_is_strict_and_alone_on_standard_output(capsys):
    utils.show({"format": 1, "value": float("nan")}, utils.parser("A test.").parse_args(["--json"]))
    assert json.loads(capsys.readouterr().out) == {"format": 1, "value": None}


@pytest.mark.parametrize(("error", "code"), [(UsageError("x"), 2), (DataError("x"), 3), (ZeroDivisionError("x"), 1)])
def test_with_json_a_failure_is_a_document_too(capsys, error, code):
    assert run_body(raiser(error), "--json") == code
    document = json.loads(capsys.readouterr().out)
    assert document == {"format": 1, "failure": {"kind": type(error).__name__, "message": "x"}}


def test_what_fails_after_the_result_was_shown_shows_no_second_document(capsys):
    def body(arguments):
        utils.show({"format": 1, "failure": {"kind": "mine", "message": "told"}}, arguments)
        raise DataError("x")

    assert run_body(body, "--json") == 3
    assert json.loads(capsys.readouterr().out)["failure"]["kind"] == "mine"


def on_a_terminal(code):
    """What a program shows, and writes, when both of its outputs are a terminal."""
    ours, its = pty.openpty()
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SRC)!r}); import utils\n" + code]
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=os.environ | {"TERM": "xterm"})
    os.close(its)
    shown = b""
    with contextlib.suppress(OSError):  # so Linux says that the other end is closed
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown
    return shown


def compare_itself(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("a,b\n" + "".join(f"{i % 7}.5,{i % 3}\n" for i in range(300)))
    pair = ["--reference", str(table), "--current", str(table)]
    return f"import detect_drift; sys.exit(detect_drift.main({pair!r}))"


def test_on_a_terminal_the_bar_is_gone_before_the_result_is_shown(tmp_path):
    shown = on_a_terminal("utils.PATIENCE = 0\n" + compare_itself(tmp_path))
    assert "━".encode() in shown, "the bar was there"
    bar, _, result = shown.rpartition(b"\x1b[?25h")  # the cursor comes back when the bar ends
    assert b"DRIFT DETECTED" in result, shown
    assert b"DRIFT DETECTED" not in bar


def test_what_is_done_soon_shows_no_bar(tmp_path):
    shown = on_a_terminal("utils.PATIENCE = 3600\n" + compare_itself(tmp_path))
    assert b"DRIFT DETECTED" in shown and "━".encode() not in shown and b"\x1b[?25" not in shown


def test_long_counting_shows_its_rate_and_the_time_that_is_left():
    code = """
        import logging, time
        utils.PATIENCE = 0
        def body(arguments):
            for done in range(1, 9):
                logging.getLogger("evergreen.drift").debug("Counting", extra={"values": (done * 10**6, 10**7)})
                time.sleep(0.2)
            logging.getLogger("evergreen.drift").debug("too fine to be shown")
            return 0
        sys.exit(utils.run(body, utils.parser("A test.").parse_args([])))
    """
    shown = on_a_terminal(textwrap.dedent(code)).decode()
    assert "Counting" in shown and "million values/s" in shown and "0:00:0" in shown
    assert "too fine" not in shown


def test_importing_the_shared_part_loads_nothing_heavy():
    code = f"import sys; sys.path.insert(0, {str(SRC)!r}); import utils; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [name for name in ("pandas", "sklearn", "pydantic", "numpy", "rich", "scipy") if f"'{name}'" in loaded]
