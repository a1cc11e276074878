"""The words for a result: its headlines, its one paragraph, its numbers. Shared by text, Markdown, page and alerts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

Document = Mapping[str, Any]

LOST = ("degraded", "severe", "breach")
STATUS_WORDS = {
    "drift": "drift",
    "watch": "watch",
    "no_drift": "no drift",
    "not_enough_evidence": "not enough evidence",
    "skipped": "skipped",
    "invalid": "invalid",
}
PERFORMANCE_WORDS = {
    "degraded": "surely worse than its baseline",
    "severe": "severely worse than its baseline",
    "breach": "surely below its floor",
    "fine": "as good as its baseline",
    "not_enough_evidence": "not enough labels to tell",
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


def metric(name: str) -> str:
    """A metric's name as people write it.

    >>> metric("roc_auc"), metric("balanced_accuracy")
    ('ROC AUC', 'balanced accuracy')
    """
    return METRIC_WORDS.get(name, name.replace("_", " "))


def capital(text: str) -> str:
    """The text with a capital first letter, the rest left alone.

    >>> capital("pinball loss"), capital("F1")
    ('Pinball loss', 'F1')
    """
    return text[:1].upper() + text[1:]


def number(value: float | None, digits: int = 3) -> str:
    """A number to three digits, with thousands separated; a dash when there is none.

    >>> number(0.78123), number(20000), number(1234567.8), number(None)
    ('0.781', '20,000', '1,234,568', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, int) or (value == round(value) and abs(value) < 1e15):
        return f"{value:,.0f}"
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.2e}"
    if abs(value) < 0.0005:
        return f"{value:.1e}"
    return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:.{digits}g}"


def score(value: float | None) -> str:
    """A score or an effect: always three decimals below ten, so that numbers line up.

    >>> score(0.8), score(12.345)
    ('0.800', '12.3')
    """
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else number(float(value))


def signed(value: float | None) -> str:
    """A difference with its sign (a true minus).

    >>> signed(0.0432), signed(-0.01)
    ('+0.043', '−0.010')
    """
    if value is None:
        return "–"
    return ("−" if value < 0 else "+") + score(abs(value))


def percent(value: float | None) -> str:
    """A share in percent.

    >>> percent(0.412), percent(0.0042), percent(0.00001), percent(None)
    ('41%', '0.4%', '< 0.1%', '–')
    """
    if value is None:
        return "–"
    if 0 < value < 0.001:
        return "< 0.1%"
    return f"{100 * value:.1f}%" if 0 < value < 0.1 else f"{100 * value:.0f}%"


def p_value(value: float | None) -> str:
    """A p-value; the very small ones only as a bound.

    >>> p_value(0.0312), p_value(1e-9)
    ('0.031', '< 0.0001')
    """
    if value is None:
        return "–"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}" if value < 0.01 else f"{value:.3f}"


def interval(pair: Sequence[float | None] | None, show: Any = score) -> str:
    """Both ends of an interval.

    >>> interval([0.769, 0.793])
    '0.769 to 0.793'
    """
    if not pair or pair[0] is None or pair[1] is None:
        return "–"
    return f"{show(pair[0])} to {show(pair[1])}"


