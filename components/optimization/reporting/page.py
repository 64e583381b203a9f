"""An optimisation report as one static page; what was not measured is left out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx_loop.contracts.optimization_report import ModelFacts, OptimizationResult
from tfx_loop.optimization.reporting import formatting
from tfx_loop.optimization.reporting.plots.drop_plot import MOST, drop_plot
from tfx_loop.optimization.reporting.plots.latency_plot import latency_plot
from tfx_loop.optimization.reporting.plots.layer_plots import (
    error_plot,
    layers_drawing,
    weights_plot,
)
from tfx_loop.optimization.reporting.plots.size_plot import size_plot
from tfx_loop.presentation.document import document, header, section, table

_STYLE = Path(__file__).with_name("page.css")


def render(report: OptimizationResult) -> str:
    """Returns the page as HTML."""
    name = Path(report.parent.path).name or "model"
    return document(
        f"{name}: {report.verdict.value.replace('_', ' ').lower()}",
        header(
            f"{report.technique.capitalize()} of {name}",
            report.explanation,
            formatting.facts_of(report),
        ),
        [
            _part("Size against metric", _size_lead(report), size_plot(report)),
            _part("What was lost, and where", _drop_lead(report), drop_plot(report)),
            _rungs(report),
            _part(
                "Error by layer",
                "How far the model's outputs move when one layer alone is quantised (root mean "
                "square). Orange layers were left in float.",
                error_plot(report),
            ),
            _outputs(report),
            _part("Time of a call", _latency_lead(report), latency_plot(report)),
            _part("Weights by layer", _weights_lead(report), weights_plot(report)),
            _models(report),
            _settings(report),
        ],
        _STYLE.read_text(encoding="utf-8"),
    )


def render_model(facts: ModelFacts) -> str:
    """Returns the page of one model that no report is known of."""
    name = Path(facts.path).name
    told = [
        ("Size", formatting.size_text(facts.size.raw_bytes)),
        ("Zipped", formatting.size_text(facts.size.zipped_bytes or 0)),
        ("Weights", f"{facts.parameters:,}"),
        ("Zeros", formatting.percent(facts.sparsity)),
    ]
    return document(
        name,
        header(f"Model in the form {facts.format}", name, told),
        [
            _part("Weights by layer", "", layers_drawing(facts.layers)),
            section("Inputs and outputs", "", _tensors([facts])),
        ],
        _STYLE.read_text(encoding="utf-8"),
    )


def _part(title: str, lead: str, *body: str) -> str:
    """Returns a section; nothing when it has no body."""
    return section(title, lead, *body) if any(body) else ""


def _size_lead(report: OptimizationResult) -> str:
    rows = report.rows.get("choosing")
    measured = f" on the {rows:,} rows that chose" if rows else ""
    return (
        f"Each variant's file and its metric{measured}, with the 95 % interval of what it lost "
        "against its parent on the same rows. Green is the one that was chosen, blue ones keep to "
        "the budget and serve the target less, orange ones do not keep to it. The line joins those "
        "that no other beats in size, loss and time."
    )


def _drop_lead(report: OptimizationResult) -> str:
    rows = report.rows.get("reporting")
    measured = f"{rows:,} rows that nothing was fitted to or chosen on" if rows else "held-out rows"
    cut = f" The {MOST} slices that lost most." if len(report.slices) > MOST else ""
    return f"Measured on {measured}, with 95 % intervals of the paired difference.{cut}"


def _latency_lead(report: OptimizationResult) -> str:
    runtimes = dict.fromkeys(
        x.runtime for _, facts in formatting.models_of(report) for x in facts.latency
    )
    return (
        "Bars reach to the median, lines to p95 and p99; the models were called in turns on one "
        "machine. What the variant gains in the same runtime shows beside the float .tflite. "
        f"{'; '.join(runtimes)}."
    )


def _weights_lead(report: OptimizationResult) -> str:
    facts = report.child if report.child and report.child.layers else report.parent
    which = "the variant" if facts is report.child else "the parent"
    zero = (
        f", {formatting.percent(facts.sparsity)} of them zero" if facts.sparsity is not None else ""
    )
    return f"{facts.parameters:,} weights in {which}{zero}; zeros in the paler shade."


def _rungs(report: OptimizationResult) -> str:
    if not report.rungs:
        return ""
    headings = ("variant", "size", "zipped", "metric", "lost", "95 % interval", "same answer", "")
    rows = []
    for rung in report.rungs:
        agreement = rung.parity.top_class_agreement if rung.parity else None
        rows.append(
            (
                rung.name,
                f"{rung.size.raw_bytes:,}" if rung.size else formatting.NONE,
                formatting.whole(rung.size.zipped_bytes if rung.size else None),
                formatting.number(rung.metric.value if rung.metric else None),
                formatting.signed(rung.drop.value if rung.drop else None),
                formatting.between(rung.drop),
                formatting.percent(agreement),
                rung.explanation or formatting.status_text(rung),
            )
        )
    lead = "The ladder in its order; sizes in bytes, zipped of the chosen one alone."
    return section("Every variant, and why it was left", lead, table(headings, rows, headings[1:7]))


def _outputs(report: OptimizationResult) -> str:
    if not report.outputs:
        return ""
    headings = formatting.OUTPUT_HEADINGS
    lead = (
        "A budget holds the outputs that have one. What the answers move by is told of all, in the "
        "output's own unit."
    )
    rows = formatting.outputs_of(report)
    return section("Every output", lead, table(headings, rows, headings[2:]))


def _models(report: OptimizationResult) -> str:
    models = [facts for name, facts in formatting.models_of(report) if name != "baseline"]
    if not any(facts.inputs for facts in models):
        return ""
    return section("Inputs and outputs", "", _tensors(models))


def _tensors(models: list[ModelFacts]) -> str:
    rows = [
        (f"{facts.mode} ({facts.format})", side, shown)
        for facts in models
        for side, tensors in (("in", facts.inputs), ("out", facts.outputs))
        for shown in tensors
    ]
    return table(("model", "", "tensor"), rows)


def _settings(report: OptimizationResult) -> str:
    rows = [
        *((name, _shown(value)) for name, value in report.settings.items()),
        *((f"rows for {use}", f"{count:,}") for use, count in report.rows.items()),
        *(("assumed", note) for note in report.notes),
    ]
    return section("How it was made", "", table(("setting", "value"), rows)) if rows else ""


def _shown(value: Any) -> str:
    # Not by its truth: 0 and False were asked for.
    if value is None or value in ("", []):
        return formatting.NONE
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items())
    return str(value)
