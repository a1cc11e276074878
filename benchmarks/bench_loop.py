"""What the loop costs around the fit: whole runs of monitor.py on the demo, in a folder of their own.

    python benchmarks/bench_loop.py [--runs 5]

A run's document says how long the fits and the scoring took; the rest is the loop: starting Python and its
libraries, reading, profiles, gates, journal, reports. The first command of the demo trains two models, the
second finds nothing new to do. Medians; times on a machine that does other things are upper bounds.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
GOAL_SECONDS = 2.0


def prepare(folder: Path) -> Path:
    """A copy of the demo with its own model and report folders."""
    shutil.copytree(PROJECT / "data", folder / "data", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return Path(shutil.copy(PROJECT / "config.toml", folder / "config.toml"))


def run_once(config: Path) -> tuple[float, float, float]:
    """(whole process, fits, scoring) of one run, in seconds."""
    words = [sys.executable, str(PROJECT / "src" / "monitor.py"), "--config", str(config), "--json", "-q"]
    started = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    document = json.loads(done.stdout)
    trainings = [each for each in (document["first_model"], document["training"]) if each]
    fits = sum(each["seconds"] for each in trainings)
    scoring = sum(each["scoring_seconds"] for each in trainings)
    return seconds, fits, scoring


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    rows: dict[str, list[tuple[float, float, float]]] = {"first run (two fits)": [], "second run (nothing new)": []}
    for _ in range(parser.parse_args().runs):
        with tempfile.TemporaryDirectory() as folder:
            config = prepare(Path(folder))
            for runs in rows.values():
                runs.append(run_once(config))
    print(f"{'':<28}{'whole':>8}{'fits':>8}{'scoring':>9}{'loop':>8}   goal for the loop: < {GOAL_SECONDS:g} s")
    for name, runs in rows.items():
        whole, fits, scoring = (statistics.median(column) for column in zip(*runs, strict=True))
        loop = statistics.median(run[0] - run[1] - run[2] for run in runs)
        print(f"{name:<28}{whole:>8.2f}{fits:>8.2f}{scoring:>9.2f}{loop:>8.2f}")


if __name__ == "__main__":
    main()
