"""What each single decision of a model costs, on one scale that a price for a retraining can be set against.

    classes                    1 for a wrong answer, 0 for a right one
    performance.metric "cost"  what the user's matrix or function says of the row
    numbers                    |error| / the mean |error| of the best constant on the rows of the model's baseline

So `policy.retrain_cost = 20` means 20 wrong decisions, 20 units of the user's own cost, or, for numbers, the error
of 20 rows answered as badly as without any model.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evergreen.scoring import costs
from evergreen.scoring.measures import Sample, absolute_losses, misses
from evergreen.settings import PerformanceSettings


@dataclass(frozen=True)
class DecisionCost:
    """What a decision of a model cost on the rows it was admitted on.

    Attributes:
        kind: "wrong" (0 or 1 for classes), "cost" (the user's) or "error" (|error|, in the unit of the target).
        mean, standard_error: over `rows` rows, in the kind's own unit.
        unit: what counts as 1: of "error" the mean |error| of the best constant on these rows, else 1.
    """

    kind: str
    mean: float
    standard_error: float
    rows: int
    unit: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def row_costs(sample: Sample, settings: PerformanceSettings, *, unit: float = 1.0, root: Path = Path()) -> np.ndarray:
    """Cost of each decision, (n,) float64, in multiples of `unit`; large is bad, 0 is a right answer.

    `root` is the folder in which the module of `performance.cost_function` is looked for first. A function that gives
    one number for all rows can't say what a single row costs: then it is as without one.

    >>> sample = Sample(np.array([0, 1, 1]), np.array([0, 1, 0]), classes=("no", "yes"))
    >>> row_costs(sample, PerformanceSettings())
    array([0., 0., 1.])
    >>> row_costs(Sample(np.array([10.0, 20.0]), np.array([13.0, 20.0])), PerformanceSettings(), unit=6.0)
    array([0.5, 0. ])
    """
    return plain_costs(sample, settings, root)[1] / unit


def measure_cost(sample: Sample, settings: PerformanceSettings, root: Path = Path()) -> DecisionCost:
    """The mean cost of a decision on the rows of a baseline, with the unit that later rows are counted in."""
    kind, values = plain_costs(sample, settings, root)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return DecisionCost(
        kind, float(values.mean()), error, len(values), _constant_error(sample) if kind == "error" else 1.0
    )


def plain_costs(sample: Sample, settings: PerformanceSettings, root: Path) -> tuple[str, np.ndarray]:
    """The kind of cost, and that of each decision in the kind's own unit, (n,) float64."""
    if settings.metric == "cost":
        own = _own_costs(sample, settings, root)
        if isinstance(own, np.ndarray):
            return "cost", own
    return ("wrong", misses(sample)) if sample.classes else ("error", absolute_losses(sample))


def _own_costs(sample: Sample, settings: PerformanceSettings, root: Path) -> np.ndarray | float:
    if settings.cost_matrix:
        return costs.matrix_losses(settings.cost_matrix)(sample)
    return costs.function_losses(costs.load_function(settings.cost_function, root))(sample)


def _constant_error(sample: Sample) -> float:
    """Mean |error| of the median, the best constant for it; 1 where all labels are equal, which has no scale."""
    return float(np.abs(sample.truth - np.median(sample.truth)).mean()) or 1.0
