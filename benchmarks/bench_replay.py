"""How long a replay takes, and whether the policy it recommends is worth it on real, time-ordered tables.

    python benchmarks/bench_replay.py                          45,000 rows, 100 blocks, 8 policies: whole process
    EVERGREEN_DATA=… python benchmarks/bench_replay.py --real  costs on eight real tables, at prices and label delays
    EVERGREEN_DATA=… python benchmarks/bench_replay.py --real weather bike --prices 20 --delays 0

The second prints, for each table, price of a retraining and delay of the labels in blocks, what the preset by cost and
the recommended policy cost as a ratio to the best of never, every block, every 5 blocks and the bare rules. Goals: no
ratio above 1.05, and below 1 on average. `--folder` keeps the fitted models, so that it can be interrupted.
"""

import argparse
import json
import os
import resource
import statistics
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
RIVALS = ("never", "every-1", "every-5", "naive")
GOAL_SECONDS, GOAL_RATIO = 180.0, 1.05
JOINED = """
import pandas as pd

def rows():
    truth = pd.read_parquet("{data}/{name}_analysis_targets.parquet")
    later = pd.read_parquet("{data}/{name}_analysis.parquet").merge(truth, on="id")
    both = pd.concat([pd.read_parquet("{data}/{name}_reference.parquet"), later], ignore_index=True)
    return both.drop(columns=[column for column in both if column.startswith("y_pred")])
"""
TABLES = {
    "electricity": 'source = "{data}/electricity.parquet"\ntarget = "class"\nexclude = ["date"]',
    "weather": 'source = "{data}/weather_bellevue.parquet"\ntarget = "class"',
    "bike": 'source = "{data}/bike_sharing_hourly.parquet"\ntarget = "cnt"\ntime = "timestamp"\n'
    'exclude = ["casual", "registered", "instant", "dteday"]',
    "beijing": 'source = "{data}/beijing_pm25_hourly.parquet"\ntarget = "pm2.5"\ntime = "timestamp"\n'
    'exclude = ["No"]\nlabel_delay = "0s"',
    "diabetes": 'source = "{data}/diabetes_readmission.parquet"\ntarget = "readmitted"\n'
    'identifiers = ["encounter_id"]\nexclude = ["patient_nbr"]\nmissing = ["", "?"]',
    "car_loan": 'source = "car_loan:rows"\ntarget = "repaid"\ntime = "timestamp"\nidentifiers = ["id"]',
    "credit_card": 'source = "credit_card:rows"\ntarget = "y_true"\ntime = "timestamp"\nidentifiers = ["id"]',
    "car_price": 'source = "car_price:rows"\ntarget = "y_true"\ntime = "timestamp"\nidentifiers = ["id"]',
}


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


def prepare(folder: Path, name: str, data: str, training: str = "") -> Path:
    """A folder with the settings for one table, and the function that joins its parts where it has some."""
    folder.mkdir(parents=True, exist_ok=True)
    if ":rows" in TABLES.get(name, ""):
        (folder / f"{name}.py").write_text(JOINED.format(data=data, name=name))
    config = folder / "config.toml"
    described = TABLES[name].format(data=data) if name in TABLES else 'source = "market.parquet"\ntarget = "y"'
    config.write_text(f"[data]\n{described}\n[training]\n{training}\n")
    return config


def replay(config: Path, *words: str) -> dict[str, Any]:
    """One replay as a process of its own; returns its document."""
    command = [sys.executable, str(PROJECT / "src" / "replay.py"), "--config", str(config), "--json", "-q", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout)["replay"]
    return document


def bench_speed(jobs: int) -> None:
    """Whole process in an empty folder: nothing is remembered."""
    with tempfile.TemporaryDirectory() as scratch:
        config = prepare(Path(scratch), "market", "")
        market().to_parquet(Path(scratch) / "market.parquet")
        started = time.perf_counter()
        found = replay(config, "--policy", *POLICIES, "--jobs", str(jobs))
        seconds, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{found['rows']:,} rows, {found['blocks']} blocks, {len(POLICIES)} policies, {jobs} processes:")
    print(f"{seconds:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processor time; goal {GOAL_SECONDS:.0f} s")


def bench_costs(arguments: argparse.Namespace) -> None:
    """Ratios of the preset by cost, and of the recommended policy, to the best of the rules without a price."""
    data, ratios = os.environ["EVERGREEN_DATA"], {rival: [] for rival in (*RIVALS, "best")}
    print(
        f"{'table':<13}{'price':>6}{'delay':>6}"
        + "".join(f"{name:>10}" for name in (*RIVALS, "hybrid", "cost"))
        + "  cost/best  recommended"
    )
    for name in arguments.real or TABLES:
        config = prepare(arguments.folder / name, name, data, arguments.training)
        for delay in arguments.delays:
            for price in arguments.prices:
                words = ("--cost", f"{price:g}", "--label-delay", str(delay), "--jobs", str(arguments.jobs))
                found = replay(config, *words, "--policy", *RIVALS, "hybrid", "cost")
                costs = {each["name"]: each["cost"] for each in found["policies"]}
                best = min(costs[rival] for rival in RIVALS)
                advised = costs[found["advice"]["name"]]
                for rival in RIVALS:
                    ratios[rival].append(advised / costs[rival])
                ratios["best"].append(advised / best)
                cells = "".join(f"{costs[key]:>10,.0f}" for key in (*RIVALS, "hybrid", "cost"))
                told = f"{costs['cost'] / best:>11.3f}  {found['advice']['name']} {advised / best:.3f}"
                print(f"{name:<13}{price:>6g}{delay:>6}{cells}{told}", flush=True)
    for rival, values in ratios.items():
        print(f"recommended / {rival}: mean {statistics.mean(values):.3f}, worst {max(values):.3f}; goal {GOAL_RATIO}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", nargs="*", metavar="TABLE", choices=list(TABLES))
    parser.add_argument("--prices", nargs="+", type=float, default=[5.0, 20.0, 100.0])
    parser.add_argument("--delays", nargs="+", type=int, default=[0, 3])
    parser.add_argument("--training", default="", help="lines of [training], such as params={max_iter=50}")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "evergreen-bench-replay")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.real is None:
        bench_speed(arguments.jobs)
    else:
        bench_costs(arguments)


if __name__ == "__main__":
    main()
