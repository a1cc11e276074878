"""What a newcomer types first, and what gets installed by it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
REQUIREMENT = re.compile(r"[a-z0-9-]+(\[\w+\])?>=[\d.]+,<[\d.]+")


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("monitor", "src/monitor.py"),
        ("test", "-m pytest"),
        ("lint", "-m ruff check"),
        ("serve", "src/serve.py"),
        ("bench", "benchmarks/bench_loop.py"),
        ("bench", "benchmarks/bench_peers.py"),
        ("validate", "validation/run.py"),
        ("clean", "rm -rf"),
    ],
)
def test_make_has_a_target_for_each_task(target, command):
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    done = subprocess.run(["make", "-n", target], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert command in done.stdout


def test_continuous_integration_runs_the_readmes_test_command():
    assert "make test" in (PROJECT / ".ci" / "run").read_text().splitlines()
    assert "make test" in (PROJECT / "README.md").read_text()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-serve.txt"])
def test_every_requirement_has_the_oldest_version_tested_and_an_upper_bound(name):
    lines = [line for line in (PROJECT / name).read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not REQUIREMENT.fullmatch(line)] == []
