"""The plots of a replay: how each policy's score went over the blocks, and what each policy cost."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from markupsafe import Markup

from evergreen.reporting import charts, figures, words

WIDTH, HEIGHT, LEFT, BASE = 720, 132, 44, 88
BAR, THICK = 80, 8
SMOOTH = 5  # blocks: a single block is judged by few rows


def score_panel(
    policy: Mapping[str, Any], never: Mapping[str, Any] | None, span: tuple[float, float], replay: Any
) -> Markup:
    """One policy's score by block, smoothed, before that of never retraining (dashed), and a triangle per retraining.

    A filled triangle went live, a hollow one was rejected, a short line was a challenger trained to be watched.
    """
    scores = policy["by_block"]["score"]
    step = (WIDTH - LEFT - 8) / max(len(scores) - 1, 1)

    def x(place: float) -> float:
        return LEFT + step * place

    def y(value: float) -> float:
        return 8 + (BASE - 8) * (span[1] - value) / (span[1] - span[0])

    body = "".join(
        charts._line(LEFT, y(value), WIDTH - 8, y(value), "grid")
        + charts._text(LEFT - 6, y(value) + 4, figures.axis(value, span[1] - span[0]), "tick", "end")
        for value in ticks(span)
    )
    dots = "".join(
        f'<circle cx="{x(i):.1f}" cy="{y(min(max(v, span[0]), span[1])):.1f}" r="1.6" class="ref-dot"/>'
        for i, v in enumerate(scores)
        if v is not None
    )
    if never is not None and never is not policy:
        body += _path(smooth(never["by_block"]["score"]), x, y, "baseline")
    body += dots + _path(smooth(scores), x, y, "cur-line") + charts._line(LEFT, BASE, WIDTH - 8, BASE, "axis")
    first, events = replay["first_block"], policy["by_block"]
    body += "".join(
        charts._line(x(block - first), BASE + 5, x(block - first), BASE + 15, "whisker") for block in events["shadow"]
    )
    body += "".join(
        _triangle(x(block - first), block in events["deployed"], str(replay["starts"][block - first]))
        for block in events["retrained"]
    )
    body += charts._text(LEFT, HEIGHT - 6, _when(replay["starts"][0]), "tick") + charts._text(
        WIDTH - 8, HEIGHT - 6, _when(replay["starts"][-1]), "tick", "end"
    )
    score = f"mean {words.metric(replay['metric'])} {figures.score(policy['score'])}"
    label = f"{policy['title']}: {score}, {figures.counted(policy['retrains'], 'retraining')}"
    return charts._svg(WIDTH, HEIGHT, label, body, "wide")


def _when(start: str | int) -> str:
    return f"row {start:,}" if isinstance(start, int) else figures.day(start)


def _triangle(x: float, deployed: bool, when: str) -> str:
    css = "deployed" if deployed else "rejected"
    said = f"{when}: {'deployed' if deployed else 'rejected'}"
    return f'<g><title>{escape(said)}</title><path d="M{x:.1f} {BASE + 4}l5 11h-10z" class="{css}"/></g>'


def _path(values: Sequence[float | None], x: Any, y: Any, css: str) -> str:
    parts, pen = [], "M"
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{x(place):.1f} {y(value):.1f}")
        pen = "L"
    return f'<path d="{"".join(parts)}" class="{css}"/>' if parts else ""


def smooth(scores: Sequence[float | None]) -> list[float | None]:
    """The mean of each block with its neighbours, five in all.

    >>> smooth([1.0, 2.0, None])
    [1.5, 1.5, 1.5]
    """
    half = SMOOTH // 2
    found: list[float | None] = []
    for place in range(len(scores)):
        near = [score for score in scores[max(0, place - half) : place + half + 1] if score is not None]
        found.append(sum(near) / len(near) if near else None)
    return found


def common_span(policies: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """One axis for all panels, around the smoothed scores."""
    values = [score for each in policies for score in smooth(each["by_block"]["score"]) if score is not None]
    return charts._range(values) if values else (0.0, 1.0)


def ticks(span: tuple[float, float]) -> list[float]:
    """Two to five round values inside a span.

    >>> ticks((0.61, 0.93))
    [0.7, 0.8, 0.9]
    """
    rough = (span[1] - span[0]) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(span[0] / step - 1e-9)
    return [round(step * number, 12) for number in range(first, math.floor(span[1] / step + 1e-9) + 1)]


def cost_bar(policy: Mapping[str, Any], most: float) -> Markup:
    """What a policy cost as a bar: decisions, and in another shade its retrainings."""
    decisions, whole = (BAR * policy[part] / (most or 1.0) for part in ("decisions", "cost"))
    body = f'<rect width="{whole:.1f}" height="{THICK}" class="ref-area"/>'
    body += f'<rect width="{decisions:.1f}" height="{THICK}" class="fill"/>'
    label = f"{policy['decisions']:,.0f} by decisions, {policy['cost'] - policy['decisions']:,.0f} by retrainings"
    return charts._svg(BAR, THICK, label, body, "bar")
