"""The result as one self-contained page: no script, no request, readable on a phone, in the dark and on paper."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.reporting import charts, figures, findings, words
from evergreen.reporting.documents import showable
from evergreen.reporting.paragraph import summarise
from evergreen.reporting.words import Document

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent
FEW_COLUMNS = 60  # up to here every column gets its chart; beyond, only those with drift or to watch
OPEN_CARDS = 12  # small multiples shown at once; the rest folds away
MAX_CARDS = 200  # nobody looks through more, and the page stays small however many columns drift
SHOWN_RUNS = 60  # of the history; the frequencies are over all of it


def render_html(document: Mapping[str, Any]) -> str:
    """The page of a run, or of a bare drift document, as HTML text. Its size doesn't depend on the number of rows."""
    shown = showable(document)
    return render_page(
        "report.html.j2",
        {"w": words, "f": figures, "found": findings, "charts": charts, "marks": words.MARKS},
        run=shown,
        headlines=[(words_, _tone(words_)) for words_ in words.headlines(shown)],
        title=words.title(shown),
        source=shown.get("source") or _sources(shown.get("drift")),
        summary=summarise(shown),
        figures=_figures(shown),
        drift=shown.get("drift") or {},
        performance=words.performance_of(shown),
        **_column_parts(shown),
        facts=_facts(shown),
        gates=_gates(shown),
        history=_history(shown.get("history")),
    )


