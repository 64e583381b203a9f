"""Plot of the time of a call, before and after: a bar to the median, a line to p95 and p99."""

from tfx_loop.contracts.optimization_report import Latency, ModelFacts, OptimizationResult
from tfx_loop.optimization.reporting import formatting
from tfx_loop.presentation.svg import WIDTH, Scale, drawing, tag, text, tooltip

# Pixels of the drawing's own coordinates.
_ROW, _GAP, _TOP = 26, 22, 8
_LEFT, _RIGHT = 330, 200
_NAMES = {"parent": "parent", "baseline": ".tflite", "child": "child"}


def latency_plot(report: OptimizationResult) -> str:
    """Returns the drawing; empty when nothing was measured."""
    models = formatting.models_of(report)
    sizes = sorted({x.batch_size for _, facts in models for x in facts.latency})
    parts: list[str] = []
    top = float(_TOP)
    for size in sizes:
        rows = [(name, facts, x) for name, facts in models for x in _of(facts, size)]
        # Each batch size has its own scale: the question is parent or child.
        # On a busy machine p99 is far out; the medians shall stay comparable.
        longest = min(max(x.p99_ms for *_, x in rows), 3 * max(x.p50_ms for *_, x in rows)) or 1
        scale = Scale(0, longest, _LEFT, WIDTH - _RIGHT)
        noun = "1 row a call" if size == 1 else f"{size} rows a call"
        parts.append(text(noun, 0, top + 18, "label"))
        for name, facts, latency in rows:
            parts += _bar(name, facts, latency, scale, top)
            top += _ROW
        top += _GAP
    return drawing(top, "Time of a call, parent and child", *parts) if parts else ""


def _of(facts: ModelFacts, size: int) -> list[Latency]:
    return [x for x in facts.latency if x.batch_size == size]


def _bar(name: str, facts: ModelFacts, x: Latency, scale: Scale, top: float) -> list[str]:
    middle, end = top + _ROW / 2, scale(x.p50_ms)
    p95, p99 = (scale(min(value, scale.high)) for value in (x.p95_ms, x.p99_ms))
    half, most, nearly_all = (formatting.milliseconds(v) for v in (x.p50_ms, x.p95_ms, x.p99_ms))
    told = f"{x.runtime}: p50 {half}, p95 {most}, p99 {nearly_all} over {x.calls} calls"
    return [
        text(
            f"{_NAMES[name]}: {facts.mode.replace('_', ' ')}",
            _LEFT - 14,
            middle + 4,
            "feature",
            text_anchor="end",
        ),
        tag(
            "g",
            tooltip(told),
            tag("rect", x=_LEFT, y=top + 5, width=max(end - _LEFT, 1), height=_ROW - 10, rx=2),
            tag("line", x1=end, x2=p99, y1=middle, y2=middle, class_="whisker"),
            tag(
                "line",
                x1=p95,
                x2=p95,
                y1=middle - 5,
                y2=middle + 5,
                class_="whisker",
            ),
            class_=f"time {name}-time",
        ),
        text(
            f"{half}, p99 {nearly_all}",
            p99 + 12,
            middle + 4,
            "side",
        ),
    ]
