"""The comparison with other tools: fair, told with reasons, and never a part of the product."""

import ast
import importlib
import sys

import pytest
from projects import PROJECT

BENCHMARKS = PROJECT / "benchmarks"
FOREIGN = {"nannyml", "alibi_detect", "whylogs", "deepchecks", "evidently", "frouros", "river"}


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("bench_peers")


def test_every_peer_has_a_script_and_pinned_versions(peers):
    assert {peer.script for peer in peers.PEERS} == {path.name for path in (BENCHMARKS / "peers").glob("*.py")}
    assert all("==" in package for peer in peers.PEERS for package in peer.packages)


def test_no_other_tool_is_imported_by_the_product():
    for path in (PROJECT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & FOREIGN, path


def test_ratios_are_to_ours_and_goals_are_met_or_missed(peers):
    timings = [
        peers.Timing("Evergreen", 2.0, 100.0),
        peers.Timing("fast", 5.9, 50.0),
        peers.Timing("slow", 6.0, 900.0),
        peers.Timing("bare", 1.0, 10.0),
        peers.Timing("gone", failure="can't be installed: no such version"),
    ]
    lines = list(peers.table(10_000, timings, {"fast": 3, "slow": 3}))
    assert lines[0].startswith("\n| 10,000 rows each |")
    assert lines[2:] == [
        "| fast | 5.90 | 50 | 2.95 | >= 3 | missed |",
        "| slow | 6.00 | 900 | 3.00 | >= 3 | met |",
        "| bare | 1.00 | 10 | 0.50 |  |  |",
        "| gone | | | | | can't be installed: no such version |",
    ]


def test_what_can_not_be_installed_is_told_and_not_tried_to_run(peers, tmp_path, monkeypatch, capsys):
    def nothing_to_be_had(folder, python, packages):
        return iter([[sys.executable, "-c", "import sys; sys.exit('ERROR: no such version of that')"]])

    monkeypatch.setattr(peers, "installation", nothing_to_be_had)
    told = peers.make_environment("Some Peer", ("some==1",), tmp_path)
    assert told == "can't be installed: ERROR: no such version of that"
    assert "Making an environment for Some Peer" in capsys.readouterr().err
    timings = peers.measure({"ours": [sys.executable, "-c", ""], "peer": told}, 1)
    assert [one.failure for one in timings] == ["", told]
    assert timings[0].seconds > 0 and timings[0].memory > 1


def test_an_environment_is_made_once_and_again_for_other_versions(peers, tmp_path, monkeypatch):
    made = []

    def installation(folder, python, packages):
        made.append(packages)
        return iter([[sys.executable, "-c", f"import pathlib; pathlib.Path({str(folder)!r}).mkdir()"]])

    monkeypatch.setattr(peers, "installation", installation)
    first = peers.make_environment("a", ("x==1",), tmp_path)
    assert peers.make_environment("a", ("x==1",), tmp_path) == first
    assert peers.make_environment("a", ("x==2",), tmp_path) != first
    assert made == [("x==1",), ("x==2",)]


def test_a_program_that_fails_is_told_by_its_last_words(peers):
    words = [sys.executable, "-c", "raise MemoryError('too many rows')"]
    assert peers.measure({"peer": words}, 1) == [peers.Timing("peer", failure="failed: MemoryError: too many rows")]


def test_an_unknown_peer_is_refused(peers, capsys):
    with pytest.raises(SystemExit, match="2"):
        peers.main(["--peers", "Nobody"])
    assert "no peer Nobody; known: pandas + SciPy loop" in capsys.readouterr().err
