"""`loop demo`: the closed loop on the flights of 2013, from training to a page.

Trains on January and February, serves, replays March to December as real requests, monitors and
decides after each month, and writes a page.
"""

import argparse
from pathlib import Path

from tfx_loop.pipelines.cli import conventions
from tfx_loop.pipelines.config import output_folder

HELP = "the closed loop on the flights of 2013, from training to a page"


def folder() -> Path:
    """Returns the folder of a demo's files, unless --out names another."""
    return output_folder() / "demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--full", action="store_true", help="all flights, not a seeded fifth")
    conventions.add_seed(parser, "chooses the fifth")
    parser.add_argument(
        "--windows",
        type=int,
        default=10,
        metavar="N",
        help="months to replay, 1 to 10 (default: 10)",
    )
    conventions.add_out(parser, folder(), shown="out/demo")


def run(args: argparse.Namespace) -> int:
    """Runs the demo and prints what it ends with."""
    conventions.quiet_libraries()
    from tfx_loop.pipelines.examples.flights.demo.run import FIFTH, run_demo

    run_demo(args.out.absolute(), 1.0 if args.full else FIFTH, args.seed, args.windows)
    return conventions.SUCCESS
