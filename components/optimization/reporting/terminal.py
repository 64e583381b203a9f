"""How is a report shown in a terminal? Plain text, a line a variant and a line a slice."""

from collections.abc import Collection, Sequence

from tfx_loop.contracts.optimization_report import ModelFacts, OptimizationResult, RungStatus
from tfx_loop.optimization.reporting import formatting

_MOST_SLICES, _MOST_LAYERS = 10, 20


def report_text(report: OptimizationResult) -> str:
    """Returns the whole report: what came of it, the variants, the slices, the layers."""
    facts = report.child or report.parent
    parts = [
        f"{report.verdict.value.replace('_', ' ')} - {report.explanation}.",
        _pairs(formatting.facts_of(report)[1:]),
        rungs_text(report),
        _slices_text(report),
        _latency_text(report),
        layers_text(facts, "weights of the variant" if report.child else "weights of the parent"),
        "\n".join(report.notes),
    ]
    return "\n\n".join(part for part in parts if part)


def rungs_text(report: OptimizationResult) -> str:
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
    shown = table(headings, rows, headings[1:5]) if rows else ""
    return "\n\n".join(part for part in (shown, "\n".join(left)) if part)


def model_text(facts: ModelFacts) -> str:
    """Returns what is known of one model."""
    told = [
        ("form", facts.format),
        ("runtime", facts.runtime),
        ("size", f"{facts.size.raw_bytes:,} bytes, {facts.size.zipped_bytes:,} zipped"),
        ("weights", f"{facts.parameters:,}"),
        ("zeros", formatting.percent(facts.sparsity)),
        *(("input", shown) for shown in facts.inputs),
        *(("output", shown) for shown in facts.outputs),
    ]
    return "\n\n".join(part for part in (_pairs(told), layers_text(facts, "weights")) if part)


def layers_text(facts: ModelFacts, title: str) -> str:
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
    text = table(headings, rows, headings[3:]) if rows else ""
    return f"{text}\nand {more} smaller layers" if more > 0 else text


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str]) -> str:
    """Returns columns in plain text; those named in `numbers` are aligned right."""
    lines = [tuple(headings), *(tuple(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    shown = [
        "  ".join(
            cell.rjust(width) if name in numbers else cell.ljust(width)
            for cell, width, name in zip(line, widths, headings, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join([shown[0], "  ".join("-" * width for width in widths), *shown[1:]])


def _slices_text(report: OptimizationResult) -> str:
    if report.overall is None:
        return ""
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
    return table(headings, rows, headings[1:6])


def _latency_text(report: OptimizationResult) -> str:
    headings = ("time of a call", "rows", "p50", "p95", "p99", "runtime")
    models = [("parent", report.parent), *([("variant", report.child)] if report.child else [])]
    rows = [
        (
            name,
            str(x.batch_size),
            *(formatting.milliseconds(value) for value in (x.p50_ms, x.p95_ms, x.p99_ms)),
            x.runtime,
        )
        for name, facts in models
        for x in facts.latency
    ]
    return table(headings, rows, headings[1:5]) if rows else ""


def _pairs(told: Sequence[tuple[str, str]]) -> str:
    width = max((len(name) for name, _ in told), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in told)
