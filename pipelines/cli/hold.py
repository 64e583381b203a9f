"""`loop hold`: a person holds all launches of a model back, or lets them go again."""

import argparse
import time

from tfx_loop.pipelines.cli import conventions, metadata

HELP = "hold all launches of a model back, or let them go again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--by", required=True, metavar="NAME", help="who says so, for the history")
    parser.add_argument("--reason", required=True, help="why, for the history")
    parser.add_argument("--lift", action="store_true", help="let launches go again")
    metadata.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Records the word; raises ConfigError where it changes nothing."""
    store = metadata.open_writable(args.metadata)
    from tfx_loop.core.json_codec import to_json
    from tfx_loop.pipelines.control.holds import PersonHold, hold

    now_ms = int(time.time() * 1000)
    word = PersonHold(held=not args.lift, by=args.by, reason=args.reason, at_ms=now_ms)
    hold(store, args.model, word)
    told = (
        f"Launches of {args.model} are held back: windows are monitored and decided on. `loop hold "
        "--lift` lets them go; `loop approve` lets one go."
        if word.held
        else f"Launches of {args.model} are let go: decisions from now on may start trainings."
    )
    conventions.answer(args, lambda: to_json(word), lambda: [told])
    return conventions.SUCCESS
