"""The card of a new model, made from everything that is known when it is admitted."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.data.rows import digest_rows
from evergreen.data.schema import Contract
from evergreen.data.seen import last_seen
from evergreen.data.sources import Table
from evergreen.data.windows import key_from_json, key_to_json, to_key
from evergreen.drift.in_time import profile_rows, relate_rows
from evergreen.drift.outcomes import profile_answers, profile_target
from evergreen.errors import UsageError
from evergreen.registry.cards import Card, installed_libraries
from evergreen.registry.journal import utc_text
from evergreen.registry.store import Store
from evergreen.scoring.metrics import sample_rows
from evergreen.scoring.row_costs import measure_cost
from evergreen.settings import Settings
from evergreen.training.admission import OpenedModel
from evergreen.training.prepare import Material

if TYPE_CHECKING:
    from evergreen.training.admission import Examination
    from evergreen.training.fitting import Fitted


@dataclass(frozen=True)
class Occasion:
    """Why a model gets its card: its version, the model it is to take over from, when, why and on whose word."""

    version: int
    parent: str | None
    now: datetime
    reason: str
    actor: str
    revision: str


def describe_challenger(
    fitted: "Fitted", material: Material, shown: "Examination", settings: Settings, occasion: Occasion
) -> Card:
    """The card of a fitted challenger: its reference profile is of the rows it learned from."""
    batch = material.training
    learned = batch.rows(np.arange(len(batch) - fitted.rows, len(batch)))
    training = {
        "seconds": round(fitted.seconds, 3),
        "window": fitted.window,
        "estimator": fitted.estimator,
        "params": fitted.params,
        "seed": settings.training.seed,
        "candidates": [candidate.to_dict() for candidate in fitted.candidates],
    }
    material = replace(material, training=learned)
    importances = fitted.importances
    return describe_model(fitted.digest, material, shown, settings, occasion, training, importances=importances)


def describe_model(
    digest: str,
    material: Material,
    shown: "Examination",
    settings: Settings,
    occasion: Occasion,
    training: Mapping[str, Any],
    *,
    importances: Mapping[str, float] | None = None,
) -> Card:
    """The card of a model that learned from the training rows of `material` and was examined on its holdout.

    The profiles of its answers and of the target are of the holdout, because on its own training rows a
    model answers more surely than it ever will again. `training` says how it was made; it names the
    `estimator`, and is completed here by the rows.
    """
    contract, learned = material.contract, material.training
    first, last = (key_to_json(to_key(learned.keys[place])) for place in (0, -1))
    profile = profile_rows(learned.frame, kinds_of(contract), learned.keys, settings.drift, source="training rows")
    profile = relate_rows(profile, learned.frame, learned.keys, settings.drift, importances)
    held = material.holdout
    said = profile_answers(shown.answers.predictions, held.keys, settings.drift) if shown.answers else None
    rows = {"rows": len(learned), "from": first, "to": last}
    rows |= {"holdout_rows": len(material.holdout), "leaked_rows": material.leaked}
    return Card(
        digest=digest,
        version=occasion.version,
        created=utc_text(occasion.now),
        task=material.task,
        target=settings.data.target,
        positive=settings.data.positive,
        classes=contract.classes,
        contract=contract.to_dict(),
        profile=replace(profile, start=str(first), stop=str(last)).to_dict(),
        prediction_profile=said.to_dict() if said else None,
        target_profile=profile_target(held.labels, held.keys, settings.drift).to_dict(),
        baseline={name: score.to_dict() for name, score in (shown.scores or {}).items()},
        seen_until=key_to_json(material.seen_until),
        gates=tuple(gate.to_dict() for gate in shown.gates),
        comparison=shown.comparison.to_dict() if shown.comparison else None,
        training=rows | dict(training),
        importances=importances or {},
        data_digest=digest_rows(learned.frame),
        seen_current=material.seen_current,
        decision_cost=_cost_of(shown, material, settings),
        libraries=installed_libraries([training["estimator"].split(".")[0]]),
        python=platform.python_version(),
        settings=settings.as_dict(),
        revision=occasion.revision,
        parent=occasion.parent,
        reason=occasion.reason,
        actor=occasion.actor,
    )


def _cost_of(shown: "Examination", material: Material, settings: Settings) -> dict[str, Any] | None:
    if shown.answers is None:
        return None
    sample = sample_rows(material.holdout.labels, shown.answers.predictions, settings.data.positive or None)
    return measure_cost(sample, settings.performance, settings.root).to_dict()


def open_model(store: Store, digest: str | None = None) -> tuple[OpenedModel, Card]:
    """A model ready to be asked, and its card: the live one, or one that is kept."""
    estimator, card = store.load(digest) if digest else store.load_live()
    return OpenedModel(card.digest, estimator, contract_of(card)), card


def contract_of(card: Card) -> Contract:
    """What the model expects of a table."""
    return Contract.from_dict(card.contract)


def last_key_of(card: Card, table: Table) -> datetime | int | None:
    """The newest row of a table that the model's training or holdout used.

    Raises `UsageError` where the card tells it by time and the table has none, or the other way round.
    """
    if key_fits(card, table):
        return last_seen(table, contract_of(card), key_from_json(card.seen_until), card.seen_current)
    now = f"data.time = '{table.time}'" if table.time else "data.time is empty"
    before = "row numbers, data.time having been empty" if table.time else "the times of a column"
    raise UsageError(
        f"{table.name}: {now}, but model {card.version} knows what it has seen by {before} (up to {card.seen_until}). "
        "Which rows are new to it can't be told: set data.time as it was, or begin anew with a model that is trained "
        "under the new setting: python src/continuous_training.py --force"
    )


def key_fits(card: Card, table: Table) -> bool:
    """Whether what a model has seen is told as the rows of a table are: by time, or by row number.

    Of two tables without a time the rows themselves tell it.
    """
    by_content = table.current is not None and not table.time
    return card.seen_until is None or by_content or isinstance(card.seen_until, str) == bool(table.time)


def kinds_of(contract: Contract) -> dict[str, str]:
    """The kind of each feature, as profiles want them."""
    return {column.name: column.kind for column in contract.columns}
