"""Plots by layer: weights, zeros, and the error that quantising makes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfx_loop.contracts.optimization_report import Layer, OptimizationResult, Rung, RungStatus
from tfx_loop.optimization.reporting import formatting
from tfx_loop.presentation.svg import WIDTH, Scale, drawing, tag, text, tooltip

# Pixels of the drawing's own coordinates.
_ROW, _TOP = 24, 10
_LEFT, _RIGHT = 330, 170
MOST = 24


@dataclass(frozen=True)
class _Bar:
    name: str
    value: float
    part: float
    side: str
    told: str
    class_: str


def weights_plot(report: OptimizationResult) -> str:
    """Returns a bar a layer, its zeros in another shade; empty when the layers are unknown."""
    facts = report.child if report.child and report.child.layers else report.parent
    return layers_drawing(facts.layers)


def layers_drawing(layers: Sequence[Layer]) -> str:
    """Returns a bar a layer of one model."""
    weighty = sorted((x for x in layers if x.parameters), key=lambda x: -x.parameters)
    # The heaviest, shown in the order of the file, which is that of the network.
    kept = {id(x) for x in weighty[:MOST]}
    return _bars(
        [
            _Bar(
                name=x.name,
                value=x.parameters,
                part=x.zeros,
                side=f"{x.parameters:,}, {formatting.percent(x.zeros / x.parameters)} zero",
                told=f"{x.name}: shape {x.shape}, {x.dtype}, {x.parameters:,} weights, "
                f"{x.zeros:,} of them zero",
                class_="weights",
            )
            for x in layers
            if id(x) in kept
        ],
        "Weights by layer, and how many of them are zero",
    )


def error_plot(report: OptimizationResult) -> str:
    """Returns a bar a layer: what quantising it loses; empty where it was not measured."""
    rung = _measured(report.rungs)
    errors: Mapping[str, float] = rung.layer_errors if rung else {}
    if not errors and report.child:
        errors = {x.name: x.error for x in report.child.layers if x.error is not None}
    left = set(rung.float_layers) if rung else set()
    worst = sorted(errors.items(), key=lambda item: -item[1])[:MOST]
    return _bars(
        [
            _Bar(
                name=name,
                value=error,
                part=0,
                side=f"{error:.3g}" + (", left in float" if name in left else ""),
                told=f"{name}: error {error:.4g}",
                class_="error left-in-float" if name in left else "error",
            )
            for name, error in worst
        ],
        "Error that quantising each layer makes",
    )


def _measured(rungs: Sequence[Rung]) -> Rung | None:
    """Returns the rung whose errors are shown: the chosen one, else the one that names layers."""
    known = [rung for rung in rungs if rung.layer_errors]
    known.sort(key=lambda rung: (rung.status is not RungStatus.CHOSEN, not rung.float_layers))
    return known[0] if known else None


def _bars(bars: Sequence[_Bar], label: str) -> str:
    if not bars:
        return ""
    scale = Scale(0, max(bar.value for bar in bars) or 1, _LEFT, WIDTH - _RIGHT)
    parts = [part for i, bar in enumerate(bars) for part in _bar(bar, scale, _TOP + _ROW * i)]
    return drawing(_TOP + _ROW * len(bars) + 8, label, *parts)


def _bar(bar: _Bar, scale: Scale, top: float) -> list[str]:
    width, part = scale(bar.value) - _LEFT, scale(bar.part) - _LEFT
    # The end of a scope's name tells layers apart, its beginning is the same for all.
    name = bar.name if len(bar.name) <= 44 else f"…{bar.name[-43:]}"
    zero = tag("rect", x=_LEFT, y=top + 4, width=part, height=_ROW - 8, class_="zeros")
    return [
        text(name, _LEFT - 14, top + 16, "feature", text_anchor="end"),
        tag(
            "g",
            tooltip(bar.told),
            tag("rect", x=_LEFT, y=top + 4, width=max(width, 1), height=_ROW - 8, rx=2),
            zero if bar.part else "",
            class_=bar.class_,
        ),
        text(bar.side, _LEFT + width + 10, top + 16, "tick"),
    ]
