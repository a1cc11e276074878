"""Evidently's DataDriftPreset, its result as JSON. Run by bench_peers.py in its own environment."""

import sys

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset


def main(reference: str, current: str) -> None:
    """The report with all defaults; the kinds of the columns are told by itself."""
    before, after = (pd.read_parquet(path) for path in (reference, current))
    print(len(Report([DataDriftPreset()]).run(after, before).json()))


if __name__ == "__main__":
    main(*sys.argv[1:])
