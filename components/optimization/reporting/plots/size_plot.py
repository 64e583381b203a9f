"""Plot of size against metric: a dot a variant, the budget shaded."""

from collections.abc import Sequence
from dataclasses import dataclass

from tfx_loop.contracts.optimization_report import OptimizationResult, Rung, RungStatus
from tfx_loop.optimization.reporting import formatting
from tfx_loop.presentation.svg import WIDTH, Scale, drawing, tag, text, ticks, tooltip, value_grid

# Pixels of the drawing's own coordinates.
_TOP, _BOTTOM, _HEIGHT = 26, 330, 388
_LEFT, _RIGHT = 84, 40
# A variant that lost all would press the others into one line: the axis ends this many budgets
# below the parent, and what is lower stands at its end with its value.
_BUDGETS_SHOWN = 4
_CLASSES = {
    RungStatus.CHOSEN: "chosen",
    RungStatus.KEPT: "kept",
    RungStatus.OVER_BUDGET: "over",
}


@dataclass(frozen=True)
class _Dot:
    label: str
    size: int
    metric: float
    low: float
    high: float
    class_: str
    told: str


def size_plot(report: OptimizationResult) -> str:
    """Returns the drawing; empty without measured rungs."""
    rungs = [r for r in report.rungs if r.size and r.metric and r.metric.value is not None]
    parent = _parent_metric(rungs, report)
    if not rungs or parent is None:
        return ""
    sign = 1 if report.metric is None or report.metric.higher_is_better else -1
    dots = [_dot(rung, parent, sign) for rung in rungs]
    limit = next((rung.limit for rung in rungs if rung.limit is not None), None)
    y, y_ticks = _metric_scale(dots, parent, limit, sign)
    # 4 % beyond the largest, so that its dot is not cut at the edge.
    x_ticks = ticks(0, max(d.size for d in dots if d.size) * 1.04, 6)
    # A Keras file may hold the optimizer's memory beside the weights.
    weights = report.parent.weight_bytes
    parent_size = weights or report.parent.size.raw_bytes
    # A parent many times larger would press the variants together; it stands at the edge then.
    if parent_size <= 4 * x_ticks[-1]:
        x_ticks = ticks(0, max(parent_size, x_ticks[-1]) * 1.04, 6)
    x = Scale(0, x_ticks[-1], _LEFT, WIDTH - _RIGHT)
    name = formatting.metric_word(report.metric.name) if report.metric else "metric"
    return drawing(
        _HEIGHT,
        f"Size of each variant against its {name}",
        *_axes(x, y, x_ticks, y_ticks, name),
        *_budget(y, parent, limit, sign),
        *_parent_mark(x, y, parent, parent_size, "parent's weights" if weights else "parent"),
        *_front(report.front, dots, x, y),
        *(_mark(dot, x, y) for dot in sorted(dots, key=lambda d: d.class_ == "chosen")),
        *_labels(dots, x, y),
    )


def _parent_metric(rungs: Sequence[Rung], report: OptimizationResult) -> float | None:
    """Returns the parent's metric on the rows that chose, from the variant that is most like it."""
    sign = 1 if report.metric is None or report.metric.higher_is_better else -1
    known = [r for r in rungs if r.drop and r.drop.value is not None]
    if not known:
        return report.overall.parent.value if report.overall else None
    # Metric plus drop is the parent's metric but for rounding, the less the smaller the drop is.
    like = min(known, key=lambda r: abs(r.drop.value or 0.0) if r.drop else 0.0)
    assert like.metric is not None
    assert like.metric.value is not None
    assert like.drop is not None
    return like.metric.value + sign * (like.drop.value or 0.0)


def _dot(rung: Rung, parent: float, sign: int) -> _Dot:
    assert rung.size is not None
    assert rung.metric is not None
    assert rung.metric.value is not None
    drop, value = rung.drop, rung.metric.value
    if drop is not None and drop.value is not None:
        value = parent - sign * drop.value
    bounds = [value, value]
    if drop is not None and drop.low is not None and drop.high is not None:
        bounds = sorted((parent - sign * drop.high, parent - sign * drop.low))
    return _Dot(
        label=rung.name,
        size=rung.size.raw_bytes,
        metric=value,
        low=bounds[0],
        high=bounds[1],
        class_=_CLASSES.get(rung.status, "other"),
        told=f"{rung.name}: {rung.size.raw_bytes:,} bytes, {formatting.number(value)}, "
        f"lost {formatting.signed(drop.value if drop else None)} ({formatting.between(drop)}). "
        f"{rung.explanation or formatting.status_text(rung)}",
    )


def _metric_scale(
    dots: Sequence[_Dot], parent: float, limit: float | None, sign: int
) -> tuple[Scale, list[float]]:
    allowed = limit or 0.0
    lowest = min(d.low if sign > 0 else -d.high for d in dots)
    highest = max(d.high if sign > 0 else -d.low for d in dots)
    floor = sign * parent - allowed * _BUDGETS_SHOWN if allowed else lowest
    # The budget's line is always in sight, with a third of a budget below it.
    worst = min(max(lowest, floor), sign * parent - allowed * 1.3)
    # Variants that gained much would press the others together, as those that lost all would.
    best = min(highest, sign * parent + max(allowed * 3, sign * parent - worst))
    best = max(best, sign * parent)
    low, high = sorted((sign * worst, sign * best))
    if high - low < 1e-9:
        low, high = low - 0.01, high + 0.01
    steps = ticks(low, high, 5)
    ends = (_BOTTOM, _TOP) if sign > 0 else (_TOP, _BOTTOM)
    return Scale(steps[0], steps[-1], *ends), steps


