"""Bars of the avoidable loss as it adds up, against the cost of a training."""

from collections.abc import Mapping, Sequence

from tfx_loop.pipelines.pages.content import WindowDecision
from tfx_loop.presentation.svg import (
    LEFT,
    RIGHT,
    WIDTH,
    Columns,
    Scale,
    drawing,
    empty_plot,
    tag,
    text,
    ticks,
    tooltip,
    value_grid,
)

TOP = 22
HEIGHT = 150


def avoidable_loss_plot(windows: Sequence[str], decisions: Sequence[WindowDecision]) -> str:
    """Returns bars of the accumulated avoidable loss, with the cost of a training as a line."""
    by_window = {each.window: each for each in decisions}
    known = [each for each in decisions if each.accumulated is not None]
    if not known:
        return empty_plot("avoidable loss", "No avoidable loss yet.")
    cost = next((each.training_cost for each in reversed(known) if each.training_cost), None)
    # The line of the cost is always in the picture, with room above it for what goes beyond; 1e-9
    # gives an axis where all is 0.
    highest = max([*(each.accumulated or 0.0 for each in known), (cost or 0.0) * 1.15, 1e-9])
    marks = ticks(0.0, highest)
    scale = Scale(0.0, marks[-1], HEIGHT - 4, TOP)
    columns = Columns(tuple(windows))
    return drawing(
        HEIGHT,
        "Avoidable loss accumulated, against the cost of a training",
        *value_grid(marks, scale),
        *_bars(columns, scale, by_window),
        *_cost_line(cost, scale),
    )


def _bars(columns: Columns, scale: Scale, by_window: Mapping[str, WindowDecision]) -> list[str]:
    """Each bar is what was carried over (pale) and what the window added (full)."""
    drawn: list[str] = []
    before: WindowDecision | None = None
    for index, name in enumerate(columns.names):
        decision = by_window.get(name)
        if decision is None or decision.accumulated is None:
            continue
        # A new version starts from zero: what its predecessor would have saved is not owed.
        same_model = before is not None and before.model_version == decision.model_version
        carried = min(decision.accumulated, (before.accumulated or 0.0) if before else 0.0)
        carried = carried if same_model else 0.0
        drawn.append(_bar(columns, index, scale, decision, carried))
        before = decision
    return drawn


def _bar(
    columns: Columns, index: int, scale: Scale, decision: WindowDecision, carried: float
) -> str:
    total = decision.accumulated or 0.0
    place = {"x": columns.left(index) + columns.step * 0.22, "width": columns.step * 0.56}
    said = f"{decision.window}: {total:.4f} accumulated, {total - carried:.4f} of it new"
    return tag(
        "g",
        tooltip(f"{said}. {decision.explanation}"),
        tag(
            "rect",
            y=scale(carried),
            height=scale(0) - scale(carried),
            class_="bar carried",
            **place,
        ),
        tag(
            "rect",
            y=scale(total),
            height=scale(carried) - scale(total),
            class_="bar added",
            **place,
        ),
        text(
            "retrain" if decision.verdict == "RETRAIN" else "",
            columns.centre(index),
            scale(total) - 6,
            "bar-text",
            text_anchor="middle",
        ),
    )


def _cost_line(cost: float | None, scale: Scale) -> list[str]:
    if not cost:
        return []
    y = scale(cost)
    return [
        tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="cost"),
        text(f"a training costs {cost:g}", WIDTH - RIGHT + 10, y + 4, "label cost-text"),
    ]
