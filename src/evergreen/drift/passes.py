"""A pass over a table: its columns counted in parallel, piece by piece, each of them decoded once.

Work is cut into tasks, some columns over some rows each, in a way that does not depend on the number of threads, and
results are added in the order of the rows: so the sums are the same to the last bit, however many threads there are.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.data.arrays import from_numbers
from evergreen.drift.counting import (
    Bins,
    count_in_bins,
    count_labels,
    count_missing,
    count_sorted,
    family_of,
    gather,
    sort_values,
    to_values,
)
from evergreen.drift.summaries import (
    BareProfile,
    CategoryProfile,
    ColumnProfile,
    empty_profile,
    make_bins,
    merge_columns,
)
from evergreen.errors import DataError

if TYPE_CHECKING:
    from evergreen.data.sources import Table, Window

logger = logging.getLogger(__name__)

HELD_ROWS = 2**24  # a reference of up to so many rows is sorted whole, a column at a time: 128 MB of float64
HELD_BYTES = 2**29  # what all threads together may hold for that; longer columns have fewer threads
SAMPLE_ROWS = 2**16  # of a longer reference the bins are made from so many rows
RANGE_ROWS = 2**22  # rows of a task where bins are known
TASK_VALUES = 2**20  # short columns are read together, up to so many values
GOLDEN = 0.6180339887498949
SAMPLE_VALUES = 1000  # of each piece, to show some values that are not what was expected
SHOWN_VALUES, SHOWN_LETTERS = 3, 40
WRITTEN_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
PARALLEL_VALUES = 2**22  # less is counted sooner than joblib is imported (0.1 s)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Pass:
    """What to count: the bins that are known, the labels to keep by name, and the rows to hand over of some columns.

    Attributes:
        positions: row numbers within the window, ascending, shape `(n,)`: the rows of which values are handed over.
        sampled: of these columns.
    """

    table: "Table"
    kinds: Mapping[str, str]
    window: "Window | None"
    bins: Mapping[str, Bins]
    named: Mapping[str, Collection[str]]
    positions: np.ndarray
    sampled: Collection[str] = ()


@dataclass(frozen=True)
class Task:
    """Some columns over some chunks of rows, the first of which is row number `begin` of the window."""

    names: Sequence[str]
    chunks: range
    begin: int
    rows: int


Samples = dict[str, np.ndarray]


def spread_rows(rows: int, most: int) -> np.ndarray:
    """Row numbers at about equal distances, at most so many; never in step with a rhythm of the data.

    One row of each of `most` equal stretches, at a place in it that moves on by the golden ratio.

    >>> spread_rows(4, 10).tolist(), spread_rows(100, 4).tolist()
    ([0, 1, 2, 3], [0, 40, 55, 96])
    """
    count = min(rows, most)
    borders = np.arange(count + 1) * rows // max(count, 1)
    return borders[:-1] + (np.arange(count) * GOLDEN % 1 * np.diff(borders)).astype(np.int64)


def count_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_columns(work: Pass, jobs: int) -> tuple[dict[str, ColumnProfile], Samples]:
    """The profile of each column, and the values of the sampled ones (float64, NaN for missing)."""
    rows = work.table.chunk_rows(work.window)
    unknown = [name for name in work.kinds if _needs_bins(work, name)]
    whole = unknown if sum(rows) <= HELD_ROWS else []
    if len(whole) < len(unknown):
        work = _with_bins(work, unknown, sum(rows), jobs)
    held = frozenset(whole)
    known = [name for name in work.kinds if name not in held]
    columns: dict[str, ColumnProfile] = {}
    samples: dict[str, list[np.ndarray]] = {name: [] for name in work.sampled}
    tasks = [*cut_tasks(whole, rows, sum(rows)), *cut_tasks(known, rows, RANGE_ROWS)]
    threads = min(jobs, HELD_BYTES // (16 * sum(rows) + 1)) if whole else jobs
    for found, taken in run_tasks(lambda task: _count(work, task), tasks, max(1, threads)):
        for name, column in found.items():
            columns[name] = merge_columns(columns[name], column) if name in columns else column
        for name, values in taken.items():
            samples[name].append(values)
    ordered = {name: columns.get(name) or empty_column(work, name) for name in work.kinds}
    return ordered, {name: np.concatenate(parts) for name, parts in samples.items() if parts}


def cut_tasks(names: Sequence[str], chunk_rows: Sequence[int], most: int) -> list[Task]:
    """Tasks over ranges of at most about `most` rows, of as many columns as make a million values."""
    ranges: list[Task] = []
    start = begin = size = row = 0
    for index, rows in enumerate(chunk_rows):
        if size and size + rows > most:
            ranges.append(Task((), range(start, index), begin, size))
            start, begin, size = index, row, 0
        size += rows
        row += rows
    if size:
        ranges.append(Task((), range(start, len(chunk_rows)), begin, size))
    width = max(1, TASK_VALUES // max((part.rows for part in ranges), default=1))
    groups = [names[place : place + width] for place in range(0, len(names), width)]
    return [Task(group, part.chunks, part.begin, part.rows) for group in groups for part in ranges]


def run_tasks(work: Callable[[Task], Result], tasks: Sequence[Task], jobs: int) -> Iterator[Result]:
    """The results in the order of the tasks, from threads where there is enough to do; tells how far it is.

    Decoding, sorting and counting leave other threads alone: NumPy and Arrow release the lock of the interpreter.
    """
    values = [len(task.names) * task.rows for task in tasks]
    if jobs == 1 or len(tasks) == 1 or sum(values) < PARALLEL_VALUES:
        results: Iterable[Result] = map(work, tasks)
    else:
        import joblib

        pool = joblib.Parallel(jobs, backend="threading", return_as="generator", batch_size=1, pre_dispatch="3*n_jobs")
        results = pool(joblib.delayed(work)(task) for task in tasks)
    done = 0
    for result, size in zip(results, values, strict=True):
        yield result
        done += size
        logger.debug("Reading and counting", extra={"values": (done, sum(values))})


def empty_column(work: Pass, name: str) -> ColumnProfile:
    """The profile of a column over no rows, or what is wrong with its type."""
    kind, stored = work.kinds[name], work.table.types[name]
    if kind in ("time", "text"):
        return BareProfile(kind, 0, 0)
    if problem := find_problem(stored, kind):
        pieces = (chunk for piece in work.table.pieces([name], work.window) for chunk in piece.column(0).chunks)
        return BareProfile(kind, 0, 0, f"{problem}{such_as(pieces)}")
    if kind == "number":
        return empty_profile(work.bins.get(name) or make_bins(np.empty(0)))
    return CategoryProfile({}, 0, family_of(stored), kind=kind)


def find_problem(stored: pa.DataType, kind: str) -> str:
    """Why values of a type can't be counted as a kind; "" when they can."""
    family = family_of(stored)
    if kind in ("time", "text") or (family != "other" and not (kind == "number" and family == "text")):
        return ""
    return f"holds values of type {stored}, {'numbers' if kind == 'number' else 'categories'} were expected"


