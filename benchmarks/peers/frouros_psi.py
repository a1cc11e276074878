"""Frouros' PSI for numbers and ChiSquareTest for words. Run by bench_peers.py in its own environment."""

import sys

import pandas as pd
from frouros.detectors.data_drift import PSI, ChiSquareTest


def main(reference: str, current: str) -> None:
    """It judges one column without gaps at a time."""
    before, after = (pd.read_parquet(path) for path in (reference, current))
    for name in before:
        detector = PSI() if pd.api.types.is_numeric_dtype(before[name]) else ChiSquareTest()
        detector.fit(X=before[name].dropna().to_numpy())
        print(name, detector.compare(X=after[name].dropna().to_numpy())[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
