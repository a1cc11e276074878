"""Real tables: kinds, contracts and findings are what somebody who knows them would say."""

import os
from pathlib import Path

import numpy as np
import pytest
from table_tools import content_of

from evergreen.data.quality import check_table
from evergreen.data.schema import conform, infer_contract
from evergreen.data.sources import Window, open_table
from evergreen.data.values import check_values
from evergreen.data.windows import first_stretch, read_timeline, split_holdout
from evergreen.settings import DataSettings, TrainingSettings

FOLDER = os.environ.get("EVERGREEN_DATA", "")
pytestmark = pytest.mark.skipif(
    not FOLDER, reason="EVERGREEN_DATA names no folder with the real tables (electricity, bike sharing, diabetes ...)"
)
GROWN = [("date", "out_of_range", False), ("vicdemand", "out_of_range", False)]
TABLES = {
    # settings, task, not features, findings in the later half
    "electricity.parquet": ({"target": "class"}, "classification", (), GROWN),
    "electricity.csv": ({"target": "class"}, "classification", (), GROWN),
    "weather_bellevue.parquet": ({"target": "class"}, "classification", (), []),
    "bike_sharing_hourly.parquet": (
        {"target": "cnt", "time": "timestamp", "exclude": ("casual", "registered")},
        "regression",
        ("instant", "dteday", "casual", "registered", "timestamp"),
        [("yr", "constant", False), ("cnt", "out_of_range", False)],
    ),
    "beijing_pm25_hourly.parquet": (
        {"target": "pm2.5", "time": "timestamp"},
        "regression",
        ("No", "timestamp"),
        [("year", "out_of_range", False)],
    ),
    "diabetes_readmission.parquet": (
        {"target": "readmitted", "missing": ("", "?")},
        "classification",
        ("encounter_id",),
        [("patient_nbr", "out_of_range", False)],
    ),
    "car_loan_reference.parquet": (
        {"target": "repaid", "time": "timestamp"},
        "classification",
        ("id", "timestamp"),
        [],
    ),
    "credit_card_reference.parquet": (
        {"target": "y_true", "time": "timestamp"},
        "classification",
        ("id", "timestamp"),
        [],
    ),
    "car_price_reference.parquet": ({"target": "y_true", "time": "timestamp"}, "regression", ("id", "timestamp"), []),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_real_table_is_understood(name):
    options, task, others, expected = TABLES[name]
    settings = DataSettings(**options)
    table = open_table(name, settings, Path(FOLDER))
    line = read_timeline(table, settings)
    early = first_stretch(line, 0.5)
    contract = infer_contract(table, settings, early)
    assert (contract.task, contract.others) == (task, others)
    later = Window(early.stop, None)
    findings = [*check_table(table, contract, settings), *check_values(table, contract, settings, later)]
    assert [(finding.column, finding.finding, finding.blocking) for finding in findings] == expected
    split = split_holdout(line, TrainingSettings())
    assert split.holdout_rows == pytest.approx(min(0.2 * line.labelled.sum(), TrainingSettings().max_holdout), abs=50)
    rows = conform(table.frame(list(contract.features), later), contract)
    assert len(rows) == len(line.keys) - line.inside(early).stop
    assert not np.isinf(rows.select_dtypes("number")).any().any()


@pytest.mark.parametrize(
    "reference, current",
    [(f"{name}_reference.parquet", f"{name}_analysis.parquet") for name in ("car_loan", "credit_card", "car_price")],
)
def test_drifted_batches_are_good_data(reference, current):
    tables = [open_table(name, DataSettings(time="timestamp"), Path(FOLDER)) for name in (reference, current)]
    settings = DataSettings(time="timestamp", exclude=("repaid",) if "loan" in reference else ("y_true",))
    contract = infer_contract(tables[0], settings)
    findings = (*check_table(tables[1], contract, settings), *check_values(tables[1], contract, settings))
    assert not any(finding.blocking for finding in findings)


def test_one_table_in_two_formats_has_one_content():
    settings = DataSettings(kinds={"day": "category"})
    one, other = (open_table(f"electricity.{kind}", settings, Path(FOLDER)) for kind in ("csv", "parquet"))
    assert content_of(one) == content_of(other)
