"""From a name in the configuration to an estimator that can be fitted on a conformed frame.

Preprocessing is inside the pipeline, so that training and serving can't differ, and the pipeline is
made of scikit-learn's and the estimator's own classes only, so that `pickle.load` opens it where
Evergreen is not installed.

A conformed frame has numbers, booleans and times as `float64` with NaN for missing, and categories
as text with NaN for missing.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.by_name import find_by_name
from evergreen.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas

    from evergreen.data.schema import Contract
    from evergreen.settings import TrainingSettings

MAX_LEVELS = 254  # what histogram gradient boosting can hold in a bin each; rarer ones share a level
MAX_COLUMNS_PER_CATEGORY = 100  # one-hot columns a category becomes at most
AUTO = "sklearn.ensemble.HistGradientBoosting"
# No early stopping: it would judge by a random tenth of the rows, and in time-ordered tables neighbours
# give the answer away. Leaves of 40 rows lose nothing where the future is judged, and noise is learned less.
AUTO_PARAMS = {"min_samples_leaf": 40, "early_stopping": False}


def build_estimator(training: "TrainingSettings", contract: "Contract", task: str, seed: int, root: Path) -> Any:
    """An unfitted estimator: for `auto` and `package.Class` with its preprocessing, a pipeline.

    - `auto`: histogram gradient boosting, which takes missing values as they are and categories
      without an order; unseen categories count as missing, rare ones beyond 254 share a level.
    - `package.Class`: made with `training.params`; estimators that take missing values get numbers
      as they are and categories as codes, others imputed and scaled numbers and one-hot categories.
    - `module:factory`: what the user's function returns, called with `training.params`, as it is;
      the module is looked for in `root` too.

    Parameters called `random_state` that are not set become `seed`. Raises `UsageError` when the name
    can't be imported or does not take the parameters.
    """
    if ":" in training.estimator:
        return seeded(_make(training.estimator, training.params, root), seed)
    name, params = training.estimator, dict(training.params)
    if name == "auto":
        name = AUTO + ("Classifier" if task == "classification" else "Regressor")
        params = AUTO_PARAMS | params
    model = _make(name, params, root)
    if training.preprocessing == "auto":
        model = _with_preprocessing(model, contract)
    return seeded(model, seed)


def present_columns(contract: "Contract", features: "pandas.DataFrame", min_share: float = 0.0) -> "Contract":
    """The contract without the columns that have no value in these rows, or in too few of them.

    They teach nothing, and scikit-learn 1.9 refuses to look for thresholds among no numbers.
    """
    shares = features.notna().mean()
    kept = tuple(column for column in contract.columns if shares[column.name] > min_share)
    if not kept:
        raise DataError(f"None of the {len(contract.columns)} features has a value in the {len(features):,} rows.")
    return replace(contract, columns=kept)


def count_levels(contract: "Contract", features: "pandas.DataFrame") -> "Contract":
    """The contract with each category's number of values in the rows to learn from, which may be newer ones as well."""
    counted = (
        replace(column, distinct=int(features[column.name].nunique())) if column.kind == "category" else column
        for column in contract.columns
    )
    return replace(contract, columns=tuple(counted))


def seeded(model: Any, seed: int) -> Any:
    """The same estimator with every `random_state` that was left open set to the seed."""
    if not hasattr(model, "get_params"):
        return model
    open_ones = {
        name: seed
        for name, value in model.get_params(deep=True).items()
        if value is None and name.split("__")[-1] == "random_state"
    }
    return model.set_params(**open_ones) if open_ones else model


def split_pipeline(model: Any) -> tuple[Any, Any]:
    """(preprocessing or None, the estimator that learns)."""
    from sklearn.pipeline import Pipeline

    if isinstance(model, Pipeline):
        return (model[:-1] if len(model) > 1 else None), model[-1]
    return None, model


def name_estimator(model: Any) -> str:
    """The full name of the class of the estimator that learns, as `training.estimator` takes it."""
    kind = type(split_pipeline(model)[1])
    package = kind.__module__.partition("._")[0]
    return f"{package}.{kind.__qualname__}"


def set_params(model: Any, params: Mapping[str, Any]) -> Any:
    """The same estimator with these parameters, each by the name the user knows it under."""
    if not params:
        return model
    addresses = address_params(model, list(params))
    return model.set_params(**{addresses[name]: value for name, value in params.items()})


def address_params(model: Any, names: Sequence[str]) -> dict[str, str]:
    """For each parameter name of the user's the name `set_params` knows: of the pipeline or its last step.

    Raises `UsageError` with the nearest known name.
    """
    known = set(model.get_params(deep=True))
    addresses = {}
    for name in names:
        address = name if name in known else f"model__{name}"
        if address not in known:
            own = sorted(known_name.removeprefix("model__") for known_name in known)
            near = get_close_matches(name, own, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(own)}."
            raise UsageError(f"training.search: {name_estimator(model)} has no parameter '{name}'; {hint}")
        addresses[name] = address
    return addresses


def _make(name: str, params: Mapping[str, Any], root: Path) -> Any:
    factory = find_by_name(name, root, setting="training.estimator")
    try:
        inspect.signature(factory).bind(**params)
    except TypeError as error:
        raise UsageError(f"training.params: {name} does not take them: {error}.") from None
    except ValueError:  # no signature to read, as for some compiled classes
        pass
    model = factory(**params)
    if not (hasattr(model, "fit") and hasattr(model, "predict")):
        raise UsageError(f"training.estimator = '{name}' gives a {type(model).__name__} without fit and predict.")
    return model


def _with_preprocessing(model: Any, contract: "Contract") -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    # By name: the order of columns in a file is to make no difference to the model.
    numbers = sorted(column.name for column in contract.columns if column.kind != "category")
    categories = sorted(column.name for column in contract.columns if column.kind == "category")
    if _takes_missing(model):
        many = any(column.distinct >= MAX_LEVELS for column in contract.columns if column.kind == "category")
        steps = [("categories", _codes(many), categories), ("numbers", "passthrough", numbers)]
        if "categorical_features" in model.get_params():
            model.set_params(categorical_features=list(range(len(categories))))
    else:
        steps = [("categories", _one_hot(), categories), ("numbers", _scaled(), numbers)]
    kept = [step for step in steps if step[2]]
    # One job: encoding columns is cheaper than sending them to other processes, at every fit and every answer.
    columns = ColumnTransformer(kept, verbose_feature_names_out=False, n_jobs=1)
    return Pipeline([("columns", columns), ("model", model)])


def _takes_missing(model: Any) -> bool:
    from sklearn.utils import get_tags

    return bool(get_tags(model).input_tags.allow_nan)


def _codes(many: bool) -> Any:
    """Numbers for categories; only where there may be too `many` are they counted, value by value."""
    from sklearn.preprocessing import OrdinalEncoder

    nan, most = float("nan"), MAX_LEVELS if many else None
    return OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=nan, encoded_missing_value=nan, max_categories=most
    )


def _one_hot() -> Any:
    from sklearn.preprocessing import OneHotEncoder

    return OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MAX_COLUMNS_PER_CATEGORY, sparse_output=False
    )


def _scaled() -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
