"""The story of past runs, from the journal: how often drift, how often a retraining paid, at what cost."""

from collections.abc import Mapping, Sequence
from typing import Any

MAX_RUNS = 365  # a year of nightly runs; older ones stay in the journal
KEYS = ("verdict", "retrained", "deployed", "rolled_back", "score", "baseline", "training_seconds", "rows", "failed")


def summarise_run(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the journal remembers of a run: enough for the history, for the policy, and for an engineer who greps.

    `retrained` is true for every attempt to train a challenger, a failed one too (the first model is `first`),
    `undecided` when the rows could not tell whether it is better, `wanted` when the policy found reason enough,
    `watched` when the predecessor was looked at, `gained` whether the live model then did better. `judged_until` is the
    last row whose label counted, `rows_digest` tells the holdout of a comparison. `estimate` is what was estimated
    without labels, `scored` the earlier estimates that could be held against theirs.
    """
    drift, decision = document.get("drift") or {}, document.get("decision") or {}
    performance = drift.get("performance") or {}
    training = document.get("training") or document.get("first_model") or {}
    fit_failed = (document.get("failure") or {}).get("kind") == "TrainingError"
    return {
        "run": document["run"],
        "verdict": drift.get("verdict"),
        "severity": drift.get("severity"),
        "drifted": [column["name"] for column in drift.get("columns", ()) if column["status"] == "drift"],
        "performance": performance.get("verdict"),
        "score": performance.get("current"),
        "baseline": performance.get("baseline"),
        "rows": (drift.get("current") or {}).get("rows"),
        "wanted": bool(decision.get("wanted")),
        "reasons": decision.get("reasons", []),
        "blocked": decision.get("blocked", []),
        "first": bool(document.get("first_model")),
        "retrained": bool(document.get("training")) or fit_failed,
        "outcome": "failed" if fit_failed else training.get("outcome"),
        "undecided": not document.get("deployed") and (document.get("comparison") or {}).get("winner") == "undecided",
        "training_seconds": training.get("seconds"),
        "deployed": bool(document.get("deployed")),
        "watched": document.get("watch") is not None,
        "gained": document.get("gained"),
        "rolled_back": bool(document.get("rolled_back")),
        "preset": decision.get("preset"),
        "excess": (document.get("excess") or {}).get("total"),
        "shadow_trained": bool(document.get("shadow_trained")),
        "rows_digest": (document.get("comparison") or {}).get("rows_digest"),
        "judged_until": document.get("judged_until"),
        "estimate": _remember_estimate(drift.get("estimate")),
        "scored": drift.get("scored") or [],
        "news": bool(document.get("news")),
        "table": document.get("table"),
        "settings_digest": document.get("settings_digest"),
        "failed": bool(document.get("failure")),
        "failure": document.get("failure"),
        "seconds": document.get("seconds"),
    }


def mark_since(drift: Mapping[str, Any] | None, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The drift document with, in each drifted column, `since`: the time of the first run that found it drifted.

    `entries` are the earlier runs of the journal, oldest first. A run that found it calm, or after which another
    model was live, ends the stretch; runs that judged nothing are passed over. None in a column that drifts anew.
    """
    if drift is None:
        return None
    first: dict[str, Any] = {}
    going = {column["name"] for column in drift["columns"] if column["status"] == "drift"}
    for entry in reversed(entries):
        if entry.get("deployed") or entry.get("rolled_back") or not going:
            break
        if entry.get("verdict") in ("drift", "no_drift"):
            going &= set(entry.get("drifted") or ())
            first |= dict.fromkeys(going, entry.get("time"))
    columns = [{**column, "since": first.get(column["name"])} for column in drift["columns"]]
    return {**drift, "columns": columns}


def _remember_estimate(estimate: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What it takes to hold an estimate against its labels one day; None where there was none."""
    if not estimate or estimate.get("value") is None or estimate.get("carried") is None:
        return None
    names = ("metric", "value", "band", "baseline", "carried", "rows", "from", "to", "model", "content", "verdict")
    return {name: estimate.get(name) for name in names}


def build_history(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The `history` part of a run document from the journal's run entries, oldest first.

    - `drift_frequency`: share of the runs with a yes-or-no verdict that said drift.
    - `retraining_success_rate`: share of the retrainings whose model went live, without those that wait for a person.
    - `mean_training_seconds`: mean time of a training.

    Each is null while there is nothing to divide by. All are over the runs shown, at most a year of nights.

    >>> build_history([{"run": "a", "verdict": "drift"}, {"run": "b", "verdict": "no_drift"}])["drift_frequency"]
    0.5
    """
    runs = [
        {"run": entry.get("run"), "time": entry.get("time")} | {key: entry.get(key) for key in KEYS}
        for entry in entries[-MAX_RUNS:]
    ]
    judged = [run for run in runs if run["verdict"] in ("drift", "no_drift")]
    decided = [entry for entry in entries[-MAX_RUNS:] if entry.get("retrained") and entry.get("outcome") != "staged"]
    return {
        "runs": runs,
        "drift_frequency": _mean([run["verdict"] == "drift" for run in judged]),
        "retraining_success_rate": _mean([bool(entry.get("deployed")) for entry in decided]),
        "mean_training_seconds": _mean([s for run in runs if (s := run["training_seconds"]) is not None]),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
