"""`loop digits`: real images from training to the smallest served variant, and to devices.

Two pipelines run: one distils, prunes and quantises a network, judges every variant with TFMA,
chooses one and serves it; the other makes a student for the Edge TPU and publishes it for devices.
"""

import argparse
from pathlib import Path

from tfx_loop.pipelines.cli import conventions
from tfx_loop.pipelines.config import output_folder
from tfx_loop.presentation.progress import Progress
from tfx_loop.presentation.terminal import TextTable, show

HELP = "the digits example: compressed and served, and bundled for devices"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    conventions.add_out(parser, output_folder() / "digits", shown="out/digits")


def run(args: argparse.Namespace) -> int:
    """Runs both pipelines and prints what came of them."""
    conventions.quiet_libraries()
    from tfx_loop.pipelines.examples.digits import demo

    progress = Progress()
    out: Path = args.out.absolute()
    with progress.counted("compression"):
        progress.say("compression: train, distil, prune, quantise, judge, choose, serve")
        choice = demo.run_compression(out / "compression", progress.say)
    with progress.counted("edge"):
        progress.say("edge: train, distil, quantise, compile or analyse, judge, bundle, publish")
        edge = demo.run_edge(out / "edge", progress.say)
    variants = TextTable(
        headings=("variant", "KB", "what became of it"),
        rows=[
            (rung.name, f"{(rung.size.raw_bytes if rung.size else 0) / 1000:.1f}", rung.reason)
            for rung in choice.rungs
        ],
        numbers=("KB",),
    )
    mapped = f"{edge.mapped_share:.0%} of its operators map to the Edge TPU"
    show(
        variants,
        f"{choice.explanation}\n"
        f"For devices: {mapped}, says the {edge.speaker.value}.\n"
        f"Pages: {out}/compression/pages/. Bundles: {out}/edge/bundles/.",
    )
    return conventions.SUCCESS
