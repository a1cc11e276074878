"""Data drift: false alarms when nothing changed, power when something did, and how exact a profile is."""

import json
import time
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pyarrow as pa
from checks import Check, Measured, Simulation, largest, mean, noted, share

from detect_drift import check_data_drift
from evergreen.drift.verdict import DriftReport
from evergreen.settings import DataSettings, DriftSettings, Settings

COLUMNS = 20
REFERENCE = 10_000
BY_TIME = Settings(data=DataSettings(time="time"))
DEEP = Settings(drift=DriftSettings(deep=True))
LABELS = 2_000


def compare(reference: dict[str, np.ndarray], current: dict[str, np.ndarray], settings: Settings | None) -> DriftReport:
    """The product's verdict on two tables."""
    return check_data_drift(pa.table(reference), pa.table(current), settings)


def normal(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    """Independent standard normal columns."""
    return {f"x{index}": rng.normal(size=rows) for index in range(COLUMNS)}


# Independent rows


def clean_run(rng: np.random.Generator, rows: int) -> dict[str, bool]:
    """What twenty columns that did not change are called: by all families, by the columns, by their relations."""
    report = compare(normal(rng, REFERENCE), normal(rng, rows), None)
    return {
        "any": report.verdict == "drift",
        "column": bool(report.drifted),
        "relation": bool(report.drifted_pairs),
        "significant": any((column.p_adjusted or 1) <= 0.05 for column in report.columns),
    }


@cache
def clean_runs(simulation: Simulation, rows: int) -> list[dict[str, bool]]:
    """Many of them; several rows of the table count the same runs."""
    return simulation.repeat(clean_run, rows)


def clean_alarms(simulation: Simulation, rows: int, what: str = "any") -> Measured:
    """How often a clean run has an alarm of this family, or is significant."""
    return share([run[what] for run in clean_runs(simulation, rows)])


def moved_run(rng: np.random.Generator, rows: int, shift: float, scale: float) -> bool:
    """Whether a change of one column in twenty is found, and in that column."""
    current = normal(rng, rows)
    current["x0"] = current["x0"] * scale + shift
    return "x0" in compare(normal(rng, REFERENCE), current, None).drifted


def power(simulation: Simulation, rows: int, shift: float = 0.0, scale: float = 1.0) -> Measured:
    """How often that change is found."""
    return share(simulation.repeat(moved_run, rows, shift, scale))


def outlier_run(rng: np.random.Generator) -> tuple[bool, float]:
    """A shift of one standard deviation, with one value of a million in the reference: found? KS distance?"""
    reference = {"x": np.append(rng.normal(size=19_999), 1e6)}
    column = compare(reference, {"x": rng.normal(1.0, size=2000)}, None).columns[0]
    return column.status == "drift", (column.statistics or {})["ks"]


def outlier_found(simulation: Simulation) -> Measured:
    """How often it is found."""
    return share([found for found, _ in simulation.repeat(outlier_run)])


def outlier_distance(simulation: Simulation) -> Measured:
    """The mean KS distance; that of two normals one deviation apart is 0.383."""
    return mean([distance for _, distance in simulation.repeat(outlier_run)])


def words_run(rng: np.random.Generator, rows: int) -> bool:
    """Whether columns with thousands of rare labels, none of which changed, give an alarm."""
    shares = 1 / np.arange(1, LABELS + 1)
    labels = np.array([f"label {number}" for number in range(LABELS)])

    def draw(count: int) -> dict[str, np.ndarray]:
        picked = rng.choice(LABELS, size=(COLUMNS, count), p=shares / shares.sum())
        return {f"w{index}": labels[row] for index, row in enumerate(picked)}

    return compare(draw(REFERENCE), draw(rows), None).verdict == "drift"


def words_alarms(simulation: Simulation, rows: int) -> Measured:
    """How often they do."""
    return share(simulation.repeat(words_run, rows))


def psi_run(rng: np.random.Generator, rows: int) -> float:
    """The mean de-biased PSI of columns that did not change."""
    columns = compare(normal(rng, REFERENCE), normal(rng, rows), None).columns
    return float(np.mean([(column.statistics or {})["psi"] for column in columns]))


def psi_bias(simulation: Simulation, rows: int) -> Measured:
    """What is left of the bias of PSI; without the correction it is 0.046 in 200 rows."""
    return mean(simulation.repeat(psi_run, rows))


# Days that differ


def by_day(rng: np.random.Generator, days: int, rows: int, spread: float, first: int = 0) -> dict[str, np.ndarray]:
    """Rows of whole days; each day moves each column's mean by a draw of its own."""
    start = np.datetime64("2026-01-01") + np.arange(first, first + days)
    table = {"time": np.repeat(start.astype("datetime64[s]"), rows)}
    table["time"] = table["time"] + np.tile(np.arange(rows), days).astype("timedelta64[s]")
    for index in range(COLUMNS):
        effects = np.repeat(rng.normal(scale=spread, size=days), rows)
        table[f"x{index}"] = rng.normal(size=days * rows) + effects
    return table


def day_run(rng: np.random.Generator, spread: float, shift: float) -> bool:
    """Whether the 31st day of 500 rows is called drift after thirty like it; with a shift, by the column that moved."""
    current = by_day(rng, 1, 500, spread, first=30)
    current["x0"] = current["x0"] + shift
    report = compare(by_day(rng, 30, 500, spread), current, BY_TIME)
    return "x0" in report.drifted if shift else report.verdict == "drift"


def day_alarms(simulation: Simulation, spread: float, shift: float = 0.0) -> Measured:
    """How often it is."""
    return share(simulation.repeat(day_run, spread, shift))


# Several columns together


def related(rng: np.random.Generator, rows: int, correlation: float) -> dict[str, np.ndarray]:
    """Twenty normal columns, any two of them correlated alike; the first two by `correlation`, or all by 0.4."""
    common = rng.normal(size=rows)
    weight = np.sqrt(abs(correlation))
    sign = np.where(np.arange(COLUMNS) % 2, np.sign(correlation), 1.0)
    own = rng.normal(size=(COLUMNS, rows)) * np.sqrt(1 - weight**2)
    return {f"x{index}": sign[index] * weight * common + own[index] for index in range(COLUMNS)}


def relation_run(rng: np.random.Generator, correlation: float) -> tuple[bool, bool]:
    """Whether relations are called drifted, and whether any of them is significantly so; 0.4 is no change."""
    report = compare(related(rng, 5000, 0.4), related(rng, 1000, correlation), None)
    if report.joint is None:
        return False, False
    return report.joint.verdict == "drift", any(pair.p_adjusted <= 0.05 for pair in report.joint.pairs)


def relation_alarms(simulation: Simulation, correlation: float) -> Measured:
    """How often relations are called drifted."""
    return share([alarm for alarm, _ in simulation.repeat(relation_run, correlation)])


def relation_significance(simulation: Simulation) -> Measured:
    """How often the tests alone would alarm on relations that did not change."""
    return share([significant for _, significant in simulation.repeat(relation_run, 0.4)])


def related_days(rng: np.random.Generator, first: int, days: int, correlation: float) -> dict[str, np.ndarray]:
    """Days of 100 rows, each with correlations of its own: Fisher's z differs by 0.35 from day to day."""
    z = np.arctanh(correlation) + 0.35 * rng.normal(size=days)
    parts = [related(rng, 100, float(np.tanh(day))) for day in z]
    minutes = (first + np.arange(days)[:, None]) * 1440 + np.arange(100)
    time = np.datetime64("2026-01-01", "us") + minutes.ravel() * np.timedelta64(60_000_000, "us")
    return {"time": time, **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]}}


