"""Plot of what was lost, on the whole and on each slice: a line each, with interval and limit."""

from collections.abc import Sequence

from tfx_loop.contracts.optimization_report import OptimizationResult, SliceResult, SliceStatus
from tfx_loop.optimization.reporting import formatting
from tfx_loop.presentation.svg import (
    WIDTH,
    Scale,
    decimals,
    drawing,
    shortened,
    tag,
    text,
    ticks,
    tooltip,
)

# Pixels of the drawing's own coordinates; names of slices stand on the left, values on the right.
_ROW, _TOP = 30, 46
_LEFT, _RIGHT = 300, 200
_CLASSES = {SliceStatus.WITHIN: "chosen", SliceStatus.OVER: "over"}
# Beyond it the drawing is longer than a screen, and the slices that lost least come last.
MOST = 30
# Signs of a slice's name that fit left of the bars; longer ones are shortened.
_LONGEST = 30


def drop_plot(report: OptimizationResult) -> str:
    """Returns the drawing; empty when nothing was measured on the reporting rows."""
    if report.overall is None or report.overall.drop.value is None:
        return ""
    shown = [report.overall, *_worst(report.slices)]
    scale, steps = _scale(shown)
    bottom = _TOP + _ROW * len(shown)
    name = formatting.metric_word(report.metric.name) if report.metric else "metric"
    return drawing(
        bottom + 34,
        f"Loss of {name} by slice",
        *_axes(scale, steps, bottom, name),
        *(part for i, item in enumerate(shown) for part in _line(item, scale, _TOP + _ROW * i)),
    )


def _worst(slices: Sequence[SliceResult]) -> list[SliceResult]:
    """Returns the slices, the most lost first."""
    known = [item for item in slices if item.drop.value is not None]
    return sorted(known, key=lambda item: -(item.drop.value or 0))[:MOST]


def _scale(shown: Sequence[SliceResult]) -> tuple[Scale, list[float]]:
    values = [0.0]
    for item in shown:
        values += [v for v in (item.drop.value, item.limit) if v is not None]
    values += [v for v in (shown[0].drop.low, shown[0].drop.high) if v is not None]
    spread = [v for item in shown for v in (item.drop.low, item.drop.high) if v is not None]
    # Intervals of small slices are cut, that the values and the limits of the others stay readable;
    # 0.01 where nothing at all was lost, so that the axis has a length.
    reach = 3 * max(abs(v) for v in values) or 0.01
    values += [min(max(v, -reach), reach) for v in spread]
    steps = ticks(min(values), max(values), 6)
    return Scale(steps[0], steps[-1], _LEFT, WIDTH - _RIGHT), steps


def _axes(scale: Scale, steps: Sequence[float], bottom: float, name: str) -> list[str]:
    places = decimals(steps)
    shown = [
        text(f"loss of {name}", WIDTH - _RIGHT, 12, "axis-title", text_anchor="end"),
        text("better ←", scale(0) - 8, 12, "tick", text_anchor="end") if steps[0] < 0 else "",
    ]
    for value in steps:
        at, kind = scale(value), "zero" if value == 0 else "grid"
        shown.append(tag("line", x1=at, x2=at, y1=_TOP - 12, y2=bottom, class_=kind))
        label = f"{value:.{places}f}".replace("-", "−")  # noqa: RUF001
        shown.append(text(label, at, _TOP - 18, "tick", text_anchor="middle"))
    return shown


def _line(item: SliceResult, scale: Scale, top: float) -> list[str]:
    middle = top + _ROW / 2
    kind = _CLASSES.get(item.status, "other")
    low, high = (
        scale(min(max(v if v is not None else 0.0, scale.low), scale.high))
        for v in (item.drop.low, item.drop.high)
    )
    value = scale(item.drop.value or 0.0)
    told = (
        f"{item.slice}: {formatting.signed(item.drop.value)} ({formatting.between(item.drop)}), "
        f"{formatting.number(item.parent.value)} → {formatting.number(item.child.value)}"
    )
    limit = ""
    if item.limit is not None:
        at = scale(item.limit)
        limit = tag("line", x1=at, x2=at, y1=top, y2=top + _ROW, class_="limit")
    style = "label" if item.slice == "overall" else "feature"
    return [
        text(shortened(item.slice, _LONGEST), 0, middle + 4, style),
        text(f"{item.rows:,} rows", _LEFT - 24, middle + 4, "tick", text_anchor="end"),
        limit,
        tag(
            "g",
            tooltip(told),
            tag("line", x1=low, x2=high, y1=middle, y2=middle, class_="whisker"),
            tag("circle", cx=value, cy=middle, r=5.5, class_="dot"),
            class_=f"v {kind}",
        ),
        text(
            f"{formatting.number(item.parent.value)} → {formatting.number(item.child.value)}",
            WIDTH - _RIGHT + 24,
            middle + 4,
            "side",
        ),
    ]
