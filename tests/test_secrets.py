"""No password of an address in the settings is written or shown anywhere."""

from pathlib import Path

import pandas as pd
import pytest
from projects import make_project, world

import detect_drift
import monitor
from evergreen.data.formats import databases
from evergreen.masking import shown_source
from evergreen.settings import Settings

SECRET = "open-sesame"
ADDRESS = f"postgresql+psycopg://ana:{SECRET}@127.0.0.1:1/shop?sslpassword={SECRET}"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("table.csv", "table.csv"),
        ("module:function", "module:function"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
        ("s3://bucket/2026-*.parquet", "s3://bucket/2026-*.parquet"),
        ("postgresql://ana@host:5432/shop", "postgresql://ana@host:5432/shop"),
        ("postgresql://ana:a/b:c@host/shop", "postgresql://ana:***@host/shop"),
        ("postgresql://ana:a@b@host/shop", "postgresql://ana:***@host/shop"),
        ("postgresql://:abc@host/shop", "postgresql://:***@host/shop"),
        ("postgresql://host/shop?user=ana&password=abc&x=1", "postgresql://host/shop?user=ana&password=***&x=1"),
        ("s3://key:abc@bucket/rows.csv", "s3://key:***@bucket/rows.csv"),
        ("https://host/rows.csv?sv=1&sig=a%2Fb", "https://host/rows.csv?sv=1&sig=***"),
    ],
)
def test_a_source_is_shown_without_what_it_takes_to_use_it(source, shown):
    assert shown_source(source) == shown


def test_the_settings_on_record_hold_no_password():
    for keys in ({"source": ADDRESS}, {"reference": ADDRESS, "current": ADDRESS}):
        assert SECRET not in str(Settings(data=keys).as_dict())


def test_a_source_of_the_wrong_form_is_refused_without_its_password(tmp_path, capsys):
    for line in (f"[data]\nsource = ['{ADDRESS}']", f"data = '{ADDRESS}'"):
        (tmp_path / "config.toml").write_text(line)
        assert monitor.main(["--config", str(tmp_path / "config.toml")]) == 2
    assert monitor.main(["--set", ADDRESS.partition("?")[0]]) == 2
    shown = capsys.readouterr().err
    assert shown.count("***") >= 3
    assert SECRET not in shown


def written(folder: Path) -> str:
    files = [path for name in ("model", "reports") for path in (folder / name).rglob("*") if path.is_file()]
    assert files
    return "".join(path.read_bytes().decode(errors="replace") for path in files)


@pytest.fixture
def database(monkeypatch):
    """A database whose rows come from a SQLite file, under an address with a password."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")

    def answer_from(file):
        opened = sqlalchemy.create_engine(f"sqlite:///{file}")
        monkeypatch.setattr(databases, "_engine", lambda url, root: (opened, ENGINE(url, root)[1]))
        return opened

    return answer_from


ENGINE = databases._engine


def test_a_run_on_a_database_writes_its_password_nowhere(tmp_path, capsys, monkeypatch, database):
    frame = pd.concat([world(3000, seed=1), world(3000, start="2025-02-01", seed=3, flip=True)])
    config = make_project(tmp_path / "project", frame, training="params = {max_iter = 30}\nfirst_share = 0.5\n")
    frame.to_sql("visits", database(tmp_path / "shop.db"), index=False)
    monkeypatch.setenv("EVERGREEN_DATA_SOURCE", ADDRESS)
    monkeypatch.setenv("EVERGREEN_DATA_QUERY", "SELECT * FROM visits")
    assert monitor.main(["--config", str(config), "-v"]) == 0
    assert monitor.main(["--config", str(config), "--json"]) == 0
    shown = capsys.readouterr()
    kept = written(config.parent)
    assert "postgresql+psycopg://ana:***@127.0.0.1:1/shop" in kept
    assert SECRET not in kept + shown.out + shown.err


@pytest.mark.parametrize(
    "address",
    [
        ADDRESS,
        f"nosuchstore://ana:{SECRET}@host/rows.csv",
        f"file://ana:{SECRET}@host/rows.csv",
        f"postgresql://ana:x@{SECRET}:{SECRET}@host/shop",
        f"postgresql://ana:x@host:{SECRET}/shop?password={SECRET}",
    ],
)
def test_a_run_that_can_not_reach_its_source_tells_no_password(tmp_path, capsys, address):
    pytest.importorskip("psycopg")
    config = make_project(tmp_path / "project", world(300))
    words = ["--set", f"data.source={address}", "--set", "data.query=SELECT 1"]
    assert monitor.main(["--config", str(config), *words]) in (2, 3)
    assert detect_drift.main(["--reference", address, "--current", address]) in (2, 3)
    shown = capsys.readouterr()
    kept = written(config.parent)
    assert "***" in kept or "is not a database URL" in kept
    assert SECRET not in kept + shown.out + shown.err
