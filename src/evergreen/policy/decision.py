"""Whether to retrain: a pure function of what this run saw, what earlier runs did, and the settings.

Two questions, kept apart. *Is there a reason?* (errors that have cost too much, loss, drift, age, volume, according
to the preset.) *May we?* (data quality, new rows, cool-down, budget, back-off.) The answer carries one sentence per
reason and per obstacle, so that whoever is woken by it knows why.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from evergreen.policy.patience import back_off, find_obstacles, mute, runs_without_retraining
from evergreen.policy.reasons import Reason, excess_limit, explain_calm, find_reasons
from evergreen.policy.signals import PastRun, Signals
from evergreen.settings import PolicySettings


@dataclass(frozen=True)
class Decision:
    """The answer: `recommended` when there is reason enough and nothing in the way; `retrain` when the mode lets it.

    `limit` is what the excess of errors must reach under the preset by cost, raised by `backoff` after retrainings
    in vain; None without labels.
    """

    retrain: bool
    recommended: bool
    wanted: bool
    mode: str
    reasons: tuple[str, ...]
    blocked: tuple[str, ...]
    preset: str = "hybrid"
    limit: float | None = None
    backoff: int = 1


def decide(signals: Signals, past: Sequence[PastRun], settings: PolicySettings) -> Decision:
    """Decide whether to retrain, and say why or why not.

    `past` holds the earlier runs that had new rows, oldest first. Reasons must number at least
    `reasons_needed` and have been there in `in_a_row` runs running; every obstacle alone is enough to wait.

    >>> quiet = Signals("no_drift", "minor", (), "no_drift", "fine", "", 3.0, 500, 500, 9000)
    >>> decide(quiet, (), PolicySettings()).retrain
    False
    """
    factor = back_off(past, settings)
    limit = excess_limit(signals.excess, factor, settings) if signals.excess else None
    if signals.new_rows == 0 or not signals.news:
        nothing = ("No rows or labels have come since the last run: nothing new to do.",)
        return Decision(False, False, False, settings.mode, nothing, (), settings.preset, limit, factor)
    found = find_reasons(signals, settings, factor, runs_without_retraining(past))
    wanted = len(found) >= settings.reasons_needed
    blocked = (*find_obstacles(signals, past, settings), *_muted(found, past, settings)) if wanted else ()
    recommended = wanted and not blocked
    reasons = tuple(reason.text for reason in found)
    if not reasons:
        reasons = (f"No reason to retrain: {explain_calm(signals, settings, limit)}.",)
    elif not wanted:
        reasons = (*reasons, f"{len(reasons)} of {settings.reasons_needed} reasons needed (policy.reasons_needed).")
    retrain = recommended and settings.mode != "advise"
    return Decision(retrain, recommended, wanted, settings.mode, reasons, blocked, settings.preset, limit, factor)


def _muted(found: Sequence[Reason], past: Sequence[PastRun], settings: PolicySettings) -> tuple[str, ...]:
    """Why safety triggers alone are not enough now: retrainings before have not helped against them."""
    runs = mute(past, settings) if settings.preset == "cost" else 0
    if not runs or not all(reason.safety for reason in found):
        return ()
    again = f"such a reason counts again in {runs} runs (policy.max_backoff)"
    return (f"The last retraining brought no gain, or none that could be shown; {again}.",)
