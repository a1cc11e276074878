"""All policies over one past: the models that are needed, fitted in parallel and once, and what each policy made of them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evergreen.replay import costs
from evergreen.replay.library import Library
from evergreen.replay.past import Past
from evergreen.replay.plays import Play, RunNight, find_opening, play_loop, play_rule, settings_of_play, train_on_all
from evergreen.replay.policies import Policy
from evergreen.settings import Settings

logger = logging.getLogger(__name__)

WARM_UP = 0.1  # of the blocks teach the first model, if the settings don't name a share
GROUP = 4  # blocks whose models are fitted in one go: few enough to share the work evenly


@dataclass(frozen=True)
class Outcome:
    """What one policy made of the past; arrays have an item for each played block.

    Attributes:
        costs: of all decisions in each block, in wrong decisions.
        scores: the metric of each block; NaN where the labels can't tell.
        retrained, deployed, shadows: blocks before which that happened.
        false_alarms: retrainings that brought no gain: rejected, or no better than what was there before.
    """

    policy: Policy
    play: Play
    costs: np.ndarray
    scores: np.ndarray
    retrained: tuple[int, ...]
    deployed: tuple[int, ...]
    shadows: tuple[int, ...]
    false_alarms: int
    hindsight: bool = False

    def cost(self, retrain_cost: float, blocks: slice = slice(None)) -> float:
        """Wrong decisions and the price of the retrainings, of all or some of the played blocks."""
        played = range(len(self.costs))[blocks]
        trained = sum(block - self.play.first in played for block in self.retrained)
        return float(self.costs[blocks].sum()) + retrain_cost * trained


@dataclass(frozen=True)
class Replayed:
    """The past under all policies."""

    past: Past
    first: int
    scale: costs.Scale
    retrain_cost: float
    outcomes: tuple[Outcome, ...]
    table: np.ndarray | None


Progress = Callable[[str, int, int], None]


def replay(
    settings: Settings,
    past: Past,
    policies: Sequence[Policy],
    folder: Path,
    run_night: RunNight,
    *,
    retrain_cost: float,
    jobs: int = -1,
    progress: Progress = lambda what, done, total: None,
) -> Replayed:
    """Play every policy over the past.

    Args:
        folder: where the numbers of fitted models are kept, for the next policy and the next replay.
        run_night: one run of the loop on a store and a table; it is sent to other processes.
        retrain_cost: price of a retraining in wrong decisions.
        jobs: processes; -1 = all processors.
        progress: is told what is being done, how much of it is done, and how much there is.
    """
    from joblib import Parallel, delayed

    library = Library(folder, past)
    plain = settings_of_play(settings, past, {})
    warm_up = max(
        1, round((settings.training.first_share if settings.training.first_share < 1 else WARM_UP) * past.blocks)
    )
    while warm_up < past.blocks - 1 and past.known[warm_up] < past.edges[max(1, round(WARM_UP * past.blocks))]:
        warm_up += 1
    first, opening = find_opening(plain, library, warm_up, run_night)
    loops = [policy for policy in policies if policy.watches]
    blocks = list(range(first + 1, past.blocks)) if any(policy.period for policy in policies) else []
    groups = [blocks[start :: -(-len(blocks) // GROUP)] for start in range(-(-len(blocks) // GROUP))]
    tasks = [delayed(_play)(policy, settings, library, first, run_night) for policy in loops]
    tasks += [delayed(_train)(plain, library, group) for group in groups]
    models: dict[int, str] = {first: opening}
    plays: dict[str, Play] = {}
    total = len(loops) * (past.blocks - first) + len(blocks)
    done = 0
    for found in Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="n_jobs")(tasks):
        if isinstance(found, Play):
            plays[found.name] = found
            done += past.blocks - first
        else:
            models |= found
            done += len(found)
        progress("playing the past", done, total)
    for policy in policies:
        if not policy.watches:
            when = set(range(first + policy.period, past.blocks, policy.period)) if policy.period else set()
            plays[policy.name] = play_rule(policy.name, first, opening, models, past.blocks, when)
    scale = costs.make_scale(settings, library, first)
    outcomes = [_outcome(policy, plays[policy.name], plain, library, scale) for policy in policies]
    table = None
    if blocks:
        table = costs.cost_table(plain, library, scale, models, first)
        period, _ = costs.best_period(table, first, retrain_cost)
        name = "never" if period >= past.blocks - first else "every block" if period == 1 else f"every {period} blocks"
        best = Policy("hindsight", f"best fixed period in hindsight: {name}", period=period)
        play = play_rule(
            best.name, first, opening, models, past.blocks, set(range(first + period, past.blocks, period))
        )
        outcomes.append(_outcome(best, play, plain, library, scale, hindsight=True))
    return Replayed(past, first, scale, retrain_cost, tuple(outcomes), table)


def _play(policy: Policy, settings: Settings, library: Library, first: int, run_night: RunNight) -> Play:
    own = settings_of_play(settings, library.past, policy.changes or {})
    with one_thread():
        return play_loop(policy.name, own, library, first, run_night)


def _train(settings: Settings, library: Library, blocks: Sequence[int]) -> dict[int, str]:
    with one_thread():
        return {block: train_on_all(settings, library, block) for block in blocks}


def one_thread() -> Any:
    """Compiled libraries keep to one thread: the processes share the machine already."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)


def _outcome(
    policy: Policy, play: Play, settings: Settings, library: Library, scale: costs.Scale, *, hindsight: bool = False
) -> Outcome:
    blocks = range(play.first, library.past.blocks)
    by_model = {
        key: (begin := play.first + play.live.index(key), costs.costs_by_block(settings, library, scale, key, begin))
        for key in dict.fromkeys(play.live)
    }
    spent = np.array([by_model[key][1][block - by_model[key][0]] for block, key in zip(blocks, play.live, strict=True)])
    scores = np.array(
        [costs.score_block(settings, library, scale, key, block) for block, key in zip(blocks, play.live, strict=True)]
    )

    def when(what: Callable[[Any], bool]) -> tuple[int, ...]:
        return tuple(block for block, night in zip(blocks, play.nights, strict=True) if what(night))

    retrained = when(lambda night: night.trained)
    deployed = when(lambda night: night.deployed and night.trained)
    return Outcome(
        policy,
        play,
        spent,
        scores,
        retrained,
        deployed,
        when(lambda night: night.shadow),
        _count_false_alarms(play, by_model, retrained, deployed),
        hindsight,
    )


def _count_false_alarms(
    play: Play, by_model: Mapping[str, tuple[int, np.ndarray]], retrained: Sequence[int], deployed: Sequence[int]
) -> int:
    """Retrainings whose challenger was rejected, or cost no less than its predecessor would have until the next one."""
    false = len(set(retrained) - set(deployed))
    ends = [*deployed[1:], play.first + len(play.live)][: len(deployed)]
    for block, stop in zip(deployed, ends, strict=True):
        now, before = (by_model[play.live[place - play.first]] for place in (block, block - 1))
        stretch = [float(costs_[block - begin : stop - begin].sum()) for begin, costs_ in (now, before)]
        false += stretch[0] >= stretch[1]
    return false
