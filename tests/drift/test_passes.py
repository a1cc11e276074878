"""One pass over a table: the same profile from any threads, types, formats and cuts; rows stay out of Python."""

from decimal import Decimal
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evergreen.data.formats import columnar
from evergreen.data.formats.chunks import Chunks
from evergreen.data.sources import Table, Window, open_table
from evergreen.drift import counting, passes, relations
from evergreen.drift.counting import count_labels, gather
from evergreen.drift.distances import ks_bounds
from evergreen.drift.passes import cut_tasks, spread_rows
from evergreen.drift.profile import merge, profile_arrays, profile_table
from evergreen.settings import DataSettings

KINDS = {"x": "number", "y": "number", "n": "number", "w": "category", "b": "boolean", "id": "text"}


def make_rows(rows, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": np.where(rng.random(rows) < 0.05, np.nan, rng.normal(size=rows)),
            "y": rng.lognormal(size=rows).astype(np.float32),
            "n": rng.integers(0, 300, rows),
            "w": rng.choice(["a", "b", "ü", "c, d"], rows),
            "b": rng.random(rows) < 0.3,
            "id": [f"row {number}" for number in range(rows)],
        }
    )


def write(folder, frame, name="t.parquet", **options):
    if name.endswith(".csv"):
        frame.to_csv(folder / name, index=False)
    elif name.endswith(".feather"):
        pyarrow.feather.write_feather(frame, folder / name)
    else:
        pq.write_table(pa.Table.from_pandas(frame), folder / name, **options)
    return open_table(name, DataSettings(), folder)


def columns_of(profile):
    return profile.to_dict()["columns"]


@pytest.fixture
def small_tasks(monkeypatch):
    """Everything is worth a thread, in tasks of few rows and columns."""
    monkeypatch.setattr(passes, "PARALLEL_VALUES", 0)
    monkeypatch.setattr(passes, "RANGE_ROWS", 700)
    monkeypatch.setattr(passes, "TASK_VALUES", 1000)
    monkeypatch.setattr(counting, "BLOCK_ROWS", 97)
    monkeypatch.setattr(columnar, "PIECE_ROWS", 250)  # row groups stay apart


@pytest.mark.parametrize("held", [10**9, 1000])
def test_one_and_four_threads_give_the_same_bits(tmp_path, small_tasks, monkeypatch, held):
    monkeypatch.setattr(passes, "HELD_ROWS", held)
    table = write(tmp_path, make_rows(3000), row_group_size=400)
    alone, together = (profile_table(table, KINDS, jobs=jobs) for jobs in (1, 4))
    assert alone.to_dict() == together.to_dict()
    assert columns_of(profile_table(table, KINDS, against=alone, jobs=1)) == columns_of(
        profile_table(table, KINDS, against=alone, jobs=4)
    )


def test_how_the_work_is_cut_does_not_change_a_count(tmp_path, small_tasks):
    table = write(tmp_path, make_rows(3000), row_group_size=400)
    found = profile_table(table, KINDS)
    frame = make_rows(3000)
    for name in ("x", "y", "n"):
        values = frame[name].dropna().to_numpy(dtype=float)
        column = found.columns[name]
        assert np.array_equal(np.cumsum(column.counts)[:-1], np.searchsorted(np.sort(values), column.edges, "right"))
        assert column.sums.sum() == pytest.approx((values - column.origin).sum())
        assert column.deviation == pytest.approx(values.std())
    assert found.columns["w"].counts == frame["w"].value_counts().to_dict()
    assert found.columns["id"].present == 3000


