"""The words for a result: its headlines, its title, its one paragraph. Shared by text, Markdown, page and alerts."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from evergreen.reporting.documents import plain
from evergreen.reporting.figures import (
    capital,
    counted,
    duration,
    interval,
    listed,
    percent,
    score,
    signed,
    signed_percent,
)
from evergreen.verdicts import shows_loss

Document = Mapping[str, Any]

STATUS_WORDS = {
    "drift": "drift",
    "watch": "watch",
    "no_drift": "no drift",
    "not_enough_evidence": "not enough evidence",
    "skipped": "skipped",
    "invalid": "invalid",
}
MARKS = {"drift": "▲", "watch": "◆", "no_drift": "●", "not_enough_evidence": "○", "skipped": "–", "invalid": "✕"}
PERFORMANCE_WORDS = {
    "degraded": "surely worse than its baseline",
    "severe": "severely worse than its baseline",
    "breach": "surely below its floor",
    "fine": "within its limit",
    "not_enough_evidence": "not enough evidence to tell",
    "biased_labels": "not judged: the labels that came are not typical",
}
STATISTIC_WORDS = {
    "ks": "KS",
    "psi": "PSI",
    "js": "JS distance",
    "wasserstein": "Wasserstein",
    "chi2": "chi-square",
    "mean_shift": "mean shift",
    "group": "moved share",
    "missing": "missing rate moved",
}


METRIC_WORDS = {
    **{"roc_auc": "ROC AUC", "pr_auc": "PR AUC", "f1": "F1", "mae": "MAE", "rmse": "RMSE", "r2": "R²"},
    **{"mape": "MAPE", "brier": "Brier score", "pinball": "pinball loss"},
}


RELATIVE = frozenset({"mae", "rmse", "mape", "pinball", "log_loss", "cost"})  # their changes are shares of the score


def metric(name: str) -> str:
    """A metric's name as people write it.

    >>> metric("roc_auc"), metric("balanced_accuracy")
    ('ROC AUC', 'balanced accuracy')
    """
    return METRIC_WORDS.get(name, name.replace("_", " "))


def gain_style(metric_name: str) -> Callable[[float | None], str]:
    """How to write gains in a metric: in percent where they are shares of the champion's score.

    >>> gain_style("mae")(0.543), gain_style("accuracy")(0.043)
    ('+54.3%', '+0.043')
    """
    return signed_percent if metric_name in RELATIVE else signed


def drop(performance: Document) -> str:
    """How far a score is from its baseline, and to which side.

    >>> drop({"metric": "mae", "drop": 1.65, "higher_is_better": False})
    'worse by 165%'
    >>> drop({"metric": "accuracy", "drop": -0.012, "higher_is_better": True})
    'gain 0.012'
    """
    change = performance["drop"]
    worse, better = ("drop", "gain") if performance["higher_is_better"] else ("worse by", "better by")
    if change is None:
        return f"{worse} –"
    size = abs(change)
    shown = percent(size) if performance["metric"] in RELATIVE else score(size)
    return f"{better if change < 0 else worse} {shown}"


def status(column: Document) -> str:
    """A column's status in words."""
    return STATUS_WORDS.get(column["status"], str(column["status"]))


def performance_verdict(performance: Document) -> str:
    """The verdict on performance in words."""
    return PERFORMANCE_WORDS.get(performance["verdict"], str(performance["verdict"]))


def statistic(column: Document) -> str:
    """The effect of a column with the statistic's name and its limit.

    >>> statistic({"statistic": "ks", "effect": 0.312, "threshold": 0.1})
    'KS 0.312 (limit 0.100)'
    """
    if column.get("effect") is None:
        return "–"
    name = column.get("statistic")
    words = STATISTIC_WORDS.get(name, name) if isinstance(name, str) else "effect"
    limit = f" (limit {score(column['threshold'])})" if column.get("threshold") is not None else ""
    return f"{words} {score(column['effect'])}{limit}"


def with_status(columns: Iterable[Document], *statuses: str) -> list[Document]:
    """The columns that have one of these statuses, in their order, which is by impact."""
    return [column for column in columns if column["status"] in statuses]


def data_columns(document: Document) -> list[Document]:
    """The judged columns of a run, or none when it judged none."""
    return list((document.get("drift") or {}).get("columns") or [])


def judged(columns: Iterable[Document]) -> list[Document]:
    """The columns that could be compared at all."""
    return [column for column in columns if column["status"] not in ("skipped", "invalid")]


def performance_of(document: Document) -> Document | None:
    """The performance part of a run, or None."""
    return (document.get("drift") or {}).get("performance")


