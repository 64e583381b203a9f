"""Which feature drifted in which window, and how far?"""

from collections.abc import Mapping, Sequence

from tfx_loop.pipelines.examples.flights.demo.page.report import DriftCell, short_name
from tfx_loop.presentation.svg import LEFT, RIGHT, WIDTH, Columns, drawing, tag, text, tooltip

ROW = 25
HEAD = 8
FOOT = 58
SHOWN = 20
STEPS = ((0.02, 0.03), (0.1, 0.2), (0.25, 0.45), (0.5, 0.7), (float("inf"), 1.0))


def drift_map(windows: Sequence[str], drift: Mapping[str, Mapping[str, DriftCell]]) -> str:
    """Returns a heat map of the corrected PSI; drifted cells are framed, faults say so."""
    features = _by_size(drift)
    shown = features[:SHOWN]
    if not shown:
        return drawing(40, "drift", text("No drift was measured.", LEFT, 24, "note"))
    columns = Columns(tuple(windows))
    bottom = HEAD + ROW * len(shown)
    return drawing(
        bottom + FOOT,
        "Drift by feature and window",
        *(
            text(feature, LEFT - 12, HEAD + ROW * row + 17, "feature", text_anchor="end")
            for row, feature in enumerate(shown)
        ),
        *(
            _cell(columns, column, row, feature, drift.get(window, {}).get(feature))
            for row, feature in enumerate(shown)
            for column, window in enumerate(windows)
        ),
        *(_largest(row, feature, drift) for row, feature in enumerate(shown)),
        *(
            text(short_name(name), columns.centre(index), bottom + 16, "tick", text_anchor="middle")
            for index, name in enumerate(windows)
        ),
        *_legend(bottom + 32, len(features) - len(shown)),
    )


def _by_size(drift: Mapping[str, Mapping[str, DriftCell]]) -> list[str]:
    """Features by how often they drifted, then by their largest PSI."""
    rank: dict[str, tuple[int, float]] = {}
    for cells in drift.values():
        for feature, cell in cells.items():
            times, largest = rank.get(feature, (0, 0.0))
            rank[feature] = (times + cell.drifted, max(largest, cell.psi or 0.0))
    return sorted(rank, key=lambda feature: (-rank[feature][0], -rank[feature][1], feature))


def _cell(columns: Columns, column: int, row: int, feature: str, cell: DriftCell | None) -> str:
    x, y = columns.left(column) + 1.5, HEAD + ROW * row + 1.5
    place = {"x": x, "y": y, "width": columns.step - 3, "height": ROW - 3, "rx": 3}
    middle = columns.centre(column)
    where = f"{feature}, {columns.names[column]}"
    if cell is None or (cell.psi is None and not cell.fault):
        return tag("rect", tooltip(f"{where}: not measured"), class_="cell none", **place)
    if cell.fault:
        fault = tooltip(f"{where}: fault, {cell.fault}")
        return tag(
            "g",
            fault,
            tag("rect", class_="cell fault", **place),
            text("fault", middle, y + 15.5, "value bold", text_anchor="middle"),
        )
    psi = cell.psi or 0.0
    opacity = next(strength for limit, strength in STEPS if psi < limit)
    said = f"{psi:.2f}" if psi >= 0.02 or cell.drifted else ""
    kind = ("value strong" if opacity >= 0.7 else "value") + (" bold" if cell.drifted else "")
    return tag(
        "g",
        tooltip(f"{where}: PSI {psi:.3f}{', drifted' if cell.drifted else ''}"),
        tag("rect", class_="cell none", **place),
        tag("rect", class_="cell heat", fill_opacity=opacity if psi > 0 else 0.03, **place),
        tag("rect", class_="cell drifted", **place) if cell.drifted else "",
        text(said, middle, y + 15.5, kind, text_anchor="middle"),
    )


def _largest(row: int, feature: str, drift: Mapping[str, Mapping[str, DriftCell]]) -> str:
    times = sum(cells[feature].drifted for cells in drift.values() if feature in cells)
    said = f"drifted in {times} of {len(drift)}" if times else "never drifted"
    class_ = "side" if times else "side faint"
    return text(said, WIDTH - RIGHT + 10, HEAD + ROW * row + 17, class_)


def _legend(y: float, hidden: int) -> list[str]:
    drawn = [text("corrected PSI", LEFT - 12, y + 12, "tick", text_anchor="end")]
    labels = ("below 0.02", "to 0.1", "to 0.25", "to 0.5", "more")
    for index, ((_, opacity), label) in enumerate(zip(STEPS, labels, strict=True)):
        x = LEFT + index * 98
        drawn.append(tag("rect", class_="cell none", x=x, y=y, width=18, height=15, rx=3))
        drawn.append(
            tag(
                "rect",
                class_="cell heat",
                fill_opacity=opacity,
                x=x,
                y=y,
                width=18,
                height=15,
                rx=3,
            )
        )
        drawn.append(text(label, x + 24, y + 12, "tick"))
    x = LEFT + len(STEPS) * 98
    drawn.append(tag("rect", class_="cell drifted", x=x, y=y, width=18, height=15, rx=3))
    drawn.append(text("drifted", x + 24, y + 12, "tick"))
    if hidden:
        drawn.append(text(f"and {hidden} features more", WIDTH - RIGHT + 10, y + 12, "side faint"))
    return drawn
