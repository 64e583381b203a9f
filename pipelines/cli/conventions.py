"""Conventions of all commands: exit codes, flags, answers, errors, written files."""

import argparse
import contextlib
import json
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_loop.core.errors import DataError
from tfx_loop.core.redaction import RedactionSettings
from tfx_loop.presentation import arguments
from tfx_loop.presentation.terminal import TextTable, show

if TYPE_CHECKING:
    from tfx_loop.monitoring.profile.column_roles import ColumnRoles

SUCCESS = 0
# The command could not do its work: one line on standard error says what was expected.
FAILED = 1
# The arguments make no sense; argparse exits with it.
USAGE = 2
# The command did its work, and the answer wants attention: an alarm, or no variant within budget.
ATTENTION = 3
# The command did its work, and there were too few rows to say anything: `loop monitor && deploy`
# must not go on, and who waits for alarms need not be woken.
UNDECIDED = 4
# As a shell reports a process that SIGINT ended: 128 + 2.
INTERRUPTED = 130


def add_json(parser: argparse.ArgumentParser) -> None:
    """Declares --json: the whole answer, for programs."""
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def add_allow(parser: argparse.ArgumentParser) -> None:
    """Declares --allow: exceptions to the guard in front of models, by name."""
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="OP",
        help="let a model have this operation or layer, named as the refusal names it; repeatable",
    )


def add_assignments(parser: argparse.ArgumentParser, flag: str, use: str) -> None:
    """Declares a repeatable NAME=VALUE; `use` says what it gives."""
    parser.add_argument(
        flag,
        action="append",
        default=[],
        type=arguments.assignment,
        metavar="NAME=VALUE",
        help=f"{use}; JSON, or text as it stands; repeatable",
    )


def add_page(parser: argparse.ArgumentParser) -> None:
    """Declares --page: the answer as an HTML file, too."""
    parser.add_argument(
        "--page",
        type=file_to_write,
        metavar="FILE",
        help="write the answer as an HTML page, too",
    )


def add_seed(parser: argparse.ArgumentParser, use: str, default: int | None = 0) -> None:
    """Declares --seed; `use` says what it decides. None where something else may say it."""
    parser.add_argument(
        "--seed",
        type=arguments.whole_at_least_zero,
        default=default,
        metavar="N",
        help=f"{use} (default: 0)",
    )


def add_out(parser: argparse.ArgumentParser, default: Path, shown: str) -> None:
    """Declares --out, the folder of an example's files; `shown` is the default as help names it."""
    parser.add_argument(
        "--out", type=Path, default=default, metavar="DIR", help=f"folder (default: {shown})"
    )


def add_ignore(parser: argparse.ArgumentParser) -> None:
    """Declares --ignore: columns that are left out."""
    add_columns(parser, "--ignore", "leave it out")


def add_label(parser: argparse.ArgumentParser, use: str, default: str | None = "") -> None:
    """Declares --label, the column of what a model learns; `use` says what follows from it."""
    parser.add_argument("--label", default=default, metavar="COLUMN", help=use)


def add_columns(parser: argparse.ArgumentParser, flag: str, use: str) -> None:
    """Declares a flag that names columns, one each time it is given."""
    parser.add_argument(
        flag, action="append", default=[], metavar="COLUMN", help=f"{use}; repeatable"
    )


def add_roles(parser: argparse.ArgumentParser) -> None:
    """Declares the flags that say what columns are; `roles_of` reads them."""
    add_label(parser, "comes later than the rest: no fault while it lacks")
    for flag, use in (
        ("--time", "orders the rows, which may depend on those before; not tested"),
        ("--group", "says which rows belong together, as a customer's do; not tested"),
        ("--weight", "how many rows of the world a row stands for; not tested"),
    ):
        parser.add_argument(flag, default="", metavar="COLUMN", help=use)
    for flag, use in (
        ("--id", "names rows; not tested"),
        ("--categorical", "holds categories, though it is written as numbers"),
        ("--numeric", "holds numbers to test, though it reads as times, keys or codes"),
        ("--text", "holds prose, compared by its length and its words"),
    ):
        add_columns(parser, flag, use)


def roles_of(args: argparse.Namespace) -> "ColumnRoles":
    """Returns what the flags of `add_roles` say."""
    from tfx_loop.monitoring.profile.column_roles import ColumnRoles

    return ColumnRoles(
        label=args.label,
        time=args.time,
        group=args.group,
        weight=args.weight,
        ids=tuple(args.id),
        categorical=tuple(args.categorical),
        numeric=tuple(args.numeric),
        text=tuple(args.text),
    )


def add_redaction(parser: argparse.ArgumentParser) -> None:
    """Declares --redact, --min-count and --redact-key: which values an answer may show."""
    defaults = RedactionSettings()
    parser.add_argument(
        "--redact",
        action="append",
        default=[],
        metavar="COLUMN",
        help="show none of its values: categories as keyed hashes, numbers without their scale; "
        "repeatable",
    )
    parser.add_argument(
        "--min-count",
        type=arguments.whole_above_zero,
        default=defaults.min_count,
        metavar="N",
        help=f"rows that a value must have to be named (default: {defaults.min_count})",
    )
    parser.add_argument(
        "--redact-key",
        default=defaults.redact_key,
        metavar="FILE",
        help=f"the hashes' key, made where it lacks (default: {defaults.redact_key})",
    )


