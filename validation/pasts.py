"""Pasts to play policies over: real tables in their order of time, and streams that change in a known way."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

BLOCKS, BLOCK_ROWS = 100, 200

# What a user would write under [data] for each real table; car loan, credit card and car price are three files each.
REAL: Mapping[str, str] = {
    "electricity": 'target = "class"\nexclude = ["date"]',
    "weather_bellevue": 'target = "class"',
    "bike_sharing_hourly": 'target = "cnt"\ntime = "timestamp"\n'
    'exclude = ["casual", "registered", "instant", "dteday"]',
    "beijing_pm25_hourly": 'target = "pm2.5"\ntime = "timestamp"\nexclude = ["No"]\nlabel_delay = "0s"',
    "car_loan": 'target = "repaid"\ntime = "timestamp"\nidentifiers = ["id"]',
    "credit_card": 'target = "y_true"\ntime = "timestamp"\nidentifiers = ["id"]',
    "car_price": 'target = "y_true"\ntime = "timestamp"\nidentifiers = ["id"]',
    "diabetes_readmission": 'target = "readmitted"\nidentifiers = ["encounter_id"]\nexclude = ["patient_nbr"]\n'
    'missing = ["", "?"]',
}
TURNING = ("stationary", "covariate", "abrupt", "gradual", "recurring", "noisier")
# Streams of the literature, by river's generators; a stream passes through its concepts in equal parts.
CONCEPTS: Mapping[str, tuple[int, ...]] = {
    "sea": (0, 1, 2, 3),
    "sea back and forth": (3, 0, 3, 0),
    "sine": (0, 1, 2, 3),
    "mixed": (0, 1, 0, 1),
    "mixed, slowly": (0, 1, 0, 1),
    "random tree": (1, 2, 3, 4),
}


@dataclass(frozen=True)
class Past:
    """A table with the lines of config.toml that tell what it is."""

    name: str
    rows: pd.DataFrame
    data: str


def read_past(name: str, seed: int) -> Past | None:
    """The past of this name; None for a real table where EVERGREEN_DATA does not say where it is."""
    if name not in REAL:
        rng = np.random.default_rng(seed)
        return Past(name, stream(name, rng) if name in CONCEPTS else turn(name, rng), 'target = "label"')
    folder = os.environ.get("EVERGREEN_DATA")
    return Past(name, read_real(name, Path(folder)), REAL[name]) if folder else None


def read_real(name: str, folder: Path) -> pd.DataFrame:
    """A real table in order of time; of three files where its labels came apart, without the predictions in them."""
    if (folder / f"{name}.parquet").exists():
        return pd.read_parquet(folder / f"{name}.parquet")
    parts = ("reference", "analysis", "analysis_targets")
    before, after, labels = (pd.read_parquet(folder / f"{name}_{part}.parquet") for part in parts)
    rows = pd.concat([before, after.merge(labels, on="id")], ignore_index=True)
    return rows[[column for column in rows.columns if not column.startswith("y_pred")]]


def turn(name: str, rng: np.random.Generator) -> pd.DataFrame:
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


def stream(name: str, rng: np.random.Generator) -> pd.DataFrame:
    """As many rows from river's generators, a concept after the other; slowly: over the 2,000 rows around a change."""
    concepts = CONCEPTS[name]
    rows = BLOCKS * BLOCK_ROWS
    sources = [_concept(name, number, int(rng.integers(2**31))).take(rows) for number in concepts]
    width = 2000 if "slowly" in name else 0
    place = (np.arange(rows) + width * rng.uniform(-0.5, 0.5, rows)) / rows * len(concepts)
    drawn = [next(sources[number]) for number in np.clip(place.astype(int), 0, len(concepts) - 1)]
    frame = pd.DataFrame([features for features, _ in drawn]).rename(columns=lambda column: f"x{column}")
    return frame.assign(label=np.where([bool(label) for _, label in drawn], "yes", "no"))


def _concept(name: str, number: int, seed: int):  # type: ignore[no-untyped-def]  # river's datasets share no type
    from river.datasets import synth

    if name.startswith("sea"):
        return synth.SEA(variant=number, noise=0.1, seed=seed)
    if name == "sine":
        return synth.Sine(classification_function=number, seed=seed)
    if name.startswith("mixed"):
        return synth.Mixed(classification_function=number, seed=seed)
    return synth.RandomTree(seed_tree=number, seed_sample=seed, n_num_features=5, n_cat_features=2)
