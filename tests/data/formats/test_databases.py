"""Databases for real: SQLite, and a PostgreSQL server that the test starts and stops."""

import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from table_tools import content_of, types_of, values_of

from evergreen.data.formats import databases, spool
from evergreen.data.sources import open_table
from evergreen.errors import DataError, UsageError
from evergreen.settings import DataSettings

sqlalchemy = pytest.importorskip("sqlalchemy")


def programs() -> Path | None:
    """Where PostgreSQL's programs are: on the path, or where Debian keeps them."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists()), None)


def run_as_owner(folder: Path, command: list[str]) -> None:
    """Run one of PostgreSQL's programs, which refuse to run as root."""
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    subprocess.run([*user, *command], check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a server of our own, empty, gone afterwards."""
    pytest.importorskip("psycopg")
    bin_folder = programs()
    if bin_folder is None:
        pytest.skip("PostgreSQL is not installed: no initdb on PATH or in /usr/lib/postgresql/*/bin")
    folder = Path(tempfile.mkdtemp(prefix="evergreen-pg-", dir="/tmp"))  # short: it holds a unix socket
    port = free_port()
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data, control = str(folder / "data"), str(bin_folder / "pg_ctl")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        init = [str(bin_folder / "initdb"), "--no-sync", "-A", "trust", "-E", "UTF8", "--locale=C", "-U", "postgres"]
        run_as_owner(folder, [*init, "-D", data])
        run_as_owner(folder, [control, "-w", "-D", data, "-l", str(folder / "log"), "-o", options, "start"])
        yield f"postgresql+psycopg://postgres:open-sesame@127.0.0.1:{port}/postgres"
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            run_as_owner(folder, [control, "-D", data, "-m", "immediate", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


FILL = """
CREATE TABLE customers AS SELECT i AS id, i * 1.25 AS amount, (i * 1.5)::numeric(10, 2) AS price, i % 2 = 0 AS active,
  CASE WHEN i % 7 > 0 THEN 'plan ' || i % 3 END AS plan, TIMESTAMP '2025-01-01' + i * INTERVAL '1 minute' AS seen,
  TIMESTAMPTZ '2025-07-01 00:00+02' AS signed, DATE '2025-01-02' AS day, '{"a": 1}'::jsonb AS extra
FROM generate_series(1, 1000) AS i
"""


@pytest.fixture(scope="module")
def customers(postgres: str) -> str:
    engine = sqlalchemy.create_engine(postgres)
    with engine.begin() as connection:
        connection.execution_options(no_parameters=True).exec_driver_sql(FILL)
        connection.exec_driver_sql("CREATE SEQUENCE tickets")
    engine.dispose()
    return postgres


def read(url: str, query: str, folder: Path = Path(), **settings: Any):
    return open_table(url, DataSettings(query=query, **settings), folder)


def sizes_of(table):
    """Rows that are held at a time: a chunk of each would take a hundred times as long to go through."""
    return [len(array) for array in table.arrays("id")]


def test_a_query_to_postgresql_is_a_table(customers, monkeypatch):
    monkeypatch.setattr(databases, "FETCH_ROWS", 300)
    table = read(customers, "SELECT * FROM customers ORDER BY id", time="seen")
    assert types_of(table) == {
        "id": "int64", "amount": "double", "price": "double", "active": "bool", "plan": "string",
        "seen": "timestamp[us]", "signed": "timestamp[us]", "day": "timestamp[us]", "extra": "struct<a: int64>",
    }  # fmt: skip
    rows = range(1, 1001)
    assert sizes_of(table) == [300, 300, 300, 100]
    assert values_of(table, "id") == list(rows)
    assert values_of(table, "price") == [row * 1.5 for row in rows]
    assert values_of(table, "plan") == [f"plan {row % 3}" if row % 7 else None for row in rows]
    assert values_of(table, "seen")[59] == datetime(2025, 1, 1, 1)
    assert values_of(table, "signed")[0] == datetime(2025, 6, 30, 22)
    assert len(table.frame(["id", "plan", "day"])) == 1000


def test_a_query_is_run_as_it_is_written(customers):
    query = "SELECT id % 10 AS digit, '10:30' AS clock, '%s' AS s, id::text AS word FROM customers "
    query += "WHERE plan LIKE '%1' ORDER BY id LIMIT 1"
    assert content_of(read(customers, query)) == {"digit": [1], "clock": ["10:30"], "s": ["%s"], "word": ["1"]}


def test_a_query_can_read_only(customers):
    for query, reason in (
        ("DELETE FROM customers RETURNING id", ""),
        ("SELECT nextval('tickets')", "read-only transaction"),
    ):
        with pytest.raises(UsageError, match=rf"refused data\.query .*{reason}"):
            read(customers, query)
    assert read(customers, "SELECT count(*) AS n FROM customers").frame(["n"])["n"].tolist() == [1000]


def test_messages_about_a_database_never_show_its_password(customers):
    for url, query in [
        (customers, "SELECT nonsense FROM customers"),
        (customers, ""),
        (customers, "SELECT id FROM customers WHERE false"),
        ("postgresql+psycopg://u:open-sesame@127.0.0.1:1/x", "SELECT 1"),
        (customers.replace("//postgres:", "//nobody:"), "SELECT 1"),
    ]:
        with pytest.raises((DataError, UsageError)) as error:
            read(url, query)
        assert "open-sesame" not in str(error.value)
        assert "***" in str(error.value)


def test_what_went_wrong_with_a_database_is_said(customers, tmp_path):
    closed = f"postgresql+psycopg://u@127.0.0.1:{free_port()}/x"
    with pytest.raises(DataError, match=r"can't be reached .*[Cc]onnection refused"):
        read(closed, "SELECT 1")
    with pytest.raises(UsageError, match=r"refused data\.query .relation \"nowhere\" does not exist"):
        read(customers, "SELECT * FROM nowhere")
    with pytest.raises(UsageError, match=r"a database needs data\.query"):
        read(customers, " ")
    with pytest.raises(DataError, match="the query: column names appear more than once: id"):
        read(customers, "SELECT id, id FROM customers")
    with pytest.raises(DataError, match="no rows"):
        read(customers, "SELECT id FROM customers WHERE false")
    with pytest.raises(UsageError, match="the driver of this database is not installed"):
        read("oracle://u@h/x", "SELECT 1")
    with pytest.raises(DataError, match=r"sqlite:///gone.db: there is no such file"):
        read("sqlite:///gone.db", "SELECT 1", tmp_path)


@pytest.fixture
def shop(tmp_path) -> Path:
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("CREATE TABLE visits (id INTEGER, amount REAL, loose, seen TEXT, empty)")
    loose = [1, 2.5, None, 4, "x"]
    rows = [
        (row, row / 2, loose[row % 5] if row > 4 else row, f"2025-01-{row + 1:02d} 10:00", None) for row in range(20)
    ]
    connection.executemany("INSERT INTO visits VALUES (?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return tmp_path


def test_a_query_to_sqlite_is_a_table(shop, monkeypatch):
    monkeypatch.setattr(databases, "FETCH_ROWS", 4)
    monkeypatch.setattr(spool, "MEMORY_BYTES", 100)
    table = read("sqlite:///shop.db", "SELECT * FROM visits ORDER BY id", shop, time="seen")
    assert types_of(table) == {
        "id": "int64", "amount": "double", "loose": "string", "seen": "timestamp[us]", "empty": "null"
    }  # fmt: skip
    assert sizes_of(table) == [4] * 5
    assert values_of(table, "seen")[1] == datetime(2025, 1, 2, 10)
    assert values_of(table, "loose")[:9] == ["0", "1", "2", "3", "4", "1", "2.5", None, "4"]
    assert values_of(table, "amount") == [row / 2 for row in range(20)]


def test_whole_and_broken_numbers_of_one_column_are_numbers(shop):
    query = "SELECT CASE WHEN id < 10 THEN id ELSE amount END AS n FROM visits ORDER BY id"
    expected = [float(row) if row < 10 else row / 2 for row in range(20)]
    assert values_of(read("sqlite:///shop.db", query, shop), "n") == expected


def test_a_database_that_is_none_is_refused(tmp_path):
    (tmp_path / "t.db").write_text("no database at all, but long enough to be looked at" * 20)
    with pytest.raises((DataError, UsageError), match="file is not a database"):
        read("sqlite:///t.db", "SELECT 1 FROM t", tmp_path)
