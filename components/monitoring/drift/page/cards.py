"""Plots of how features were distributed then and now, small and all of one size."""

from collections.abc import Sequence
from html import escape

from tfx_loop.contracts.drift_report import NUMBERS, FeatureDrift, Shape
from tfx_loop.core.redaction import OTHER
from tfx_loop.monitoring.drift.page import formatting
from tfx_loop.presentation.svg import Scale, shortened, tag, text, tooltip

# Pixels: three cards side by side are as wide as a page. OUTER bars stand for what lies beyond the
# edges, a GAP apart from the others.
WIDTH, HEIGHT = 330, 150
TOP, BOTTOM = 10, 128
OUTER, GAP = 13, 6
NAME_WIDTH, VALUE_WIDTH = 92, 44
_LONGEST_NAME = 14


def cards(features: Sequence[FeatureDrift], shapes: Sequence[Shape]) -> str:
    """Returns the plots of the features that have a shape, in order of the features."""
    known = {shape.feature: shape for shape in shapes}
    drawn = [_card(f, known[f.feature]) for f in features if not f.slice and f.feature in known]
    return f'<div class="cards">{"".join(drawn)}</div>' if drawn else ""


def _card(feature: FeatureDrift, shape: Shape) -> str:
    name, (kind, badge) = formatting.named(feature), _badge(feature)
    plot = _numbers(shape) if shape.kind == NUMBERS else _categories(shape)
    drawn = tag(
        "svg",
        *plot,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{name}: reference and current",
    )
    return (
        f'<figure class="card {kind}"><figcaption><b title="{escape(name)}">{escape(name)}</b>'
        f'<span class="badge {kind}">{escape(badge)}</span></figcaption>{drawn}'
        f'<p class="numbers">{_numbers_below(feature, shape)}</p></figure>'
    )


def _badge(feature: FeatureDrift) -> tuple[str, str]:
    if feature.fault:
        return "fault", feature.fault.replace("_", " ")
    if feature.drifted:
        return "drift", "drift"
    if feature.held_by:
        return "held", f"held back: {feature.held_by.replace('_', ' ')}"
    return ("quiet", "as before") if feature.p_value is not None else ("quiet", "not tested")


def _numbers_below(feature: FeatureDrift, shape: Shape) -> str:
    facts = []
    if feature.effect is not None:
        at_most = "" if feature.psi_bound is None else f", at most {feature.psi_bound:.3f}"
        facts.append(("PSI", f"{feature.effect:.3f}{at_most}"))
    if feature.ks is not None and shape.importance is None:
        facts.append(("KS", f"{feature.ks:.3f}"))
    if feature.q_value is not None:
        facts.append(("q", formatting.chance(feature.q_value)))
    if shape.reference_missing or shape.current_missing:
        then, now = (
            formatting.share(shape.reference_missing),
            formatting.share(shape.current_missing),
        )
        facts.append(("missing", then if then == now else f"{then} → {now}"))
    if shape.importance is not None:
        facts.append(("weight", formatting.share(shape.importance)))
    return "".join(f"<span><i>{name}</i> {escape(value)}</span>" for name, value in facts)


def _numbers(shape: Shape) -> list[str]:
    inner = len(shape.edges) - 1
    left, right = OUTER + GAP, WIDTH - OUTER - GAP
    step = (right - left) / inner
    lefts = [0.0, *(left + index * step for index in range(inner)), float(WIDTH - OUTER)]
    widths = [float(OUTER), *([step] * inner), float(OUTER)]
    # Where a side has no values at all, no bar has a height.
    height = Scale(0.0, max(*shape.reference, *shape.current, 1e-9), BOTTOM, TOP)
    drawn = [tag("line", class_="grid", x1=0, x2=WIDTH, y1=BOTTOM + 0.5, y2=BOTTOM + 0.5)]
    for place, (x, width) in enumerate(zip(lefts, widths, strict=True)):
        then, now = shape.reference[place], shape.current[place]
        drawn.append(
            tag(
                "g",
                tooltip(
                    f"{_range(shape, place)}: {formatting.share(then)}, now {formatting.share(now)}"
                ),
                _bar("then", x, width - 0.6, height(then)),
                _bar("now", x, width - 0.6, height(now)),
                tag("rect", class_="hit", x=x, y=TOP, width=width, height=BOTTOM - TOP),
            )
        )
    drawn.append(_outline(lefts[1:-1], step, [height(share) for share in shape.current[1:-1]]))
    drawn += [
        _outline([x], OUTER - 0.6, [height(share)])
        for x, share in ((lefts[0], shape.current[0]), (lefts[-1], shape.current[-1]))
        if share
    ]
    return drawn + _axis(shape, left, right)


