"""Policies of retraining: what the loop would have cost on whole pasts, beside the rules it is to beat."""

import json
import os
import subprocess
import sys
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from checks import Check, Measured, Simulation, noted

from evergreen.scoring.metrics import METRICS
from evergreen.scoring.predictions import predict
from evergreen.settings import PromotionSettings
from evergreen.training.comparison import Contender, compare_models

REPLAY = Path(__file__).resolve().parent.parent / "src" / "replay.py"
RIVALS = ("never", "every-1", "every-5", "naive")
OURS = "cost"
RETRAIN_COST = 20
BLOCKS, BLOCK_ROWS = 100, 200
NO_DATA = "set EVERGREEN_DATA to the folder of the real tables"


# Pasts to play


REAL = {
    "weather_bellevue": 'target = "class"',
    "bike_sharing_hourly": 'target = "cnt"\ntime = "timestamp"\nidentifiers = ["instant"]\n'
    'exclude = ["casual", "registered", "dteday"]',
    "electricity": 'target = "class"\nexclude = ["date"]',
    "beijing_pm25_hourly": 'target = "pm2.5"\ntime = "timestamp"\nidentifiers = ["No"]',
    "car_loan": 'target = "repaid"\ntask = "classification"\ntime = "timestamp"\nidentifiers = ["id"]',
    "credit_card": 'target = "y_true"\ntime = "timestamp"\nidentifiers = ["id"]',
    "car_price": 'target = "y_true"\ntime = "timestamp"\nidentifiers = ["id"]',
    "diabetes_readmission": 'target = "readmitted"\nidentifiers = ["encounter_id", "patient_nbr"]',
}
GENERATED = ("stationary", "covariate", "abrupt", "gradual", "recurring", "noisier")


def read_real(name: str, folder: Path) -> pd.DataFrame:
    """A real table in order of time; of three files where its labels came apart, without the predictions in them."""
    if (folder / f"{name}.parquet").exists():
        return pd.read_parquet(folder / f"{name}.parquet")
    parts = ("reference", "analysis", "analysis_targets")
    before, after, labels = (pd.read_parquet(folder / f"{name}_{part}.parquet") for part in parts)
    rows = pd.concat([before, after.merge(labels, on="id")], ignore_index=True)
    return rows[[column for column in rows.columns if not column.startswith("y_pred")]]


