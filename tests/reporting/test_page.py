"""The page of a run: everything in it, nothing from outside, small, readable by everyone, and safe."""

import base64
import hashlib
import itertools
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import report_samples as samples

from evergreen.reporting import charts
from evergreen.reporting.documents import showable
from evergreen.reporting.html import render_html
from evergreen.reporting.markdown import render_markdown

CSS = (Path(__file__).parents[2] / "src/evergreen/reporting/report.css").read_text()
PAYLOADS = [
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "\"><svg onload=window.hacked=1>",
    "' onmouseover='window.hacked=1' x='",
    "</style><script>window.hacked=1</script>",
    "</svg><script>window.hacked=1</script>",
    "</title><script>window.hacked=1</script>",
    "javascript:window.hacked=1",
    "{{ ''.__class__.__mro__ }} {% raw %}",
    "<!--", "]]>", "&lt;b&gt;",
    "=HYPERLINK(\"http://evil.example\")",
    "\x1b[31m\x00\u202e\r\n",
]  # fmt: skip


class Page(HTMLParser):
    """Collects tags with their attributes, checks nesting, and the visible text."""

    VOID = ("meta", "link", "br", "img", "input")
    ALONE = ("path", "circle", "line", "rect")

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.texts = [], [], []
        self.feed(html)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))


def poison(value, payloads):
    """The document with the next payload in every text that could come from a table, a file name or an error."""
    if isinstance(value, dict):
        fixed = ("status", "verdict", "winner", "outcome", "kind", "digest", "run", "format")
        return {key: item if key in fixed else poison(item, payloads) for key, item in value.items()}
    if isinstance(value, list):
        return [poison(item, payloads) for item in value]
    return next(payloads) if isinstance(value, str) else value


@pytest.mark.parametrize(("metric", "words"), [("mae", "MAE"), ("rmse", "RMSE"), ("r2", "R²"), ("roc_auc", "ROC AUC")])
def test_metrics_keep_the_spelling_of_the_field_wherever_they_stand(metric, words):
    document = samples.rejected()
    document["drift"]["performance"] |= {"metric": metric, "scores": {}, "slices": []}
    document["comparison"] |= {"metric": metric, "scores": {}}
    document["comparison"]["reasons"] = [f"{metric} of the challenger is 9.9, of the champion 9.8."]
    text = Page(render_html(document | {"source": "s"})).text
    assert f"{words} on " in text
    assert f"{words} of the challenger is 9.9" in text
    assert metric.capitalize() not in text.replace(words, "")
    markdown = render_markdown(document)
    assert f"| {words} |" in markdown and f"{words} on the same" in markdown


def test_without_a_model_the_target_is_called_the_target():
    judged = {"verdict": "no_drift", "columns": [samples.column("churned")]}
    alone = Page(render_html(samples.bare() | {"target": judged})).text
    assert "The target" in alone and "model predicts" not in alone
    assert "What the model predicts, and what came true" in Page(render_html(samples.full())).text


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_every_kind_of_run_gives_a_whole_page(name):
    html = render_html(samples.SAMPLES[name]())
    page = Page(html)
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert not re.search(r"(?<=[ (>])None\b(?! of the)|\bnan\b|\{\{|\}\}|\{%|Undefined", html.replace(CSS, ""))


def test_the_parts_come_in_the_order_in_which_one_asks():
    html = render_html(samples.full())
    order = [
        *("DATA DRIFT DETECTED!", "2 of 11 columns drifted", "Model and decision", "Columns by impact"),
        *("Data quality", ">Performance<", "Champion and challenger", "Gates of the challenger", "History of runs"),
    ]
    places = [html.index(words) for words in order]
    assert places == sorted(places)


def test_a_bare_comparison_of_two_files_has_no_empty_parts():
    page = Page(render_html(samples.bare()))
    assert "Columns by impact" in page.text
    for absent in ("Performance", "Champion", "Gates", "History", "Model and decision", "Data quality"):
        assert absent not in page.text


def test_the_page_says_what_failed_and_what_was_rejected():
    assert "The fit ran longer than training.timeout = 1h" in render_html(samples.failed())
    rejected = render_html(samples.rejected("latency"))
    assert "✕</span> failed" in rejected
    assert "<details open><summary>Gates of the challenger: 1 of 5 failed" in rejected
    assert "<details><summary>Gates of the challenger: all 5 passed" in render_html(samples.full())
    assert "CHALLENGER REJECTED" in render_html(samples.rejected())


def test_five_hundred_columns_stay_under_two_megabytes_even_when_all_drift():
    assert len(render_html(samples.wide()).encode()) < 600_000
    document = samples.wide()
    document["drift"]["columns"] = [
        samples.column(f"sensor_{i:03d}" * 8, "drift", kind="category", distribution=twelve_categories())
        for i in range(500)
    ]
    assert len(render_html(document).encode()) < 2_000_000


def twelve_categories():
    labels = [f"a category with a long name, number {i}" for i in range(12)]
    return {"kind": "category", "labels": labels, "reference": [1 / 12] * 12, "current": [1 / 12] * 12}


