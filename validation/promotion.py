"""Promotion: which challengers the gates let in, as they differ from the champion in truth."""

from functools import partial

import numpy as np
from checks import Check, Measured, Simulation, share

from evergreen.scoring.metrics import METRICS
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PromotionSettings
from evergreen.training.comparison import Contender, compare_models

CLASSES = ("no", "yes")
DIFFERENT = 0.08  # share of the rows on which just one of the two models is right
ACCURACY = 0.85


def contender(name: str, right: np.ndarray, truth: np.ndarray) -> Contender:
    """A model that is right where it says so."""
    wrong = np.where(truth == "yes", "no", "yes").astype(object)
    said = Predictions(np.where(right, truth, wrong).astype(object), None, CLASSES)
    return Contender(name, said, "the same rows")


def promotion_run(rng: np.random.Generator, rows: int, gain: float, gate: str, candidates: int) -> bool:
    """Whether the best of so many challengers, each better by `gain` in truth, is let in."""
    truth = np.resize(np.array(CLASSES, dtype=object), rows)
    champion = rng.random(rows) < ACCURACY
    lost, won = (DIFFERENT - gain) / 2 / ACCURACY, (DIFFERENT + gain) / 2 / (1 - ACCURACY)
    tried = [np.where(champion, rng.random(rows) >= lost, rng.random(rows) < won) for _ in range(candidates)]
    best = max(tried, key=lambda right: int(right.sum()))
    rules = PromotionSettings.model_validate({"gate": gate})
    old, new = contender("champion", champion, truth), contender("challenger", best, truth)
    found = compare_models(old, new, truth, METRICS["accuracy"], rules, candidates=candidates)
    return found.winner == "challenger"


def promoted(simulation: Simulation, rows: int, gain: float, gate: str, candidates: int = 1) -> Measured:
    """How often it is."""
    return share(simulation.repeat(promotion_run, rows, gain, gate, candidates))


def rule(gate: str, rows: int, gain: float, candidates: int = 1) -> partial[Measured]:
    """A measurement under one gate."""
    return partial(promoted, rows=rows, gain=gain, gate=gate, candidates=candidates)


CHECKS = (
    Check("1 point worse, n = 200, superior", rule("superior", 200, -0.01), 4000, None, 0.06),
    Check("1 point worse, n = 200, non-inferior", rule("non_inferior", 200, -0.01), 4000, None, 0.06),
    Check("1 point worse, n = 200, not worse (the bet of preset cost)", rule("not_worse", 200, -0.01), 2000),
    Check("5 points worse, n = 200, not worse", rule("not_worse", 200, -0.05), 2000, None, 0.06),
    Check("1 point worse, n = 200, the bare number (tutorial)", rule("tutorial", 200, -0.01), 2000),
    Check("1 point worse, n = 2,000, superior", rule("superior", 2000, -0.01), 1000, None, 0.01),
    Check("1 point worse, n = 2,000, non-inferior", rule("non_inferior", 2000, -0.01), 1000, None, 0.06),
    Check("equal, n = 500, superior", rule("superior", 500, 0.0), 2000, None, 0.05),
    Check("best of 20 equal ones, n = 2,000, superior", rule("superior", 2000, 0.0, 20), 2000, None, 0.05),
    Check("best of 20 equal ones, n = 2,000, the bare number", rule("tutorial", 2000, 0.0, 20), 500),
    Check("2 points better, n = 500, superior", rule("superior", 500, 0.02), 1000, 0.40),
    Check("2 points better, n = 2,000, superior", rule("superior", 2000, 0.02), 1000, 0.90),
    Check("2 points better, n = 2,000, non-inferior", rule("non_inferior", 2000, 0.02), 1000, 0.95),
)