def generate(name: str, rng: np.random.Generator) -> pd.DataFrame:
    """A hundred blocks of two hundred rows of a world that stands still, or changes in one way."""
    weights, others = rng.normal(size=(2, 5))
    parts = []
    for block in range(BLOCKS):
        late = max(0.0, block / BLOCKS - 0.4)
        x = rng.normal(size=(BLOCK_ROWS, 5)) + (2 * late if name == "covariate" else 0)
        turned = {"abrupt": float(block >= 50), "gradual": min(1.0, 2 * late), "recurring": float(block // 20 % 2)}
        share = turned.get(name, 0.0)
        score = x @ ((1 - share) * weights + share * others) + x[:, 0] * x[:, 1]
        chance = 1 / (1 + np.exp(-2 * score))
        flipped = 0.3 * late if name == "noisier" else 0.0
        label = np.where(rng.random(BLOCK_ROWS) < (1 - flipped) * chance + flipped * (1 - chance), "yes", "no")
        parts.append(pd.DataFrame(x, columns=[f"x{index}" for index in range(5)]).assign(label=label))
    return pd.concat(parts, ignore_index=True)


# What they cost


@cache
def play(name: str, seed: int, jobs: int) -> dict[str, Any] | None:
    """The document of `replay.py --json` on one past; None for a real table without EVERGREEN_DATA."""
    folder = os.environ.get("EVERGREEN_DATA")
    if name in REAL and not folder:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        rows = read_real(name, Path(folder or "")) if name in REAL else generate(name, np.random.default_rng(seed))
        rows.to_parquet(place / "past.parquet")
        data = REAL.get(name, 'target = "label"')
        (place / "config.toml").write_text(f'[data]\nsource = "past.parquet"\n{data}\n[training]\nmax_rows = 20000\n')
        words = [sys.executable, str(REPLAY), "--config", str(place / "config.toml"), "--json", "-q"]
        words += ["--cost", str(RETRAIN_COST), "--jobs", str(jobs), "--policy", OURS, *RIVALS]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"replay.py on {name} ended with {done.returncode}:\n{done.stderr}")
    return dict(json.loads(done.stdout)["replay"])


def costs(simulation: Simulation, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Cost of each policy on each past, the first of them when the effort is less; empty without the data."""
    found = {}
    for name in names[: simulation.runs]:
        document = play(name, simulation.seed, simulation.jobs)
        if document:
            found[name] = {each["name"]: float(each["cost"]) for each in document["policies"]}
    return found


def worst_ratio(simulation: Simulation, names: tuple[str, ...]) -> Measured:
    """The largest cost of ours as a share of that of the best rival on the same past."""
    ratios = {
        name: spent[OURS] / min(spent[rival] for rival in RIVALS) for name, spent in costs(simulation, names).items()
    }
    if not ratios:
        return Measured(None, note=NO_DATA)
    each = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    return Measured(max(ratios.values()), note=each)


def mean_ratio(simulation: Simulation, names: tuple[str, ...], rival: str) -> Measured:
    """The mean cost of ours as a share of that of a rival."""
    ratios = [spent[OURS] / spent[rival] for spent in costs(simulation, names).values() if spent.get(rival)]
    return Measured(float(np.mean(ratios))) if ratios else Measured(None, note=NO_DATA)


def retrains(simulation: Simulation, name: str) -> Measured:
    """Retrainings of ours on one past, of the blocks that were played."""
    document = play(name, simulation.seed, simulation.jobs)
    if document is None:
        return Measured(None, note=NO_DATA)
    ours = next(each for each in document["policies"] if each["name"] == OURS)
    blocks = document["blocks"] - document["first_block"]
    return Measured(float(ours["retrains"]), note=f"of {blocks} blocks, {ours['deployed']} went live")


# Where a newer model is a worse one


def gate_keeps(simulation: Simulation, name: str, start: float, stop: float, gate: str) -> Measured:
    """The gain of a model of the fifth before a stretch over one of the first fifth; the gate must not let it in."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    folder = os.environ.get("EVERGREEN_DATA")
    if not folder:
        return Measured(None, note=NO_DATA)
    table = read_real(name, Path(folder)).drop(columns=["date", "day"], errors="ignore")
    truth = table.pop("class").astype(str).to_numpy(dtype=object)
    cut = [int(share * len(truth)) for share in (0.2, start - 0.2, start, stop)]
    judged = slice(cut[2], cut[3])
    contenders = []
    for digest, rows in (("old", slice(0, cut[0])), ("new", slice(cut[1], cut[2]))):
        model = HistGradientBoostingClassifier(random_state=simulation.seed).fit(table[rows], truth[rows])
        said = predict(model, table[judged], "classification", tuple(model.classes_))
        contenders.append(Contender(digest, said, "the same rows"))
    rules = PromotionSettings.model_validate({"gate": gate})
    found = compare_models(contenders[0], contenders[1], truth[judged], METRICS["accuracy"], rules)
    return noted(Measured(float(found.winner == "challenger")), f"gain {found.gain:.3f} on {found.rows:,} rows")


TABLES = tuple(REAL)
CHECKS = (
    Check("real tables: worst cost, to the best of four rules", partial(worst_ratio, names=TABLES), 8, at_most=1.05),
    *(
        Check(f"real tables: mean cost, to {rival}", partial(mean_ratio, names=TABLES, rival=rival), 8, at_most=1.0)
        for rival in RIVALS
    ),
    Check(
        "real tables: mean cost, to the best period in hindsight",
        partial(mean_ratio, names=TABLES, rival="hindsight"),
        8,
        at_most=1.03,
    ),
    Check("generated: worst cost, to the best of four rules", partial(worst_ratio, names=GENERATED), 6),
    *(
        Check(f"generated: mean cost, to {rival}", partial(mean_ratio, names=GENERATED, rival=rival), 6, at_most=1.0)
        for rival in RIVALS
    ),
    Check(
        "generated: mean cost, to the best period in hindsight",
        partial(mean_ratio, names=GENERATED, rival="hindsight"),
        6,
        at_most=1.03,
    ),
    Check("retrainings where nothing changes", partial(retrains, name="stationary"), 1, at_most=4),
    Check("retrainings where only the noise grows", partial(retrains, name="noisier"), 1, at_most=20),
    *(
        Check(
            f"{name}, {words}: let in by {gate}",
            partial(gate_keeps, name=name, start=start, stop=stop, gate=gate),
            1,
            at_most=0,
        )
        for name, words, start, stop in (
            ("electricity", "80 to 90 %", 0.8, 0.9),
            ("weather_bellevue", "last tenth", 0.9, 1.0),
        )
        for gate in ("superior", "non_inferior")
    ),
)
