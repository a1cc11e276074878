"""Rows whose outcomes are more or less certain, and models that were trained on other rows of the same world."""

import numpy as np
import pandas as pd

from evergreen.drift.estimation.estimate import estimate_performance
from evergreen.scoring.predictions import predict
from evergreen.settings import PerformanceSettings


def draw_rows(rows, seed, shift=0.0, turned=False):
    """Rows (a, b, c, plan) and their outcomes: by chance where a is large, so a shift of a makes them harder."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(shift, 1, rows), rng.normal(0, 1, rows), rng.normal(0, 1, rows)
    plan = rng.choice(["basic", "plus"], rows)
    certainty = 4 / (1 + np.exp(2.0 * a))
    logit = certainty * np.where(plan == "plus", b + 0.5 * c, b - 0.5 * c)
    chances = 1 / (1 + np.exp(logit if turned else -logit))
    frame = pd.DataFrame({"a": a, "b": b, "c": c, "plan": plan.astype(object)})
    return frame, np.where(rng.random(rows) < chances, "yes", "no").astype(object), chances


class Judge:
    """A model that follows b, as if every row were as certain as most."""

    classes_ = np.array(["no", "yes"])

    def predict_proba(self, frame):
        yes = 1 / (1 + np.exp(-2.0 * frame["b"].to_numpy()))
        return np.column_stack([1 - yes, yes])

    def predict(self, frame):
        return self.classes_[(frame["b"].to_numpy() > 0).astype(int)]


def ask(frame):
    return predict(Judge(), frame, "classification")


def accuracy(frame, labels):
    return float(np.mean(ask(frame).values == labels))


def estimate(reference, current, *, track=(), carried=None, seed=0, **settings):
    """The estimate for current rows (frame, labels, ...), of which only the frame is shown."""
    return estimate_performance(
        reference[0],
        ask(reference[0]),
        reference[1],
        current[0],
        ask(current[0]),
        settings=PerformanceSettings(**settings),
        task="classification",
        positive="yes",
        track=track,
        carried=carried,
        seed=seed,
    )
