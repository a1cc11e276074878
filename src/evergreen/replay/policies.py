"""The policies that a replay compares: presets of the loop, and rules without eyes as yardsticks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from evergreen.errors import UsageError
from evergreen.replay.past import Past
from evergreen.settings import PolicySettings, Settings

PRESETS = get_args(PolicySettings.model_fields["preset"].annotation)
RULES = ("never", "every-1", "every-5", "every-20")
DEFAULTS = ("hybrid", "cost", "naive", "drift", "performance", "schedule", *RULES)
VOLUME_BLOCKS = 10  # rows of so many blocks, for preset "volume" of a user who has set no number


@dataclass(frozen=True)
class Policy:
    """One way to decide. With `changes` it is the loop under other settings of `[policy]`; else a fixed period.

    `period` counts blocks; 0 means never.
    """

    name: str
    title: str
    changes: Mapping[str, Any] | None = None
    period: int = 0

    @property
    def watches(self) -> bool:
        """Whether it is the loop, which looks before it trains."""
        return self.changes is not None


def choose_policies(names: Sequence[str], settings: Settings, past: Past, cost: float) -> tuple[Policy, ...]:
    """The policies of these names, or the usual ones; `cost` is the price of a retraining."""
    usual = (*DEFAULTS[:6], *(("volume",) if settings.policy.volume else ()), *RULES)
    return tuple(_policy(name, settings, past, cost) for name in dict.fromkeys(names or usual))


def _policy(name: str, settings: Settings, past: Past, cost: float) -> Policy:
    if name in PRESETS:
        changes: dict[str, Any] = {"preset": name}
        if settings.policy.mode != "auto":
            changes["mode"] = "auto"  # in the past nobody can be asked
        if name == "cost":
            changes["retrain_cost"] = cost
        if name == "volume":
            changes["volume"] = settings.policy.volume or int(VOLUME_BLOCKS * past.edges[-1] // past.blocks)
        return Policy(name, f"preset {name}", changes)
    if name == "never":
        return Policy(name, title_of(0))
    if match := re.fullmatch(r"every-([1-9]\d*)", name):
        return Policy(name, title_of(int(match[1])), period=int(match[1]))
    known = ", ".join((*PRESETS, *RULES))
    raise UsageError(f"There is no policy '{name}'. Known are: {known} (every-N for any number of blocks).")


def title_of(period: int) -> str:
    """A fixed period in words.

    >>> title_of(0), title_of(1), title_of(5)
    ('never', 'every block', 'every 5 blocks')
    """
    return {0: "never", 1: "every block"}.get(period, f"every {period} blocks")
