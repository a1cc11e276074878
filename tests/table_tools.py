"""Short ways to make and look at tables, for the tests of the data floor."""

from pathlib import Path
from typing import Any

from evergreen.data.sources import Table, Window, open_table
from evergreen.settings import DataSettings


def open_text(folder: Path, content: bytes | str, name: str = "t.csv", **settings: Any) -> Table:
    """The table of a file with this content."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return open_table(name, DataSettings(**settings), folder)


def values_of(table: Table, column: str, window: Window | None = None) -> list[Any]:
    """All values of a column, in order."""
    return [value for piece in table.arrays(column, window) for value in piece.to_pylist()]


def content_of(table: Table) -> dict[str, list[Any]]:
    """All columns with all values."""
    return {name: values_of(table, name) for name in table.types}


def types_of(table: Table) -> dict[str, str]:
    """The types of all columns as text."""
    return {name: str(found) for name, found in table.types.items()}
