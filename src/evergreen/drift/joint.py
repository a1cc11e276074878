"""Do the columns still hang together as they did? Relations between numbers, and any other difference of the rows."""

from dataclasses import asdict, dataclass
from typing import Any

SHOWN = 20  # pairs in a document


@dataclass(frozen=True)
class PairDrift:
    """The verdict on the correlation of two columns' normal scores, before and now."""

    columns: tuple[str, str]
    reference: float
    current: float
    change: float
    p_adjusted: float
    status: str


@dataclass(frozen=True)
class JointDrift:
    """The verdict on the columns together, beside that on each of them."""

    verdict: str
    columns: int
    limit: float
    rows: tuple[int, int]
    pairs: tuple[PairDrift, ...]
    reasons: tuple[str, ...]
    deep: Any | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain types, with at most 20 pairs, those that drifted first."""
        pairs = [asdict(pair) for pair in self.pairs[:SHOWN]]
        return asdict(self) | {"pairs": pairs, "deep": None if self.deep is None else self.deep.to_dict()}
