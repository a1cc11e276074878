"""The card of a model: what it learned from, how good it was, and why it was let in.

The identity of a model is the SHA-256 of its pickle, and its card is filed under that digest before
the pickle goes live. So model and card can't get out of step, and a pickle without a card is unknown here.
"""

import json
import logging
import pickle
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from evergreen import files
from evergreen.errors import IntegrityError

FORMAT = 1
DIGEST = re.compile(r"[0-9a-f]{64}")
LIBRARIES = ("scikit-learn", "numpy", "pandas", "scipy", "joblib")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Card:
    """What is known of one model; plain JSON types throughout.

    `baseline` holds one score document per metric, measured on rows later than all training rows.
    `profile` is of the features the model learned from; `prediction_profile` and `target_profile` are of its
    answers and the truth on the holdout. `seen_until` is the last time (ISO text) or row number that training
    or holdout used; what comes later is new to the model; `seen_current` tells the rows of a current table without
    times by which that is known (`evergreen.data.seen`); `decision_cost` is what an answer cost on the holdout
    (`evergreen.scoring.row_costs`). `origin` is "trained" or "adopted".
    """

    digest: str
    version: int
    created: str
    task: str
    target: str
    contract: Mapping[str, Any]
    profile: Mapping[str, Any]
    baseline: Mapping[str, Mapping[str, Any]]
    seen_until: str | int | None
    origin: str = "trained"
    positive: str = ""
    classes: tuple[str, ...] = ()
    prediction_profile: Mapping[str, Any] | None = None
    target_profile: Mapping[str, Any] | None = None
    importances: Mapping[str, float] = field(default_factory=dict)
    gates: tuple[Mapping[str, Any], ...] = ()
    comparison: Mapping[str, Any] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    data_digest: str = ""
    seen_current: Mapping[str, Any] | None = None
    decision_cost: Mapping[str, Any] | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    revision: str = ""
    parent: str | None = None
    reason: str = ""
    actor: str = ""
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """The card as plain JSON types."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def name(self) -> str:
        """How the model is called in messages.

        >>> Card("ab" * 32, 3, "", "", "", {}, {}, {}, None).name
        'version 3 (abababababab)'
        """
        return f"version {self.version} ({self.digest[:12]})"


def card_path(folder: Path, digest: str) -> Path:
    """Where the card of a model is filed; only a whole digest is ever made into a file name."""
    if not DIGEST.fullmatch(digest):
        raise IntegrityError(f"'{digest}' is no model digest; expected 64 hexadecimal digits.")
    return folder / f"{digest}.json"


def write_card(folder: Path, card: Card) -> None:
    """File a card under its model's digest."""
    text = json.dumps(card.to_dict(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    files.write_atomic(card_path(folder, card.digest), text)


def read_card(folder: Path, digest: str) -> Card:
    """The card of a model. Raises `IntegrityError` when it is missing, malformed or another model's."""
    path = card_path(folder, digest)
    try:
        content = files.read_bytes(path)
    except FileNotFoundError:
        raise IntegrityError(f"{path}: there is no card for model {digest[:12]}; it is not known here.") from None
    card = parse_card(content, str(path))
    if card.digest != digest:
        raise IntegrityError(f"{path}: this is the card of model {card.digest[:12]}, expected {digest[:12]}.")
    return card


def parse_card(content: bytes, where: str) -> Card:
    """A card from its JSON; keys of later versions of this format are passed over."""
    try:
        document = json.loads(content)
        written = document["format"]
        if written == FORMAT:
            known = {each.name for each in fields(Card)}
            card = Card(**{key: _frozen(value) for key, value in document.items() if key in known})
            return _checked(card)
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"{where}: this is not a card ({error}). Restore the file, or roll back.") from error
    raise IntegrityError(f"{where}: card format {written} is not known here, expected {FORMAT}. Update Evergreen.")


def open_model(content: bytes, card: Card) -> Any:
    """Unpickle a model whose digest was verified; compares library versions first.

    Raises `IntegrityError` naming the versions when it can't be opened with what is installed.
    """
    changed = changed_libraries(card)
    if other_minor(card):
        logger.warning("%s: %s.", card.name, "; ".join(changed))
    try:
        return pickle.loads(content)
    except Exception as error:  # unpickling can raise anything
        detail = "; ".join(changed) or f"{type(error).__name__}: {error}"
        raise IntegrityError(
            f"{card.name} can't be opened here: {detail}. Install the versions it was trained with, "
            "or go back to another model: python src/rollout.py rollback."
        ) from error


def installed_libraries(more: Iterable[str] = ()) -> dict[str, str]:
    """Versions of the libraries a model is made of, by their names on the package index, where installed."""
    versions = {name: _installed(name) for name in (*LIBRARIES, *more)}
    return {name: version for name, version in versions.items() if version}


def changed_libraries(card: Card) -> list[str]:
    """Differences between what a model was trained with and what is installed, as sentences."""
    found = [(name, was, _installed(name) or "not installed") for name, was in card.libraries.items()]
    changed = [f"trained with {name} {was}, installed is {now}" for name, was, now in found if was != now]
    if card.python and card.python != platform.python_version():
        changed.append(f"trained with Python {card.python}, running is {platform.python_version()}")
    return changed


def other_minor(card: Card) -> bool:
    """Whether scikit-learn's major or minor version differs from the one that the model was trained with."""
    was, now = card.libraries.get("scikit-learn", ""), _installed("scikit-learn")
    return bool(was) and was.split(".")[:2] != now.split(".")[:2]


@cache
def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _checked(card: Card) -> Card:
    if not (isinstance(card.version, int) and card.version >= 1 and isinstance(card.digest, str)):
        raise ValueError(f"version {card.version!r} of model {card.digest!r}")
    return card
