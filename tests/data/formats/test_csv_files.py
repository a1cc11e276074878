"""CSV: each case is either read exactly or refused with the place; nothing is misread in silence."""

import gzip
import math
from datetime import datetime

import pytest
from table_tools import content_of, open_text, types_of, values_of

from evergreen.data.formats import csv_files
from evergreen.data.sources import open_table
from evergreen.errors import DataError
from evergreen.settings import DataSettings

READ = {
    "plain": ("a,b\n1,x\n2,y\n", {"a": [1, 2], "b": ["x", "y"]}),
    "one row": ("a,b\n1,x\n", {"a": [1], "b": ["x"]}),
    "no line end at the end": ("a,b\n1,x", {"a": [1], "b": ["x"]}),
    "lines ended by CR LF": ("a,b\r\n1,2\r\n", {"a": [1], "b": [2]}),
    "mixed line ends": ("a,b\r\n1,2\n3,4\r5,6\n", {"a": [1, 3, 5], "b": [2, 4, 6]}),
    "blank lines between rows": ("a,b\n1,2\n\n3,4\n\n", {"a": [1, 3], "b": [2, 4]}),
    "byte order mark": (b"\xef\xbb\xbfa,b\n1,2\n", {"a": [1], "b": [2]}),
    "NA is Namibia": ("country,v\nNA,1\nDE,2\n", {"country": ["NA", "DE"], "v": [1, 2]}),
    "leading zeros": ("zip,v\n00501,1\n10001,2\n", {"zip": ["00501", "10001"], "v": [1, 2]}),
    "zero and decimals": ("a,b\n0,0.5\n10,.5\n", {"a": [0, 10], "b": [0.5, 0.5]}),
    "hexadecimal": ("a,v\n0x1F,1\n0x2,2\n", {"a": ["0x1F", "0x2"], "v": [1, 2]}),
    "underscores": ("a,v\n1_000,1\n2_000,2\n", {"a": ["1_000", "2_000"], "v": [1, 2]}),
    "more than 64 bits": ("a,v\n99999999999999999999,1\n2,2\n", {"a": ["99999999999999999999", "2"], "v": [1, 2]}),
    "64 bits": ("a,v\n9223372036854775807,1\n2,2\n", {"a": [9223372036854775807, 2], "v": [1, 2]}),
    "whole numbers a float can't hold": (
        "a,v\n9007199254740993,1\n1.5,2\n",
        {"a": ["9007199254740993", "1.5"], "v": [1, 2]},
    ),
    "infinite": ("a,v\ninf,1\n-Infinity,2\n", {"a": [math.inf, -math.inf], "v": [1, 2]}),
    "spaces around numbers": ("a,b\n 1, 2.5\n2 ,3 \n", {"a": [1, 2], "b": [2.5, 3.0]}),
    "plus signs": ("a,v\n+1,1\n-2,2\n", {"a": [1, -2], "v": [1, 2]}),
    "truth": ("a,v\nTrue,1\nfalse,2\n,3\n", {"a": [True, False, None], "v": [1, 2, 3]}),
    "yes and no stay words": ("a,v\nyes,1\nno,2\n", {"a": ["yes", "no"], "v": [1, 2]}),
    "no values at all": ("a,b\n,1\n,2\n", {"a": [None, None], "b": [1, 2]}),
    "gaps in numbers": ("a,b\n1,x\n,\n3,z\n", {"a": [1, None, 3], "b": ["x", None, "z"]}),
    "line ends within quotes": ('a,b\n"x\ny",1\n"z",2\n', {"a": ["x\ny", "z"], "b": [1, 2]}),
    "commas and quotes within quotes": ('a,b\n"x, ""y""",1\n', {"a": ['x, "y"'], "b": [1]}),
    "a quotation mark within a word": ('a,b\n5" disk,1\nx,2\n', {"a": ['5" disk', "x"], "b": [1, 2]}),
    "semicolons": ("a;b\n1;x\n3;y\n", {"a": [1, 3], "b": ["x", "y"]}),
    "a comma in a quoted name": ('"a,b";c\n1;x\n', {"a,b": [1], "c": ["x"]}),
    "tabs": ("a\tb\n1\t2\n", {"a": [1], "b": [2]}),
    "names that are counts": ("0,1\n1,2\n", {"0": [1], "1": [2]}),
    "row numbers of pandas": (",a\n0,5\n1,6\n", {"Unnamed: 0": [0, 1], "a": [5, 6]}),
    "days": ("d,v\n2025-01-02,1\n2025-03-04,2\n", {"d": [datetime(2025, 1, 2), datetime(2025, 3, 4)], "v": [1, 2]}),
    "moments": (
        "d,v\n2025-01-02 10:00,1\n2025-01-02T10:00:01.5,2\n",
        {"d": [datetime(2025, 1, 2, 10), datetime(2025, 1, 2, 10, 0, 1, 500_000)], "v": [1, 2]},
    ),
    "nanoseconds are cut off": (
        "d,v\n2025-01-02 00:00:00.123456789,1\n",
        {"d": [datetime(2025, 1, 2, 0, 0, 0, 123456)], "v": [1]},
    ),
    "time zones become UTC": (
        "d,v\n2025-01-02T00:00:00Z,1\n2025-01-03T10:00:00+02:00,2\n",
        {"d": [datetime(2025, 1, 2), datetime(2025, 1, 3, 8)], "v": [1, 2]},
    ),
    "dates of two meanings stay text": ("d\n03/04/2025\n05/06/2025\n", {"d": ["03/04/2025", "05/06/2025"]}),
    "no day of the calendar stays text": ("d\n2025-02-30\n2025-02-28\n", {"d": ["2025-02-30", "2025-02-28"]}),
    "packed by gzip": (gzip.compress(b"a,b\n1,2\n"), {"a": [1], "b": [2]}),
    "a code that is mostly digits": ("a,v\n250,1\nV57,2\n401,3\n", {"a": ["250", "V57", "401"], "v": [1, 2, 3]}),
}  # fmt: skip

