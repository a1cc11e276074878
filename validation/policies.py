"""Policies of retraining: what the loop would have cost on whole pasts, beside the rules it is to beat."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from checks import Check, Measured, Simulation, noted
from pasts import CONCEPTS, REAL, TURNING, read_past

from evergreen.config_file import load
from evergreen.replay.past import read_past as cut_past
from evergreen.replay.replaying import hindsight_optimum
from evergreen.scoring.metrics import METRICS
from evergreen.scoring.predictions import predict
from evergreen.settings import PromotionSettings
from evergreen.training.comparison import Contender, compare_models

REPLAY = Path(__file__).resolve().parent.parent / "src" / "replay.py"
FITS = Path(tempfile.gettempdir()) / "evergreen-validation"  # fitted models are kept: an interrupted run goes on
# For all policies alike, and to be done in hours: half the default's trees, and of large tables a part of the rows.
TRAINING, LARGE, PART = "params = { max_iter = 50 }", 50_000, "max_rows = 20000"
RIVALS = ("never", "every-1", "every-5", "naive")
PRESETS = ("cost", "hybrid")
PRICES, DELAYS = (20, 5, 100), (0, 3)
NO_DATA = "set EVERGREEN_DATA to the folder of the real tables"

Case = tuple[str, int, int]  # a past, the price of a retraining, blocks that labels are late
DESIGN = ("electricity", "weather_bellevue", *TURNING, "sea")  # what the policies were chosen on
HELD_OUT = tuple(name for name in CONCEPTS if name not in DESIGN)
TABLES: tuple[Case, ...] = tuple((name, price, delay) for delay in DELAYS for price in PRICES for name in REAL)


def on_all(names: Sequence[str]) -> tuple[Case, ...]:
    """Each past at each price, labels in time."""
    return tuple((name, price, 0) for price in PRICES for name in names)


# What they cost


@cache
def prepare(name: str, seed: int) -> Path | None:
    """The folder of a past, with its rows, its settings, and what was fitted before; None without its table."""
    past = read_past(name, seed)
    if past is None:
        return None
    folder = FITS / f"{name}-{seed}".replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    past.rows.to_parquet(folder / "past.parquet")
    training = f"{TRAINING}\n{PART}" if len(past.rows) > LARGE else TRAINING
    (folder / "config.toml").write_text(f'[data]\nsource = "past.parquet"\n{past.data}\n[training]\n{training}\n')
    return folder


@cache
def play(case: Case, seed: int, jobs: int) -> dict[str, Any] | None:
    """The document of `replay.py --json` on one past; None without its table."""
    name, price, delay = case
    folder = prepare(name, seed)
    if folder is None:
        return None
    words = [sys.executable, str(REPLAY), "--config", str(folder / "config.toml"), "--json", "-q"]
    words += ["--cost", str(price), "--label-delay", str(delay), "--jobs", str(jobs), "--policy", *PRESETS, *RIVALS]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"replay.py on {name} ended with {done.returncode}:\n{done.stderr}")
    document = dict(json.loads(done.stdout)["replay"])
    told = ", ".join(f"{each['name']} {each['cost']:,.0f}" for each in document["policies"])
    print(f"{name}, price {price}, labels {delay} blocks late: {told}", file=sys.stderr, flush=True)
    return document


@cache
def optimum(case: Case, seed: int, jobs: int) -> float | None:
    """What the best schedule of all would have cost, with models of all rows before each block."""
    from replay import CACHE, run_night

    name, price, delay = case
    folder = prepare(name, seed)
    if folder is None:
        return None
    settings = load(folder / "config.toml", {})
    cut = cut_past(settings, label_delay=str(delay))
    fits = settings.path(settings.reports.folder) / CACHE
    return hindsight_optimum(settings, cut, fits, run_night, retrain_cost=price, jobs=jobs)


def played(simulation: Simulation, cases: Sequence[Case]) -> dict[Case, dict[str, float]]:
    """What each policy cost, and the recommended one, for as many cases as the effort asks for and the data allow."""
    documents = {case: play(case, simulation.seed, simulation.jobs) for case in cases[: simulation.runs]}
    found = {}
    for case, document in documents.items():
        if document:
            costs = {each["name"]: float(each["cost"]) for each in document["policies"]}
            found[case] = costs | {"recommended": costs[document["advice"]["name"]]}
    return found


def worst_ratio(simulation: Simulation, cases: Sequence[Case], name: str) -> Measured:
    """The largest cost of the recommended policy on a past, as a share of that of the best rival."""
    ratios = {
        case: costs["recommended"] / min(costs[rival] for rival in RIVALS)
        for case, costs in played(simulation, cases).items()
        if case[0] == name
    }
    if not ratios:
        return Measured(None, note=NO_DATA)
    each = ", ".join(f"{ratio:.2f} at {price}/{delay}" for (_, price, delay), ratio in ratios.items())
    return Measured(max(ratios.values()), note=each)


def mean_ratio(simulation: Simulation, cases: Sequence[Case], one: str, other: str) -> Measured:
    """The mean cost of a policy as a share of that of another one."""
    ratios = [costs[one] / costs[other] for costs in played(simulation, cases).values() if costs.get(other)]
    return Measured(float(np.mean(ratios))) if ratios else Measured(None, note=NO_DATA)


def to_optimum(simulation: Simulation, cases: Sequence[Case], name: str) -> Measured:
    """The mean cost of a policy as a share of that of the best schedule of all with models of all rows."""
    ratios = {}
    for case, costs in played(simulation, cases).items():
        best = optimum(case, simulation.seed, simulation.jobs)
        if best and name in costs:
            ratios[case] = costs[name] / best
    if not ratios:
        return Measured(None, note=NO_DATA)
    pasts = dict.fromkeys(case[0] for case in ratios)
    means = {past: np.mean([ratio for case, ratio in ratios.items() if case[0] == past]) for past in pasts}
    return Measured(
        float(np.mean(list(ratios.values()))), note=", ".join(f"{past} {m:.2f}" for past, m in means.items())
    )


def retrains(simulation: Simulation, name: str) -> Measured:
    """Retrainings by the preset cost on one past, of the blocks that were played."""
    document = play((name, PRICES[0], 0), simulation.seed, simulation.jobs)
    assert document is not None, "a past that is made here"
    ours = next(each for each in document["policies"] if each["name"] == "cost")
    blocks = document["blocks"] - document["first_block"]
    return Measured(float(ours["retrains"]), note=f"of {blocks} blocks, {ours['deployed']} went live")


# Where a newer model is a worse one


def gate_keeps(simulation: Simulation, name: str, start: float, stop: float, gate: str) -> Measured:
    """The gain of a model of the fifth before a stretch over one of the first fifth; the gate must not let it in."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    past = read_past(name, simulation.seed)
    if past is None:
        return Measured(None, note=NO_DATA)
    table = past.rows.drop(columns=["date", "day"], errors="ignore")
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


