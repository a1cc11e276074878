"""The image: sound by its linter, runs as nobody in particular, and takes nothing in that was not named."""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "Dockerfile").read_text()


def instructions():
    """The instructions of the last stage, in order."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE))
    stage = joined[joined.rindex("FROM ") :]
    return [line.split(None, 1) for line in stage.splitlines() if line.strip()]


def argument(name):
    return next(rest for word, rest in instructions() if word == name)


def test_the_linter_has_no_findings():
    linter = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not linter:
        pytest.skip("hadolint is not installed (requirements-dev.txt)")
    ran = subprocess.run([linter, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_it_runs_as_a_user_of_its_own_and_by_number():
    """By number, so that Kubernetes' runAsNonRoot can see it."""
    assert argument("USER") == "10001"
    words = [word for word, _ in instructions()]
    assert words.index("USER") > max(index for index, word in enumerate(words) if word in ("RUN", "COPY"))


def test_it_serves_on_the_port_it_names_and_its_health_check_asks_there():
    command = json.loads(argument("CMD"))
    assert command[:2] == ["python", "src/serve.py"]
    assert command[command.index("--port") + 1] == argument("EXPOSE") == "5000"
    assert "http://127.0.0.1:5000/healthz" in argument("HEALTHCHECK")


def test_the_server_is_its_first_process_so_that_signals_reach_it():
    assert argument("CMD").startswith("[")
    assert not [word for word, _ in instructions() if word == "ENTRYPOINT"]


def taken(path):
    """Whether a path goes into the build, by the rules of .dockerignore: the last one that fits decides."""
    decided = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.removeprefix("!").removeprefix("**/")
        parents = [path, *[str(parent) for parent in Path(path).parents][:-1]]
        names = [name for each in parents for name in ([each, Path(each).name] if "**/" in line else [each])]
        if rule and not line.startswith("#") and any(fnmatch.fnmatch(name, rule) for name in names):
            decided = line.startswith("!")
    return decided


@pytest.mark.parametrize(
    "path",
    [
        "src/serve.py",
        "src/evergreen/files.py",
        "requirements.lock",
        "config.toml",
        "model/model.pkl",
        "model/cards/a.json",
    ],
)
def test_what_the_server_needs_is_taken_into_the_build(path):
    assert taken(path)


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".env",
        "data/customers.csv",
        "reports/latest.html",
        "tests/test_serve.py",
        "model/model_backups/model_backup_20261121_020000.pkl",
        "model/staging/a.pkl",
        "src/__pycache__/serve.cpython-313.pyc",
    ],
)
def test_nothing_else_is_taken_into_the_build(path):
    assert not taken(path)


def test_everything_that_is_copied_is_there_and_not_ignored():
    for source in re.findall(r"^COPY (?!--from)(.*)$", TEXT, flags=re.MULTILINE):
        for path in source.split()[:-1]:
            assert (ROOT / path).exists(), path
            assert taken(path), path
