"""The pictures of docs/decisions.md, drawn from what the product's own functions find on made-up tables.

    python docs/make_pictures.py            # simulates (some minutes) and draws
    python docs/make_pictures.py --draw     # draws again from docs/pictures/figures.json

The figures are kept beside the pictures, so that a test can hold the pictures to the figures and the figures to the
product. Only the standard library draws.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

FOLDER = Path(__file__).parent / "pictures"
sys.path.insert(0, str(FOLDER.parent.parent / "src"))

from detect_drift import check_data_drift  # noqa: E402
from evergreen.drift.bare_rules import find_bare  # noqa: E402
from evergreen.drift.leak import LeakState  # noqa: E402
from evergreen.drift.performance import diagnose, judge_performance  # noqa: E402
from evergreen.drift.verdict import DriftReport  # noqa: E402
from evergreen.scoring.metrics import score_all  # noqa: E402
from evergreen.scoring.predictions import Predictions  # noqa: E402
from evergreen.settings import DataSettings, PerformanceSettings, Settings  # noqa: E402

COLUMNS = 20
REFERENCE = 5_000
SIZES = (100, 200, 500, 1000)
DAYS = (0.0, 0.05, 0.1, 0.2)
LABELS = (50, 100, 200, 400, 800, 1600, 3200)

Points = list[list[float]]


# What the product finds ---------------------------------------------------------------------------


def normal(random: np.random.Generator, rows: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Twenty independent standard normal columns, the first of them shifted."""
    table = {f"x{k}": random.normal(size=rows) for k in range(COLUMNS)}
    return table | {"x0": table["x0"] + shift}


def compare(
    reference: dict[str, np.ndarray], current: dict[str, np.ndarray], settings: Settings | None = None
) -> DriftReport:
    """The product's verdict."""
    return check_data_drift(pa.table(reference), pa.table(current), settings)


def drift_rule(rows: int, runs: int) -> dict[str, float]:
    """How often clean runs alarm, by the rule and by the bare rules, and how often a shift of 0.3 sd is found."""
    counts = {"clean": 0, "bare": 0, "found": 0}
    for seed in range(runs):
        random = np.random.default_rng([rows, seed])
        reference = normal(random, REFERENCE)
        clean, moved = compare(reference, normal(random, rows)), compare(reference, normal(random, rows, 0.3))
        counts["clean"] += clean.verdict == "drift"
        counts["bare"] += bool(find_bare(clean))
        counts["found"] += "x0" in moved.drifted
    return {name: count / runs for name, count in counts.items()}


def psi(rows: int, runs: int) -> dict[str, float]:
    """Mean PSI of a column in which nothing changed: as the formula says, and without its bias."""
    found = []
    for seed in range(runs):
        random = np.random.default_rng([rows, seed, 1])
        report = compare(normal(random, REFERENCE), normal(random, rows))
        found += [[(column.statistics or {})[name] for name in ("psi_raw", "psi")] for column in report.columns]
    raw, unbiased = np.mean(found, axis=0).tolist()
    return {"raw": raw, "unbiased": unbiased}


