"""Which commands does `loop` have?

Nothing heavy is imported before the arguments are read: `loop --help` answers at once.
"""

import argparse
import os
import sys
from pathlib import Path

from components.errors import LoopError
from pipelines import config
from pipelines.commands import compress, edge, monitor, report, rollout
from pipelines.lineage import commands

_MODEL = "flights"


def main(argv: list[str] | None = None) -> int:
    """Runs a command; returns the exit code: 0, or 1 for a failed run, or 2 for bad input."""
    args = _parser().parse_args(argv)
    try:
        code = int(args.run(args))
        sys.stdout.flush()
        return code
    except LoopError as error:
        print(f"loop: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output (`| head`) has seen enough; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("loop: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="loop", description="Deployment and monitoring of models as one loop, on TFX."
    )
    commands_of = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    out = config.output_folder() / "demo"
    demo = commands_of.add_parser(
        "demo",
        help="the closed loop on the flights of 2013, from training to a page",
        description="Trains on January and February, serves, replays March to December as real "
        "requests, monitors and decides after each month, and writes a page.",
    )
    demo.add_argument("--full", action="store_true", help="all flights, not a seeded fifth")
    demo.add_argument("--seed", type=int, default=0, help="chooses the fifth (default: 0)")
    demo.add_argument(
        "--windows",
        type=int,
        default=10,
        metavar="N",
        help="months to replay, 1 to 10 (default: 10)",
    )
    demo.add_argument("--out", type=Path, default=out, help="folder (default: out/demo)")
    demo.set_defaults(run=_demo)
    metadata = str(out / "metadata.sqlite")
    explain = commands_of.add_parser("explain", help="why a version exists, and what came of it")
    commands.add_explain_arguments(explain, metadata=metadata, model=_MODEL)
    explain.set_defaults(run=commands.run_explain)
    timeline = commands_of.add_parser("timeline", help="all that happened to a model, in order")
    commands.add_timeline_arguments(timeline, metadata=metadata, model=_MODEL)
    timeline.set_defaults(run=commands.run_timeline)
    compared = commands_of.add_parser("monitor", help=monitor.HELP, description=monitor.__doc__)
    monitor.add_arguments(compared)
    compared.set_defaults(run=monitor.run)
    analysed = commands_of.add_parser("edge", help=edge.HELP, description=edge.DESCRIPTION)
    edge.add_arguments(analysed)
    analysed.set_defaults(run=edge.run)
    smaller = commands_of.add_parser("compress", help=compress.HELP, description=compress.__doc__)
    compress.add_arguments(smaller)
    smaller.set_defaults(run=compress.run)
    shown = commands_of.add_parser("report", help=report.HELP, description=report.__doc__)
    report.add_arguments(shown)
    shown.set_defaults(run=report.run)
    rolled_out = commands_of.add_parser("rollout", help=rollout.HELP, description=rollout.__doc__)
    rollout.add_arguments(rolled_out)
    rolled_out.set_defaults(run=rollout.run)
    return parser


def _demo(args: argparse.Namespace) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _quiet()
    from pipelines.flights.demo.run import FIFTH, run_demo

    return run_demo(args.out.absolute(), 1.0 if args.full else FIFTH, args.seed, args.windows)


def _quiet() -> None:
    """Leaves the terminal to the progress: libraries' warnings about each other help nobody."""
    import logging
    import warnings

    import absl.logging

    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    absl.logging.set_verbosity(absl.logging.ERROR)
    for name in ("tensorflow", "apache_beam"):
        logging.getLogger(name).setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
