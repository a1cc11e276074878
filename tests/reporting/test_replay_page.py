"""A replay as text and as a page: each policy once, metrics by their names, bars beside their figures."""

import re

from evergreen.reporting.replay_page import render_html
from evergreen.reporting.replay_text import render_text


def policy(name, title, period, cost, *, hindsight=False):
    blocks = {"score": [20.0, 30.0], "retrained": [5], "deployed": [5], "shadow": []}
    counts = dict.fromkeys(("retrains", "deployed", "shadow_trainings", "false_alarms"), 1)
    facts = {
        "hindsight": hindsight,
        "period": period,
        "score": 25.0,
        "cost": cost,
        "decisions": cost - 20,
        "ratio": 1.0,
    }
    return {"name": name, "title": title, **facts, **counts, "by_block": blocks}


def document(*policies):
    past = {
        "source": "rows.csv",
        "rows": 6000,
        "blocks": 6,
        "first_block": 4,
        "block": "1,000 rows",
        "late_blocks": 0.0,
    }
    scale = {"starts": [4000, 5000], "metric": "mae", "cost_unit": "wrong decisions", "retrain_cost": 20.0}
    return {"replay": {**past, **scale, "policies": policies, "advice": None, "no_advice": ""}}


BEST = policy("hindsight", "best fixed period in hindsight: every 5 blocks", 5, 60.0, hindsight=True)
PRESET, FIVE, NEVER = (
    policy("cost", "preset cost", None, 50.0),
    policy("every-5", "every 5 blocks", 5, 60.0),
    policy("never", "never", 0, 90.0),
)


def test_the_best_period_is_one_row_and_one_plot_where_it_was_played():
    made = document(PRESET, FIVE, BEST, NEVER)
    text, page = render_text(made), render_html(made)
    for shown in (text, page):
        assert "every 5 blocks: best fixed period in hindsight" in shown
        assert "best fixed period in hindsight: every 5 blocks" not in shown
    assert page.count("<h3>") == 3
    assert sum(line.startswith("every 5 blocks") for line in text.splitlines()) == 1


def test_the_best_period_has_a_row_of_its_own_where_nobody_played_it():
    made = document(PRESET, BEST, NEVER)
    assert "best fixed period in hindsight: every 5 blocks" in render_text(made)
    assert render_html(made).count("<h3>") == 3


def test_a_metric_is_written_as_people_write_it():
    made = document(PRESET, NEVER)
    page = render_html(made)
    assert "MAE over the blocks" in page
    assert "mean MAE 25," in page
    assert not re.search(r"\b[Mm]ae\b", page)
    assert re.search(r"^policy +MAE ", render_text(made), re.MULTILINE)


def test_bars_stand_in_the_middle_of_their_rows_and_figures_to_the_right():
    page = render_html(document(PRESET, NEVER))
    assert page.count('<td class="drawn"><svg') == 2
    assert re.search(r"\.drawn \{ vertical-align: middle; \}", page)
    assert '<td class="n">50</td>' in page
    assert '<th scope="col" class="n">cost</th>' in page
