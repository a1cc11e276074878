"""The document of a run is strict JSON of a published shape, and its files come and go as promised."""

import json
import math
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
import report_samples as samples

from evergreen.errors import UsageError
from evergreen.reporting.documents import as_run_document, plain, showable, to_json
from evergreen.reporting.publish import write_reports

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "results.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
RUN = "20261121T200939Z-1a2b"


def test_the_schema_is_a_valid_schema_itself():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_every_kind_of_run_fits_the_published_schema(name):
    VALIDATOR.validate(json.loads(to_json(samples.SAMPLES[name]())))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d["drift"].update(verdict="maybe"),
        lambda d: d["drift"]["columns"][0].update(effect="large"),
        lambda d: d["drift"]["columns"][0].update(p_value=1.5),
        lambda d: d["drift"]["columns"][0].pop("status"),
        lambda d: d["comparison"].update(interval=[0.1]),
        lambda d: d["comparison"].update(winner="nobody"),
        lambda d: d["training"].update(digest="../../etc/passwd"),
        lambda d: d.update(deployed="yes"),
        lambda d: d.pop("model"),
        lambda d: d["training"].update(outcome="maybe"),
    ],
)
def test_the_schema_refuses_a_wrong_type_and_a_missing_key(spoil):
    document = samples.full()
    spoil(document)
    assert list(VALIDATOR.iter_errors(json.loads(to_json(document))))


def test_the_schema_lets_later_versions_add_keys():
    VALIDATOR.validate(json.loads(to_json(samples.full() | {"rollout": {"stage": 5}})))


def test_numbers_that_json_does_not_know_become_null_and_foreign_types_plain_ones():
    class Color(Enum):
        RED = "red"

    found = json.loads(
        to_json(
            {
                **{
                    "nan": math.nan,
                    "inf": -math.inf,
                    "np_nan": np.float64("nan"),
                    "np": np.int64(3),
                    "b": np.bool_(True),
                },
                **{"array": np.array([[1.5, np.inf]]), "time": datetime(2026, 11, 21, tzinfo=UTC), "nat": pd.NaT},
                **{"stamp": pd.Timestamp("2026-11-21"), "dt64": np.datetime64("2026-11-21T02:00:00", "ns")},
                **{"path": Path("a/b"), "enum": Color.RED, "set": {"b", "a"}, "tuple": (1, None), 7: "key"},
            }
        )
    )
    assert found == {
        **{"nan": None, "inf": None, "np_nan": None, "np": 3, "b": True, "array": [[1.5, None]]},
        **{"time": "2026-11-21T00:00:00+00:00", "nat": None, "stamp": "2026-11-21T00:00:00"},
        **{
            "dt64": "2026-11-21T02:00:00",
            "path": "a/b",
            "enum": "red",
            "set": ["a", "b"],
            "tuple": [1, None],
            "7": "key",
        },
    }


def test_json_is_plain_ascii_whatever_the_names_hold():
    text = to_json({"größe\u202e\ud800": "\x1b[31m\u2028"})
    assert text.isascii() and "\x1b" not in text
    assert json.loads(text) == {"größe\u202e?": "\x1b[31m\u2028"}


def test_an_object_of_unknown_type_is_an_error_not_a_guess():
    with pytest.raises(TypeError, match="a object can't stand in a result"):
        to_json({"model": object()})


def test_a_drift_document_alone_is_wrapped_and_a_run_document_is_left_alone():
    assert as_run_document(samples.bare()) == {"format": 1, "drift": samples.bare()}
    assert as_run_document(samples.full()) == samples.full()
    assert as_run_document(samples.nothing_new())["drift"] is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb", "a\\r\\nb"),
        ("\x1b[2Jx", "\\x1b[2Jx"),
        ("a\x00b\x9bc", "a\\x00b\\x9bc"),
        ("a\u2028b\u202ec\u200bd", "a\\u2028b\\u202ec\\u200bd"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+2", "'+1+2"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("  =1+1", "'  =1+1"),
        ("-2.5", "-2.5"),
        ("-1e-05", "-1e-05"),
        ("-0.250088 to 0.279104", "-0.250088 to 0.279104"),
        ("-3e-05 to -1,250", "-3e-05 to -1,250"),
        ("-1 to cmd|' /C calc'!A0", "'-1 to cmd|' /C calc'!A0"),
        ("-2 cmd|' /C calc'!A0", "'-2 cmd|' /C calc'!A0"),
        ("+41 %", "+41 %"),
        ("größe – 東京", "größe – 東京"),
        ("", ""),
    ],
)
def test_text_from_the_data_becomes_one_harmless_line(text, shown):
    assert plain(text) == shown
    assert plain(shown) == shown  # once is enough, twice does no harm


def test_a_value_of_a_megabyte_is_cut():
    assert len(plain("x" * 1_000_000)) == 600


def test_every_text_in_a_document_is_made_safe_keys_too():
    shown = showable({"drift": {"verdict": "drift", "columns": [{"name": "=a\n", "status": "drift"}], "=k": ["\x1b"]}})
    assert shown["drift"]["columns"][0]["name"] == "'=a\\n"
    assert shown["drift"]["'=k"] == ["\\x1b"]


def test_a_run_leaves_its_json_page_and_markdown_and_the_latest_ones(tmp_path):
    paths = write_reports(samples.full(), tmp_path / "reports", RUN, keep=3)
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {
        *(f"{RUN}.json", f"{RUN}.html", f"{RUN}.md", "latest.json", "latest.html", "latest.md")
    }
    assert json.loads(paths["json"].read_text())["run"] == RUN
    for ending, path in paths.items():
        assert path.read_bytes() == (tmp_path / "reports" / f"latest.{ending}").read_bytes()


def test_only_the_newest_runs_are_kept_and_nobody_elses_file_is_touched(tmp_path):
    own = ["notes.html", "20260101.json", "20260101T000000Z-1a2b.html.bak", "my-20260101T000000Z-1a2b.md"]
    for name in own:
        (tmp_path / name).write_text("mine")
    (tmp_path / "20200101T000000Z-aaaa.json").mkdir()  # a folder of somebody's, named like a report
    runs = [f"202611{day:02d}T020000Z-00{day:02d}" for day in range(1, 6)]
    for run in runs:
        write_reports(samples.nothing_new(), tmp_path, run, keep=2)
    left = {path.name for path in tmp_path.iterdir()}
    assert {name.split(".")[0] for name in left if name.startswith("202611")} == set(runs[-2:])
    assert left >= {*own, "latest.html", "20200101T000000Z-aaaa.json"}
    assert (tmp_path / "notes.html").read_text() == "mine"


@pytest.mark.parametrize(
    "run", ["../escape", "a/b", "", "latest", "20261121T200939Z-1a2b\n", "20261121T200939Z-1A2B/.."]
)
def test_a_report_can_not_be_named_out_of_its_folder(tmp_path, run):
    with pytest.raises(UsageError, match="can't name a report"):
        write_reports(samples.nothing_new(), tmp_path / "reports", run, keep=2)
    assert not list(tmp_path.iterdir())


def test_a_link_in_place_of_a_report_is_replaced_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "latest.html").symlink_to(victim)
    write_reports(samples.nothing_new(), folder, RUN, keep=2)
    assert victim.read_text() == "precious"
    assert not (folder / "latest.html").is_symlink()
