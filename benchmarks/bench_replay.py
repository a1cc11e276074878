"""How long a replay takes: whole process, nothing remembered.

    python benchmarks/bench_replay.py      45,000 rows, 100 blocks, 8 policies; goal: 3 minutes on two processors

Whether the policy that it recommends is worth it is measured by `python validation/run.py policies`.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PROJECT = Path(__file__).resolve().parent.parent
POLICIES = ("hybrid", "cost", "naive", "drift", "performance", "schedule", "never", "every-1")
GOAL_SECONDS = 180.0


def market(rows: int = 45_000, seed: int = 0) -> pd.DataFrame:
    """A market in 94 blocks of ten days: two prices and demands by the half hour, and a regime that changes once."""
    rng = np.random.default_rng(seed)
    slot = np.arange(rows) % 48
    later = np.arange(rows) > 0.4 * rows
    frame = pd.DataFrame({name: rng.normal(0, 1, rows) for name in ("price", "demand", "price_there", "demand_there")})
    frame.loc[~later, ["price_there", "demand_there"]] = 0.0
    frame["slot"], frame["day"] = slot, (np.arange(rows) // 48 % 7).astype(str)
    frame["transfer"] = np.where(later, rng.uniform(0, 1, rows), 0.5)
    level = frame.price + 0.5 * np.sin(slot / 48 * 2 * np.pi) - np.where(later, frame.demand_there, frame.demand)
    return frame.assign(y=np.where(level + rng.normal(0, 0.7, rows) > 0, "UP", "DOWN"))


def replay(folder: Path, jobs: int) -> dict[str, Any]:
    """One replay as a process of its own; returns its document."""
    (folder / "config.toml").write_text('[data]\nsource = "market.parquet"\ntarget = "y"\n')
    command = [sys.executable, str(PROJECT / "src" / "replay.py"), "--config", str(folder / "config.toml")]
    words = ["--json", "-q", "--jobs", str(jobs), "--policy", *POLICIES]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout)["replay"]
    return document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory() as scratch:
        market().to_parquet(Path(scratch) / "market.parquet")
        started = time.perf_counter()
        found = replay(Path(scratch), jobs)
        seconds, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{found['rows']:,} rows, {found['blocks']} blocks, {len(POLICIES)} policies, {jobs} processes:")
    print(f"{seconds:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processor time; goal {GOAL_SECONDS:.0f} s")


if __name__ == "__main__":
    main()
