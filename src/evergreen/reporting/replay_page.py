"""A replay as one self-contained page: the advice, the table, and each policy's scores over the blocks."""

from collections.abc import Mapping
from typing import Any

from evergreen.reporting import figures, replay_charts, replay_text, words
from evergreen.reporting.documents import showable
from evergreen.reporting.html import render_page


def render_html(document: Mapping[str, Any]) -> str:
    """The page of a replay or of a calibration, as HTML text."""
    shown = showable(document)
    return render_page(
        "replay.html.j2",
        {"f": figures, "charts": replay_charts},
        run=shown,
        replay=_replay_parts(shown.get("replay")),
        calibration=_calibration_parts(shown.get("calibration")),
    )


def _replay_parts(replay: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not replay:
        return None
    policies = replay_text.told_once(replay["policies"])
    head, rows = replay_text.policy_table(replay)
    never = next((each for each in policies if each["name"] == "never"), None)
    span, most = replay_charts.common_span(policies), max(each["cost"] for each in policies)
    return {
        "opening": replay_text.describe(replay),
        "advice": replay["advice"],
        "no_advice": replay["no_advice"],
        "head": head,
        "rows": [(each, row, replay_charts.cost_bar(each, most)) for each, row in zip(policies, rows, strict=True)],
        "panels": [(each["title"], replay_charts.score_panel(each, never, span, replay)) for each in policies],
        "metric": words.metric(replay["metric"]),
    }


def _calibration_parts(calibration: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not calibration:
        return None
    return {"sentences": calibration["sentences"], "tables": replay_text.calibration_tables(calibration)}
