"""Profiles of what a model says and of what really happened: each a family of columns of its own."""

from typing import TYPE_CHECKING, Any

from evergreen.drift.in_time import profile_rows
from evergreen.drift.profile import Profile
from evergreen.scoring.predictions import Predictions
from evergreen.settings import DriftSettings

if TYPE_CHECKING:
    import numpy as np


def profile_answers(
    predictions: Predictions, times: "np.ndarray", settings: DriftSettings, *, against: Profile | None = None
) -> Profile:
    """What the model says: the predicted class or number, and the probability of each class but the first.

    With two classes this is one score; a family of columns of its own. `times`, shape `(rows,)`, are those of the
    rows, or their numbers.
    """
    import pandas as pd

    columns: dict[str, Any] = {"prediction": predictions.values}
    if predictions.probabilities is not None:
        probabilities = zip(predictions.classes[1:], predictions.probabilities.T[1:], strict=True)
        columns |= {f"probability of {name}": share for name, share in probabilities}
    frame = pd.DataFrame(columns)
    kinds = {name: "category" if values.dtype == object else "number" for name, values in columns.items()}
    return profile_rows(frame, kinds, times, settings, against=against, source="predictions")


def profile_target(
    labels: "np.ndarray", times: "np.ndarray", settings: DriftSettings, *, against: Profile | None = None
) -> Profile:
    """What really happened, where it is known."""
    import pandas as pd

    kind = "category" if labels.dtype == object else "number"
    frame = pd.DataFrame({"target": labels})
    return profile_rows(frame, {"target": kind}, times, settings, against=against, source="target")
