"""`loop sign`: a signature over all files of a model, which others verify, too."""

import argparse
from pathlib import Path

from tfx_loop.pipelines.cli import conventions

HELP = "sign the files of a model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="folder or file of a model, or a bundle"
    )
    parser.add_argument(
        "--key",
        required=True,
        metavar="PEM",
        help="private key (P-256, P-384 or P-521) without a password",
    )
    parser.add_argument(
        "--certificate",
        default="",
        metavar="PEM",
        help="certificate of the key, followed by those that lead to its authority",
    )
    conventions.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Writes `model.sig` into a folder, or beside a file."""
    from tfx_loop.models.signing.signer import Signer, sign_model

    written = sign_model(args.model, Signer.read(args.key, args.certificate))
    conventions.answer(
        args,
        lambda: {"model": str(args.model), "signature": str(written)},
        lambda: [
            f"Signed: {written}. Verify it with `loop verify` or with `model_signing verify`."
        ],
    )
    return conventions.SUCCESS
