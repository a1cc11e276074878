"""The result as GitHub-flavoured Markdown, and as the outputs of a GitHub Actions step."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evergreen.reporting import figures, findings, words
from evergreen.reporting.documents import plain, showable
from evergreen.reporting.paragraph import summarise
from evergreen.reporting.words import Document

SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#!|~&$:@^])")
MAX_COLUMNS = 50  # GitHub cuts step summaries at 1 MB; the page has all columns


def render_markdown(document: Mapping[str, Any]) -> str:
    """The result as Markdown: for `GITHUB_STEP_SUMMARY`, a pull request, or `reports/*.md`.

    Names and values from the data can't become markup, links, mentions or table cells.
    """
    shown = showable(document)
    parts = [
        "## " + " · ".join(words.headlines(shown)),
        escape(summarise(shown)),
        *_reasons(shown),
        *_columns(shown),
        *_found(findings.lines_about_data(shown.get("drift") or {})),
        *_quality(shown),
        *_performance(shown),
        *_found(findings.lines_about_performance(shown.get("drift") or {})),
        *_decision(shown),
        *_found(findings.lines_about_cost(shown)),
        *_gates(shown),
        *_comparison(shown),
        *_model(shown),
    ]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    r"""Text that Markdown shows as it is.

    >>> escape("a|b <script> [x](http://y)")
    'a\\|b \\<script\\> \\[x\\]\\(http\\://y\\)'
    """
    return SPECIAL.sub(r"\\\1", text).replace("www.", "www\\.")


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines)


def _reasons(shown: Document) -> Iterable[str]:
    if reasons := (shown.get("drift") or {}).get("reasons"):
        yield _bullets(reasons)


def _columns(shown: Document) -> Iterable[str]:
    columns = words.data_columns(shown)
    if not columns:
        return
    yield "### Columns"
    chosen = [column for column in columns if column["status"] != "no_drift"][:MAX_COLUMNS]
    if chosen:
        yield _table(
            ["Column", "Status", "Effect", "Adjusted p", "Missing", "Importance"], [_column_row(c) for c in chosen]
        )
    rest = len(columns) - len(chosen)
    quiet = len(words.with_status(columns, "no_drift"))
    if rest:
        more = f"; {rest - quiet} more are in the report" if rest > quiet else ""
        yield f"{figures.counted(quiet, 'column')} without drift{more}."


def _column_row(column: Document) -> list[str]:
    missing = [figures.percent(column.get(f"missing_{side}")) for side in ("reference", "current")]
    return [
        escape(plain(column["name"], 80)),
        f"{words.MARKS.get(column['status'], '')} {escape(words.status(column))}",
        escape(words.statistic(column)),
        escape(figures.p_value(column.get("p_adjusted"))),
        escape(" → ".join(missing)),
        escape(figures.percent(column.get("importance"))),
    ]


def _found(lines: Iterable[findings.Line]) -> Iterable[str]:
    if said := [f"{figures.capital(label)}: {text}" for label, text in lines]:
        yield _bullets(said)


def _quality(shown: Document) -> Iterable[str]:
    if findings := (shown.get("drift") or {}).get("quality"):
        yield "### Data quality"
        yield _bullets(("Blocks: " if f.get("blocking") else "") + words.finding(f) for f in findings)


def _performance(shown: Document) -> Iterable[str]:
    performance = words.performance_of(shown)
    if not performance:
        return
    yield "### Performance"
    rows = [
        [
            escape(words.metric(name)),
            figures.score(score.get("baseline")),
            figures.score(score.get("current")),
            figures.interval(score.get("interval")),
        ]
        for name, score in _scores(performance).items()
    ]
    yield _table(["Metric", "Baseline", "Current", "Interval"], rows)
    if reasons := performance.get("reasons"):
        yield _bullets(reasons)


def _scores(performance: Document) -> dict[str, Any]:
    """The judged metric first, then the others."""
    judged = {key: performance.get(key) for key in ("baseline", "current", "interval")}
    return {performance["metric"]: judged} | {
        name: score for name, score in (performance.get("scores") or {}).items() if name != performance["metric"]
    }


def _decision(shown: Document) -> Iterable[str]:
    if decision := shown.get("decision"):
        yield f"### Decision: {words.decision(decision)}"
        lines = [*(decision.get("reasons") or []), *(f"Held back: {text}" for text in decision.get("blocked") or [])]
        if lines:
            yield _bullets(lines)


def _gates(shown: Document) -> Iterable[str]:
    gates = (shown.get("training") or {}).get("gates")
    if gates:
        yield "### Gates"
        yield _table(
            ["Gate", "Result", "Why"],
            [[escape(g["name"]), "● passed" if g["passed"] else "✕ failed", escape(g["reason"] or "")] for g in gates],
        )


def _comparison(shown: Document) -> Iterable[str]:
    comparison = shown.get("comparison")
    if not comparison:
        return
    yield f"### Comparison: {words.winner(comparison)}"
    if comparison["gain"] is not None:
        show = words.gain_style(comparison["metric"])
        name = figures.capital(words.metric(comparison["metric"]))
        yield escape(
            f"{name} on the same {figures.counted(comparison['rows'], 'row')}: champion "
            f"{figures.score(comparison['champion'])}, challenger {figures.score(comparison['challenger'])}, gain "
            f"{show(comparison['gain'])} ({figures.interval(comparison['interval'], show)})."
        )
    if forced := comparison.get("forced"):
        yield escape(f"Forced by {forced['by']}: {forced['why']}")
    if reasons := comparison.get("reasons"):
        yield _bullets(reasons)
    if slices := [piece for piece in comparison.get("slices") or [] if piece["verdict"] == "worse"]:
        show = words.gain_style(comparison["metric"])
        yield _bullets(f"Worse for {words.slice_name(piece)}: gain {show(piece['gain'])}" for piece in slices)


def _model(shown: Document) -> Iterable[str]:
    model = shown.get("model")
    parts = [f"Run {shown['run']}" if shown.get("run") else ""]
    if model:
        live = "would be live" if words.would_change(shown) else "live model"
        parts.append(f"{live}: version {model.get('version')} ({figures.short(model.get('digest'))})")
    if line := ", ".join(part for part in parts if part):
        yield f"<sub>{escape(line)}</sub>"


def github_outputs(document: Mapping[str, Any]) -> dict[str, str]:
    """What later steps of a GitHub workflow branch on; write them as `name=value` lines to `GITHUB_OUTPUT`.

    `drift` is the verdict (`drift`, `no_drift`, `not_enough_evidence`, or empty when nothing was judged).

    >>> github_outputs({"drift": {"verdict": "drift"}, "deployed": True, "training": {"rows": 9}, "model": None})
    {'drift': 'drift', 'retrained': 'true', 'deployed': 'true', 'model_digest': ''}
    """
    shown = showable(document)
    return {
        "drift": (shown.get("drift") or {}).get("verdict") or "",
        "retrained": _flag(shown.get("training") or shown.get("first_model")),
        "deployed": _flag(shown.get("deployed")),
        "model_digest": (shown.get("model") or {}).get("digest") or "",
    }


def _flag(value: object) -> str:
    return "true" if value else "false"
