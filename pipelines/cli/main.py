"""The command `loop`: its subcommands, and the exit codes and error lines that all of them share.

Nothing heavy is imported before the arguments are read: `loop --help` answers at once.
"""

import argparse
import os
import sys
from contextlib import redirect_stdout
from typing import Any

from tfx_loop.core.errors import LoopError, first_line
from tfx_loop.pipelines.cli import (
    compress,
    conventions,
    demo,
    digits,
    edge,
    explain,
    monitor,
    report,
    rollout,
    scan,
    skew,
    timeline,
)

# In the order of the help: the loop first, then the commands for files, then devices.
_COMMANDS = {
    "demo": demo,
    "explain": explain,
    "timeline": timeline,
    "compress": compress,
    "report": report,
    "scan": scan,
    "monitor": monitor,
    "skew": skew,
    "edge": edge,
    "rollout": rollout,
    "digits": digits,
}


def main(argv: list[str] | None = None) -> int:
    """Runs a command; returns its exit code, one of those in `conventions`."""
    args, unknown = _parser().parse_known_args(argv)
    if unknown:
        # argparse's parse_args would show the usage of `loop`, which has none of the flags.
        args.command.error(f"unrecognized arguments: {' '.join(unknown)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # The pipelines of the examples use TensorFlow Transform, which knows Keras 2 alone.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    try:
        with redirect_stdout(_PatientOutput(sys.stdout)):
            code = int(args.run(args))
            sys.stdout.flush()
        return code
    except LoopError as error:
        print(f"loop: {error}", file=sys.stderr)
        return conventions.FAILED
    except OSError as error:
        # A disk that is full, a file that may not be read: the system's own words are the best.
        print(f"loop: {first_line(error)}", file=sys.stderr)
        return conventions.FAILED
    except KeyboardInterrupt:
        print("loop: interrupted", file=sys.stderr)
        return conventions.INTERRUPTED


class _PatientOutput:
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
        prog="loop",
        description="Deployment and monitoring of models as one loop, on TFX.",
        epilog="Exit codes: 0 done; 1 an error, told in one line; 2 wrong arguments; 3 done, and "
        "the answer wants attention (an alarm, or no variant within the budget).",
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in _COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run, command=command)
    return parser


class _Version(argparse.Action):
    """Prints the version and ends; argparse's own would read the metadata at each start."""

    def __init__(self, option_strings: list[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and end")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import tfx_loop

        print(f"tfx-loop {tfx_loop.__version__}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
