"""`loop simulate`: what other policies would have done with the windows on record, and their cost.

Policies are `recorded` (what was done), `always`, `never`, `every:N`, `drift` (after each window
with a drifted feature) and `cost=X` (when savings reach another cost of a training). Costs are in
units of one window's loss.
"""

import argparse

from tfx_loop.pipelines.cli import conventions, metadata
from tfx_loop.presentation import arguments
from tfx_loop.presentation.terminal import TextTable

HELP = "what other policies would have done with the windows on record"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "policies",
        nargs="+",
        metavar="POLICY",
        help="recorded, always, never, every:N, drift or cost=X",
    )
    parser.add_argument(
        "--training-cost",
        type=arguments.above_zero,
        metavar="X",
        help="what a training costs, in units of one window's loss (default: as it was decided)",
    )
    metadata.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Prints each policy's trainings and cost; raises ConfigError for an unknown policy."""
    store = metadata.open_readonly(args.metadata)
    from tfx_loop.core.json_codec import to_json
    from tfx_loop.pipelines.control.simulation import recorded_windows, simulate

    windows, usual = recorded_windows(store, args.model)
    cost = args.training_cost or usual
    found = [simulate(policy, windows, cost) for policy in args.policies]
    answer = {
        "windows": len(windows),
        "training_cost": cost,
        "policies": [{**to_json(one), "total": one.total} for one in found],
    }
    table = TextTable(
        headings=("policy", "trainings", "lost", "total", "after"),
        rows=[
            (
                one.policy,
                str(len(one.trained_after)),
                f"{one.lost:.3f}",
                f"{one.total:.3f}",
                ", ".join(one.trained_after),
            )
            for one in found
        ],
        numbers=("trainings", "lost", "total"),
        below=f"{len(windows)} windows; a training costs {cost:g} of a window's loss.",
    )
    conventions.answer(args, lambda: answer, lambda: [table])
    return conventions.SUCCESS
