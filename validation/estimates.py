"""Performance without labels: how near the estimates come, and whether they are switched off where they are wrong."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from checks import Check, Measured, Simulation, mean, noted, share

from evergreen.drift.estimation.estimate import Estimate, estimate_performance
from evergreen.drift.estimation.track import ScoredEstimate
from evergreen.scoring.predictions import predict
from evergreen.settings import PerformanceSettings

SETTINGS = {"classification": PerformanceSettings(), "regression": PerformanceSettings(metric="mae")}
TRAINING, REFERENCE, CURRENT = 5_000, 5_000, 2_000
WINDOWS = 100  # blocks of a stream; three of them are estimated at a time, as in a month of a yearly table
NAMES = [f"x{index}" for index in range(6)]
STREAMS = ("electricity", "weather_bellevue", "gradual", "noisier")
TRUSTED = ("estimated_drop", "no_drop")


def draw_rows(
    rng: np.random.Generator, rows: int, shift: float, weights: np.ndarray, task: str, turned: float = 0.0
) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows and labels of a world: a bent score of four columns, and a fifth that makes rows hard to tell.

    Args:
        shift: by how many standard deviations the harder rows, and the first column, become more frequent.
        turned: 0 to 1, how far the labels follow another rule (concept drift).
    """
    x = rng.normal(size=(rows, len(NAMES)))
    x[:, 4] += shift
    x[:, 0] += shift / 2
    frame = pd.DataFrame(x, columns=NAMES)
    score = x[:, :4] @ ((1 - turned) * weights - turned * weights[::-1]) + 0.8 * x[:, 0] * x[:, 1]
    if task == "regression":
        return frame, 10 * score + rng.normal(size=rows) * 3 * np.exp(0.9 * x[:, 4])
    chance = 1 / (1 + np.exp(-3 * score / (1 + np.exp(1.2 * x[:, 4] - 0.6))))
    return frame, np.where(rng.random(rows) < chance, "yes", "no").astype(object)


def fit_model(rng: np.random.Generator, task: str, frame: pd.DataFrame, labels: np.ndarray) -> Any:
    """Boosted trees or a linear model, by the toss of a coin."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LinearRegression, LogisticRegression

    trees, line = (
        (HistGradientBoostingClassifier, LogisticRegression)
        if task == "classification"
        else (HistGradientBoostingRegressor, LinearRegression)
    )
    return (trees(max_iter=50) if rng.random() < 0.5 else line()).fit(frame, labels)


@dataclass(frozen=True)
class Answered:
    """Rows with their labels and what a model says of them."""

    frame: pd.DataFrame
    labels: np.ndarray
    said: Any

    def rows(self, chosen: slice) -> "Answered":
        """Some of the rows."""
        places = np.arange(len(self.labels))[chosen]
        return Answered(self.frame.iloc[chosen].reset_index(drop=True), self.labels[chosen], self.said.take(places))

    def score(self, task: str) -> float:
        """Accuracy, or the mean absolute error."""
        if task == "classification":
            return float(np.mean(self.said.values == self.labels))
        return float(np.mean(np.abs(self.said.values - self.labels)))


def answer(model: Any, task: str, frame: pd.DataFrame, labels: np.ndarray) -> Answered:
    """What a model says of rows."""
    classes = tuple(model.classes_) if task == "classification" else ()
    return Answered(frame, labels, predict(model, frame, task, classes))


def estimate(known: Answered, asked: Answered, task: str, track: tuple[ScoredEstimate, ...] = ()) -> Estimate:
    """The product's estimate."""
    return estimate_performance(
        known.frame, known.said, known.labels, asked.frame, asked.said,
        settings=SETTINGS[task], task=task, positive="yes" if task == "classification" else None, track=track,
    )  # fmt: skip


# One batch of another mix of rows


def shifted_run(rng: np.random.Generator, task: str, shift: float, turned: float) -> dict[str, float] | None:
    """Errors of the estimate, of the old score, and of CBPE; None where no estimate is given."""
    weights = rng.normal(size=4)
    model = fit_model(rng, task, *draw_rows(rng, TRAINING, 0.0, weights, task))
    known = answer(model, task, *draw_rows(rng, REFERENCE, 0.0, weights, task))
    asked = answer(model, task, *draw_rows(rng, CURRENT, shift, weights, task, turned))
    found, true = estimate(known, asked, task), asked.score(task)
    if found.value is None or found.baseline is None:
        return None
    unit = 1.0 if task == "classification" else true
    values = {"estimate": found.value, "constant": found.baseline, "cbpe": found.cbpe}
    errors = {name: abs(value - true) / unit for name, value in values.items() if value is not None}
    inside = found.band is not None and found.band[0] <= true <= found.band[1]
    return {**errors, "in_band": float(inside)}


