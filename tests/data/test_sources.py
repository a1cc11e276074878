"""Sources: files of three formats, folders, globs, functions, object stores; read in streams, whole or in windows."""

import os
import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from table_tools import content_of, open_text, types_of, values_of

from evergreen.data.formats import columnar
from evergreen.data.sources import Window, local_files, open_table, table_of
from evergreen.errors import DataError, UsageError
from evergreen.settings import DataSettings

SRC = Path(__file__).parents[2] / "src"
MINUTES = pd.date_range("2025-01-01", periods=1000, freq="min")
FRAME = pd.DataFrame(
    {
        "when": MINUTES,
        "number": np.arange(1000) / 4,
        "count": np.arange(1000),
        "word": [f"w{number % 7}" for number in range(1000)],
        "truth": [number % 3 == 0 for number in range(1000)],
    }
)


def write(folder: Path, frame: pd.DataFrame, name: str, rows: int = 300) -> None:
    """The frame in the format that the name ends with, in groups of 300 rows."""
    if name.endswith("parquet"):
        frame.to_parquet(folder / name, index=False, row_group_size=rows)
    elif name.endswith("feather"):
        pyarrow.feather.write_feather(pa.Table.from_pandas(frame, preserve_index=False), folder / name, chunksize=rows)
    else:
        frame.to_csv(folder / name, index=False)


@pytest.fixture(params=["t.parquet", "t.feather", "t.csv"])
def table(request, tmp_path):
    write(tmp_path, FRAME, request.param)
    return open_table(request.param, DataSettings(time="when"), tmp_path)


def test_the_same_rows_in_every_format_are_the_same_table(table):
    assert types_of(table) == {
        "when": "timestamp[us]", "number": "double", "count": "int64", "word": "string", "truth": "bool"
    }  # fmt: skip
    assert table.rows == 1000
    found = table.frame(list(FRAME))
    pd.testing.assert_frame_equal(found, FRAME, check_dtype=False)


def test_a_format_is_known_by_its_bytes_not_by_its_name(tmp_path):
    write(tmp_path, FRAME, "t.parquet")
    (tmp_path / "t.parquet").rename(tmp_path / "t.csv")
    assert open_table("t.csv", DataSettings(), tmp_path).rows == 1000


@pytest.mark.parametrize(
    "start, stop",
    [(None, None), (10, 20), (0, 300), (299, 301), (250, 950), (None, 5), (995, None), (1000, None), (5, 5), (9, 3)],
)
def test_a_window_by_row_number_is_half_open(table, start, stop):
    assert values_of(table, "count", Window(start, stop)) == list(range(1000))[start:stop]


@pytest.mark.parametrize("start, stop", [(10, 20), (None, 301), (600, None), (1000, None)])
def test_a_window_by_time_is_half_open(table, start, stop):
    moments = [*MINUTES.to_pydatetime(), datetime(2030, 1, 1)]
    ends = [None if row is None else moments[row] for row in (start, stop)]
    assert values_of(table, "count", Window(*ends)) == list(range(1000))[start:stop]
    assert len(table.frame(["word"], Window(*ends))) == len(range(1000)[start:stop])


def test_a_window_by_time_finds_its_rows_in_an_unsorted_table(tmp_path):
    shuffled = FRAME.sample(frac=1, random_state=0)
    write(tmp_path, shuffled, "t.parquet")
    table = open_table("t.parquet", DataSettings(time="when"), tmp_path)
    window = Window(MINUTES[100].to_pydatetime(), MINUTES[200].to_pydatetime())
    expected = [number for number in shuffled["count"] if 100 <= number < 200]
    assert values_of(table, "count", window) == expected
    assert table.frame(["count"], window)["count"].tolist() == expected


def test_a_window_by_time_without_a_time_column_is_a_usage_error(tmp_path):
    table = open_text(tmp_path, "a\n1\n")
    with pytest.raises(UsageError, match=r"needs data\.time"):
        list(table.arrays("a", Window(datetime(2025, 1, 1), None)))


def test_an_empty_window_is_a_frame_without_rows_but_with_columns(table):
    found = table.frame(["count", "word"], Window(1000, None))
    assert (len(found), list(found)) == (0, ["count", "word"])


def test_columns_come_in_the_order_asked_for(table):
    assert list(table.frame(["word", "count"])) == ["word", "count"]


def test_an_unknown_column_is_named_with_those_that_are_there(table):
    with pytest.raises(DataError, match=r"no column 'age'\. Found: when, number, count, word, truth"):
        list(table.arrays("age"))


