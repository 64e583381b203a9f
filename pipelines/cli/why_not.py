"""`loop why-not`: which gate holds a new version back, and which ones let it pass."""

import argparse
from typing import TYPE_CHECKING

from tfx_loop.core.errors import DataError
from tfx_loop.pipelines.cli import conventions, metadata

if TYPE_CHECKING:
    from tfx_loop.pipelines.control.why_not import GateAnswer, WindowGates

HELP = "which gate holds a new version back, and which let it pass"
_SIGNS = {"passed": "+", "held": "x", "not asked": "."}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "--since",
        default="",
        metavar="WINDOW",
        help="all windows from this one on, such as 2013-05 (default: the newest alone)",
    )
    metadata.add_arguments(parser, as_of=True)


def run(args: argparse.Namespace) -> int:
    """Prints the gates; raises DataError where no window was decided on."""
    store = metadata.open_readonly(args.metadata)
    from tfx_loop.core.json_codec import to_json
    from tfx_loop.pipelines.control.why_not import why_not

    found = why_not(store, args.model, args.since, args.as_of)
    if not found:
        since = f" since {args.since}" if args.since else ""
        raise DataError(
            f"Expected a decision about {args.model!r}{since} in {args.metadata}, found none. "
            "Step the loop on a window, or name the model with --model."
        )
    conventions.answer(args, lambda: to_json(found), lambda: ["\n\n".join(map(_told, found))])
    return conventions.SUCCESS


def _told(found: "WindowGates") -> str:
    head = f"{found.window}  {found.verdict} ({found.reason}) [decision {found.decision_id}]"
    lines = [head, *([f"  {found.explanation}"] if found.explanation else [])]
    lines += ["  decision", *map(_line, found.decision)]
    if found.admission:
        lines += ["  admission", *map(_line, found.admission)]
    if found.outcome:
        detail = f": {found.detail}" if found.detail else ""
        version = f", version {found.version} serves" if found.version else ""
        lines.append(f"  training  {found.outcome}{version}{detail}")
    return "\n".join(lines)


def _line(answer: "GateAnswer") -> str:
    told = f" ({answer.reason})" if answer.reason else ""
    return f"    {_SIGNS[answer.state.value]} {answer.gate}{told}"
