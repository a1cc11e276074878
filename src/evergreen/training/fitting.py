"""Fit a challenger in a child process: a new model, or the champion learning what is new.

The order of work in the child: parameters (searched for, if the user wants), the stretch of the past
to learn from (several compete on the newest training rows), the fit on that stretch, the pickle.
"""

import logging
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from evergreen.data.labels import own_labels
from evergreen.data.schema import conform
from evergreen.data.windows import fade_weights
from evergreen.errors import DataError, UsageError
from evergreen.files import digest_of
from evergreen.scoring.metrics import Metric, metric_named
from evergreen.training.children import Limits, run_in_child
from evergreen.training.competition import CANDIDATES, Candidate, Choice, choose_window, first_rows, validation_start
from evergreen.training.estimators import (
    build_estimator,
    count_levels,
    name_estimator,
    present_columns,
    set_params,
    split_pipeline,
)
from evergreen.training.importances import measure_importances
from evergreen.training.search import Scorer, search_params

if TYPE_CHECKING:
    import pandas

    from evergreen.data.batches import Batch
    from evergreen.data.schema import Contract
    from evergreen.settings import ComputeSettings, PerformanceSettings, Settings, TrainingSettings

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10
ROWS_PER_THREAD = 50_000
SEARCHABLE_SHARE = 0.2  # of values in the oldest fold; sparser columns might be empty in a small sample of it


@dataclass(frozen=True)
class FitJob:
    """Everything a fit needs; it travels to the child as a pickle.

    Args:
        features: conformed frame, (n, features), in time order.
        labels: (n,) the target, classes in the user's own type so that the model answers in it.
        keys: (n,) order keys, ascending: times (`datetime64`) or row numbers.
        performance, positive: what `metric_named` and the score need to judge candidates.
        champion, seen_until: pickle of the live model and the last key it has seen, for
            `training.update` only; without a champion a new model is trained.
        window_rows: labelled rows that come between two runs; None while that is not known.
    """

    features: "pandas.DataFrame"
    labels: np.ndarray
    keys: np.ndarray
    contract: "Contract"
    task: str
    training: "TrainingSettings"
    compute: "ComputeSettings"
    performance: "PerformanceSettings"
    root: Path
    positive: str = ""
    champion: bytes | None = None
    seen_until: Any = None
    window_rows: int | None = None


def job_for(rows: "Batch", contract: "Contract", settings: "Settings", **more: Any) -> FitJob:
    """The job of learning labelled rows as the settings say; `more` are fields that a first fit does without."""
    return FitJob(
        features=conform(rows.frame, contract),
        labels=own_labels(rows.labels, contract.label_type),
        keys=rows.keys,
        contract=contract,
        task=str(contract.task),
        training=settings.training,
        compute=settings.compute,
        performance=settings.performance,
        root=settings.root,
        positive=settings.data.positive,
        **more,
    )


@dataclass(frozen=True)
class Fitted:
    """A challenger and how it came about.

    Attributes:
        pickle, digest: the model (protocol 5) and the SHA-256 of these bytes.
        seconds: wall clock of the whole work in the child.
        window: the stretch it learned from, `update` for a champion that was continued.
        rows: training rows in that stretch; they are the newest of the job's rows.
        params: what the user set and what the search found.
        candidates: windows that competed, with their scores on validation rows.
        importances: share of each feature in the rise of the loss when its values are shuffled;
            they are ≥ 0 and sum to 1, or all are 0 when the model uses none.
    """

    pickle: bytes
    digest: str
    seconds: float
    window: str
    rows: int
    params: dict[str, Any]
    estimator: str
    candidates: tuple[Candidate, ...]
    importances: dict[str, float]


class Workshop(Protocol):
    """Fits challengers in its own way, or knows them from before, where a run brings one along.

    A replay does: it makes hundreds of models of one past, in processes it has already.
    """

    def fit(self, job: FitJob) -> Fitted:
        """What `fit` gives for the job; its pickle may be one that only this program can open."""


