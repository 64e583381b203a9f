"""`loop gc`: removes files of artifacts that nothing rests on which served or was decided.

Without --delete it says what would go, and why. The walk from a prediction to its raw span stays
whole: every version that was ever pushed, every decision, and what each was made from are kept.
"""

import argparse
import time

from tfx_loop.pipelines.cli import conventions, metadata
from tfx_loop.presentation import arguments
from tfx_loop.presentation.terminal import TextTable

HELP = "remove files of runs that led nowhere; says what would go unless --delete is given"
_SHOWN = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "--keep",
        type=arguments.whole_above_zero,
        default=10,
        metavar="N",
        help="newest runs of each kind that stay whole (default: %(default)s)",
    )
    parser.add_argument(
        "--keep-days",
        type=arguments.at_least_zero,
        default=30.0,
        metavar="DAYS",
        help="days that everything stays (default: 30)",
    )
    parser.add_argument(
        "--record",
        action="append",
        default=[],
        metavar="BASE",
        help="base path whose deployment record counts, beside those that versions were pushed to; "
        "repeatable",
    )
    parser.add_argument("--delete", action="store_true", help="remove the files")
    metadata.add_arguments(parser, every_model=True)


def run(args: argparse.Namespace) -> int:
    """Says what would go, or removes it."""
    from tfx_loop.core.json_codec import to_json
    from tfx_loop.pipelines.lineage.retention import RetentionSettings, plan
    from tfx_loop.pipelines.lineage.sources import open_graph

    now_ms = int(time.time() * 1000)
    settings = RetentionSettings(keep_runs=args.keep, keep_days=args.keep_days)
    found = plan(open_graph(args.metadata), settings, now_ms, args.record)
    removed = 0
    if args.delete and found.removable:
        from tfx_loop.pipelines.control.removal import remove_files

        store = metadata.open_writable(args.metadata)
        folders = [(one.artifact_id, one.folder) for one in found.removable]
        removed = remove_files(store, folders, now_ms)
    table = TextTable(
        headings=("run", "node", "type", "MB", "why"),
        rows=[
            (one.run_id, one.node, one.type, f"{one.bytes / 1e6:.1f}", one.why)
            for one in found.removable[:_SHOWN]
        ],
        numbers=("MB",),
        below=f"and {len(found.removable) - _SHOWN} more" if len(found.removable) > _SHOWN else "",
    )
    kept = ", ".join(f"{count} {why.replace('_', ' ')}" for why, count in found.kept.items())
    went = "removed" if args.delete else "would go; --delete removes it"
    told = f"{len(found.removable)} artifacts, {found.bytes / 1e6:.1f} MB: {went}"
    conventions.answer(
        args,
        lambda: {**to_json(found), "bytes": found.bytes, "removed": removed},
        lambda: [*([table] if found.removable else []), f"kept: {kept or 'nothing'}", told],
    )
    return conventions.SUCCESS
