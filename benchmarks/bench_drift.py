"""How long `detect_drift.py` takes on two files, as whole processes, beside the floor.

    python benchmarks/bench_drift.py

Two Parquet files of 15 numeric and 5 text columns, seeded, a few values missing. Both programs run in turn, several
times each; medians of wall time and of peak memory are printed with their ratio. Times drift from machine to machine
and from hour to hour: quote the ratio. The floor only reads, sorts and counts (`floor.py`).

    --rows 10000 1000000     rows per file; 10000000 shows that memory stays flat, and needs 2 GB of disk
    --runs 7                 runs of each program
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
DETECT = HERE.parent / "src" / "detect_drift.py"
BLOCK = 1_000_000


def main(argv: list[str] | None = None) -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args(argv)
    print(f"{'':24}{'seconds':>10}{'MiB':>8}{'of floor':>10}")
    seconds, _ = measure([[str(DETECT), "--help"]], arguments.runs)[0]
    print(f"{'--help':24}{seconds:10.3f}")
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            files = [str(write_table(Path(folder) / f"{name}.parquet", rows, seed)) for seed, name in enumerate("ab")]
            ours = [str(DETECT), "--reference", files[0], "--current", files[1], "--json"]
            floor, detect = measure([[str(HERE / "floor.py"), *files], ours], arguments.runs)
        report(f"floor, {rows:,} rows", *floor)
        report(f"detect_drift, {rows:,}", *detect, ratio=detect[0] / floor[0])
    return 0


def write_table(path: Path, rows: int, seed: int) -> Path:
    """A table like those of the field: skewed, rounded and repeated numbers, and words with 3 to 200 values."""
    rng = np.random.default_rng(seed)
    with pq.ParquetWriter(path, make_block(np.random.default_rng(0), 1).schema) as writer:
        for start in range(0, rows, BLOCK):
            writer.write_table(make_block(rng, min(BLOCK, rows - start)))
    return path


def make_block(rng: np.random.Generator, rows: int) -> pa.Table:
    """A million rows of it, or fewer."""
    columns = {}
    for index in range(15):
        values = (
            lambda: rng.normal(size=rows),
            lambda: rng.lognormal(size=rows),
            lambda: rng.integers(0, 1000, rows).astype(float),
            lambda: np.round(rng.gamma(2, 50, rows), 2),
            lambda: rng.exponential(size=rows),
        )[index % 5]()
        columns[f"number_{index}"] = pa.array(values, mask=rng.random(rows) < (0.01 if index % 3 == 0 else 0))
    for count in (3, 5, 12, 50, 200):
        words = np.array([f"value_{number}" for number in range(count)])
        columns[f"words_{count}"] = pa.array(words[rng.integers(0, count, rows)])
    return pa.table(columns)


def measure(commands: list[list[str]], runs: int) -> list[tuple[float, float]]:
    """Median seconds and MiB of each command, run in turn so that a busy machine is unfair to none."""
    results: list[list[tuple[float, float]]] = [[] for _ in commands]
    for _ in range(runs + 1):
        for command, result in zip(commands, results, strict=True):
            result.append(run_once(command))
    return [
        tuple(map(statistics.median, zip(*result[1:], strict=True))) for result in results
    ]  # the first run warms up


def run_once(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak MiB of one process."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read().decode() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def report(name: str, seconds: float, memory: float, ratio: float | None = None) -> None:
    """One line of the table."""
    print(f"{name:24}{seconds:10.3f}{memory:8.0f}" + (f"{ratio:10.2f}" if ratio else ""), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