def _axes(
    x: Scale, y: Scale, x_ticks: Sequence[float], y_ticks: Sequence[float], name: str
) -> list[str]:
    shown = [
        text(name, _LEFT, _TOP - 14, "axis-title", text_anchor="start"),
        *value_grid(y_ticks, y, _LEFT, WIDTH - _RIGHT),
    ]
    for value in x_ticks:
        label = "0" if not value else formatting.size_text(value)
        shown.append(text(label, x(value), _BOTTOM + 22, "tick", text_anchor="middle"))
    title = "size of the file"
    shown.append(text(title, WIDTH - _RIGHT, _BOTTOM + 44, "axis-title", text_anchor="end"))
    return shown


def _budget(y: Scale, parent: float, limit: float | None, sign: int) -> list[str]:
    if limit is None:
        return []
    at, end = y(parent - sign * limit), y(y.low if sign > 0 else y.high)
    return [
        tag("rect", x=_LEFT, width=WIDTH - _RIGHT - _LEFT, y=at, height=end - at, class_="lost"),
        tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=at, y2=at, class_="limit"),
        text(
            f"budget: {formatting.number(limit)} below the parent",
            WIDTH - _RIGHT - 6,
            at + 16,
            "limit-label",
            text_anchor="end",
        ),
    ]


def _parent_mark(x: Scale, y: Scale, parent: float, size: int, name: str) -> list[str]:
    at = y(parent)
    line = tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=at, y2=at, class_="parent-line")
    beyond = size > x.high
    told = f"the {name}: {formatting.size_text(size)}, {formatting.number(parent)}"
    label = f"{name}, {formatting.size_text(size)}" + (" →" if beyond else "")
    place = WIDTH - _RIGHT - 6 if beyond else x(size)
    mark = "" if beyond else tag("circle", tooltip(told), cx=place, cy=at, r=6, class_="parent")
    # The words stand on the side of the dot that has room for them.
    anchor = "end" if place > WIDTH - 220 else "middle"
    return [line, mark, text(label, place, at - 12, "label", text_anchor=anchor)]


def _front(names: Sequence[str], dots: Sequence[_Dot], x: Scale, y: Scale) -> list[str]:
    """Joins the variants that no other beats: what each byte more buys."""
    by_name = {dot.label: dot for dot in dots}
    places = [by_name[name] for name in names if name in by_name]
    points = " ".join(f"{x(d.size):.1f},{y(_inside(d.metric, y)):.1f}" for d in places)
    return [tag("polyline", points=points, class_="front")] if len(places) > 1 else []


def _mark(dot: _Dot, x: Scale, y: Scale) -> str:
    at, value = x(dot.size), _inside(dot.metric, y)
    if value != dot.metric:
        edge = y(value)
        points = (
            f"{at - 6:.1f},{edge - 12:.1f} {at + 6:.1f},{edge - 12:.1f} {at:.1f},{edge - 2:.1f}"
        )
        return tag("g", tooltip(dot.told), tag("polygon", points=points), class_=f"v {dot.class_}")
    ends = [y(_inside(v, y)) for v in (dot.low, dot.high)]
    return tag(
        "g",
        tooltip(dot.told),
        tag("line", x1=at, x2=at, y1=ends[0], y2=ends[1], class_="whisker"),
        tag("circle", cx=at, cy=y(value), r=6.5, class_="dot"),
        class_=f"v {dot.class_}",
    )


def _inside(value: float, y: Scale) -> float:
    return min(max(value, y.low), y.high)


def _labels(dots: Sequence[_Dot], x: Scale, y: Scale) -> list[str]:
    """Places each name beside its dot where it covers nothing, the chosen one first."""
    taken = [(x(d.size) - 8, y(_inside(d.metric, y)) - 8, 16.0, 16.0) for d in dots]
    shown = []
    for dot in sorted(dots, key=lambda d: d.class_ != "chosen"):
        at, height = x(dot.size), y(_inside(dot.metric, y))
        label = dot.label
        if _inside(dot.metric, y) != dot.metric:
            label, height = f"{dot.label}: {formatting.number(dot.metric)}", height - 8
        # Width of a letter of the page's font at this size, on the wide side.
        width = 6.9 * len(label)
        box = _free_box(at, height, width, taken)
        taken.append(box)
        style = "label" if dot.class_ == "chosen" else "side"
        if abs(box[1] + 8 - height) > 24:
            end = box[0] if box[0] > at else box[0] + width
            shown.append(tag("line", x1=at, y1=height, x2=end, y2=box[1] + 8, class_="leader"))
        shown.append(text(label, box[0], box[1] + 12, style))
    return shown


def _free_box(
    at: float, height: float, width: float, taken: Sequence[tuple[float, float, float, float]]
) -> tuple[float, float, float, float]:
    # Away from the dot in steps of a line's height, on both sides of it, the nearest free place
    # first.
    for step in range(12):
        for offset in {step * 15, -step * 15}:
            for left in (at + 13, at - 13 - width):
                box = (left, height - 8 + offset, width, 16.0)
                inside = left >= _LEFT and left + width <= WIDTH and _TOP <= box[1] <= _BOTTOM - 14
                if inside and not any(_overlap(box, other) for other in taken):
                    return box
    return (at + 13, height - 8, width, 16.0)


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
