"""The decisions at the end of each window, above the versions that served."""

from collections.abc import Sequence

from tfx_loop.pipelines.pages.content import WindowResult, in_words, short_name
from tfx_loop.presentation.svg import LEFT, Columns, column_names, drawing, tag, text, tooltip

# Heights in pixels, and how many lines of a reason stand below its verdict.
PILL = 24
LINE = 13
LINES = 4


def decision_strip(windows: Sequence[WindowResult]) -> str:
    """Returns a row of verdicts with their reasons above a row of versions."""
    columns = Columns(tuple(each.name for each in windows))
    versions_y = 22 + PILL + 12 + LINE * LINES
    return drawing(
        versions_y + 34,
        "Decisions by window, and the version that served",
        text("decided", LEFT - 12, 22 + 16, "feature", text_anchor="end"),
        text("served by", LEFT - 12, versions_y + 18, "feature", text_anchor="end"),
        *column_names(columns, 12, [short_name(name) for name in columns.names]),
        *(_verdict(window, columns, index) for index, window in enumerate(windows)),
        *_versions(windows, columns, versions_y),
    )


def _verdict(window: WindowResult, columns: Columns, index: int) -> str:
    kind = "hold" if window.verdict in ("HOLD", "") else "retrain"
    lines = _wrapped(in_words(window.reason), max(8, int(columns.step / 5.6)))
    return tag(
        "g",
        tooltip(f"{window.name}: {window.verdict}, {window.reason}"),
        tag(
            "rect",
            x=columns.left(index) + 3,
            y=22,
            width=columns.step - 6,
            height=PILL,
            rx=PILL / 2,
            class_=f"pill {kind}",
        ),
        text(
            in_words(window.verdict).capitalize() or "-",
            columns.centre(index),
            22 + 16,
            f"pill-text {kind}",
            text_anchor="middle",
        ),
        *(
            text(
                line,
                columns.centre(index),
                22 + PILL + 15 + LINE * row,
                "reason",
                text_anchor="middle",
            )
            for row, line in enumerate(lines)
        ),
    )


def _wrapped(said: str, width: int) -> list[str]:
    lines: list[str] = []
    for word in said.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], lines[LINES - 1] + " …"]


def _versions(windows: Sequence[WindowResult], columns: Columns, y: float) -> list[str]:
    """One bar for each run of windows with the same version."""
    drawn, start = [], 0
    for index in range(1, len(windows) + 1):
        if index < len(windows) and windows[index].version == windows[start].version:
            continue
        version, x = windows[start].version, columns.left(start) + 1.5
        if version is not None:
            width = columns.left(index) - x - 1.5
            span = f"{windows[start].name} to {windows[index - 1].name}"
            drawn.append(
                tag(
                    "g",
                    tooltip(f"version {version}: {span}"),
                    tag("rect", x=x, y=y, width=width, height=27, rx=5, class_="served"),
                    text(f"v{version}", x + 10, y + 18, "served-text"),
                )
            )
        start = index
    return drawn