def such_as(pieces: Iterable[pa.Array]) -> str:
    """The first few different values that are no numbers, in words; "" where there are none. Stops reading there."""
    found: dict[str, None] = {}
    for piece in pieces:
        words = piece.drop_null()
        if family_of(words.type) == "text":
            words = words.cast(pa.string())
            words = words.filter(pc.invert(pc.match_substring_regex(words, WRITTEN_NUMBER)))
        found |= dict.fromkeys(repr(_cut(str(value))) for value in words.slice(0, SAMPLE_VALUES))
        if len(found) >= SHOWN_VALUES:
            break
    return f": {', '.join(list(found)[:SHOWN_VALUES])}" if found else ""


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]}…"


def count_column(
    pieces: Iterable[pa.Array],
    kind: str,
    *,
    stored: pa.DataType,
    rows: int,
    bins: Bins | None = None,
    named: Collection[str] = (),
) -> ColumnProfile:
    """The profile of one column from its values; without bins, on those made of these very values."""
    if problem := find_problem(stored, kind):
        return BareProfile(kind, 0, 0, f"{problem}{such_as(pieces)}")
    if kind in ("time", "text"):
        return BareProfile(kind, *count_missing(pieces))
    if kind != "number":
        return count_labels(pieces, kind, family_of(stored), named)
    if bins is not None:
        return count_in_bins(pieces, bins)
    values = gather(pieces, rows)
    values.sort()
    values = values.astype(np.float64, copy=False)
    return count_sorted(values, make_bins(values))


