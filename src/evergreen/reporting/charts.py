"""Small charts as inline SVG, drawn by hand: no library, no script, colours from the page's style sheet.

Every chart says the same by shape as by colour (area and line, hollow and filled, text), carries its message as
`aria-label`, and escapes every word it is given.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from evergreen.reporting import figures
from evergreen.reporting.documents import plain

WIDTH, HEIGHT = 300, 120  # of a small multiple, in its own units
LABEL_WIDTH = 96  # of the category names beside a dumbbell
STRIP = 720  # width of the strip of runs
ROW = 19  # height of a dumbbell's row


def distribution(column: Mapping[str, Any]) -> Markup:
    """A column's reference and current distribution in one small chart; empty when the document has none."""
    shape = column.get("distribution")
    if not shape:
        return Markup("")
    label = f"Distribution of {column['name']}, reference and current"
    if shape["kind"] == "category":
        return _dumbbells(shape, label) if shape["labels"] else Markup("")
    return _steps(shape, label) if len(shape["edges"]) > 1 else Markup("")


def _svg(width: float, height: float, label: str, body: str, css: str = "") -> Markup:
    return Markup(
        f'<svg class="chart {css}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
        f"{body}</svg>"
    )


def _text(x: float, y: float, text: str, css: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


# Distributions ------------------------------------------------------------------------------------


def _steps(shape: Mapping[str, Any], label: str) -> Markup:
    """Reference as a grey area, current as a line of steps; the outer bins hold what lies beyond the axis."""
    edges, base = shape["edges"], HEIGHT - 18
    span = edges[-1] - edges[0]
    first, last = (figures.axis(edge, span) for edge in (edges[0], edges[-1]))
    places = [WIDTH * (edge - edges[0]) / (span or 1.0) for edge in edges]
    top = max(*shape["reference"], *shape["current"]) or 1.0
    paths = [_step_path(places, shape[side], base, (base - 4) / top) for side in ("reference", "current")]
    body = (
        f'<path d="{paths[0]}L{WIDTH} {base}L0 {base}Z" class="ref-area"/><path d="{paths[1]}" class="cur-line"/>'
        + _line(0, base, WIDTH, base, "axis")
        + _text(0, HEIGHT - 4, first, "tick")
        + _text(WIDTH, HEIGHT - 4, last, "tick", "end")
    )
    return _svg(WIDTH, HEIGHT, f"{label}, from {first} to {last}", body)


def _step_path(edges: Sequence[float], heights: Sequence[float], base: float, scale: float) -> str:
    points = [f"M{edges[0]:.1f} {base:.1f}"]
    for (left, right), height in zip(pairwise(edges), heights, strict=True):
        y = base - height * scale
        points.append(f"L{left:.1f} {y:.1f}H{right:.1f}")
    return "".join(points) + f"V{base:.1f}"


def _dumbbells(shape: Mapping[str, Any], label: str) -> Markup:
    """A row per category: hollow where the reference was, filled where it is now, the change as the line between."""
    rows = list(zip(shape["labels"], shape["reference"], shape["current"], strict=True))
    most = max(max(before, after) for _, before, after in rows) or 1.0
    scale = (WIDTH - LABEL_WIDTH - 12) / most
    body = "".join(_dumbbell(i * ROW + 10, row, scale) for i, row in enumerate(rows))
    height = len(rows) * ROW + 18
    body += _text(LABEL_WIDTH, height - 4, "0", "tick") + _text(WIDTH, height - 4, figures.percent(most), "tick", "end")
    said = "; ".join(f"{plain(str(n), 40)} {figures.percent(b)} then {figures.percent(a)}" for n, b, a in rows)
    return _svg(WIDTH, height, f"{label}: {said}", body)


def _dumbbell(y: float, row: tuple[Any, float, float], scale: float) -> str:
    name, before, after = row
    x1, x2 = LABEL_WIDTH + 4 + before * scale, LABEL_WIDTH + 4 + after * scale
    return (
        _text(LABEL_WIDTH - 8, y + 4, plain(str(name), 14), "label", "end")
        + _line(LABEL_WIDTH, y, WIDTH, y, "grid")
        + _line(x1, y, x2, y, "cur-line")
        + f'<circle cx="{x1:.1f}" cy="{y:.1f}" r="4" class="ref-dot"/>'
        + f'<circle cx="{x2:.1f}" cy="{y:.1f}" r="4" class="cur-dot"/>'
    )


# Scores -------------------------------------------------------------------------------------------


def share_bar(value: float | None) -> Markup:
    """A thin bar from 0 to 1."""
    if value is None:
        return Markup("")
    width = 100 * min(max(value, 0.0), 1.0)
    body = f'<rect width="100" height="6" class="track"/><rect width="{width:.1f}" height="6" class="fill"/>'
    return _svg(100, 6, f"{figures.percent(value)}", body, "bar")


def scores_over_time(performance: Mapping[str, Any]) -> Markup:
    """The score of each block of time with its interval, the baseline as a line, the floor dashed."""
    blocks = [block for block in performance.get("blocks") or [] if block["value"] is not None]
    if not blocks:
        return Markup("")
    lines = [(performance.get("baseline"), "baseline"), (performance.get("floor"), "floor")]
    values = [v for block in blocks for v in (block["value"], *(block["interval"] or ())) if v is not None]
    low, high = _range(values + [value for value, _ in lines if value is not None])
    width, base, left, right = 480, 220, 8, 362

    def place(value: float) -> float:
        return 12 + (base - 24) * (high - value) / (high - low)

    body, free = "", 0.0
    for value, name in sorted(((v, n) for v, n in lines if v is not None), reverse=True):
        y = max(place(value) + 4, free)  # words never on top of each other
        free = y + 18
        body += _line(left, place(value), right, place(value), name)
        body += _text(right + 6, y, f"{name} {figures.score(value)}", "tick")
    step = (right - left) / len(blocks)
    for i, block in enumerate(blocks):
        body += _whisker(left + step * (i + 0.5), block, place)
    body += _line(left, base, right, base, "axis") + _text(left, base + 18, figures.moment(blocks[0]["from"]), "tick")
    body += _text(right, base + 18, figures.moment(blocks[-1]["to"]), "tick", "end")
    label = f"{figures.capital(performance['metric'])} over time: " + ", ".join(
        figures.score(block["value"]) for block in blocks
    )
    return _svg(width, base + 26, label, body, "wide")


def _whisker(x: float, block: Mapping[str, Any], place: Any) -> str:
    low, high = block["interval"] or (None, None)
    span = "" if low is None or high is None else _line(x, place(low), x, place(high), "whisker")
    when = figures.stretch(block.get("from"), block.get("to"))
    title = f"{figures.score(block['value'])} ({figures.interval(block['interval'])}), {block.get('rows')} rows, {when}"
    y = place(block["value"])
    return f'<g><title>{escape(title)}</title>{span}<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="cur-dot"/></g>'


def _range(values: Sequence[float]) -> tuple[float, float]:
    """An axis around the values with a little air; never of no height."""
    low, high = min(values), max(values)
    air = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - air, high + air


def gain_scale(comparison: Mapping[str, Any]) -> float:
    """The largest gain or loss that any row of the comparison's forest plot shows; its axis is symmetric."""
    pieces = [comparison, *(comparison.get("slices") or [])]
    ends = [end for piece in pieces for end in (piece.get("gain"), *(piece.get("interval") or [])) if end is not None]
    return max((abs(end) for end in ends), default=0.0) or 1.0


def gain_row(piece: Mapping[str, Any], scale: float, show: Callable[[float | None], str] = figures.signed) -> Markup:
    """One row of a forest plot: no difference in the middle, better to the right, the interval as a bar."""
    gain, (low, high) = piece.get("gain"), piece.get("interval") or (None, None)
    if gain is None:
        return Markup("")

    def place(value: float) -> float:
        return 120 + 110 * value / scale

    css = "better" if low is not None and low > 0 else "worse" if high is not None and high < 0 else "open"
    span = "" if low is None or high is None else _line(place(low), 11, place(high), 11, f"whisker {css}")
    body = _line(120, 0, 120, 22, "axis") + span
    body += f'<circle cx="{place(gain):.1f}" cy="11" r="5" class="gain {css}"/>'
    label = f"gain {show(gain)}, {figures.interval(piece.get('interval'), show)}"
    return _svg(240, 22, label, body, "row")


# History ------------------------------------------------------------------------------------------


def verdict_strip(runs: Sequence[Mapping[str, Any]]) -> Markup:
    """One mark a run: a tall bar for drift, a low one for none, a dot when nobody could tell, a cross for a failure.

    A triangle below: retrained, filled when the new model went live; pointing down, rolled back.
    """
    step = STRIP / max(len(runs), 30)
    body = "".join(_run_mark(step * (i + 0.5), min(step * 0.6, 10), run) for i, run in enumerate(runs))
    drifted = sum(run["verdict"] == "drift" for run in runs)
    return _svg(STRIP, 70, f"{drifted} of the last {figures.counted(len(runs), 'run')} said drift", body, "strip")


def _run_mark(x: float, width: float, run: Mapping[str, Any]) -> str:
    left = x - width / 2
    if run.get("failed"):
        mark = f'<path d="M{left:.1f} 26l{width:.1f} 16m0 -16l{-width:.1f} 16" class="failed"/>'
    elif run["verdict"] == "drift":
        mark = f'<rect x="{left:.1f}" y="4" width="{width:.1f}" height="42" class="drift"/>'
    elif run["verdict"] == "no_drift":
        mark = f'<rect x="{left:.1f}" y="34" width="{width:.1f}" height="12" class="calm"/>'
    else:
        mark = f'<circle cx="{x:.1f}" cy="40" r="{min(width / 2, 4):.1f}" class="unknown"/>'
    size = max(width / 2, 4)
    if run.get("rolled_back"):
        mark += f'<path d="M{x - size:.1f} 54h{2 * size:.1f}l{-size:.1f} 12z" class="deployed"/>'
    elif run.get("retrained") or run.get("deployed"):
        css = "deployed" if run.get("deployed") else "rejected"
        mark += f'<path d="M{x:.1f} 54l{size:.1f} 12h{-2 * size:.1f}z" class="{css}"/>'
    said = ["failed"] if run.get("failed") else [str(run["verdict"] or "nothing new").replace("_", " ")]
    said += [word for word in ("retrained", "deployed", "rolled_back") if run.get(word)]
    return f"<g><title>{escape(figures.moment(run.get('time')))}: {escape(', '.join(said))}</title>{mark}</g>"


def trend(runs: Sequence[Mapping[str, Any]], key: str, baseline: str = "") -> Markup:
    """A number over the runs as a line with its last value; the baseline it is judged by as dashes."""
    points = [(i, run[key]) for i, run in enumerate(runs) if run.get(key) is not None]
    against = [(i, run[baseline]) for i, run in enumerate(runs) if baseline and run.get(baseline) is not None]
    if not points:
        return Markup("")
    low, high = _range([value for _, value in points + against])
    step = (WIDTH - 16) / max(len(runs) - 1, 1)

    def place(i: int, value: float) -> str:
        return f"{8 + step * i:.1f} {8 + 84 * (high - value) / (high - low):.1f}"

    places = [place(i, value) for i, value in points]
    corners = [place(i, value) for (_, value), (i, _) in pairwise(against)]  # a baseline holds until the next one
    held = [place(i, value) for i, value in against]
    dashes = "L".join([*held[:1], *(spot for pair in zip(corners, held[1:], strict=True) for spot in pair)])
    x, y = places[-1].split()
    body = f'<path d="M{dashes}" class="baseline"/>' if against else ""
    body += f'<path d="M{"L".join(places)}" class="cur-line"/><circle cx="{x}" cy="{y}" r="4" class="cur-dot"/>'
    label = f"{key.replace('_', ' ')} by run, last {figures.score(points[-1][1])}"
    return _svg(WIDTH, HEIGHT, label, body + _span_words(runs))


def bars(runs: Sequence[Mapping[str, Any]], key: str, show: Any) -> Markup:
    """A quantity per run as bars from zero."""
    values = [run.get(key) for run in runs]
    most = max((value for value in values if value is not None), default=0)
    if not most:
        return Markup("")
    step = WIDTH / max(len(runs), 12)
    body = "".join(
        f'<rect x="{i * step:.1f}" y="{92 - 84 * value / most:.1f}" width="{step * 0.7:.1f}" '
        f'height="{84 * value / most:.1f}" class="fill"><title>{escape(figures.moment(run.get("time")))}: '
        f"{escape(show(value))}</title></rect>"
        for i, (run, value) in enumerate(zip(runs, values, strict=True))
        if value is not None
    )
    body += _line(0, 92, WIDTH, 92, "axis") + _span_words(runs)
    return _svg(WIDTH, HEIGHT, f"{key.replace('_', ' ')} by run, at most {show(most)}", body)


def _span_words(runs: Sequence[Mapping[str, Any]]) -> str:
    first, last = (figures.day(run.get("time")) for run in (runs[0], runs[-1]))
    start = _text(0, HEIGHT - 6, first, "tick")
    return start + _text(WIDTH, HEIGHT - 6, last, "tick", "end") if len(runs) > 1 else start