def related_week(rng: np.random.Generator, correlation: float, timed: bool) -> bool:
    """Whether relations of a week are called drifted after twelve weeks with correlations of 0.5 on average."""
    tables = related_days(rng, 0, 84, 0.5), related_days(rng, 84, 7, correlation)
    if not timed:
        tables[0].pop("time"), tables[1].pop("time")
    report = compare(*tables, BY_TIME if timed else None)
    return report.joint is not None and any(pair.p_adjusted <= 0.05 for pair in report.joint.pairs)


def related_weeks(simulation: Simulation, correlation: float, timed: bool = True) -> Measured:
    """How often they are, or are significant."""
    return share(simulation.repeat(related_week, correlation, timed))


def deep_run(rng: np.random.Generator, change: str) -> bool:
    """Whether the classifier tells new rows from old ones.

    "pairs": correlations of 0.4 become 0.1 and -0.1. "three": the sign of a column becomes the product of two others',
    and all pairs stay uncorrelated.
    """
    if change == "pairs":
        reference, current = related(rng, 5000, 0.4), related(rng, 1000, -0.1)
    else:
        reference, current = normal(rng, 5000), normal(rng, 1000)
    if change == "three":
        current["x2"] = np.abs(current["x2"]) * np.sign(current["x0"] * current["x1"])
    report = compare(reference, current, DEEP)
    return report.joint is not None and report.joint.deep is not None and report.joint.deep.verdict == "drift"


