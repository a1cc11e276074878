"""What wrong answers have cost beyond those of a fresh model, and when that is worth a retraining.

With `ref` the loss that a fresh model would have, the excess grows window by window and never falls below zero:

    S <- max(0, S + sum(loss - ref))

If the excess per window grows linearly at rate a, the cheapest time between retrainings is sqrt(2c / a), which is
where S reaches the price c of one; after a jump the rule pays at most about twice what a clairvoyant would (ski
rental). The same sum over the paired differences of two models tells when the one in shadow would have paid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

REMEMBERED = 8  # baselines of models that went live last
FRESH_QUANTILE = 0.25


@dataclass(frozen=True)
class Excess:
    """The excess of errors that has accumulated since the last time there was none.

    Attributes:
        total: in the unit of the losses (wrong answers, or the user's cost); 0 when the model does as well as `ref`.
        standard_error: of the total, for the losses being a sample.
        since: position of the first row of this stretch; the number of all rows when there is none.
        rows: in this stretch.
        reference_loss: the loss per row that a fresh model would have.
    """

    total: float
    standard_error: float
    since: int
    rows: int
    reference_loss: float


@dataclass(frozen=True)
class ShadowFinding:
    """What a challenger that is watched without being live would have saved, on rows that neither has learned from.

    Attributes:
        advantage: the largest recent sum of (champion's − challenger's) loss, in the unit of the losses; 0 or more.
        rows: labelled rows that both have answered since the challenger was trained.
        digest: of the challenger.
        trained: when, ISO text; empty where there is no clock.
    """

    advantage: float
    rows: int
    digest: str = ""
    trained: str = ""


def reference_loss(own: float, ancestors: Sequence[float]) -> float:
    """The loss per row of a fresh model: the model's own baseline, or what its ancestors have shown to be possible.

    `ancestors` are the baselines of the models that were live before, the oldest first. Without them a model that
    was trained just after a change for the worse would be its own excuse.

    >>> reference_loss(0.30, [0.10, 0.12, 0.11])
    0.1075
    """
    remembered = [*ancestors, own][-REMEMBERED:]
    return min(own, float(np.quantile(remembered, FRESH_QUANTILE)))


def accumulate_excess(losses: np.ndarray, ends: Sequence[int], reference_loss: float) -> Excess:
    """The excess after the last of the windows.

    Args:
        losses: (n,) cost of each decision in time order; none missing (`evergreen.scoring.row_costs`).
        ends: position after the last row of each window, ascending; rows after the last end are a window too.
        reference_loss: of a fresh model, per row.

    >>> accumulate_excess(np.array([0.0, 0.0, 1.0, 1.0, 0.0, 1.0]), [2, 4], 0.2)
    Excess(total=2.2, standard_error=1.0, since=2, rows=4, reference_loss=0.2)
    """
    total, since = 0.0, 0
    for begin, end in windows_of(ends, len(losses)):
        total += float(np.sum(losses[begin:end] - reference_loss))
        if total <= 0:
            total, since = 0.0, end
    stretch = losses[since:]
    spread = float(np.var(stretch, ddof=1)) if len(stretch) > 1 else 0.0
    error = float(np.sqrt(len(stretch) * spread))
    return Excess(total, error, since, len(stretch), reference_loss)


def weigh_shadow(
    champion: np.ndarray, challenger: np.ndarray, ends: Sequence[int], *, digest: str = "", trained: str = ""
) -> ShadowFinding:
    """What the challenger would have saved, from both models' losses on the same rows, (n,) each, in time order.

    >>> weigh_shadow(np.array([1.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 0.0]), [2, 4]).advantage
    2.0
    """
    advantage = accumulate_excess(champion - challenger, ends, 0.0).total
    return ShadowFinding(advantage, len(champion), digest, trained)


def windows_of(ends: Sequence[int], rows: int) -> list[tuple[int, int]]:
    """First row and end of each window that holds rows; rows after the last end are one window more.

    >>> windows_of([2, 2, 4], 5)
    [(0, 2), (2, 4), (4, 5)]
    """
    borders = sorted({0, *(int(end) for end in ends if 0 < end < rows), rows})
    return list(pairwise(borders))