def has_data_drift(document: Document) -> bool:
    """Whether the run's verdict on the data is drift."""
    return bool((document.get("drift") or {}).get("verdict") == "drift")


def has_prediction_drift(document: Document) -> bool:
    """Whether the model answers differently than on the rows it was admitted on."""
    return bool(((document.get("drift") or {}).get("predictions") or {}).get("verdict") == "drift")


def has_lost(document: Document) -> bool:
    """Whether the run's verdict on the model's performance is a loss."""
    return shows_loss((performance_of(document) or {}).get("verdict")) is True


def is_alarming(document: Document) -> bool:
    """Whether anything in the run is a reason to look: drift of data or predictions, a loss, bad data, a failure."""
    found = has_data_drift(document) or has_prediction_drift(document) or has_lost(document)
    return found or bool(document.get("failure") or blocking_findings(document))


def outcome_of(document: Document) -> str | None:
    """What became of the model trained in this run: "deployed", "staged" (waits for a person), "rejected", or None."""
    trained = document.get("training") or document.get("first_model")
    return trained.get("outcome") if trained else None


def unsaid_reasons(document: Document) -> list[str]:
    """Why the trained model was let in or not, as far as the comparison doesn't say so already."""
    trained = document.get("training") or document.get("first_model") or {}
    said = (document.get("comparison") or {}).get("reasons") or []
    return [reason for reason in trained.get("reasons") or [] if reason not in said]


def is_rejected(document: Document) -> bool:
    """Whether a model was trained and not let in."""
    return outcome_of(document) == "rejected"


def blocking_findings(document: Document) -> list[Document]:
    """The findings in the data that keep anything from being trained."""
    return [finding for finding in (document.get("drift") or {}).get("quality") or [] if finding.get("blocking")]


def headlines(document: Document) -> list[str]:
    """The verdicts in the words that users of the field know, the most urgent first."""
    drift = document.get("drift") or {}
    unsure = drift.get("verdict") == "not_enough_evidence" and not has_no_new_rows(document)
    wanted = (document.get("decision") or {}).get("wanted")
    said = [
        (document.get("failure"), "RUN FAILED!"),
        (blocking_findings(document), "BAD DATA!"),
        (document.get("rolled_back"), "ROLLED BACK TO THE PREVIOUS MODEL"),
        (has_data_drift(document), "DATA DRIFT DETECTED!"),
        (has_prediction_drift(document), "PREDICTION DRIFT DETECTED!"),
        (has_lost(document), "PERFORMANCE DRIFT DETECTED!"),
        (drift.get("retraining_recommended") or wanted, "RETRAINING RECOMMENDED"),
        (document.get("deployed"), "NEW MODEL DEPLOYED" if is_new_live(document) else "FIRST MODEL DEPLOYED"),
        (is_rejected(document), "CHALLENGER REJECTED" if document.get("training") else "FIRST MODEL REJECTED"),
        (outcome_of(document) == "staged", "CHALLENGER WAITS FOR APPROVAL"),
        (drift.get("verdict") == "no_drift" and not is_alarming(document), "NO DRIFT DETECTED"),
        (unsure, "NOT ENOUGH EVIDENCE"),
    ]
    found = [words for is_so, words in said if is_so] or ["NOTHING NEW"]
    return ["DRY RUN, NOTHING WAS CHANGED", *found] if document.get("dry_run") else found


def has_no_new_rows(document: Document) -> bool:
    """Whether the run looked for rows that the live model has not seen, and there were none."""
    return ((document.get("drift") or {}).get("current") or {}).get("rows") == 0


def is_new_live(document: Document) -> bool:
    """Whether a challenger took the place of a champion, which a first model has none of."""
    return (document.get("training") or {}).get("outcome") == "deployed"


def title(document: Document) -> str:
    """The run as the headline of a newspaper would say it; for drift and loss together, what that means."""
    verdict = (document.get("drift") or {}).get("verdict")
    performance = (performance_of(document) or {}).get("verdict")
    if document.get("failure"):
        return "The run failed"
    if document.get("rolled_back"):
        return "Back to the previous model: it does better on later labels"
    if blocking_findings(document):
        return "The data can't be trusted"
    if has_no_new_rows(document) and verdict == "not_enough_evidence":
        verdict = None
    if not verdict and not shows_loss(performance) and (outcome := outcome_of(document)):
        return _trained_title(outcome, "first model" if document.get("first_model") else "new model")
    if verdict == "no_drift" and has_prediction_drift(document) and not shows_loss(performance):
        return "The model answers differently" + _outcome_clause(document)
    return _diagnosis(verdict, performance) + _outcome_clause(document)


