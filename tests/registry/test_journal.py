"""The journal: only added to, chained by hashes, ordered by line, tolerant of what a crash leaves."""

import hashlib
import itertools
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from tests.registry.models import at

from evergreen.errors import IntegrityError
from evergreen.registry import journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model" / "history.jsonl"


@pytest.fixture
def five(path: Path) -> Path:
    for number in range(5):
        journal.append_entry(path, "run", at(number), run=f"run {number}", verdict="no_drift")
    return path


def test_what_is_appended_is_read_back_in_order(five):
    entries = journal.read_journal(five)
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.get("run") for entry in entries] == [f"run {number}" for number in range(5)]
    assert entries[0].time == "2026-11-21T20:09:39Z"
    assert entries[0].moment == at(0)
    assert entries[0].previous == journal.FIRST
    assert journal.verify_chain(five) == []


def test_there_is_no_journal_yet(path):
    assert journal.read_journal(path) == ()
    assert journal.verify_chain(path) == []
    assert not journal.ends_torn(path)


def test_each_line_is_one_json_object_that_carries_the_hash_of_the_line_before(five):
    lines = five.read_bytes().splitlines()
    for before, line in itertools.pairwise(lines):
        assert json.loads(line)["previous"] == hashlib.sha256(before).hexdigest()


def test_line_breaks_and_control_characters_in_a_text_stay_inside_their_line(path):
    text = 'a\nb\r\n{"seq": 9}\u2028\x1b[31m\0 größer'
    journal.append_entry(path, "deploy", at(0), reason=text)
    journal.append_entry(path, "deploy", at(1), reason="next")
    assert [entry.get("reason") for entry in journal.read_journal(path)] == [text, "next"]
    assert path.read_bytes().count(b"\n") == 2
    assert journal.verify_chain(path) == []


def tamper(path: Path, change: object) -> list[str]:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(change(lines)))
    return journal.verify_chain(path)


CHANGES = {
    "a changed word": lambda lines: [*lines[:2], lines[2].replace(b"no_drift", b"drift"), *lines[3:]],
    "a changed first line": lambda lines: [lines[0].replace(b"run 0", b"run 9"), *lines[1:]],
    "a removed line": lambda lines: [*lines[:2], *lines[3:]],
    "a removed first line": lambda lines: lines[1:],
    "two lines exchanged": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "a line twice": lambda lines: [*lines[:2], lines[1], *lines[2:]],
    "an inserted line": lambda lines: [*lines[:2], b'{"hello": 1}\n', *lines[2:]],
    "a line made unreadable": lambda lines: [*lines[:2], b"x" + lines[2], *lines[3:]],
    "an added space": lambda lines: [*lines[:2], b" " + lines[2], *lines[3:]],
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_tampered_journal_is_found(name, five):
    problems = tamper(five, CHANGES[name])
    assert problems
    assert all(str(five) in problem for problem in problems)


def test_a_wrong_number_with_a_right_chain_is_found(five):
    forged = journal.Entry(9, "2026-11-22T00:00:00Z", "run", "", {}).to_dict()
    forged["previous"] = journal._hash(five.read_bytes().splitlines()[-1])
    with five.open("a") as file:
        file.write(json.dumps(forged) + "\n")
    assert journal.verify_chain(five) == [f"{five}: line 6 has number 9, expected 6."]


@pytest.mark.parametrize("kept", [1, 5, 40, -2])
def test_a_last_line_cut_short_is_passed_over_said_and_ended_by_the_next_entry(kept, five):
    lines = five.read_bytes().splitlines(keepends=True)
    five.write_bytes(b"".join(lines[:-1]) + lines[-1][:kept])
    assert len(journal.read_journal(five)) == 4
    assert journal.ends_torn(five)
    assert ["the last line is cut short" in problem for problem in journal.verify_chain(five)] == [True]
    journal.append_entry(five, "run", at(9), run="next")
    assert [entry.seq for entry in journal.read_journal(five)] == [1, 2, 3, 4, 5]
    assert journal.read_journal(five)[-1].get("run") == "next"
    assert journal.verify_chain(five) == []


def test_a_last_line_that_lacks_only_its_end_is_an_entry(five):
    five.write_bytes(five.read_bytes()[:-1])
    assert len(journal.read_journal(five)) == 5
    journal.append_entry(five, "run", at(9))
    assert journal.verify_chain(five) == []


def test_a_long_journal_is_continued_from_its_end_as_if_all_of_it_were_read(five, monkeypatch):
    for tail in (1, 100, 300, 1000):
        monkeypatch.setattr(journal, "TAIL", tail)
        journal.append_entry(five, "run", at(9), text="x" * tail)
    assert [entry.seq for entry in journal.read_journal(five)] == list(range(1, 10))
    assert journal.verify_chain(five) == []


@pytest.mark.parametrize("line", [b"[1]", b"3", b"null", b'"a"', b"{}", b"\x00\x00", b"\xff", b'{"seq": 1, "time": 3}'])
def test_a_line_that_is_no_entry_is_passed_over(line, five):
    with five.open("ab") as file:
        file.write(line + b"\n")
    assert len(journal.read_journal(five)) == 5
    assert journal.verify_chain(five) != []


def test_numbers_that_json_does_not_know_and_reserved_names_are_errors_and_write_nothing(five):
    before = five.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        journal.append_entry(five, "run", at(9), score=float("nan"))
    with pytest.raises(ValueError, match="the journal itself uses previous, time"):
        journal.append_entry(five, "run", at(9), previous="x", time="y")
    assert five.read_bytes() == before


def test_a_journal_that_is_a_link_is_neither_read_nor_written(five, tmp_path):
    five.rename(tmp_path / "elsewhere.jsonl")
    five.symlink_to(tmp_path / "elsewhere.jsonl")
    before = (tmp_path / "elsewhere.jsonl").read_bytes()
    with pytest.raises(IntegrityError, match="expected a regular file"):
        journal.append_entry(five, "run", at(9))
    assert (tmp_path / "elsewhere.jsonl").read_bytes() == before


def test_times_are_utc_whatever_zone_they_came_in():
    berlin = timezone(timedelta(hours=1))
    assert journal.utc_text(datetime(2026, 1, 1, 0, 30, tzinfo=berlin)) == "2025-12-31T23:30:00Z"
    assert journal.utc_text(datetime(2026, 1, 1, 0, 30)) == "2026-01-01T00:30:00Z"
    assert journal.utc_text(datetime(2026, 1, 1, 0, 30, tzinfo=UTC)) == "2026-01-01T00:30:00Z"


def went_live(path: Path, *steps: tuple[str, str, float]) -> tuple[journal.Entry, ...]:
    for event, name, hours in steps:
        journal.append_entry(path, event, at(hours), digest=name * 64, version="abcdef".index(name) + 1)
    return journal.read_journal(path)


def who_was_live(entries, moment):
    entry = journal.live_entry(entries, moment)
    return entry.get("digest") if entry else None


def test_who_was_live_on_a_day(path):
    entries = went_live(path, ("adopt", "a", 0), ("deploy", "b", 2), ("run", "c", 3), ("rollback", "a", 4))
    assert who_was_live(entries, at(-1)) is None
    assert who_was_live(entries, at(0)) == "a" * 64
    assert who_was_live(entries, at(3)) == "b" * 64
    assert who_was_live(entries, at(99)) == "a" * 64


def test_of_two_changes_in_one_second_the_later_line_counts_and_a_clock_set_back_does_no_harm(path):
    entries = went_live(path, ("deploy", "a", 0), ("deploy", "b", 0), ("deploy", "c", 9), ("deploy", "d", 1))
    assert who_was_live(entries, at(0)) == "b" * 64
    assert who_was_live(entries, at(2)) == "d" * 64
    assert journal.live_entry(entries).get("digest") == "d" * 64


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("deploy a, deploy b, deploy c", "abc"),
        ("deploy a, deploy b, deploy c, rollback b", "ab"),
        ("deploy a, deploy b, deploy c, rollback b, rollback a", "a"),
        ("deploy a, deploy b, deploy c, rollback a, deploy d", "ad"),
        ("deploy a, deploy b, restored a", "a"),
        ("deploy a, deploy b, rollback a, rollback b", "ab"),
        ("adopt a, deploy b, adopt b", "ab"),
        ("deploy a, deploy b, deploy a", "ba"),
        ("run a, intent b, abandoned b", ""),
    ],
)
def test_the_line_of_models_to_go_back_along(steps, expected, path):
    words = [step.split() for step in steps.split(", ")]
    entries = went_live(path, *((event, name, number) for number, (event, name) in enumerate(words)))
    assert journal.line_of_descent(entries) == [name * 64 for name in expected]