def _bar(kind: str, x: float, width: float, top: float) -> str:
    return tag("rect", class_=kind, x=x, y=top, width=width, height=BOTTOM - top)


def _outline(lefts: Sequence[float], width: float, tops: Sequence[float]) -> str:
    steps = "".join(f"V{top:.1f}H{x + width:.1f}" for x, top in zip(lefts, tops, strict=True))
    return tag("path", class_="outline", d=f"M{lefts[0]:.1f} {BOTTOM}{steps}V{BOTTOM}")


def _axis(shape: Shape, left: float, right: float) -> list[str]:
    middle = (shape.edges[0] + shape.edges[-1]) / 2
    size = shape.edges[-1] - shape.edges[0]
    y = BOTTOM + 16
    return [
        text(_short(shape.edges[0], size), left, y, "tick", text_anchor="start"),
        text(_short(middle, size), (left + right) / 2, y, "tick", text_anchor="middle"),
        text(_short(shape.edges[-1], size), right, y, "tick", text_anchor="end"),
    ]


def _range(shape: Shape, place: int) -> str:
    size = shape.edges[-1] - shape.edges[0]
    if place == 0:
        return f"up to {_short(shape.edges[0], size)}"
    if place == len(shape.reference) - 1:
        return f"above {_short(shape.edges[-1], size)}"
    low, high = shape.edges[place - 1], shape.edges[place]
    return f"{_short(low, size / 20)} to {_short(high, size / 20)}"


def _short(value: float, size: float) -> str:
    """Returns a number with as many digits as tell it apart on an axis of this size."""
    if abs(value) < size * 1e-9:
        return "0"
    if size >= 1e6 or abs(value) >= 1e7 or size < 1e-4:
        return f"{value:.3g}"
    # The last digit divides the axis into twenty steps at least, so that its ends and its middle
    # differ.
    digits = next((n for n in range(6) if size * 10**n >= 20), 5)
    # Adding 0.0 takes the sign off a zero that was rounded to.
    said = f"{round(value, digits) + 0.0:,.{digits}f}"
    return said.rstrip("0").rstrip(".") if "." in said else said


def _categories(shape: Shape) -> list[str]:
    step = min(26.0, (HEIGHT - 4) / max(1, len(shape.names)))
    thick = min(9.0, step / 2 - 1)
    # What has no name may be most of the rows, and would leave the others no room.
    sides = [
        max(side)
        for name, *side in zip(shape.names, shape.reference, shape.current, strict=True)
        if name != OTHER or len(shape.names) == 1
    ]
    largest = max(*sides, 1e-9)
    room = Scale(0.0, largest, 0.0, float(WIDTH - NAME_WIDTH - VALUE_WIDTH))

    def width(share: float) -> float:
        return room(min(share, largest))

    drawn = []
    for place, name in enumerate(shape.names):
        then, now = shape.reference[place], shape.current[place]
        y = 2 + place * step
        shown = shortened(name, _LONGEST_NAME)
        middle = y + thick + 4
        drawn.append(
            tag(
                "g",
                tooltip(f"{name}: {formatting.share(then)}, now {formatting.share(now)}"),
                text(shown or "(empty)", NAME_WIDTH - 8, middle, "name", text_anchor="end"),
                _row("then solid", y, width(then), thick),
                _row("now solid", y + thick + 0.6, width(now), thick),
                text(
                    formatting.share(now),
                    NAME_WIDTH + max(width(then), width(now)) + 5,
                    middle,
                    "tick",
                ),
            )
        )
    return drawn


def _row(kind: str, y: float, width: float, thick: float) -> str:
    return tag("rect", class_=kind, x=NAME_WIDTH, y=y, width=max(width, 0.0), height=thick, rx=1.5)