def fit_in_child(job: FitJob, limits: Limits) -> Fitted:
    """Fit in a process of its own, under limits.

    Raises `TrainingError` when the fit failed, hung, died or hit a limit, `UsageError` when the
    configuration does not go with the estimator, and `DataError` when there is nothing to learn.
    """
    logger.info("fitting on %s rows and %s features", f"{len(job.features):,}", job.features.shape[1])
    fitted: Fitted = run_in_child(
        fit,
        (job,),
        limits,
        what="The fit",
        advice="Raise training.timeout or training.memory_gb, or lower training.max_rows.",
        folders=(job.root,),
    )
    logger.info("fitted %s on %s rows (%s) in %.1f s", fitted.estimator, fitted.rows, fitted.window, fitted.seconds)
    return fitted


def limits_of(training: "TrainingSettings") -> Limits:
    """The limits of a fit as the user set them."""
    memory = None if training.memory_gb == "off" else int(training.memory_gb * 2**30)
    return Limits(training.timeout.total_seconds() if training.timeout else None, memory)


def fit(job: FitJob) -> Fitted:
    """The work of the child; call `fit_in_child` instead, this has no limits."""
    from threadpoolctl import threadpool_limits

    started = time.perf_counter()
    _check_labels(job)
    with threadpool_limits(limits=_count_threads(job), user_api="openmp"):
        return _fit(job, started)


