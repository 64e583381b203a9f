"""An optimisation report for the terminal: a line a variant, a line a slice, a line a layer."""

from collections.abc import Sequence

from tfx_loop.contracts.optimization_report import ModelFacts, OptimizationResult, RungStatus
from tfx_loop.optimization.reporting import formatting
from tfx_loop.presentation.terminal import TextTable

# A screen's height; the page and the JSON have all of them.
_MOST_SLICES, _MOST_LAYERS = 10, 20
_SHOWN = {"parent": "parent", "baseline": "float .tflite", "child": "variant"}

Part = str | TextTable


def report_parts(report: OptimizationResult) -> list[Part]:
    """Returns the whole report: what came of it, the variants, the slices, the layers."""
    facts = report.child or report.parent
    whose = "weights of the variant" if report.child else "weights of the parent"
    return [
        f"{report.verdict.value.replace('_', ' ')} - {report.explanation}.",
        TextTable(rows=formatting.facts_of(report)[1:]),
        *rungs_parts(report),
        *_slices(report),
        *_table(formatting.OUTPUT_HEADINGS, formatting.outputs_of(report), ()),
        *_latency(report),
        *_layers(facts, whose),
        "\n".join(report.notes),
    ]


def rungs_parts(report: OptimizationResult) -> list[Part]:
    """Returns a table of the variants, and a line for each that does not keep; empty without."""
    headings = ("variant", "bytes", "metric", "lost", "95 % interval", "status", "reason")
    rows = [
        (
            rung.name,
            f"{rung.size.raw_bytes:,}" if rung.size else "-",
            formatting.number(rung.metric.value) if rung.metric else "-",
            formatting.signed(rung.drop.value) if rung.drop else "-",
            formatting.between(rung.drop) if rung.drop else "-",
            formatting.status_text(rung),
            rung.reason.replace("_", " "),
        )
        for rung in report.rungs
    ]
    left = [
        f"{rung.name}: {rung.explanation}"
        for rung in report.rungs
        if rung.status in (RungStatus.OVER_BUDGET, RungStatus.FAILED)
    ]
    return [*_table(headings, rows, headings[1:5]), "\n".join(left)]


def model_parts(facts: ModelFacts) -> list[Part]:
    """Returns what is known of one model."""
    zipped = formatting.whole(facts.size.zipped_bytes)
    told = [
        ("form", facts.format),
        ("runtime", facts.runtime),
        ("size", f"{facts.size.raw_bytes:,} bytes, {zipped} zipped"),
        ("weights", f"{facts.parameters:,}"),
        ("zeros", formatting.percent(facts.sparsity)),
        *(("input", shown) for shown in facts.inputs),
        *(("output", shown) for shown in facts.outputs),
    ]
    return [TextTable(rows=told), *_layers(facts, "weights")]


def _layers(facts: ModelFacts, title: str) -> list[TextTable]:
    """Returns a table of the layers, the heaviest; empty when they are unknown."""
    headings = (title, "shape", "type", "numbers", "zero")
    weighty = sorted((x for x in facts.layers if x.parameters), key=lambda x: -x.parameters)
    rows = [
        (
            layer.name,
            "x".join(str(length) for length in layer.shape),
            layer.dtype,
            f"{layer.parameters:,}",
            formatting.percent(layer.zeros / layer.parameters),
        )
        for layer in weighty[:_MOST_LAYERS]
    ]
    more = len(weighty) - _MOST_LAYERS
    below = f"and {more} smaller layers" if more > 0 else ""
    return _table(headings, rows, headings[3:], below)


def _slices(report: OptimizationResult) -> list[TextTable]:
    if report.overall is None:
        return []
    headings = ("rows that only report", "rows", "parent", "variant", "lost", "95 % interval", "")
    worst = sorted(report.slices, key=lambda part: -(part.drop.value or 0))[:_MOST_SLICES]
    rows = [
        (
            part.slice,
            f"{part.rows:,}",
            formatting.number(part.parent.value),
            formatting.number(part.child.value),
            formatting.signed(part.drop.value),
            formatting.between(part.drop),
            part.status.value.replace("_", " "),
        )
        for part in (report.overall, *worst)
    ]
    return _table(headings, rows, headings[1:6])


def _latency(report: OptimizationResult) -> list[TextTable]:
    headings = ("time of a call", "rows", "p50", "p95", "p99", "runtime")
    rows = [
        (
            _SHOWN[name],
            str(x.batch_size),
            *(formatting.milliseconds(value) for value in (x.p50_ms, x.p95_ms, x.p99_ms)),
            x.runtime,
        )
        for name, facts in formatting.models_of(report)
        for x in facts.latency
    ]
    return _table(headings, rows, headings[1:5])


def _table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[str],
    below: str = "",
) -> list[TextTable]:
    """Returns a table in a list, or an empty list where there are no rows to show."""
    table = TextTable(headings=headings, rows=rows, numbers=numbers, below=below)
    return [table] if rows else []
