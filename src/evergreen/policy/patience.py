"""What holds a wanted retraining back: bad or too few rows, and what earlier retrainings have brought."""

from collections.abc import Sequence

from evergreen.policy.signals import PastRun, Signals
from evergreen.settings import PolicySettings

FIRST_MUTE = 4  # runs; doubled with each further retraining that brought nothing


def find_obstacles(signals: Signals, past: Sequence[PastRun], settings: PolicySettings) -> tuple[str, ...]:
    """One sentence per thing that forbids an automatic retraining now; empty when it may go ahead.

    The naive preset knows no patience: only rows that can't be trained on hold it back.
    """
    if settings.preset == "naive":
        return signals.blocking
    obstacles = list(signals.blocking)
    needed = min(settings.rows_worth_while, round(settings.min_new_share * signals.trained_rows))
    if signals.new_labelled_rows < needed:
        obstacles.append(
            f"Only {signals.new_labelled_rows:,} new labelled rows; {needed:,} are needed "
            "(policy.min_new_rows, policy.min_new_share)."
        )
    return (*obstacles, *_patience(past, settings))


def _patience(past: Sequence[PastRun], settings: PolicySettings) -> list[str]:
    """Cool-down, budget, and reasons several times in a row."""
    obstacles = []
    since, wait = runs_since_retraining(past), cool_down(past, settings)
    if since is not None and since < wait:
        rejected = " after challengers that brought no gain" if wait > settings.cool_down else ""
        obstacles.append(f"Cooling down: {since} of {wait} runs have passed since the last retraining{rejected}.")
    spent = sum(run.retrained for run in past[-settings.budget_runs :])
    if spent >= settings.retraining_budget:
        obstacles.append(
            f"The budget is used up: {spent} retrainings in the last {settings.budget_runs} runs "
            f"(policy.max_retrains = {settings.retraining_budget})."
        )
    before = past[len(past) - settings.in_a_row + 1 :] if settings.in_a_row > 1 else ()
    if settings.in_a_row > 1 and (len(before) < settings.in_a_row - 1 or not all(run.wanted for run in before)):
        obstacles.append(f"The reason has to be there in {settings.in_a_row} runs in a row (policy.in_a_row).")
    return obstacles


def runs_since_retraining(past: Sequence[PastRun]) -> int | None:
    """Runs that have passed since the last retraining; None when there was none."""
    return next((age for age, run in enumerate(reversed(past)) if run.retrained), None)


def runs_without_retraining(past: Sequence[PastRun]) -> int:
    """Runs with new rows since the last retraining, or all when there was none."""
    since = runs_since_retraining(past)
    return len(past) if since is None else since


def cool_down(past: Sequence[PastRun], settings: PolicySettings) -> int:
    """Runs to let pass after a retraining: `cool_down`, doubled for each one in a row that brought no gain.

    Bounded by `max_backoff`, so that a stubborn problem is looked at again some day. The preset by cost backs off
    in another way, by the excess that it waits for (`back_off`).
    """
    if settings.preset == "cost":
        return settings.cool_down
    return min(settings.cool_down * 2 ** _in_vain(past), max(settings.max_backoff, settings.cool_down))


def _in_vain(past: Sequence[PastRun]) -> int:
    """Retrainings in a row, up to the last, without gain; a deployed one counts as a gain until shown otherwise."""
    vain = 0
    for run in reversed(past):
        if run.deployed and run.gained is not False:
            break
        vain += run.retrained and not run.taken_back
    return vain


def back_off(past: Sequence[PastRun], settings: PolicySettings) -> int:
    """By how much the price of a retraining is raised, 1 or more.

    Doubled by each retraining that brought no gain, up to `max_backoff`; halved by each that brought one.

    >>> vain = PastRun(wanted=True, retrained=True, deployed=False)
    >>> paid = PastRun(wanted=True, retrained=True, deployed=True, gained=True)
    >>> back_off([vain, vain, vain, paid], PolicySettings())
    4
    """
    factor = 1
    for run in past:
        if run.brought_gain is not None:
            factor = max(1, factor // 2) if run.brought_gain else min(2 * factor, settings.max_backoff)
    return factor


def mute(past: Sequence[PastRun], settings: PolicySettings) -> int:
    """Runs for which safety triggers still stay silent under the preset by cost.

    After a retraining without gain 4, after the second in a row 8, then 16, bounded by `max_backoff`: a limit that
    the problem itself can't meet would otherwise retrain for ever.
    """
    since, vain = runs_since_retraining(past), _in_vain(past)
    if since is None or not vain:
        return 0
    return max(0, min(FIRST_MUTE * 2 ** (vain - 1), settings.max_backoff) - since)
