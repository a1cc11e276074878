"""What a run says on a screen, in a log and in a pull request."""

import io
import re
import subprocess
import sys

import pytest
import report_samples as samples
from rich.console import Console

from evergreen.reporting.documents import showable
from evergreen.reporting.html import render_html
from evergreen.reporting.markdown import github_outputs, render_markdown
from evergreen.reporting.paragraph import summarise
from evergreen.reporting.text import print_rich, render_text
from evergreen.reporting.words import RELATIVE, headlines, title

PAYLOADS = [
    "<script>alert(1)</script>",
    "=HYPERLINK(\"http://evil\",\"x\")",
    "a|b|c",
    "[x](javascript:alert(1))",
    "![x](http://evil/p.png)",
    "`code` *bold* _it_ ~~s~~",
    "line\nbreak\r\n# heading",
    "\x1b[31mred\x1b[0m \x00 \u202etxt",
    "https://evil.example www.evil.example @everyone",
    "{{ 7*7 }} ${7*7} %s",
]  # fmt: skip


def rich_text(document, **options):
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    print_rich(document, console, **options)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full", ["DATA DRIFT DETECTED!", "PREDICTION DRIFT DETECTED!", "PERFORMANCE DRIFT DETECTED!"]),
        ("bare", ["DATA DRIFT DETECTED!", "RETRAINING RECOMMENDED"]),
        ("quiet", ["NO DRIFT DETECTED"]),
        ("nothing_new", ["NOTHING NEW"]),
        ("first_run", ["FIRST MODEL DEPLOYED"]),
        ("failed", ["RUN FAILED!"]),
        ("bad_data", ["BAD DATA!"]),
        ("waiting", ["CHALLENGER WAITS FOR APPROVAL"]),
        ("by_hand", ["NEW MODEL DEPLOYED"]),
        ("rejected", ["CHALLENGER REJECTED"]),
    ],
)
def test_the_words_that_users_know_come_first(name, expected):
    from evergreen.reporting.documents import as_run_document

    found = headlines(as_run_document(samples.SAMPLES[name]()))
    assert [words for words in found if words in expected] == expected
    assert render_text(samples.SAMPLES[name](), width=200).splitlines()[0] == "  ".join(found)


def test_a_calm_run_claims_nothing_alarming():
    text = render_text(samples.quiet())
    assert not re.search("DETECTED!|RECOMMENDED|FAILED|REJECTED|DEPLOYED", text)


def test_prediction_drift_alone_is_named_and_never_called_no_drift():
    document = samples.quiet()
    document["drift"]["predictions"]["verdict"] = "drift"
    document["drift"]["retraining_recommended"] = True
    assert headlines(document) == ["PREDICTION DRIFT DETECTED!", "RETRAINING RECOMMENDED"]
    assert "answers differently" in summarise(document)
    assert title(document) == "The model answers differently"


@pytest.mark.parametrize(
    ("verdict", "performance", "expected"),
    [
        ("drift", "severe", "The data drifted and the model got worse"),
        ("drift", "fine", "The data drifted, the model holds"),
        ("no_drift", "degraded", "The model got worse on unmoved data"),
        ("no_drift", "fine", "No drift"),
        ("not_enough_evidence", None, "Not enough evidence yet"),
    ],
)
def test_the_title_tells_drift_with_and_without_loss_apart(verdict, performance, expected):
    document = samples.quiet()
    document["drift"]["verdict"] = verdict
    if performance:
        document["drift"]["performance"]["verdict"] = performance
    else:
        document["drift"]["performance"] = None
    assert title(document) == expected


