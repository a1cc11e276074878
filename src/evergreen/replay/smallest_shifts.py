"""How much a column has to change before the settings say drift: tried on the user's own rows, by changing them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evergreen.data.batches import Batch
from evergreen.data.schema import Column
from evergreen.drift.columns import compare_profiles
from evergreen.drift.in_time import profile_rows
from evergreen.drift.profile import Profile
from evergreen.replay.past import Past
from evergreen.replay.quiet import Stretch, batch_of, contract_of
from evergreen.settings import DriftSettings, Settings

SEEN = 0.8  # of the blocks have to show it
LARGEST = {"deviations": 8.0, "share": 1.0}
STEPS = 8  # halvings: the answer is known to a four-hundredth of the largest
FEW_VALUES = 20  # a number with no more values moves by steps, not by degrees


@dataclass(frozen=True)
class SmallestShift:
    """The smallest change that 80 % of the blocks show.

    Attributes:
        unit: "deviations", of the reference's values, by which all rows move; or "share" of the rows, which move to
            another value.
        size: in that unit; None when not even the largest shows.
        words: for people.
    """

    column: str
    unit: str
    size: float | None
    blocks: int
    words: str


@dataclass(frozen=True)
class Trial:
    """One column of a block and of the reference before it, and the settings for it alone."""

    reference: Profile
    frame: Any
    keys: np.ndarray
    kind: str
    settings: DriftSettings

    def shows(self, values: Any) -> bool:
        """Whether these values in place of the block's are called drift."""
        name = next(iter(self.reference.columns))
        frame = self.frame.assign(**{name: values})
        current = profile_rows(frame, {name: self.kind}, self.keys, self.settings, against=self.reference)
        return any(column.status == "drift" for column in compare_profiles(self.reference, current, self.settings))


def find_smallest_shifts(
    settings: Settings, past: Past, pairs: Sequence[tuple[Stretch, int]]
) -> tuple[SmallestShift, ...]:
    """For each column, in the order of the table; `pairs` are quiet stretches with a block of each."""
    references: dict[Stretch, tuple[Profile, Batch, dict[str, Column]]] = {}
    for stretch, _ in pairs:
        if stretch not in references:
            rows = batch_of(past, stretch.reference)
            columns = {column.name: column for column in contract_of(past, stretch.reference).columns}
            kinds = {name: column.kind for name, column in columns.items()}
            references[stretch] = profile_rows(rows.frame, kinds, rows.keys, settings.drift), rows, columns
    last = references[pairs[-1][0]][2]
    return tuple(
        _smallest(column, settings.drift, past, [(block, *references[stretch]) for stretch, block in pairs])
        for column in last.values()
    )


def _smallest(column: Column, drift: DriftSettings, past: Past, blocks: Sequence[tuple[Any, ...]]) -> SmallestShift:
    """By halving: a larger change shows at least as well."""
    stepwise = column.kind != "number" or (column.integers and column.distinct <= FEW_VALUES)
    unit = "share" if stepwise else "deviations"
    trials = [
        (_trial(column.name, drift, past, block, profile, columns), rows.frame[column.name])
        for block, profile, rows, columns in blocks
        if column.name in columns and columns[column.name].kind == column.kind
    ]
    change: Callable[..., Any] = _move_share if stepwise else _move_all

    def seen(size: float) -> bool:
        return sum(trial.shows(change(trial.frame[column.name], known, size, column)) for trial, known in trials) >= (
            SEEN * len(trials)
        )

    size = halve(seen, LARGEST[unit])
    return SmallestShift(column.name, unit, size, len(trials), _words(unit, size, trials))


def halve(seen: Callable[[float], bool], largest: float) -> float | None:
    """The smallest size that is seen, to 1/256 of the largest; None when not even that is.

    >>> halve(lambda size: size >= 0.3, 1.0)
    0.30078125
    """
    if not seen(largest):
        return None
    low, high = 0.0, largest
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high


def _trial(
    name: str, drift: DriftSettings, past: Past, block: int, profile: Profile, columns: dict[str, Column]
) -> Trial:
    """The column alone, at the level that one drifting column among all has to reach after the correction."""
    rows = batch_of(past, range(block, block + 1))
    alpha = drift.alpha if drift.correction == "none" else drift.alpha / len(columns)
    own = drift.model_copy(update={"alpha": alpha, "correction": "none"})
    alone = replace(profile, columns={name: profile.columns[name]})
    return Trial(alone, rows.frame[[name]], rows.keys, columns[name].kind, own)


def _move_all(values: Any, known: Any, size: float, column: Column) -> Any:
    moved = values + size * float(known.std() or 1.0)
    return moved.round() if column.integers else moved


def _move_share(values: Any, known: Any, size: float, column: Column) -> Any:
    """Some of the rows, evenly spread, take the second most frequent value instead of theirs."""
    counts = known.value_counts()
    target = counts.index[min(1, len(counts) - 1)]
    places = np.flatnonzero((values != target).to_numpy() & values.notna().to_numpy())
    wanted = min(round(size * len(values)), len(places))
    chosen = places[np.linspace(0, len(places) - 1, wanted).astype(int)] if wanted else places[:0]
    moved = values.astype(object) if values.dtype.name == "category" else values.copy()
    moved.iloc[chosen] = target
    return moved


def _words(unit: str, size: float | None, trials: Sequence[tuple[Trial, Any]]) -> str:
    if size is None:
        return "not even the largest tried would be seen"
    if unit == "share":
        return f"{size:.0%} of the rows at another value"
    spread = float(np.median([known.std() for _, known in trials]))
    return f"{size:.2f} standard deviations ({size * spread:.3g})"
