"""The rows that a query returns, as a table: `duckdb:SELECT …` and `duckdb:FILE::SELECT …`.

DuckDB reads its own files, Parquet and CSV anywhere, and SQLite, PostgreSQL and MySQL by functions
such as `sqlite_scan`. It comes with the extra `sql`.
"""

from typing import Any

from tfx_loop.core.errors import DataError
from tfx_loop.core.without_pandas import let_in

SCHEME = "duckdb:"
_BEHIND_FILE = "::"


def is_query(path: str) -> bool:
    """Says whether a path is a query."""
    return path.startswith(SCHEME)


def query_rows(path: str) -> Any:
    """Returns what a query returns as a pyarrow table.

    Raises:
        DataError: DuckDB is not installed, or refuses the query, or it is not one SELECT.
    """
    # DuckDB looks for pandas' frames among the tables that a query may name.
    let_in()
    try:
        import duckdb
    except ImportError as error:
        raise DataError(
            f"Expected DuckDB for the query {path!r}, found none. Install it: "
            "pip install 'tfx-loop[sql]', or duckdb."
        ) from error
    file, behind, query = path.removeprefix(SCHEME).partition(_BEHIND_FILE)
    # `a::DATE` is a cast, and no file's name holds a blank before it.
    if not behind or " " in file.strip():
        file, query = "", path.removeprefix(SCHEME)
    try:
        # What is only read cannot be changed by a query, nor locked for others.
        with duckdb.connect(file or ":memory:", read_only=bool(file)) as connection:
            statements = connection.extract_statements(query)
            # COPY writes files, and of several statements the last alone has rows.
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                kinds = [statement.type.name for statement in statements]
                raise DataError(
                    f"Expected one SELECT as the query {path!r}, received "
                    f"{', '.join(kinds) or 'none'}. Give one statement that returns rows."
                )
            rows = connection.execute(statements[0]).fetch_arrow_table()
    except duckdb.Error as error:
        said = str(error).strip().splitlines()[0].rstrip(".")
        raise DataError(f"Expected rows of the query {path!r}, received: {said}.") from error
    return rows
