"""`loop verify`: whether a model is signed by whom it should be, and as it was signed.

Exit code 0 says yes; 1 that it is unsigned, signed by another, or that a file was changed, added,
taken away or is a link.
"""

import argparse
from pathlib import Path

from tfx_loop.pipelines.cli import conventions

HELP = "whether a model is as a trusted key signed it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="folder or file of a model, or a bundle"
    )
    parser.add_argument(
        "--public-key",
        required=True,
        metavar="PEM",
        help="public keys, or certificates of authorities, one of which must have signed",
    )
    parser.add_argument(
        "--signature",
        type=Path,
        metavar="FILE",
        help="where it is (default: model.sig in a folder, beside a file MODEL.sig)",
    )
    conventions.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Says who signed the model."""
    from tfx_loop.models.signing.signer import Trust

    signer = Trust.read(args.public_key).check(args.model, args.signature)
    conventions.answer(
        args,
        lambda: {"model": str(args.model), "signed_by": signer},
        lambda: [f"{args.model} is as it was signed by {signer}."],
    )
    return conventions.SUCCESS
