"""Whether to retrain: a pure function of what this run saw, what earlier runs did, and the settings.

Two questions, kept apart. *Is there a reason?* (drift, loss, age, volume, according to the preset.)
*May we?* (data quality, new rows, cool-down, budget, back-off.) The answer carries one sentence per
reason and per obstacle, so that whoever is woken by it knows why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evergreen.settings import PolicySettings
from evergreen.verdicts import shows_loss

SEVERITIES = ("minor", "moderate", "major")


@dataclass(frozen=True)
class Signals:
    """What one run saw of the world and of the live model.

    `severity` grades data drift; `performance` is the verdict on labelled rows, None without labels.
    Ages are in days, rows are counted since the live model's last row. `news` is false when the table
    is as it was at the end of the last run. `blocking` holds one sentence per thing that forbids training.
    """

    drift: str
    severity: str
    drifted_columns: tuple[str, ...]
    predictions: str
    performance: str | None
    performance_reason: str
    age_days: float
    new_rows: int
    new_labelled_rows: int
    trained_rows: int
    news: bool = True
    blocking: tuple[str, ...] = ()


@dataclass(frozen=True)
class PastRun:
    """What the journal remembers of one earlier run.

    A rollback counts as a retraining that was not deployed: what the challenger promised did not hold.
    """

    wanted: bool
    retrained: bool
    deployed: bool


def read_past(runs: Sequence[Mapping[str, Any]]) -> tuple[PastRun, ...]:
    """Earlier runs from their journal entries, oldest first; those that found nothing new don't count.

    A challenger that won and waits for a person counts as deployed: it did bring a gain.
    """
    return tuple(
        PastRun(
            wanted=bool(run.get("wanted")),
            retrained=bool(run.get("retrained") or run.get("rolled_back")),
            deployed=(bool(run.get("deployed")) or run.get("outcome") == "staged") and not run.get("rolled_back"),
        )
        for run in runs
        if run.get("news") or run.get("retrained") or run.get("rolled_back")
    )


@dataclass(frozen=True)
class Decision:
    """The answer: `recommended` when there is reason enough and nothing in the way; `retrain` when the mode lets it."""

    retrain: bool
    recommended: bool
    wanted: bool
    mode: str
    reasons: tuple[str, ...]
    blocked: tuple[str, ...]


def decide(signals: Signals, past: Sequence[PastRun], settings: PolicySettings) -> Decision:
    """Decide whether to retrain, and say why or why not.

    `past` holds the earlier runs that had new rows, oldest first. Reasons must number at least
    `reasons_needed` and have been there in `in_a_row` runs running; every obstacle alone is enough to wait.

    >>> quiet = Signals("no_drift", "minor", (), "no_drift", "fine", "", 3.0, 500, 500, 9000)
    >>> decide(quiet, (), PolicySettings()).retrain
    False
    """
    if signals.new_rows == 0 or not signals.news:
        nothing = ("No rows or labels have come since the last run: nothing new to do.",)
        return Decision(False, False, False, settings.mode, nothing, ())
    reasons = find_reasons(signals, settings)
    wanted = len(reasons) >= settings.reasons_needed
    blocked = find_obstacles(signals, past, settings) if wanted else ()
    recommended = wanted and not blocked
    if not reasons:
        reasons = ("No reason to retrain: " + _calm(signals) + ".",)
    elif not wanted:
        reasons = (*reasons, f"{len(reasons)} of {settings.reasons_needed} reasons needed (policy.reasons_needed).")
    return Decision(recommended and settings.mode != "advise", recommended, wanted, settings.mode, reasons, blocked)


def find_reasons(signals: Signals, settings: PolicySettings) -> tuple[str, ...]:
    """One sentence per sound reason to retrain under the preset; empty when there is none."""
    triggers = {
        "drift": (_drift_reasons, ("hybrid", "drift")),
        "performance": (_performance_reasons, ("hybrid", "performance")),
        "schedule": (_age_reasons, ("hybrid", "schedule")),
        "volume": (_volume_reasons, ("hybrid", "volume")),
    }
    return tuple(
        sentence
        for find, presets in triggers.values()
        if settings.preset in presets
        for sentence in find(signals, settings)
    )


def _drift_reasons(signals: Signals, settings: PolicySettings) -> list[str]:
    reasons = []
    grave = SEVERITIES.index(signals.severity) >= SEVERITIES.index(settings.drift_severity)
    if signals.drift == "drift" and grave and signals.drifted_columns:
        names = ", ".join(signals.drifted_columns[:5])
        more = f" and {len(signals.drifted_columns) - 5} more" if len(signals.drifted_columns) > 5 else ""
        reasons.append(f"Data drift ({signals.severity}) in {names}{more}.")
    if signals.predictions == "drift":
        reasons.append("Prediction drift: the model answers differently than on the rows it was admitted on.")
    return reasons


def _performance_reasons(signals: Signals, settings: PolicySettings) -> list[str]:
    return [signals.performance_reason] if shows_loss(signals.performance) else []


def _age_reasons(signals: Signals, settings: PolicySettings) -> list[str]:
    if signals.age_days <= settings.max_age_days:
        return []
    return [f"The model is {signals.age_days:.0f} days old; the limit is {settings.max_age_days:g}."]


def _volume_reasons(signals: Signals, settings: PolicySettings) -> list[str]:
    if not settings.volume or signals.new_rows < settings.volume:
        return []
    return [f"{signals.new_rows:,} new rows have come in; {settings.volume:,} are enough (policy.volume)."]


def find_obstacles(signals: Signals, past: Sequence[PastRun], settings: PolicySettings) -> tuple[str, ...]:
    """One sentence per thing that forbids an automatic retraining now; empty when it may go ahead."""
    obstacles = list(signals.blocking)
    needed = min(settings.min_new_rows, round(settings.min_new_share * signals.trained_rows))
    if signals.new_labelled_rows < needed:
        obstacles.append(
            f"Only {signals.new_labelled_rows:,} new labelled rows; {needed:,} are needed "
            "(policy.min_new_rows, policy.min_new_share)."
        )
    return (*obstacles, *_patience(past, settings))


def _patience(past: Sequence[PastRun], settings: PolicySettings) -> list[str]:
    """Cool-down with back-off, budget, and reasons several times in a row."""
    obstacles = []
    since = next((age for age, run in enumerate(reversed(past)) if run.retrained), None)
    wait = cool_down(past, settings)
    if since is not None and since < wait:
        rejected = " after challengers that brought no gain" if wait > settings.cool_down else ""
        obstacles.append(f"Cooling down: {since} of {wait} runs have passed since the last retraining{rejected}.")
    spent = sum(run.retrained for run in past[-settings.budget_runs :])
    if spent >= settings.max_retrains:
        obstacles.append(
            f"The budget is used up: {spent} retrainings in the last {settings.budget_runs} runs "
            f"(policy.max_retrains = {settings.max_retrains})."
        )
    before = past[len(past) - settings.in_a_row + 1 :] if settings.in_a_row > 1 else ()
    if settings.in_a_row > 1 and (len(before) < settings.in_a_row - 1 or not all(run.wanted for run in before)):
        obstacles.append(f"The reason has to be there in {settings.in_a_row} runs in a row (policy.in_a_row).")
    return obstacles


def cool_down(past: Sequence[PastRun], settings: PolicySettings) -> int:
    """Runs to let pass after a retraining: `cool_down`, doubled for each challenger in a row that was not deployed.

    Bounded by `max_backoff`, so that a stubborn problem is looked at again some day.
    """
    rejected = 0
    for run in reversed(past):
        if run.deployed:
            break
        rejected += run.retrained
    return min(settings.cool_down * 2**rejected, max(settings.max_backoff, settings.cool_down))


def _calm(signals: Signals) -> str:
    performance = {
        None: "performance can't be judged yet",
        "fine": "performance is within its limit",
        "not_enough_evidence": "no loss of performance has been shown",
        "biased_labels": "the labels that have come so far are not representative",
    }.get(signals.performance, "the preset does not act on it")
    data = {"no_drift": "no material drift", "not_enough_evidence": "not enough rows to call drift"}
    return f"{data.get(signals.drift, 'drift alone is not acted on by this preset or severity')}, and {performance}"
