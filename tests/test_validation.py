"""The measurements themselves: verdicts on both sides of a target, the same figures however they are made."""

import importlib
import re
import subprocess
import sys

import pytest
from projects import PROJECT

FOLDER = PROJECT / "validation"
CHAPTERS = ("drift", "performance", "estimates", "promotion", "policies")
SECONDS = re.compile(r" \d+ \|$", re.MULTILINE)


@pytest.fixture(autouse=True)
def _beside_the_chapters(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def load(name):
    return importlib.import_module(name)


def run(*words):
    return subprocess.run(
        [sys.executable, "validation/run.py", *words], cwd=PROJECT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("value", "limits", "verdict", "target"),
    [
        (0.05, {"at_most": 0.05}, "met", "<= 0.05"),
        (0.051, {"at_most": 0.05}, "missed", "<= 0.05"),
        (0.95, {"at_least": 0.95}, "met", ">= 0.95"),
        (0.949, {"at_least": 0.95}, "missed", ">= 0.95"),
        (0.01, {"at_least": 0.02, "at_most": 0.08}, "missed", "0.02 to 0.08"),
        (0.05, {"at_least": 0.02, "at_most": 0.08}, "met", "0.02 to 0.08"),
        (7.0, {}, "shown", "shown only"),
        (None, {"at_most": 0.05}, "skipped", "<= 0.05"),
    ],
)
def test_a_target_is_met_or_missed(value, limits, verdict, target):
    checks = load("checks")
    check = checks.Check("metric", lambda _: checks.Measured(value, note="why"), 10, **limits)
    found = checks.make(check, 1.0, 1, 1)
    assert (found.verdict, check.target, found.runs) == (verdict, target, 10)
    line = list(checks.table([found]))[-1]
    assert f"| {verdict} |" in line and "why" in line


def test_intervals_hold_the_truth():
    checks = load("checks")
    assert checks.share([True] * 5 + [False] * 95).interval == pytest.approx((0.0215, 0.1118), abs=1e-4)
    assert checks.mean([1.0, 2.0, 3.0]).interval == pytest.approx((2 - 1.96 / 3**0.5, 2 + 1.96 / 3**0.5))
    low, high = checks.median(list(range(101))).interval
    assert (low, high) == (40, 61)  # the 41st and 61st of a hundred, one more for a hundred and one


def test_less_effort_is_fewer_runs_and_never_fewer_than_two_unless_one_is_usual():
    checks = load("checks")
    often, once = (checks.Check("metric", lambda one: checks.Measured(one.runs), runs) for runs in (200, 1))
    assert [checks.make(often, effort, 1, 1).runs for effort in (1, 0.1, 0.0001)] == [200, 20, 2]
    assert [checks.make(once, effort, 1, 1).runs for effort in (1, 0.1)] == [1, 1]


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_chapter_has_targets_and_no_row_twice(name):
    rows = load(name).CHECKS
    metrics = [check.metric for check in rows]
    assert len(set(metrics)) == len(metrics)
    assert sum(check.target != "shown only" for check in rows) >= 5
    assert load("run").CHAPTERS == CHAPTERS


def test_a_gate_that_lets_in_what_is_worse_misses_its_target():
    """The same measurement of the bare point rule, which is known to promote a worse model one time in five."""
    checks, promotion = load("checks"), load("promotion")
    strict, bare = (
        checks.make(checks.Check(gate, promotion.rule(gate, 200, -0.01), 80, at_most=0.06), 1.0, 1, 1)
        for gate in ("superior", "tutorial")
    )
    assert (strict.verdict, bare.verdict) == ("met", "missed")


def test_the_figures_are_the_same_with_one_process_and_with_two(tmp_path):
    words = ("promotion", "--effort", "0.001")
    one, two = run(*words, "--jobs", "1", "--out", str(tmp_path / "new" / "one.md")), run(*words, "--jobs", "2")
    assert one.returncode in (0, 1), one.stderr
    assert SECONDS.sub("", one.stdout) == SECONDS.sub("", two.stdout)
    written = (tmp_path / "new" / "one.md").read_text()
    assert written.startswith("## promotion") and written.count("\n| ") == len(load("promotion").CHECKS) + 2
    assert one.returncode == (1 if "| missed |" in written else 0)


def test_an_unknown_chapter_is_refused_by_name():
    done = run("promotions")
    assert done.returncode == 2
    assert "no chapter promotions; there are drift, performance" in done.stderr


def test_a_shift_that_a_profile_measures_wrongly_would_be_seen(monkeypatch):
    """The exact distance against that of the product, on all shapes, with few rows; and with a product that errs."""
    drift = load("drift")
    simulation = load("checks").Simulation(1, 1, 1)
    assert drift.worst_distance_error(simulation, rows=20_000).value < 2e-3
    honest = drift.compare

    def blunt(reference, current, settings):
        return honest({"x": reference["x"].round()}, {"x": current["x"].round()}, settings)

    monkeypatch.setattr(drift, "compare", blunt)
    assert drift.worst_distance_error(simulation, rows=20_000).value > 2e-3


def test_days_that_differ_are_days_in_the_simulated_table():
    import numpy as np

    drift = load("drift")
    table = drift.by_day(np.random.default_rng(0), 50, 100, 0.5)
    days = table["time"].astype("datetime64[D]")
    means = [table["x0"][days == day].mean() for day in np.unique(days)]
    assert len(means) == 50
    assert np.std(means) == pytest.approx(0.5, abs=0.15)
    assert (np.diff(table["time"]).astype(int) > 0).all()


@pytest.mark.parametrize(("correlation", "between"), [(0.4, 0.4), (0.2, 0.2)])
def test_simulated_relations_are_as_strong_as_they_say(correlation, between):
    import numpy as np

    table = load("drift").related(np.random.default_rng(0), 20_000, correlation)
    matrix = np.corrcoef(list(table.values()))
    assert matrix[np.triu_indices(20, 1)].mean() == pytest.approx(between, abs=0.02)


def test_challengers_differ_from_the_champion_as_much_as_they_say():
    import numpy as np

    promotion, seen = load("promotion"), []

    def watch(champion, challenger, truth, *_, **__):
        old, new = (each.predictions.values == truth for each in (champion, challenger))
        seen.append((np.mean(new & ~old) - np.mean(old & ~new), np.mean(old != new), old.mean()))
        return type("Found", (), {"winner": "champion"})()

    real, promotion.compare_models = promotion.compare_models, watch
    try:
        promotion.promotion_run(np.random.default_rng(0), 200_000, -0.01, "superior", 1)
    finally:
        promotion.compare_models = real
    assert seen[0] == pytest.approx((-0.01, 0.08, 0.85), abs=0.005)


def test_pasts_are_generated_as_they_are_called():
    import numpy as np

    pasts = load("pasts")
    tables = {name: pasts.turn(name, np.random.default_rng(1)) for name in pasts.TURNING}
    assert {len(table) for table in tables.values()} == {20_000}
    assert tables["covariate"]["x0"][-2000:].mean() > 0.9
    assert abs(tables["stationary"]["x0"][-2000:].mean()) < 0.1
    assert {frozenset(table["label"]) for table in tables.values()} == {frozenset({"yes", "no"})}


@pytest.mark.parametrize(("name", "width"), [("mixed", 0), ("mixed, slowly", 1000)])
def test_streams_pass_from_concept_to_concept_at_once_or_slowly(name, width):
    """In "mixed" concept 1 says yes where two of three conditions hold, concept 0 where they do not."""
    import numpy as np

    rows = load("pasts").stream(name, np.random.default_rng(1))
    curve = 0.5 + 0.3 * np.sin(3 * np.pi * rows.iloc[:, 2])
    two = rows.iloc[:, 0].astype(int) + rows.iloc[:, 1].astype(int) + (rows.iloc[:, 3] < curve) >= 2
    turned = (two == (rows["label"] == "yes")).to_numpy()
    expected = np.arange(20_000) // 5000 % 2 == 1
    sure = np.abs((np.arange(20_000) + 2500) % 5000 - 2500) >= width
    assert len(rows) == 20_000
    assert np.array_equal(turned[sure], expected[sure])
    assert (turned[~sure] != expected[~sure]).any() == (width > 0)