def _trained_title(outcome: str, model: str) -> str:
    ends = {"deployed": "is live", "staged": "waits for approval", "rejected": "was rejected"}
    return f"The {model} {ends[outcome]}"


def _diagnosis(verdict: str | None, performance: str | None) -> str:
    if shows_loss(performance):
        inputs = {
            "drift": "The data drifted and the model got worse",
            "no_drift": "The model got worse on unmoved data",
        }
        return inputs.get(str(verdict), "The model got worse")
    if verdict == "drift":
        return "The data drifted, the model holds" if performance == "fine" else "The data drifted"
    return {"no_drift": "No drift", "not_enough_evidence": "Not enough evidence yet"}.get(str(verdict), "Nothing new")


def _outcome_clause(document: Document) -> str:
    if document.get("deployed"):
        better = document.get("comparison") and has_lost(document)
        first = document.get("first_model") and not is_new_live(document)
        return "; a better one is live" if better else "; the first model is live" if first else "; a new model is live"
    ends = {"rejected": "; the challenger was not let in", "staged": "; a challenger waits for approval"}
    return ends.get(outcome_of(document) or "", "")


def finding(found: Document) -> str:
    """A finding's sentence, with the key that changes its limit."""
    text = found.get("text") or f"{found['column']}: {found['finding']}"
    return f"{text} [{found['key']}]" if found.get("key") and found["key"] not in text else text


def decision(decided: Document) -> str:
    """Whether to retrain, in words."""
    return "retrain" if decided["retrain"] else "do not retrain"


def winner(comparison: Document) -> str:
    """Who won, in words."""
    won = {"challenger": "the challenger wins", "champion": "the champion stays", "undecided": "undecided"}
    return won.get(comparison["winner"], str(comparison["winner"]))


def slice_name(piece: Document) -> str:
    """A slice of the rows as `column = value (rows)`."""
    return f"{piece['column']} = {plain(str(piece['value']), 40)} ({counted(piece['rows'], 'row')})"


def deployment(document: Document) -> str:
    """What happened to the live model, in a few words."""
    if document.get("rolled_back"):
        return "rolled back to the previous model"
    said = {"deployed": "the new model is live", "staged": "the new model waits for approval"}
    said["rejected"] = "the new model was rejected"
    return said.get(outcome_of(document) or "", "nothing deployed")


def summary(document: Document) -> str:
    """The run in one short paragraph, for someone who knows nothing of it yet."""
    sentences = [
        _failure_sentence(document),
        _first_sentence(document.get("first_model")),
        _quality_sentence(document),
        _drift_sentence(document),
        _performance_sentence(document),
        _training_sentence(document),
        _decision_sentence(document),
        _outcome_sentence(document),
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
        names = listed([column["name"] for column in drifted])
        return f"{len(drifted):,} of {counted(len(columns), 'column')} drifted {looked}: {names}{weight}."
    if drift["verdict"] == "not_enough_evidence":
        return _stopped(" ".join(drift["reasons"][:1]) or f"There is not enough evidence {looked} to tell.")
    if drift["verdict"] == "drift":
        return _stopped(" ".join(drift["reasons"][:1]) or f"There is drift {looked}.")
    answers = (
        "; but the model answers differently than it did when it was admitted" if has_prediction_drift(document) else ""
    )
    calm = f"None of the {len(columns):,} columns drifted" if len(columns) != 1 else "The only column did not drift"
    return f"{calm} {looked}{answers}."


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
        return f"The earlier model did better on later labels and is live again{live}."
    if outcome_of(document) == "staged":
        return "It waits for approval; the champion stays live."
    if is_rejected(document):
        return _rejection_sentence(document)
    return f"It is live now{live}." if document.get("deployed") else ""


def _rejection_sentence(document: Document) -> str:
    training = document.get("training")
    if not training:
        return "It was not let in; no model is live."
    failed = any(not gate["passed"] for gate in training.get("gates") or [])
    reasons = (document.get("comparison") or {}).get("reasons") or ([] if failed else training.get("reasons")) or []
    why = " ".join(reasons[-1:]).removesuffix("The champion stays.").strip()
    return " ".join([_stopped(capital(why)), "The champion stays live."]) if why else "The champion stays live."


def _stopped(sentence: str) -> str:
    """The sentence with its full stop."""
    return sentence if sentence.endswith((".", "!", "?")) else sentence + "."
