"""Models asked in the shapes that clients send, or else in those that their signatures declare.

TF Serving feeds a graph whatever shape comes, and the graph takes it or not: half_plus_two declares
[?,1] and answers a plain list with a plain list. A network of layers refuses that list; it gets a
column then, which TF Serving would leave to the client.
"""

from collections.abc import Callable, Mapping

from tfx_loop.core.errors import DataError, ServingError
from tfx_loop.deployment.model_server.signature import Signature, count_rows, fitted
from tfx_loop.models.tensors import Array

Run = Callable[[str, Mapping[str, Array]], dict[str, Array]]


class FittedShapes:
    """What is known of the shapes that one model takes; asked by many threads."""

    def __init__(self, signatures: Mapping[str, Signature], run: Run) -> None:
        """Knows no shape yet.

        Args:
            signatures: Of the model.
            run: Asks a signature, with inputs as they are.
        """
        self._signatures = signatures
        self._run = run
        # Ranks in which a signature had to be asked in declared shapes; adding is atomic.
        self._refused: set[tuple[object, ...]] = set()

    def run(self, signature_name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Returns the outputs by name; raises as `run` of the model."""
        signature = self._signatures[signature_name]
        declared = fitted(signature, inputs)
        if declared is None:
            return self._run(signature_name, inputs)
        ranks = {name: values.ndim for name, values in inputs.items()}
        key = (signature_name, *sorted(ranks.items()))
        # Columns of both kinds would be added up to a table of all with all.
        if key in self._refused or len(set(ranks.values())) > 1:
            return self._run(signature_name, declared)
        try:
            outputs = self._run(signature_name, inputs)
        except (DataError, ServingError) as refused:
            try:
                outputs = self._run(signature_name, declared)
            except (DataError, ServingError):
                raise refused from None
        else:
            if _are_rows(signature, outputs, count_rows(signature, inputs)):
                return outputs
            outputs = self._run(signature_name, declared)
        self._refused.add(key)
        return outputs


def _are_rows(signature: Signature, outputs: Mapping[str, Array], rows: int) -> bool:
    """Says whether outputs that are declared to have any number of rows have those asked for."""
    return all(
        outputs[name].ndim > 0 and len(outputs[name]) == rows
        for name, spec in signature.outputs.items()
        if spec.shape and spec.shape[0] is None
    )
