"""The store of ML Metadata for `loop explain` and `loop timeline`: its flags, and how it is opened.

Nothing heavy is imported at the top: `loop --help` imports this file.
"""

import argparse
from typing import Any

from tfx_loop.pipelines.cli import conventions, demo
from tfx_loop.presentation import arguments

# What `loop demo` serves its model as.
_MODEL = "flights"
# The one sentence of help that all flags for a store share.
STORE_HELP = (
    "ML Metadata: an SQLite file, mysql://USER@HOST:PORT/DATABASE or "
    "postgresql://USER@HOST:PORT/DATABASE"
)


def add_arguments(parser: argparse.ArgumentParser, as_of: bool = False) -> None:
    """Declares the store, the model in it, and --json; by default those of `loop demo`.

    Args:
        parser: Of a command.
        as_of: Declare --as-of, too, which `open_graph` reads.
    """
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
    if as_of:
        parser.add_argument(
            "--as-of",
            type=arguments.moment_ms,
            metavar="TIME",
            help="what was on record then, such as 2026-03-01T12:00 (UTC unless it says otherwise)",
        )
    conventions.add_json(parser)


def open_graph(args: argparse.Namespace, parameters: bool = False) -> Any:
    """Returns the lineage in the store that the arguments name, as of the time that they name.

    Args:
        args: Of a command that declared --as-of.
        parameters: Whether every parameter of every node is asked for.
    """
    from tfx_loop.pipelines.lineage.sources import open_graph

    return open_graph(args.metadata, args.as_of, parameters)


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
