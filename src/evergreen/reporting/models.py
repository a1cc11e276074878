"""The live model, the ones before it and how they came and went, in words: lines of a label and a text."""

from collections.abc import Mapping

from evergreen.reporting.figures import counted, interval, moment, score
from evergreen.reporting.words import Document, gain_style

Line = tuple[str, str]


def model_lines(model: Document | None) -> list[Line]:
    """A model: which, since when, why, what it learned from and how good it was."""
    if model is None:
        return [("live", "no model")]
    since = f"since {moment(model['since'])} UTC" if model["since"] else "put there by hand since the last run"
    lines = [
        ("live", f"{model_name(model)}, {model['origin']}, {since}"),
        ("why", model["reason"] or "not on record"),
        ("learned", training_words(model["training"])),
        ("baseline", baseline_words(model["baseline"])),
    ]
    if model["training"].get("baseline_may_be_in_sample"):
        lines.append(("note", "the baseline may flatter it: it may have learned from those rows (--trained-until)"))
    return lines


def model_name(model: Document) -> str:
    """As the journal calls it.

    >>> model_name({"version": 3, "digest": "ab" * 32})
    'version 3 (abababababab)'
    """
    return f"version {model['version']} ({model['digest'][:12]})"


def training_words(training: Document) -> str:
    """What was trained, on how many rows, of which time."""
    if training.get("rows") is None:
        return "not on record"
    estimator = str(training.get("estimator") or "a model").rpartition(".")[2]
    stretch = f", {moment(training['from'])} to {moment(training['to'])}" if training.get("to") is not None else ""
    return f"{estimator} on {counted(training['rows'], 'row')}{stretch}"


def baseline_words(baseline: Mapping[str, Document]) -> str:
    """Every score on the holdout, the first with its interval and rows.

    >>> baseline_words({"accuracy": {"value": 0.85, "low": 0.83, "high": 0.87, "rows": 1000}, "f1": {"value": 0.7}})
    'accuracy 0.850 (0.830 to 0.870) on 1,000 rows; f1 0.700'
    """
    if not baseline:
        return "not on record"
    words = [f"{name} {score(found['value'])}" for name, found in baseline.items()]
    first = next(iter(baseline.values()))
    words[0] += f" ({interval([first.get('low'), first.get('high')])}) on {counted(first.get('rows') or 0, 'row')}"
    return "; ".join([words[0], ", ".join(words[1:])]) if words[1:] else words[0]


def comparison_lines(comparison: Document | None) -> list[Line]:
    """What a waiting challenger gains over the live model, and why it was found good enough."""
    if not comparison:
        return [("gain", "not compared with the live model")]
    lines = [("because", reason) for reason in comparison.get("reasons") or []]
    if comparison.get("gain") is None:
        return lines
    show = gain_style(comparison["metric"])
    gain = f"{show(comparison['gain'])} ({interval(comparison['interval'], show)})"
    scores = f"{score(comparison['challenger'])} against {score(comparison['champion'])}"
    rows = counted(comparison["rows"], "row")
    return [("gain", f"{comparison['metric']} {scores}, gain {gain} on the same {rows}"), *lines]


def backup_words(backup: Document) -> str:
    """A kept copy: its file, which model it is, its size; or why it can't be used."""
    return backup["problem"] or f"{backup['file']}  {backup['model'] or 'not on record'}  {backup['bytes']:,} bytes"


def run_words(run: Document | None) -> str:
    """The last run of the loop, as the journal has it."""
    if run is None:
        return "none"
    done = [word.replace("_", " ") for word in ("retrained", "deployed", "rolled_back", "failed") if run.get(word)]
    return ", ".join([f"{moment(run['time'])} UTC", str(run.get("verdict") or "no verdict").replace("_", " "), *done])


def event_words(event: Document, names: Mapping[str, str]) -> str:
    """One change of the live model; `names` tells how models are called, by digest."""
    after = f"after {names[event['replaced']]}" if event.get("replaced") in names else ""
    by = f"by {event['actor']}" if event.get("actor") else ""
    recovered = "recorded after a crash" if event.get("recovered") else ""
    parts = (f"{moment(event['time'])} UTC", names.get(event.get("digest", ""), ""), after, by, recovered)
    return "  ".join(part for part in (*parts, event.get("reason")) if part)
