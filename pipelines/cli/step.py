"""`loop step`: trains the first version, or judges the next window that is due, and carries it out.

One step looks at the oldest window that is not final. Where its labels are waited for it says so,
and ends at once.
"""

import argparse
import dataclasses
from typing import TYPE_CHECKING

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.cli import conventions, metadata

if TYPE_CHECKING:
    from tfx_loop.pipelines.loop_file import LoopFile

HELP = "judge the next window that is due, and do what it decides"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "window",
        nargs="?",
        default="",
        metavar="WINDOW",
        help="a window to judge whatever its labels (default: the next that is due)",
    )
    parser.add_argument(
        "--no-notify",
        action="store_true",
        help="tell nobody whom loop.toml names under notify, as `loop watch` tells them itself",
    )
    metadata.add_loop_file(parser)
    conventions.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Steps once; raises LoopError where a run could not begin."""
    conventions.quiet_libraries()
    from tfx_loop.pipelines.loop import Loop

    loop_file = required_loop_file(args)
    with conventions.others_print_elsewhere(args):
        loop = Loop(loop_file.settings, loop_file.pipeline())
        report = loop.step(args.window, tell=not args.no_notify)
    conventions.answer(args, lambda: dataclasses.asdict(report), lambda: [report.told])
    return conventions.ATTENTION if report.trouble else conventions.SUCCESS


def required_loop_file(args: argparse.Namespace) -> "LoopFile":
    """Returns the file that `metadata.settle` found; raises ConfigError where there is none."""
    found: LoopFile | None = args.loop
    if found is None:
        raise ConfigError(
            "Expected loop.toml in the working folder, found none. Name the file with --loop; "
            "`loop init` writes one."
        )
    return found
