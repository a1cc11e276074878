"""Which policy to use, learned from the first part of the past and held against the rest.

A choice among many that is made and judged on the same rows flatters itself. So the choice rests on the first
part alone, and what it cost on the rest is told beside it. The preset by cost is preferred unless another preset was
surely cheaper there: our own measurements on many streams speak for it, a few blocks of luck don't speak against it.

Only presets are recommended, whose lines in config.toml make the live loop do what was played. Rules without eyes are
yardsticks: no setting trains unasked on every row. Where one was surely cheaper, the reasons say so.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from evergreen.replay.past import Past
from evergreen.replay.policies import Policy
from evergreen.replay.replaying import Outcome, Replayed
from evergreen.scoring.intervals import spread
from evergreen.wording import counted

FIRST_PART = 0.5
FEWEST_PLAYED = 10  # blocks: half of fewer, to choose by, are a handful of figures
PREFERRED = "cost"
ALPHA = 0.05  # chance that a policy which is no cheaper is called surely cheaper, over all that are compared


@dataclass(frozen=True)
class Advice:
    """What to use and why.

    Attributes:
        name: of the preset chosen on the first part.
        chosen_on, judged_on: numbers of blocks.
        cost, cheapest: of the choice on the rest, and of the cheapest policy there, which is `cheapest_name`.
        alike: policies, yardsticks among them, that can't be told from the choice on the whole past.
        reasons: sentences for people.
        lines: of config.toml; with them the loop does what was played.
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
    """The advice; None when only one policy was played, or no preset, or too few blocks."""
    rivals = [outcome for outcome in replayed.outcomes if not outcome.hindsight]
    presets = [outcome for outcome in rivals if outcome.policy.watches]
    if len(rivals) < 2 or not presets or why_no_advice(replayed):
        return None
    price, blocks = replayed.retrain_cost, len(rivals[0].costs)
    split = max(1, round(FIRST_PART * blocks))
    first, rest, whole = slice(0, split), slice(split, blocks), slice(0, blocks)
    chosen = choose(presets, price, first)
    by_rest = {outcome.policy.name: outcome.cost(price, rest) for outcome in rivals}
    best = min(rivals, key=lambda outcome: by_rest[outcome.policy.name])
    alike = [
        other.policy.title
        for other in rivals
        if other is not chosen and abs(sureness(other, chosen, price, whole)) < _limit(len(rivals))
    ]
    reasons = [
        _why(chosen, presets, price, first),
        f"On the remaining {counted(blocks - split, 'block')}, which took no part in the choice, it cost "
        f"{_amount(by_rest[chosen.policy.name])}; the cheapest there was {best.policy.title} with "
        f"{_amount(by_rest[best.policy.name])}.",
    ]
    if alike:
        reasons.append(f"This past can't tell it from: {', '.join(alike)}.")
    reasons += _about_yardsticks(rivals, chosen, price)
    reasons += _about_late_labels(replayed, rivals, chosen, price)
    again = choose(presets, price, whole)
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
        config_lines(chosen.policy),
    )


def why_no_advice(replayed: Replayed) -> str:
    """What keeps even the best of policies from being recommended; empty when nothing does."""
    played = replayed.past.blocks - replayed.first
    if played >= FEWEST_PLAYED:
        return ""
    return (
        f"Only {counted(played, 'block')} could be played, and a choice needs {FEWEST_PLAYED}: one half to choose by, "
        f"the other to hold the choice against. Choose a shorter --block than {replayed.past.length}."
    )


def choose(presets: Sequence[Outcome], price: float, blocks: slice) -> Outcome:
    """The preferred preset unless another one is surely cheaper on these blocks; then the cheapest of those."""
    default = next((each for each in presets if each.policy.name == PREFERRED), None)
    if default is None:
        return min(presets, key=lambda each: each.cost(price, blocks))
    surer = [each for each in presets if sureness(each, default, price, blocks) >= _limit(len(presets))]
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


def _why(chosen: Outcome, presets: Sequence[Outcome], price: float, first: slice) -> str:
    blocks, cost = first.stop, _amount(chosen.cost(price, first))
    cheapest = min(presets, key=lambda each: each.cost(price, first))
    begin = f"By the first {counted(blocks, 'block')}: {chosen.policy.title}, which cost {cost} there"
    if cheapest is chosen:
        return f"{begin}, less than all other presets." if len(presets) > 1 else f"{begin}, the only preset played."
    if chosen.policy.name == PREFERRED:
        return f"{begin}; {cheapest.policy.title} cost {_amount(cheapest.cost(price, first))}, which may be luck."
    return f"{begin}, surely less than preset {PREFERRED}."


def _about_yardsticks(rivals: Sequence[Outcome], chosen: Outcome, price: float) -> list[str]:
    """The cheapest of the rules that were surely cheaper on the whole past, though none can be recommended."""
    rules = [each for each in rivals if not each.policy.watches]
    surer = [each for each in rules if sureness(each, chosen, price, slice(None)) >= _limit(len(rules) + 1)]
    if not surer:
        return []
    best = min(surer, key=lambda each: each.cost(price))
    much = f"{_amount(best.cost(price))} against {_amount(chosen.cost(price))}"
    if not best.policy.period:
        return [
            f"Never to retrain was surely cheaper ({much}): at this price it has not paid on this past. "
            'With mode = "advise" the loop goes on watching, and retrains on your word only.'
        ]
    return [
        f"The yardstick {best.policy.title} was surely cheaper ({much}). It learns every row and asks no gate before "
        f"a model goes live, so no preset does the same; training.learn_holdout and a lower retrain_cost come nearest."
    ]


def _about_late_labels(replayed: Replayed, rivals: Sequence[Outcome], chosen: Outcome, price: float) -> list[str]:
    """When labels are late all who wait for them come late, and a plain schedule may be as good."""
    late = late_blocks(replayed.past)
    scheduled = [each for each in rivals if each.policy.period or each.policy.name == "schedule"]
    if late < 1 or not scheduled or chosen in scheduled:
        return []
    best = min(scheduled, key=lambda each: each.cost(price))
    if sureness(chosen, best, price, slice(None)) >= _limit(2):
        return []
    how_late = counted(round(late), "block")
    return [f"Labels come {how_late} late; with that, a plain schedule ({best.policy.title}) is as good."]


def late_blocks(past: Past) -> float:
    """How many blocks labels are late, in the middle of the past or, where none has come by then, when the first do."""
    middle = max(past.blocks // 2, int(np.argmax(past.known > 0)))
    return float(middle - np.searchsorted(past.edges, past.known[middle], "right") + 1)


def config_lines(policy: Policy) -> tuple[str, ...]:
    """What to paste into config.toml for a preset: all that the replay changed in `[policy]`.

    >>> config_lines(Policy("cost", "preset cost", {"preset": "cost", "retrain_cost": 50.0}))
    ('[policy]', 'preset = "cost"', 'retrain_cost = 50.0')
    """
    return ("[policy]", *(f"{key} = {json.dumps(value)}" for key, value in (policy.changes or {}).items()))


def _amount(cost: float) -> str:
    return f"{cost:,.0f}"
