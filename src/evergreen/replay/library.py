"""Models of the past: fitted once, and remembered by what they answer to all later rows. Only numbers are kept."""

import hashlib
import io
import json
import logging
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from evergreen.data.rows import row_digests
from evergreen.data.schema import conform
from evergreen.errors import EvergreenError, TrainingError
from evergreen.files import digest_of, write_atomic
from evergreen.registry.cards import installed_libraries
from evergreen.replay.past import Past
from evergreen.scoring.predictions import Predictions, predict
from evergreen.training.competition import Candidate
from evergreen.training.fitting import FitJob, Fitted, fit

APART = ("features", "labels", "keys", "compute", "root")  # rows are hashed apart; where a fit runs changes nothing
MEMORIES = 16  # of models held at once: those of the present and of the one before are asked again and again

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Memory:
    """What a model answers to the rows of the past from number `first` on, and what is known of its fit.

    Attributes:
        digests: (rows,) of the features as the model wants them: how a row is recognised.
        values, probabilities: as in `Predictions`.
    """

    first: int
    digests: np.ndarray
    values: np.ndarray
    probabilities: np.ndarray | None
    facts: Mapping[str, Any]

    def answers(self, rows: slice) -> Predictions:
        """For rows of the past, by number."""
        places = slice(rows.start - self.first, rows.stop - self.first)
        shares = None if self.probabilities is None else self.probabilities[places]
        return Predictions(self.values[places], shares, tuple(self.facts["classes"]))


class Remembered:
    """In the place of a model: gives the answers that it gave. Its pickle is a note of where they are kept."""

    def __init__(self, folder: str, key: str) -> None:
        self.folder, self.key = folder, key
        self._asked: Any = None
        memory = recall(folder, key)
        if memory.facts["classes"]:
            self.classes_ = np.array(memory.facts["classes"], dtype=object)
        if memory.probabilities is not None:
            self.predict_proba = self._shares

    def __reduce__(self) -> tuple[type["Remembered"], tuple[str, str]]:
        return Remembered, (self.folder, self.key)

    def predict(self, features: Any) -> np.ndarray:
        return recall(self.folder, self.key).values[self._places(features)]

    def _shares(self, features: Any) -> np.ndarray:
        probabilities = recall(self.folder, self.key).probabilities
        assert probabilities is not None, "only then this is predict_proba"
        return np.asarray(probabilities[self._places(features)])

    def _places(self, features: Any) -> np.ndarray:
        if features is not self._asked:  # first for the answers, then for their probabilities
            self._asked, self._found = features, self._find(features)
        return self._found

    def _find(self, features: Any) -> np.ndarray:
        order, known = _sorted_digests(self.folder, self.key)
        asked = row_digests(features)
        places = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        if not np.array_equal(known[places], asked):
            raise LookupError(f"model {self.key[:12]} was not asked about some of these rows when it was fitted")
        return order[places]


@dataclass(frozen=True)
class Library:
    """Models of one past in a folder of numbers; as a workshop, it fits what it does not know yet."""

    folder: Path
    past: Past

    def fit(self, job: FitJob) -> Fitted:
        """The fit, or the memory of it: the same rows, settings and past give the same model."""
        key = self._key(job)
        if not self._path(key).exists():
            self._learn(job, key)
        facts = recall(str(self.folder), key).facts
        content = pickle.dumps(Remembered(str(self.folder), key), protocol=5)
        told = {name: facts[name] for name in ("seconds", "window", "rows", "params", "estimator", "importances")}
        candidates = tuple(Candidate(**one) for one in facts["candidates"])
        return Fitted(pickle=content, digest=digest_of(content), candidates=candidates, **told)

    def _path(self, key: str) -> Path:
        return memory_path(self.folder, key)

    def _key(self, job: FitJob) -> str:
        """Identity of a fit: what it learns from and how, by which code, and the past that it is to answer for."""
        facts = {each.name: getattr(job, each.name) for each in fields(job) if each.name not in APART}
        facts["contract"] = job.contract.to_dict()
        facts["training"] = job.training.model_dump(mode="json", exclude={"first_share", "timeout", "memory_gb"})
        facts["performance"] = job.performance.model_dump(mode="json", exclude={"estimate"})
        made = hashlib.sha256(json.dumps([_code(), self.past.digest, facts], sort_keys=True, default=str).encode())
        made.update(row_digests(job.features).tobytes())
        made.update(np.ascontiguousarray(job.keys).tobytes())
        made.update("\0".join(map(str, job.labels)).encode())
        return made.hexdigest()

    def _learn(self, job: FitJob, key: str) -> None:
        try:
            fitted = fit(job)
        except EvergreenError:
            raise
        except Exception as error:  # as in a child process, a fit may fail in any way; that is no defect of ours
            raise TrainingError(f"The fit failed with {type(error).__name__}: {error}") from error
        past = self.past
        first = int(np.searchsorted(past.batch.keys, job.keys[-1], "right"))
        features = conform(past.batch.frame.iloc[first:].reset_index(drop=True), job.contract)
        classes = job.contract.classes
        found = predict(pickle.loads(fitted.pickle), features, job.task, classes)
        facts = asdict(fitted) | {"pickle": None, "classes": list(found.classes)}
        facts["candidates"] = [one.to_dict() for one in fitted.candidates]
        write_memory(self._path(key), Memory(first, row_digests(features), found.values, found.probabilities, facts))


@cache
def _code() -> list[Any]:
    """Identity of the code that fits, with the defaults it fits by: other code may give another model of the rows."""
    here = Path(__file__).parent.parent
    files = sorted(path for part in ("data", "scoring", "training") for path in (here / part).rglob("*.py"))
    files.append(here / "settings.py")
    return [digest_of(b"".join(path.read_bytes() for path in files)), installed_libraries()]


def memory_path(folder: Path, key: str) -> Path:
    """Where the answers of a model are kept."""
    return folder / key[:2] / f"{key}.npz"


def write_memory(path: Path, memory: Memory) -> None:
    """Keep it; classes as numbers, so that nothing but numbers and JSON is ever opened."""
    classes = list(memory.facts["classes"])
    values = memory.values
    if classes:
        number = {name: place for place, name in enumerate(classes)}
        values = np.array([number[value] for value in values], np.int32)
    arrays: dict[str, Any] = {"first": np.int64(memory.first), "digests": memory.digests, "values": values}
    if memory.probabilities is not None:
        arrays["probabilities"] = memory.probabilities
    arrays["facts"] = np.frombuffer(json.dumps(memory.facts, default=str).encode(), np.uint8)
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_atomic(path, content.getvalue())


@lru_cache(maxsize=MEMORIES)
def recall(folder: str, key: str) -> Memory:
    """What is remembered of a model."""
    path = memory_path(Path(folder), key)
    with np.load(path, allow_pickle=False) as arrays:
        facts = json.loads(arrays["facts"].tobytes())
        values = arrays["values"]
        if facts["classes"]:
            values = np.array(facts["classes"], dtype=object)[values]
        probabilities = arrays.get("probabilities")
        return Memory(int(arrays["first"]), arrays["digests"], values, probabilities, facts)


@lru_cache(maxsize=MEMORIES)
def _sorted_digests(folder: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    digests = recall(folder, key).digests
    order = np.argsort(digests, kind="stable")
    return order, digests[order]
