"""`loop retry`: a window is monitored again, or the training that it asked for is tried again."""

import argparse
import time

from tfx_loop.pipelines.cli import conventions, metadata

HELP = "let a window be monitored, or its failed training be tried, again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("window", metavar="WINDOW", help="name of the window, such as 2013-05")
    parser.add_argument("--reason", default="", help="what was fixed, for the history")
    parser.add_argument(
        "--training",
        action="store_true",
        help="try the training again that the window asked for and that failed",
    )
    metadata.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Records the retry; raises ConfigError where there is nothing to try again."""
    store = metadata.open_writable(args.metadata)
    from tfx_loop.pipelines.control import retries

    now_ms = int(time.time() * 1000)
    asked = (store, args.model, args.window, args.reason, now_ms)
    if args.training:
        retries.retry_training(*asked)
        told = f"The training of {args.window} is tried again when the loop steps on it next."
        found: dict[str, object] = {"window": args.window, "training": True}
    else:
        run_id = retries.retry_window(*asked)
        told = f"{args.window} is monitored again by run {run_id} when the loop steps on it next."
        found = {"window": args.window, "run_id": run_id}
    conventions.answer(args, lambda: found, lambda: [told])
    return conventions.SUCCESS
