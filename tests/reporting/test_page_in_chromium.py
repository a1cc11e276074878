"""The page in a real browser: no request, no error, no script, no sideways scrolling on a phone."""

import importlib.util
import itertools
import shutil
from pathlib import Path

import pytest
import report_samples as samples

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine"),
    pytest.mark.skipif(not importlib.util.find_spec("playwright"), reason="playwright is not installed"),
]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a document's page in a window; returns the page, the requests it made and what its console said."""
    from evergreen.reporting.html import render_html

    contexts = []

    def open_page(document, width=1280, **context_options):
        path = Path(tmp_path) / "page.html"
        path.write_text(render_html(document))
        context = browser.new_context(viewport={"width": width, "height": 800}, **context_options)
        contexts.append(context)
        page, requests, said = context.new_page(), [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        return page, requests, said

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_a_page_loads_nothing_says_nothing_and_fits_every_window(visit, name):
    page, requests, said = visit(samples.SAMPLES[name]())
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in requests if url.startswith("file:")]) == 1
    assert said == []
    assert page.evaluate("getComputedStyle(document.body).maxWidth") != "none"  # the policy let the style sheet in
    for width in (1280, 390, 320):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_long_names_do_not_push_a_phone_sideways(visit):
    document = samples.full()
    document["drift"]["columns"][0]["name"] = "x" * 400
    document["source"] = "s3://" + "y" * 300
    document["training"]["estimator"] = "z" * 200
    document["failure"] = {"kind": "DataError", "message": "w" * 500}
    page, _, _ = visit(document, 390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_planted_code_does_not_run(visit):
    from test_page import PAYLOADS, poison

    for start in range(3):  # each text of the document gets another payload, and another one on the next page
        payloads = itertools.islice(itertools.cycle(PAYLOADS), start, None)
        page, requests, said = visit(poison(samples.full(), payloads))
        page.hover("h1")
        assert page.evaluate("typeof window.hacked") == "undefined"
        assert page.evaluate("document.scripts.length") == 0
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
        assert said == []


def test_even_code_that_got_into_the_page_would_be_stopped_by_its_policy(visit, browser, tmp_path):
    from evergreen.reporting.html import render_html

    path = Path(tmp_path) / "broken.html"
    path.write_text(render_html(samples.full()).replace("</h1>", "</h1><script>window.hacked=1</script>"))
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("typeof window.hacked") == "undefined"
    page.close()


def test_the_dark_has_its_own_colours_and_paper_shows_what_was_folded(visit):
    page, _, _ = visit(samples.full(), color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 25, 28)"
    page, _, _ = visit(samples.full())
    table = page.locator("details table").first
    assert not table.is_visible()
    page.emulate_media(media="print")
    assert table.bounding_box()["height"] > 100
