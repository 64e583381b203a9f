"""Which commands does `loop` have?

Nothing heavy is imported before the arguments are read: `loop --help` answers at once.
"""

import argparse
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import LoopError
from tfx_loop.pipelines import config
from tfx_loop.pipelines.cli import compress, digits, edge, lineage, monitor, report, rollout, skew

_MODEL = "flights"
_COMMANDS = {
    "compress": compress,
    "report": report,
    "monitor": monitor,
    "skew": skew,
    "edge": edge,
    "rollout": rollout,
    "digits": digits,
}


def main(argv: list[str] | None = None) -> int:
    """Runs a command; returns the exit code: 0, or 1 for a failed run, or 2 for bad input."""
    args = _parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with redirect_stdout(_Output(sys.stdout)):
            code = int(args.run(args))
            sys.stdout.flush()
        return code
    except LoopError as error:
        print(f"loop: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("loop: interrupted", file=sys.stderr)
        return 130


class _Output:
    """Standard output whose reader may leave (`| head`): the exit status stands all the same."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return int(self._stream.write(text))
        except BrokenPipeError:
            self._leave()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._leave()

    def _leave(self) -> None:
        # What is still in the buffer goes nowhere; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


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
    lineage.add_explain_arguments(explain, metadata=metadata, model=_MODEL)
    explain.set_defaults(run=lineage.run_explain)
    timeline = commands_of.add_parser("timeline", help="all that happened to a model, in order")
    lineage.add_timeline_arguments(timeline, metadata=metadata, model=_MODEL)
    timeline.set_defaults(run=lineage.run_timeline)
    for name, module in _COMMANDS.items():
        command = commands_of.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _demo(args: argparse.Namespace) -> int:
    from tfx_loop.presentation.progress import quiet_libraries

    quiet_libraries()
    from tfx_loop.pipelines.examples.flights.demo.run import FIFTH, run_demo

    return run_demo(args.out.absolute(), 1.0 if args.full else FIFTH, args.seed, args.windows)


if __name__ == "__main__":
    sys.exit(main())
