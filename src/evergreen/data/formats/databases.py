"""Rows of a database query, read once in one read-only transaction and kept for the run."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from evergreen.data.formats.chunks import Chunks, check_names, common_type, in_types, to_common
from evergreen.data.formats.spool import keep
from evergreen.errors import DataError, UsageError
from evergreen.masking import shown_source

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

FETCH_ROWS = 50_000
CONNECT_SECONDS = 10  # a host that swallows packets would keep a nightly run waiting for minutes


def read_query(url: str, query: str, root: Path) -> tuple[str, Chunks]:
    """The name to show (without a password) and the rows of a query.

    A relative SQLite path starts from `root`. Raises `UsageError` for a missing query or driver and
    a query the database does not understand, `DataError` when the database can't be reached.
    """
    engine, name = _engine(url, root)
    if not query.strip():
        raise UsageError(f'{name}: a database needs data.query, such as "SELECT * FROM customers ORDER BY id".')
    from sqlalchemy.exc import DBAPIError

    try:
        return name, _run(engine, query, name)
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        if error.statement is None:
            raise DataError(f"{name}: the database can't be reached ({reason}). Is the address right?") from None
        raise UsageError(f"{name}: the database refused data.query ({reason}): {query}") from None
    finally:
        engine.dispose()


def _engine(url: str, root: Path) -> "tuple[Engine, str]":
    try:
        import sqlalchemy
    except ImportError:
        raise UsageError("A database source needs SQLAlchemy: pip install -r requirements-serve.txt") from None
    try:
        parsed = sqlalchemy.make_url(url)
        name = shown_source(parsed.render_as_string(hide_password=True))
        driver = parsed.get_backend_name()
        arguments = {"connect_timeout": CONNECT_SECONDS} if driver == "postgresql" else {}
        return sqlalchemy.create_engine(_rooted(parsed, root), connect_args=arguments), name
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise UsageError(
            "data.source is not a database URL; expected such as postgresql+psycopg://user@host/name"
        ) from None
    except (sqlalchemy.exc.NoSuchModuleError, ImportError) as error:
        raise UsageError(f"{name}: the driver of this database is not installed ({error}).") from None


def _rooted(url: "URL", root: Path) -> "URL":
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return url
    path = (root / url.database).absolute()
    if not path.is_file():
        raise DataError(f"sqlite:///{url.database}: there is no such file (looked for {path}).")
    return url.set(database=str(path))


def _run(engine: "Engine", query: str, name: str) -> Chunks:
    options: dict[str, Any] = {"stream_results": True, "no_parameters": True}
    if engine.dialect.name == "postgresql":
        options["postgresql_readonly"] = True
    with engine.connect().execution_options(**options) as connection:
        result = connection.exec_driver_sql(query)  # as it is: `:` and `%` are the query's own
        names = list(result.keys())
        check_names(f"{name}: the query", names)
        batches = keep(pa.record_batch(_arrays(rows, names), names=names) for rows in result.partitions(FETCH_ROWS))
    return _as_chunks(names, batches)


def _arrays(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> list[pa.Array]:
    columns = zip(*rows, strict=True)
    return [_array(list(values), name) for name, values in zip(names, columns, strict=True)]


def _array(values: list[Any], name: str) -> pa.Array:
    """Values in their common type; what is of several kinds, or of none that Arrow knows, becomes text."""
    if any(isinstance(value, Decimal) for value in values):
        values = [float(value) if isinstance(value, Decimal) else value for value in values]
    try:
        array = pa.array(values)
        return to_common(pa.chunked_array([array]), name, common_type(array.type)).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if value is None else str(value) for value in values])


def _as_chunks(names: Sequence[str], batches: list[pa.RecordBatch]) -> Chunks:
    types = {name: _type_of([batch.column(name).type for batch in batches]) for name in names}

    def read(index: int, columns: Sequence[str]) -> pa.Table:
        return in_types(pa.Table.from_batches([batches[index]]).select(list(columns)), types)

    return Chunks(types, tuple(batch.num_rows for batch in batches), read)


def _type_of(found: list[pa.DataType]) -> pa.DataType:
    kinds = {kind for kind in found if not pa.types.is_null(kind)} or {pa.null()}
    if len(kinds) == 1:
        return kinds.pop()
    return pa.float64() if kinds == {pa.int64(), pa.float64()} else pa.string()
