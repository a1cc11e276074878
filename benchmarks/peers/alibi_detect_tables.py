"""Alibi Detect's TabularDrift with its defaults. Run by bench_peers.py in its own environment."""

import sys

import numpy as np
import pandas as pd
from alibi_detect.cd import TabularDrift


def main(reference: str, current: str) -> None:
    """Its tests take numbers without gaps, so words become codes and rows with a gap are left out."""
    before, after = (pd.read_parquet(path).dropna() for path in (reference, current))
    words = [name for name in before if not pd.api.types.is_numeric_dtype(before[name])]
    for name in words:
        values = sorted(set(before[name]) | set(after[name]))
        for table in (before, after):
            table[name] = pd.Categorical(table[name], categories=values).codes
    places = {before.columns.get_loc(name): None for name in words}
    detector = TabularDrift(before.to_numpy(np.float32), categories_per_feature=places)
    print(detector.predict(after.to_numpy(np.float32))["data"]["is_drift"])


if __name__ == "__main__":
    main(*sys.argv[1:])