def redaction_of(args: argparse.Namespace) -> RedactionSettings:
    """Returns what the flags of `add_redaction` say."""
    return RedactionSettings(
        redact=tuple(args.redact), min_count=args.min_count, redact_key=args.redact_key
    )


def quiet_libraries() -> None:
    """Leaves the terminal to the progress: libraries' warnings about each other help nobody."""
    import absl.logging

    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    absl.logging.set_verbosity(absl.logging.ERROR)
    for name in ("tensorflow", "apache_beam"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def others_print_elsewhere(args: argparse.Namespace) -> Iterator[None]:
    """Sends to standard error what a user's code prints, by child processes too, beside --json.

    A training shows its epochs, and TFX's pip what it installs: programs that read the answer would
    find them in it.
    """
    if not args.json:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def answer(
    args: argparse.Namespace,
    content: Callable[[], Any],
    parts: Callable[[], Iterable[str | TextTable]],
) -> None:
    """Prints an answer: as JSON with --json, else as texts and tables.

    Args:
        args: The arguments of a command that declared --json.
        content: Returns the answer for programs; NaN and infinity, which JSON lacks, become null.
        parts: Returns the answer for people.
    """
    if not args.json:
        show(*parts())
        return
    # Written at once: `json.dump` writes every brace by itself, through the guard of the output.
    sys.stdout.write(json.dumps(_finite(content()), indent=2, allow_nan=False) + "\n")


def tell_error(kind: str, message: str, code: int, as_json: bool, teller: str = "loop:") -> int:
    """Tells an error: one line on standard error, and with --json an object on standard output.

    Args:
        kind: Class of the error, such as `DataError`; `UsageError` for wrong arguments.
        message: What was expected, what came, what to do.
        code: The exit code, which is returned.
        as_json: The command was called with --json.
        teller: What stands before the line.
    """
    if as_json:
        error = {"error": {"kind": kind, "message": message, "exit_code": code}}
        json.dump(error, sys.stdout, indent=2)
        sys.stdout.write("\n")
    print(teller, message, file=sys.stderr)
    return code


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


# Arguments that name what a command reads; of others, such as `--decimal .`, none is a path.
_FILES_READ = frozenset(
    {
        *("file", "reference", "current", "config", "schema", "redact_key"),
        *("model", "data", "training", "others"),
    }
)


class FileToWrite(str):
    """The path that a flag names for a file to write, told apart from those that are read."""


def file_to_write(text: str) -> FileToWrite:
    """Reads the path of a file to write: a mistyped folder is told before the work, not made."""
    folder = Path(text.removeprefix("file://")).parent
    if "://" not in text.removeprefix("file://") and not folder.is_dir():
        raise argparse.ArgumentTypeError(
            f"expected a file in a folder that exists, received {text}: make {folder} first"
        )
    return FileToWrite(text)


def check_files_to_write(args: argparse.Namespace) -> None:
    """Ends the command as wrongly called where a file to write is one that another argument names.

    What a command reads is its user's data, which an answer must not replace.
    """
    given = [
        (name, value)
        for name, values in vars(args).items()
        for value in (values if isinstance(values, (list, tuple)) else [values])
        if isinstance(value, (str, Path))
    ]
    for name, path in given:
        if not isinstance(path, FileToWrite):
            continue
        for other, value in given:
            is_file = other in _FILES_READ or isinstance(value, FileToWrite)
            if (
                is_file
                and other != name
                and _is_among(Path(path.removeprefix("file://")), str(value))
            ):
                args.command.error(
                    f"argument --{name.replace('_', '-')}: expected a file of its own to write, "
                    f"received {path}, which the argument {other.replace('_', '-')} names, too"
                )


def _is_among(path: Path, given: str) -> bool:
    """Says whether a path is what an argument names, or part of the folder or query it names."""
    from tfx_loop.data.tables.sql import is_query

    if is_query(given):
        return path.exists() and path.name in given
    named = Path(given.removeprefix("file://"))
    try:
        if named.is_dir():
            return path.exists() and path.resolve().is_relative_to(named.resolve())
        # Two files to write need not be there yet; a file has several names where links lead to it.
        alike = path.resolve() == named.resolve()
        return alike or (path.exists() and named.exists() and path.samefile(named))
    except (OSError, ValueError):  # A text that is no path.
        return False


def write_file(path: str, content: str, flag: str) -> None:
    """Writes what a flag asked for.

    Raises:
        DataError: It cannot be written there.
    """
    from tfx_loop.core.storage import write_bytes

    try:
        write_bytes(path, content.encode())
    except OSError as error:
        raise DataError(
            f"Expected a file that can be written for {flag}, received {path}: {error.strerror}."
        ) from error