def error(simulation: Simulation, shift: float, task: str = "classification", turned: float = 0.0) -> Measured:
    """Mean absolute error in points (for regressions per cent of the true error), beside that of the old score."""
    found = [run for run in simulation.repeat(shifted_run, task, shift, turned) if run]
    if not found:
        return Measured(None, note="no estimate was given")
    others = {name: 100 * np.mean([run[name] for run in found]) for name in ("constant", "cbpe") if name in found[0]}
    words = ", ".join(f"{name} {value:.2f}" for name, value in others.items())
    refused = f", no estimate in {1 - len(found) / simulation.runs:.0%}" if len(found) < simulation.runs else ""
    return noted(mean([100 * run["estimate"] for run in found]), words + refused)


def band(simulation: Simulation, shift: float) -> Measured:
    """How often the band of an estimate without a record holds the truth."""
    found = [run for run in simulation.repeat(shifted_run, "classification", shift, 0.0) if run]
    return share([bool(run["in_band"]) for run in found]) if found else Measured(None, note="no estimate was given")


# Streams in which the estimates are wrong


def read_stream(name: str, seed: int) -> tuple[pd.DataFrame, np.ndarray] | None:
    """A stream in order of time; None for a real table without EVERGREEN_DATA."""
    rng = np.random.default_rng(seed)
    if name in ("gradual", "noisier"):
        weights = rng.normal(size=4)
        parts = [
            draw_rows(rng, 200, 0.0, weights, "classification", turned=max(0.0, block / WINDOWS - 0.3))
            if name == "gradual"
            else draw_rows(rng, 200, 0.0, weights, "classification")
            for block in range(WINDOWS)
        ]
        frame, labels = (
            pd.concat([part for part, _ in parts], ignore_index=True),
            np.concatenate([part for _, part in parts]),
        )
        if name == "noisier":
            flipped = rng.random(len(labels)) < 0.3 * np.clip(np.arange(len(labels)) / len(labels) - 0.3, 0, 1)
            labels = np.where(flipped, np.where(labels == "yes", "no", "yes"), labels).astype(object)
        return frame, labels
    folder = os.environ.get("EVERGREEN_DATA")
    if not folder:
        return None
    table = pd.read_parquet(Path(folder) / f"{name}.parquet")
    positive = {"electricity": "UP", "weather_bellevue": "TRUE"}[name]
    labels = np.where(table.pop("class").astype(str) == positive, "yes", "no").astype(object)
    return table.select_dtypes("number").drop(columns="date", errors="ignore"), labels


def play_stream(frame: pd.DataFrame, labels: np.ndarray) -> list[tuple[Estimate, float]]:
    """Estimates of every three blocks by a model of the first fifth; labels come before the next three.

    The labelled rows that an estimate learns from are those that came after the model's.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    edges = np.linspace(0, len(labels), WINDOWS + 1).astype(int)
    first = int(edges[20])
    model = HistGradientBoostingClassifier(max_iter=50).fit(frame[:first], labels[:first])
    whole = answer(model, "classification", frame[first:].reset_index(drop=True), labels[first:])
    begins = [int(edge) - first for edge in edges[30::3]]
    found: list[tuple[Estimate, float]] = []
    track: tuple[ScoredEstimate, ...] = ()
    for start, stop in zip(begins, [*begins[1:], len(whole.labels)], strict=True):
        if start < 1500 or stop - start < 100:
            continue
        asked = whole.rows(slice(start, stop))
        one, true = estimate(whole.rows(slice(0, start)), asked, "classification", track), asked.score("classification")
        found.append((one, true))
        if one.value is not None and one.baseline is not None and one.carried is not None:
            track = (*track, ScoredEstimate(one.metric, one.value, true, one.carried, one.baseline, stop - start))
    return found


def switched_off(simulation: Simulation) -> Measured:
    """In how many of the four streams no more is trusted at the end; and the worst error of what was trusted."""
    from threadpoolctl import threadpool_limits

    off, trusted, played = 0, [], 0
    with threadpool_limits(limits=1):
        for name in STREAMS:
            stream = read_stream(name, simulation.seed)
            if stream is None:
                continue
            found = play_stream(*stream)
            played += 1
            off += found[-1][0].verdict not in TRUSTED
            trusted += [abs((one.value or 0) - true) for one, true in found if one.verdict in TRUSTED]
    if played < len(STREAMS):
        return Measured(None, note="set EVERGREEN_DATA to the folder of the real tables")
    words = f"{len(trusted)} estimates were trusted on the way"
    return Measured(float(off), note=words + (f", the worst {100 * max(trusted):.1f} points off" if trusted else ""))


CHECKS = (
    Check("points off, no shift", partial(error, shift=0.0), 48, at_most=1.0),
    Check("points off, mild shift", partial(error, shift=0.5), 48, at_most=1.3),
    Check("points off, strong shift", partial(error, shift=1.0), 48, at_most=2.0),
    Check("points off, shift to easier rows", partial(error, shift=-1.0), 24, at_most=1.3),
    Check("points off where the rule itself turned", partial(error, shift=0.0, turned=0.3), 24),
    Check("MAE: per cent off, strong shift", partial(error, shift=1.0, task="regression"), 24, at_most=10),
    Check("the band of a first estimate holds the truth, strong shift", partial(band, shift=1.0), 48, 0.90),
    Check("streams of four in which wrong estimates are off at the end", switched_off, 1, at_least=4),
)
