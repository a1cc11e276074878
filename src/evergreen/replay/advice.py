"""Which policy to use, learned from the first part of the past and held against the rest.

A choice among many that is made and judged on the same rows flatters itself. So the choice rests on the first
part alone, and what it cost on the rest is told beside it. The preset by cost is preferred unless another policy was
surely cheaper there: our own measurements on many streams speak for it, a few blocks of luck don't speak against it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from evergreen.replay.past import Past
from evergreen.replay.replaying import Outcome, Replayed
from evergreen.scoring.intervals import spread

FIRST_PART = 0.5
PREFERRED = "cost"
ALPHA = 0.05  # chance that a policy which is no cheaper is called surely cheaper, over all that are compared


@dataclass(frozen=True)
class Advice:
    """What to use and why.

    Attributes:
        name: of the policy chosen on the first part.
        chosen_on, judged_on: numbers of blocks.
        cost, cheapest: of the choice on the rest, and of the cheapest policy there, which is `cheapest_name`.
        alike: policies that can't be told from the choice on the whole past.
        reasons: sentences for people.
        lines: of config.toml.
    """

    name: str
    title: str
    chosen_on: int
    judged_on: int
    cost: float
    cheapest: float
    cheapest_name: str
    alike: tuple[str, ...]
    reasons: tuple[str, ...]
    lines: tuple[str, ...]


def advise(replayed: Replayed) -> Advice | None:
    """The advice; None when only one policy was played."""
    rivals = [outcome for outcome in replayed.outcomes if not outcome.hindsight]
    if len(rivals) < 2:
        return None
    price, blocks = replayed.retrain_cost, len(rivals[0].costs)
    split = max(1, round(FIRST_PART * blocks))
    first, rest, whole = slice(0, split), slice(split, blocks), slice(0, blocks)
    chosen = choose(rivals, price, first)
    by_rest = {outcome.policy.name: outcome.cost(price, rest) for outcome in rivals}
    best = min(rivals, key=lambda outcome: by_rest[outcome.policy.name])
    alike = [
        other.policy.title
        for other in rivals
        if other is not chosen and abs(sureness(other, chosen, price, whole)) < _limit(len(rivals))
    ]
    reasons = [
        _why(chosen, rivals, price, first),
        f"On the remaining {blocks - split} blocks, which took no part in the choice, it cost "
        f"{_amount(by_rest[chosen.policy.name])}; the cheapest there was {best.policy.title} with "
        f"{_amount(by_rest[best.policy.name])}.",
    ]
    if alike:
        reasons.append(f"This past can't tell it from: {', '.join(alike)}.")
    reasons += _about_late_labels(replayed, rivals, chosen, price)
    again = choose(rivals, price, whole)
    if again is not chosen:
        reasons.append(f"The whole past, looked at with hindsight, speaks for {again.policy.title}.")
    return Advice(
        chosen.policy.name,
        chosen.policy.title,
        split,
        blocks - split,
        by_rest[chosen.policy.name],
        by_rest[best.policy.name],
        best.policy.name,
        tuple(alike),
        tuple(reasons),
        config_lines(chosen, replayed),
    )


def choose(rivals: Sequence[Outcome], price: float, blocks: slice) -> Outcome:
    """The preferred policy unless another one is surely cheaper on these blocks; then the cheapest of those."""
    default = next((each for each in rivals if each.policy.name == PREFERRED), None)
    if default is None:
        return min(rivals, key=lambda each: each.cost(price, blocks))
    surer = [each for each in rivals if sureness(each, default, price, blocks) >= _limit(len(rivals))]
    return min([default, *surer], key=lambda each: each.cost(price, blocks))


def sureness(one: Outcome, other: Outcome, price: float, blocks: slice) -> float:
    """How many standard errors `one` is cheaper than `other`, by their differences in each block (in time order)."""
    saved = (spent_by_block(other, price) - spent_by_block(one, price))[blocks]
    error = spread((saved - saved.mean()) / len(saved), ordered=True)
    return 0.0 if error == 0 else float(saved.mean() / error)


def spent_by_block(outcome: Outcome, price: float) -> np.ndarray:
    """Cost of each played block with the retraining before it."""
    spent = outcome.costs.copy()
    spent[[block - outcome.play.first for block in outcome.retrained]] += price
    return spent


def _limit(policies: int) -> float:
    return float(ndtri(1 - ALPHA / max(policies - 1, 1)))


def _why(chosen: Outcome, rivals: Sequence[Outcome], price: float, first: slice) -> str:
    blocks, cost = first.stop, _amount(chosen.cost(price, first))
    cheapest = min(rivals, key=lambda each: each.cost(price, first))
    begin = f"By the first {blocks} blocks: {chosen.policy.title}, which cost {cost} there"
    if cheapest is chosen:
        return f"{begin}, less than all others."
    if chosen.policy.name == PREFERRED:
        return f"{begin}; {cheapest.policy.title} cost {_amount(cheapest.cost(price, first))}, which may be luck."
    return f"{begin}, surely less than preset {PREFERRED}."


def _about_late_labels(replayed: Replayed, rivals: Sequence[Outcome], chosen: Outcome, price: float) -> list[str]:
    """When labels are late all who wait for them come late, and a plain schedule may be as good."""
    late = late_blocks(replayed.past)
    scheduled = [each for each in rivals if each.policy.period or each.policy.name == "schedule"]
    if late < 1 or not scheduled or chosen in scheduled:
        return []
    best = min(scheduled, key=lambda each: each.cost(price))
    if sureness(chosen, best, price, slice(None)) >= _limit(2):
        return []
    return [f"Labels come {late:.0f} blocks late; with that, a plain schedule ({best.policy.title}) is as good."]


def late_blocks(past: Past) -> float:
    """How many blocks labels are late, in the middle of the past."""
    middle = past.blocks // 2
    return float(middle - np.searchsorted(past.edges, past.known[middle], "right") + 1)


def config_lines(chosen: Outcome, replayed: Replayed) -> tuple[str, ...]:
    """What to paste into config.toml for a policy."""
    policy, past = chosen.policy, replayed.past
    if policy.changes is not None:
        lines = [f'preset = "{policy.changes["preset"]}"']
        if policy.name == "cost":
            lines.append(f"retrain_cost = {replayed.retrain_cost:g}")
        if policy.name == "volume":
            lines.append(f"volume = {policy.changes['volume']}")
        return ("[policy]", *lines)
    if not policy.period:
        return ("[policy]", 'mode = "advise"   # never retrains by itself')
    rows = int(policy.period * past.edges[-1] // past.blocks)
    return ("[policy]", 'preset = "volume"', f"volume = {rows}   # the rows of {policy.period} blocks")


def _amount(cost: float) -> str:
    return f"{cost:,.0f}"
