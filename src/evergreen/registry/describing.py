"""The card of a new challenger, made from everything that is known when it is admitted."""

import platform
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from evergreen.data.rows import digest_rows
from evergreen.data.schema import Contract
from evergreen.data.windows import key_from_json, key_to_json, to_key
from evergreen.drift.outcomes import profile_answers, profile_target
from evergreen.drift.profile import profile_frame
from evergreen.registry.cards import Card, installed_libraries
from evergreen.registry.journal import utc_text
from evergreen.registry.store import Store
from evergreen.settings import Settings
from evergreen.training.admission import OpenedModel

if TYPE_CHECKING:
    from evergreen.training.admission import Examination
    from evergreen.training.fitting import Fitted
    from evergreen.training.prepare import Material


def describe_challenger(
    fitted: "Fitted",
    material: "Material",
    shown: "Examination",
    settings: Settings,
    *,
    version: int,
    now: datetime,
    parent: str | None,
    reason: str,
    actor: str,
    revision: str,
) -> Card:
    """The card of a fitted challenger.

    The reference profile is of the rows it learned from; those of its predictions and of the target are
    of the holdout, because on its own training rows a model answers more surely than it ever will again.
    """
    learned = material.training.frame.tail(fitted.rows)
    keys = material.training.keys[-fitted.rows :]
    contract = material.contract
    return Card(
        digest=fitted.digest,
        version=version,
        created=utc_text(now),
        task=material.task,
        target=settings.data.target,
        positive=settings.data.positive,
        classes=contract.classes,
        contract=contract.to_dict(),
        profile=replace(
            profile_frame(learned, kinds_of(contract), source="training rows"),
            start=str(key_to_json(to_key(keys[0]))),
            stop=str(key_to_json(to_key(keys[-1]))),
        ).to_dict(),
        prediction_profile=profile_answers(shown.answers.predictions).to_dict() if shown.answers else None,
        target_profile=profile_target(material.holdout.labels).to_dict(),
        baseline={name: score.to_dict() for name, score in (shown.scores or {}).items()},
        seen_until=key_to_json(material.seen_until),
        importances=fitted.importances,
        gates=tuple(gate.to_dict() for gate in shown.gates),
        comparison=shown.comparison.to_dict() if shown.comparison else None,
        training={
            "rows": fitted.rows,
            "seconds": round(fitted.seconds, 3),
            "window": fitted.window,
            "from": key_to_json(to_key(keys[0])),
            "to": key_to_json(to_key(keys[-1])),
            "holdout_rows": len(material.holdout),
            "leaked_rows": material.leaked,
            "estimator": fitted.estimator,
            "params": fitted.params,
            "seed": settings.training.seed,
            "candidates": [{"window": c.window, "rows": c.rows, "score": c.score} for c in fitted.candidates],
        },
        data_digest=digest_rows(material.training.frame),
        libraries=installed_libraries([fitted.estimator.split(".")[0]]),
        python=platform.python_version(),
        settings=settings.as_dict(),
        revision=revision,
        parent=parent,
        reason=reason,
        actor=actor,
    )


def open_model(store: Store, digest: str | None = None) -> tuple[OpenedModel, Card]:
    """A model ready to be asked, and its card: the live one, or one that is kept."""
    estimator, card = store.load(digest) if digest else store.load_live()
    return OpenedModel(card.digest, estimator, contract_of(card)), card


def contract_of(card: Card) -> Contract:
    """What the model expects of a table."""
    return Contract.from_dict(card.contract)


def last_key_of(card: Card) -> datetime | int | None:
    """The newest row that the model's training or holdout used."""
    return key_from_json(card.seen_until)


def kinds_of(contract: Contract) -> dict[str, str]:
    """The kind of each feature, as profiles want them."""
    return {column.name: column.kind for column in contract.columns}