REFUSED = {
    "trailing commas": ("a,b\n1,2,\n3,4,\n", "line 2 has 3 values, the header 2 names"),
    "first row longer than the header": ("a,b\n1,2,3\n4,5\n", "line 2 has 3 values"),
    "short row": ("a,b\n1,2\n3\n5,6\n", "line 3 has 1 values, the header 2 names: 3"),
    "cut last row": ("a,b\n1,2\n3", "line 3 has 1 values"),
    "long row after a quoted line end": ('a,b\n"x\ny",2\n3,4,5\n', "line 4 has 3 values"),
    "comma too many in the header": ("a,b,\n1,2,\n", "column 3 of 3 has no name"),
    "names twice": ("a,b,a\n1,2,3\n", "names appear more than once: a"),
    "no header": ("1.5,2.5\n1,2\n", "the first line holds values"),
    "header again in the middle": ("a,b\n1,2\na,b\n3,4\n", "data row 2 repeats the header"),
    "too large a number": ("a,b\n2,2\n1e400,1\n", "column 'a', data row 2: 1e400 is too large"),
    "NA among numbers": ("v,w\n3,1\nNA,2\n", "column 'v' holds numbers, and 'NA' .first in data row 2.*data.missing"),
    "a blank among numbers": ("v,w\n1,1\n ,2\n", "column 'v' holds numbers, and ' '"),
    "decimal commas": ("a;b\n1,5;2\n3,25;4\n", "column 'a' holds numbers with commas in them"),
    "thousands": ('a,b\n950,1\n"1,234",2\n', "numbers with commas in them .'1,234' in data row 2"),
    "unclosed quotation mark": ('a,b\n1,"2\n3,4\n', "a quotation mark in line 2 is not closed"),
    "two unclosed quotation marks": ('a,b\n1,"2\n3,"4\n', "a quotation mark in line 2 is not closed"),
    "empty": ("", "the file is empty"),
    "blank": ("\n\n  \n", "nothing but blank lines"),
    "header only": ("a,b\n", "no rows"),
    "NUL": ("a,b\n1,x\n2,x\x00y\n", "a NUL byte in line 3"),
    "byte order mark in the middle": (b"a,b\n1,2\n\xef\xbb\xbfa,b\n3,4\n", "a byte order mark in line 3"),
    "UTF-16": ("a,b\n1,é\n".encode("utf-16"), "the text is UTF-16; expected UTF-8"),
    "UTF-32": ("a,b\n1,é\n".encode("utf-32"), "the text is UTF-32; expected UTF-8"),
    "Latin-1": ("a,b\n1,x\n2,é\n".encode("latin-1"), "line 3 is not UTF-8 text .it may be Latin-1: '2,é'"),
    "Shift-JIS": ("a,b\n1,日本\n".encode("shift-jis"), "line 2 is not UTF-8"),
    "web page": ("<!DOCTYPE html><html><body>503</body></html>", "a web page or XML"),
    "JSON": ('{"a": 1}', "looks like JSON"),
    "Excel workbook": (b"PK\x03\x04 and so on", "an Excel workbook"),
    "torn gzip": (gzip.compress(b"a,b\n1,2\n" * 1000)[:40], "can't be read to the end"),
}  # fmt: skip


