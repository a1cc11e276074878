"""Quiet stretches of a past: the model trained before did not become worse there, so any alarm is a false one."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evergreen.data.batches import Batch
from evergreen.data.schema import Contract, infer_contract
from evergreen.data.sources import Window
from evergreen.data.windows import to_key
from evergreen.drift.performance import judge_performance
from evergreen.errors import DataError, TrainingError
from evergreen.replay.library import Library, Memory, recall
from evergreen.replay.past import Past
from evergreen.replay.plays import key_of
from evergreen.scoring.metrics import score_all
from evergreen.scoring.predictions import Predictions
from evergreen.settings import Settings
from evergreen.training.fitting import FitJob, job_for
from evergreen.verdicts import shows_loss

logger = logging.getLogger(__name__)
LENGTH = 10  # blocks of a reference, and as many that follow: enough of both to be judged, short enough to be quiet
LEARNED = 0.8  # of a reference; the rest tells what the model is worth


@dataclass(frozen=True)
class Stretch:
    """Blocks that were alike: a reference, and the blocks after it.

    `verdict` is that on a model of the reference in the blocks after it, and `model` its key in the library; both are
    empty when there are not enough labels.
    """

    reference: range
    after: range
    verdict: str = ""
    model: str = ""

    @property
    def quiet(self) -> bool | None:
        """Whether the model did not become worse; None where its labels can't tell."""
        loss = shows_loss(self.verdict or None)
        return None if loss is None else not loss

    @property
    def used(self) -> bool:
        """Whether its alarms count as false ones: no loss was shown, which is less than that there was none."""
        return self.quiet is not False


def find_stretches(settings: Settings, past: Past, folder: Path) -> tuple[Stretch, ...]:
    """The past in stretches, one behind the other, each with the verdict of its labels, where there are any."""
    length = min(LENGTH, past.blocks // 3)
    starts = range(0, past.blocks - 2 * length + 1, length)
    stretches = [Stretch(range(start, start + length), range(start + length, start + 2 * length)) for start in starts]
    if not past.task:
        return tuple(stretches)
    judged = []
    for number, stretch in enumerate(stretches, 1):
        judged.append(_judge(settings, Library(folder, past), stretch))
        logger.info("judged %s of %s stretches", number, len(stretches), extra={"step": (number, len(stretches))})
    return tuple(judged)


def batch_of(past: Past, blocks: range) -> Batch:
    """The rows of some blocks."""
    rows = slice(int(past.edges[blocks.start]), int(past.edges[blocks.stop]))
    batch = past.batch
    return Batch(batch.frame.iloc[rows], batch.labels[rows], batch.labelled[rows], batch.keys[rows])


def window_of(past: Past, blocks: range) -> Window:
    """Where the rows of some blocks stand in the whole table."""
    last = past.edges[blocks.stop]
    stop = None if last == len(past.batch.keys) else to_key(past.batch.keys[last])
    return Window(to_key(past.batch.keys[past.edges[blocks.start]]), stop)


def contract_of(past: Past, blocks: range) -> Contract:
    """What the rows of some blocks say a table is like; without the target where no label of theirs is known."""
    data, table = past.settings, past.before(past.blocks)
    begin, end = int(past.edges[blocks.start]), min(int(past.edges[blocks.stop]), int(past.known[-1]))
    if data.target and not past.batch.labelled[begin:end].any():
        data = data.model_copy(update={"target": "", "exclude": (*data.exclude, data.target)})
    return infer_contract(table, data, window_of(past, blocks))


def held_rows(past: Past, memory: Memory, stretch: Stretch) -> slice:
    """The last rows of the reference, which its model has not learned: what it was admitted on."""
    return slice(memory.first, int(past.edges[stretch.reference.stop]))


def _judge(settings: Settings, library: Library, stretch: Stretch) -> Stretch:
    """With the verdict on a model of the first rows of the reference, whose baseline is on its last rows."""
    past, enough = library.past, settings.performance.min_labels
    known = batch_of(past, stretch.reference).labelled_rows()
    if len(known) * (1 - LEARNED) < enough or batch_of(past, stretch.after).labelled.sum() < enough:
        return stretch
    learned = known.rows(np.arange(round(LEARNED * len(known))))
    try:
        fitted = library.fit(_job(settings, contract_of(past, stretch.reference), learned))
    except (DataError, TrainingError):
        return stretch
    memory = recall(str(library.folder), key_of(fitted.pickle))
    border, stop = (int(past.edges[place]) for place in (stretch.reference.stop, stretch.after.stop))
    held, now = (_labelled(past, memory, rows) for rows in (held_rows(past, memory, stretch), slice(border, stop)))
    positive, task = settings.data.positive or None, past.task
    own = settings.performance.model_copy(update={"min_score": "off"})
    baseline = score_all(
        task, held[0], held[1], settings=own, root=settings.root, confidence=own.confidence, positive=positive
    )
    found = judge_performance(*now, baseline=baseline, settings=own, task=task, positive=positive, root=settings.root)
    return replace(stretch, verdict=found.verdict, model=key_of(fitted.pickle))


def _labelled(past: Past, memory: Memory, rows: slice) -> tuple[np.ndarray, Predictions]:
    labelled = past.batch.labelled[rows]
    return past.batch.labels[rows][labelled], memory.answers(rows).take(labelled)


def _job(settings: Settings, contract: Contract, rows: Batch) -> FitJob:
    """One plain fit on all these rows: whether the world stood still shows without any search."""
    training = settings.training.model_copy(update={"window": "all", "search": {}, "update": False})
    return job_for(rows, contract, settings.model_copy(update={"training": training}))
