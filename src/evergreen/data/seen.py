"""What a model has seen of a current table that may have been replaced since.

A time says of every row whether it is new. A row number does not where `data.current` is another file every
night: there the rows that were used have to be recognised by what is in them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from evergreen.data.rows import digest_rows
from evergreen.data.schema import Contract
from evergreen.data.sources import Table, Window


def describe_seen(table: Table, contract: Contract, last: datetime | int) -> dict[str, Any] | None:
    """For a model's card: how many rows of the current table it has used, up to row `last`, and their digest.

    None for a table with a time and for a single table, where `last` alone says what is new.
    """
    if table.time or table.current is None:
        return None
    rows = max(0, int(last) + 1 - table.current.begins)  # type: ignore[arg-type]
    return {"rows": rows, "digest": _digest_first(table, contract, rows)}


def last_seen(
    table: Table, contract: Contract, last: datetime | int | None, seen: Mapping[str, Any] | None
) -> datetime | int | None:
    """The last row of a table that a model has used; `last` and `seen` are what its card says of that.

    With two tables and no time, a current table that still begins with the very rows of `seen` holds these
    and new ones below them; any other has been replaced, and all its rows are new.
    """
    if last is None or table.time or table.current is None:
        return last
    rows, begins = seen["rows"] if seen else 0, table.current.begins
    kept = 0 < rows <= table.rows - begins and seen and seen["digest"] == _digest_first(table, contract, rows)
    return begins - 1 + (rows if kept else 0)


def _digest_first(table: Table, contract: Contract, rows: int) -> str:
    """Identity of the first rows of the current table: features and target, since other outcomes are another world."""
    assert table.current is not None, "asked for two tables only"
    wanted = [*contract.features, *([contract.target.name] if contract.target else [])]
    begins = table.current.begins
    return digest_rows(table.frame([name for name in wanted if name in table.types], Window(begins, begins + rows)))