@pytest.mark.parametrize("content, expected", READ.values(), ids=READ)
def test_read_exactly(tmp_path, content, expected):
    assert content_of(open_text(tmp_path, content)) == expected


@pytest.mark.parametrize("content, message", REFUSED.values(), ids=REFUSED)
def test_refused_with_the_place(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as error:
        open_text(tmp_path, content)
    assert str(error.value).startswith("t.csv")


def test_an_invalid_byte_far_into_a_file_is_found_with_its_line(tmp_path):
    rows = b"".join(b"%d,abcdefgh\n" % number for number in range(500_000))
    with pytest.raises(DataError, match="line 500002 is not UTF-8"):
        open_text(tmp_path, b"a,b\n" + rows + b"1,\xff\n")


@pytest.mark.parametrize("late, expected", [("2.5", "double"), ("00501", "string"), ("x", "string"), ("", "int64")])
def test_a_value_late_in_the_file_widens_the_whole_column(tmp_path, monkeypatch, late, expected):
    monkeypatch.setattr(csv_files, "LONGEST_ROW", 1 << 12)  # many blocks
    numbers = [str(number) for number in range(1, 5001)]
    table = open_text(tmp_path, "a,b\n" + "".join(f"{text},1\n" for text in [*numbers, late]))
    assert types_of(table)["a"] == expected
    convert = {"double": float, "string": str, "int64": int}[expected]
    assert values_of(table, "a") == [*map(convert, numbers), convert(late) if late else None]


def test_numbers_of_two_files_that_only_text_can_hold_both_of(tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "1.csv").write_text("a,b\n9007199254740993,1\n")
    (tmp_path / "f" / "2.csv").write_text("a,b\n1.5,1\n")
    table = open_table("f", DataSettings(), tmp_path)
    assert content_of(table) == {"a": ["9007199254740993", "1.5"], "b": [1, 1]}


def test_a_line_end_within_quotes_may_be_where_a_block_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "LONGEST_ROW", 1 << 12)
    values = ["\n" * (number % 50) + "x" for number in range(2000)]
    table = open_text(tmp_path, "a,b\n" + "".join(f'"{text}",{row}\n' for row, text in enumerate(values)))
    assert content_of(table) == {"a": values, "b": list(range(2000))}


def test_the_order_of_rows_does_not_change_a_type(tmp_path):
    rows = ["1,2025-01-01", "2.5,x", ",2025-01-02", "7,2025-01-03"]
    for turn in range(len(rows)):
        table = open_text(tmp_path, "a,b\n" + "\n".join(rows[turn:] + rows[:turn]) + "\n")
        assert types_of(table) == {"a": "double", "b": "string"}


def test_configured_words_are_missing_in_every_column(tmp_path):
    table = open_text(tmp_path, "a,b\n1,x\n-999,?\nNA,NA\n", missing=("", "NA", "?", "-999"))
    assert content_of(table) == {"a": [1, None, None], "b": ["x", None, None]}


def test_a_column_the_user_calls_a_category_stays_as_it_is_written(tmp_path):
    table = open_text(tmp_path, "a,b\n1,NA\n1.0,2\n", kinds={"a": "category", "b": "text"})
    assert content_of(table) == {"a": ["1", "1.0"], "b": ["NA", "2"]}


def test_a_row_of_more_than_eight_megabytes_is_refused(tmp_path):
    with pytest.raises(DataError, match="a row is longer than 8 MB"):
        open_text(tmp_path, "a,b\n1,2\n3," + "x" * (20 << 20) + "\n")


def test_ten_thousand_columns_are_read(tmp_path):
    names = ",".join(f"c{number}" for number in range(10_000))
    table = open_text(tmp_path, names + "\n" + (",".join(["1"] * 10_000) + "\n") * 3)
    assert (len(table.types), table.rows, values_of(table, "c9999")) == (10_000, 3, [1, 1, 1])


def test_large_files_wait_in_a_temporary_file_that_leaves_nothing_behind(tmp_path, monkeypatch):
    from evergreen.data.formats import spool

    monkeypatch.setattr(spool, "MEMORY_BYTES", 1)
    monkeypatch.setattr(csv_files, "LONGEST_ROW", 1 << 12)
    monkeypatch.setattr(spool.tempfile, "tempdir", str(tmp_path / "spool"))
    (tmp_path / "spool").mkdir()
    table = open_text(tmp_path, "a,b\n" + "".join(f"{number},x{number}\n" for number in range(5000)))
    assert values_of(table, "a") == list(range(5000))
    assert values_of(table, "b") == [f"x{number}" for number in range(5000)]
    assert list((tmp_path / "spool").iterdir()) == []
