"""The store of ML Metadata for `loop explain` and `loop timeline`: its flags, and how it is opened.

Nothing heavy is imported at the top: `loop --help` imports this file.
"""

import argparse
from typing import Any

from tfx_loop.pipelines.cli import conventions, demo

# What `loop demo` serves its model as.
_MODEL = "flights"
# The one sentence of help that all flags for a store share.
STORE_HELP = (
    "ML Metadata: an SQLite file, mysql://USER@HOST:PORT/DATABASE or "
    "postgresql://USER@HOST:PORT/DATABASE"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the store, the model in it, and --json; by default those of `loop demo`."""
    parser.add_argument(
        "--metadata",
        metavar="STORE",
        default=str(demo.folder() / "metadata.sqlite"),
        help=f"{STORE_HELP} (default: out/demo/metadata.sqlite)",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        default=_MODEL,
        help="name of the served model (default: %(default)s)",
    )
    conventions.add_json(parser)


def open_readonly(place: str) -> Any:
    """Opens a store for reading; raises DataError where there is none."""
    from tfx_loop.pipelines.control.stores import StoreMode, open_store

    return open_store(place, StoreMode.READ)


def open_writable(place: str) -> Any:
    """Opens a store to record in it; raises DataError where there is none."""
    from tfx_loop.pipelines.control.stores import StoreMode, open_store

    return open_store(place, StoreMode.WRITE)


def check_is_store(place: str) -> None:
    """Raises DataError where a file is no store of ML Metadata; nothing is written to it."""
    from tfx_loop.pipelines.control import stores

    stores.check_is_store(place)
