"""whylogs' profiles of both tables and its default drift scores. Run by bench_peers.py in its own environment."""

import sys

import pandas as pd
import whylogs
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores


def main(reference: str, current: str) -> None:
    """A sketch per column and table, then KS, chi-square or Hellinger as it chooses itself."""
    before, after = (whylogs.log(pd.read_parquet(path)).view() for path in (reference, current))
    print(len(calculate_drift_scores(target_view=after, reference_view=before, with_thresholds=True)))


if __name__ == "__main__":
    main(*sys.argv[1:])