def test_an_intent_is_unfinished_until_its_result_or_its_end_is_told(path):
    assert journal.unfinished_intent(went_live(path, ("deploy", "a", 0), ("intent", "b", 1))).get("version") == 2
    assert journal.unfinished_intent(went_live(path, ("run", "a", 2))) is not None
    assert journal.unfinished_intent(went_live(path, ("abandoned", "b", 3))) is None
    assert journal.unfinished_intent(went_live(path, ("intent", "b", 4), ("deploy", "b", 5))) is None


def test_labelled_rows_per_run_are_the_usual_growth_between_runs(path):
    assert journal.labelled_per_run(()) is None
    for number, labelled in enumerate([1000, 1000, 1400, None, 1800, 9000, 9400, 9300]):
        table = None if labelled is None else {"labelled_rows": labelled}
        journal.append_entry(path, "run", at(number), run=f"run {number}", table=table)
    assert journal.labelled_per_run(journal.read_journal(path)[:2]) is None, "nothing came between the first two"
    assert journal.labelled_per_run(journal.read_journal(path)) == 400, (
        "neither a holiday nor a lost row counts for much"
    )


def test_a_run_that_a_crash_cut_short_is_found_by_the_model_it_brought(five):
    entries = journal.read_journal(five)
    assert journal.run_cut_short(entries) is None
    journal.append_entry(five, "deploy", at(6), digest="a" * 64, replaced="b" * 64, run="run 6", reason="drift")
    found = journal.run_cut_short(journal.read_journal(five))
    line = journal.line_of_run(found)
    assert (line["run"], line["retrained"], line["deployed"], line["rolled_back"]) == ("run 6", True, True, False)
    assert (line["reasons"], line["failed"], line["news"]) == (["drift"], True, True)
    journal.append_entry(five, "run", at(7), **line)
    assert journal.run_cut_short(journal.read_journal(five)) is None


@pytest.mark.parametrize(
    ("event", "content", "expected"),
    [
        ("deploy", {"run": "r.first", "replaced": None}, {"run": "r", "first": True, "retrained": False}),
        ("rollback", {"run": "r", "replaced": "b" * 64}, {"rolled_back": True, "retrained": False, "deployed": False}),
    ],
)
def test_what_is_known_of_a_run_that_was_cut_short(five, event, content, expected):
    journal.append_entry(five, event, at(6), digest="a" * 64, reason="x", **content)
    line = journal.line_of_run(journal.run_cut_short(journal.read_journal(five)))
    assert {key: line[key] for key in expected} == expected


def test_changes_by_hand_belong_to_no_run(five):
    journal.append_entry(five, "rollback", at(6), digest="a" * 64, run="", reason="by hand")
    assert journal.run_cut_short(journal.read_journal(five)) is None
