"""`loop graph`: what something was made from, or what was made from it."""

import argparse

from tfx_loop.pipelines.cli import conventions, metadata
from tfx_loop.presentation import arguments

HELP = "what something was made from, or what was made from it, as text, dot, JSON or a page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "start",
        metavar="WHAT",
        help="a version (3), window:NAME, span:N, decision:ID, run:ID, artifact:ID, or a file or "
        "an artifact's URI",
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--up", action="store_true", help="what it was made from, down to raw files (default)"
    )
    way.add_argument("--down", action="store_true", help="what was made from it")
    parser.add_argument(
        "--all",
        action="store_true",
        help="go on into every other training, through decisions, champions and schemas",
    )
    parser.add_argument(
        "--depth",
        type=arguments.whole_at_least_zero,
        default=0,
        metavar="N",
        help="nodes to go from the start (default: 0, to the end)",
    )
    parser.add_argument("--dot", action="store_true", help="print it for Graphviz")
    conventions.add_page(parser)
    metadata.add_arguments(parser, as_of=True)


def run(args: argparse.Namespace) -> int:
    """Prints the lineage of what was named."""
    graph = metadata.open_graph(args)
    from tfx_loop.core.json_codec import to_json
    from tfx_loop.pipelines.lineage import walk_show
    from tfx_loop.pipelines.lineage.starting_points import starting_points
    from tfx_loop.pipelines.lineage.walk import walk_down, walk_up

    starts = starting_points(graph, args.model, args.start)
    walk = walk_down if args.down else walk_up
    found = walk(graph, starts, everything=args.all, depth=args.depth)
    up = not args.down
    if args.page:
        page = walk_show.as_page(found, args.start, up, args.metadata)
        conventions.write_file(args.page, page, "--page")
    conventions.answer(
        args,
        lambda: to_json(found),
        lambda: [walk_show.as_dot(found) if args.dot else walk_show.as_text(found, up)],
    )
    return conventions.SUCCESS
