"""The reasons to retrain, one row each in a table: what it is called, how it is found, and which presets act on it."""

from collections.abc import Callable
from dataclasses import dataclass

from evergreen.drift.excess import Excess
from evergreen.policy.signals import Signals
from evergreen.settings import PolicySettings
from evergreen.verdicts import calls_for_retraining

SEVERITIES = ("minor", "moderate", "major")
SURE = 1.5  # standard errors that the excess must reach, whatever it costs: less is noise
KEEP_UNDECIDED = ("hybrid", "cost", "performance")  # presets that watch, in shadow, what could not be decided
# By cost age is an insurance against what the labels don't show, and a cheap one only when it is rare.
INSURED_RUNS = 30
LATE_RUNS = 10  # labels that are later than this many runs can't warn in time
ON_ESTIMATES = ("hybrid", "cost")  # presets that act on what the model is estimated to be worth


@dataclass(frozen=True)
class Reason:
    """A reason in words; `safety` marks those that stay silent for a while after a retraining in vain."""

    text: str
    safety: bool = False


def find_reasons(
    signals: Signals, settings: PolicySettings, backoff: int = 1, quiet_runs: int = 0
) -> tuple[Reason, ...]:
    """The sound reasons to retrain under the preset; empty when there is none.

    `quiet_runs` have passed since the last retraining, or since the beginning.
    """
    own = _excess_reasons(signals, settings, backoff) if settings.preset == "cost" else []
    own += _shadow_reasons(signals, settings) if settings.preset in KEEP_UNDECIDED else []
    return (
        *(Reason(text) for text in own),
        *(
            Reason(text, safety=settings.preset == "cost")
            for find, presets in TRIGGERS
            if settings.preset in presets
            for text in find(signals, settings)
        ),
        *(Reason(text, safety=True) for text in _insurance_reasons(signals, settings, quiet_runs)),
    )


def excess_limit(excess: Excess, backoff: int, settings: PolicySettings) -> float:
    """What the excess must reach: the price of a retraining, raised by the back-off, and enough to be no noise.

    >>> excess_limit(Excess(30.0, 20.0, 0, 900, 0.15), 1, PolicySettings(retrain_cost=20))
    30.0
    """
    return max(settings.retrain_cost * backoff, SURE * excess.standard_error)


def _excess_reasons(signals: Signals, settings: PolicySettings, backoff: int) -> list[str]:
    excess = signals.excess
    if not excess or excess.total < excess_limit(excess, backoff, settings):
        return []
    after = f", times {backoff} after retrainings that brought no gain" if backoff > 1 else ""
    return [
        f"Errors beyond those of a fresh model have cost {excess.total:.3g} on {excess.rows:,} rows; "
        f"a retraining costs {settings.retrain_cost:g} (policy.retrain_cost){after}."
    ]


def _shadow_reasons(signals: Signals, settings: PolicySettings) -> list[str]:
    shadow = signals.shadow
    if not shadow or shadow.advantage < settings.retrain_cost:
        return []
    return [
        f"The challenger in shadow would have saved {shadow.advantage:.3g} on {shadow.rows:,} rows; "
        f"a retraining costs {settings.retrain_cost:g} (policy.retrain_cost)."
    ]


def _drift_reasons(signals: Signals, settings: PolicySettings) -> list[str]:
    reasons = []
    grave = SEVERITIES.index(signals.severity) >= SEVERITIES.index(settings.drift_severity)
    if signals.drift == "drift" and grave and signals.drifted_columns:
        reasons.append(_drift_words(signals))
    if signals.predictions == "drift":
        reasons.append(PREDICTION_DRIFT)
    if signals.relations == "drift":
        reasons.append("Relation drift: columns go together in another way than on the rows it learned from.")
    return reasons


PREDICTION_DRIFT = "Prediction drift: the model answers differently than on the rows it was admitted on."


def _drift_words(signals: Signals) -> str:
    names = ", ".join(signals.drifted_columns[:5])
    more = f" and {len(signals.drifted_columns) - 5} more" if len(signals.drifted_columns) > 5 else ""
    return f"Data drift ({signals.severity}) in {names}{more}."


def _unlabelled_drift_reasons(signals: Signals, settings: PolicySettings) -> list[str]:
    """Drift stands in for labels that are not coming, or too late: in the answers, or in what the model leans on."""
    lag = signals.label_lag_runs
    if lag is not None and lag <= LATE_RUNS:
        return []
    why = "no labels are coming" if lag is None else f"labels are {lag} runs late"
    found = [PREDICTION_DRIFT] if signals.predictions == "drift" else []
    if signals.drift == "drift" and signals.severity == "major":
        found.append(_drift_words(signals))
    return [f"{text[:-1]}, and {why}." for text in found]


def _performance_reasons(signals: Signals, settings: PolicySettings) -> list[str]:
    return [signals.performance_reason] if calls_for_retraining(signals.performance) else []


def _severe_reasons(signals: Signals, settings: PolicySettings) -> list[str]:
    return [signals.performance_reason] if signals.performance == "severe" else []


def _estimate_reasons(signals: Signals, settings: PolicySettings) -> list[str]:
    return [signals.estimate_reason] if signals.estimate == "estimated_drop" else []


def _age_reasons(signals: Signals, settings: PolicySettings) -> list[str]:
    if signals.age_days <= settings.max_age_days:
        return []
    return [f"The model is {signals.age_days:.0f} days old; the limit is {settings.max_age_days:g}."]


def _insurance_reasons(signals: Signals, settings: PolicySettings, quiet_runs: int) -> list[str]:
    if settings.preset != "cost" or quiet_runs < INSURED_RUNS:
        return []
    return [f"{text} {quiet_runs} runs have passed without a retraining." for text in _age_reasons(signals, settings)]


def _volume_reasons(signals: Signals, settings: PolicySettings) -> list[str]:
    if not settings.volume or signals.new_rows < settings.volume:
        return []
    return [f"{signals.new_rows:,} new rows have come in; {settings.volume:,} are enough (policy.volume)."]


def _bare_reasons(signals: Signals, settings: PolicySettings) -> list[str]:
    return list(signals.bare)


Find = Callable[[Signals, PolicySettings], list[str]]
TRIGGERS: tuple[tuple[Find, tuple[str, ...]], ...] = (
    (_bare_reasons, ("naive",)),
    (_drift_reasons, ("hybrid", "drift")),
    (_performance_reasons, ("hybrid", "performance")),
    (_severe_reasons, ("cost",)),
    (_estimate_reasons, ON_ESTIMATES),
    (_unlabelled_drift_reasons, ("cost",)),
    (_age_reasons, ("hybrid", "schedule", "naive")),
    (_volume_reasons, ("hybrid", "volume")),
)


def explain_calm(signals: Signals, settings: PolicySettings, limit: float | None) -> str:
    """What was seen and is no reason, in words."""
    performance = {
        None: "performance can't be judged yet",
        "fine": "performance is within its limit",
        "leak": "no loss beyond the limit has been shown",
        "not_enough_evidence": "no loss of performance has been shown",
        "biased_labels": "the labels that have come so far are not representative",
    }.get(signals.performance, "the preset does not act on the loss")
    if settings.preset == "cost" and signals.excess and limit is not None:
        first = f"errors beyond those of a fresh model have cost {signals.excess.total:.3g} of {limit:.3g}"
    else:
        data = {"no_drift": "no material drift", "not_enough_evidence": "not enough rows to call drift"}
        first = data.get(signals.drift, "drift alone is not acted on by this preset or severity")
    leak = "; errors grow slowly, which is worth a look" if signals.leak else ""
    return f"{first}, and {performance}{leak}"
