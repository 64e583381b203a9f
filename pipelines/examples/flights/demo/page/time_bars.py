"""Bars of the seconds that each part of the run took."""

from collections.abc import Sequence

from tfx_loop.pipelines.examples.flights.demo.page.formatting import duration
from tfx_loop.presentation.svg import WIDTH, drawing, tag, text, tooltip

# Pixels for the names of the parts, such as "monitoring: LabelWindowLogGen".
NAMES = 250
ROW = 26


def time_bars(timings: Sequence[tuple[str, float]]) -> str:
    """Returns one bar for each part, the longest first."""
    total = sum(seconds for _, seconds in timings) or 1.0
    longest = max((seconds for _, seconds in timings), default=1.0) or 1.0
    room = WIDTH - NAMES - 150
    rows = []
    for row, (part, seconds) in enumerate(sorted(timings, key=lambda each: -each[1])):
        y, width = ROW * row, max(1.5, room * seconds / longest)
        rows.append(
            tag(
                "g",
                tooltip(f"{part}: {seconds:.2f} s"),
                text(part, NAMES - 12, y + 17, "feature", text_anchor="end"),
                tag("rect", x=NAMES, y=y + 4, width=width, height=ROW - 8, rx=3, class_="time"),
                text(
                    f"{duration(seconds)} · {seconds / total:.0%}",
                    NAMES + width + 8,
                    y + 17,
                    "side",
                ),
            )
        )
    return drawing(ROW * len(rows) + 4, "Where the time went", *rows)
