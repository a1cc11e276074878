"""Are the new rows of a kind that the labelled rows can tell anything about?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.drift.estimation.models import is_number

if TYPE_CHECKING:
    import pandas as pd

# Rows a thousand times rarer than before say nothing, and one labelled row must not speak for more than fifty.
SMALLEST_RATIO, LARGEST_RATIO = 0.001, 50.0


@dataclass(frozen=True, eq=False)
class Support:
    """How the new rows lie to the labelled ones.

    Attributes:
        ratios: (n,) how many times as frequent rows like each labelled row are now, between 0.001 and 50.
        outside: share of the new rows, 0 to 1, that are over 50 times as frequent as before or have a value
            outside the labelled rows' range, less the share of values outside that pure chance would bring.
        columns: those whose values lie outside most often, at most three, worst first.
    """

    ratios: np.ndarray
    outside: float
    columns: tuple[str, ...]


def find_support(reference: "pd.DataFrame", current: "pd.DataFrame", seed: int) -> Support:
    """Compare the new rows with the labelled ones, by a domain classifier and by the range of each column."""
    from evergreen.drift.deep import fit_domain_classifier

    domain = fit_domain_classifier(reference, current, seed)
    beyond, by_chance, columns = find_beyond(reference, current)
    alone = domain.ratios(domain.current) >= LARGEST_RATIO
    outside = max(float(np.mean(alone | beyond)) - by_chance, float(np.mean(alone)))
    return Support(np.clip(domain.ratios(domain.reference), SMALLEST_RATIO, LARGEST_RATIO), outside, columns)


def find_beyond(reference: "pd.DataFrame", current: "pd.DataFrame") -> tuple[np.ndarray, float, tuple[str, ...]]:
    """Which new rows have a number outside the reference's range or a category it does not have.

    Returns the mask (m,), the share of rows to expect so when nothing has changed, and the worst columns. The
    next of n + 1 exchangeable numbers is a new extreme with probability 2/(n + 1), a new category with that of
    the categories seen once (Good & Turing 1953): with many columns ordinary rows are often beyond one of them.

    >>> import pandas as pd
    >>> before = pd.DataFrame({"a": np.arange(99.0)})
    >>> mask, by_chance, columns = find_beyond(before, pd.DataFrame({"a": [5.0, -1.0, 50.0, 99.0]}))
    >>> mask.tolist(), round(by_chance, 6), columns
    ([False, True, False, True], 0.02, ('a',))
    """
    masks, within = {}, 1.0
    for name in reference.columns:
        masks[name], by_chance = _beyond_column(reference[name], current[name])
        within *= 1 - by_chance
    shares = {name: float(mask.mean()) for name, mask in masks.items()}
    worst = sorted((name for name in shares if shares[name] > 0), key=lambda name: (-shares[name], name))
    return np.any(list(masks.values()), axis=0), 1 - within, tuple(worst[:3])


def _beyond_column(before: "pd.Series[Any]", after: "pd.Series[Any]") -> tuple[np.ndarray, float]:
    if not is_number(before):
        counts = before.value_counts()
        new = after.notna() & ~after.isin(counts.index)
        return new.to_numpy(bool), float((counts == 1).sum()) / len(before)
    values, known = (column.to_numpy(np.float64, na_value=np.nan) for column in (after, before))
    present = known[~np.isnan(known)]
    if not len(present):
        return ~np.isnan(values), 0.0
    return (values < present.min()) | (values > present.max()), 2 / (len(present) + 1)