def deep_alarms(simulation: Simulation, change: str = "") -> Measured:
    """How often it does."""
    return share(simulation.repeat(deep_run, change))


# How exact a profile is


SHAPES: dict[str, Callable[[np.random.Generator, int, float], np.ndarray]] = {
    "normal": lambda rng, rows, scale: scale * rng.normal(size=rows),
    "lognormal": lambda rng, rows, scale: scale * rng.lognormal(sigma=2.0, size=rows),
    "Cauchy": lambda rng, rows, scale: scale * rng.standard_cauchy(size=rows),
    "exponential": lambda rng, rows, scale: scale * rng.exponential(size=rows),
    "two humps": lambda rng, rows, scale: scale * rng.normal(size=rows) + 6 * rng.integers(0, 2, rows),
    "rounded": lambda rng, rows, scale: np.round(scale * rng.gamma(2.0, 50.0, rows), 1),
    "half zeros": lambda rng, rows, scale: scale * rng.exponential(size=rows) * rng.integers(0, 2, rows),
    "spike": lambda rng, rows, scale: np.where(rng.random(rows) < 0.1, 0.7, scale * rng.normal(size=rows)),
    "one outlier": lambda rng, rows, scale: np.append(scale * rng.normal(size=rows - 1), 1e6),
}


def distance_error(rng: np.random.Generator, shape: str, rows: int) -> float:
    """By how much the KS distance from profiles differs from the exact one, of values that have grown by 2 %."""
    from scipy.stats import ks_2samp

    reference, current = SHAPES[shape](rng, rows, 1.0), SHAPES[shape](rng, rows, 1.02)
    column = compare({"x": reference}, {"x": current}, None).columns[0]
    return abs((column.statistics or {})["ks"] - float(ks_2samp(reference, current).statistic))


def worst_distance_error(simulation: Simulation, rows: int = 1_000_000) -> Measured:
    """The largest error over nine shapes."""
    errors = {shape: max(simulation.repeat(distance_error, shape, rows)) for shape in SHAPES}
    worst = max(errors, key=lambda shape: errors[shape])
    return noted(largest(list(errors.values())), f"worst: {worst}")


def profile_bytes(simulation: Simulation) -> Measured:
    """Bytes that the bins of a column take in memory, from a million rows; beside it those of the JSON file."""
    from evergreen.drift.profile import profile_arrays

    rng = np.random.default_rng(simulation.seed)
    profile = profile_arrays({"x": pa.array(rng.normal(size=1_000_000))}, {"x": "number"})
    arrays = [value for value in vars(profile.columns["x"]).values() if isinstance(value, np.ndarray)]
    size = float(sum(array.nbytes for array in arrays))
    return Measured(size, note=f"as JSON {len(json.dumps(profile.to_dict())):,}")


def profile_seconds(simulation: Simulation) -> Measured:
    """Milliseconds to profile a million rows against known bins; the best of the runs, on one processor."""
    from evergreen.drift.profile import profile_arrays

    rng = np.random.default_rng(simulation.seed)
    arrays = {"x": pa.array(rng.normal(size=1_000_000))}
    reference = profile_arrays(arrays, {"x": "number"})
    times = []
    for _ in range(simulation.runs):
        start = time.perf_counter()
        profile_arrays(arrays, {"x": "number"}, against=reference)
        times.append(1000 * (time.perf_counter() - start))
    start = time.perf_counter()
    np.sort(arrays["x"].to_numpy())
    sorting = 1000 * (time.perf_counter() - start)
    return Measured(min(times), note=f"median {np.median(times):.3g}, sorting alone {sorting:.3g}")