def duration(seconds: float | None) -> str:
    """A length of time for people.

    >>> duration(3.14), duration(135), duration(7300)
    ('3.1 s', '2 min 15 s', '2 h 1 min')
    """
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def moment(value: str | int | None) -> str:
    """A time for people; a row number, or a text that is no time, as it is.

    >>> moment("2026-11-21T20:09:39+00:00"), moment("2026-11-21"), moment(4000)
    ('21 Nov 2026, 20:09', '21 Nov 2026', 'row 4,000')
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, int | float):
        return f"row {value:,.0f}"
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return value
    day = f"{time.day} {time:%b %Y}"
    return day if len(value) <= 10 or f"{time:%H%M%S}" == "000000" else f"{day}, {time:%H:%M}"


def day(value: str | int | None) -> str:
    """Only the day of a time.

    >>> day("2026-11-21T20:09:39Z")
    '21 Nov 2026'
    """
    return moment(value).partition(",")[0]


def axis(value: float) -> str:
    """An end of an axis: four digits are enough to know where one is.

    >>> axis(0.0), axis(-18.25), axis(1234567.0)
    ('0', '−18.25', '1,234,567')
    """
    return (f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}").replace("-", "−")


def stretch(start: Any, stop: Any) -> str:
    """From when to when; empty when neither is known."""
    if start is None and stop is None:
        return ""
    return moment(start) if start == stop else f"{moment(start)} to {moment(stop)}"


def counted(n: int, noun: str) -> str:
    """A count with its noun in the right number.

    >>> counted(1, "column"), counted(1200, "row")
    ('1 column', '1,200 rows')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names in a sentence, the rest as a count.

    >>> listed(["a", "b", "c", "d", "e"]), listed(["a", "b"])
    ('a, b, c and 2 more', 'a and b')
    """
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def short(digest: str | None) -> str:
    """The first twelve digits of a digest: enough to find it."""
    return digest[:12] if digest else "–"


def status(column: Document) -> str:
    """A column's status in words."""
    return STATUS_WORDS.get(column["status"], str(column["status"]))


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
    performance = performance_of(document)
    return performance is not None and performance["verdict"] in LOST


def is_alarming(document: Document) -> bool:
    """Whether anything in the run is a reason to look: drift of data or predictions, a loss, a failure."""
    found = has_data_drift(document) or has_prediction_drift(document) or has_lost(document)
    return found or bool(document.get("failure"))


def is_rejected(document: Document) -> bool:
    """Whether a challenger was trained and refused (by a gate or by the comparison); waiting for approval is not."""
    training, comparison = document.get("training"), document.get("comparison")
    if not training or document.get("deployed"):
        return False
    failed = any(not gate["passed"] for gate in training.get("gates") or [])
    lost = comparison is not None and comparison["winner"] != "challenger" and not comparison.get("forced")
    return failed or lost


def headlines(document: Document) -> list[str]:
    """The verdicts in the words that users of the field know, the most urgent first."""
    drift = document.get("drift") or {}
    said = [
        (document.get("failure"), "RUN FAILED!"),
        (document.get("rolled_back"), "ROLLED BACK TO THE PREVIOUS MODEL"),
        (has_data_drift(document), "DATA DRIFT DETECTED!"),
        (has_prediction_drift(document), "PREDICTION DRIFT DETECTED!"),
        (has_lost(document), "PERFORMANCE DRIFT DETECTED!"),
        (drift.get("retraining_recommended"), "RETRAINING RECOMMENDED"),
        (document.get("deployed"), "NEW MODEL DEPLOYED"),
        (is_rejected(document), "CHALLENGER REJECTED"),
        (drift.get("verdict") == "no_drift" and not is_alarming(document), "NO DRIFT DETECTED"),
        (drift.get("verdict") == "not_enough_evidence", "NOT ENOUGH EVIDENCE"),
        (not drift and document.get("first_model"), "FIRST MODEL TRAINED"),
    ]
    return [words for is_so, words in said if is_so] or ["NOTHING NEW"]


def title(document: Document) -> str:
    """The run as the headline of a newspaper would say it; for drift and loss together, what that means."""
    verdict = (document.get("drift") or {}).get("verdict")
    performance = (performance_of(document) or {}).get("verdict")
    if document.get("failure"):
        return "The run failed"
    if document.get("rolled_back"):
        return "Back to the previous model: it does better on later labels"
    if document.get("deployed") and not verdict:
        return "The first model is live" if document.get("first_model") else "A new model is live"
    if verdict == "no_drift" and has_prediction_drift(document) and performance not in LOST:
        return "The model answers differently" + _outcome_clause(document)
    return _diagnosis(verdict, performance) + _outcome_clause(document)


def _diagnosis(verdict: str | None, performance: str | None) -> str:
    if performance in LOST:
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
        return (
            "; a better one is live" if document.get("comparison") and has_lost(document) else "; a new model is live"
        )
    return "; the challenger was not better" if is_rejected(document) else ""


