"""The configured time column: ISO 8601, a stated format, or a refusal that says which formats fit."""

from datetime import datetime

import pytest
from table_tools import open_text, values_of

from evergreen.errors import DataError

READ = {
    "ISO days": ("2025-03-31\n2025-04-01", "", [datetime(2025, 3, 31), datetime(2025, 4, 1)]),
    "ISO moments with a zone": ("2025-03-31T01:00:00+02:00", "", [datetime(2025, 3, 30, 23)]),
    "day first": ("03/04/2025\n31/12/2025", "%d/%m/%Y", [datetime(2025, 4, 3), datetime(2025, 12, 31)]),
    "month first": ("03/04/2025\n12/31/2025", "%m/%d/%Y", [datetime(2025, 3, 4), datetime(2025, 12, 31)]),
    "German": ("31.12.2025 14:05", "%d.%m.%Y %H:%M", [datetime(2025, 12, 31, 14, 5)]),
    "with a zone": ("2025/01/01 00:00 +0100", "%Y/%m/%d %H:%M %z", [datetime(2024, 12, 31, 23)]),
    "seconds": ("1735689600\n1735689601", "s", [datetime(2025, 1, 1), datetime(2025, 1, 1, 0, 0, 1)]),
    "milliseconds": ("1735689600001", "ms", [datetime(2025, 1, 1, 0, 0, 0, 1000)]),
    "nanoseconds": ("1735689600000001999", "ns", [datetime(2025, 1, 1, 0, 0, 0, 1)]),
    "digits": ("20250102", "%Y%m%d", [datetime(2025, 1, 2)]),
}
REFUSED = {
    "two meanings": (
        "03/04/2025\n05/06/2025",
        "",
        r"ambiguous dates: 03/04/2025. Set data.time_format to one of %d/%m/%Y, %m/%d/%Y",
    ),
    "one meaning": (
        "03/04/2025\n31/12/2025",
        "",
        r"'03/04/2025' is not a date in ISO 8601.*set data.time_format = \"%d/%m/%Y\"",
    ),
    "another style": ("2025-01-02\nyesterday", "", r"'yesterday' is not a date in ISO 8601"),
    "some with a zone": ("2025-01-02T00:00:00Z\n2025-01-02T00:00:00", "", "with and without a time zone"),
    "a wrong format": ("03/04/2025\n31/12/2025", "%m/%d/%Y", r"'31/12/2025' does not fit data.time_format"),
    "a count": ("1735689600", "", r"whole numbers \(1735689600\).*data.time_format to its unit: s, ms, us, ns"),
    "fractions": ("0.25", "", "holds double values, not times"),
    "nothing": ("", "", "has no values"),
}


def rows(times: str) -> str:
    return "when,x\n" + "".join(f"{time},1\n" for time in times.split("\n"))


@pytest.mark.parametrize("times, style, expected", READ.values(), ids=READ)
def test_times_are_read(tmp_path, times, style, expected):
    table = open_text(tmp_path, rows(times), time="when", time_format=style)
    assert values_of(table, "when") == expected
    assert table.time == "when"


@pytest.mark.parametrize("times, style, message", REFUSED.values(), ids=REFUSED)
def test_times_that_would_be_a_guess_are_refused(tmp_path, times, style, message):
    with pytest.raises(DataError, match=r"t.csv: time column 'when'.*" + message):
        open_text(tmp_path, rows(times), time="when", time_format=style)


def test_a_date_that_fits_no_format_is_found_in_a_later_chunk_too(tmp_path, monkeypatch):
    from evergreen.data.formats import csv_files

    monkeypatch.setattr(csv_files, "LONGEST_ROW", 1 << 12)
    with pytest.raises(DataError, match="'32/01/2025' does not fit"):
        values_of(
            open_text(tmp_path, rows("31/01/2025\n" * 2000 + "32/01/2025"), time="when", time_format="%d/%m/%Y"), "when"
        )