def _needs_bins(work: Pass, name: str) -> bool:
    return work.kinds[name] == "number" and name not in work.bins and not find_problem(work.table.types[name], "number")


def _count(work: Pass, task: Task) -> tuple[dict[str, ColumnProfile], Samples]:
    """One task. Where a column can't be read it is told alone, and does not hide the others."""
    try:
        return _count_together(work, task)
    except (DataError, pa.ArrowException, OSError) as error:
        if len(task.names) == 1:
            name = task.names[0]
            return {name: BareProfile(work.kinds[name], 0, 0, str(error))}, {}
    parts = [_count(work, Task((name,), task.chunks, task.begin, task.rows)) for name in task.names]
    return (
        {name: column for columns, _ in parts for name, column in columns.items()},
        {name: values for _, samples in parts for name, values in samples.items()},
    )


def _count_together(work: Pass, task: Task) -> tuple[dict[str, ColumnProfile], Samples]:
    columns: dict[str, ColumnProfile] = {}
    samples: Samples = {}
    readable = [name for name in task.names if not find_problem(work.table.types[name], work.kinds[name])]
    pieces: Iterable[pa.Table] = _read(work, readable, task)
    if len(readable) > 1:
        pieces = list(pieces)
    for name in readable:
        arrays: Iterator[pa.Array] = (chunk for piece in pieces for chunk in piece.column(name).chunks)
        taken: list[np.ndarray] = []
        if name in work.sampled:
            arrays = _take_rows(arrays, work.positions, task.begin, taken)
        columns[name] = count_column(
            arrays,
            work.kinds[name],
            stored=work.table.types[name],
            rows=task.rows,
            bins=work.bins.get(name),
            named=work.named.get(name, ()),
        )
        if taken:
            samples[name] = np.concatenate(taken)
    return columns, samples


def _read(work: Pass, names: Sequence[str], task: Task) -> Iterator[pa.Table]:
    coded = frozenset(name for name, kind in work.kinds.items() if kind in ("category", "boolean"))
    return work.table.pieces(names, work.window, chunks=task.chunks, coded=coded)


def _take_rows(
    arrays: Iterable[pa.Array], positions: np.ndarray, begin: int, taken: list[np.ndarray]
) -> Iterator[pa.Array]:
    """The same arrays; on their way the values at some row numbers are kept in `taken`."""
    for array in arrays:
        first, last = np.searchsorted(positions, [begin, begin + len(array)])
        if last > first:
            rows = from_numbers(positions[first:last] - begin)
            taken.append(to_values(array.take(rows)).astype(np.float64))
        begin += len(array)
        yield array


def _with_bins(work: Pass, names: Sequence[str], rows: int, jobs: int) -> Pass:
    """The same with bins from a sample of the rows, in a pass of its own: columns that are too long to hold."""
    positions = spread_rows(rows, SAMPLE_ROWS)
    looking = Pass(work.table, dict.fromkeys(names, "text"), work.window, {}, {}, positions, names)
    _, samples = count_columns(looking, jobs)
    return replace(work, bins={**work.bins, **{name: make_bins(sort_values(samples[name])) for name in samples}})
