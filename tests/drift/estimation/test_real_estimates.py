"""Real streams whose outcomes change: there the estimate must not be relied on."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from evergreen.drift.estimation.estimate import estimate_performance
from evergreen.drift.estimation.track import ScoredEstimate
from evergreen.scoring.predictions import predict
from evergreen.settings import PerformanceSettings

DATA = Path(os.environ.get("EVERGREEN_DATA", ""))
pytestmark = pytest.mark.skipif(not os.environ.get("EVERGREEN_DATA"), reason="EVERGREEN_DATA names no folder of tables")


def pass_windows(name, numbers):
    """Verdicts on windows of 3 % of a table by a model of its first fifth, each scored before the next one."""
    table = pd.read_parquet(DATA / f"{name}.parquet")
    labels = table["class"].astype(str).to_numpy(object)
    features = table.drop(columns=["class", "date"], errors="ignore").apply(pd.to_numeric)
    learned, known, step = (int(share * len(table)) for share in (0.2, 0.3, 0.03))
    model = HistGradientBoostingClassifier(max_iter=50, random_state=0).fit(features[:learned], labels[:learned])
    said = predict(model, features, "classification")
    right, track, verdicts = said.values == labels, [], []
    for number in numbers:
        first = known + number * step
        rows = np.arange(first, first + step)
        carried = float(right[first - step : first].mean())
        found = estimate_performance(
            features[learned:known],
            said.take(np.arange(learned, known)),
            labels[learned:known],
            features.iloc[rows],
            said.take(rows),
            settings=PerformanceSettings(),
            task="classification",
            track=track,
            carried=carried,
        )
        verdicts.append(found.verdict)
        if found.value is not None:
            realised = float(right[rows].mean())
            track.append(ScoredEstimate("accuracy", found.value, realised, carried, found.baseline))
    return verdicts


def test_on_electricity_columns_that_come_alive_are_outside_the_known_data():
    assert pass_windows("electricity", (3, 6, 12, 18)) == ["outside_known_data"] * 4


def test_on_weather_estimates_that_are_no_better_than_the_last_score_are_switched_off():
    verdicts = pass_windows("weather_bellevue", (0, 1, 2, 3, 15, 16, 17, 20))
    assert set(verdicts[:5]) <= {"unproven", "outside_known_data"}
    assert verdicts[-1] == "unreliable" and "estimated_drop" not in verdicts
