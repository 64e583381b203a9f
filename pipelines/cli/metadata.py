"""The store of ML Metadata for `loop explain` and `loop timeline`: its flags, and how it is opened.

Nothing heavy is imported at the top: `loop --help` imports this file.
"""

import argparse
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import DataError, first_line
from tfx_loop.pipelines.cli import conventions, demo

# What `loop demo` serves its model as.
_MODEL = "flights"
# What SQLite says of files that are no store, told without the statement that found it out: ML
# Metadata makes the tables that it misses, which a file opened for reading refuses.
_NO_STORE = {
    "file is not a database": "a file that is no SQLite database",
    "attempt to write a readonly database": "a database without the tables of ML Metadata",
}


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
    """Opens a SQLite store for reading.

    Raises:
        DataError: There is no such store.
    """
    if not Path(path).is_file():
        raise DataError(
            f"Expected the SQLite file of ML Metadata at {path}, found none. "
            "Run the loop first, or name the file with --metadata."
        )
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2 as pb

    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = path
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READONLY
    try:
        return ml_metadata.MetadataStore(config)
    except RuntimeError as error:
        raise DataError(
            f"Expected a store of ML Metadata at {path}, received {_cause(error)}. "
            "Name the file that the pipelines write with --metadata."
        ) from error


def _cause(error: RuntimeError) -> str:
    """Returns why a store did not open, without the SQL behind it."""
    said = first_line(error).removeprefix("Error when executing query: ")
    cause = said.split(" query:")[0].strip().rstrip(".")
    return _NO_STORE.get(cause, cause)