def test_with_hundreds_of_columns_only_those_to_look_at_are_drawn():
    html = render_html(samples.wide())
    assert html.count("<article") == 100 + 2  # drifted, and the model's answers and their truth
    assert "All 500 columns in figures" in html
    assert html.count('<article class="card no_drift"') == 1


def test_the_size_of_a_page_does_not_depend_on_the_number_of_rows():
    document = samples.bare()
    small = len(render_html(document))
    document["current"]["rows"] = 10**12
    assert abs(len(render_html(document)) - small) < 100


def test_nothing_is_loaded_and_nothing_can_run():
    html = render_html(samples.full())
    page = Page(html)
    attributes = [(tag, name, value) for tag, attrs in page.tags for name, value in attrs.items()]
    assert not {"script", "iframe", "object", "embed", "form", "base", "img"} & {tag for tag, _ in page.tags}
    assert not [a for a in attributes if a[1].startswith("on") or a[1] == "style"]
    assert [a for a in attributes if a[1] in ("src", "href")] == [("link", "href", "data:,")]
    assert "http" not in html.replace("http-equiv", "")
    assert not re.search(r"url\(|@import", CSS)


def test_the_content_security_policy_allows_this_style_sheet_and_nothing_else():
    html = render_html(samples.full())
    policy = next(a["content"] for _, a in Page(html).tags if a.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", html, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert "unsafe" not in policy and "script" not in policy


@pytest.mark.parametrize("payload", PAYLOADS)
def test_planted_code_stays_text_wherever_it_stands(payload):
    clean = Page(render_html(poison(samples.full(), itertools.repeat("name"))))
    html = render_html(poison(samples.full(), itertools.repeat(payload)))
    page = Page(html)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in clean.tags]
    assert [sorted(attrs) for _, attrs in page.tags] == [sorted(attrs) for _, attrs in clean.tags]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", html)
    assert not [text for text in page.texts if text.strip().startswith("=")]


def test_every_chart_is_named_for_those_who_can_not_see_it():
    page = Page(render_html(samples.full()))
    for tag, attributes in page.tags:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or (attributes["role"], bool(attributes["aria-label"])) == (
                "img",
                True,
            )
    assert dict(page.tags)["html"] == {"lang": "en"}
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(headings))


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_words_have_enough_contrast_in_light_and_dark(mode):
    blocks = re.findall(r":root \{(.*?)\}", CSS, re.S)
    colors = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[mode == "dark"]))
    words = ["ink", "muted", "drift-word", "watch-word", "calm-word", "odd-word", "cur"]
    for name in words:
        assert contrast(colors[name], colors["paper"]) >= 4.5, name
    for name in ("ink", "muted"):
        assert contrast(colors[name], colors["wash"]) >= 4.5, name
    for mark in ("cur", "drift", "calm", "ref-edge"):  # marks need 3
        assert contrast(colors[mark], colors["paper"]) >= 3, mark


