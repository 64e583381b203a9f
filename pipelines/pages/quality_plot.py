"""Lines of a quality metric by window, such as what was measured beside what was estimated."""

from collections.abc import Mapping, Sequence

from tfx_loop.pipelines.pages.content import WindowResult, short_name
from tfx_loop.presentation.svg import (
    LEFT,
    RIGHT,
    WIDTH,
    Columns,
    Scale,
    apart,
    column_names,
    drawing,
    empty_plot,
    tag,
    text,
    ticks,
    tooltip,
    value_grid,
)

TOP = 26
HEIGHT = 208


def quality_plot(
    windows: Sequence[WindowResult],
    metric: str,
    title: str,
    lines: Mapping[str, str],
    under: str = "",
) -> str:
    """Returns lines of one metric.

    Args:
        windows: In order of time.
        metric: Its name in `WindowResult.quality`.
        title: What people call it.
        lines: What each line is called, by its name in the results, which is its CSS class, too;
            the first is drawn above the others.
        under: What is compared, for screen readers, such as "under three policies".
    """
    columns = Columns(tuple(each.name for each in windows))
    values = [{line: each.quality.get(metric, {}).get(line) for line in lines} for each in windows]
    known = [value for each in values for value in each.values() if value is not None]
    if not known:
        return empty_plot(title, f"{title}: no labels have arrived.")
    marks = ticks(min(known), max(known))
    scale = Scale(marks[0], marks[-1], HEIGHT - 26, TOP)
    return drawing(
        HEIGHT,
        f"{title} by window{' ' if under else ''}{under}",
        *_served_versions(windows, columns),
        *value_grid(marks, scale),
        text(title, LEFT - 12, 14, "axis-title", text_anchor="end"),
        *column_names(columns, HEIGHT - 6, [short_name(name) for name in columns.names]),
        # SVG paints in order: the first line comes last, and lies above the others.
        *(_line(name, values, columns, scale) for name in reversed(list(lines))),
        *_dots(values, columns, scale, title, lines),
        *_end_labels(values, columns, scale, lines),
    )


def _served_versions(windows: Sequence[WindowResult], columns: Columns) -> list[str]:
    """Shades every second version's windows, and names each version where it starts."""
    drawn, shaded = [], False
    for index, window in enumerate(windows):
        new = index == 0 or window.version != windows[index - 1].version
        shaded = not shaded if new and index else shaded
        x = columns.left(index)
        if shaded:
            drawn.append(
                tag("rect", x=x, y=0, width=columns.step, height=HEIGHT - 24, class_="band")
            )
        if new and window.version is not None:
            drawn.append(text(f"v{window.version}", x + 5, 14, "version"))
    return drawn


def _line(
    line: str, values: Sequence[Mapping[str, float | None]], columns: Columns, scale: Scale
) -> str:
    """A path that breaks where a value is missing: a gap is not a zero."""
    path, pen_down = [], False
    for index, each in enumerate(values):
        value = each[line]
        if value is None:
            pen_down = False
            continue
        path.append(f"{'L' if pen_down else 'M'}{columns.centre(index):.1f} {scale(value):.1f}")
        pen_down = True
    return tag("path", d=" ".join(path), class_=f"line {line}") if path else ""


def _dots(
    values: Sequence[Mapping[str, float | None]],
    columns: Columns,
    scale: Scale,
    title: str,
    lines: Mapping[str, str],
) -> list[str]:
    return [
        tag(
            "circle",
            tooltip(f"{columns.names[index]}, {lines[line]}: {title} {value:.4f}"),
            cx=columns.centre(index),
            cy=scale(value),
            r=4.2 if line == next(iter(lines)) else 3,
            class_=f"dot {line}",
        )
        for line in reversed(list(lines))
        for index, each in enumerate(values)
        if (value := each[line]) is not None
    ]


def _end_labels(
    values: Sequence[Mapping[str, float | None]],
    columns: Columns,
    scale: Scale,
    lines: Mapping[str, str],
) -> list[str]:
    """Names each line at its last point, with that point's value."""
    ends = [
        (line, max(index for index, each in enumerate(values) if each[line] is not None))
        for line in lines
        if any(each[line] is not None for each in values)
    ]
    heights = [scale(values[index][line] or 0.0) for line, index in ends]
    x = WIDTH - RIGHT + 4
    return [
        text(f"{values[index][line]:.3f} {lines[line]}", x, y + 4, f"label {line}")
        for (line, index), y in zip(ends, apart(heights, 17), strict=True)
    ]
