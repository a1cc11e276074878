"""What wrong answers cost, in the user's own unit: a matrix from the configuration or a function of hers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evergreen.by_name import find_by_name
from evergreen.data.labels import find_label
from evergreen.errors import UsageError
from evergreen.scoring.measures import Measure, Measurement, Sample, mean_of

CostFunction = Callable[[np.ndarray, np.ndarray], Any]


def matrix_losses(costs: Mapping[str, Mapping[str, float]]) -> Callable[[Sample], np.ndarray]:
    """Cost per row from `{truth: {prediction: cost}}`; being right is free unless the matrix says otherwise."""

    def losses(sample: Sample) -> np.ndarray:
        table = _cost_table(costs, sample.classes)
        values = table[sample.truth, sample.predicted]
        if np.isnan(values).any():
            row = int(np.flatnonzero(np.isnan(values))[0])
            truth, said = sample.classes[int(sample.truth[row])], sample.classes[int(sample.predicted[row])]
            raise UsageError(
                f"performance.cost_matrix has no cost for truth '{truth}' predicted as '{said}'. "
                f'Add it: cost_matrix = {{ "{truth}" = {{ "{said}" = COST }} }}.'
            )
        return values

    return losses


def _cost_table(costs: Mapping[str, Mapping[str, float]], classes: tuple[str, ...]) -> np.ndarray:
    table = np.full((len(classes), len(classes)), np.nan)
    np.fill_diagonal(table, 0.0)
    for truth, row in costs.items():
        for said, cost in row.items():
            table[classes.index(find_label(truth, classes)), classes.index(find_label(said, classes))] = cost
    return table


def function_losses(function: CostFunction) -> Callable[[Sample], np.ndarray | float]:
    """What the user's function says: a cost per row, or one number for all rows."""

    def losses(sample: Sample) -> np.ndarray | float:
        names = np.array(sample.classes, dtype=object)
        truth, said = (
            (names[sample.truth], names[sample.predicted]) if sample.classes else (sample.truth, sample.predicted)
        )
        return _checked(function(truth, said), len(truth), function)

    return losses


def _checked(answer: Any, rows: int, function: CostFunction) -> np.ndarray | float:
    costs = np.asarray(answer, dtype=np.float64)
    if costs.shape not in ((), (1,), (rows,)) or not np.isfinite(costs).all():
        raise UsageError(
            f"performance.cost_function {function.__name__} gave shape {costs.shape} for {rows:,} rows; "
            "expected one finite cost per row, or one number."
        )
    return costs if costs.shape == (rows,) else float(costs.reshape(-1)[0])


def measure_function(function: CostFunction) -> Measure:
    """The mean of the user's costs per row, or her one number, of which no row's share is known."""
    losses = function_losses(function)

    def measure(sample: Sample) -> Measurement:
        answer = losses(sample)
        return mean_of(lambda _: answer)(sample) if isinstance(answer, np.ndarray) else Measurement(answer)

    return measure


def load_function(name: str, root: Path) -> CostFunction:
    """The function behind `performance.cost_function`; its module lies in `root` or is installed."""
    function: CostFunction = find_by_name(name, root, setting="performance.cost_function")
    return function
