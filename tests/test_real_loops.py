"""The whole loop on real, time-ordered tables with a few lines of settings each, and what an expert would decide.

They run where `EVERGREEN_DATA` names the folder with the tables.
"""

import json
import os
from pathlib import Path

import pytest
from described import check_document

import monitor

FOLDER = os.environ.get("EVERGREEN_DATA", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="EVERGREEN_DATA does not name a folder with the real tables")

CREDIT_CARD = """
import pandas as pd

def rows():
    folder = {folder!r}
    now = pd.read_parquet(folder + "/credit_card_analysis.parquet")
    now = now.merge(pd.read_parquet(folder + "/credit_card_analysis_targets.parquet"), on="id")
    both = pd.concat([pd.read_parquet(folder + "/credit_card_reference.parquet"), now], ignore_index=True)
    return both.drop(columns=[name for name in both if name.startswith("y_pred")])
"""


def run_loop(folder, capsys, data, training="", **more):
    lines = [f"[data]\n{data}", f"[training]\nseed = 1\n{training}"]
    lines += [f"[{section}]\n{text}" for section, text in more.items()]
    (folder / "config.toml").write_text("\n".join(lines))
    code = monitor.main(["--config", str(folder / "config.toml"), "--json", "-q"])
    document = json.loads(capsys.readouterr().out)
    check_document(document)
    return code, document


def drifted(document):
    return {column["name"] for column in document["drift"]["columns"] if column["status"] == "drift"}


def test_electricity_the_market_changes_and_the_gate_keeps_the_champion_where_refitting_hurts(tmp_path, capsys):
    """Until 90 % of the record: the old regime is back, and what was learned since is worse than what was known."""
    (tmp_path / "market.py").write_text(
        "import pandas as pd\n\ndef rows():\n"
        f"    frame = pd.read_parquet({FOLDER + '/electricity.parquet'!r})\n"
        "    return frame.drop(columns='date').iloc[: len(frame) * 9 // 10]\n"
    )
    data = 'source = "market:rows"\ntarget = "class"'
    code, document = run_loop(tmp_path, capsys, data, "first_share = 0.3")
    assert code == 0
    assert {"vicprice", "vicdemand", "transfer"} <= drifted(document)
    assert document["drift"]["performance"]["verdict"] == "severe"
    assert document["comparison"]["winner"] == "champion"
    assert document["model"]["version"] == 1


def test_bikes_demand_grows_and_the_challenger_errs_by_a_third_less(tmp_path, capsys):
    data = f'source = "{FOLDER}/bike_sharing_hourly.parquet"\ntarget = "cnt"\ntime = "timestamp"\n'
    data += 'identifiers = ["instant"]\nexclude = ["casual", "registered", "dteday"]'
    code, document = run_loop(tmp_path, capsys, data, "first_share = 0.5")
    assert code == 0
    assert document["drift"]["performance"]["metric"] == "mae"
    assert document["drift"]["performance"]["verdict"] == "severe"
    assert document["deployed"]
    assert document["comparison"]["challenger"] < 0.67 * document["comparison"]["champion"]


def test_credit_cards_three_classes_from_a_function_of_the_users(tmp_path, capsys):
    """Nothing happens until row 90,000 of 120,000; then the channels change, and with them what people choose."""
    (tmp_path / "cards.py").write_text(CREDIT_CARD.format(folder=str(Path(FOLDER))))
    data = 'source = "cards:rows"\ntarget = "y_true"\ntime = "timestamp"\nidentifiers = ["id"]'
    code, document = run_loop(tmp_path, capsys, data, "first_share = 0.5\nmax_rows = 20000\nwindow = 'all'")
    assert code == 0
    statuses = {column["name"]: column["status"] for column in document["drift"]["columns"]}
    moved = {name for name, status in statuses.items() if status in ("drift", "watch")}
    assert statuses["app_channel"] == "drift"
    assert "acq_channel" in moved
    assert document["drift"]["performance"]["verdict"] == "severe"
    assert document["drift"]["diagnosis"].startswith("Drift and loss")
    assert document["comparison"] is not None


def test_weather_slow_drift_costs_nothing_and_is_called_so(tmp_path, capsys):
    data = f'source = "{FOLDER}/weather_bellevue.parquet"\ntarget = "class"'
    code, document = run_loop(tmp_path, capsys, data, "first_share = 0.5", policy='mode = "advise"')
    assert code == 0
    assert document["drift"]["diagnosis"].startswith("Drift without loss")
    assert document["drift"]["performance"]["verdict"] == "fine"
    assert document["training"] is None
