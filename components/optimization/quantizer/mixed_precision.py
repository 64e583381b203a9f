"""Mixed precision: int8 with the fewest layers left in float that keep to the budget.

A layer's own error does not tell which must stay in float: where a wide range swallows a narrow
one, each layer looks fine beside its range. What counts is what reaches the output. So each layer
is quantised alone, with all others in float, and the error of the model's output is its
sensitivity. (Leaving one layer in float tells less: where a tensor is the trouble, the layer that
writes it and the one that reads it must both stay in float.) The most sensitive layers go to float
first; how many, is found by bisection; then each of them is tried in int8 again.

`find_float_layers` knows names alone; `MixedPrecisionSearch` joins it with conversions and with the
budget.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf

import numpy as np

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ChildFailed, ModelError
from tfx_loop.models.inference import outputs_of
from tfx_loop.models.parity import pair
from tfx_loop.models.tensors import Array
from tfx_loop.optimization.quantizer.budget_verdict import RungOutcome, RungReason
from tfx_loop.optimization.quantizer.candidates import failed
from tfx_loop.optimization.quantizer.modes import QuantizationMode, title
from tfx_loop.optimization.quantizer.variant_builder import TfliteVariant, VariantBuilder

LayerSet = frozenset[str]
# Calibration rows on which a layer's error is measured: it is a ranking, and each probe costs a
# conversion besides.
_PROBED_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class FloatLayers:
    """Layers that stay in float.

    Attributes:
        names: Names of their tensors; None when not even all of them are enough.
        errors: Error of the model's output when the layer alone is quantised, by tensor name;
            layers that were only tried with their neighbours share theirs.
        tried: Sets of layers that were judged.
    """

    names: tuple[str, ...] | None
    errors: Mapping[str, float]
    tried: int


def find_float_layers(
    layers: Sequence[str],
    error_with: Callable[[LayerSet], float],
    keeps: Callable[[LayerSet], bool],
    *,
    # Each is a conversion and a run over 200 rows, seconds rather than parts of one. Chosen, not
    # measured.
    max_probes: int = 64,
) -> FloatLayers:
    """Returns the layers that have to stay in float so that the budget is kept.

    Args:
        layers: Names of the layers' tensors, in the order in which they run.
        error_with: Error of the output with these layers in float and all others quantised;
            infinite where such a model does not run.
        keeps: Whether the model with these layers in float keeps to the budget.
        max_probes: Calls of `error_with`; a model with more layers is probed in groups first.
    """
    # A ranking first: to judge all subsets of layers would take 2^n conversions.
    errors = sensitivities(layers, error_with, max_probes)
    ranked = sorted(layers, key=lambda name: -errors[name])
    tried = 0

    def kept(names: Sequence[str]) -> bool:
        nonlocal tried
        tried += 1
        return keeps(frozenset(names))

    # All layers in float: where not even that keeps to the budget, the loss is not the layers'.
    if not kept(ranked):
        return FloatLayers(names=None, errors=errors, tried=tried)
    # Doubling, then bisection: few layers are expected, and float variants are the large ones.
    low, high = 0, 1
    while high < len(ranked) and not kept(ranked[:high]):
        low, high = high, min(2 * high, len(ranked))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if kept(ranked[:middle]) else (middle, high)
    names = ranked[:high]
    # Bisection takes whole prefixes of the ranking; the last of them is needed, others may not be.
    # From the least sensitive of them, the likeliest to be spared.
    for name in reversed(names[:-1]):
        fewer = [other for other in names if other != name]
        if kept(fewer):
            names = fewer
    order = {name: position for position, name in enumerate(layers)}
    return FloatLayers(
        names=tuple(sorted(names, key=order.__getitem__)), errors=errors, tried=tried
    )


def sensitivities(
    layers: Sequence[str], error_with: Callable[[LayerSet], float], max_probes: int
) -> dict[str, float]:
    """Returns the error of the output with each layer quantised alone.

    With more layers than probes, neighbours are quantised together, and the groups with the largest
    errors are then taken apart.
    """
    everything = frozenset(layers)

    def error_of(group: Sequence[str]) -> float:
        # One layer in int8 among layers in float: its own error, without what others add.
        return error_with(everything - frozenset(group))

    if len(layers) <= max_probes:
        return {name: error_of([name]) for name in layers}
    # Half of the probes go to the groups, so that the other half can take the worst of them apart.
    size = ceil(2 * len(layers) / max_probes)
    groups = [list(layers[i : i + size]) for i in range(0, len(layers), size)]
    together = {i: error_of(group) for i, group in enumerate(groups)}
    errors = {name: together[i] for i, group in enumerate(groups) for name in group}
    left = max_probes - len(groups)
    for i in sorted(together, key=lambda i: -together[i]):
        # Groups are of one size but the last: what does not fit now, nothing behind it would.
        if len(groups[i]) > left:
            break
        left -= len(groups[i])
        errors |= {name: error_of([name]) for name in groups[i]}
    return errors


@dataclass(frozen=True, kw_only=True)
class MixedPrecisionResult:
    """A variant with some layers in float.

    Attributes:
        name: What people call it.
        outcome: Against the budget.
        variant: The file; None when even float layers throughout do not keep to the budget.
        float_layers: Layers that stay in float, in the order of running.
        layer_errors: Root mean square error of the model's output when a layer alone is quantised.
    """

    name: str
    outcome: RungOutcome
    variant: TfliteVariant | None
    float_layers: tuple[str, ...]
    layer_errors: Mapping[str, float]


@dataclass(kw_only=True)
class MixedPrecisionSearch:
    """Search for the layers that must stay in float.

    Attributes:
        builder: Makes the variants.
        judge: Judges one against the budget.
        worker: Asks them.
        max_probes: Conversions to find the sensitive layers with.
    """

    builder: VariantBuilder
    judge: Callable[[TfliteVariant], RungOutcome]
    worker: Worker
    max_probes: int
    _known: dict[LayerSet, RungOutcome] = field(default_factory=dict)

    def run(self) -> MixedPrecisionResult:
        """Returns the int8 variant with the fewest layers in float that keeps to the budget.

        Raises:
            ModelError, ChildFailed: The ranges could not be measured.
        """
        layers = self.builder.layers()
        calibration = self.builder.calibration
        rows = calibration.take(np.arange(min(_PROBED_ROWS, len(calibration))))
        source, folder = str(self.builder.source.path), str(self.builder.folder)
        parent = outputs_of(
            self.worker, source, rows.inputs, signature=self.builder.signature, folder=folder
        )

        def error_with(floats: LayerSet) -> float:
            variant = self._variant(floats)
            try:
                if variant is None:
                    return inf
                child = outputs_of(self.worker, str(variant.path), rows.inputs, folder=folder)
                return _error(parent, child)
            except (ModelError, ChildFailed):
                return inf

        found = find_float_layers(list(layers), error_with, self._keeps, max_probes=self.max_probes)
        # A layer that alone keeps the model from running loses all that the output says.
        most = float(np.sqrt(np.mean([np.mean(np.square(v)) for v in parent.values()])))
        errors = {layers[tensor]: min(error, most) for tensor, error in found.errors.items()}
        if found.names is None:
            return self._hopeless(frozenset(layers), errors)
        # Probes share one file, so the chosen one is made again under a name of its own.
        variant, outcome = self._judged(frozenset(found.names), "selective_int8")
        count = f"{len(found.names)} layer{'s' if len(found.names) != 1 else ''} in float"
        return MixedPrecisionResult(
            name=f"{title(QuantizationMode.SELECTIVE_INT8)}, {count}",
            outcome=outcome,
            variant=variant,
            float_layers=tuple(layers[tensor] for tensor in found.names),
            layer_errors=errors,
        )

    def _keeps(self, floats: LayerSet) -> bool:
        if floats not in self._known:
            _, self._known[floats] = self._judged(floats)
        return self._known[floats].keeps

    def _judged(
        self, floats: LayerSet, name: str = "probe"
    ) -> tuple[TfliteVariant | None, RungOutcome]:
        variant = self._variant(floats, name)
        try:
            if variant is not None:
                return variant, self.judge(variant)
        except (ModelError, ChildFailed) as error:
            return None, failed(RungReason.DOES_NOT_RUN, error, self.builder.folder)
        return None, failed(RungReason.FAILED_TO_CONVERT, "The converter refuses it.")

    def _variant(self, floats: LayerSet, name: str = "probe") -> TfliteVariant | None:
        order = [tensor for tensor in self.builder.layers() if tensor in floats]
        try:
            return self.builder.selective(order, name)
        except (ModelError, ChildFailed):
            return None

    def _hopeless(self, everything: LayerSet, errors: Mapping[str, float]) -> MixedPrecisionResult:
        outcome = self._known[everything]
        told = f"Not even with all layers in float. {outcome.explanation}"
        return MixedPrecisionResult(
            name=title(QuantizationMode.SELECTIVE_INT8),
            outcome=RungOutcome(
                status=outcome.status, reason=RungReason.NOTHING_TO_SELECT, explanation=told
            ),
            variant=None,
            float_layers=(),
            layer_errors=errors,
        )


def _error(parent: Mapping[str, Array], child: Mapping[str, Array]) -> float:
    """Returns the root mean square difference over all outputs; infinite where one is NaN."""
    squares = [np.square(mine.astype(np.float64) - other) for mine, other in pair(parent, child)]
    mean = float(np.mean(np.concatenate([square.reshape(-1) for square in squares])))
    return float(np.sqrt(mean)) if np.isfinite(mean) else inf
