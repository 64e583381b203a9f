"""The store of ML Metadata for `loop explain` and `loop timeline`: its flags, and how it is opened.

Nothing heavy is imported at the top: `loop --help` imports this file.
"""

import argparse
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import DataError, first_line
from tfx_loop.pipelines.cli import conventions, demo

# What `loop demo` serves its model as.
_MODEL = "flights"
# Some of the tables that each version of ML Metadata has.
_TABLES = {"Artifact", "Context", "Event", "Execution", "MLMDEnv", "Type"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the store, the model in it, and --json; by default those of `loop demo`."""
    parser.add_argument(
        "--metadata",
        metavar="FILE",
        default=str(demo.folder() / "metadata.sqlite"),
        help="SQLite file of ML Metadata (default: out/demo/metadata.sqlite)",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        default=_MODEL,
        help="name of the served model (default: %(default)s)",
    )
    conventions.add_json(parser)


def open_readonly(path: str) -> Any:
    """Opens a SQLite store for reading; raises DataError where there is none."""
    return _open(path, writable=False)


def open_writable(path: str) -> Any:
    """Opens a SQLite store to record in it; raises DataError where there is none."""
    return _open(path, writable=True)


def _open(path: str, *, writable: bool) -> Any:
    check_is_store(path)
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2 as pb

    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = path
    modes = pb.SqliteMetadataSourceConfig
    config.sqlite.connection_mode = modes.READWRITE if writable else modes.READONLY
    try:
        return ml_metadata.MetadataStore(config)
    except RuntimeError as error:
        said = first_line(error).removeprefix("Error when executing query: ")
        raise _no_store(path, said.split(" query:")[0].strip().rstrip(".")) from error


def check_is_store(path: str) -> None:
    """Raises DataError where a file is no store of ML Metadata; nothing is written to it.

    ML Metadata itself makes the tables that it misses, in somebody else's database, too.
    """
    if not Path(path).is_file():
        raise DataError(
            f"Expected the SQLite file of ML Metadata at {path}, found none. "
            "Run the loop first, or name the file with --metadata."
        )
    uri = f"{Path(path).resolve().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in found}
    except sqlite3.OperationalError as error:
        raise _no_store(path, str(error)) from error
    except sqlite3.DatabaseError as error:
        raise _no_store(path, "a file that is no SQLite database") from error
    if not tables >= _TABLES:
        raise _no_store(path, "a database without the tables of ML Metadata")


def _no_store(path: str, cause: str) -> DataError:
    return DataError(
        f"Expected a store of ML Metadata at {path}, received {cause}. "
        "Name the file that the pipelines write with --metadata."
    )