@pytest.mark.parametrize("name", ["t.csv", "t.feather", "t.parquet"])
def test_format_row_order_and_column_order_do_not_matter(tmp_path, name):
    frame = make_rows(3000).astype({"y": float})
    plain = profile_table(write(tmp_path, frame, "plain.parquet"), KINDS)
    mixed = frame.sample(frac=1, random_state=1).iloc[:, ::-1]
    shuffled = profile_table(write(tmp_path, mixed, name), dict(reversed(KINDS.items())))
    assert columns_of(shuffled) == columns_of(plain)
    rows = plain.relations.rows, shuffled.relations.rows
    assert rows[0] == rows[1] and np.array_equal(plain.relations.products, shuffled.relations.products)


def test_a_window_is_counted_alone_however_its_rows_lie_in_the_pieces(tmp_path, small_tasks):
    frame = make_rows(3000)
    table = write(tmp_path, frame, row_group_size=1000)
    part = profile_table(table, KINDS, window=Window(333, 1999))
    alone = profile_table(write(tmp_path, frame[333:1999], "part.parquet"), KINDS)
    assert columns_of(part) == columns_of(alone) and part.rows == 1666
    rows = [value for piece in table.pieces(["n"], Window(333, 1999), rows=97) for value in piece["n"].to_pylist()]
    assert rows == frame["n"][333:1999].tolist()


def test_the_rows_that_are_handed_over_do_not_depend_on_how_the_work_is_cut(tmp_path, monkeypatch, request):
    monkeypatch.setattr(relations, "ROWS", 500)
    table = write(tmp_path, make_rows(3000), row_group_size=400)
    whole = profile_table(table, KINDS)
    request.getfixturevalue("small_tasks")
    table = open_table("t.parquet", DataSettings(), tmp_path)
    against = profile_table(table, KINDS, against=whole)
    assert len(table.chunk_rows()) == 8
    assert against.relations.rows == 500
    assert np.array_equal(against.relations.products, whole.relations.products)


STORED = {
    "float32": pa.float32(),
    "float16": pa.float16(),
    "int8": pa.int8(),
    "uint16": pa.uint16(),
    "int32": pa.int32(),
    "uint64": pa.uint64(),
    "decimal": pa.decimal128(8, 2),
    "dictionary": pa.dictionary(pa.int16(), pa.int64()),
}


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("missing", [False, True])
def test_numbers_of_every_width_in_a_file_have_the_profile_of_float64(tmp_path, name, missing):
    values = np.random.default_rng(3).integers(0, 100, 2000)
    plain = pa.array(values.astype(float), mask=np.arange(2000) % 7 == 0 if missing else None)
    stored = plain.cast(pa.int64()).dictionary_encode() if name == "dictionary" else plain.cast(STORED[name])
    for kind in ("number", "category"):
        found = []
        for array in (plain, stored):
            pq.write_table(pa.table({"v": array}), tmp_path / "v.parquet", row_group_size=700)
            found.append(profile_table(open_table("v.parquet", DataSettings(), tmp_path), {"v": kind}))
        assert columns_of(found[0]) == columns_of(found[1])


def test_values_keep_their_width_until_they_are_sorted():
    narrow = gather([pa.array([3, 1], pa.int8()), pa.array([2], pa.int8())], 3)
    assert narrow.dtype == np.int8 and narrow.tolist() == [3, 1, 2]
    assert gather([pa.array([1.5], pa.float32())], 1).dtype == np.float32
    mixed = gather([pa.array([1], pa.int8()), pa.array([0.1], pa.float64()), pa.array([None], pa.int8())], 3)
    assert mixed[:2].tolist() == [1.0, 0.1] and np.isnan(mixed[2])
    assert gather([pa.array([Decimal("1.25")])], 1).tolist() == [1.25]


def test_labels_are_counted_by_code_and_only_different_ones_become_objects():
    words = pa.array(["a", "b", None] * 50_000).dictionary_encode()
    assert sorted(counting._value_counts(words), key=str) == [("a", 50_000), ("b", 50_000), (None, 50_000)]
    odd = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 0, None, 3]), pa.array(["a", "a", None, "b", "never"]))
    column = count_labels([odd], "category", "text")
    assert (column.counts, column.missing) == ({"a": 3, "b": 1}, 2)


