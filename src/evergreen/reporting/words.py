"""The words for a result: its headlines, its title, its verdicts. Shared by text, Markdown, page and alerts."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from evergreen.reporting.documents import plain
from evergreen.reporting.figures import (
    METRIC_WORDS,
    counted,
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
    "leak": "losing slowly, not surely beyond its limit yet",
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
    """Whether features drifted, or the way they go together."""
    drift = document.get("drift") or {}
    joint = (drift.get("joint") or {}).get("verdict") == "drift"
    return joint or any(column["status"] == "drift" for column in drift.get("columns") or [])


def has_prediction_drift(document: Document) -> bool:
    """Whether the model answers differently than on the rows it was admitted on."""
    return bool(((document.get("drift") or {}).get("predictions") or {}).get("verdict") == "drift")


def has_target_drift(document: Document) -> bool:
    """Whether what happens is not what happened before, whatever the model says of it."""
    return bool(((document.get("drift") or {}).get("target") or {}).get("verdict") == "drift")


def has_lost(document: Document) -> bool:
    """Whether the run's verdict on the model's performance is a loss."""
    return shows_loss((performance_of(document) or {}).get("verdict")) is True


def is_alarming(document: Document) -> bool:
    """Whether anything in the run is a reason to look: drift of any kind, a loss, bad data, a failure."""
    moved = has_data_drift(document) or has_prediction_drift(document) or has_target_drift(document)
    return moved or has_lost(document) or bool(document.get("failure") or blocking_findings(document))


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
        (has_target_drift(document), "TARGET DRIFT DETECTED!"),
        (has_lost(document), "PERFORMANCE DRIFT DETECTED!"),
        (drift.get("retraining_recommended") or wanted, "RETRAINING RECOMMENDED"),
        (document.get("deployed"), "NEW MODEL DEPLOYED" if is_new_live(document) else "FIRST MODEL DEPLOYED"),
        (is_rejected(document), "CHALLENGER REJECTED" if document.get("training") else "FIRST MODEL REJECTED"),
        (outcome_of(document) == "staged", "CHALLENGER WAITS FOR APPROVAL"),
        (drift.get("verdict") == "no_drift" and not is_alarming(document), "NO DRIFT DETECTED"),
        (unsure, "NOT ENOUGH EVIDENCE"),
    ]
    found = [words for is_so, words in said if is_so] or ["NOTHING NEW"]
    if not document.get("dry_run"):
        return found
    return ["DRY RUN, NOTHING WAS CHANGED", *(REHEARSED.get(words, words) for words in found)]


# What a dry run says of a model, where another run says that it was done.
REHEARSED = {
    "ROLLED BACK TO THE PREVIOUS MODEL": "WOULD ROLL BACK TO THE PREVIOUS MODEL",
    "NEW MODEL DEPLOYED": "NEW MODEL WOULD BE DEPLOYED",
    "FIRST MODEL DEPLOYED": "FIRST MODEL WOULD BE DEPLOYED",
    "CHALLENGER REJECTED": "CHALLENGER WOULD BE REJECTED",
    "FIRST MODEL REJECTED": "FIRST MODEL WOULD BE REJECTED",
    "CHALLENGER WAITS FOR APPROVAL": "CHALLENGER WOULD WAIT FOR APPROVAL",
}


def told(document: Document, done: str, rehearsed: str) -> str:
    """What was done, or, in a dry run, what would have been."""
    return rehearsed if document.get("dry_run") else done


def would_change(document: Document) -> bool:
    """Whether another model would be live now, had this not been a dry run; the document tells of that one."""
    return bool(document.get("dry_run") and (document.get("deployed") or document.get("rolled_back")))


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
        back = told(document, "Back to the previous model", "The previous model would be back")
        return f"{back}: it does better on later labels"
    if blocking_findings(document):
        return "The data can't be trusted"
    if has_no_new_rows(document) and verdict == "not_enough_evidence":
        verdict = None
    if not verdict and not shows_loss(performance) and (outcome := outcome_of(document)):
        return _trained_title(document, outcome)
    answers, outcomes = has_prediction_drift(document), has_target_drift(document)
    if (answers or outcomes) and not has_data_drift(document):
        if not shows_loss(performance):
            return ("The model answers differently" if answers else "The target drifted") + _outcome_clause(document)
        verdict = "no_drift"
    return _diagnosis(verdict, performance) + _outcome_clause(document)


def _trained_title(document: Document, outcome: str) -> str:
    model = "first model" if document.get("first_model") else "new model"
    return f"The {model} {_became(document)[outcome]}"


def _became(document: Document) -> Mapping[str, str]:
    """What became of a model that was trained, by its outcome."""
    return {
        "deployed": told(document, "is live", "would be live"),
        "staged": told(document, "waits for approval", "would wait for approval"),
        "rejected": told(document, "was rejected", "would be rejected"),
    }


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
        model = "a better one" if better else "the first model" if first else "a new model"
        return f"; {model} {_became(document)['deployed']}"
    ends = {
        "rejected": f"; the challenger {told(document, 'was not', 'would not be')} let in",
        "staged": f"; a challenger {_became(document)['staged']}",
    }
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
        return told(document, "rolled back to the previous model", "would roll back to the previous model")
    if outcome := outcome_of(document):
        return f"the new model {_became(document)[outcome]}"
    return told(document, "nothing deployed", "nothing would be deployed")
