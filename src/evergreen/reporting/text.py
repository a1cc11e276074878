"""The result on a screen: plain lines for cron and grep, tables for a terminal."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evergreen.reporting import figures, findings, words
from evergreen.reporting.documents import plain, showable
from evergreen.reporting.paragraph import summarise
from evergreen.reporting.words import Document

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LABEL = 13  # width of the first word of a line, the one to grep for
MAX_LINES = 12  # columns and slices shown before the rest is summed up: a normal run stays within a screen
Line = tuple[str, str]


def render_text(document: Mapping[str, Any], *, width: int = 100, verbose: bool = False) -> str:
    """The result as plain lines: verdict, one paragraph, then details, each line led by a word to grep for.

    `verbose` lists every column; otherwise those without drift are one line.
    """
    shown = showable(document)
    verdict = textwrap.fill("  ".join(words.headlines(shown)), width)
    paragraph = textwrap.fill(summarise(shown), width, break_on_hyphens=False)
    details = [_fold(label, text, width) for label, text in lines_of(shown, verbose)]
    return "\n".join([verdict, paragraph, "", *details])


def _fold(label: str, text: str, width: int) -> str:
    indent = " " * LABEL
    return textwrap.fill(
        f"{label:<{LABEL}}{text}", width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def lines_of(shown: Document, verbose: bool) -> list[Line]:
    """All details of a run in the order in which one wants them."""
    drift = shown.get("drift") or {}
    return [
        *(("reason", reason) for reason in drift.get("reasons") or []),
        *_data_lines(drift),
        *_column_lines(drift, verbose),
        *findings.lines_about_data(drift),
        *_quality_lines(drift),
        *_performance_lines(drift),
        *findings.lines_about_performance(drift),
        *_decision_lines(shown.get("decision"), drift.get("reasons") or []),
        *findings.lines_about_cost(shown),
        *_training_lines("first model", shown.get("first_model"), verbose),
        *_training_lines("training", shown.get("training"), verbose),
        *_comparison_lines(shown.get("comparison"), verbose),
        *_ending_lines(shown),
    ]


def _data_lines(drift: Document) -> Iterable[Line]:
    for side in ("reference", "current"):
        if table := drift.get(side):
            rows = figures.counted(table["rows"], "row") if table.get("rows") is not None else "rows unknown"
            when = figures.stretch(table.get("from"), table.get("to"))
            yield side, ", ".join(part for part in (rows, when, table.get("source")) if part)


def _column_lines(drift: Document, verbose: bool) -> Iterable[Line]:
    columns = drift.get("columns") or []
    notable = words.with_status(columns, "invalid", "drift", "watch")
    chosen = columns if verbose else notable[:MAX_LINES]
    size = min(32, max((len(column["name"]) for column in chosen), default=0))
    for column in chosen:
        yield "column", _column_line(column, size)
    if not verbose:
        yield from _rest_lines(columns, len(notable) - len(chosen))
    for kind in ("predictions", "target"):
        for column in (drift.get(kind) or {}).get("columns") or []:
            yield kind, _column_line(column, 0)


def _column_line(column: Document, size: int) -> str:
    name = plain(column["name"], 32)
    parts = [f"{words.status(column):<8} {name:<{size}}", words.statistic(column)]
    if column.get("p_adjusted") is not None:
        parts.append(f"p {figures.p_value(column['p_adjusted'])}")
    if _missing_moved(column):
        parts.append(
            f"missing {figures.percent(column['missing_reference'])} to {figures.percent(column['missing_current'])}"
        )
    if column.get("importance"):
        parts.append(f"importance {figures.percent(column['importance'])}")
    if column["status"] == "drift":
        parts += findings.moved(column)[:1]
    if column["status"] in ("invalid", "skipped", "not_enough_evidence") and column.get("reason"):
        parts.append(column["reason"])
    return "  ".join(parts)


def _missing_moved(column: Document) -> bool:
    before, after = column.get("missing_reference"), column.get("missing_current")
    return before is not None and after is not None and abs(after - before) >= 0.01


def _rest_lines(columns: list[Document], more: int) -> Iterable[Line]:
    """What is not listed, one line a status."""
    if more > 0:
        yield "columns", f"{more:,} more with drift or to watch (-v or the report shows them)"
    for status in ("not_enough_evidence", "skipped", "no_drift"):
        if names := [column["name"] for column in words.with_status(columns, status)]:
            yield "columns", f"{len(names):,} {words.STATUS_WORDS[status]}: {figures.listed(names, 5)}"


def _quality_lines(drift: Document) -> Iterable[Line]:
    for finding in drift.get("quality") or []:
        yield "quality", f"{'blocks  ' if finding.get('blocking') else 'note  '}{words.finding(finding)}"


def _performance_lines(drift: Document) -> Iterable[Line]:
    performance = drift.get("performance")
    if not performance:
        return
    yield (
        "performance",
        f"{performance['metric']} {_score_words(performance)}: {words.performance_verdict(performance)}",
    )
    said = drift.get("reasons") or []
    yield from (("performance", reason) for reason in performance.get("reasons") or [] if reason not in said)


def _score_words(performance: Document) -> str:
    before, now = performance["baseline"], performance["current"]
    baseline = f"baseline {figures.score(before)}"
    if now is None:
        return f"({baseline})"
    return f"{figures.score(now)} ({figures.interval(performance['interval'])}), {baseline}, {words.drop(performance)}"


def _decision_lines(decision: Document | None, said: Sequence[str]) -> Iterable[Line]:
    """The decision, with those of its reasons that were not said before."""
    if not decision:
        return
    yield "decision", f"{words.decision(decision)} (mode {decision.get('mode')})"
    yield from (("decision", reason) for reason in decision.get("reasons") or [] if reason not in said)
    yield from (("decision", f"held back: {reason}") for reason in decision.get("blocked") or [])


def _training_lines(label: str, training: Document | None, verbose: bool) -> Iterable[Line]:
    if not training:
        return
    when = figures.stretch(training.get("from"), training.get("to"))
    parts = [
        figures.estimator(training.get("estimator")),
        figures.counted(training["rows"], "row"),
        figures.duration(training["seconds"]),
        f"window {training['window']}" if training.get("window") else "",
        when,
        f"model {figures.short(training.get('digest'))}",
    ]
    yield label, ", ".join(part for part in parts if part)
    gates = training.get("gates") or []
    failed = [gate for gate in gates if not gate["passed"]]
    for gate in gates if verbose else failed:
        yield "gate", f"{'passed' if gate['passed'] else 'FAILED'}  {gate['name']}: {gate['reason']}"
    if gates and not failed and not verbose:
        yield "gate", f"{figures.counted(len(gates), 'gate')} passed"


def _comparison_lines(comparison: Document | None, verbose: bool) -> Iterable[Line]:
    if not comparison:
        return
    if comparison["gain"] is not None:
        yield "comparison", _comparison_line(comparison)
    yield from (("comparison", reason) for reason in comparison.get("reasons") or [])
    if forced := comparison.get("forced"):
        yield "comparison", f"forced by {forced['by']}: {forced['why']}"
    for piece in comparison.get("slices") or []:
        if verbose or piece["verdict"] == "worse":
            gain = words.gain_style(comparison["metric"])(piece["gain"])
            yield "slice", f"{piece['verdict']:<8} {words.slice_name(piece)}: gain {gain}"


def _comparison_line(comparison: Document) -> str:
    show = words.gain_style(comparison["metric"])
    ends = figures.interval(comparison["interval"], show)
    return (
        f"{comparison['metric']}: champion {figures.score(comparison['champion'])}, "
        f"challenger {figures.score(comparison['challenger'])}, gain {show(comparison['gain'])} ({ends}), "
        f"p {figures.p_value(comparison['p_value'])}, same {figures.counted(comparison['rows'], 'row')}: "
        f"{words.winner(comparison)}"
    )


def _ending_lines(shown: Document) -> Iterable[Line]:
    if shown.get("failure"):
        yield "failure", f"{shown['failure']['kind']}: {shown['failure']['message']}"
    if "deployed" in shown:
        yield "deploy", words.deployment(shown)
        yield from (("deploy", reason) for reason in words.unsaid_reasons(shown))
    if model := shown.get("model"):
        since = f", live since {figures.moment(model['since'])}" if model.get("since") else ""
        since = ", would be live" if words.would_change(shown) else since
        yield "model", f"version {model.get('version')} ({figures.short(model.get('digest'))}){since}"
    if watch := shown.get("watch"):
        yield "watch", f"the model before: {' '.join(watch.get('reasons') or [])}"
    if shown.get("run"):
        seconds = f" in {figures.duration(shown['seconds'])}" if shown.get("seconds") is not None else ""
        yield "run", f"{shown['run']}{seconds}"
    if shown.get("report") and not shown.get("dry_run"):
        yield "report", shown["report"]


def print_rich(document: Mapping[str, Any], console: "Console", *, verbose: bool = False) -> None:
    """The same result on a terminal: verdict, paragraph, a table of the columns, then the details."""
    from rich.padding import Padding
    from rich.text import Text

    shown = showable(document)
    console.print(
        Text("  ".join(words.headlines(shown)), style="bold red" if words.is_alarming(shown) else "bold green")
    )
    console.print(Padding(Text(summarise(shown)), (0, 0, 1, 0)))
    lines = lines_of(shown, verbose)
    columns = [text for label, text in lines if label == "column"]
    if columns:
        console.print(_column_table(shown, len(columns)))
    for label, text in lines:
        if label != "column":
            console.print(_detail_row(label, text))


def _detail_row(label: str, text: str) -> "Table":
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 1))
    row.add_column(width=LABEL - 1, style="dim")
    row.add_column(overflow="fold")
    row.add_row(Text(label), Text(text))
    return row


def _column_table(shown: Document, count: int) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    styles: dict[str, str] = {"drift": "bold red", "watch": "yellow", "invalid": "bold magenta", "no_drift": "green"}
    table = Table(box=box.SIMPLE, pad_edge=False)
    for title in ("column", "status"):
        table.add_column(title, overflow="fold")
    for title in ("effect", "adjusted p", "missing", "importance"):
        table.add_column(title, justify="right")
    for column in words.data_columns(shown)[:count]:
        missing = [figures.percent(column.get(f"missing_{side}")) for side in ("reference", "current")]
        cells = (
            Text(words.status(column), styles.get(column["status"], "dim")),
            Text(words.statistic(column)),
            figures.p_value(column.get("p_adjusted")),
            " → ".join(missing),
            figures.percent(column.get("importance")),
        )
        table.add_row(Text(plain(column["name"], 40)), *cells)
    return table
