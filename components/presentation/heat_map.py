"""Heat map of drift: features by windows, or by slices, coloured by corrected PSI."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfx_loop.presentation.svg import (
    LEFT,
    RIGHT,
    WIDTH,
    Columns,
    drawing,
    shortened,
    tag,
    text,
    tooltip,
)

# Pixels: a line of 11 px text with air; the foot holds one line of labels; twenty rows fit a
# screen.
ROW = 25
FOOT = 34
SHOWN = 20
MOST_COLUMNS = 24
# PSI up to a limit, and how dark it is drawn. 0.1 and 0.25 are the customary marks of a small and
# of a large shift (Siddiqi 2006, "Credit risk scorecards"); below 0.02 nothing is held to matter.
STEPS = ((0.02, 0.04), (0.1, 0.2), (0.25, 0.45), (0.5, 0.7), (float("inf"), 1.0))
_LABELS = ("below 0.02", "to 0.1", "to 0.25", "to 0.5", "more")
_LEGEND_STEP = 98
_LONGEST = 16
# Narrower columns have their names below them at an angle.
_TURNED_BELOW = 62


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """One feature in one window or slice.

    Attributes:
        psi: Corrected PSI; None where it was not measured.
        drifted: Whether it drifted there.
        fault: What is broken, or empty.
    """

    psi: float | None = None
    drifted: bool = False
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class HeatColumn:
    """A column of the map.

    Attributes:
        name: Of the window or slice.
        short: What stands below it; its name unless given.
        above: A word above it, such as the verdict; empty for none.
        kind: Class of that word.
        cells: By feature.
    """

    name: str
    short: str = ""
    above: str = ""
    kind: str = ""
    cells: Mapping[str, HeatCell]


def heat_map(columns: Sequence[HeatColumn], label: str) -> str:
    """Returns the map; features by how often they drifted, then by their largest PSI."""
    columns = columns[-MOST_COLUMNS:]
    features = _by_size(columns)
    shown = features[:SHOWN]
    if not shown:
        return ""
    places = Columns(tuple(column.name for column in columns))
    head = 26 if any(column.above for column in columns) else 8
    bottom = head + ROW * len(shown)
    foot = 60 if places.step < _TURNED_BELOW else 24
    return drawing(
        bottom + foot + FOOT,
        label,
        *(
            text(column.above, places.centre(index), 15, column.kind, text_anchor="middle")
            for index, column in enumerate(columns)
            if column.above
        ),
        *(
            text(
                shortened(feature, _LONGEST),
                LEFT - 12,
                head + ROW * row + 17,
                "feature",
                text_anchor="end",
            )
            for row, feature in enumerate(shown)
        ),
        *(
            _cell(places, index, head + ROW * row, feature, column.cells.get(feature))
            for row, feature in enumerate(shown)
            for index, column in enumerate(columns)
        ),
        *(_times(head + ROW * row, feature, columns) for row, feature in enumerate(shown)),
        *(_below(places, i, c.short or c.name, bottom + 16) for i, c in enumerate(columns)),
        *_legend(bottom + foot + 8, len(features) - len(shown)),
    )


def _by_size(columns: Sequence[HeatColumn]) -> list[str]:
    rank: dict[str, tuple[int, float]] = {}
    for column in columns:
        for feature, cell in column.cells.items():
            times, largest = rank.get(feature, (0, 0.0))
            size = max(largest, cell.psi or 0.0)
            rank[feature] = (times + cell.drifted + bool(cell.fault), size)
    return sorted(rank, key=lambda feature: (-rank[feature][0], -rank[feature][1], feature))


def _cell(places: Columns, index: int, top: float, feature: str, cell: HeatCell | None) -> str:
    y = top + 1.5
    place = {"x": places.left(index) + 1.5, "y": y, "width": places.step - 3, "height": ROW - 3}
    middle, where = places.centre(index), f"{feature}, {places.names[index]}"
    if cell is None or (cell.psi is None and not cell.fault):
        return tag("rect", tooltip(f"{where}: not measured"), class_="cell none", rx=3, **place)
    narrow = places.step < 38
    if cell.fault:
        return tag(
            "g",
            tooltip(f"{where}: {cell.fault.replace('_', ' ')}"),
            tag("rect", class_="cell fault", rx=3, **place),
            text("!" if narrow else "fault", middle, y + 15.5, "value on", text_anchor="middle"),
        )
    psi = cell.psi or 0.0
    opacity = next(strength for limit, strength in STEPS if psi < limit)
    said = "" if narrow or (psi < 0.02 and not cell.drifted) else f"{psi:.2f}"
    kind = ("value strong" if opacity >= 0.7 else "value") + (" bold" if cell.drifted else "")
    return tag(
        "g",
        tooltip(f"{where}: PSI {psi:.3f}{', drifted' if cell.drifted else ''}"),
        tag("rect", class_="cell none", rx=3, **place),
        tag("rect", class_="cell heat", fill_opacity=opacity if psi > 0 else 0.02, rx=3, **place),
        tag("rect", class_="cell drifted", rx=3, **place) if cell.drifted else "",
        text(said, middle, y + 15.5, kind, text_anchor="middle"),
    )


def _times(top: float, feature: str, columns: Sequence[HeatColumn]) -> str:
    there = [column.cells[feature] for column in columns if feature in column.cells]
    alarms = sum(cell.drifted or bool(cell.fault) for cell in there)
    said = f"alarm in {alarms} of {len(there)}" if alarms else "no alarm"
    return text(said, WIDTH - RIGHT + 10, top + 17, "side" if alarms else "side faint")


def _below(places: Columns, index: int, name: str, y: float) -> str:
    x = places.centre(index)
    if places.step >= _TURNED_BELOW:
        fits = max(6, int(places.step / 7))
        return text(shortened(name, fits), x, y, "tick", text_anchor="middle")
    turn = f"rotate(-40 {x:.1f} {y:.1f})"
    return text(shortened(name, _LONGEST), x + 3, y - 4, "tick", text_anchor="end", transform=turn)


def _legend(y: float, hidden: int) -> list[str]:
    drawn = [text("corrected PSI", LEFT - 12, y + 12, "tick", text_anchor="end")]
    for index, ((_, opacity), label) in enumerate(zip(STEPS, _LABELS, strict=True)):
        x = LEFT + index * _LEGEND_STEP
        box = {"x": x, "y": y, "width": 18, "height": 15, "rx": 3}
        drawn.append(tag("rect", class_="cell none", **box))
        drawn.append(tag("rect", class_="cell heat", fill_opacity=opacity, **box))
        drawn.append(text(label, x + 24, y + 12, "tick"))
    x = LEFT + len(STEPS) * _LEGEND_STEP
    drawn.append(tag("rect", class_="cell drifted", x=x, y=y, width=18, height=15, rx=3))
    drawn.append(text("drifted", x + 24, y + 12, "tick"))
    if hidden:
        drawn.append(text(f"and {hidden} features more", WIDTH - RIGHT + 10, y + 12, "side faint"))
    return drawn
