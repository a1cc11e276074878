"""The identity of rows: which rows these are, whatever their order and the types they are kept in."""

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

MISSING = np.uint64(0x9E3779B97F4A7C15)


def row_digests(frame: "pd.DataFrame") -> np.ndarray:
    """A 64-bit number per row, shape (n,), uint64; equal rows have equal numbers.

    Independent of the order of columns and rows, and of the type a value is kept in: 1, 1.0 and True
    are one value, and so are all missing values. Two different rows meet with probability 2⁻⁶⁴.

    >>> import pandas as pd
    >>> one, other = pd.DataFrame({"a": [1], "b": ["x"]}), pd.DataFrame({"b": ["x"], "a": [1.0]})
    >>> bool((row_digests(one) == row_digests(other)).all())
    True
    """
    total = np.zeros(len(frame), np.uint64)
    for name in frame.columns:
        salt = np.uint64(int.from_bytes(hashlib.sha256(str(name).encode()).digest()[:8]))
        total += _mix(_value_hashes(frame[name]) ^ salt)
    return total


def _value_hashes(values: "pd.Series[Any]") -> np.ndarray:
    import pandas as pd

    missing = values.isna().to_numpy()
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        plain = pd.to_datetime(values, utc=True).dt.tz_localize(None).astype("datetime64[us]").astype("int64")
        hashes = plain.to_numpy().view(np.uint64).copy()
    elif pd.api.types.is_numeric_dtype(values.dtype):
        hashes = (values.to_numpy(np.float64, na_value=np.nan) + 0.0).view(np.uint64).copy()  # + 0.0: no minus zero
    else:
        hashes = _word_hashes(values)
    hashes[missing] = MISSING
    return hashes


def _word_hashes(values: "pd.Series[Any]") -> np.ndarray:
    """Hashes of text, and of numbers and truth values among objects as if the column held only those."""
    import pandas as pd

    codes, uniques = pd.factorize(values)
    objects = [*uniques, None]
    hashes = pd.util.hash_array(np.array([str(each) for each in objects], dtype=object))
    for place, each in enumerate(objects):
        if isinstance(each, int | float | np.number | np.bool_):
            hashes[place] = np.float64(float(each) + 0.0).view(np.uint64)
    return hashes[codes]


def _mix(hashes: np.ndarray) -> np.ndarray:
    """Spread each value over all bits (the finaliser of SplitMix64), so that sums of columns don't collide."""
    with np.errstate(over="ignore"):
        hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def digest_rows(frame: "pd.DataFrame") -> str:
    """SHA-256 of a set of rows as 64 hexadecimal digits: the same rows in any order have the same digest."""
    return hashlib.sha256(np.sort(row_digests(frame)).tobytes()).hexdigest()
