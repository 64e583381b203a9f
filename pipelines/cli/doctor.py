"""`loop doctor`: store, server, disk, versions and platform rules, looked at in one table."""

import argparse

from tfx_loop.pipelines.cli import conventions, metadata
from tfx_loop.pipelines.config import environment_of_checks
from tfx_loop.presentation.terminal import TextTable

HELP = "look at store, server, disk, versions and platform; ends with 3 where something is broken"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "--server",
        metavar="URL",
        help="REST address of the model server (default: that of the loop file, else none)",
    )
    parser.add_argument(
        "--versions",
        metavar="BASE",
        help="base path that versions are pushed to (default: that of the loop file, else none)",
    )
    metadata.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the table."""
    from tfx_loop.core.json_codec import to_json
    from tfx_loop.pipelines.checkup import CheckedPlace, Health, checkup

    stated = args.loop.settings if args.loop is not None else None
    base = args.versions or (stated.serving.base_path if stated else "")
    log = stated.serving.prediction_log if stated else ""
    home = str(stated.folder) if stated else ""
    place = CheckedPlace(
        store=args.metadata,
        model_name=args.model,
        server_url=args.server or (stated.serving.url if stated else ""),
        base_path=base,
        folders=tuple(folder for folder in (home, base, log) if folder),
    )
    found = checkup(place, environment_of_checks())
    broken = any(line.health is Health.BROKEN for line in found)
    table = TextTable(
        headings=("what", "state", "found", "to do"),
        rows=[(one.what, one.health.value, one.found, one.remedy) for one in found],
    )
    conventions.answer(args, lambda: to_json(found), lambda: [table])
    return conventions.ATTENTION if broken else conventions.SUCCESS
