"""`loop approve`: a person's yes to a decision that waits for one."""

import argparse
import time

from tfx_loop.pipelines.cli import conventions, metadata
from tfx_loop.presentation import arguments

HELP = "say yes to a decision that waits for a person"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "decision",
        metavar="ID",
        type=arguments.whole_above_zero,
        help="id of the decision, as `loop why-not` and `loop timeline` show it",
    )
    parser.add_argument("--by", required=True, metavar="NAME", help="who approves, for the history")
    parser.add_argument(
        "--policy-version",
        default="admission/1",
        metavar="NAME",
        help="name of the loop's admission rules, where it has another (default: %(default)s)",
    )
    metadata.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Records the yes; raises DataError for a decision that asks for nothing."""
    store = metadata.open_writable(args.metadata)
    from tfx_loop.pipelines.control.approvals import approve

    now_ms = int(time.time() * 1000)
    found = approve(store, args.model, args.decision, args.by, now_ms, args.policy_version)
    told = (
        f"approved: {found.verdict} of window {found.window} ({found.reason}). The loop carries it "
        "out when it steps next, if its other gates let it; `loop why-not` shows them."
    )
    answer = {"decision_id": found.artifact_id, "window": found.window, "by": args.by}
    conventions.answer(args, lambda: answer, lambda: [told])
    return conventions.SUCCESS
