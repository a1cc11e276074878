"""How long drift checks take on the same two files: ours, a bare floor, and the tools of the field, side by side.

    python benchmarks/bench_peers.py
    python benchmarks/bench_peers.py --rows 10000 --peers NannyML whylogs --runs 5

Whole processes in turn, the files of `bench_drift.py`, medians of wall time and of peak memory. Every peer does
its own default drift check (`peers/`) in an environment of its own, made here on the first run (uv where there is
one, else venv and pip; 6 GB on disk in all); a peer that can't be installed or fails is shown with the reason.
Peers are run and never imported by Evergreen. Times drift from machine to machine: quote the ratios.

    --rows 10000 1000000     rows per file
    --runs 3                 runs of each program after one that warms up
    --cache FOLDER           where the environments are kept; default: evergreen_peers in the system's temp folder
"""

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench_drift import SORTING, write_table

HERE = Path(__file__).resolve().parent
DETECT = HERE.parent / "src" / "detect_drift.py"
LARGE = 1_000_000


@dataclass(frozen=True)
class Peer:
    """A tool of the field: its script, what to install, how many times faster we want to be on few and many rows."""

    name: str
    script: str
    packages: tuple[str, ...]
    faster: tuple[float, float] | None


# Pinned to the newest that import side by side: several of them don't know pandas 3 or NumPy 2 yet.
PEERS = (
    Peer("pandas + SciPy loop", "scipy_loop.py", ("pandas==3.1.1", "scipy==1.17.1", "pyarrow==26.0.1"), (1, 1)),
    Peer("Frouros", "frouros_psi.py", ("frouros==0.9.0", "pandas==3.1.1", "pyarrow==26.0.1"), None),
    Peer(
        "NannyML",
        "nannyml_univariate.py",
        ("nannyml==0.13.1", "pandas==2.3.3", "statsmodels==0.15.0", "pyarrow==26.0.1"),
        (3, 3),
    ),
    Peer(
        "Alibi Detect",
        "alibi_detect_tables.py",
        ("alibi-detect==0.13.0", "pandas==2.3.3", "numpy==1.26.4", "pyarrow==21.0.0"),
        (3, 3),
    ),
    Peer("whylogs", "whylogs_scores.py", ("whylogs[viz]==1.6.4", "pandas==2.3.3", "pyarrow==26.0.1"), (3, 3)),
    Peer(
        "Deepchecks",
        "deepchecks_features.py",
        (
            "deepchecks==0.19.1",
            "pandas==2.3.3",
            "numpy==1.26.4",
            "scikit-learn==1.5.2",
            "category_encoders==2.6.4",
            "setuptools==80.10.2",
            "pyarrow==21.0.0",
        ),
        (3, 3),
    ),
    Peer("Evidently", "evidently_preset.py", ("evidently==0.7.23", "pandas==2.3.3", "pyarrow==26.0.1"), (8, 30)),
)
# No peer is to report its use to its maker from here.
QUIET = {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1", "WHYLOGS_NO_ANALYTICS": "True"}


@dataclass(frozen=True)
class Timing:
    """Median seconds and peak MiB of a program; `failure` says why there are none."""

    name: str
    seconds: float = 0.0
    memory: float = 0.0
    failure: str = ""


def main(argv: list[str] | None = None) -> int:
    """Print one table per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, LARGE])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=[peer.name for peer in PEERS], metavar="NAME")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "evergreen_peers")
    arguments = parser.parse_args(argv)
    unknown = set(arguments.peers) - {peer.name for peer in PEERS}
    if unknown:
        parser.error(f"no peer {', '.join(sorted(unknown))}; known: {', '.join(peer.name for peer in PEERS)}")
    peers = [peer for peer in PEERS if peer.name in arguments.peers]
    pythons = {peer.name: make_environment(peer.name, peer.packages, arguments.cache) for peer in peers}
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            files = [str(write_table(Path(folder) / f"{name}.parquet", rows, seed)) for seed, name in enumerate("ab")]
            commands = {**our_commands(files), **{peer.name: peer_command(peer, pythons, files) for peer in peers}}
            timings = measure(commands, arguments.runs)
        goals = {peer.name: peer.faster[rows >= LARGE] for peer in peers if peer.faster}
        print("\n".join(table(rows, timings, goals)), flush=True)
    return 0


def our_commands(files: list[str]) -> dict[str, list[str]]:
    """Evergreen on the two files and against a stored profile of the first, and the floor."""
    stored = str(Path(files[0]).with_suffix(".json"))
    detect = [sys.executable, str(DETECT)]
    subprocess.run([*detect, "--reference", files[0], "--profile-out", stored, "-q"], check=True, env=environment())
    return {
        "Evergreen": [*detect, "--reference", files[0], "--current", files[1], "--json"],
        "Evergreen, stored profile": [*detect, "--reference", stored, "--current", files[1], "--json"],
        "floor: read, sort, KS": [*SORTING, sys.executable, str(HERE / "floor.py"), *files],
    }


def peer_command(peer: Peer, pythons: dict[str, Path | str], files: list[str]) -> list[str] | str:
    """The words to run; or, as text, why it can't be."""
    python = pythons[peer.name]
    return python if isinstance(python, str) else [str(python), str(HERE / "peers" / peer.script), *files]


def make_environment(name: str, packages: tuple[str, ...], cache: Path) -> Path | str:
    """The Python of an environment with just these packages, made where it is not there yet; or why it can't be made.

    Its folder is named after the packages, so that other versions get another one.
    """
    key = hashlib.sha256(" ".join([sys.version, *packages]).encode()).hexdigest()[:8]
    folder = cache / f"{name.lower().replace(' ', '_').replace('+', 'and')}-{key}"
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists():
        return python
    print(f"Making an environment for {name} in {folder} ...", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    for words in installation(folder, python, packages):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"can't be installed: {last_line(done.stderr)}"
    ready.touch()
    return python


def installation(folder: Path, python: Path, packages: tuple[str, ...]) -> Iterator[list[str]]:
    """The commands that make an environment: by uv, which takes seconds, or by what every Python has."""
    uv = shutil.which("uv")
    if uv:
        yield [uv, "venv", "--quiet", "--python", sys.executable, str(folder)]
        yield [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *packages]
    else:
        yield [sys.executable, "-m", "venv", str(folder)]
        yield [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]


def last_line(text: str) -> str:
    """What an installer or a traceback ends with, short enough for a table."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:120] if lines else "no message"


def environment() -> dict[str, str]:
    """The variables of this process, without those that would slow a start or tell somebody of it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | QUIET


def measure(commands: dict[str, list[str] | str], runs: int) -> list[Timing]:
    """Medians, the programs run in turn so that a busy machine is unfair to none; the first round warms up."""
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    failures = {name: words for name, words in commands.items() if isinstance(words, str)}
    for _ in range(runs + 1):
        for name, words in commands.items():
            if name in failures or isinstance(words, str):
                continue
            seconds, memory, failure = run_once(words)
            results[name].append((seconds, memory))
            if failure:
                failures[name] = f"failed: {failure}"
    return [
        Timing(name, failure=failures[name])
        if name in failures
        else Timing(name, *(statistics.median(column) for column in zip(*results[name][1:], strict=True)))
        for name in commands
    ]


def run_once(words: list[str]) -> tuple[float, float, str]:
    """Wall seconds and peak MiB of one process, and the last line it complained with if it failed."""
    with tempfile.TemporaryFile() as complaints:
        start = time.perf_counter()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=complaints, env=environment())
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        complaints.seek(0)
        failure = last_line(complaints.read().decode(errors="replace")) if status else ""
    return seconds, usage.ru_maxrss / 1024, failure


def table(rows: int, timings: Iterable[Timing], goals: dict[str, float]) -> Iterator[str]:
    """A Markdown table: every program beside the first, which is ours, and whether the goal is met."""
    ours, *others = timings
    yield f"\n| {rows:,} rows each | seconds | MiB | of ours | goal | |\n| --- | ---: | ---: | ---: | ---: | --- |"
    yield f"| {ours.name} | {ours.seconds:.2f} | {ours.memory:.0f} | 1 | | {ours.failure} |"
    for one in others:
        if one.failure:
            yield f"| {one.name} | | | | | {one.failure} |"
            continue
        ratio, goal = one.seconds / ours.seconds, goals.get(one.name)
        met = "" if goal is None else "met" if ratio >= goal else "missed"
        wanted = "" if goal is None else f">= {goal:g}"
        yield f"| {one.name} | {one.seconds:.2f} | {one.memory:.0f} | {ratio:.2f} | {wanted} | {met} |"


if __name__ == "__main__":
    raise SystemExit(main())
