"""Rows that can be read only once (a parse, a query) kept for reading again and again.

Small tables stay in memory. Larger ones go to a temporary file that is mapped into memory, so that
the memory a run needs does not grow with the rows; the file has no name and vanishes with the run.
"""

import itertools
import os
import tempfile
from collections.abc import Iterator

import pyarrow as pa

MEMORY_BYTES = 256 << 20


def keep(batches: Iterator[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """All batches, in order, from memory or, when they are more than `MEMORY_BYTES`, from a mapped file.

    Each batch keeps its own schema: the types of a column may differ from one to the next.
    """
    kept: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        kept.append(batch)
        size += batch.nbytes
        if size > MEMORY_BYTES:
            return _from_file(itertools.chain(kept, batches))
    return kept


def _from_file(batches: Iterator[pa.RecordBatch]) -> list[pa.RecordBatch]:
    descriptor, path = tempfile.mkstemp(prefix="evergreen-", suffix=".arrow")
    try:
        ends = [0]
        with os.fdopen(descriptor, "wb") as file:
            for batch in batches:
                with pa.ipc.new_stream(file, batch.schema) as writer:
                    writer.write_batch(batch)
                ends.append(file.tell())
        mapped = pa.memory_map(path).read_buffer()
        pieces = [mapped.slice(begin, end - begin) for begin, end in itertools.pairwise(ends)]
        return [pa.ipc.open_stream(piece).read_next_batch() for piece in pieces]
    finally:
        os.unlink(path)  # noqa: PTH108 - the mapping stays; the name goes, so that nothing is left behind
