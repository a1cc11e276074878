"""Findings beyond single columns are shown everywhere: text, Markdown, page; and the history says since when."""

import json

import pytest
import report_samples as samples
from jsonschema import Draft202012Validator
from projects import PROJECT

from evergreen.reporting.findings import lines_about_cost
from evergreen.reporting.history import mark_since
from evergreen.reporting.html import render_html
from evergreen.reporting.markdown import render_markdown
from evergreen.reporting.paragraph import summarise
from evergreen.reporting.text import render_text

FOUND = {
    "season": "same weekday",
    "relation": "age and income",
    "classifier": "0.631",
    "estimate": "estimated at 0.829",
    "slice": "plan = free",
    "reweighted": "0.774",
    "excess": "31.4",
    "shadow": "saved 12 wrong decisions",
}


@pytest.mark.parametrize("words", FOUND.values(), ids=FOUND)
@pytest.mark.parametrize("render", [lambda d: render_text(d, width=500), render_markdown, render_html])
def test_every_finding_is_shown_everywhere(render, words):
    shown = render(samples.thorough()).replace("\\", "")
    assert words in shown
    calm = render(samples.full()).replace("\\", "")
    assert words not in calm


def test_the_page_shows_the_evidence_of_a_leak():
    assert "more than the baseline explains since 17 Nov 2026" in render_html(samples.thorough())
    assert "baseline explains" not in render_html(samples.full())


def test_a_drifted_column_says_what_moved_and_since_when():
    page = render_html(samples.thorough())
    assert "median 45 → 57" in page
    assert "<dt>since</dt><dd>18 Nov 2026</dd>" in page
    assert "median 45 → 57" in render_text(samples.thorough(), width=500)
    assert "avg_transaction_value (since 18 Nov 2026)" in summarise(samples.thorough())


def test_the_schema_knows_every_finding():
    schema = json.loads((PROJECT / "docs" / "results.schema.json").read_text())
    check = Draft202012Validator(schema)
    document = samples.thorough()
    assert not [error.message for error in check.iter_errors(document)]
    described = schema["$defs"]["drift"]["properties"]
    assert set(document["drift"]) <= set(described)
    assert set(document["drift"]["performance"]) <= set(schema["$defs"]["performance"]["properties"])
    assert set(document["drift"]["columns"][0]) <= set(schema["$defs"]["column"]["properties"])
    document["drift"]["joint"]["verdict"] = "perhaps"
    assert list(check.iter_errors(document))


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (None, "31.4 wrong decisions more than with a fresh model"),
        ("errors of the best constant", "31.4 errors (each as large as without a model) more than with a fresh model"),
        ("cost", "a cost higher by 31.4 than with a fresh model"),
    ],
)
def test_the_excess_is_told_in_its_own_unit(unit, words):
    document = samples.thorough()
    document["excess"]["unit"] = unit
    assert words in dict(lines_about_cost(document))["excess"]


def test_names_from_the_data_stay_text_in_every_finding():
    document = samples.thorough()
    document["drift"]["joint"]["pairs"][0]["columns"] = ["<script>a", "b|c"]
    document["drift"]["performance"]["slices"][0]["value"] = "<img src=x>"
    page, markdown = render_html(document), render_markdown(document)
    assert "<script>a" not in page and "<img src=x>" not in page
    assert "<script>a" not in markdown.replace("\\<", "") and "b\\|c" in markdown


def run(time, verdict="drift", drifted=("age",), **more):
    return {"time": time, "verdict": verdict, "drifted": list(drifted), **more}


def since(*entries):
    columns = [{"name": "age", "status": "drift"}, {"name": "plan", "status": "no_drift"}]
    marked = mark_since({"columns": columns}, entries)
    assert marked["columns"][1]["since"] is None
    return marked["columns"][0]["since"]


def test_drift_that_goes_on_is_dated_by_the_first_run_that_found_it():
    assert since(run("1"), run("2"), run("3")) == "1"
    assert since(run("1"), run("2", "no_drift", ()), run("3"), run("4")) == "3"
    assert since(run("1"), run("2", drifted=("plan",)), run("3")) == "3"


def test_drift_that_is_new_has_no_date():
    assert since() is None
    assert since(run("1", "no_drift", ())) is None


def test_runs_that_judged_nothing_are_passed_over():
    assert since(run("1"), run("2", None, ()), run("3", "not_enough_evidence", ()), run("4")) == "1"


def test_another_model_begins_a_new_count():
    assert since(run("1"), run("2", deployed=True), run("3")) == "3"
    assert since(run("1", rolled_back=True)) is None
    assert mark_since(None, ()) is None
