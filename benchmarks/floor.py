"""The floor: a bare script that reads two Parquet files with pyarrow, sorts their numbers and counts their words.

    python benchmarks/floor.py A.parquet B.parquet

No statistic, no verdict, no report: what remains is what nobody can do without. `bench_drift.py` times it.
"""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def main(paths: list[str]) -> None:
    """Read, sort and count; print how many columns there were."""
    for path in paths:
        table = pq.read_table(path)
        for column in table.columns:
            if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
                np.sort(column.to_numpy())
            else:
                column.value_counts()
        print(path, table.num_columns)


if __name__ == "__main__":
    main(sys.argv[1:])
