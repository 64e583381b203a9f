"""The command `loop`: its subcommands, and the exit codes and error lines that all of them share.

Nothing heavy is imported before the arguments are read: `loop --help` answers at once.
"""

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, NoReturn

from tfx_loop.core.errors import LoopError, first_line
from tfx_loop.core.without_pandas import keep_out
from tfx_loop.pipelines.cli import conventions, metadata

# In the order of the help: the loop first, then the commands for files, then devices.
_COMMANDS = (
    "demo",
    "init",
    "step",
    "watch",
    "status",
    "explain",
    "timeline",
    "graph",
    "impact",
    "page",
    "openlineage",
    "gc",
    "doctor",
    "why-not",
    "approve",
    "hold",
    "skip",
    "simulate",
    "promote",
    "rollback",
    "release",
    "retry",
    "compile",
    "submit",
    "compress",
    "report",
    "scan",
    "sign",
    "verify",
    "provenance",
    "monitor",
    "skew",
    "schema",
    "metrics",
    "faults",
    "privacy",
    "log",
    "forget",
    "edge",
    "rollout",
    "digits",
)
# Of which no part uses pandas; in a process of their own they start faster without it.
_WITHOUT_PANDAS = ("monitor", "schema", "skew")
_OBJECTS_BETWEEN_COLLECTIONS = 100_000


def main(argv: list[str] | None = None) -> int:
    """Runs a command; returns its exit code, one of those in `conventions`."""
    words = sys.argv[1:] if argv is None else argv
    if argv is None:
        # A command makes many objects and few circles of them: looked for at Python's pace they
        # would take a twentieth of a comparison.
        gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        args, unknown = _parser(words).parse_known_args(words)
        if unknown:
            # argparse's parse_args would show the usage of `loop`, which has none of the flags.
            args.command.error(f"unrecognized arguments: {' '.join(unknown)}")
        conventions.check_files_to_write(args)
        return _run(args, "://" not in " ".join(words) and argv is None)
    except _UsageError as error:
        error.parser.print_usage(sys.stderr)
        teller, as_json = f"{error.parser.prog}: error:", "--json" in words
        code = conventions.USAGE
        conventions.tell_error("UsageError", str(error), code, as_json, teller)
        raise SystemExit(code) from error


def _run(args: argparse.Namespace, may_lack_pandas: bool) -> int:
    """Runs the command that was read; its errors are told in a line each.

    Args:
        args: The arguments, with the command.
        may_lack_pandas: The process is the command's own, and reads no remote file: TensorFlow
            reads those, which brings pandas.
    """
    as_json = getattr(args, "json", False)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # The pipelines of the examples use TensorFlow Transform, which knows Keras 2 alone.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    try:
        with redirect_stdout(_PatientOutput(sys.stdout)):
            if may_lack_pandas and args.name in _WITHOUT_PANDAS:
                keep_out()
            metadata.settle(args)
            code = int(args.run(args))
            sys.stdout.flush()
        return code
    except LoopError as error:
        kind = type(error).__name__
        return conventions.tell_error(kind, str(error), conventions.FAILED, as_json)
    except OSError as error:
        # A disk that is full, a file that may not be read: the system's own words are the best.
        return conventions.tell_error("OSError", first_line(error), conventions.FAILED, as_json)
    except KeyboardInterrupt:
        code = conventions.INTERRUPTED
        return conventions.tell_error("Interrupted", "interrupted", code, as_json)


class _UsageError(Exception):
    """Arguments that make no sense, and the parser that says so."""

    def __init__(self, message: str, parser: argparse.ArgumentParser) -> None:
        super().__init__(message)
        self.parser = parser


class _Parser(argparse.ArgumentParser):
    """A parser that leaves it to `main` how an error is told: as text, or as JSON, too."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(message, self)


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


def _parser(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Returns the parser of the command that some words name; None for that of all commands."""
    parser = _Parser(
        prog="loop",
        description="Deployment and monitoring of models as one loop, on TFX.",
        epilog="Exit codes: 0 done; 1 an error, told in one line; 2 wrong arguments; 3 done, and "
        "the answer wants attention (an alarm, or no variant within the budget); 4 done, and there "
        "were too few rows for an answer.",
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    # The modules and flags of all of them would take longer than many a command runs.
    # A first word that is no command, `--help` too, is answered with all of them.
    for name in words[:1] if words and words[0] in _COMMANDS else _COMMANDS:
        module = importlib.import_module(f"{__package__}.{name.replace('-', '_')}")
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        if words is None or name in words:
            module.add_arguments(command)
        command.set_defaults(run=module.run, command=command, name=name)
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