def days_differ(spread: float, runs: int) -> dict[str, float]:
    """Share of clean days called drift, when days differ a little: with the reference's days known, and without.

    Rows per day 300, 20 days of reference; `spread` is the standard deviation of the means of days, rows having 1.
    """
    counts = {"blind": 0, "calibrated": 0}
    for seed in range(runs):
        random = np.random.default_rng([round(1000 * spread), seed, 2])
        means = random.normal(0, spread, (21, COLUMNS))
        day = np.repeat(np.arange(21), 300)
        values = random.normal(size=(len(day), COLUMNS)) + means[day]
        when = np.datetime64("2026-01-01", "us") + np.arange(len(day)) * np.timedelta64(86_400_000 // 300, "ms")
        table = {f"x{k}": values[:, k] for k in range(COLUMNS)}
        old, new = ({name: column[part] for name, column in table.items()} for part in (day < 20, day == 20))
        counts["blind"] += any((column.p_adjusted or 1) <= 0.05 for column in compare(old, new).columns)
        old["when"], new["when"] = when[day < 20], when[day == 20]
        told = compare(old, new, Settings(data=DataSettings(time="when")))
        counts["calibrated"] += any(
            (column.p_adjusted or 1) <= 0.05 for column in told.columns if column.name != "when"
        )
    return {name: count / runs for name, count in counts.items()}


def answers(rows: int, hits: int) -> tuple[np.ndarray, Predictions]:
    """Labels and predictions with so many hits."""
    said = np.where(np.arange(rows) < hits, "0", "1").astype(object)
    return np.full(rows, "0", dtype=object), Predictions(said, None, ("0", "1"))


def judge_drop(rows: int, drop: float) -> dict[str, Any]:
    """The verdict on an accuracy that fell from 0.85 (2,000 rows) by `drop`, on so many labelled rows."""
    baseline = score_all("classification", *answers(2000, 1700))
    labels, said = answers(rows, round(rows * (0.85 - drop)))
    settings = PerformanceSettings(min_score="off")
    found = judge_performance(labels, said, baseline=baseline, settings=settings, task="classification")
    assert found.drop is not None and found.drop_interval is not None
    return {"drop": found.drop, "low": found.drop_interval[0], "high": found.drop_interval[1], "verdict": found.verdict}


def leak(worse: float) -> Points:
    """The evidence after each hundred rows: error rate 0.15 for 10,000 rows, then larger; 0.165 is allowed."""
    random, state = np.random.default_rng(4), LeakState(0.15 + 0.005 + 0.01)
    points = []
    for row in range(0, 20_000, 100):
        errors = int(np.sum(random.random(100) < 0.15 + worse * (row >= 10_000)))
        state = state.with_errors(100, errors)
        points.append([state.rows, max(state.evidence, 1.0)])
    return points


def simulate(runs: int) -> dict[str, Any]:
    """All figures, rounded to three digits; `runs` per point where there is chance."""
    figures = {
        "runs": runs,
        "drift_rule": {str(rows): drift_rule(rows, runs) for rows in SIZES},
        "psi": {str(rows): psi(rows, max(3, runs // 20)) for rows in SIZES},
        "days": {str(spread): days_differ(spread, runs) for spread in DAYS},
        "drop": {str(drop): {str(rows): judge_drop(rows, drop) for rows in LABELS} for drop in (0.03, 0.09)},
        "leak": {str(worse): leak(worse) for worse in (0.0, 0.03, 0.05, 0.10)},
    }
    return json.loads(json.dumps(figures), parse_float=lambda text: float(f"{float(text):.3g}"))


# Drawing ------------------------------------------------------------------------------------------

WIDTH, HEIGHT = 640, 330
LEFT, RIGHT, TOP, BOTTOM = 56, 470, 40, 286
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#333}.t{font-weight:600;font-size:15px}.s{fill:#666;font-size:12px}"
    ".g{stroke:#ddd}.l{fill:none;stroke-width:2.2}.a{stroke:#1b7f4b}.b{stroke:#c2410c}.c{stroke:#1d4ed8}"
    ".d{stroke:#7c3aed}.na{fill:#1b7f4b}.nb{fill:#c2410c}.nc{fill:#1d4ed8}.nd{fill:#7c3aed}"
    ".lim{stroke:#888;stroke-dasharray:5 4}rect.box{fill:#f4f4f4;stroke:#bbb}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.s{fill:#aaa}.g{stroke:#444}.a{stroke:#4ade80}"
    ".b{stroke:#fb923c}.c{stroke:#60a5fa}.d{stroke:#c4b5fd}.na{fill:#4ade80}.nb{fill:#fb923c}"
    ".nc{fill:#60a5fa}.nd{fill:#c4b5fd}rect.box{fill:#262626;stroke:#666}}"
)


@dataclass(frozen=True)
class Line:
    """A line with its name at the right end; `css` is one of a, b, c, d."""

    name: str
    points: Sequence[Sequence[float]]
    css: str


@dataclass(frozen=True)
class Axis:
    """A scale: its ends, the ticks with their words, and whether it is logarithmic."""

    words: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """0 at the low end, 1 at the high one; what lies beyond is cut."""
        ends = (self.low, self.high, value)
        low, high, at = (math.log(v) for v in ends) if self.logarithmic else ends
        return min(max((at - low) / (high - low), 0.0), 1.0)


def text(x: float, y: float, words: str, css: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(words)}</text>'


def frame(title: str, body: str) -> str:
    """A whole picture."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}"><style>{STYLE}</style>{text(LEFT, 22, title, "t")}{body}</svg>\n'
    )


def plot(title: str, x: Axis, y: Axis, lines: Sequence[Line], limit: tuple[float, str] | None = None) -> str:
    """Lines over two axes; names stand where their lines end, moved apart."""

    def at(point: Sequence[float]) -> tuple[float, float]:
        return LEFT + (RIGHT - LEFT) * x.share(point[0]), BOTTOM - (BOTTOM - TOP) * y.share(point[1])

    body = ""
    for value, words in y.ticks:
        height = at((x.low, value))[1]
        body += f'<line x1="{LEFT}" x2="{RIGHT}" y1="{height:.1f}" y2="{height:.1f}" class="g"/>'
        body += text(LEFT - 6, height + 4, words, "s", "end")
    for value, words in x.ticks:
        body += text(at((value, y.low))[0], BOTTOM + 18, words, "s", "middle")
    body += text((LEFT + RIGHT) / 2, BOTTOM + 36, x.words, "s", "middle") + text(LEFT, TOP - 4, y.words, "s")
    if limit:
        height = at((x.low, limit[0]))[1]
        body += f'<line x1="{LEFT}" x2="{RIGHT}" y1="{height:.1f}" y2="{height:.1f}" class="lim"/>'
        body += text(LEFT + 6, height - 5, limit[1], "s")
    free = float(HEIGHT)
    for line in sorted(lines, key=lambda line: -at(line.points[-1])[1]):
        places = [at(point) for point in line.points]
        path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
        free = min(places[-1][1] + 4, free - 17)
        body += f'<path d="{path}" class="l {line.css}"/>' + text(RIGHT + 8, free, line.name, f"n{line.css}")
    return frame(title, body)


def percent_axis(words: str) -> Axis:
    return Axis(words, 0, 1, [(share, f"{100 * share:.0f} %") for share in (0, 0.25, 0.5, 0.75, 1)])


def rows_axis(words: str, values: Sequence[float]) -> Axis:
    return Axis(words, values[0], values[-1], [(value, f"{value:,.0f}") for value in values], logarithmic=True)


def line_of(name: str, figures: dict[str, dict[str, float]], key: str, css: str) -> Line:
    return Line(name, [[float(at), found[key]] for at, found in figures.items()], css)


def draw_drops(figures: dict[str, Any]) -> str:
    """Intervals of the drop, narrower with more labels, each with the verdict it gives."""
    x = rows_axis("labelled rows", LABELS)
    y = Axis("drop of accuracy, 95 % interval", -0.1, 0.25, [(v / 100, f"{v / 100:g}") for v in (-10, 0, 10, 20)])
    words = {"not_enough_evidence": "open", "degraded": "degraded", "severe": "severe", "fine": "fine"}
    body = ""
    for (drop, found), css, shift in zip(figures.items(), "cb", (-7, 7), strict=True):
        for rows, one in found.items():
            place = LEFT + 20 + (RIGHT - LEFT - 40) * x.share(float(rows)) + shift
            ends = [BOTTOM - (BOTTOM - TOP) * y.share(one[key]) for key in ("low", "drop", "high")]
            body += f'<path d="M{place:.1f} {ends[0]:.1f}V{ends[2]:.1f}" class="l {css}"/>'
            body += f'<circle cx="{place:.1f}" cy="{ends[1]:.1f}" r="3.5" class="n{css}"/>'
            up = css == "b"
            body += text(place, ends[2] - 5 if up else ends[0] + 13, words[one["verdict"]], "s", "middle")
        height = BOTTOM - (BOTTOM - TOP) * y.share(float(drop)) + 4
        body += text(RIGHT + 8, height, f"true drop {float(drop):g}", f"n{css}")
    none = Line("", [[LABELS[0], 0.0], [LABELS[-1], 0.0]], "g")
    picture = plot("One and the same drop, seen with more and more labels", x, y, [none], (0.05, ""))
    body += text(RIGHT + 8, BOTTOM - (BOTTOM - TOP) * y.share(0.05) + 4, "limit 0.05", "s")
    return picture.replace("</svg>", body + "</svg>")


def draw_diagnoses() -> str:
    """Four boxes: data the same or drifted, model holds or lost, with the product's own words."""
    body = text(200, 52, "the model holds", "s", "middle") + text(470, 52, "the model lost", "s", "middle")
    for row, drifted in enumerate((False, True)):
        for column, verdict in enumerate(("fine", "severe")):
            left, top = 66 + 270 * column, 64 + 130 * row
            body += f'<rect x="{left}" y="{top}" width="262" height="120" rx="8" class="box"/>'
            head, rest = diagnose(drifted, verdict).split(": ", 1)
            body += text(left + 12, top + 24, head, "t")
            body += "".join(text(left + 12, top + 46 + 18 * k, part) for k, part in enumerate(wrap(rest, 34)))
    for row, words in enumerate(("no drift", "drift")):
        body += f'<g transform="rotate(-90 52 {124 + 130 * row})">{text(52, 124 + 130 * row, words, "s", "middle")}</g>'
    return frame("Four diagnoses", body)


def wrap(words: str, width: int) -> list[str]:
    """Lines of at most so many letters."""
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def draw(figures: dict[str, Any]) -> dict[str, str]:
    """Every picture by file name."""
    rows = rows_axis("rows now (reference 5,000)", SIZES)
    rule, bias, days, leaks = (figures[name] for name in ("drift_rule", "psi", "days", "leak"))
    small = Axis("mean PSI over many columns", 0, 0.25, [(v / 20, f"{v / 20:g}") for v in range(6)])
    spread = Axis("standard deviation of the daily means (rows: 1)", 0, 0.2, [(day, f"{day:g}") for day in DAYS])
    evidence = Axis(
        "evidence (each step a thousand times)",
        1,
        1e12,
        [(10.0**k, words) for k, words in zip((0, 3, 6, 9, 12), ("1", "1e3", "1e6", "1e9", "1e12"), strict=True)],
        logarithmic=True,
    )
    stream = Axis("labelled rows", 0, 20_000, [(5000.0 * k, f"{5000 * k:,}") for k in range(5)])
    return {
        "drift_rule.svg": plot(
            "Twenty columns: false alarms, and a shift of 0.3 sd in one",
            rows,
            percent_axis("share of runs with a drift alarm"),
            [
                line_of("bare rules, no change", rule, "bare", "b"),
                line_of("ours, no change", rule, "clean", "a"),
                line_of("ours, shift in one", rule, "found", "c"),
            ],
        ),
        "psi.svg": plot(
            "PSI of a column in which nothing changed",
            rows,
            small,
            [line_of("as the formula says", bias, "raw", "b"), line_of("without its bias", bias, "unbiased", "a")],
            (0.2, "the usual limit 0.2"),
        ),
        "days.svg": plot(
            "Days that differ a little: clean days found significant",
            spread,
            percent_axis("share of clean days"),
            [
                line_of("rows as if independent", days, "blind", "b"),
                line_of("days of reference known", days, "calibrated", "a"),
            ],
        ),
        "drop.svg": draw_drops(figures["drop"]),
        "leak.svg": plot(
            "Evidence of a slow loss that begins at row 10,000",
            stream,
            evidence,
            [
                Line("no loss" if worse == "0.0" else f"+{100 * float(worse):.0f} points of error", points, css)
                for (worse, points), css in zip(leaks.items(), "acdb", strict=True)
            ],
            (1e5, "limit: 100,000"),
        ),
        "diagnoses.svg": draw_diagnoses(),
    }


def main(argv: list[str] | None = None) -> int:
    """Simulate and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="draw from the kept figures only")
    parser.add_argument("--runs", type=int, default=30, help="simulated runs per point")
    arguments = parser.parse_args(argv)
    kept = FOLDER / "figures.json"
    if not arguments.draw:
        FOLDER.mkdir(exist_ok=True)
        kept.write_text(json.dumps(simulate(arguments.runs), indent=1) + "\n")
    for name, picture in draw(json.loads(kept.read_text())).items():
        (FOLDER / name).write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
