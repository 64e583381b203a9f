"""How is int8 rescued where it breaks a model: which layers go back to float?

Joins the search of `selective.py`, which knows only names, with conversions and with the budget.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf

import numpy as np

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ChildFailed, ModelError
from tfx_loop.models.inference import outputs_of
from tfx_loop.models.parity import pair
from tfx_loop.models.tensors import Array
from tfx_loop.optimization.quantizer.candidate import failed
from tfx_loop.optimization.quantizer.judging import Judged, Left
from tfx_loop.optimization.quantizer.modes import Mode, title
from tfx_loop.optimization.quantizer.selective import Floats, find_float_layers
from tfx_loop.optimization.quantizer.variants import Made, Workshop

_PROBED_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class Rescued:
    """What came of it.

    Attributes:
        name: What people call the variant.
        judged: Against the budget.
        made: The variant; None when even float layers throughout do not keep to the budget.
        float_layers: Layers that stay in float, in the order of running.
        layer_errors: Root mean square error of the model's output when a layer alone is quantised.
    """

    name: str
    judged: Judged
    made: Made | None
    float_layers: tuple[str, ...]
    layer_errors: Mapping[str, float]


@dataclass(kw_only=True)
class Rescue:
    """Searches for the layers that must stay in float.

    Attributes:
        workshop: Makes the variants.
        judged: Judges one.
        worker: Asks them.
        max_probes: Conversions to find the sensitive layers with.
    """

    workshop: Workshop
    judged: Callable[[Made], Judged]
    worker: Worker
    max_probes: int
    _known: dict[Floats, tuple[Made | None, Judged]] = field(default_factory=dict)

    def search(self) -> Rescued:
        """Returns the int8 variant with the fewest layers in float that keeps to the budget.

        Raises:
            ModelError, ChildFailed: The ranges could not be measured.
        """
        names = self.workshop.layers()
        rows = self.workshop.calibration.take(np.arange(min(_PROBED_ROWS, self._rows)))
        source, folder = self.workshop.source.path, str(self.workshop.folder)
        parent = outputs_of(
            self.worker,
            str(source),
            rows.inputs,
            signature=self.workshop.signature,
            folder=folder,
        )

        def error_with(floats: Floats) -> float:
            made = self._made(floats)
            try:
                if made is None:
                    return inf
                child = outputs_of(self.worker, str(made.path), rows.inputs, folder=folder)
                return _error(parent, child)
            except (ModelError, ChildFailed):
                return inf

        found = find_float_layers(
            list(names), error_with, lambda floats: self._keeps(floats), max_probes=self.max_probes
        )
        # A layer that alone keeps the model from running loses all that the output says.
        most = float(np.sqrt(np.mean([np.mean(np.square(v)) for v in parent.values()])))
        errors = {names[tensor]: min(error, most) for tensor, error in found.errors.items()}
        if found.floats is None:
            return self._hopeless(frozenset(names), errors)
        floats = frozenset(found.floats)
        self._known.pop(floats, None)
        made, judged = self._judge(floats, "selective_int8")
        count = f"{len(floats)} layer{'s' if len(floats) != 1 else ''} in float"
        return Rescued(
            name=f"{title(Mode.SELECTIVE_INT8)}, {count}",
            judged=judged,
            made=made,
            float_layers=tuple(names[tensor] for tensor in found.floats),
            layer_errors=errors,
        )

    @property
    def _rows(self) -> int:
        return len(self.workshop.calibration)

    def _keeps(self, floats: Floats) -> bool:
        if floats not in self._known:
            self._known[floats] = self._judge(floats)
        return self._known[floats][1].keeps

    def _judge(self, floats: Floats, name: str = "probe") -> tuple[Made | None, Judged]:
        made = self._made(floats, name)
        try:
            if made is not None:
                return made, self.judged(made)
        except (ModelError, ChildFailed) as error:
            return None, failed(Left.DOES_NOT_RUN, error, self.workshop.folder)
        return None, failed(Left.FAILED_TO_CONVERT, "The converter refuses it.")

    def _made(self, floats: Floats, name: str = "probe") -> Made | None:
        order = [tensor for tensor in self.workshop.layers() if tensor in floats]
        try:
            return self.workshop.selective(order, name)
        except (ModelError, ChildFailed):
            return None

    def _hopeless(self, everything: Floats, errors: Mapping[str, float]) -> Rescued:
        judged = self._known[everything][1]
        told = f"Not even with all layers in float. {judged.explanation}"
        return Rescued(
            name=title(Mode.SELECTIVE_INT8),
            judged=Judged(status=judged.status, reason=Left.NOTHING_TO_SELECT, explanation=told),
            made=None,
            float_layers=(),
            layer_errors=errors,
        )


def _error(parent: Mapping[str, Array], child: Mapping[str, Array]) -> float:
    """Returns the root mean square difference over all outputs; infinite where one is NaN."""
    squares = [np.square(mine.astype(np.float64) - other) for mine, other in pair(parent, child)]
    mean = float(np.mean(np.concatenate([square.reshape(-1) for square in squares])))
    return float(np.sqrt(mean)) if np.isfinite(mean) else inf
