"""All policies over one past: each model that is needed is fitted once, in parallel, and asked about all later rows."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evergreen.replay import costs
from evergreen.replay.library import Library
from evergreen.replay.past import Past
from evergreen.replay.plays import (
    Night,
    Play,
    RunNight,
    find_opening,
    play_loop,
    play_rule,
    settings_of_play,
    train_on_all,
)
from evergreen.replay.policies import Policy, title_of
from evergreen.settings import Settings

WARM_UP = 0.1  # of the blocks teach the first model, if the settings name no share
GROUP = 4  # blocks whose models are fitted in one go: few enough to share the work evenly

Progress = Callable[[int, int], None]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What one policy made of the past; arrays have an item for each played block.

    Attributes:
        costs: of all decisions in each block, without retrainings.
        scores: the metric of each block; NaN where the labels can't tell.
        retrained, deployed, shadows: blocks before which that happened.
        false_alarms: retrainings that brought no gain: rejected, or no cheaper until the next one than going on with
            the model before.
        hindsight: it knows the future; nobody can use it.
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
        """The cost of the decisions and of the retrainings, in all or some of the played blocks."""
        played = range(len(self.costs))[blocks]
        trained = sum(block - self.play.first in played for block in self.retrained)
        return float(self.costs[blocks].sum()) + retrain_cost * trained


@dataclass(frozen=True)
class Replayed:
    """The past under all policies.

    `table` is what `costs.cost_table` gives for models of all rows before each block; None when no rule needed them.
    """

    past: Past
    first: int
    scale: costs.Scale
    retrain_cost: float
    outcomes: tuple[Outcome, ...]
    table: np.ndarray | None


def replay(
    settings: Settings,
    past: Past,
    policies: Sequence[Policy],
    folder: Path,
    run_night: RunNight,
    *,
    retrain_cost: float,
    jobs: int = -1,
    progress: Progress = lambda done, total: None,
) -> Replayed:
    """Play every policy over the past; all begin with the same first model.

    Args:
        folder: where the numbers of fitted models are kept, for the next policy and the next replay.
        run_night: one run of the loop on a store and a table; it is sent to other processes.
        retrain_cost: price of a retraining in wrong decisions.
        jobs: processes; -1 = all processors.
        progress: is told how many blocks of how many have been played.
    """
    library = Library(folder, past)
    plain = settings_of_play(settings, past, {})
    warm_up = _warm_up(settings, past)
    logger.info("looking for the first block that a model can be trained for, from block %s on", warm_up)
    with quietly_alone():
        first, opening = find_opening(plain, library, warm_up, run_night)
    logger.info("the first model answers from block %s on; the policies are played", first)
    plays, models = _play_all(settings, plain, library, policies, first, run_night, jobs, progress)
    models[first] = opening
    for policy in policies:
        if not policy.watches:
            plays[policy.name] = play_rule(policy.name, first, models, past.blocks, policy.period)
    scale = costs.make_scale(settings, library, first)
    outcomes = [judge_play(policy, plays[policy.name], plain, library, scale) for policy in policies]
    table = None
    if len(models) > 1:
        table = costs.cost_table(plain, library, scale, models, first)
        period = costs.best_period(table, first, retrain_cost)[0]
        period = 0 if period >= past.blocks - first else period
        best = Policy("hindsight", f"best fixed period in hindsight: {title_of(period)}", period=period)
        play = play_rule(best.name, first, models, past.blocks, period)
        outcomes.append(judge_play(best, play, plain, library, scale, hindsight=True))
    return Replayed(past, first, scale, retrain_cost, tuple(outcomes), table)


def _warm_up(settings: Settings, past: Past) -> int:
    """The first block before which the labels of the warm-up have come."""
    share = settings.training.first_share if settings.training.first_share < 1 else WARM_UP
    wanted = past.edges[max(1, round(share * past.blocks))]
    return min(int(np.searchsorted(past.known, wanted, "left")), past.blocks - 1)


def _play_all(
    settings: Settings,
    plain: Settings,
    library: Library,
    policies: Sequence[Policy],
    first: int,
    run_night: RunNight,
    jobs: int,
    progress: Progress,
) -> tuple[dict[str, Play], dict[int, str]]:
    """The plays of the policies that watch, by name, and the models that the others need, by block."""
    from joblib import Parallel, delayed

    loops = [policy for policy in policies if policy.watches]
    blocks = range(first + 1, library.past.blocks) if any(policy.period for policy in policies) else range(0)
    steps = -(-len(blocks) // GROUP)
    tasks = [delayed(_play)(policy, settings, library, first, run_night) for policy in loops]
    tasks += [delayed(_train)(plain, library, blocks[start::steps]) for start in range(steps)]
    plays: dict[str, Play] = {}
    models: dict[int, str] = {}
    played, total = library.past.blocks - first, len(loops) * (library.past.blocks - first) + len(blocks)
    for found in Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="n_jobs")(tasks):
        if isinstance(found, Play):
            plays[found.name] = found
        else:
            models |= found
        progress(len(plays) * played + len(models), total)
    return plays, models


def _play(policy: Policy, settings: Settings, library: Library, first: int, run_night: RunNight) -> Play:
    own = settings_of_play(settings, library.past, policy.changes or {})
    with quietly_alone():
        return play_loop(policy.name, own, library, first, run_night)


def _train(settings: Settings, library: Library, blocks: Sequence[int]) -> dict[int, str]:
    with quietly_alone():
        return {block: train_on_all(settings, library, block) for block in blocks}


@contextmanager
def quietly_alone() -> Iterator[None]:
    """Inside, compiled libraries keep to one thread (the processes share the machine), and runs are nobody's news."""
    from threadpoolctl import threadpool_limits

    said = logging.getLogger("evergreen")
    level = said.level
    said.setLevel(logging.ERROR)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        said.setLevel(level)