def _count_threads(job: FitJob) -> int:
    """Threads inside one fit: one per 50,000 rows, up to `compute.jobs`.

    On a machine that is busy otherwise, threads with little to do wait for each other most of the time:
    a fit of 20,000 rows took 8 to 20 s with two of them and 0.6 s with one.
    """
    import joblib

    return min(joblib.effective_n_jobs(job.compute.jobs), 1 + len(job.labels) // ROWS_PER_THREAD)


def _fit(job: FitJob, started: float) -> Fitted:
    if job.training.update and job.champion is not None:
        return _update(job, started)
    return _train(job, started)


def _train(job: FitJob, started: float) -> Fitted:
    metric = metric_named(job.performance, job.task, job.root)
    job = replace(job, contract=count_levels(job.contract, job.features))
    plain = _build(job, job.contract)
    _check_answers(plain, metric)
    weights = _weigh_rows(job, plain)
    found = _search(job, metric, weights) if job.training.search else {}

    def fit_rows(rows: slice) -> Any:
        features = job.features[rows]
        model = _build(job, present_columns(job.contract, features))
        return set_params(model, found).fit(features, job.labels[rows], **_cut(weights, rows))

    with _parallel(job.compute) if _shares_work(plain) else nullcontext():
        choice = _choose_window(job, metric, fit_rows)
        model = fit_rows(slice(choice.start, None))
    return _pack(
        model,
        job,
        started,
        judge=choice.model or model,
        window=choice.window,
        rows=len(job.labels) - choice.start,
        params=job.training.params | found,
        candidates=choice.candidates,
    )


def _build(job: FitJob, contract: "Contract") -> Any:
    return build_estimator(job.training, contract, job.task, job.training.seed, job.root)


def _search(job: FitJob, metric: Metric, weights: dict[str, np.ndarray]) -> dict[str, Any]:
    """The best parameters, found with the columns that have been filled from the beginning."""
    oldest = job.features[: len(job.labels) // (job.training.folds + 1)]
    with _parallel(job.compute):
        return search_params(
            _build(job, present_columns(job.contract, oldest, SEARCHABLE_SHARE)),
            job.features,
            job.labels,
            job.training.search,
            folds=job.training.folds,
            seed=job.training.seed,
            scorer=Scorer(metric, job.task, job.positive or None),
            fit_arguments=weights,
        )


def _choose_window(job: FitJob, metric: Metric, fit_rows: Callable[[slice], Any]) -> Choice:
    if job.training.window != "auto":
        window = job.training.window
        return Choice(window, first_rows(job.keys, (window,))[window])
    validation = _validation_start(job)
    starts = first_rows(job.keys[:validation], CANDIDATES)
    return choose_window(
        starts,
        job.features,
        job.labels,
        validation=validation,
        fit=fit_rows,
        metric=metric,
        task=job.task,
        positive=job.positive or None,
    )


def _validation_start(job: FitJob) -> int:
    return validation_start(job.keys, job.training.max_holdout, job.window_rows)


def _update(job: FitJob, started: float) -> Fitted:
    """The champion goes on learning from the rows after `seen_until`, by its own preprocessing."""
    model = pickle.loads(job.champion or b"")
    preprocessing, learner = split_pipeline(model)
    if not hasattr(learner, "partial_fit"):
        raise UsageError(
            f"training.update = true: {name_estimator(model)} can't go on learning (it has no partial_fit). "
            "Set training.update = false, or use an estimator that can, such as sklearn.linear_model.SGDClassifier."
        )
    start = 0
    if job.seen_until is not None:
        start = int(np.searchsorted(job.keys, np.asarray(job.seen_until, dtype=job.keys.dtype), side="right"))
    rows = slice(start, len(job.keys))
    if start == len(job.keys):
        raise DataError(f"training.update = true: there are no labelled rows after {job.seen_until} to learn from.")
    features = job.features[rows] if preprocessing is None else preprocessing.transform(job.features[rows])
    weights = {name.split("__")[-1]: values for name, values in _weigh_rows(job, model).items()}
    learner.partial_fit(features, job.labels[rows], **_cut(weights, rows))
    return _pack(
        model,
        job,
        started,
        judge=model,
        window="update",
        rows=len(job.keys) - start,
        params=dict(job.training.params),
        candidates=(),
    )


def _pack(model: Any, job: FitJob, started: float, *, judge: Any, **facts: Any) -> Fitted:
    content = pickle.dumps(model, protocol=5)
    newest = slice(_validation_start(job), None)
    importances = measure_importances(judge, job.features[newest], job.labels[newest], job.task, job.training.seed)
    return Fitted(
        pickle=content,
        digest=digest_of(content),
        estimator=name_estimator(model),
        importances=importances,
        seconds=time.perf_counter() - started,
        **facts,
    )


def _check_labels(job: FitJob) -> None:
    if len(job.labels) == 0:
        raise DataError("There are no labelled rows to learn from.")
    if job.task == "classification" and len(np.unique(job.labels)) < 2:
        raise DataError(
            f"All {len(job.labels):,} training rows have the same target value, {str(job.labels[0])!r}; "
            "expected at least two classes. Choose a longer training window."
        )


def _check_answers(estimator: Any, metric: Metric) -> None:
    if metric.needs_probabilities and not hasattr(estimator, "predict_proba"):
        raise UsageError(
            f"performance.metric = '{metric.name}' needs probabilities, and {name_estimator(estimator)} gives none "
            "(it has no predict_proba). Choose another metric or estimator."
        )


def _weigh_rows(job: FitJob, model: Any) -> dict[str, np.ndarray]:
    """The argument of `fit` with the weight of each row, halved every `half_life`; empty when all count the same."""
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import has_fit_parameter

    if job.training.half_life is None:
        return {}
    if not has_fit_parameter(split_pipeline(model)[1], "sample_weight"):
        raise UsageError(
            f"training.half_life is set, but {name_estimator(model)} takes no weights (no sample_weight in fit). "
            "Leave half_life empty, or use an estimator that takes them."
        )
    name = f"{model.steps[-1][0]}__sample_weight" if isinstance(model, Pipeline) else "sample_weight"
    return {name: fade_weights(job.keys, job.training.half_life)}


def _cut(weights: dict[str, np.ndarray], rows: slice) -> dict[str, np.ndarray]:
    return {name: values[rows] for name, values in weights.items()}


def _shares_work(estimator: Any) -> bool:
    """Whether the estimator itself gives joblib work; else workers would only be started for nothing."""
    learner = split_pipeline(estimator)[1]
    names = learner.get_params(deep=True) if hasattr(learner, "get_params") else ()
    return any(name.split("__")[-1] == "n_jobs" for name in names)


@contextmanager
def _parallel(compute: "ComputeSettings") -> Iterator[None]:
    """Let joblib use the configured backend inside the block; the cluster is left as it was after it."""
    import joblib

    if compute.backend == "loky":  # joblib's own choice, unless an estimator says that threads suit it better
        with joblib.parallel_config(n_jobs=compute.jobs):
            yield
        return
    if compute.backend == "threading":
        with joblib.parallel_config(backend="threading", n_jobs=compute.jobs):
            yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise UsageError("compute.backend = 'dask' needs the package distributed: pip install distributed.") from None
    try:
        client = Client(compute.address, timeout=CONNECT_SECONDS, set_as_default=False)
    except OSError as error:
        raise UsageError(f"compute.address = '{compute.address}': no Dask scheduler answers there ({error}).") from None
    with client, joblib.parallel_config(backend="dask", client=client, n_jobs=compute.jobs):
        yield
