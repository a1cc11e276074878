"""NannyML's UnivariateDriftCalculator with its defaults. Run by bench_peers.py in its own environment."""

import sys

import nannyml
import pandas as pd


def main(reference: str, current: str) -> None:
    """Ten chunks each, Jensen-Shannon on every column: the defaults."""
    before, after = (pd.read_parquet(path) for path in (reference, current))
    calculator = nannyml.UnivariateDriftCalculator(column_names=list(before))
    print(calculator.fit(before).calculate(after).to_df().shape)


if __name__ == "__main__":
    main(*sys.argv[1:])
