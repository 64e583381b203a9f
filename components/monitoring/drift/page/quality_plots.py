"""Plots of quality: against held-out rows, and over windows, without labels and with them."""

from collections.abc import Sequence

from tfx_loop.contracts.drift_report import PastWindow
from tfx_loop.contracts.window_quality import EstimatedQuality, RealisedQuality
from tfx_loop.monitoring.drift.page.formatting import METRICS
from tfx_loop.presentation.svg import (
    LEFT,
    RIGHT,
    WIDTH,
    Columns,
    Scale,
    column_names,
    decimals,
    drawing,
    tag,
    text,
    tooltip,
    value_grid,
)
from tfx_loop.presentation.svg import ticks as round_ticks

# Pixels: a metric's line, what lies above the lines and below them, and the plot over time.
ROW = 34
HEAD = 12
FOOT = 34
OVER_TIME = 210


def against_held_out(estimated: EstimatedQuality, realised: RealisedQuality | None = None) -> str:
    """Returns how far each metric is expected from what held-out rows gave."""
    shown = [name for name in METRICS if name in estimated.metrics]
    moves = [
        bound - metric.reference
        for metric in (estimated.metrics[name] for name in shown)
        for bound in (metric.low, metric.high)
    ]
    # Zero, which is what held-out rows gave, is on the axis even where all metrics moved to one
    # side.
    marks = round_ticks(min(0.0, *moves), max(0.0, *moves), 6)
    across = Scale(marks[0], marks[-1], LEFT + 150.0, float(WIDTH - RIGHT - 90))
    bottom = HEAD + ROW * len(shown)
    places = decimals(marks)
    return drawing(
        bottom + FOOT,
        "Estimated quality against held-out rows",
        *(
            tag("line", class_="grid", x1=across(mark), x2=across(mark), y1=HEAD - 4, y2=bottom)
            for mark in marks
        ),
        tag("line", class_="zero", x1=across(0.0), x2=across(0.0), y1=HEAD - 4, y2=bottom),
        *(
            text(
                f"{mark:+.{places}f}" if mark else "as at training",
                across(mark),
                bottom + 18,
                "tick",
                text_anchor="middle",
            )
            for mark in marks
        ),
        *(_metric(name, row, estimated, realised, across) for row, name in enumerate(shown)),
    )


def _metric(
    name: str,
    row: int,
    estimated: EstimatedQuality,
    realised: RealisedQuality | None,
    across: Scale,
) -> str:
    metric = estimated.metrics[name]
    y = HEAD + ROW * row + ROW / 2
    low, high = (across(bound - metric.reference) for bound in (metric.low, metric.high))
    real = (realised.metrics if realised else {}).get(name)
    said = f"{METRICS[name]}: {metric.value:.3f}, {metric.low:.3f} to {metric.high:.3f}"
    return tag(
        "g",
        tooltip(f"{said}; at training {metric.reference:.3f}"),
        text(METRICS[name], LEFT - 12, y + 4, "feature", text_anchor="end"),
        text(f"held out {metric.reference:.3f}", LEFT + 4, y + 4, "side"),
        tag("line", class_="interval", x1=low, x2=high, y1=y, y2=y),
        tag(
            "circle", class_="dot estimated", cx=across(metric.value - metric.reference), cy=y, r=6
        ),
        text(f"{metric.value:.3f}", WIDTH - RIGHT - 62, y + 4, "label estimated"),
        text(f"{metric.low:.3f} to {metric.high:.3f}", WIDTH - RIGHT - 14, y + 4, "side"),
        "" if real is None else text(f"labels: {real:.3f}", WIDTH - 52, y + 4, "label realised"),
    )


def over_windows(past: Sequence[PastWindow], held_out: float | None) -> str:
    """Returns estimates with their intervals, and what labels said, window by window."""
    metric = next(
        (name for name in METRICS if any(name in w.estimated or name in w.realised for w in past)),
        "",
    )
    if not metric or len(past) < 2:
        return ""
    values = [v for w in past for v in (*w.estimated.get(metric, ())[:3], w.realised.get(metric))]
    known = [v for v in (*values, held_out) if v is not None]
    marks = round_ticks(min(known), max(known))
    height = Scale(marks[0], marks[-1], float(HEAD + OVER_TIME), float(HEAD))
    columns = Columns(tuple(window.window for window in past))
    return drawing(
        HEAD + OVER_TIME + 2 * FOOT - 10,
        f"{METRICS[metric]} by window",
        *value_grid(marks, height),
        *_held_out(held_out, height),
        *(_window(columns, index, window, metric, height) for index, window in enumerate(past)),
        *_line(columns, past, metric, height),
        *column_names(columns, HEAD + OVER_TIME + 18, _thinned(columns.names)),
        text(METRICS[metric], LEFT - 12, HEAD + 4, "axis-title", text_anchor="end", dx=-44),
        *_key(HEAD + OVER_TIME + 44),
    )


def _held_out(value: float | None, height: Scale) -> list[str]:
    if value is None:
        return []
    y = height(value)
    return [
        tag("line", class_="held-out", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y),
        text(f"held out {value:.3f}", WIDTH - RIGHT + 10, y + 4, "side"),
    ]


def _window(columns: Columns, index: int, window: PastWindow, metric: str, height: Scale) -> str:
    x = columns.centre(index)
    said, drawn = [window.window], []
    if metric in window.estimated:
        value, low, high, _ = window.estimated[metric]
        said.append(f"estimated {value:.3f}, {low:.3f} to {high:.3f}")
        drawn.append(tag("line", class_="interval", x1=x, x2=x, y1=height(low), y2=height(high)))
        drawn.append(tag("circle", class_="dot estimated", cx=x, cy=height(value), r=4.5))
    if metric in window.realised:
        real = window.realised[metric]
        said.append(f"with labels {real:.3f}")
        drawn.append(tag("circle", class_="dot realised", cx=x, cy=height(real), r=6))
    return tag("g", tooltip(": ".join([said[0], ", ".join(said[1:])])), *drawn)


def _line(columns: Columns, past: Sequence[PastWindow], metric: str, height: Scale) -> list[str]:
    points = [
        f"{columns.centre(index):.1f},{height(window.realised[metric]):.1f}"
        for index, window in enumerate(past)
        if metric in window.realised
    ]
    return [tag("polyline", class_="line realised", points=" ".join(points))] if points else []


def _thinned(names: Sequence[str]) -> list[str]:
    """Returns the names with some left empty, so that those of many windows do not overlap."""
    # Some 14 names fit the plot's width; counted from the newest, which always has its name.
    every = 1 + len(names) // 14
    last = len(names) - 1
    return [name if (last - index) % every == 0 else "" for index, name in enumerate(names)]


def _key(y: float) -> list[str]:
    x = LEFT + 5
    return [
        tag("line", class_="interval", x1=x - 8, x2=x + 8, y1=y, y2=y),
        tag("circle", class_="dot estimated", cx=x, cy=y, r=4.5),
        text("estimated from the scores, 95 %", x + 18, y + 4, "tick"),
        tag("circle", class_="dot realised", cx=x + 260, cy=y, r=6),
        text("measured, once labels came", x + 274, y + 4, "tick"),
        tag("line", class_="held-out", x1=x + 500, x2=x + 530, y1=y, y2=y),
        text("held-out rows at training", x + 538, y + 4, "tick"),
    ]
