"""The rows of one stretch of a table, in order, with their labels apart: what models are fed and judged on."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from evergreen.data.labels import label_text
from evergreen.data.sources import Table, Window
from evergreen.data.windows import Maturity, in_order
from evergreen.settings import DataSettings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Batch:
    """Rows in their order: by time where there is a time, else as they stand in the table.

    Attributes:
        frame: all columns that were read, with an index from 0.
        labels: (n,) the truth; text for classes (None = missing), float64 for numbers (NaN = missing).
        labelled: (n,) bool, whether a row has its label yet.
        keys: (n,) `datetime64[us]`, or row numbers (int64) in a table without a time.
    """

    frame: "pd.DataFrame"
    labels: np.ndarray
    labelled: np.ndarray
    keys: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    def rows(self, keep: np.ndarray) -> "Batch":
        """The rows of a boolean mask or of positions, in the order they are asked for."""
        frame = self.frame.iloc[np.flatnonzero(keep) if keep.dtype == bool else keep].reset_index(drop=True)
        return Batch(frame, self.labels[keep], self.labelled[keep], self.keys[keep])

    def before(self, key: datetime | int | None) -> np.ndarray:
        """Mask of the rows before a key; all of them when it is None."""
        if key is None:
            return np.ones(len(self), bool)
        return self.keys < (np.datetime64(key, "us") if isinstance(key, datetime) else key)

    def mature(self, maturity: Maturity) -> np.ndarray:
        """Mask of the rows whose labels are complete; none where no label has come."""
        return self.before(maturity.until) if maturity.labelled_rows else np.zeros(len(self), bool)

    def labelled_rows(self) -> "Batch":
        """The rows whose label has come."""
        return self if self.labelled.all() else self.rows(self.labelled)


def read_batch(
    table: Table, window: Window | None, features: Iterable[str], settings: DataSettings, task: str | None
) -> Batch:
    """The rows of a window with the features asked for, the target, the time and the identifiers.

    `task` says how the target is read: classes as text, or numbers; None for a table without a target.
    Features that the table lacks are left out here: the check of the contract has named them.
    """
    wanted = [*features, settings.target, settings.time, *settings.identifiers]
    columns = list(dict.fromkeys(name for name in wanted if name in table.types))
    frame = in_order(table.frame(columns, window), settings.time)
    labels = _labels(frame, settings.target, task)
    labelled = np.array([label is not None for label in labels]) if labels.dtype == object else ~np.isnan(labels)
    return Batch(frame, labels, labelled.astype(bool), _keys(frame, window, settings.time))


def _labels(frame: "pd.DataFrame", target: str, task: str | None) -> np.ndarray:
    if task is None or target not in frame:
        return np.full(len(frame), np.nan)
    if task == "classification":
        return label_text(frame[target])
    return frame[target].to_numpy(dtype=np.float64, na_value=np.nan)


def _keys(frame: "pd.DataFrame", window: Window | None, time: str) -> np.ndarray:
    if time:
        return frame[time].to_numpy().astype("datetime64[us]")
    start = int(window.start) if window is not None and isinstance(window.start, int) else 0
    return np.arange(start, start + len(frame), dtype=np.int64)
