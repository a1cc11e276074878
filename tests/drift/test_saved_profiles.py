"""Profiles in files: what the parts of a fleet say together is what one pass over all rows says."""

import json
import random
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from detect_drift import main


def make_rows(rows, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, 3001)
    return pd.DataFrame(
        {
            "amount": np.where(rng.random(rows) < 0.03, np.nan, rng.lognormal(shift, 1, rows)),
            "count": rng.poisson(3, rows),
            "plan": rng.choice(["basic", "plus"], rows),
            "street": [f"street {number}" for number in rng.choice(3000, rows, p=shares / shares.sum())],
            "seen": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 10**6, rows), unit="s"),
            "wished": rng.choice(["no", "yes"], rows),
        }
    )


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    """A reference, and current rows: whole, and in five parts of unlike sizes."""
    monkeypatch.chdir(tmp_path)
    make_rows(8000, 1).to_parquet("reference.parquet")
    current = make_rows(7000, 2, shift=0.4)
    current.to_parquet("current.parquet")
    for number, (begin, end) in enumerate(pairwise([0, 10, 900, 3000, 5200, 7000])):
        current[begin:end].to_parquet(f"part_{number}.parquet")
    assert main(["--reference", "reference.parquet", "--profile-out", "reference.json", "-q"]) == 0
    return tmp_path


def document_of(capsys, *arguments):
    assert main([*arguments, "--json", "-q"]) == 0
    return json.loads(capsys.readouterr().out)


def without_sources(document, *more):
    return {name: value for name, value in document.items() if name not in ("reference", "current", *more)}


def error_of(capsys, *arguments):
    """The exit code and the message."""
    code = main(list(arguments))
    return code, capsys.readouterr().err


def profile_parts(order=range(5)):
    names = [f"part_{number}" for number in order]
    for name in names:
        pair = ["--reference", "reference.json", "--current", f"{name}.parquet"]
        assert main([*pair, "--profile-out", f"{name}.json", "--json", "-q"]) == 0
    return [f"{name}.json" for name in names]


def test_a_saved_reference_gives_the_verdict_of_its_table(fleet, capsys):
    plain = document_of(capsys, "--reference", "reference.parquet", "--current", "current.parquet")
    saved = document_of(capsys, "--reference", "reference.json", "--current", "current.parquet")
    assert without_sources(saved) == without_sources(plain)
    assert plain["verdict"] == "drift" and saved["reference"]["rows"] == 8000
    assert saved["reference"]["source"] == "reference.parquet (reference.json)"


def test_the_parts_of_a_fleet_say_what_one_pass_says(fleet, capsys):
    """In every number, the 3000 streets included; only relations are looked at in more rows, here in all of them."""
    parts = profile_parts()
    capsys.readouterr()
    plain = document_of(capsys, "--reference", "reference.parquet", "--current", "current.parquet")
    merged = document_of(capsys, "--reference", "reference.json", "--current", *parts)
    assert without_sources(merged) == without_sources(plain)
    assert merged["current"]["rows"] == 7000
    shuffled = random.Random(5).sample(parts, 5)
    again = document_of(capsys, "--reference", "reference.json", "--current", *shuffled)
    assert without_sources(again) == without_sources(merged)


def test_a_sum_of_parts_can_be_saved_and_added_to(fleet, capsys):
    parts = profile_parts()
    for begin, name in ((0, "first.json"), (2, "second.json")):
        chosen = parts[begin : begin + 2] if begin == 0 else parts[begin:]
        main(["--reference", "reference.json", "--current", *chosen, "--profile-out", name, "--json", "-q"])
    capsys.readouterr()
    whole = document_of(capsys, "--reference", "reference.json", "--current", *parts)
    halves = document_of(capsys, "--reference", "reference.json", "--current", "second.json", "first.json")
    assert without_sources(halves) == without_sources(whole)


def test_a_folder_of_profiles_is_their_sum(fleet, capsys):
    parts = profile_parts()
    capsys.readouterr()
    (fleet / "parts").mkdir()
    for part in parts:
        (fleet / part).rename(fleet / "parts" / part)
    found = document_of(capsys, "--reference", "reference.json", "--current", "parts")
    assert found["current"]["rows"] == 7000


def test_a_reference_can_be_put_together_from_parts_as_well(fleet, capsys):
    """The first part makes the bins, the others are counted on them."""
    main(["--reference", "part_2.parquet", "--profile-out", "seed.json", "-q"])
    more = ["--reference", "seed.json", "--current", "part_3.parquet", "--profile-out", "more.json", "--json", "-q"]
    assert main(more) == 0
    assert main(["--reference", "seed.json", "more.json", "--profile-out", "both.json", "-q"]) == 0
    capsys.readouterr()
    found = document_of(capsys, "--reference", "both.json", "--current", "part_4.parquet")
    assert found["reference"]["rows"] == 2100 + 2200 and found["verdict"] == "no_drift"


def test_the_target_of_a_saved_profile_is_judged_apart(fleet, capsys):
    found = document_of(capsys, "--reference", "reference.json", "--current", "current.parquet", "--target", "wished")
    assert [column["name"] for column in found["target"]["columns"]] == ["wished"]
    code, said = error_of(capsys, "--reference", "reference.json", "--current", "current.parquet", "--target", "wish")
    assert code == 2 and "no column 'wish' (--target). Found: amount" in said