def render_page(template: str, helpers: dict[str, Any], **parts: Any) -> str:
    """A template of this folder, filled; with the style, and its hash by which a browser admits it."""
    style = (FOLDER / "report.css").read_text()
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = _environment().get_template(template, globals=helpers)
    return page.render(**parts, style=style, style_hash=style_hash)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader

    return Environment(loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def _gates(shown: Document) -> list[dict[str, Any]]:
    """The gates of each model trained in this run: what to call them, and whether one failed."""
    found = []
    for key, title in (("first_model", "the first model"), ("training", "the challenger")):
        if gates := (shown.get(key) or {}).get("gates"):
            failed = sum(not gate["passed"] for gate in gates)
            result = f"{failed} of {len(gates)} failed" if failed else f"all {len(gates)} passed"
            found.append({"title": f"Gates of {title}: {result}", "failed": failed, "gates": gates})
    return found


def _tone(headline: str) -> str:
    """Which look a headline gets: its shape and colour."""
    if headline.endswith("!"):
        return "drift"
    if headline.startswith(("DRY RUN", "RETRAINING", "CHALLENGER", "ROLLED BACK", "WOULD")) or "REJECTED" in headline:
        return "watch"
    return "not_enough_evidence" if headline in ("NOT ENOUGH EVIDENCE", "NOTHING NEW") else "no_drift"


def _sources(drift: Document | None) -> str:
    """What a document without a source of its own compared."""
    sides = [(drift or {}).get(side) or {} for side in ("current", "reference")]
    return " against ".join(dict.fromkeys(side["source"] for side in sides if side.get("source")))


def _figures(shown: Document) -> list[dict[str, str]]:
    """The few numbers one looks for first."""
    found = []
    if columns := words.data_columns(shown):
        drifted = len(words.with_status(columns, "drift"))
        found.append(_figure("Columns drifted", f"{drifted:,}", f"of {len(words.judged(columns)):,}"))
        sides = [shown["drift"][side]["rows"] for side in ("current", "reference")]
        found.append(_figure("New rows", figures.number(sides[0]), f"reference {figures.number(sides[1])}"))
    performance = words.performance_of(shown)
    if performance and performance["current"] is not None:
        note = f"baseline {figures.score(performance['baseline'])}"
        found.append(
            _figure(figures.capital(words.metric(performance["metric"])), figures.score(performance["current"]), note)
        )
    comparison = shown.get("comparison")
    if comparison and comparison["gain"] is not None:
        show = words.gain_style(comparison["metric"])
        note = figures.interval(comparison["interval"], show)
        found.append(_figure("Gain of the challenger", show(comparison["gain"]), note))
    model = shown.get("model")
    if model and model.get("version") is not None:
        since = f"since {figures.day(model['since'])}" if model.get("since") else figures.short(model.get("digest"))
        live = ("Would be live", "") if words.would_change(shown) else ("Live model", since)
        found.append(_figure(live[0], f"version {model['version']}", live[1]))
    return found


def _figure(label: str, value: str, note: str) -> dict[str, str]:
    return {"label": label, "value": value, "note": note}


def _column_parts(shown: Document) -> dict[str, Any]:
    """The columns by impact: all of them for the table, those worth a chart as cards."""
    columns = words.data_columns(shown)
    notable = words.with_status(columns, "invalid", "drift", "watch")
    quiet = words.with_status(columns, "no_drift", "not_enough_evidence") if len(columns) <= FEW_COLUMNS else []
    drift = shown.get("drift") or {}
    return {
        "columns": columns,
        "cards": notable[:OPEN_CARDS],
        "more_cards": notable[OPEN_CARDS:MAX_CARDS],
        "left_out": len(notable[MAX_CARDS:]),
        "quiet_cards": quiet,
        "answers": [c for key in ("predictions", "target") for c in (drift.get(key) or {}).get("columns") or []],
        "counts": [(status, len(found)) for status in words.MARKS if (found := words.with_status(columns, status))],
    }


def _facts(shown: Document) -> list[tuple[str, list[tuple[str, str]]]]:
    """What there is to know of the live model and of those trained in this run, as lists of terms."""
    facts = []
    if model := shown.get("model"):
        live = [("Version", str(model.get("version"))), ("Digest", figures.short(model.get("digest")))]
        if words.would_change(shown):
            facts.append(("Would be live", live))
        else:
            facts.append(("Live now", [*live, ("Since", figures.moment(model.get("since")))]))
    for key, title in (("first_model", "First model"), ("training", "Challenger")):
        if training := shown.get(key):
            facts.append((title, _training_facts(training)))
    if "deployed" in shown:
        facts.append(("Outcome", _outcome_facts(shown)))
    return facts


def _training_facts(training: Document) -> list[tuple[str, str]]:
    pairs = [
        ("Digest", figures.short(training.get("digest"))),
        ("Estimator", figures.estimator(training.get("estimator"))),
        ("Rows", figures.number(training.get("rows"))),
        ("Time span", figures.stretch(training.get("from"), training.get("to"))),
        ("Window", training.get("window")),
        ("Fitted in", figures.duration(training.get("seconds"))),
        ("Held-out rows", figures.number(training["holdout_rows"]) if training.get("holdout_rows") else None),
    ]
    return [(term, str(value)) for term, value in pairs if value]


def _outcome_facts(shown: Document) -> list[tuple[str, str]]:
    decision = shown.get("decision") or {}
    pairs = [
        ("Decision", decision and words.decision(decision)),
        ("Mode", decision.get("mode")),
        ("Deploy", words.deployment(shown)),
    ]
    return [(term, value) for term, value in pairs if value]


def _history(history: Document | None) -> Document | None:
    """The rates over all runs, the charts over the newest."""
    if not history or not history.get("runs"):
        return None
    runs = history["runs"][-SHOWN_RUNS:]
    drawn = [
        ("Score", _score_note(runs), charts.trend(runs, "score", "baseline")),
        ("Training time", *_bars(runs, "training_seconds", figures.duration)),
        ("New rows", *_bars(runs, "rows", figures.number)),
    ]
    return {**history, "shown": runs, "charts": [chart for chart in drawn if chart[2]]}


def _score_note(runs: list[Document]) -> str:
    scores = [run["score"] for run in runs if run.get("score") is not None]
    baselines = [run["baseline"] for run in runs if run.get("baseline") is not None]
    dashed = f", baseline {figures.score(baselines[-1])} (dashed)" if baselines else ""
    return f"last {figures.score(scores[-1])}{dashed}" if scores else ""


def _bars(runs: list[Document], key: str, show: Callable[[float], str]) -> tuple[str, str]:
    """A quantity over the runs: what its highest bar means, and the bars."""
    most = max((run[key] for run in runs if run.get(key) is not None), default=None)
    return ("" if most is None else f"at most {show(most)}"), charts.bars(runs, key, show)
