"""`loop timeline`: all that happened to a model, in order."""

import argparse

from tfx_loop.pipelines.cli import conventions, metadata

HELP = "all that happened to a model, in order"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    metadata.add_arguments(parser, as_of=True)


def run(args: argparse.Namespace) -> int:
    """Prints what happened to a model."""
    graph = metadata.open_graph(args)
    from tfx_loop.core.json_codec import to_json
    from tfx_loop.pipelines.lineage.show import timeline_table
    from tfx_loop.pipelines.lineage.timeline import timeline

    found = timeline(graph, args.model)
    conventions.answer(args, lambda: to_json(found), lambda: [timeline_table(found)])
    return conventions.SUCCESS