def judge_play(
    policy: Policy, play: Play, settings: Settings, library: Library, scale: costs.Scale, *, hindsight: bool = False
) -> Outcome:
    """What a play cost and how often it retrained."""
    blocks = range(play.first, library.past.blocks)
    spent = {
        key: costs.costs_by_block(settings, library, scale, key, play.first + play.live.index(key))
        for key in dict.fromkeys(play.live)
    }
    retrained = _when(play, lambda night: night.trained)
    deployed = _when(play, lambda night: night.trained and night.deployed)
    return Outcome(
        policy,
        play,
        np.array([_cost_in(play, spent, key, block) for block, key in zip(blocks, play.live, strict=True)]),
        np.array([costs.score_block(settings, library, scale, *pair) for pair in zip(play.live, blocks, strict=True)]),
        retrained,
        deployed,
        _when(play, lambda night: night.shadow),
        _count_false_alarms(play, spent, retrained, deployed),
        hindsight,
    )


def _when(play: Play, what: Callable[[Night], bool]) -> tuple[int, ...]:
    return tuple(play.first + place for place, night in enumerate(play.nights) if what(night))


def _cost_in(play: Play, spent: Mapping[str, np.ndarray], key: str, block: int) -> float:
    return float(spent[key][block - play.first - play.live.index(key)])


def _count_false_alarms(
    play: Play, spent: Mapping[str, np.ndarray], retrained: Sequence[int], deployed: Sequence[int]
) -> int:
    """Challengers that were rejected, and those that cost no less than their predecessor would have until the next."""
    false = len(retrained) - len(deployed)
    ends = [*deployed[1:], play.first + len(play.live)]
    for begin, end in zip(deployed, ends, strict=False):
        pair = [play.live[place - play.first] for place in (begin - 1, begin)]
        before, now = (sum(_cost_in(play, spent, key, block) for block in range(begin, end)) for key in pair)
        false += now >= before
    return false


def hindsight_optimum(
    settings: Settings, past: Past, folder: Path, run_night: RunNight, *, retrain_cost: float, jobs: int = -1
) -> float:
    """What the best schedule of all would have cost, each model being of all rows before its block.

    The yardstick of studies of when to retrain (Regol et al. 2025); a policy that chooses the stretch to learn from
    (`training.window = "auto"`) may cost less.
    """
    training = settings.training.model_copy(update={"window": "all"})
    plain = settings.model_copy(update={"training": training})
    every = Policy("every-1", title_of(1), period=1)
    found = replay(plain, past, [every], folder, run_night, retrain_cost=retrain_cost, jobs=jobs)
    assert found.table is not None, "a rule was played"
    return costs.best_schedule(found.table, found.first, retrain_cost)[1]
