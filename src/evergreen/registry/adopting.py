"""A model from elsewhere gets its card: someone vouches for the pickle, the reference tells what it may expect.

Its file is opened here on that person's word alone, and in a child process first: what crashes, hangs or
is no model never gets as far as this process.
"""

import logging
import pickle
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen import files
from evergreen.data.batches import Batch, read_batch
from evergreen.data.rows import digest_rows
from evergreen.data.schema import Contract, conform, infer_contract
from evergreen.data.sources import Table, Window
from evergreen.data.windows import Split, Timeline, key_to_json, read_timeline, split_holdout, to_key
from evergreen.drift.outcomes import profile_answers, profile_target
from evergreen.drift.profile import profile_frame
from evergreen.errors import DataError, IntegrityError, TrainingError, UsageError
from evergreen.registry.cards import Card, installed_libraries
from evergreen.registry.journal import utc_text
from evergreen.scoring.metrics import metric_named, score_all
from evergreen.scoring.predictions import predict
from evergreen.settings import Settings
from evergreen.training.children import run_in_child
from evergreen.training.gates import GATE_LIMITS, run_gates
from evergreen.training.prepare import drop_leaked

if TYPE_CHECKING:
    from evergreen.training.gates import Gate

GOLDEN_ROWS = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Voucher:
    """Who takes responsibility for a foreign pickle, when and why; rows up to `trained_until` were learned from."""

    actor: str
    reason: str
    now: datetime
    trained_until: datetime | int | None


def describe_adopted(
    content: bytes,
    table: Table,
    settings: Settings,
    voucher: Voucher,
    *,
    version: int,
    parent: str | None,
    revision: str,
) -> Card:
    """The card of a model that was trained elsewhere.

    Its contract and reference profile come from the rows up to `trained_until`, its baseline from the
    first labelled rows after them. Without that moment they come from the older rows and from the
    newest labelled block, and the card says that the baseline may be of rows the model has learned
    from, and then flatters it. Raises `IntegrityError` when the model does not pass the safety gates.
    """
    if not settings.data.target:
        raise UsageError("Set data.target, the column that the model predicts: without it there is no baseline.")
    split = choose_rows(read_timeline(table, settings.data), settings, voucher.trained_until)
    contract = _as_the_model_expects(content, infer_contract(table, settings.data, split.train), settings, table.name)
    task = str(contract.task)
    learned = read_batch(table, split.train, contract.features, settings.data, task).labelled_rows()
    newest = read_batch(table, split.holdout, contract.features, settings.data, task).labelled_rows()
    holdout, leaked = drop_leaked(learned, newest)
    gates = _pass_gates(content, holdout, contract, settings)
    model = pickle.loads(content)
    answers = predict(model, conform(holdout.frame, contract), task, contract.classes)
    scores = score_all(
        task,
        holdout.labels,
        answers,
        settings=settings.performance,
        root=settings.root,
        confidence=settings.performance.confidence,
        positive=settings.data.positive or None,
    )
    kinds = {column.name: column.kind for column in contract.columns}
    return Card(
        digest=files.digest_of(content),
        version=version,
        created=utc_text(voucher.now),
        origin="adopted",
        task=task,
        target=settings.data.target,
        positive=settings.data.positive,
        classes=contract.classes,
        contract=contract.to_dict(),
        profile=profile_frame(learned.frame, kinds, source="reference rows").to_dict(),
        prediction_profile=profile_answers(answers).to_dict(),
        target_profile=profile_target(holdout.labels).to_dict(),
        baseline={name: score.to_dict() for name, score in scores.items()},
        seen_until=key_to_json(to_key(newest.keys[-1])),
        gates=tuple(gate.to_dict() for gate in gates),
        training={
            "rows": len(learned),
            "from": key_to_json(to_key(learned.keys[0])),
            "to": key_to_json(to_key(learned.keys[-1])),
            "holdout_rows": len(holdout),
            "leaked_rows": leaked,
            "estimator": f"{type(model).__module__}.{type(model).__qualname__}",
            "baseline_may_be_in_sample": voucher.trained_until is None,
        },
        data_digest=digest_rows(learned.frame),
        libraries=installed_libraries([type(model).__module__.split(".")[0]]),
        python=platform.python_version(),
        settings=settings.as_dict(),
        revision=revision,
        parent=parent,
        reason=voucher.reason,
        actor=voucher.actor,
    )


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


def _pass_gates(content: bytes, rows: Batch, contract: Contract, settings: Settings) -> "tuple[Gate, ...]":
    metric = metric_named(settings.performance, str(contract.task), settings.root)
    golden = conform(rows.frame.head(GOLDEN_ROWS), contract)
    gates = run_gates(content, golden, contract, settings.promotion, metric, root=settings.root)
    failed = [f"{gate.name}: {gate.reason}" for gate in gates if not gate.passed]
    if failed:
        raise IntegrityError("The model can't be adopted. " + " ".join(failed))
    return gates
