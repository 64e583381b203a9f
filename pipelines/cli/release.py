"""`loop release`: the rows of a quarantined window may be used again."""

import argparse
import time

from tfx_loop.pipelines.cli import conventions, metadata

HELP = "let rows of a window that was found broken be used again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("window", metavar="WINDOW", help="name of the window, such as 2013-05")
    parser.add_argument("--reason", required=True, help="why its rows are sound, for the history")
    metadata.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Records the release; raises ConfigError for a window that is not in quarantine."""
    store = metadata.open_writable(args.metadata)
    from tfx_loop.core.json_codec import to_json
    from tfx_loop.pipelines.control.quarantine import release

    now_ms = int(time.time() * 1000)
    found = release(store, args.model, args.window, args.reason, now_ms)
    told = f"released: {found.told}. Measurements and trainings from now on use its rows."
    conventions.answer(args, lambda: to_json(found), lambda: [told])
    return conventions.SUCCESS
