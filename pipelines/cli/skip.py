"""`loop skip`: a window is not monitored, and the loop goes on with the next."""

import argparse
import time

from tfx_loop.pipelines.cli import conventions, metadata

HELP = "leave a window out, and go on with the next"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("window", metavar="WINDOW", help="name of the window, such as 2013-05")
    parser.add_argument("--by", required=True, metavar="NAME", help="who says so, for the history")
    parser.add_argument("--reason", required=True, help="why, for the history")
    metadata.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Records the word; raises ConfigError for a name that is no window of the loop file's."""
    store = metadata.open_writable(args.metadata)
    from tfx_loop.pipelines.control.holds import skip
    from tfx_loop.pipelines.control.windows import WindowFacts

    if args.loop is not None:
        # A name that no window has would be left out for ever, unnoticed.
        facts = WindowFacts(
            store=store, model_name=args.model, begin_ms=0, rows_end=lambda since, rows: None
        )
        args.loop.settings.windows.of(facts).window(args.window)
    skip(store, args.model, args.window, args.by, args.reason, int(time.time() * 1000))
    told = f"{args.window} is left out: the loop does not wait for it, and does not decide on it."
    answer = {"window": args.window, "by": args.by, "reason": args.reason}
    conventions.answer(args, lambda: answer, lambda: [told])
    return conventions.SUCCESS
