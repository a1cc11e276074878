"""The score of a model over time: one per stretch of its labelled rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import Metric, score_sample
from evergreen.settings import PerformanceSettings

MAX_BLOCKS = 20


@dataclass(frozen=True)
class BlockScore:
    """The score of one stretch of the labelled rows; `start` and `stop` are its first and last time or row."""

    start: str | int
    stop: str | int
    rows: int
    value: float
    low: float
    high: float


def score_blocks(
    metric: Metric, sample: Sample, times: np.ndarray | None, settings: PerformanceSettings, seed: int = 0
) -> tuple[BlockScore, ...]:
    """The score over time: at most 20 blocks of equally many rows, at least `min_labels` in each."""
    rows = len(sample.truth)
    keys = np.arange(rows) if times is None else np.asarray(times)
    parts = np.array_split(np.arange(rows), max(1, min(MAX_BLOCKS, rows // settings.min_labels)))
    scored = [
        (part, score_sample(metric, sample.take(part), settings.confidence, seed, ordered=times is not None))
        for part in parts
    ]
    return tuple(
        BlockScore(plain_key(keys[part[0]]), plain_key(keys[part[-1]]), len(part), found.value, found.low, found.high)
        for part, found in scored
        if found.defined
    )


def plain_key(key: Any) -> str | int:
    """A row's time or number as JSON has it.

    >>> plain_key(np.datetime64("2026-01-01T12:00")), plain_key(np.int64(7))
    ('2026-01-01T12:00:00', 7)
    """
    if isinstance(key, np.datetime64):
        return str(np.datetime_as_string(key, unit="s"))
    return int(key) if isinstance(key, int | np.integer) else key.isoformat()
