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

    base, log, home, url, lines = args.versions or "", "", "", args.server or "", []
    begun = True
    if args.loop is not None:
        from tfx_loop.pipelines.stated_checks import kept_home, stated_checks

        # Where nothing is stated the loop asked the server once, and kept what it said.
        stated, kept = args.loop.settings, kept_home(args.loop)
        base = base or stated.serving.base_path or kept.base_path
        log = stated.serving.prediction_log or kept.prediction_log
        begun = bool(kept.base_path)
        home, url = str(stated.folder), url or stated.serving.url
        with conventions.others_print_elsewhere(args):
            lines = stated_checks(args.loop)
    place = CheckedPlace(
        store=args.metadata,
        model_name=args.model,
        server_url=url,
        base_path=base,
        folders=tuple(folder for folder in (home, base, log) if folder),
        begun=begun,
    )
    found = [*lines, *checkup(place, environment_of_checks())]
    broken = any(line.health is Health.BROKEN for line in found)
    table = TextTable(
        headings=("what", "state", "found", "to do"),
        rows=[(one.what, one.health.value, one.found, one.remedy) for one in found],
    )
    conventions.answer(args, lambda: to_json(found), lambda: [table])
    return conventions.ATTENTION if broken else conventions.SUCCESS
