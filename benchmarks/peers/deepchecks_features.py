"""Deepchecks' FeatureDrift with its defaults. Run by bench_peers.py in its own environment."""

import sys

import pandas as pd
from deepchecks.tabular import Dataset
from deepchecks.tabular.checks import FeatureDrift


def main(reference: str, current: str) -> None:
    """It draws 10,000 rows of each table by itself."""
    tables = [pd.read_parquet(path) for path in (reference, current)]
    words = [name for name in tables[0] if not pd.api.types.is_numeric_dtype(tables[0][name])]
    before, after = (Dataset(table, cat_features=words) for table in tables)
    result = FeatureDrift().add_condition_drift_score_less_than().run(before, after)
    print(result.passed_conditions())


if __name__ == "__main__":
    main(*sys.argv[1:])
