"""`loop status`: which version of a model serves, and what happened to the others."""

import argparse

from tfx_loop.pipelines.cli import deployments

HELP = "which version of a model serves, and what became of the others"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    deployments.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Shows the deployment record; raises DataError where there is none."""
    from tfx_loop.deployment.serving_pusher.live_rollout import read_deployments

    return deployments.answer(args, read_deployments(args.base))