def test_the_paragraph_tells_the_whole_story_of_a_deploy():
    assert summarise(samples.full()) == (
        "2 of 11 columns drifted in 4,652 new rows: avg_transaction_value and plan, which carry 46% of what the model "
        "relies on. On 4,512 labelled rows accuracy is 0.781 (0.769 to 0.793), against a baseline of 0.845: surely "
        "worse than its baseline. A challenger was trained on 20,140 rows in 3.1 s; on the same 4,000 rows its "
        "accuracy is 0.824 against 0.781 (gain +0.043, +0.031 to +0.055). It is live now, as version 8. "
        "To take it back: python src/rollout.py rollback."
    )


def test_the_paragraph_says_why_nothing_was_deployed():
    assert "The champion stays live" in summarise(samples.rejected())
    assert "failed at the gate latency: 95 % of single rows within 4.1 ms" in summarise(samples.rejected("latency"))
    assert "The run failed: The fit ran longer than" in summarise(samples.failed())
    waiting = samples.waiting()
    assert "It waits for approval" in summarise(waiting)
    assert summarise(samples.bad_data()).startswith(
        "The data can't be trusted, so nothing is trained: income: the column is missing"
    )
    assert "No retraining is needed" not in summarise(samples.bad_data())
    assert "CHALLENGER WAITS FOR APPROVAL" in headlines(waiting)


def decided(**decision):
    undecided = {"retrain": False, "recommended": False, "wanted": False, "mode": "auto", "reasons": [], "blocked": []}
    return samples.quiet() | {"decision": undecided | decision}


def test_the_paragraph_says_why_nothing_was_trained():
    held = decided(wanted=True, blocked=["Cooling down: 1 of 3 runs have passed.", "The budget is used up."])
    assert (
        "Retraining is wanted but held back: cooling down: 1 of 3 runs have passed. The budget is used up."
        in summarise(held)
    )
    advised = decided(wanted=True, recommended=True, mode="advise")
    assert "Retraining is recommended only: mode advise trains nothing by itself." in summarise(advised)
    for wanted in (held, advised):
        assert "RETRAINING RECOMMENDED" in headlines(wanted)
        assert "No retraining is needed" not in summarise(wanted)
    assert "No retraining is needed." in summarise(decided())
    assert "No rows or labels have come since the last run." in summarise(decided() | {"news": False})


def test_drift_that_the_policy_does_not_act_on_is_not_called_no_need():
    document = samples.full() | {"training": None, "comparison": None, "deployed": False}
    document["decision"] = decided()["decision"]
    assert "RETRAINING RECOMMENDED" in headlines(document)
    assert "The policy does not ask for retraining yet." in summarise(document)


def test_a_run_without_new_rows_is_nothing_new_and_no_lack_of_evidence():
    document = decided()
    document["drift"] |= {"verdict": "not_enough_evidence", "performance": samples.performance()}
    document["drift"]["current"] |= {"rows": 0}
    document["drift"]["performance"] |= {"verdict": "not_enough_evidence", "current": None, "labelled_rows": 0}
    assert headlines(document) == ["NOTHING NEW"]
    assert title(document) == "Nothing new"
    assert summarise(document) == "No new rows since the live model's last. Nothing has to be done."
    document |= {"first_model": samples.training(), "deployed": True}
    assert headlines(document) == ["FIRST MODEL DEPLOYED"]
    assert title(document) == "The first model is live"


@pytest.mark.parametrize(
    ("document", "left"),
    [
        (samples.failed(), "mend the cause and run again."),
        (samples.bad_data(), "Mend the data, or set the limit that is named; version 7 goes on answering."),
        (samples.full() | {"deployed": False, "rolled_back": True}, "the next run looks at it with fresh eyes."),
        (samples.full(), "To take it back: python src/rollout.py rollback."),
        (samples.rejected(), "Nothing has to be done."),
    ],
    ids=["failed", "bad data", "rolled back", "deployed", "rejected"],
)
def test_the_paragraph_ends_with_what_is_left_to_do(document, left):
    assert summarise(showable(document)).endswith(left)


