"""docs/decisions.md says what the product does: its numbers, its quotations and its pictures are held to the code."""

import importlib.util
import json
import math
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from detect_drift import check_data_drift
from evergreen.drift.performance import diagnose, judge_performance
from evergreen.scoring.metrics import score_all
from evergreen.scoring.predictions import Predictions
from evergreen.settings import PerformanceSettings, Settings

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "decisions.md").read_text(encoding="utf-8")
KEPT = json.loads((DOCS / "pictures" / "figures.json").read_text())


@pytest.fixture(scope="module")
def pictures():
    spec = importlib.util.spec_from_file_location("make_pictures", DOCS / "make_pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_threshold_named_is_the_default():
    defaults = Settings().as_dict()
    named = re.findall(r"`(\w+)\.(\w+) = ([^`]+)`", PAGE)
    assert len(named) > 35
    for section, key, value in named:
        assert defaults[section][key] == json.loads(value), f"{section}.{key}"


def test_every_key_that_is_mentioned_exists():
    defaults = Settings().as_dict()
    for section, key in re.findall(r"`(data|drift|performance|policy|promotion|training)\.(\w+)", PAGE):
        assert key in defaults[section], f"{section}.{key}"


def test_every_threshold_of_drift_and_performance_is_explained():
    rest = {"metric", "cost_matrix", "cost_function", "quantile"}
    for section in ("drift", "performance"):
        for key in set(Settings().as_dict()[section]) - rest:
            assert f"{section}.{key}" in PAGE, f"{section}.{key} is not on the page"


def quoted():
    return [line for block in re.findall(r"```text\n(.*?)```", PAGE, re.S) for line in block.strip().splitlines()]


def test_what_is_quoted_is_what_is_printed(pictures):
    said = {diagnose(False, "leak")}
    for rows, drop in ((400, 0.09), (100, 0.03)):
        said |= set(reasons_of(pictures, rows, drop))
    said |= set(drift_said(0.5)) | set(drift_said(0.0)) | set(leak_said())
    for line in quoted():
        assert line in said, line


def reasons_of(pictures, rows, drop):
    baseline = score_all("classification", *pictures.answers(2000, 1700))
    labels, answers = pictures.answers(rows, round(rows * (0.85 - drop)))
    return judge_performance(
        labels, answers, baseline=baseline, settings=PerformanceSettings(), task="classification"
    ).reasons


def drift_said(shift):
    def table(rows, shift):
        random = np.random.default_rng(rows)
        plan = random.choice(["basic", "plus"], rows, p=[0.7, 0.3])
        income = random.lognormal(10, 0.5, rows)
        return pa.table({"age": random.normal(45 + 12 * shift, 12, rows).round(1), "income": income, "plan": plan})

    return check_data_drift(table(10_000, 0.0), table(2000, shift)).reasons


def leak_said():
    """An accuracy of 0.85 that is 0.80 from row 7,000 of 10,000 on."""
    names = np.array(["0", "1"], dtype=object)

    def answers(accuracy, rows, seed):
        random = np.random.default_rng(seed)
        truth = random.integers(0, 2, rows)
        wrong = random.random(rows) >= accuracy
        return names[truth], Predictions(names[truth ^ wrong], None, ("0", "1"))

    keys = np.datetime64("2026-01-01", "us") + np.arange(10_000) * np.timedelta64(10, "m")
    return judge_performance(
        *answers(np.where(np.arange(10_000) < 7000, 0.85, 0.80), 10_000, 0),
        baseline=score_all("classification", *answers(0.85, 5000, 10_000)),
        settings=PerformanceSettings(),
        task="classification",
        times=keys,
    ).reasons


def test_the_pictures_are_drawn_from_the_kept_figures(pictures):
    drawn = pictures.draw(KEPT)
    assert set(drawn) == {path.name for path in (DOCS / "pictures").glob("*.svg")}
    for name, picture in drawn.items():
        assert (DOCS / "pictures" / name).read_text(encoding="utf-8") == picture, f"{name}: run docs/make_pictures.py"
        assert f"(pictures/{name})" in PAGE
        assert len(picture) < 20_000


def test_the_kept_figures_are_what_the_product_finds(pictures):
    for drop, rows in KEPT["drop"].items():
        for count, found in rows.items():
            now = pictures.judge_drop(int(count), float(drop))
            assert now.pop("verdict") == found["verdict"]
            assert now == pytest.approx({key: found[key] for key in now}, rel=0.01, abs=0.001)
    for worse, points in KEPT["leak"].items():
        for (row, evidence), (kept_row, kept) in zip(pictures.leak(float(worse)), points, strict=True):
            assert row == kept_row
            assert math.log(evidence) == pytest.approx(math.log(kept), abs=0.02)


def test_the_simulated_figures_still_hold(pictures):
    runs, few = KEPT["runs"], 4
    near = {"abs": 3 * math.sqrt(0.25 / few)}
    assert pictures.drift_rule(1000, few) == pytest.approx(KEPT["drift_rule"]["1000"], **near)
    assert pictures.days_differ(0.1, 2) == pytest.approx(KEPT["days"]["0.1"], abs=0.7)
    found = pictures.psi(200, 3)
    assert found == pytest.approx(KEPT["psi"]["200"], abs=0.01)
    assert runs >= 30


def test_the_pictures_show_what_the_page_says():
    rule, bias, days = KEPT["drift_rule"], KEPT["psi"], KEPT["days"]
    assert rule["1000"]["clean"] <= 0.05
    assert rule["1000"]["bare"] > 0.4
    assert rule["1000"]["found"] >= 0.85
    assert abs(bias["100"]["unbiased"]) < 0.02 < bias["100"]["raw"]
    assert days["0.1"]["blind"] > 0.5 > 5 * days["0.1"]["calibrated"]
