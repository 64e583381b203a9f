"""`loop provenance`: data, code, parameters and parents of a version, as SLSA writes them down."""

import argparse
import json
from pathlib import Path

from tfx_loop.pipelines.cli import conventions, metadata

HELP = "write the SLSA provenance of a version beside it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("version", type=int, metavar="VERSION", help="version that was pushed")
    parser.add_argument(
        "--key", default="", metavar="PEM", help="private key to sign it with, as `loop sign` does"
    )
    parser.add_argument(
        "--certificate", default="", metavar="PEM", help="certificate of the key and its chain"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="where to write it (default: VERSION.provenance.json beside the version's folder)",
    )
    metadata.add_arguments(parser, as_of=True)


def run(args: argparse.Namespace) -> int:
    """Writes the statement, and its signature beside it."""
    graph = metadata.open_graph(args, parameters=True)
    from tfx_loop.core import storage
    from tfx_loop.core.errors import DataError
    from tfx_loop.models.signing.signer import Signer, model_statement, sign_model
    from tfx_loop.pipelines.lineage.explain import explain
    from tfx_loop.pipelines.lineage.provenance import provenance

    # Before anything is written.
    signer = Signer.read(args.key, args.certificate) if args.key else None
    served = Path(explain(graph, args.model, args.version).destination.removeprefix("file://"))
    if not served.is_dir():
        raise DataError(
            f"Expected the files of version {args.version} in {served}, found none. They are what "
            "a provenance is about: run this where they are served from."
        )
    digest = model_statement(served)["subject"][0]["digest"]
    statement = provenance(graph, args.model, args.version, digest)
    out = args.out or served.with_name(f"{served.name}.provenance.json")
    storage.write_bytes(str(out), json.dumps(statement, indent=2).encode())
    written = [out, *([sign_model(out, signer)] if signer else [])]
    conventions.answer(
        args,
        lambda: {"written": [str(path) for path in written], "statement": statement},
        lambda: [f"Written: {', '.join(map(str, written))}."],
    )
    return conventions.SUCCESS
