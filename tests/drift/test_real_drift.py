"""Real tables with drift from a known row on: silent before, named after. Read from the folder in EVERGREEN_DATA."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from detect_drift import check_data_drift

FOLDER = Path(os.environ.get("EVERGREEN_DATA", ""))
pytestmark = pytest.mark.skipif("EVERGREEN_DATA" not in os.environ, reason="EVERGREEN_DATA names no folder of tables")
SETS = {
    "car_loan": (25_000, {"car_value", "repaid_loan_on_prev_car", "salary_range", "loan_length"}),
    "credit_card": (30_000, {"app_channel", "acq_channel"}),
    "car_price": (30_000, {"accident_count", "fuel", "transmission"}),
}


@pytest.mark.parametrize("name", SETS)
def test_the_first_half_is_silent_and_the_second_drifts_where_it_is_known_to(name):
    cut, moved = SETS[name]
    current = pq.read_table(FOLDER / f"{name}_analysis.parquet")
    reference = pq.read_table(FOLDER / f"{name}_reference.parquet").select(current.column_names)
    assert check_data_drift(reference, current.slice(0, cut)).verdict == "no_drift"
    assert moved <= set(check_data_drift(reference, current.slice(cut)).drifted)


def test_electricity_comes_alive_after_the_first_year():
    table = pq.read_table(FOLDER / "electricity.parquet")
    report = check_data_drift(table.slice(0, 17_000), table.slice(30_000), target="class")
    assert {"vicprice", "vicdemand", "transfer"} <= set(report.drifted)
    assert {"day", "period"} & set(report.drifted) == set()
    text = FOLDER / "electricity.csv"
    assert check_data_drift(table, text).verdict == "no_drift"
