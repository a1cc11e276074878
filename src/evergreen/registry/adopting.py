"""A model from elsewhere gets its card: someone vouches for the pickle, the reference tells what it may expect.

Its file is opened here on that person's word alone, and in a child process first: what crashes, hangs or
is no model never gets as far as this process.
"""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from evergreen import files
from evergreen.data.batches import read_batch
from evergreen.data.schema import Contract, infer_contract
from evergreen.data.sources import Table, Window
from evergreen.data.windows import Split, Timeline, read_timeline, split_holdout, to_key
from evergreen.errors import DataError, IntegrityError, TrainingError, UsageError
from evergreen.registry.cards import Card
from evergreen.registry.describing import Occasion, describe_model
from evergreen.settings import Settings
from evergreen.training.admission import Examination, OpenedModel, check_safety, score_answers
from evergreen.training.children import run_in_child
from evergreen.training.gates import GATE_LIMITS
from evergreen.training.prepare import Material, drop_leaked


def describe_adopted(
    content: bytes,
    table: Table,
    settings: Settings,
    occasion: Occasion,
    *,
    trained_until: datetime | int | None,
) -> Card:
    """The card of a model that was trained elsewhere, on the word of the actor of the occasion.

    Its contract and reference profile come from the rows up to `trained_until`, its baseline from the
    first labelled rows after them. Without that moment they come from the older rows and from the
    newest labelled block, and the card says that the baseline may be of rows the model has learned
    from, and then flatters it. Raises `IntegrityError` when the model does not pass the safety gates.
    """
    if not settings.data.target:
        raise UsageError("Set data.target, the column that the model predicts: without it there is no baseline.")
    split = choose_rows(read_timeline(table, settings.data), settings, trained_until)
    contract = _as_the_model_expects(content, infer_contract(table, settings.data, split.train), settings, table.name)
    task = str(contract.task)
    learned = read_batch(table, split.train, contract.features, settings.data, task).labelled_rows()
    newest = read_batch(table, split.holdout, contract.features, settings.data, task).labelled_rows()
    holdout, leaked = drop_leaked(learned, newest)
    material = Material(contract, task, learned, holdout, to_key(newest.keys[-1]), leaked)
    gates = check_safety(content, material, settings)
    failed = [f"{gate.name}: {gate.reason}" for gate in gates if not gate.passed]
    if failed:
        raise IntegrityError("The model can't be adopted. " + " ".join(failed))
    model = OpenedModel(files.digest_of(content), pickle.loads(content), contract)
    answers = model.answer(holdout, task)
    shown = Examination(gates, answers, score_answers(answers, material, settings))
    kind = type(model.estimator)
    training = {
        "estimator": f"{kind.__module__}.{kind.__qualname__}",
        "baseline_may_be_in_sample": trained_until is None,
    }
    return replace(describe_model(model.digest, material, shown, settings, occasion, training), origin="adopted")


def choose_rows(timeline: Timeline, settings: Settings, trained_until: datetime | int | None) -> Split:
    """The rows that stand for what the model learned, and the labelled rows that its baseline is measured on.

    With `trained_until` the baseline is the first labelled block after it, as large as a holdout would be; what
    comes later counts as new, so that a drift that is already there is found. Raises `DataError` when
    either side has too few labelled rows.
    """
    if trained_until is None:
        return split_holdout(timeline, settings.training)
    keys = timeline.keys[timeline.labelled]
    last: Any = np.datetime64(trained_until, "us") if keys.dtype.kind == "M" else trained_until
    cut = int(np.searchsorted(keys, last, "right"))
    size = max(settings.training.min_holdout, round(settings.training.holdout_share * cut))
    size = min(size, len(keys) - cut)
    if cut == 0 or size < settings.training.min_holdout:
        raise DataError(
            f"--trained-until {trained_until}: {cut} labelled rows are up to then and {len(keys) - cut} are later; "
            f"the baseline needs at least {settings.training.min_holdout} later ones (training.min_holdout)."
        )
    border = to_key(keys[cut])
    after = int(np.searchsorted(keys, keys[cut + size - 1], "right"))
    stop = None if after == len(keys) else to_key(keys[after])
    return Split(Window(None, border), Window(border, stop), cut, after - cut)


def _as_the_model_expects(content: bytes, contract: Contract, settings: Settings, where: str) -> Contract:
    """The contract with the columns that the model names, in its order; all of them when it names none."""
    try:
        names = run_in_child(_names_of_features, (content,), GATE_LIMITS, what="Opening it", folders=(settings.root,))
    except TrainingError as error:
        raise IntegrityError(f"The model can't be adopted: {error}") from None
    if not names:
        return contract
    columns = {column.name: column for column in contract.columns}
    lacking = [name for name in names if name not in columns]
    if lacking:
        raise DataError(
            f"{where}: the model expects columns that are not among the features here: {', '.join(lacking)}. "
            f"Found: {', '.join(columns)}. See data.kinds, data.exclude and data.identifiers."
        )
    unused = [name for name in columns if name not in names]
    return replace(contract, columns=tuple(columns[name] for name in names), others=(*contract.others, *unused))


def _names_of_features(content: bytes) -> Sequence[str]:
    names: Any = getattr(pickle.loads(content), "feature_names_in_", ())
    return [str(name) for name in names]
