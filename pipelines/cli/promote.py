"""`loop promote`: a canary gets all traffic, or a version a label."""

import argparse

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.cli import deployments

HELP = "give a canary all traffic, or a version a label"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    deployments.add_change_arguments(parser)
    parser.add_argument(
        "--version", type=int, metavar="VERSION", help="the version (default: the canary)"
    )
    parser.add_argument(
        "--label", metavar="NAME", help="give it this label instead; clients ask for /labels/NAME"
    )


def run(args: argparse.Namespace) -> int:
    """Promotes; raises ConfigError for a version that is no canary, DataError without a record."""
    from tfx_loop.deployment.live_rollout import LiveRollout

    rollout = LiveRollout(
        base_path=deployments.base_of(args), by="loop promote", lock_wait_seconds=args.wait
    )
    if args.label is None:
        return deployments.answer_change(args, lambda: rollout.promote(args.version))
    if args.version is None:
        raise ConfigError("Expected the version that gets the label, received none: --version N.")
    return deployments.answer_change(args, lambda: rollout.label(args.label, args.version))
