"""The README tells the truth: commands, options, exit codes, settings, and the output it shows."""

import importlib
import json
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from typing import get_args

import pytest
from projects import PROJECT

from evergreen.config_file import load
from evergreen.drift.columns import STATISTICS
from evergreen.errors import ExitCode
from evergreen.settings import Settings, Statistic

README = (PROJECT / "README.md").read_text()
CONFIG = (PROJECT / "config.toml").read_text()
COMMON = {"--config", "--set", "--json", "-v", "--verbose", "-q", "--quiet", "-h", "--help"}


def table_rows(header):
    """The cells of the table that begins with this header."""
    lines = README[README.index(header) :].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def options_of(*words):
    done = subprocess.run([sys.executable, *words, "--help"], cwd=PROJECT, capture_output=True, text=True, check=True)
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", done.stdout[done.stdout.index("options:") :])) - COMMON


@pytest.mark.parametrize("row", table_rows("| command |"), ids=lambda row: row[0])
def test_each_command_exists_and_its_options_are_all_named(row):
    words = row[0].strip("`").removeprefix("python ").split()
    named = set(re.findall(r"--[a-z-]+", row[2] if len(row) > 2 else ""))
    assert options_of(*[word for word in words if not word.isupper()]) == named


def test_every_script_and_subcommand_is_in_the_table():
    commands = " ".join(row[0] for row in table_rows("| command |"))
    scripts = {path.name for path in (PROJECT / "src").glob("*.py")} - {"utils.py"} | {"scheduler.py"}
    assert all(script in commands for script in scripts)
    rollout = importlib.import_module("rollout")
    assert all(f"rollout.py {name}" in commands for name in rollout.COMMANDS)


def test_the_options_that_all_commands_share_are_named():
    shared = README[README.index("All take") : README.index("| exit code |")]
    assert COMMON - {"-h", "--help"} <= set(re.findall(r"(?<![\w-])--?[a-z]+", shared))


def test_all_exit_codes_are_explained():
    explained = {int(code) for row in table_rows("| exit code |") for code in row[0].split(",")}
    assert explained == {int(code) for code in ExitCode} | {128 + signal.SIGINT, 128 + signal.SIGTERM}


def test_all_settings_are_listed_with_their_defaults_and_the_reasons_of_the_file():
    defaults = Settings().as_dict()
    listed = {row[0].strip("`"): (row[1].strip("`"), row[2]) for row in table_rows("| key |")}
    expected = {f"{section}.{key}": value for section, keys in defaults.items() for key, value in keys.items()}
    assert {key: json.loads(default) for key, (default, _) in listed.items()} == expected
    for key, (_, reason) in listed.items():
        assert reason in CONFIG, key


def test_the_statistics_are_listed_with_their_default_thresholds():
    listed = {row[0].strip("`"): float(row[2]) for row in table_rows("| `statistic` |")}
    named = set(get_args(Statistic)) - {"default"}
    assert listed == {name: STATISTICS[name].threshold for name in named}


def test_the_settings_shown_for_an_own_table_are_accepted(tmp_path):
    block = re.search(r"```toml\n(.*?)```", README, re.DOTALL)[1]
    (tmp_path / "shop.toml").write_text(block)
    assert load(tmp_path / "shop.toml", {}).data.label_delay.days == 14
    assert len(block.splitlines()) <= 10
    assert tomllib.loads(block)


def test_every_file_named_in_the_map_exists():
    block = README[README.index("config.toml                  every setting") :]
    names = re.findall(r"^ {0,4}([\w.]+(?:\.py|\.toml|/))", block[: block.index("model/\n")], re.MULTILINE)
    for name in names:
        assert any(PROJECT.rglob(name.rstrip("/"))), name
    for link in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (PROJECT / link).exists(), link


def masked(text):
    """Words and order without the numbers, which differ from machine to machine."""
    text = re.sub(r"model [0-9a-f]{12}|\([0-9a-f]{12}\)|run .*|report .*|live since .*", "", text)
    return re.sub(r"[\s\d.,+−–<%]+", " ", text).strip()


def columns_shown(text):
    """The columns shown, with effect and p-value, which no machine and no model changes."""
    folded = re.sub(r"\n +", "  ", text)
    return re.findall(r"^column +\w+ +(\w+) +(.*?\(limit [\d.]+\)) +(p [<\d. ]*\d)", folded, re.MULTILINE)


def test_what_is_not_here_yet_is_not_explained_elsewhere_as_being_here():
    absent = README[README.index("## What not to expect") : README.index("## Settings")]
    named = re.split(" and |, ", absent[absent.index("\n\n") : absent.index(" are not here yet")].strip().lower())
    assert named == ["traffic splitting", "a prediction log"]
    explained = README[: README.index("## What not to expect")].lower()
    assert not [name for name in named if name.removeprefix("a ") in explained]


def test_the_output_shown_is_the_output_of_the_demo(tmp_path):
    shown = re.search(r"```\n(DATA DRIFT DETECTED!.*?)```", README, re.DOTALL)[1]
    shutil.copytree(PROJECT / "data", tmp_path / "data")
    shutil.copy(PROJECT / "config.toml", tmp_path)
    words = [sys.executable, "src/monitor.py", "--config", str(tmp_path / "config.toml")]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True)
    for part in shown.split("[...]"):
        assert masked(part) in masked(done.stdout)
    assert set(columns_shown(shown)) <= set(columns_shown(done.stdout))  # the same rows give these to the last digit
    assert len(columns_shown(shown)) == 4
    again = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert "No rows or labels have come since the last run." in " ".join(again.stdout.split())


def test_the_predict_example_is_answered_by_the_demo_model(tmp_path):
    example = re.search(r"-d '(\{.*?\}\})'", README, re.DOTALL)[1]
    row = json.loads(example)["row"]
    header = (PROJECT / "data" / "customers.csv").read_text().splitlines()[0].split(",")
    assert set(row) == set(header) - {"customer_id", "observed_at", "churned"}
