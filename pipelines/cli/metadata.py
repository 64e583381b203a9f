"""The store of ML Metadata for `loop explain` and `loop timeline`: its flags, and how it is opened.

Nothing heavy is imported at the top: `loop --help` imports this file.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_loop.core.errors import DataError
from tfx_loop.pipelines.cli import conventions, demo
from tfx_loop.presentation import arguments

if TYPE_CHECKING:
    from tfx_loop.pipelines.loop_file import LoopFile

# What `loop demo` serves its model as.
_MODEL = "flights"
# The one sentence of help that all flags for a store share.
STORE_HELP = (
    "ML Metadata: an SQLite file, mysql://USER@HOST:PORT/DATABASE or "
    "postgresql://USER@HOST:PORT/DATABASE"
)


def add_arguments(
    parser: argparse.ArgumentParser, as_of: bool = False, every_model: bool = False
) -> None:
    """Declares the store, the model in it, and --json; `settle` finds what is not given.

    Args:
        parser: Of a command.
        as_of: Declare --as-of, too, which `open_graph` reads.
        every_model: Without --model the command is about all of them.
    """
    add_loop_file(parser)
    parser.add_argument(
        "--metadata",
        metavar="STORE",
        help=f"{STORE_HELP} (default: that of the loop file, else out/demo/metadata.sqlite)",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        default="" if every_model else None,
        help="name of the served model (default: all of them)"
        if every_model
        else f"name of the served model (default: that of the loop file, else {_MODEL})",
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


def add_loop_file(parser: argparse.ArgumentParser) -> None:
    """Declares --loop, the file that says which model, store and server a command is about."""
    parser.add_argument(
        "--loop",
        dest="loop_file",
        metavar="FILE",
        help="settings of the loop (default: loop.toml, where the working folder has one)",
    )


def settle(args: argparse.Namespace) -> None:
    """Fills in which store, model and base path a command is about: one way for all commands.

    What was given stays; else the loop file says it, and where there is none it is the demo.

    Raises:
        LoopError: The loop file cannot be read.
    """
    if not hasattr(args, "loop_file"):
        return
    open_to_ask = [name for name in ("metadata", "model", "base") if _lacks(args, name)]
    found = None
    if open_to_ask or args.loop_file or not hasattr(args, "metadata"):
        # Nothing is read where the arguments say all: a command on another store needs no file.
        # A command that takes no store, as `loop step`, is about the loop of the file.
        from tfx_loop.pipelines.loop_file import LOOP_FILE, find_loop_file

        if args.loop_file or Path(LOOP_FILE).is_file():
            found = find_loop_file(args.loop_file)
    args.loop = found
    for name in open_to_ask:
        if found is None:
            usual = {"metadata": str(demo.folder() / "metadata.sqlite"), "model": _MODEL}
            # A roll-back records nowhere unless told where.
            setattr(args, name, usual.get(name) if hasattr(args, "model") else None)
        elif name != "base":
            stated = found.settings
            setattr(args, name, stated.store if name == "metadata" else stated.name)
        else:
            args.base = _base_of(found)


def _lacks(args: argparse.Namespace, name: str) -> bool:
    return hasattr(args, name) and getattr(args, name) is None


def _base_of(found: "LoopFile") -> str:
    from tfx_loop.pipelines.control.home import HOME_RECORD

    record = HOME_RECORD.find(found.settings.folder)
    base = found.settings.serving.base_path or (record.base_path if record else "")
    if not base:
        raise DataError(
            f"Expected the base path of {found.settings.name!r}, but its server was never asked. "
            "Run `loop step` once, or name the base path."
        )
    return base


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
