"""`loop digits`: real images from training to the smallest served variant, and to devices.

Two pipelines run: one distils, prunes and quantises a network, judges every variant with TFMA,
chooses one and serves it; the other makes a student for the Edge TPU and publishes it for devices.
"""

import argparse
import time
from pathlib import Path

from tfx_loop.pipelines.config import output_folder

HELP = "the digits example: compressed and served, and bundled for devices"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    default = output_folder() / "digits"
    parser.add_argument("--out", type=Path, default=default, help="folder (default: out/digits)")


def run(args: argparse.Namespace) -> int:
    """Runs both pipelines and prints what came of them."""
    from tfx_loop.presentation.progress import Progress, quiet_libraries

    quiet_libraries()
    from tfx_loop.pipelines.examples.digits import demo

    progress = Progress(time.monotonic())
    out: Path = args.out.absolute()
    progress.say("compression: train, distil, prune, quantise, judge, choose, serve")
    choice = demo.run_compression(out / "compression", progress.say)
    progress.say("edge: train, distil, quantise, compile or analyse, judge, bundle, publish")
    edge = demo.run_edge(out / "edge", progress.say)
    print(f"\n{'variant':<22}{'KB':>8}  what became of it")
    for rung in choice.rungs:
        size = rung.size.raw_bytes / 1000 if rung.size else 0
        print(f"{rung.name:<22}{size:>8.1f}  {rung.reason}")
    print(f"\n{choice.explanation}")
    mapped = f"{edge['mapped_share']:.0%} of its operators map to the Edge TPU"
    print(f"For devices: {mapped}, says the {edge['speaker']}.")
    print(f"Pages: {out}/compression/pages/. Bundles: {out}/edge/bundles/.")
    return 0
