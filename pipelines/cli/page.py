"""`loop page`: one static page over all windows of each model, and an index over models."""

import argparse
from datetime import datetime, timezone
from pathlib import Path

from tfx_loop.pipelines.cli import conventions, metadata
from tfx_loop.pipelines.config import output_folder

HELP = "one page over all windows of each model, and an index over models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "--out",
        type=Path,
        default=output_folder() / "pages",
        metavar="DIR",
        help="folder of the pages: index.html and one a model (default: out/pages)",
    )
    metadata.add_arguments(parser, as_of=True, every_model=True)


def run(args: argparse.Namespace) -> int:
    """Writes the pages; raises DataError for a model that the store does not know."""
    graph = metadata.open_graph(args)
    from tfx_loop.core.storage import write_bytes
    from tfx_loop.pipelines.control.store_address import read_address
    from tfx_loop.pipelines.pages import model_page
    from tfx_loop.pipelines.pages.model_report import model_names, model_report

    names = [args.model] if args.model else model_names(graph)
    reports = [model_report(graph, name) for name in names]
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    made = f"{Path(read_address(args.metadata).shown).name} · {now}"
    written = []
    args.out.mkdir(parents=True, exist_ok=True)
    for report in reports:
        path = args.out / model_page.file_name(report.model_name)
        write_bytes(str(path), model_page.render_model_page(report, made).encode())
        written.append(path)
    index = args.out / "index.html"
    # A page of one model leaves the index over all of them as it is.
    if not args.model or not index.exists():
        write_bytes(str(index), model_page.render_index(reports, made).encode())
        written.append(index)
    found = {
        "written": [str(path) for path in written],
        "models": [
            {"name": r.model_name, "version": r.serving, "windows": len(r.windows)} for r in reports
        ],
    }
    conventions.answer(args, lambda: found, lambda: [f"Written: {', '.join(map(str, written))}."])
    return conventions.SUCCESS