def test_a_profile_is_compact_and_names_what_it_is(fleet):
    text = (fleet / "reference.json").read_text()
    document = json.loads(text)
    assert (document["kind"], document["format"], document["rows"]) == ("evergreen profile", 1, 8000)
    assert len(json.dumps(document["columns"]["amount"])) < 12_000
    assert len(document["columns"]["street"]["counts"]) == 1000


def test_profiles_on_other_bins_are_refused_with_the_command_that_helps(fleet, capsys):
    assert main(["--reference", "current.parquet", "--profile-out", "other.json", "-q"]) == 0
    code, said = error_of(capsys, "--reference", "reference.json", "--current", "other.json")
    assert code == 3 and "column 'amount' was counted on other bins than in reference.parquet" in said
    assert "--reference REFERENCE --current ROWS --profile-out FILE" in said
    code, said = error_of(capsys, "--reference", "reference.json", "other.json", "--profile-out", "no.json")
    assert code == 3 and "other.json: column 'amount' was counted on other bins than in reference.json" in said
    assert not (fleet / "no.json").exists()


def test_a_part_that_is_there_twice_is_refused(fleet, capsys):
    profile_parts()
    (fleet / "copy.json").write_bytes((fleet / "part_1.json").read_bytes())
    twice = {"part_1.json": "part_1.json: named twice", "./part_1.json": "part_1.json: named twice"}
    twice["copy.json"] = "copy.json: the same profile as part_1.json"
    for again, words in twice.items():
        code, said = error_of(capsys, "--reference", "reference.json", "--current", "part_0.json", "part_1.json", again)
        assert code == 3
        assert f"{words}, so its rows would count twice. Name each part once." in said
    code, said = error_of(capsys, "--reference", "reference.json", "--current", "part_*.json", "part_2.json")
    assert (code, "would count twice. Name each part once." in said) == (3, True)


def test_sides_without_a_common_column_are_one_line_whether_tables_or_profiles(fleet, capsys):
    make_rows(500, 3).add_prefix("new_").to_parquet("other.parquet")
    assert main(["--reference", "other.parquet", "--profile-out", "other.json", "-q"]) == 0
    for reference in ("reference.parquet", "reference.json"):
        for current in ("other.parquet", "other.json"):
            code, said = error_of(capsys, "--reference", reference, "--current", current)
            assert code == 3
            assert len(said.splitlines()) == 1 and "has no column of reference.parquet" in said
            assert "Found: new_amount, new_count" in said


def test_profiles_of_other_columns_are_refused(fleet, capsys):
    pd.read_parquet("part_1.parquet").drop(columns="plan").to_parquet("narrow.parquet")
    pair = ["--reference", "reference.json", "--current", "narrow.parquet", "--profile-out", "narrow.json"]
    assert main([*pair, "--json", "-q"]) == 0
    profile_parts([0])
    code, said = error_of(capsys, "--reference", "reference.json", "--current", "part_0.json", "narrow.json")
    assert code == 3 and "narrow.json: other columns than in part_0.json: 'plan' is not in narrow.json" in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"rows": [1, 2]}', "this is JSON, but no profile that --profile-out has written"),
        ('{"kind": "evergreen profile", "format": 7}', "a profile of format 7; this Evergreen reads format 1"),
        ('{"kind": "evergreen profile", "format": 1, "rows": 3}', "not a whole profile"),
        ('{"kind": "evergreen prof', "damaged or cut short"),
    ],
)
def test_what_is_no_profile_is_refused_in_words(fleet, capsys, content, message):
    (fleet / "odd.json").write_text(content)
    code, said = error_of(capsys, "--reference", "odd.json", "--current", "current.parquet")
    assert code == 3 and "odd.json: " in said and message in said


def test_a_profile_of_categories_counted_for_another_reference_is_refused(fleet, capsys, monkeypatch):
    """Where a list is cut, the labels of the reference must have been counted by name."""
    from evergreen.drift import counting

    pd.read_parquet("reference.parquet")[["street"]].to_parquet("streets.parquet")
    pd.read_parquet("part_1.parquet")[["street"]].to_parquet("few.parquet")
    for name in ("streets", "few"):
        main(["--reference", f"{name}.parquet", "--profile-out", f"{name}.json", "-q"])
    monkeypatch.setattr(counting, "MOST_LABELS", 50)
    part = ["--reference", "few.json", "--current", "streets.parquet", "--profile-out", "cut.json", "--json", "-q"]
    assert main(part) == 0
    code, said = error_of(capsys, "--reference", "streets.json", "--current", "cut.json")
    assert code == 3 and "column 'street' was counted on other bins" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile-out", "x.json"], "--profile-out saves the profile of --current, or of --reference alone"),
        (["--current", "current.parquet", "--profile-out", "x.json"], "--profile-out saves the profile of --current"),
        (["--reference", "reference.json"], "--reference and --current go together"),
        (
            ["--reference", "reference.json", "--current", "part_0.parquet", "part_1.parquet"],
            "part_0.parquet is a table; several files are read as one table from a folder or a quoted pattern",
        ),
    ],
)
def test_what_can_not_be_meant_is_a_usage_error(fleet, capsys, arguments, message):
    code, said = error_of(capsys, *arguments)
    assert code == 2 and message in said


def test_the_notebook_function_takes_profiles_too(fleet):
    from detect_drift import check_data_drift

    report = check_data_drift("reference.json", pd.read_parquet("current.parquet"))
    assert report.verdict == "drift" and report.drifted == ("amount",)
