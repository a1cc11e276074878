"""The loop everybody writes: pandas reads, SciPy tests one column after the other. Run by bench_peers.py."""

import sys

import pandas as pd
from scipy.stats import chi2_contingency, ks_2samp


def main(reference: str, current: str) -> None:
    """KS for numbers, chi-square for words, p < 0.05 on any column."""
    before, after = (pd.read_parquet(path) for path in (reference, current))
    for name in before:
        if pd.api.types.is_numeric_dtype(before[name]):
            p_value = ks_2samp(before[name].dropna(), after[name].dropna()).pvalue
        else:
            counts = [table[name].value_counts() for table in (before, after)]
            p_value = chi2_contingency(pd.concat(counts, axis=1).fillna(0)).pvalue
        print(name, p_value < 0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
