"""What the past would have cost under each model, and the best schedules that hindsight knows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evergreen.replay.library import Library, recall
from evergreen.scoring.measures import Sample
from evergreen.scoring.metrics import Metric, metric_named, sample_rows
from evergreen.scoring.row_costs import row_costs
from evergreen.settings import Settings


@dataclass(frozen=True)
class Scale:
    """How blocks are scored: the metric of the settings, and what one decision may cost.

    `unit` is 1 for classes; for numbers it is the mean |error| of the best constant on the played stretch.
    """

    metric: Metric
    unit: float
    kind: str


def make_scale(settings: Settings, library: Library, first: int) -> Scale:
    """The scale of a past from its first played block on."""
    past = library.past
    metric = metric_named(settings.performance, past.task, settings.root)
    if past.task == "classification" or settings.performance.metric == "cost":
        return Scale(metric, 1.0, "cost" if metric.name == "cost" else "wrong")
    begin = past.rows_of(first).start
    truth = past.batch.labels[begin:][past.batch.labelled[begin:]]
    return Scale(metric, float(np.abs(truth - np.median(truth)).mean()) or 1.0, "error")


def costs_by_block(settings: Settings, library: Library, scale: Scale, key: str, begin: int) -> np.ndarray:
    """Cost of all decisions of a model in each block from `begin` on, (blocks − begin,); unlabelled rows cost 0."""
    past = library.past
    rows = slice(int(past.edges[begin]), int(past.edges[-1]))
    costs = np.zeros(rows.stop - rows.start)
    labelled = past.batch.labelled[rows]
    if labelled.any():
        costs[labelled] = row_costs(
            _sample(settings, library, key, rows), settings.performance, unit=scale.unit, root=settings.root
        )
    return np.add.reduceat(costs, past.edges[begin:-1] - rows.start)


def score_block(settings: Settings, library: Library, scale: Scale, key: str, block: int) -> float:
    """The metric of a model on the labelled rows of one block; NaN where they can't tell."""
    rows = library.past.rows_of(block)
    if not library.past.batch.labelled[rows].any():
        return float("nan")
    return scale.metric.measure(_sample(settings, library, key, rows)).value


def _sample(settings: Settings, library: Library, key: str, rows: slice) -> Sample:
    past = library.past
    labelled = past.batch.labelled[rows]
    answers = recall(str(library.folder), key).answers(rows).take(labelled)
    return sample_rows(past.batch.labels[rows][labelled], answers, settings.data.positive or None)


def cost_table(settings: Settings, library: Library, scale: Scale, models: Mapping[int, str], first: int) -> np.ndarray:
    """Cost of the model trained before block s on block t, shape (blocks, blocks), for t ≥ s; NaN elsewhere.

    Where no model could be trained, that of the block before stands in its place.
    """
    blocks = library.past.blocks
    table = np.full((blocks, blocks), np.nan)
    key = ""
    for trained in range(first, blocks):
        key = models[trained] or key
        table[trained, trained:] = costs_by_block(settings, library, scale, key, trained)
    return table


def cost_of_period(table: np.ndarray, first: int, period: int, retrain_cost: float) -> float:
    """What a retraining every `period` blocks would have cost."""
    blocks = len(table)
    trained = first + (np.arange(first, blocks) - first) // period * period
    return float(table[trained, np.arange(first, blocks)].sum() + retrain_cost * ((blocks - 1 - first) // period))


def best_period(table: np.ndarray, first: int, retrain_cost: float) -> tuple[int, float]:
    """The fixed period that would have been cheapest, and its cost; a period of all blocks means never.

    >>> table = np.array([[0.0, 5.0, 9.0, 9.0], [np.nan, 0, 5, 9], [np.nan, np.nan, 0, 5], [np.nan] * 3 + [0.0]])
    >>> best_period(table, 0, retrain_cost=6.0)
    (2, 16.0)
    """
    periods = range(1, len(table) - first + 1)
    costs = [cost_of_period(table, first, period, retrain_cost) for period in periods]
    best = int(np.argmin(costs))
    return periods[best], costs[best]


def best_schedule(table: np.ndarray, first: int, retrain_cost: float) -> tuple[tuple[int, ...], float]:
    """The cheapest blocks to retrain before, whatever their distances, by dynamic programming; and what it costs.

    >>> table = np.array([[0.0, 0.0, 9.0, 9.0], [np.nan, 0, 9, 9], [np.nan, np.nan, 0, 0], [np.nan] * 3 + [0.0]])
    >>> best_schedule(table, 0, retrain_cost=4.0)
    ((2,), 4.0)
    """
    blocks = len(table)
    kept = np.concatenate([np.nancumsum(table, axis=1), np.zeros((blocks, 1))], axis=1)
    cheapest = np.full(blocks + 1, np.inf)
    before = np.zeros(blocks + 1, int)
    for stop in range(first + 1, blocks + 1):  # the last model answers the blocks trained ... stop - 1
        for trained in range(first, stop):
            earlier = 0.0 if trained == first else cheapest[trained] + retrain_cost
            cost = earlier + kept[trained, stop - 1] - (kept[trained, trained - 1] if trained else 0.0)
            if cost < cheapest[stop]:
                cheapest[stop], before[stop] = cost, trained
    schedule: list[int] = []
    stop = blocks
    while stop > first:
        stop = int(before[stop])
        schedule.append(stop)
    return tuple(sorted(schedule)[1:]), float(cheapest[blocks])
