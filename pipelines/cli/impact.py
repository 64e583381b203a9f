"""`loop impact`: models, variants, bundles and decisions that a bad span or window touched."""

import argparse
from typing import TYPE_CHECKING

from tfx_loop.pipelines.cli import conventions, metadata
from tfx_loop.presentation.terminal import TextTable

if TYPE_CHECKING:
    from tfx_loop.pipelines.lineage.impact import Impact

HELP = "every model, variant, bundle and decision that a bad span or window touched"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "rows",
        metavar="SPAN|WINDOW",
        help="a span's number, a window's name, or what else `loop graph` takes",
    )
    metadata.add_arguments(parser, as_of=True)


def run(args: argparse.Namespace) -> int:
    """Prints what was touched; ends with 3 where a version that serves is among it."""
    graph = metadata.open_graph(args)
    from tfx_loop.core.json_codec import to_json
    from tfx_loop.pipelines.lineage.impact import impact

    found = impact(graph, args.model, args.rows)
    conventions.answer(args, lambda: to_json(found), lambda: _parts(found))
    serves = any(model.serves and model.how == "learned" for model in found.models)
    return conventions.ATTENTION if serves else conventions.SUCCESS


def _parts(found: "Impact") -> list[str | TextTable]:
    models = TextTable(
        headings=("what", "how", "made by", "run", "served as", "where"),
        rows=[
            (m.what, m.how, m.node, m.run_id, _served(m.versions, m.serves), m.uri)
            for m in found.models
        ],
    )
    decisions = TextTable(
        headings=("decision", "model", "window", "verdict", "reason", "how", "training"),
        rows=[
            (str(d.decision_id), d.model_name, d.window, d.verdict, d.reason, d.how, d.run_id)
            for d in found.decisions
        ],
        numbers=("decision",),
    )
    return [
        f"{found.asked_about}: {len(found.sources)} artifacts hold its rows",
        models if found.models else "no model was touched",
        decisions if found.decisions else "no decision was touched",
    ]


def _served(versions: tuple[str, ...], serves: bool) -> str:
    return ", ".join(versions) + (" (newest)" if serves else "") if versions else "-"