def contrast(one, other):
    """Of WCAG 2.2: (lighter + 0.05) / (darker + 0.05) of the relative luminances."""
    lights = sorted(luminance(color) for color in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colour_is_never_alone():
    """Each status has a shape and a word of its own."""
    from evergreen.reporting.words import MARKS, STATUS_WORDS

    assert len(set(MARKS.values())) == len(MARKS) == len(set(STATUS_WORDS.values()))


# Charts -------------------------------------------------------------------------------------------


def drawn(chart):
    return ET.fromstring(str(chart))


def path_points(path):
    """Corners of a step path as (x, y)."""
    points, y = [], 0.0
    for command, numbers in re.findall(r"([MLHVZ])([\d. -]*)", path):
        values = [float(n) for n in numbers.split()]
        if command in "ML":
            points.append((values[0], y := values[1]))
        elif command == "H":
            points.append((values[0], y))
    return points


def test_a_histogram_is_as_high_as_its_shares():
    shape = {"kind": "number", "edges": [0, 1, 2, 4], "reference": [0.2, 0.6, 0.2], "current": [0.5, 0.5, 0.0]}
    chart = drawn(charts.distribution({"name": "x", "distribution": shape}))
    area, line = (path.get("d") for path in chart.iter("path"))
    base = charts.HEIGHT - 18
    heights = [base - y for _, y in path_points(line)[1::2]]
    assert heights == pytest.approx([(base - 4) * 0.5 / 0.6, (base - 4) * 0.5 / 0.6, 0], abs=0.1)
    assert [x for x, _ in path_points(area)[1:7]] == [0, 75, 75, 150, 150, 300]  # to scale
    assert [text.text for text in chart.iter("text")] == ["0", "4"]


def test_a_dumbbell_shows_before_hollow_and_after_filled():
    shape = {"kind": "category", "labels": ["a", "b"], "reference": [0.8, 0.2], "current": [0.4, 0.6]}
    chart = drawn(charts.distribution({"name": "x", "distribution": shape}))
    dots = [(dot.get("class"), float(dot.get("cx"))) for dot in chart.iter("circle")]
    assert [css for css, _ in dots] == ["ref-dot", "cur-dot"] * 2
    zero, scale = charts.LABEL_WIDTH + 4, (charts.WIDTH - charts.LABEL_WIDTH - 12) / 0.8
    assert [(x - zero) / scale for _, x in dots] == pytest.approx([0.8, 0.4, 0.2, 0.6], abs=0.001)
    assert chart.get("aria-label").endswith("a 80% then 40%; b 20% then 60%")


@pytest.mark.parametrize(
    "shape",
    [
        None,
        {"kind": "category", "labels": [], "reference": [], "current": []},
        {"kind": "number", "edges": [], "reference": [], "current": []},
    ],
)
def test_a_column_without_a_distribution_has_no_chart(shape):
    assert charts.distribution({"name": "x", "distribution": shape}) == ""


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_column_with_one_value_can_be_drawn(share):
    shape = {"kind": "number", "edges": [3.0, 3.0], "reference": [share], "current": [share]}
    drawn(charts.distribution({"name": "x", "distribution": shape}))
    shape = {"kind": "category", "labels": ["a"], "reference": [share], "current": [share]}
    drawn(charts.distribution({"name": "x", "distribution": shape}))


def test_scores_over_time_stand_at_their_values_between_baseline_and_floor():
    chart = drawn(charts.scores_over_time(samples.performance()))
    marks = {line.get("class"): float(line.get("y1")) for line in chart.iter("line")}
    dots = [float(dot.get("cy")) for dot in chart.iter("circle")]
    assert len(dots) == 7
    assert dots[0] == pytest.approx(marks["baseline"], abs=4)  # 0.842 by 0.845
    assert dots[3] == pytest.approx(marks["floor"], abs=2)  # 0.801 by 0.800
    assert dots[6] > marks["floor"] > marks["baseline"]  # lower scores are lower on the page
    assert "0.842 (0.811 to 0.871), 640 rows" in chart.find("g/title").text


def test_blocks_without_a_score_are_left_out():
    performance = samples.performance()
    performance["blocks"] = [performance["blocks"][0] | {"value": None, "interval": None}]
    assert charts.scores_over_time(performance) == ""
    performance["blocks"] = [performance["blocks"][0] | {"value": 0.8}]
    assert len(list(drawn(charts.scores_over_time(performance)).iter("circle"))) == 1


@pytest.mark.parametrize(
    ("interval", "css"), [([0.01, 0.05], "better"), ([-0.05, -0.01], "worse"), ([-0.01, 0.05], "open"), (None, "open")]
)
def test_a_gain_is_marked_as_sure_only_when_its_interval_says_so(interval, css):
    chart = drawn(charts.gain_row({"gain": 0.02, "interval": interval}, 0.1))
    dot = next(chart.iter("circle"))
    assert dot.get("class") == f"gain {css}"
    assert float(dot.get("cx")) == pytest.approx(120 + 110 * 0.2)


def test_the_strip_of_runs_has_one_mark_a_run_by_shape():
    runs = [
        {"verdict": "drift", "retrained": True, "deployed": True},
        {"verdict": "no_drift", "rolled_back": True},
        {"verdict": "not_enough_evidence"},
        {"verdict": None, "failed": True},
        {"verdict": "drift", "retrained": True, "deployed": False},
    ]
    chart = drawn(charts.verdict_strip(runs))
    shapes = [[(mark.tag, mark.get("class")) for mark in list(group)[1:]] for group in chart.iter("g")]
    assert shapes == [
        [("rect", "drift"), ("path", "deployed")],
        [("rect", "calm"), ("path", "deployed")],
        [("circle", "unknown")],
        [("path", "failed")],
        [("rect", "drift"), ("path", "rejected")],
    ]


def test_a_baseline_holds_until_the_next_model_has_its_own():
    runs = [{"score": 0.8, "baseline": 0.8}, {"score": None, "baseline": 0.9}, {"score": 0.7, "baseline": 0.9}]
    baseline, scores = drawn(charts.trend(runs, "score", "baseline")).iter("path")
    corners = [tuple(map(float, spot.split())) for spot in baseline.get("d")[1:].split("L")]
    assert [x for x, _ in corners] == [8, 150, 150, 292, 292]
    assert corners[0][1] == corners[1][1] > corners[2][1] == corners[4][1]
    assert scores.get("d").count("L") == 1  # a run without a score is a gap, not a zero


@pytest.mark.parametrize("runs", [0, 1, 2, 365])
def test_any_length_of_history_can_be_drawn(runs):
    history = samples.history(runs)
    Page(render_html(samples.full() | {"history": history}))
    if runs:
        shown = showable({"history": history})["history"]["runs"]
        drawn(charts.trend(shown, "score", "baseline"))
        assert charts.trend([{"score": None}], "score") == ""
        assert charts.bars([{"rows": None}, {"rows": 0}], "rows", str) == ""
