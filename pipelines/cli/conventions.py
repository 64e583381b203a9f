"""What all commands share: exit codes, flags, how an answer is printed, files that are written."""

import argparse
import json
import logging
import math
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import DataError
from tfx_loop.presentation import arguments
from tfx_loop.presentation.terminal import TextTable, show

SUCCESS = 0
# The command could not do its work: one line on standard error says what was expected.
FAILED = 1
# The arguments make no sense; argparse exits with it.
USAGE = 2
# The command did its work, and the answer wants attention: an alarm, or no variant within budget.
ATTENTION = 3
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


def add_page(parser: argparse.ArgumentParser) -> None:
    """Declares --page: the answer as an HTML file, too."""
    parser.add_argument(
        "--page",
        type=file_to_write,
        metavar="FILE",
        help="write the answer as an HTML page, too",
    )


def add_seed(parser: argparse.ArgumentParser, use: str) -> None:
    """Declares --seed; `use` says what it decides."""
    parser.add_argument(
        "--seed",
        type=arguments.whole_at_least_zero,
        default=0,
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
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="COLUMN", help="leave it out; repeatable"
    )


def quiet_libraries() -> None:
    """Leaves the terminal to the progress: libraries' warnings about each other help nobody."""
    import absl.logging

    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    absl.logging.set_verbosity(absl.logging.ERROR)
    for name in ("tensorflow", "apache_beam"):
        logging.getLogger(name).setLevel(logging.ERROR)


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
    json.dump(_finite(content()), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def file_to_write(text: str) -> str:
    """Reads the path of a file to write: a mistyped folder is told before the work, not made."""
    folder = Path(text.removeprefix("file://")).parent
    if "://" not in text.removeprefix("file://") and not folder.is_dir():
        raise argparse.ArgumentTypeError(
            f"expected a file in a folder that exists, received {text}: make {folder} first"
        )
    return text


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