def test_only_the_columns_asked_for_are_read(tmp_path, monkeypatch):
    write(tmp_path, FRAME, "t.parquet")
    monkeypatch.setattr(columnar, "PIECE_ROWS", 300)  # larger row groups are not read together
    table = open_table("t.parquet", DataSettings(time="when"), tmp_path)
    asked = []
    original = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_groups",
        lambda self, groups, columns, **kwargs: (
            asked.append((*groups, columns)) or original(self, groups, columns, **kwargs)
        ),
    )
    window = Window(MINUTES[950].to_pydatetime(), None)
    assert len(values_of(table, "number", window)) == len(values_of(table, "word", window)) == 50
    groups = [(group, ["when"]) for group in range(4)]
    assert asked == [*groups, (3, ["number"]), (3, ["word"])]


def test_many_threads_read_the_same_columns(table):
    found, threads = [], []
    for column in ["count", "number", "word", "truth"] * 4:
        window = Window(MINUTES[5].to_pydatetime(), None)
        threads.append(threading.Thread(target=lambda c=column, w=window: found.append((c, values_of(table, c, w)))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert all(values == FRAME[column][5:].tolist() for column, values in found)


def test_types_are_few_whatever_the_file_says(tmp_path):
    stored = pa.table(
        {
            "int8": pa.array([1, None], pa.int8()),
            "uint64": pa.array([1, 2**63], pa.uint64()),
            "float32": pa.array([0.5, None], pa.float32()),
            "decimal": pa.array([Decimal("1.25"), Decimal("3.10")], pa.decimal128(10, 2)),
            "large": pa.array(["x", ""], pa.large_string()),
            "coded": pa.array(["x", "y"]).dictionary_encode(),
            "day": pa.array([date(2025, 1, 2), None]),
            "nano": pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns")),
            "berlin": pa.array([datetime(2025, 7, 1, tzinfo=UTC), None], pa.timestamp("ms", "Europe/Berlin")),
            "nothing": pa.nulls(2),
            "list": pa.array([[1], [2]]),
        }
    )
    pq.write_table(stored, tmp_path / "t.parquet")
    table = open_table("t.parquet", DataSettings(), tmp_path)
    assert content_of(table) == {
        "int8": [1, None],
        "uint64": [1.0, 2.0**63],
        "float32": [0.5, None],
        "decimal": [1.25, 3.1],
        "large": ["x", None],  # "" is missing, as in CSV
        "coded": ["x", "y"],
        "day": [datetime(2025, 1, 2), None],
        "nano": [datetime(2023, 11, 14, 22, 13, 20, 123456), None],
        "berlin": [datetime(2025, 7, 1), None],
        "nothing": [None, None],
        "list": [[1], [2]],
    }
    assert types_of(table)["coded"] == "dictionary<values=string, indices=int32, ordered=0>"
    assert len(table.frame(list(table.types))) == 2


def test_missing_words_count_in_every_format(tmp_path):
    frame = pd.DataFrame({"a": [1.0, -999.0, 3.0], "b": ["x", "?", ""], "c": pd.Categorical(["x", "?", "y"])})
    for name in "t.parquet", "t.feather", "t.csv":
        write(tmp_path, frame, name)
        table = open_table(name, DataSettings(missing=("", "?", "-999", "-999.0")), tmp_path)
        assert content_of(table) == {"a": [1.0, None, 3.0], "b": ["x", None, None], "c": ["x", None, "y"]}


def test_a_folder_is_one_table_in_the_order_of_names(tmp_path):
    (tmp_path / "f" / "older").mkdir(parents=True)
    (tmp_path / "f" / "_SUCCESS").write_text("")
    (tmp_path / "f" / ".hidden.csv").write_text("x")
    open_text(tmp_path, "a,b\n3,z\n", "f/b.csv")
    open_text(tmp_path, "b,a\nx,1\ny,2.5\n", "f/a.csv")
    open_text(tmp_path, "a,b\n4,w\n", "f/older/a.csv")
    table = open_table("f", DataSettings(), tmp_path)
    assert content_of(table) == {"b": ["x", "y", "z", "w"], "a": [1.0, 2.5, 3.0, 4.0]}


@pytest.mark.parametrize("pattern, rows", [("p*.csv", 2), ("*/p?.csv", 1), ("**/p*.csv", 3), ("[q]*.csv", 1)])
def test_a_glob_takes_the_files_that_match(tmp_path, pattern, rows):
    (tmp_path / "deep").mkdir()
    for name in "p1.csv", "p2.csv", "q1.csv", "deep/p3.csv":
        (tmp_path / name).write_text("a\n1\n")
    assert open_table(pattern, DataSettings(), tmp_path).rows == rows


def test_whole_numbers_are_widened_where_another_file_needs_it(tmp_path):
    (tmp_path / "f").mkdir()
    pq.write_table(pa.table({"a": [1, 2], "b": pa.nulls(2)}), tmp_path / "f" / "1.parquet")
    pq.write_table(pa.table({"b": ["x"], "a": [2.5]}), tmp_path / "f" / "2.parquet")
    table = open_table("f", DataSettings(), tmp_path)
    assert content_of(table) == {"a": [1.0, 2.0, 2.5], "b": [None, None, "x"]}
    assert table.frame(["b", "a"])["a"].tolist() == [1.0, 2.0, 2.5]


def test_coded_words_of_several_files_and_groups_are_one_column(tmp_path):
    (tmp_path / "f").mkdir()
    for number, words in enumerate([["x", "y", None], ["z", "x", "w"]]):
        frame = pd.DataFrame({"w": pd.Categorical(words)})
        write(tmp_path, frame, f"f/{number}.parquet", rows=2)
    table = open_table("f", DataSettings(), tmp_path)
    assert table.frame(["w"])["w"].astype(object).where(lambda w: w.notna(), None).tolist() == [
        "x",
        "y",
        None,
        "z",
        "x",
        "w",
    ]
    assert values_of(table, "w", Window(1, 4)) == ["y", None, "z"]


@pytest.mark.parametrize(
    "other, message",
    [
        ({"a": ["x"], "b": ["y"]}, "2.parquet: column 'a' holds string values; in .*1.parquet they are int64"),
        ({"a": [1], "c": ["y"]}, "2.parquet: no column 'b', an additional column 'c'"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(tmp_path, other, message):
    (tmp_path / "f").mkdir()
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "f" / "1.parquet")
    pq.write_table(pa.table(other), tmp_path / "f" / "2.parquet")
    with pytest.raises(DataError, match=message):
        open_table("f", DataSettings(), tmp_path)


def test_csv_files_of_other_columns_are_refused(tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "f" / "2.csv").write_text("a,c\n1,2\n")
    with pytest.raises(DataError, match=r"f/2.csv: other columns than in f/1.csv.* Missing: b. New: c."):
        open_table("f", DataSettings(), tmp_path)


def refuse(source: str, folder: Path, error: type[Exception], message: str, **settings: object) -> None:
    with pytest.raises(error, match=message):
        open_table(source, DataSettings(**settings), folder)


def test_what_is_not_there_or_no_table_is_refused_in_words(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "parts" / "year=2025").mkdir(parents=True)
    (tmp_path / "parts" / "year=2025" / "1.csv").write_text("a\n1\n")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and nothing more")
    (tmp_path / "torn.feather").write_bytes(b"ARROW1 and nothing more")
    (tmp_path / "mixed").mkdir()
    write(tmp_path, FRAME, "mixed/a.parquet")
    write(tmp_path, FRAME, "mixed/b.csv")
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    os.mkfifo(tmp_path / "pipe")
    refuse("", tmp_path, UsageError, "No source of rows")
    refuse("no.csv", tmp_path, DataError, "no.csv: there is no such file or folder")
    refuse("empty", tmp_path, DataError, "empty: there is no such file or folder, or it holds no files")
    refuse("*.nothing", tmp_path, DataError, "no file matches this pattern")
    refuse("empty.csv", tmp_path, DataError, r"empty.csv: the file is empty \(0 bytes\)")
    refuse("torn.parquet", tmp_path, DataError, "torn.parquet: damaged or cut short")
    refuse("torn.feather", tmp_path, DataError, "torn.feather: damaged or cut short")
    refuse("none.parquet", tmp_path, DataError, r"none.parquet: the table has columns \(a\) but no rows")
    refuse("pipe", tmp_path, DataError, "pipe: expected a regular file, found a pipe or device")
    refuse(
        "mixed", tmp_path, DataError, r"must have one format; found mixed/a.parquet \(Parquet\), mixed/b.csv \(CSV\)"
    )
    refuse("foo://x/y.csv", tmp_path, UsageError, "no driver for 'foo://'")
    refuse("parts", tmp_path, DataError, "the folder 'year=2025' keeps a column in its name")
    refuse("parts/year=2025/1.csv", tmp_path, UsageError, "data.time names the column 'when'. Found: a", time="when")


def test_a_parquet_file_with_a_damaged_page_is_refused_when_it_is_read(tmp_path):
    write(tmp_path, FRAME, "t.parquet")
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    content[200:260] = bytes(60)
    (tmp_path / "t.parquet").write_bytes(content)
    table = open_table("t.parquet", DataSettings(), tmp_path)
    with pytest.raises(DataError, match=r"t\.parquet: damaged in the middle"):
        content_of(table)


@pytest.mark.parametrize("name", ["t.parquet", "t.feather"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, name):
    write(tmp_path, FRAME, name)
    table = open_table(name, DataSettings(), tmp_path)
    write(tmp_path, FRAME[:500], name)
    with pytest.raises(DataError, match="the file changed while it was being read"):
        content_of(table)


def test_a_csv_file_is_read_once_so_later_changes_do_not_mix_in(tmp_path):
    table = open_text(tmp_path, "a\n1\n2\n")
    (tmp_path / "t.csv").write_text("a\n7\n8\n")
    assert values_of(table, "a") == [1, 2]


def test_object_stores_are_read_through_fsspec(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://shop/a.csv", "w") as file:
        file.write("a,b\n1,x\n")
    with fsspec.open("memory://shop/b.csv", "w") as file:
        file.write("a,b\n2,y\n")
    assert content_of(open_table("memory://shop/*.csv", DataSettings(), tmp_path)) == {"a": [1, 2], "b": ["x", "y"]}
    assert open_table(f"file://{SRC.parent}/data/customers.csv", DataSettings(), tmp_path).rows == 12_000


FUNCTIONS = """
import pandas as pd, pyarrow as pa
def frame():
    return pd.DataFrame({"a": [1, None], "b": ["x", ""]}, index=[5, 9])
def arrow():
    return pa.table({"a": [1]})
def twins():
    return pd.DataFrame([[1, 2]], columns=["a", "a"])
def mixed():
    return pd.DataFrame({"a": [1, "x"], "b": [1.5, 2.5]})
def nothing():
    return None
"""


def test_a_function_of_the_user_gives_a_table(tmp_path):
    (tmp_path / "features_of_test.py").write_text(FUNCTIONS)
    source = "features_of_test"
    assert content_of(open_table(f"{source}:frame", DataSettings(), tmp_path)) == {"a": [1.0, None], "b": ["x", None]}
    assert content_of(open_table(f"{source}:arrow", DataSettings(), tmp_path)) == {"a": [1]}
    refuse(f"{source}:nothing", tmp_path, DataError, "returned NoneType; expected a pandas DataFrame or an Arrow table")
    refuse(f"{source}:twins", tmp_path, DataError, "names appear more than once: a")
    assert content_of(open_table(f"{source}:mixed", DataSettings(), tmp_path)) == {"a": ["1", "x"], "b": [1.5, 2.5]}
    refuse(f"{source}:gone", tmp_path, UsageError, "has no 'gone'")
    refuse("no_such_module:f", tmp_path, UsageError, "can't import no_such_module .* has to be installed, or lie in")


def test_a_frame_in_memory_is_a_table():
    assert types_of(table_of(FRAME, "rows"))["when"] == "timestamp[us]"


def objects(*values):
    return pd.Series(values, dtype=object)


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (objects(1, "a", None), ["1", "a", None]),
        (objects(2**70, 1, None), ["1180591620717411303424", "1", None]),
        (pd.Series([1j, 2j, 0]), ["1j", "2j", "0j"]),
        (objects([1], "a", None), ["[1]", "a", None]),
        (objects("\udc80", "b", None), ["?", "b", None]),
        (pd.Series(pd.Categorical([1, "a", None])), ["1", "a", None]),
        (pd.Series(pd.arrays.SparseArray([0.0, 1.0, np.nan])), [0.0, 1.0, None]),
    ],
    ids=["mixed", "beyond 64 bits", "complex", "lists and words", "surrogate", "mixed categories", "sparse"],
)
def test_a_column_that_arrow_has_no_type_for_hides_none_of_the_others(odd, words):
    frame = pd.DataFrame({"before": [1.0, 2.0, 3.0], "odd": odd, "after": ["x", "y", "z"]})
    wanted = {"before": [1.0, 2.0, 3.0], "odd": words, "after": ["x", "y", "z"]}
    assert content_of(table_of(frame, "rows")) == wanted


def test_what_is_in_memory_and_no_table_is_refused_in_words():
    with pytest.raises(
        UsageError, match=r"^rows: expected a pandas DataFrame, an Arrow table, .* found ndarray\. An array"
    ):
        table_of(np.zeros((3, 2)), "rows")
    with pytest.raises(DataError, match=r"^rows: the table has columns \(when, number, .*\) but no rows\.$"):
        table_of(FRAME.iloc[:0], "rows")
    with pytest.raises(DataError, match="names appear more than once: a"):
        table_of(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), "rows")


def test_an_index_without_a_name_that_pandas_wrote_is_no_column(tmp_path):
    kept = FRAME[FRAME["count"] % 5 < 2]
    kept.to_parquet(tmp_path / "kept.parquet")
    assert "__index_level_0__" in pq.read_schema(tmp_path / "kept.parquet").names
    pyarrow.feather.write_feather(pa.Table.from_pandas(kept), tmp_path / "kept.feather")
    tables = [open_table(name, DataSettings(), tmp_path) for name in ("kept.parquet", "kept.feather")]
    for table in (*tables, table_of(pa.Table.from_pandas(kept), "rows")):
        assert list(table.types) == list(FRAME)
        assert values_of(table, "count") == kept["count"].tolist()


def test_an_index_with_a_name_is_a_column_like_others(tmp_path):
    FRAME.set_index("when").to_parquet(tmp_path / "t.parquet")
    assert open_table("t.parquet", DataSettings(time="when"), tmp_path).types.keys() == set(FRAME)


def test_files_are_opened_and_read_without_pandas(tmp_path):
    write(tmp_path, FRAME, "t.parquet")
    write(tmp_path, FRAME, "t.csv")
    write(tmp_path, FRAME, "t.feather")
    code = f"""
import sys
from datetime import datetime
from pathlib import Path
from evergreen.data.kinds import infer_kinds
from evergreen.data.quality import check_table
from evergreen.data.values import check_values
from evergreen.data.schema import infer_contract
from evergreen.data.sources import Window, open_table
from evergreen.data.windows import current_window, read_timeline
from evergreen.settings import DataSettings
for name in "t.parquet", "t.csv", "t.feather":
    settings = DataSettings(time="when", target="truth", missing=("", "w3", "7"))
    table = open_table(name, settings, Path({str(tmp_path)!r}))
    infer_kinds(table, {{}})
    window = current_window(read_timeline(table, settings), datetime(2025, 1, 1, 5), settings)
    assert sum(len(piece) for column in table.types for piece in table.arrays(column, window)) == 5 * 699
    contract = infer_contract(table, settings)
    assert not check_table(table, contract, settings) + check_values(table, contract, settings, window)
assert not {{"pandas", "sklearn", "scipy.stats"}} & sys.modules.keys(), "slow imports"
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(SRC)})


def test_memory_does_not_grow_with_the_rows_of_a_parquet_file(tmp_path):
    schema = pa.schema([(f"f{number}", pa.float64()) for number in range(4)])
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(tmp_path / "t.parquet", schema) as writer:
        for _ in range(20):
            writer.write_table(pa.table({name: rng.normal(size=100_000) for name in schema.names}))
    table = open_table("t.parquet", DataSettings(), tmp_path)
    before = pa.total_allocated_bytes()
    largest = max(pa.total_allocated_bytes() for _ in table.arrays("f0")) - before
    assert largest < 4 * 100_000 * 8  # a group of one column and what decoding it needs; the column has 20 groups


@pytest.mark.parametrize("odd", ['"1,234"', "n/a", "1e999"])
def test_odd_values_in_an_excluded_column_stop_nothing(tmp_path, odd):
    content = "a,b\n" + "1,2\n" * 30 + f"3,{odd}\n"
    with pytest.raises(DataError, match="'b'"):
        open_text(tmp_path, content)
    table = open_text(tmp_path, content, exclude=("b",))
    assert types_of(table) == {"a": "int64", "b": "string"}
    assert values_of(table, "b")[-1] == odd.strip('"')
    assert types_of(open_text(tmp_path, "a,b\n1,2\n", exclude=("b",)))["b"] == "int64"


def test_the_files_that_are_read_are_known_beforehand_wherever_settings_name_them(tmp_path):
    (tmp_path / "rows").mkdir()
    files = [tmp_path / name for name in ("a.csv", "rows/b.csv", "rows/c.csv", "d.db")]
    for file in files:
        file.touch()
    one, below, last, base = files
    assert local_files("a.csv", tmp_path) == (one,)
    assert local_files(one.as_uri(), tmp_path) == (one,)
    assert local_files("rows", tmp_path) == (below, last)
    assert local_files("rows/*.csv", tmp_path) == (below, last)
    assert local_files("sqlite:///d.db", tmp_path) == (base,)
    assert local_files(f"sqlite:///{base}", tmp_path) == (base,)


@pytest.mark.parametrize("source", ["", "house:load", "none.csv", "postgresql://host/base"])
def test_a_source_that_is_no_file_here_names_none(tmp_path, source):
    assert local_files(source, tmp_path) == ()
