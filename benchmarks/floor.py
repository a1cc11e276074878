"""The floor: a bare script that reads two Parquet files, sorts their numbers on all cores and computes exact KS.

    python benchmarks/floor.py A.parquet B.parquet

Read with pyarrow, sorted with NumPy, words counted by Arrow, a column a thread. No p-value, no verdict, no report:
what remains is what nobody can do without. `bench_drift.py` times it.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def main(paths: list[str]) -> None:
    """Print the distance of each pair of columns."""
    reference, current = (pq.read_table(path) for path in paths)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        distances = pool.map(lambda name: compare(reference.column(name), current.column(name)), reference.column_names)
        for name, distance in zip(reference.column_names, distances, strict=True):
            print(name, distance)


def compare(reference: pa.ChunkedArray, current: pa.ChunkedArray) -> float | None:
    """The KS distance of two columns of numbers; words are only counted."""
    if pa.types.is_floating(reference.type) or pa.types.is_integer(reference.type):
        return ks_distance(*(np.sort(column.drop_null().to_numpy()) for column in (reference, current)))
    reference.value_counts(), current.value_counts()
    return None


def ks_distance(x: np.ndarray, y: np.ndarray) -> float:
    """The largest distance of the two distribution functions, from sorted values: just after and before each x."""
    shares = np.arange(len(x) + 1) / len(x)
    above = shares[1:] - np.searchsorted(y, x, "right") / len(y)
    below = np.searchsorted(y, x, "left") / len(y) - shares[:-1]
    return float(max(above.max(), below.max()))


if __name__ == "__main__":
    main(sys.argv[1:])
