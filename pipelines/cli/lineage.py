"""How do `loop explain VERSION` and `loop timeline` get from arguments to a printed answer?

Nothing heavy is imported at the top: `loop --help` imports this file.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import DataError, LoopError


def add_explain_arguments(
    parser: argparse.ArgumentParser, metadata: str | None = None, model: str | None = None
) -> None:
    """Adds the arguments of `loop explain`; without defaults both options are required."""
    parser.add_argument("version", type=int, metavar="VERSION", help="version to explain")
    _add_common(parser, metadata, model)


def add_timeline_arguments(
    parser: argparse.ArgumentParser, metadata: str | None = None, model: str | None = None
) -> None:
    """Adds the arguments of `loop timeline`; without defaults both options are required."""
    _add_common(parser, metadata, model)


def run_explain(args: argparse.Namespace) -> int:
    """Prints why a version exists; returns the exit code."""
    return _told(lambda: _explain(args))


def run_timeline(args: argparse.Namespace) -> int:
    """Prints what happened to a model; returns the exit code."""
    return _told(lambda: _timeline(args))


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
            f"Expected a store of ML Metadata at {path}, received: {str(error).splitlines()[0]}"
        ) from error


def _add_common(parser: argparse.ArgumentParser, metadata: str | None, model: str | None) -> None:
    parser.add_argument(
        "--metadata",
        metavar="FILE",
        default=metadata,
        required=metadata is None,
        help="SQLite file of ML Metadata" + (" (default: %(default)s)" if metadata else ""),
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        default=model,
        required=model is None,
        help="name of the served model" + (" (default: %(default)s)" if model else ""),
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _told(answer: Any) -> int:
    try:
        print(answer())
    except LoopError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _explain(args: argparse.Namespace) -> str:
    from tfx_loop.pipelines.lineage import explain, show

    found = explain.explain(open_readonly(args.metadata), args.model, args.version)
    return show.to_json(found) if args.json else show.render_explanation(found)


def _timeline(args: argparse.Namespace) -> str:
    from tfx_loop.pipelines.lineage import show, timeline

    found = timeline.timeline(open_readonly(args.metadata), args.model)
    return show.to_json(found) if args.json else show.render_timeline(found)