def test_the_paragraph_of_a_first_run_says_how_good_the_model_is():
    assert summarise(samples.first_run()) == (
        "The first model was trained on 20,140 rows: accuracy 0.860 (0.839 to 0.879) on 1,200 newest rows kept aside. "
        "It is live now, as version 1. Nothing has to be done."
    )
    document = samples.first_run()
    document["first_model"]["baseline"] = {}
    assert summarise(document).startswith("The first model was trained on 20,140 rows. ")


def test_a_dry_run_says_so_first_and_shows_no_report():
    text = render_text(samples.full() | {"dry_run": True, "report": "reports/latest.html"})
    assert text.startswith("DRY RUN, NOTHING WAS CHANGED  DATA DRIFT DETECTED!")
    assert "reports/latest.html" not in text


def rolled_back():
    return samples.quiet() | {"rolled_back": True, "deployed": False}


@pytest.mark.parametrize(
    ("document", "headline", "title_", "sentence"),
    [
        (
            samples.full(),
            "NEW MODEL WOULD BE DEPLOYED",
            "a better one would be live",
            "It would be live now, as version 8.",
        ),
        (samples.first_run(), "FIRST MODEL WOULD BE DEPLOYED", "first model would be live", "It would be live now"),
        (
            samples.waiting(),
            "CHALLENGER WOULD WAIT FOR APPROVAL",
            "would wait for approval",
            "It would wait for approval",
        ),
        (
            samples.rejected(),
            "CHALLENGER WOULD BE REJECTED",
            "challenger would not be let in",
            "The champion stays live.",
        ),
        (
            rolled_back(),
            "WOULD ROLL BACK TO THE PREVIOUS MODEL",
            "The previous model would be back",
            "would be live again",
        ),
    ],
    ids=["deployed", "first", "staged", "rejected", "rolled back"],
)
def test_a_dry_run_tells_what_would_have_been_done_and_claims_nothing(document, headline, title_, sentence):
    shown = document | {"dry_run": True}
    assert title_ in title(shown)
    for form in (render_text(shown, width=10_000), render_markdown(shown), render_html(shown | {"history": None})):
        assert headline in form and sentence in form
        for claim in (
            " is live",
            "rollout.py",
            "MODEL DEPLOYED",
            "was rejected",
            "not let in",
            "ed back to",
            "MODEL REJ",
        ):
            assert claim not in form
        done = "stays live" not in sentence
        assert ("Nothing was changed; without --dry-run it is done." in form.replace("\\", "")) == done


def test_a_dry_run_calls_no_model_live_that_is_not():
    shown = samples.full() | {"dry_run": True, "history": None}
    assert re.search(r"^model +version 8 \(\w{12}\), would be live$", render_text(shown), re.MULTILINE)
    assert "would be live\\: version 8" in render_markdown(shown)
    page = render_html(shown)
    assert "Would be live" in page and "Live now" not in page and "Live model" not in page
    kept = samples.quiet() | {"dry_run": True}
    assert "live since 2 Oct 2026" in render_text(kept) and "Live now" in render_html(kept)


def test_a_failure_with_several_problems_says_all_of_them():
    document = samples.failed() | {"failure": {"kind": "DataError", "message": "a is missing.\nb is text.\n"}}
    assert "The run failed: a is missing. b is text." in summarise(showable(document))
    assert "failure      DataError: a is missing. b is text." in render_text(document)


def test_errors_are_reported_as_shares_of_their_baseline_scores_as_they_are():
    document = samples.full()
    document["drift"]["performance"] |= {"metric": "log_loss", "baseline": 0.37, "current": 0.98, "drop": 1.65}
    document["drift"]["performance"] |= {"higher_is_better": False}
    document["comparison"] |= {"metric": "log_loss", "gain": 0.543, "interval": [-0.01, 0.6]}
    assert "baseline 0.370, worse by 165%" in render_text(document, width=200)
    assert "gain +54.3% (-1.0% to +60.0%)" in render_text(document, width=200)
    assert "gain +54.3%, -1.0% to +60.0%" in summarise(document)
    assert "drop 0.064" in render_text(samples.full())
    document["drift"]["performance"] |= {"drop": -0.1}
    assert "better by 10%" in render_text(document, width=200)


