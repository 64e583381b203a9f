"""`loop openlineage`: the lineage as OpenLineage's events, to a file or a URL."""

import argparse
import json

from tfx_loop.core.secret_text import secret_text
from tfx_loop.pipelines.cli import conventions, metadata
from tfx_loop.presentation import arguments

HELP = "write the lineage as OpenLineage's events to a file, or post them to a URL"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument(
        "--out",
        type=conventions.file_to_write,
        metavar="FILE",
        help="file to write, one event a line",
    )
    target.add_argument(
        "--url",
        metavar="URL",
        help="where to post them, such as https://catalogue.example/api/v1/lineage",
    )
    parser.add_argument(
        "--token-file", default="", metavar="FILE", help="token to send with each, as a bearer's"
    )
    parser.add_argument(
        "--namespace",
        default="tfx-loop",
        metavar="NAME",
        help="namespace of the jobs (default: %(default)s)",
    )
    parser.add_argument(
        "--since",
        type=arguments.moment_ms,
        default=0,
        metavar="TIME",
        help="what was recorded from then on alone (default: all)",
    )
    metadata.add_arguments(parser, as_of=True)


def run(args: argparse.Namespace) -> int:
    """Writes or posts the events."""
    from tfx_loop.core.http_client import check_address, post_all
    from tfx_loop.pipelines.lineage.openlineage import events

    if args.url:
        check_address(args.url)
    token = secret_text(args.token_file, "a token").strip() if args.token_file else ""
    graph = metadata.open_graph(args)
    found = list(events(graph, args.namespace, args.since))
    if args.url:
        post_all(args.url, found, token)
    else:
        lines = "".join(f"{json.dumps(event)}\n" for event in found)
        conventions.write_file(args.out, lines, "--out")
    target = args.url or args.out
    conventions.answer(
        args,
        lambda: {"events": len(found), "target": target},
        lambda: [f"{len(found)} events to {target}"],
    )
    return conventions.SUCCESS
