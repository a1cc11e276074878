"""The one paragraph of a run: what an engineer who is woken at night has to know, and what to do next."""

from evergreen.reporting.figures import capital, counted, day, duration, interval, listed, percent, score
from evergreen.reporting.words import (
    Document,
    blocking_findings,
    gain_style,
    has_lost,
    has_no_new_rows,
    has_prediction_drift,
    has_target_drift,
    is_rejected,
    judged,
    metric,
    outcome_of,
    performance_of,
    performance_verdict,
    told,
    with_status,
    would_change,
)


def summarise(shown: Document) -> str:
    """The run in one short paragraph, for someone who knows nothing of it yet: what was found and done, what to do.

    `shown` is a document made `showable`.
    """
    sentences = [
        _failure_sentence(shown),
        _first_sentence(shown.get("first_model")),
        _quality_sentence(shown),
        _drift_sentence(shown),
        _relation_sentence(shown),
        _performance_sentence(shown),
        _estimate_sentence(shown),
        _training_sentence(shown),
        _decision_sentence(shown),
        _outcome_sentence(shown),
        _next_sentence(shown),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _failure_sentence(document: Document) -> str:
    failure = document.get("failure")
    return f"The run failed: {_stopped(failure['message'])}" if failure else ""


def _drift_sentence(document: Document) -> str:
    drift = document.get("drift")
    if not drift:
        return "" if document.get("failure") or document.get("first_model") else "There were no new rows to look at."
    columns, rows = judged(drift["columns"]), drift["current"]["rows"]
    if rows == 0:
        return "No new rows since the live model's last."
    drifted = with_status(columns, "drift")
    looked = f"in {counted(rows, 'new row')}" if rows is not None else ""
    if drifted:
        carried = sum(column.get("importance") or 0.0 for column in drifted)
        weight = f", which carry {percent(carried)} of what the model relies on" if carried else ""
        names = listed([f"{column['name']}{_since(column)}" for column in drifted])
        return f"{len(drifted):,} of {counted(len(columns), 'column')} drifted {looked}: {names}{weight}."
    if drift["verdict"] == "not_enough_evidence":
        return _stopped(" ".join(drift["reasons"][:1]) or f"There is not enough evidence {looked} to tell.")
    others = {
        "the model answers differently than it did when it was admitted": has_prediction_drift(document),
        "the target did": has_target_drift(document),
        "columns go together in another way": (drift.get("joint") or {}).get("verdict") == "drift",
    }
    moved = [words for words, is_so in others.items() if is_so]
    calm = f"None of the {len(columns):,} columns drifted" if len(columns) != 1 else "The only column did not drift"
    return f"{calm} {looked}{'; but ' if moved else ''}{' and '.join(moved)}."


def _since(column: Document) -> str:
    return f" (since {day(column['since'])})" if column.get("since") else ""


def _relation_sentence(document: Document) -> str:
    """The strongest change between two columns, and what a classifier told apart."""
    joint = (document.get("drift") or {}).get("joint") or {}
    deep = joint.get("deep") or {}
    said = (joint.get("reasons") or [])[:1] if joint.get("verdict") == "drift" else []
    said += (deep.get("reasons") or [])[:1] if deep.get("verdict") == "drift" else []
    return " ".join(_stopped(sentence) for sentence in dict.fromkeys(said))


def _estimate_sentence(document: Document) -> str:
    """What the rows without labels are estimated to be worth, where that estimate can be relied on."""
    estimate = (document.get("drift") or {}).get("estimate") or {}
    if estimate.get("verdict") not in ("estimated_drop", "no_drop"):
        return ""
    said = f"On {counted(estimate['rows'], 'row')} without labels {metric(estimate['metric'])} is estimated at "
    return f"{said}{score(estimate['value'])} ({interval(estimate['band'])})."


def _performance_sentence(document: Document) -> str:
    performance = performance_of(document)
    if not performance or (has_no_new_rows(document) and not performance["labelled_rows"]):
        return ""
    if performance["current"] is None or performance["verdict"] in ("not_enough_evidence", "biased_labels"):
        why = " ".join(performance["reasons"][:1]) or performance_verdict(performance)
        return _stopped(f"Performance: {why[:1].lower()}{why[1:]}")
    return (
        f"On {counted(performance['labelled_rows'] or 0, 'labelled row')} {metric(performance['metric'])} is "
        f"{score(performance['current'])} ({interval(performance['interval'])}), "
        f"against a baseline of {score(performance['baseline'])}: "
        f"{performance_verdict(performance)}."
    )


def _quality_sentence(document: Document) -> str:
    blocking = blocking_findings(document)
    if not blocking:
        return ""
    more = f" (and {len(blocking) - 1} more)" if len(blocking) > 1 else ""
    return f"The data can't be trusted, so nothing is trained: {_stopped(blocking[0]['text'])}{more}"


def _first_sentence(first: Document | None) -> str:
    if not first:
        return ""
    trained = f"The first model was trained on {counted(first['rows'], 'row')}"
    name, found = next(iter((first.get("baseline") or {}).items()), ("", None))
    if not found:
        return f"{trained}."
    ends = interval([found.get("low"), found.get("high")])
    kept = f"{counted(found['rows'], 'newest row')} kept aside"
    return f"{trained}: {metric(name)} {score(found['value'])} ({ends}) on {kept}."


def _training_sentence(document: Document) -> str:
    training, comparison = document.get("training"), document.get("comparison")
    if not training:
        return ""
    trained = f"A challenger was trained on {counted(training['rows'], 'row')} in {duration(training['seconds'])}"
    failed = [gate for gate in training.get("gates") or [] if not gate["passed"]]
    if failed:
        return _stopped(f"{trained} and failed at the gate {failed[0]['name']}: {failed[0]['reason']}")
    if not comparison or comparison["gain"] is None:
        return f"{trained}."
    show = gain_style(comparison["metric"])
    return (
        f"{trained}; on the same {counted(comparison['rows'], 'row')} its {metric(comparison['metric'])} is "
        f"{score(comparison['challenger'])} against {score(comparison['champion'])} "
        f"(gain {show(comparison['gain'])}, {interval(comparison['interval'], show)})."
    )


def _decision_sentence(document: Document) -> str:
    decision = document.get("decision")
    if not decision or document.get("training") or decision.get("retrain") or blocking_findings(document):
        return ""
    if decision.get("wanted") and decision.get("blocked"):
        held = " ".join(decision["blocked"])
        return _stopped(f"Retraining is wanted but held back: {held[:1].lower()}{held[1:]}")
    if decision.get("recommended"):
        return f"Retraining is recommended only: mode {decision.get('mode')} trains nothing by itself."
    return "" if has_no_new_rows(document) else _unwanted_sentence(document)


def _unwanted_sentence(document: Document) -> str:
    if document.get("news") is False:
        return "No rows or labels have come since the last run."
    if (document.get("drift") or {}).get("retraining_recommended"):
        return "The policy does not ask for retraining yet."
    return "No retraining is needed."


def _outcome_sentence(document: Document) -> str:
    version = (document.get("model") or {}).get("version")
    live = f", as version {version}" if version is not None else ""
    if document.get("rolled_back"):
        return f"The earlier model did better on later labels and {told(document, 'is', 'would be')} live again{live}."
    if outcome_of(document) == "staged":
        return f"It {told(document, 'waits', 'would wait')} for approval; the champion stays live."
    if is_rejected(document):
        return _rejection_sentence(document)
    return f"It {told(document, 'is', 'would be')} live now{live}." if document.get("deployed") else ""


def _rejection_sentence(document: Document) -> str:
    training = document.get("training")
    if not training:
        return f"It {told(document, 'was not', 'would not be')} let in; no model is live."
    failed = any(not gate["passed"] for gate in training.get("gates") or [])
    reasons = (document.get("comparison") or {}).get("reasons") or ([] if failed else training.get("reasons")) or []
    why = " ".join(reasons[-1:]).removesuffix("The champion stays.").strip()
    return " ".join([_stopped(capital(why)), "The champion stays live."]) if why else "The champion stays live."


def _next_sentence(document: Document) -> str:
    """What is left to do, with the command for it."""
    if "run" not in document:
        return ""
    decided, outcome = document.get("decision") or {}, outcome_of(document)
    version = (document.get("model") or {}).get("version")
    live = f"version {version} goes on answering" if version is not None else "no model is live"
    if would_change(document):
        live = "nothing was changed"
    rehearsed = would_change(document) or (document.get("dry_run") and outcome == "staged")
    cases = [
        (document.get("failure"), f"Nothing was changed, {live}: mend the cause and run again."),
        (blocking_findings(document), f"Mend the data, or set the limit that is named; {live}."),
        (rehearsed, "Nothing was changed; without --dry-run it is done."),
        (document.get("rolled_back"), "Nothing has to be done now; the next run looks at it with fresh eyes."),
        (outcome == "staged", "To let it in: python src/rollout.py promote."),
        (outcome == "deployed" and document.get("training"), "To take it back: python src/rollout.py rollback."),
        (decided.get("recommended") and not decided.get("retrain"), "To retrain: python src/continuous_training.py."),
        (decided.get("blocked"), "The next run asks again; python src/continuous_training.py would not wait."),
        (has_lost(document) and not document.get("training"), "The loss stays until a retraining is possible."),
    ]
    return next((sentence for holds, sentence in cases if holds), "Nothing has to be done.")


def _stopped(sentence: str) -> str:
    """The sentence with its full stop."""
    return sentence if sentence.endswith((".", "!", "?")) else sentence + "."