def test_the_metrics_written_in_percent_are_those_judged_by_shares():
    from evergreen.scoring.metrics import METRICS

    assert {name for name, metric in METRICS.items() if metric.relative} == RELATIVE


def test_the_paragraph_says_why_the_champion_stays():
    assert "Gain 0.002 is below 0.010. The champion stays live." in summarise(samples.rejected())
    document = samples.rejected()
    document["comparison"]["reasons"] = ["a", "The gain may be luck: p = 0.3. The champion stays."]
    assert "). The gain may be luck: p = 0.3. The champion stays live." in summarise(document)


def test_one_column_is_one_column_and_what_is_not_judged_is_not_counted():
    document = samples.quiet()
    document["drift"]["columns"] = [samples.column("a"), samples.column("b", "skipped"), samples.column("c", "invalid")]
    assert summarise(document).startswith("The only column did not drift in 4,652 new rows.")
    document["drift"]["columns"] += [samples.column(f"d{i}") for i in range(1499)]
    assert summarise(document).startswith("None of the 1,500 columns drifted in 4,652 new rows.")


def test_a_normal_run_fits_a_screen_and_no_line_is_wider_than_asked():
    for name in ("full", "quiet", "bare", "wide"):
        lines = render_text(samples.SAMPLES[name](), width=100).splitlines()
        assert len(lines) <= 48, name
        assert max(map(len, lines)) <= 100, name


def test_columns_without_drift_are_one_line_until_asked_for():
    text = render_text(samples.full())
    assert "columns      7 no drift: " in text
    assert "column       drift    avg_transaction_value" in text
    assert len(re.findall("(?m)^column  ", text)) == 3
    assert len(re.findall("(?m)^column  ", render_text(samples.full(), verbose=True))) == 12


def test_hundreds_of_drifted_columns_are_counted_not_listed():
    text = render_text(samples.wide())
    assert "columns      88 more with drift or to watch" in text
    assert "400 no drift: sensor_001" in text


def test_every_line_of_the_details_starts_with_a_word_to_grep_for():
    details = render_text(samples.full()).split("\n\n")[1]
    labels = {line[:13].strip() for line in details.splitlines() if not line.startswith(" ")}
    assert labels == {
        *("reason", "reference", "current", "column", "columns", "predictions", "target", "quality", "performance"),
        *("decision", "training", "gate", "comparison", "deploy", "model", "run"),
    }


def test_the_last_line_says_where_the_report_is():
    text = render_text(samples.full() | {"report": "reports/latest.html"})
    assert text.splitlines()[-1] == "report       reports/latest.html"


def test_a_reason_is_said_once():
    document = samples.full()
    document["drift"]["reasons"] = document["drift"]["performance"]["reasons"]
    assert render_text(document).count("fell by 0.064") == 1


def test_plain_lines_have_no_colour_and_no_boxes():
    text = render_text(samples.full())
    assert not re.search("[\x1b\u2500-\u259f]", text)


def test_the_terminal_shows_the_same_verdict_paragraph_and_columns():
    shown = rich_text(samples.full())
    assert shown.startswith("DATA DRIFT DETECTED!")
    assert "avg_transaction_value" in shown and "41%" in shown and "waits" not in shown
    assert "sessions_per_week" not in shown
    assert "sessions_per_week" in rich_text(samples.full(), verbose=True)


@pytest.mark.parametrize("name", samples.SAMPLES)
@pytest.mark.parametrize("render", [render_text, render_markdown, rich_text])
def test_every_kind_of_run_can_be_shown(name, render):
    text = render(samples.SAMPLES[name]())
    assert text.strip()
    assert not re.search(r"(?<=[ (,:])None\b(?!\s+of)|\bnan\b|\{|\}", text)