def test_text_of_a_parquet_file_arrives_as_codes(tmp_path):
    table = write(tmp_path, make_rows(500))
    (piece,) = table.pieces(["w", "id"], coded={"w"})
    assert [pa.types.is_dictionary(piece.schema.field(name).type) for name in ("w", "id")] == [True, False]


def test_words_for_missing_are_missing_in_codes_and_numbers_alike(tmp_path):
    words = pa.array(["a", "?", ""] * 100)
    texts = {"plain": words, "large": words.cast(pa.large_string()), "coded": words.dictionary_encode()}
    texts["coded large"] = texts["large"].dictionary_encode()
    numbers = {"v": pa.array([1.5, -9, 3] * 100, pa.float32()), "codes": pa.array([7, -9, 7] * 100).dictionary_encode()}
    pq.write_table(pa.table(texts | numbers), tmp_path / "m.parquet")
    for kind in ("category", "text"):
        table = open_table("m.parquet", DataSettings(missing=("", "?")), tmp_path)
        found = profile_table(table, dict.fromkeys(texts, kind)).columns
        assert {(column.present, column.absent) for column in found.values()} == {(100, 200)}
    table = open_table("m.parquet", DataSettings(missing=("-9",)), tmp_path)
    found = profile_table(table, {"v": "number", "codes": "number"}).columns
    assert {(column.present, column.missing) for column in found.values()} == {(200, 100)}


def test_beyond_the_labels_that_are_held_those_of_the_reference_are_exact(monkeypatch):
    monkeypatch.setattr(counting, "MOST_LABELS", 10)
    rng = np.random.default_rng(4)
    words = [f"w{number}" for number in rng.zipf(1.5, 5000) % 400]
    pieces = [pa.array(words[begin : begin + 100]) for begin in range(0, 5000, 100)]
    column = count_labels(pieces, "category", "text", named={"w1", "w123", "w399", "nowhere"})
    assert {name: column.counts[name] for name in ("w1", "w123", "w399", "nowhere")} == {
        "w1": words.count("w1"),
        "w123": words.count("w123"),
        "w399": words.count("w399"),
        "nowhere": 0,
    }
    assert len(column.counts) == 10 and column.present == 5000


cut = st.lists(st.sampled_from("abcdefgh"), max_size=40)