def summary(document: Document) -> str:
    """The run in one short paragraph, for someone who knows nothing of it yet."""
    sentences = [
        _failure_sentence(document),
        _drift_sentence(document),
        _performance_sentence(performance_of(document)),
        _quality_sentence(document.get("drift")),
        _first_sentence(document.get("first_model")),
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
    columns, rows = drift["columns"], drift["current"]["rows"]
    drifted = with_status(columns, "drift")
    looked = f"in {counted(rows, 'new row')}" if rows is not None else ""
    if drifted:
        carried = sum(column.get("importance") or 0.0 for column in drifted)
        weight = f", which carry {percent(carried)} of what the model relies on" if carried else ""
        names = listed([column["name"] for column in drifted])
        return f"{len(drifted)} of {counted(len(columns), 'column')} drifted {looked}: {names}{weight}."
    if drift["verdict"] == "not_enough_evidence":
        return _stopped(" ".join(drift["reasons"][:1]) or f"There is not enough evidence {looked} to tell.")
    if drift["verdict"] == "drift":
        return _stopped(" ".join(drift["reasons"][:1]) or f"There is drift {looked}.")
    answers = (
        "; but the model answers differently than it did when it was admitted" if has_prediction_drift(document) else ""
    )
    return f"None of the {counted(len(columns), 'column')} drifted {looked}{answers}."


def _performance_sentence(performance: Document | None) -> str:
    if not performance:
        return ""
    if performance["current"] is None or performance["verdict"] in ("not_enough_evidence", "biased_labels"):
        return _stopped(f"The model's performance: {' '.join(performance['reasons'][:1]) or 'not enough labels'}")
    return (
        f"On {counted(performance['labelled_rows'] or 0, 'labelled row')} {metric(performance['metric'])} is "
        f"{score(performance['current'])} ({interval(performance['interval'])}), "
        f"against a baseline of {score(performance['baseline'])}: "
        f"{PERFORMANCE_WORDS.get(performance['verdict'], performance['verdict'])}."
    )


def _quality_sentence(drift: Document | None) -> str:
    blocking = [finding for finding in (drift or {}).get("quality") or [] if finding.get("blocking")]
    return f"{counted(len(blocking), 'data-quality problem')} must be settled first." if blocking else ""


def _first_sentence(first: Document | None) -> str:
    return f"The first model was trained on {counted(first['rows'], 'row')}." if first else ""


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
    return (
        f"{trained}; on the same {counted(comparison['rows'], 'row')} its {metric(comparison['metric'])} is "
        f"{score(comparison['challenger'])} against {score(comparison['champion'])} "
        f"(gain {signed(comparison['gain'])}, {interval(comparison['interval'], signed)})."
    )


def _decision_sentence(document: Document) -> str:
    decision = document.get("decision")
    if not decision or document.get("training") or decision.get("retrain"):
        return ""
    if decision.get("recommended"):
        held = " ".join(decision.get("blocked") or [])
        return _stopped(f"Retraining is recommended but was not done: {held or 'mode ' + str(decision.get('mode'))}")
    return "No retraining is needed."


def _outcome_sentence(document: Document) -> str:
    version = (document.get("model") or {}).get("version")
    named = f"version {version}" if version is not None else "the new model"
    if document.get("rolled_back"):
        return f"The earlier model did better on later labels and is live again, as {named}."
    if document.get("deployed"):
        return f"It is live now, as {named}."
    if is_rejected(document):
        return f"The champion stays live ({named})." if version is not None else "The champion stays live."
    if document.get("comparison"):
        return "It waits for approval; the champion is still live."
    return ""


def _stopped(sentence: str) -> str:
    """The sentence with its full stop."""
    return sentence if sentence.endswith((".", "!", "?")) else sentence + "."


def change(difference: float | None, before: float | None, after: float | None) -> str:
    """A drop or gain, marked as a share where the metric is judged relative to its baseline (errors, losses).

    >>> change(0.12, 50.0, 56.0), change(0.064, 0.845, 0.781)
    ('12% of the baseline', '0.064')
    """
    if difference is None:
        return "–"
    absolute = before is None or after is None or math.isclose(abs(after - before), abs(difference), abs_tol=5e-4)
    sign = "−" if difference < 0 else ""
    return sign + (score(abs(difference)) if absolute else f"{percent(abs(difference))} of the baseline")