def test_a_run_with_only_what_must_be_there_can_be_shown():
    document = {"format": 1, "verdict": "drift", "reasons": ["a drifted"], "retraining_recommended": True}
    document |= {"reference": {"rows": 5, "source": "a"}, "current": {"rows": 6, "source": "b"}, "quality": []}
    document |= {"columns": [{"name": "a", "status": "drift"}], "joint": None, "predictions": None, "performance": None}
    assert "1 of 1 column drifted in 6 new rows: a." in render_text(document)
    assert "| a |" in render_markdown(document)


def poisoned(payload):
    document = samples.full()
    drift = document["drift"]
    drift["columns"][0] |= {"name": payload, "reason": payload}
    drift["columns"][2]["distribution"] = samples.category_shape() | {"labels": [payload] * 5}
    drift["quality"][0] |= {"text": payload, "column": payload}
    drift["reasons"] = [payload]
    document["source"] = payload
    document["comparison"]["slices"][0] |= {"column": payload, "value": payload, "verdict": "worse"}
    document["comparison"]["forced"] = {"by": payload, "why": payload}
    document["failure"] = {"kind": "DataError", "message": payload}
    return document


@pytest.mark.parametrize("payload", PAYLOADS)
def test_names_and_values_can_not_forge_lines_colours_or_formulas_on_a_screen(payload):
    clean = len(render_text(poisoned("name"), width=10_000).splitlines())
    text = render_text(poisoned(payload), width=10_000)
    assert len(text.splitlines()) == clean
    for shown in (text, rich_text(poisoned(payload))):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]", shown)
        assert not re.search(r"(?m)(^|\s{2,})=HYPERLINK", shown)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_names_and_values_can_not_become_markdown(payload):
    text = render_markdown(poisoned(payload))
    assert len(text.splitlines()) == len(render_markdown(poisoned("name")).splitlines())
    tables = [line for line in text.splitlines() if line.startswith("|")]
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in tables}
    assert cells == {4, 5, 7}  # gates, scores, columns: no payload has opened a cell of its own
    bare = re.sub(r"\\.", "", text)  # without what is escaped, nothing of any payload's markup is left
    assert not re.search(r"<(?!/?sub>)|\]\(|!\[|javascript:|https?:|\*\*|@everyone|www\.", bare)


def test_the_markdown_of_a_run_reads_well():
    text = render_markdown(samples.full())
    assert text.startswith("## DATA DRIFT DETECTED! · ")
    assert "| avg\\_transaction\\_value | ▲ drift | KS 0.312 \\(limit 0.100\\) | \\< 0.0001 |" in text
    assert "7 columns without drift; 2 more" not in text  # what is not judged is in the table
    assert "### Comparison: the challenger wins" in text


def test_the_outputs_of_a_github_step():
    assert github_outputs(samples.full()) == {
        **{"drift": "drift", "retrained": "true", "deployed": "true", "model_digest": samples.CHALLENGER}
    }
    assert github_outputs(samples.nothing_new()) == {
        **{"drift": "", "retrained": "false", "deployed": "false", "model_digest": samples.DIGEST}
    }
    assert github_outputs(samples.bare())["drift"] == "drift"


def test_an_output_can_not_smuggle_in_a_second_one():
    outputs = github_outputs(samples.full() | {"model": {"digest": "ab\ndeployed=true"}})
    assert "\n" not in "".join(outputs.values())


def test_showing_a_result_loads_none_of_the_heavy_libraries():
    code = (
        "import sys; sys.path[:0] = ['src', 'tests/reporting']; import report_samples as s\n"
        "from evergreen.reporting.text import render_text; from evergreen.reporting.documents import to_json\n"
        "render_text(s.full()); to_json(s.full())\n"
        "heavy = ('pandas', 'numpy', 'sklearn', 'scipy', 'rich', 'jinja2', 'apprise', 'pydantic')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
