"""How long `detect_drift.py` takes, as whole processes, beside the floor.

    python benchmarks/bench_drift.py

Two Parquet files of 15 numeric and 5 text columns, seeded, a few values missing; and the second of them against the
saved profile of the first. All programs run in turn, several times each; medians of wall time and of peak memory are
printed with their ratio. Times drift from machine to machine and from hour to hour: quote the ratio. The floor only
reads, sorts on all cores, counts words and computes exact KS distances (`floor.py`). Where NumPy is told to sort
differently than it would by itself (on AMD processors, see `utils.py`), the floor is also shown with that.

    --rows 10000 1000000     rows per file; 10000000 shows that memory stays flat, and needs 2 GB of disk
    --runs 7                 runs of each program
    --wide                   10,000 columns of 1,000 rows as well
    --large                  3,000,000 rows of 1,000 columns against a saved profile as well; needs 12 GB of disk
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
DETECT = HERE.parent / "src" / "detect_drift.py"
BLOCK = 1_000_000
SORTING = ("env", "NPY_DISABLE_CPU_FEATURES=X86_V4 AVX512_SKX AVX512_ICL AVX512_SPR")


def main(argv: list[str] | None = None) -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 1_000_000])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args(argv)
    print(f"{'':38}{'seconds':>10}{'MiB':>8}{'of floor':>10}")
    seconds, _ = measure([[str(DETECT), "--help"]], arguments.runs)[0]
    print(f"{'--help':38}{seconds:10.3f}")
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            files = [apart(write_table, Path(folder) / f"{name}.parquet", rows, seed) for seed, name in enumerate("ab")]
            compare_with_floor(f"{rows:,} rows", *files, arguments.runs)
    if arguments.wide:
        with tempfile.TemporaryDirectory() as folder:
            files = [apart(write_wide, Path(folder) / f"{name}.parquet", seed) for seed, name in enumerate("ab")]
            compare_with_floor("10,000 columns", *files, min(3, arguments.runs))
    if arguments.large:
        with tempfile.TemporaryDirectory() as folder:
            reference, current = (apart(write_large, Path(folder) / f"{blocks}.parquet", blocks) for blocks in (1, 12))
            against = ["--reference", save_profile(reference), "--current", str(current), "--json"]
            report("3,000,000 x 1,000, saved profile", *run_once([str(DETECT), *against]))
    return 0


def compare_with_floor(title: str, reference: Path, current: Path, runs: int) -> None:
    """Two files, the same against a saved profile, and the floor."""
    profile = save_profile(reference)
    floor = [str(HERE / "floor.py"), str(reference), str(current)]
    commands = {
        f"floor, {title}": floor,
        f"floor, sorting as we do, {title}": [*SORTING, *floor],
        f"two files, {title}": [str(DETECT), "--reference", str(reference), "--current", str(current), "--json"],
        f"saved profile, {title}": [str(DETECT), "--reference", profile, "--current", str(current), "--json"],
    }
    results = measure(list(commands.values()), runs)
    for name, result in zip(commands, results, strict=True):
        report(name, *result, ratio=result[0] / results[0][0])


def apart(write: Callable[..., Path], *arguments: Any) -> Path:
    """Written by another process: the peak of a child counts from that of its parent, which has to stay small."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(write, *arguments).result()


def save_profile(reference: Path) -> str:
    """The file of its profile."""
    path = str(reference.with_suffix(".json"))
    run_once([str(DETECT), "--reference", str(reference), "--profile-out", path])
    return path


def write_wide(path: Path, seed: int) -> Path:
    """A thousand rows of ten thousand columns."""
    rng = np.random.default_rng(seed)
    pq.write_table(pa.table({f"number_{index}": rng.normal(size=1000) for index in range(10_000)}), path)
    return path


def write_large(path: Path, blocks: int) -> Path:
    """A thousand columns of 32-bit numbers, in blocks of 250,000 rows, uncompressed: 1 GB a block."""
    values = np.random.default_rng(0).normal(size=(40, 250_000)).astype(np.float32)
    schema = pa.schema([(f"number_{index}", pa.float32()) for index in range(1000)])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for block in range(blocks):
            arrays = [pa.array(values[(index * 7 + block * 3) % 40]) for index in range(1000)]
            writer.write_table(pa.table(arrays, schema=schema))
    return path


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
    environment, program = command[:2] if command[0] == "env" else [], command[2:] if command[0] == "env" else command
    process = subprocess.Popen(
        [*environment, sys.executable, *program], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    errors = process.stderr.read().decode() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def report(name: str, seconds: float, memory: float, ratio: float | None = None) -> None:
    """One line of the table."""
    print(f"{name:38}{seconds:10.3f}{memory:8.0f}" + (f"{ratio:10.2f}" if ratio else ""), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
