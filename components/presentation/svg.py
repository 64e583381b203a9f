"""Plots as SVG: elements, scales, and the columns that all plots of a page share."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

# Pixels at the page's full width: the drawing, and the margins for names (left) and notes (right)
# that all plots share, so that their columns stand below each other.
WIDTH = 1060
LEFT = 118
RIGHT = 172


def tag(name: str, *children: str, **attributes: object) -> str:
    """Returns an element; `class_` becomes `class`, `stroke_width` becomes `stroke-width`."""
    written = "".join(
        f' {_attribute_name(key)}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>"


def text(content: str, x: float, y: float, class_: str = "", **attributes: object) -> str:
    """Returns a line of text; the content is escaped."""
    return tag("text", escape(content), x=x, y=y, class_=class_ or None, **attributes)


def shortened(name: str, most: int) -> str:
    """Returns a name of at most `most` letters, an ellipsis in place of its end."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def tooltip(content: str) -> str:
    """Returns what a browser shows when the pointer rests on the element around it."""
    return tag("title", escape(content))


def drawing(height: float, label: str, *children: str) -> str:
    """Returns a whole plot; `label` is what a screen reader says."""
    box = f"0 0 {WIDTH} {height:g}"
    return tag("svg", *children, viewBox=box, role="img", aria_label=label)


@dataclass(frozen=True)
class Columns:
    """The x axis: one column a window, the same in every plot, so that the page reads downwards."""

    names: tuple[str, ...]

    @property
    def step(self) -> float:
        """Width of a column."""
        return (WIDTH - LEFT - RIGHT) / max(1, len(self.names))

    def left(self, index: int) -> float:
        """Left edge of a column."""
        return LEFT + index * self.step

    def centre(self, index: int) -> float:
        """Centre of a column."""
        return LEFT + (index + 0.5) * self.step


@dataclass(frozen=True)
class Scale:
    """A linear map from [low, high] to [bottom, top] of the drawing."""

    low: float
    high: float
    bottom: float
    top: float

    def __call__(self, value: float) -> float:
        return self.bottom + (value - self.low) / (self.high - self.low) * (self.top - self.bottom)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Returns round numbers from at or below `low` to at or above `high`."""
    span = (high - low) or abs(high) or 1.0
    raw = span / about
    # 1, 2, 2.5 and 5 times a power of ten: steps that a reader adds up without thinking.
    power = 10.0 ** math.floor(math.log10(raw))
    size = next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= raw * 0.999)
    # 0.3 / 0.1 is 2.9999…: without the slack there would be a tick more than is needed.
    first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
    return [round(index * size, 10) for index in range(first, max(last, first + 1) + 1)]


def decimals(values: Sequence[float]) -> int:
    """Returns how many decimals tell neighbouring ticks apart."""
    # At most 7: a step such as 1/3 has no last decimal.
    size = min((b - a for a, b in pairwise(values)), default=1.0)
    return next(n for n in range(8) if abs(round(size, n) - size) < 1e-9 or n == 7)


def value_grid(
    marks: Sequence[float], scale: Scale, left: float = LEFT, right: float = WIDTH - RIGHT
) -> list[str]:
    """Returns a horizontal line at each mark of the y axis, with its value to the left of it."""
    digits = decimals(marks)
    return [
        tag("line", x1=left, x2=right, y1=scale(mark), y2=scale(mark), class_="grid")
        + text(f"{mark:.{digits}f}", left - 12, scale(mark) + 4, "tick", text_anchor="end")
        for mark in marks
    ]


def column_names(columns: Columns, y: float, shown: Sequence[str] = ()) -> list[str]:
    """Returns the names of the columns at a height; `shown` stands for them where it is given."""
    return [
        text(name, columns.centre(index), y, "tick", text_anchor="middle")
        for index, name in enumerate(shown or columns.names)
    ]


def empty_plot(label: str, sentence: str) -> str:
    """Returns a drawing that says why there is nothing to draw."""
    return drawing(40, label, text(sentence, LEFT, 24, "note"))


def apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Moves labels so that neighbours are at least `gap` apart, as near to where they belong."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = list(wanted)
    # Neighbours give way by half of what is missing; a handful of labels needs few of 60 passes.
    for _ in range(60):
        for low, high in pairwise(order):
            missing = gap - (placed[high] - placed[low])
            if missing > 0:
                placed[low] -= missing / 2
                placed[high] += missing / 2
    return placed


# A page has ten thousand attributes of a dozen names.
@functools.cache
def _attribute_name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _attribute(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")  # With nothing in it to escape.
    return escape(str(value))