def _means(words: str, cases: Sequence[Case], one: str) -> tuple[Check, ...]:
    made = [
        Check(
            f"{words}: {one}, to {rival}", partial(mean_ratio, cases=cases, one=one, other=rival), len(cases), at_most=1
        )
        for rival in RIVALS
    ]
    ideal = partial(mean_ratio, cases=cases, one=one, other="hindsight")
    return *made, Check(f"{words}: {one}, to the best period in hindsight", ideal, len(cases), at_most=1.03)


CHECKS = (
    *(
        Check(
            f"{name}: recommended, to the best of four rules",
            partial(worst_ratio, cases=TABLES, name=name),
            len(TABLES),
            at_most=1.05,
        )
        for name in REAL
    ),
    *_means("real tables", TABLES, "recommended"),
    *(
        Check(
            f"{words}: {name}, to the best schedule",
            partial(to_optimum, cases=on_all(names), name=name),
            3 * len(names),
            at_most=limit,
        )
        for words, names, most in (("design streams", DESIGN, 0.92), ("held-out streams", HELD_OUT, 0.45))
        for name, limit in (("cost", most), ("hindsight", None), ("every-5", None), ("naive", None))
    ),
    *_means("design streams", on_all(DESIGN), "cost"),
    *_means("held-out streams", on_all(HELD_OUT), "cost"),
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
        for gate in ("superior", "non_inferior", "not_worse")
    ),
)