CHECKS = (
    Check("clean runs with an alarm of any family, n = 200", partial(clean_alarms, rows=200), 2000, at_most=0.05),
    Check("- of a column, n = 200", partial(clean_alarms, rows=200, what="column"), 2000, at_most=0.05),
    Check("- of a relation between columns, n = 200", partial(clean_alarms, rows=200, what="relation"), 2000),
    Check("clean runs with an alarm of any family, n = 1,000", partial(clean_alarms, rows=1000), 2000, at_most=0.005),
    Check("clean runs with an alarm of any family, n = 5,000", partial(clean_alarms, rows=5000), 600, at_most=0.005),
    Check("clean runs with an alarm of any family, n = 50,000", partial(clean_alarms, rows=50_000), 200, at_most=0.005),
    Check("clean runs with an alarm of any family, n = 500", partial(clean_alarms, rows=500), 1000, at_most=0.02),
    Check(
        "clean runs with a significant column, n = 500",
        partial(clean_alarms, rows=500, what="significant"),
        1000,
        at_least=0.02,
        at_most=0.08,
    ),
    Check("a shift of 0.3 sd in 1 of 20 columns is found, n = 1,000", partial(power, rows=1000, shift=0.3), 500, 0.95),
    Check("1.5 times the spread in 1 of 20 columns, n = 1,000", partial(power, rows=1000, scale=1.5), 300, 0.95),
    Check("a shift of 0.01 sd, n = 500,000: called drift", partial(power, rows=500_000, shift=0.01), 20, at_most=0.0),
    Check("a shift of 1 sd is found beside an outlier of 1e6", outlier_found, 200, at_least=1.0),
    Check("its KS distance (true 0.383)", outlier_distance, 200, 0.373, 0.393),
    Check(
        "clean runs with an alarm, 20 columns of 2,000 labels, n = 500",
        partial(words_alarms, rows=500),
        200,
        at_most=0.05,
    ),
    Check(
        "clean runs with an alarm, 20 columns of 2,000 labels, n = 5,000",
        partial(words_alarms, rows=5000),
        100,
        at_most=0.05,
    ),
    Check("mean PSI of unchanged columns, n = 200", partial(psi_bias, rows=200), 300, -0.005, 0.005),
    Check("clean days with an alarm, day effects of 0.1 sd", partial(day_alarms, spread=0.1), 400, at_most=0.05),
    Check("clean days with an alarm, day effects of 0.2 sd", partial(day_alarms, spread=0.2), 400, at_most=0.05),
    Check("0.8 sd in 1 of 20 columns, day effects of 0.1 sd", partial(day_alarms, spread=0.1, shift=0.8), 200, 0.87),
    Check("unchanged relations with an alarm, n = 1,000", partial(relation_alarms, correlation=0.4), 400, at_most=0.02),
    Check("unchanged relations with a significant pair", relation_significance, 400, 0.02, 0.10),
    Check("correlation from 0.4 to 0.2 is found, n = 1,000", partial(relation_alarms, correlation=0.2), 200, 0.95),
    Check(
        "clean weeks of days that differ: a significant relation",
        partial(related_weeks, correlation=0.5),
        200,
        None,
        0.1,
    ),
    Check("- of rows taken for independent", partial(related_weeks, correlation=0.5, timed=False), 100),
    Check("- correlations from 0.5 to -0.2", partial(related_weeks, correlation=-0.2), 100, 0.9),
    Check("deep: clean runs with an alarm, n = 1,000", deep_alarms, 60, at_most=0.05),
    Check("deep: correlations from 0.4 to 0.1 and -0.1", partial(deep_alarms, change="pairs"), 20, 0.95),
    Check("deep: a link of three columns, pairs as before", partial(deep_alarms, change="three"), 40),
    Check("largest error of KS, n = 1,000,000, nine shapes", worst_distance_error, 2, at_most=2e-4),
    Check("bytes of a column's profile", profile_bytes, 1, at_most=5000),
    Check("milliseconds to profile 1,000,000 numbers, one processor", profile_seconds, 20, at_most=15),
)
