"""`loop rollback`: an earlier version serves again."""

import argparse

from tfx_loop.pipelines.cli import deployments

HELP = "let an earlier version serve again, or take a canary back"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    deployments.add_change_arguments(parser)
    parser.add_argument(
        "--to",
        type=int,
        required=True,
        metavar="VERSION",
        help="the version to go back to; the one that serves takes a canary back",
    )
    parser.add_argument("--reason", required=True, help="why, for the history")


def run(args: argparse.Namespace) -> int:
    """Rolls back; raises ConfigError for a version that cannot serve."""
    from tfx_loop.deployment.live_rollout import LiveRollout

    rollout = LiveRollout(
        base_path=deployments.base_of(args), by="loop rollback", lock_wait_seconds=args.wait
    )
    return deployments.answer_change(args, lambda: rollout.roll_back(args.to, args.reason))
