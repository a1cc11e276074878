"""A table's past, cut into blocks, and what was known of it before each of them."""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from evergreen.data.batches import Batch, read_batch
from evergreen.data.formats.chunks import from_tables
from evergreen.data.rows import row_digests
from evergreen.data.schema import infer_contract
from evergreen.data.sources import Table, open_tables
from evergreen.data.windows import to_key
from evergreen.errors import DataError, UsageError
from evergreen.masking import shown_source
from evergreen.settings import DataSettings, Settings, parse_duration
from evergreen.wording import counted

BLOCKS = 100  # fewer are coarse steps, more take longer and judge each by fewer rows
FEWEST_BLOCKS = 4
NIGHT = timedelta(days=1)  # between two runs over a table without times: the schedule's usual rhythm
NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Past:
    """All rows of a table in order, in blocks.

    Attributes:
        table: every column, rows by time, those of one time by their content.
        batch: the same rows with their labels apart.
        edges: (blocks + 1,) number of the first row of each block, and of the rows.
        known: (blocks + 1,) how many rows have shown their label when a block begins.
        settings: of one growing table that has these rows.
        task: "classification", "regression", or empty without a target.
        digest: identity of the rows and the columns.
        asked: how long a block should be, as the user said it; empty for about 100 blocks.
    """

    name: str
    table: pa.Table
    batch: Batch
    edges: np.ndarray
    known: np.ndarray
    settings: DataSettings
    task: str
    digest: str
    asked: str

    @property
    def blocks(self) -> int:
        return len(self.edges) - 1

    @property
    def length(self) -> str:
        """How long a block is, for people: what was asked for, where something was."""
        if not self.asked:
            return f"about {counted(round(int(self.edges[-1]) / self.blocks), 'row')}"
        return counted(int(self.asked), "row") if self.asked.isdigit() else self.asked

    def rows_of(self, block: int) -> slice:
        """Where the rows of a block stand."""
        return slice(int(self.edges[block]), int(self.edges[block + 1]))

    def before(self, block: int) -> Table:
        """The table as it was when a block began: its rows had not come yet, and newer labels neither."""
        rows, labels = int(self.edges[block]), int(self.known[block])
        seen = self.table.slice(0, rows)
        if not self.settings.target:
            return _as_table(seen, self.name, self.settings)
        place = seen.column_names.index(self.settings.target)
        column = seen.column(place)
        late = pa.chunked_array([*column.slice(0, labels).chunks, pa.nulls(rows - labels, column.type)], column.type)
        return _as_table(seen.set_column(place, self.settings.target, late), self.name, self.settings)

    def moment(self, block: int) -> datetime:
        """When a block begins; of a table without times, nights are counted instead."""
        if not self.settings.time:
            return NO_TIME + block * NIGHT
        keys = self.batch.keys
        key = keys[self.edges[block]] if block < self.blocks else keys[-1]
        moment = to_key(key)
        assert isinstance(moment, datetime)
        return moment.replace(tzinfo=UTC)

    def label_of(self, block: int) -> str | int:
        """How a block is called in tables and plots: the time or number of its first row."""
        if self.settings.time:
            return str(np.datetime_as_string(self.batch.keys[self.edges[block]], unit="m"))
        return int(self.edges[block])


def read_past(settings: Settings, block: str = "", label_delay: str = "", *, needs_target: bool = True) -> Past:
    """Read the table of the settings and cut it.

    Args:
        block: a number of rows ("500") or a length of time ("1d"); empty gives about 100 blocks of equally many rows.
        label_delay: a number of blocks ("3") or a length of time ("3d"); empty is `data.label_delay`.
    """
    data = settings.data
    if not data.target and needs_target:
        raise UsageError("A replay needs the outcome: set data.target, the column to predict.")
    opened = open_tables(data, settings.root)
    if data.target and data.target not in opened.types:
        raise DataError(f"{opened.name}: there is no column '{data.target}' (data.target).")
    table = _in_order(opened)
    own = data.model_copy(update={"source": shown_source(opened.name), "reference": "", "current": "", "query": ""})
    whole = _as_table(table, opened.name, own)
    task = infer_contract(whole, own, None).task or ""
    batch = read_batch(whole, None, [], own, task or None)
    batch = replace(batch, frame=whole.frame(table.column_names))
    edges = cut(batch.keys, block)
    known = show_labels(batch.keys, edges, label_delay or data.label_delay or "")
    return Past(opened.name, table, batch, edges, known, own, task, _digest(table, batch), block)


