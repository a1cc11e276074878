"""Which rows a challenger learns from and which it is judged on: read, in order, and without leaks between them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from evergreen.data.batches import Batch, read_batch
from evergreen.data.quality import check_table, check_target, raise_findings
from evergreen.data.rows import row_digests
from evergreen.data.schema import Contract, infer_contract
from evergreen.data.seen import describe_seen
from evergreen.data.sources import Table
from evergreen.data.values import check_values
from evergreen.data.windows import Timeline, current_window, read_timeline, split_mature, thin, to_key
from evergreen.errors import DataError
from evergreen.settings import DataSettings, Settings

logger = logging.getLogger(__name__)

# Above this share of repeated training rows, a row does not identify an observation in this table.
ORDINARY_REPEATS = 0.05


@dataclass(frozen=True)
class Material:
    """Rows for one challenger: labelled, in order; no holdout row is older than, or the same as, a training row.

    Attributes:
        contract: of the training rows; what the challenger expects of every table.
        task: "classification" or "regression".
        seen_until: key of the newest row used; later rows are new to the challenger.
        leaked: holdout rows that were dropped because they stand among the older rows as well.
        seen_current: what is used of a current table without times (`evergreen.data.seen`).
    """

    contract: Contract
    task: str
    training: Batch
    holdout: Batch
    seen_until: datetime | int
    leaked: int
    seen_current: Mapping[str, Any] | None = None


def prepare_material(
    table: Table,
    settings: Settings,
    *,
    known: Contract | None = None,
    seen_until: datetime | int | None = None,
    until: datetime | int | None = None,
) -> Material:
    """Split a table into training and holdout rows and read both.

    `known` is the champion's contract: columns keep their kinds and the target its task, so that a quiet
    month can't turn a number into a category, and the columns that it wants are read as well. The holdout
    begins after `seen_until`, the champion's last row; rows from `until` on are left out, and so are the
    newest ones while their labels are still coming in. Raises `DataError` when the table breaks the
    contract or has too few labels.
    """
    if known is not None:
        raise_findings(check_table(table, known, settings.data), table.name)
    if not settings.data.target:
        raise DataError(f"{table.name}: set data.target, the column to predict; without it nothing can be trained.")
    check_target(table, settings.data)
    timeline = read_timeline(table, settings.data)
    if known is not None:
        _refuse_bad_values(table, timeline, settings, known, seen_until)
    split = split_mature(timeline, settings.data, settings.training, seen_until=seen_until, until=until)
    contract = infer_contract(table, _keep_kinds(settings.data, known), split.train)
    if known is None:
        raise_findings(check_table(table, contract, settings.data), table.name)  # of two tables, the current one
    task = str(contract.task)
    features = (*contract.features, *(known.features if known else ()))
    older = read_batch(table, split.train, features, settings.data, task).labelled_rows()
    newest = read_batch(table, split.holdout, features, settings.data, task).labelled_rows()
    holdout, leaked = drop_leaked(older, newest)
    training = older.rows(thin(len(older), settings.training.max_rows, settings.training.seed))
    logger.info("%s rows to learn from, %s newer rows kept aside", f"{len(training):,}", f"{len(holdout):,}")
    last = to_key(newest.keys[-1])
    return Material(contract, task, training, holdout, last, leaked, describe_seen(table, contract, last))


def _refuse_bad_values(
    table: Table, timeline: Timeline, settings: Settings, known: Contract, seen_until: datetime | int | None
) -> None:
    """Nobody is to learn from sentinels and unit errors, in a run by hand as little as in the loop."""
    new = current_window(timeline, seen_until, settings.data)
    rows = timeline.inside(new)
    if rows.stop > rows.start:
        raise_findings(check_values(table, known, settings.data, new), table.name)


def with_holdout(material: Material) -> Material:
    """The same rows, with those that were kept aside among the rows to learn from: for a model that has been judged."""
    import pandas as pd

    older, newest = material.training, material.holdout
    frame = pd.concat([older.frame, newest.frame[list(older.frame.columns)]], ignore_index=True)
    parts = (np.concatenate([getattr(older, name), getattr(newest, name)]) for name in ("labels", "labelled", "keys"))
    return replace(material, training=Batch(frame, *parts))


def drop_leaked(older: Batch, newest: Batch) -> tuple[Batch, int]:
    """The newest rows that do not stand among the older ones too, and how many did.

    Rows are compared as wholes, with their time and identifiers. Where the older rows often repeat
    one another, equal rows are different observations, and nothing is dropped.
    """
    known = row_digests(older.frame)
    repeated = 1 - len(np.unique(known)) / max(len(known), 1)
    leaked = np.isin(row_digests(newest.frame), known)
    if repeated > ORDINARY_REPEATS or not leaked.any():
        return newest, 0
    logger.warning("%s holdout rows stand among the training rows too; they were left out", int(leaked.sum()))
    return newest.rows(~leaked), int(leaked.sum())


def _keep_kinds(settings: DataSettings, known: Contract | None) -> DataSettings:
    if known is None:
        return settings
    kinds = {column.name: column.kind for column in known.columns} | settings.kinds
    task = known.task if settings.task == "auto" and known.task else settings.task
    return settings.model_copy(update={"kinds": kinds, "task": task})
