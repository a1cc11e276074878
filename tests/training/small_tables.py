"""Small conformed tables with a known truth, and jobs to fit on them."""

from pathlib import Path

import numpy as np
import pandas as pd

from evergreen.data.labels import label_text
from evergreen.data.schema import Column, Contract
from evergreen.settings import ComputeSettings, PerformanceSettings, TrainingSettings
from evergreen.training.fitting import FitJob


def make_features(rows=1200, seed=0):
    """Numbers with missing values and categories, as `conform` gives them; `signal` and `plan` matter."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"signal": random.normal(size=rows), "noise": random.normal(size=rows)})
    frame.loc[random.random(rows) < 0.05, "noise"] = np.nan
    frame["plan"] = random.choice(np.array(["basic", "gold", "plus"], dtype=object), rows)
    frame.loc[random.random(rows) < 0.05, "plan"] = np.nan
    return frame.astype({"plan": object})


def make_labels(frame, kinds=("stays", "leaves"), seed=1):
    """Two classes that `signal` and `plan` tell apart most of the time."""
    random = np.random.default_rng(seed)
    score = 2 * frame["signal"] + (frame["plan"] == "gold") + random.logistic(size=len(frame)) / 2
    return np.where(score > 0, *kinds)


def make_amounts(frame, seed=1):
    """A number that `signal` and `plan` give but for some noise."""
    random = np.random.default_rng(seed)
    return (10 * frame["signal"] + 5 * (frame["plan"] == "gold") + random.normal(size=len(frame))).to_numpy()


def contract_of(frame, labels, task="classification"):
    kinds = {name: "number" if pd.api.types.is_numeric_dtype(frame[name]) else "category" for name in frame}
    classes = tuple(sorted(set(label_text(labels)))) if task == "classification" else ()
    columns = tuple(Column(name, kind, 0.0) for name, kind in kinds.items())
    return Contract(columns, Column("y", "category", 0.0), task, classes, "text", "", len(frame))


def make_job(frame, labels, *, task="classification", keys=None, root=Path(), **options):
    """A job for these rows; options that are no fields of the job go to the training settings."""
    own = {name: options.pop(name) for name in ("champion", "seen_until", "positive") if name in options}
    return FitJob(
        features=frame,
        labels=labels,
        keys=np.arange(len(frame)) if keys is None else keys,
        contract=contract_of(frame, labels, task),
        task=task,
        compute=options.pop("compute", ComputeSettings(jobs=1)),
        performance=options.pop("performance", PerformanceSettings()),
        training=TrainingSettings(**options),
        root=root,
        **own,
    )