def _in_order(table: Table) -> pa.Table:
    columns = {name: pa.chunked_array(list(table.arrays(name)), type=table.types[name]) for name in table.types}
    whole = pa.table(columns).unify_dictionaries()
    if not table.time:
        return whole.combine_chunks()
    frame = whole.to_pandas()
    order = np.lexsort((row_digests(frame), frame[table.time].to_numpy()))
    if frame[table.time].isna().any():
        raise DataError(f"{table.name}: some rows have no '{table.time}'; every row needs a time.")
    return whole.take(pa.array(order)).combine_chunks()


def _as_table(table: pa.Table, name: str, data: DataSettings) -> Table:
    chunks = from_tables([table])
    return Table(name, chunks.types, table.num_rows, data.time, chunks, data.missing)


def _digest(table: pa.Table, batch: Batch) -> str:
    names = hashlib.sha256("\0".join(f"{field.name}:{field.type}" for field in table.schema).encode())
    names.update(row_digests(batch.frame).tobytes())
    return names.hexdigest()


def cut(keys: np.ndarray, block: str = "") -> np.ndarray:
    """First row of each block, and the number of rows; rows of one time stay together.

    >>> cut(np.arange(10), "3")
    array([ 0,  3,  6,  9, 10])
    """
    rows = len(keys)
    if not block:
        starts = np.linspace(0, rows, min(BLOCKS, rows) + 1).astype(int)[:-1]
    elif block.isdigit():
        starts = np.arange(0, rows, _positive(int(block)))
    else:
        length = _length(block, "--block")
        if keys.dtype.kind != "M":
            raise UsageError(f"--block {block} is a length of time, which needs data.time; or give a number of rows.")
        moments = np.arange(keys[0], keys[-1] + np.timedelta64(1, "us"), np.timedelta64(length))
        starts = np.searchsorted(keys, moments, "left")
    edges = np.unique([*np.searchsorted(keys, keys[starts[starts < rows]], "left"), rows])
    if len(edges) <= FEWEST_BLOCKS:
        made = counted(len(edges) - 1, "block")
        raise UsageError(f"{rows:,} rows give {made}; a replay needs {FEWEST_BLOCKS}. Choose a shorter --block.")
    return edges


def show_labels(keys: np.ndarray, edges: np.ndarray, delay: str | timedelta) -> np.ndarray:
    """How many of the rows have shown their labels at the beginning of each block, and after the last.

    >>> show_labels(np.arange(10), np.array([0, 4, 8, 10]), "1")
    array([0, 0, 4, 8])
    """
    if isinstance(delay, str) and re.fullmatch(r"\d+", delay):
        late = np.maximum(np.arange(len(edges)) - int(delay), 0)
        return np.asarray(edges[late])
    if not delay:
        return edges.copy()
    length = delay if isinstance(delay, timedelta) else _length(delay, "--label-delay")
    if keys.dtype.kind != "M":
        raise UsageError("A label delay in time needs data.time; give --label-delay as a number of blocks.")
    moments = [*keys[edges[:-1]], keys[-1] + np.timedelta64(1, "us")]
    return np.array([int(np.searchsorted(keys, moment - np.timedelta64(length), "left")) for moment in moments])


def _length(text: str, option: str) -> timedelta:
    try:
        length = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}, or a whole number.") from None
    if not length:
        raise UsageError(f"{option}: the length must be more than nothing, found '{text}'.")
    return length


def _positive(rows: int) -> int:
    if rows < 1:
        raise UsageError("--block: a block needs at least one row.")
    return rows
