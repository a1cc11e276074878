"""A replay, or a calibration, as plain lines for a terminal, cron and grep."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from evergreen.reporting import figures, words
from evergreen.reporting.documents import showable

WIDTH = 100
Row = Sequence[str]


def render_text(document: Mapping[str, Any]) -> str:
    """The table of policies and the advice, or what a calibration found."""
    shown = showable(document)
    parts = []
    if replay := shown.get("replay"):
        parts += [_opening(replay), table(*policy_table(replay)), _advice(replay)]
    if calibration := shown.get("calibration"):
        parts += [_fold(sentence) for sentence in calibration["sentences"]]
        parts += [table(*each) for each in calibration_tables(calibration)]
    return "\n\n".join(part for part in parts if part)


def _fold(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)


def _opening(replay: Mapping[str, Any]) -> str:
    return _fold(describe(replay))


def describe(replay: Mapping[str, Any]) -> str:
    """What was played, in a sentence or two."""
    played = replay["blocks"] - replay["first_block"]
    late = f", labels {figures.counted(round(replay['late_blocks']), 'block')} late" if replay["late_blocks"] else ""
    return (
        f"{replay['source']}: {replay['rows']:,} rows in {replay['blocks']} blocks of {replay['block']}; "
        f"{played} of them played, after a first model that all policies share{late}. Cost counts "
        f"{replay['cost_unit']}, and {replay['retrain_cost']:g} for each retraining."
    )


def told_once(policies: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The policies; where the fixed period that hindsight would have chosen was played, it says so of itself."""
    best = next((each for each in policies if each["hindsight"]), None)
    played = [each for each in policies if not each["hindsight"]]
    if best is None or best["period"] not in [each["period"] for each in played]:
        return list(policies)
    said = ": best fixed period in hindsight"
    return [{**each, "title": each["title"] + said * (each["period"] == best["period"])} for each in played]


def policy_table(replay: Mapping[str, Any]) -> tuple[Row, Sequence[Row]]:
    """Head and rows, the cheapest policy first."""
    metric = words.metric(replay["metric"])
    head = ("policy", metric, "retrains", "deployed", "false alarms", "in shadow", "cost", "ratio")
    rows = [
        (
            each["title"],
            figures.score(each["score"]),
            str(each["retrains"]),
            str(each["deployed"]),
            str(each["false_alarms"]),
            str(each["shadow_trainings"]),
            f"{each['cost']:,.0f}",
            "" if each["ratio"] is None else f"{each['ratio']:.3f}",
        )
        for each in told_once(replay["policies"])
    ]
    return head, rows


def calibration_tables(calibration: Mapping[str, Any]) -> list[tuple[Row, Sequence[Row]]]:
    """False alarms, and smallest shifts where there was a block to look for them in."""
    return [alarm_table(calibration), *([shift_table(calibration)] if calibration["shifts"] else [])]


def alarm_table(calibration: Mapping[str, Any]) -> tuple[Row, Sequence[Row]]:
    """False alarms to expect from each setting; a dash where no run could have given one."""
    head = ("setting", f"false alarms per {calibration['per']}", "at most", "runs", "with alarm")
    rows = [
        (
            each["title"],
            figures.number(each["expected"], 2),
            figures.number(each["at_most"], 2),
            str(each["runs"]),
            str(each["alarms"]),
        )
        for each in calibration["settings"]
    ]
    return head, rows


def shift_table(calibration: Mapping[str, Any]) -> tuple[Row, Sequence[Row]]:
    """The smallest shift that each column would show."""
    return ("column", "smallest shift seen in 80 % of the blocks"), [
        (each["column"], each["words"]) for each in calibration["shifts"]
    ]


def table(head: Row, rows: Sequence[Row]) -> str:
    """Columns side by side: the first to the left, the others to the right."""
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]

    def line(row: Row) -> str:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "  ".join([row[0].ljust(widths[0]), *cells]).rstrip()

    return "\n".join([line(head), "-" * len(line(head)), *map(line, rows)])


def _advice(replay: Mapping[str, Any]) -> str:
    advice = replay["advice"]
    if not advice:
        return _fold(f"NO RECOMMENDATION: {replay['no_advice']}") if replay["no_advice"] else ""
    lines = "\n".join(f"    {line}" for line in advice["lines"])
    return f"RECOMMENDED: {advice['title']}\n{_fold(' '.join(advice['reasons']))}\n\nFor config.toml:\n{lines}"