@settings(max_examples=50)
@given(cut, cut, cut)
def test_cut_lists_of_categories_add_up_in_any_order(one, two, three):
    """Rows and names are exact: a label that one part has counted with the rest can't be told by name any more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "MOST_LABELS", 3)
        reference = profile_arrays({"x": pa.array(["a", "b"], pa.string())}, {"x": "category"})
        a, b, c = (
            profile_arrays({"x": pa.array(part, pa.string())}, {"x": "category"}, against=reference)
            for part in (one, two, three)
        )
    sums = [merge(merge(a, b), c), merge(a, merge(b, c)), merge(merge(c, b), a)]
    for column in (found.columns["x"] for found in sums):
        assert column.counts == sums[0].columns["x"].counts
        assert column.present == len(one + two + three)
        assert [column.counts.get(name, 0) for name in "ab"] == [(one + two + three).count(name) for name in "ab"]
        assert all(count == (one + two + three).count(name) for name, count in column.counts.items())


@given(st.integers(1, 3000), st.integers(1, 300))
def test_rows_are_taken_one_of_each_stretch(rows, most):
    found = spread_rows(rows, most)
    assert len(found) == min(rows, most) and found[0] >= 0 and found[-1] < rows
    assert (np.diff(found) > 0).all()
    ends = [number * rows // len(found) for number in range(len(found) + 1)]
    assert all(begin <= row < end for row, (begin, end) in zip(found, pairwise(ends), strict=True))


def test_rows_that_are_taken_are_not_in_step_with_a_rhythm():
    hours = spread_rows(65536 * 24, 65536) % 24
    assert stats.chisquare(np.bincount(hours, minlength=24)).pvalue > 0.01


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=20), st.integers(1, 100), st.integers(1, 6), st.integers(1, 200)
)
def test_tasks_cover_every_row_of_every_column_once(sizes, most, columns, values):
    names = [f"c{number}" for number in range(columns)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "TASK_VALUES", values)
        tasks = cut_tasks(names, sizes, most)
    for name in names:
        mine = [task for task in tasks if name in task.names]
        assert sum(task.rows for task in mine) == sum(sizes)
        assert all(task.begin == sum(sizes[: task.chunks.start]) for task in mine)
        assert all(one.chunks.stop == other.chunks.start for one, other in pairwise(mine))


def test_a_column_that_can_not_be_read_does_not_hide_those_read_with_it():
    good = pa.table({"x": [1.0, 2.0], "y": [3.0, 4.0]})

    def read(_index, columns):
        if "y" in columns:
            raise OSError("the disk says no")
        return good.select(list(columns))

    chunks = Chunks({"x": pa.float64(), "y": pa.float64()}, (2,), read)
    found = profile_table(Table("t", chunks.types, 2, "", chunks, ("",)), {"x": "number", "y": "number"}).columns
    assert found["x"].present == 2 and found["y"].problem == "the disk says no"


def test_threads_are_fewer_when_whole_columns_are_held(tmp_path, small_tasks, monkeypatch):
    used = []
    original = passes.run_tasks
    monkeypatch.setattr(passes, "run_tasks", lambda work, tasks, jobs: used.append(jobs) or original(work, tasks, jobs))
    table = write(tmp_path, make_rows(1000))
    profile_table(table, {"x": "number", "y": "number"}, jobs=4)
    monkeypatch.setattr(passes, "HELD_BYTES", 2 * 16 * 1000 + 100)
    profile_table(table, {"x": "number", "y": "number"}, jobs=4)
    assert used == [4, 2]


def test_little_work_does_not_import_joblib():
    import subprocess
    import sys
    from pathlib import Path

    source = Path(passes.__file__).parents[2]
    code = (
        f"import sys; sys.path.insert(0, {str(source)!r})\n"
        "import numpy as np, pyarrow as pa\n"
        "from evergreen.data.sources import table_of\n"
        "from evergreen.drift.profile import profile_table\n"
        "from evergreen.settings import DataSettings\n"
        "table = table_of(pa.table({'x': np.arange(1000.0)}), 'rows', DataSettings())\n"
        "profile_table(table, {'x': 'number'}, jobs=4); assert 'joblib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_progress_is_told_to_the_end(tmp_path, small_tasks, caplog):
    table = write(tmp_path, make_rows(3000), row_group_size=400)
    with caplog.at_level("DEBUG", logger="evergreen"):
        profile_table(table, KINDS, jobs=2)
    told = [record.values for record in caplog.records if hasattr(record, "values")]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (18_000, 18_000)


outlier = st.floats(1e3, 1e12) | st.floats(-1e12, -1e3)


@settings(max_examples=60)
@given(outlier, st.integers(0, 1000))
def test_one_outlier_in_the_reference_moves_the_distance_by_its_own_share_and_a_bin(value, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=4000), rng.normal(0.5, 1, 2000)

    def distance(reference):
        before = profile_arrays({"x": pa.array(reference)}, {"x": "number"})
        after = profile_arrays({"x": pa.array(y)}, {"x": "number"}, against=before)
        return ks_bounds(before.columns["x"].counts, after.columns["x"].counts, before.columns["x"].points)

    low, high = distance(np.append(x, value))
    exact = stats.ks_2samp(np.append(x, value), y).statistic
    assert low <= exact + 1e-12 and exact <= high + 1e-12
    assert abs(low - distance(x)[0]) <= 1 / 4001 + 1 / 200
