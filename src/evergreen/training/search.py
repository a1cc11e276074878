"""Search parameters by successive halving, each judged on rows later than those it learned from.

All combinations start on few rows and the best third goes on with three times as many (Jamieson and
Talwalkar 2016; scikit-learn's `HalvingGridSearchCV`), so most of the time goes to the good ones.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from evergreen.errors import TrainingError
from evergreen.scoring.metrics import Metric, sample_rows
from evergreen.scoring.predictions import predict
from evergreen.training.estimators import address_params, seeded

MAX_COMBINATIONS = 81  # larger grids are sampled; four rounds of halving


@dataclass(frozen=True)
class Scorer:
    """A metric in the form scikit-learn's searches call: larger is better, nan when the rows can't tell."""

    metric: Metric
    task: str
    positive: str | None

    def __call__(self, model: Any, features: Any, labels: np.ndarray) -> float:
        found = self.metric.measure(sample_rows(labels, predict(model, features, self.task), self.positive))
        return found.value if self.metric.higher_is_better else -found.value


def search_params(
    estimator: Any,
    features: Any,
    labels: np.ndarray,
    grid: dict[str, list[Any]],
    *,
    folds: int,
    seed: int,
    scorer: Scorer,
    fit_arguments: dict[str, Any],
) -> dict[str, Any]:
    """The best combination, by the names it has in the grid.

    Folds are in time order (`TimeSeriesSplit`): every one is judged on rows later than those it was
    fitted on. A combination that fails on a fold loses; if all fail, `TrainingError` has the reason.
    """
    from sklearn.exceptions import FitFailedWarning
    from sklearn.model_selection import TimeSeriesSplit

    addresses = address_params(estimator, list(grid))
    space = {addresses[name]: values for name, values in grid.items()}
    halving = _halving(space)
    search = halving(
        estimator=seeded(estimator, seed),
        cv=TimeSeriesSplit(folds),
        scoring=scorer,
        refit=False,
        return_train_score=False,
        random_state=seed,
        min_resources="exhaust",
    )
    with warnings.catch_warnings():
        # A fold that fails has the score nan, which loses; the reasons come back when all have failed.
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.filterwarnings("ignore", "One or more of the (test|train) scores are non-finite", UserWarning)
        try:
            search.fit(features, labels, **fit_arguments)
        except ValueError as error:
            raise TrainingError(f"training.search found no combination that can be fitted: {error}") from error
    return {name: search.best_params_[address] for name, address in addresses.items()}


def _halving(space: dict[str, list[Any]]) -> Any:
    from functools import partial

    from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the next import possible
    from sklearn.model_selection import HalvingGridSearchCV, HalvingRandomSearchCV

    if math.prod(map(len, space.values())) <= MAX_COMBINATIONS:
        return partial(HalvingGridSearchCV, param_grid=space)
    return partial(HalvingRandomSearchCV, param_distributions=space, n_candidates=MAX_COMBINATIONS)
