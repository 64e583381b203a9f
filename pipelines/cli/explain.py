"""`loop explain`: data, reason and judgement of a version, and when it served."""

import argparse

from tfx_loop.pipelines.cli import conventions, metadata

HELP = "why a version exists, and what came of it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("version", type=int, metavar="VERSION", help="version to explain")
    metadata.add_arguments(parser, as_of=True)


def run(args: argparse.Namespace) -> int:
    """Prints why a version exists."""
    graph = metadata.open_graph(args)
    from tfx_loop.core.json_codec import to_json
    from tfx_loop.pipelines.lineage.explain import explain
    from tfx_loop.pipelines.lineage.show import render_explanation

    found = explain(graph, args.model, args.version)
    conventions.answer(args, lambda: to_json(found), lambda: [render_explanation(found)])
    return conventions.SUCCESS
