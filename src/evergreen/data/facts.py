"""What there is to know of the values of a column, gathered chunk by chunk."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.data.arrays import to_numpy
from evergreen.data.labels import spell_label

SAMPLE_ROWS = 1 << 22  # quantiles of longer columns come from every n-th row


@dataclass(frozen=True)
class Streak:
    """The longest stretch of rows with one and the same value so far, and the value and rows the last one ended with.

    Missing values are passed over. It is told in the order of the table.
    """

    longest: int = 0
    value: Any = None
    length: int = 0

    def then(self, codes: np.ndarray, first: Any, last: Any) -> "Streak":
        """With one more chunk: (n,) values or codes of values, n ≥ 1, and the values at both ends."""
        changes = np.flatnonzero(codes[1:] != codes[:-1]) + 1
        lengths = np.diff(np.concatenate([[0], changes, [len(codes)]]))
        lengths[0] += self.length if first == self.value else 0
        return Streak(max(self.longest, int(lengths.max())), last, int(lengths[-1]))


@dataclass(frozen=True)
class NumberFacts:
    """Counts over all rows, and the present finite values (all, or every n-th), sorted."""

    rows: int
    missing: int
    infinite: int
    whole: bool
    sample: np.ndarray
    longest_run: int = 0

    @property
    def distinct(self) -> int:
        """Different values in the sample."""
        return int(np.count_nonzero(np.diff(self.sample)) + 1) if len(self.sample) else 0

    @property
    def top_share(self) -> float:
        """Share of the value that comes most often."""
        if not len(self.sample):
            return 0.0
        changes = np.flatnonzero(np.diff(self.sample)) + 1
        runs = np.diff(np.concatenate([[0], changes, [len(self.sample)]]))
        return float(runs.max() / len(self.sample))


@dataclass(frozen=True)
class RangeFacts:
    """Where the values of a column lie against a known range: counts over all rows, and the two ends.

    `below` and `above` count values beyond the limits (infinite ones too), `near_below` and
    `near_above` those between the limits and the range. The ends are those of the finite values.
    """

    rows: int = 0
    missing: int = 0
    infinite: int = 0
    below: int = 0
    above: int = 0
    near_below: int = 0
    near_above: int = 0
    lowest: float = np.inf
    highest: float = -np.inf

    def __add__(self, other: "RangeFacts") -> "RangeFacts":
        sums = {name: getattr(self, name) + getattr(other, name) for name in COUNTS}
        return RangeFacts(**sums, lowest=min(self.lowest, other.lowest), highest=max(self.highest, other.highest))


COUNTS = ("rows", "missing", "infinite", "below", "above", "near_below", "near_above")


@dataclass(frozen=True)
class WordFacts:
    """Counts over all rows, of each value as text."""

    rows: int
    missing: int
    counts: Counter[str]
    longest_run: int = 0


def number_facts(chunks: Iterator[pa.Array], rows: int) -> NumberFacts:
    """Facts of a numeric column; `rows` is how many are expected (for the sample only)."""
    step = max(1, -(-rows // SAMPLE_ROWS))
    total = missing = infinite = 0
    whole, samples, streak = True, [], Streak()
    for chunk in chunks:
        values = to_numpy(chunk).astype(np.float64)
        finite = values[np.isfinite(values)]
        gaps = int(np.count_nonzero(np.isnan(values)))
        missing += gaps
        infinite += len(values) - len(finite) - gaps
        whole = whole and bool(np.all(finite == np.floor(finite)))
        streak = streak.then(finite, finite[0], finite[-1]) if len(finite) else streak
        first = -total % step
        samples.append(values[first::step])
        total += len(values)
    sample = np.concatenate(samples) if samples else np.empty(0)
    return NumberFacts(total, missing, infinite, whole, np.sort(sample[np.isfinite(sample)]), streak.longest)


def range_facts(chunks: Iterator[pa.Array], known: tuple[float, float], limits: tuple[float, float]) -> RangeFacts:
    """Facts of a numeric column against the range `known` and the wider `limits`, in one pass."""
    total = RangeFacts()
    for chunk in chunks:
        total += _range_facts(to_numpy(chunk).astype(np.float64, copy=False), known, limits)
    return total


def _range_facts(values: np.ndarray, known: tuple[float, float], limits: tuple[float, float]) -> RangeFacts:
    finite = values[np.isfinite(values)]
    missing = int(np.count_nonzero(np.isnan(values)))
    below, above = (int(np.count_nonzero(found)) for found in (values < limits[0], values > limits[1]))
    low, high = (int(np.count_nonzero(found)) for found in (values < known[0], values > known[1]))
    counts = (len(values), missing, len(values) - len(finite) - missing, below, above, low - below, high - above)
    return RangeFacts(*counts, float(finite.min()), float(finite.max())) if len(finite) else RangeFacts(*counts)


def word_facts(chunks: Iterator[pa.Array]) -> WordFacts:
    """Facts of a column whose values are compared as text; numbers are spelled as labels are."""
    total = missing = 0
    counts: Counter[str] = Counter()
    streak = Streak()
    for chunk in chunks:
        total += len(chunk)
        streak = _extend(streak, chunk)
        for entry in pc.value_counts(chunk).to_pylist():
            if _is_missing(entry["values"]):
                missing += entry["counts"]
            else:
                counts[spell_label(entry["values"])] += entry["counts"]
    return WordFacts(total, missing, counts, streak.longest)


def _extend(streak: Streak, chunk: pa.Array) -> Streak:
    """By text, told by its codes; spelling does not matter here."""
    present = chunk.drop_null()
    if not len(present):
        return streak
    coded = present if pa.types.is_dictionary(present.type) else present.dictionary_encode()
    return streak.then(to_numpy(coded.indices), present[0].as_py(), present[-1].as_py())


def _is_missing(value: Any) -> bool:
    return value is None or value != value  # noqa: PLR0124 - only NaN differs from itself
