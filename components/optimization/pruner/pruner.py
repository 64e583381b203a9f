"""How is a model pruned, in a child process, and what came of it?"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.models.rows.rows import Rows
from tfx_loop.optimization.fine_tuning.outputs import Served, Written, to_payload
from tfx_loop.optimization.fine_tuning.rows_file import write_rows
from tfx_loop.optimization.pruner.settings import PruningSettings
from tfx_loop.optimization.pruner.sparsity import KernelSparsity, Reached

_FUNCTION = "tfx_loop.optimization.pruner.training:prune"


@dataclass(frozen=True, kw_only=True)
class PruningResult:
    """A pruned model and what its weights show.

    Attributes:
        written: Where the child lies, as Keras file and as SavedModel.
        kernels: Every kernel, counted on the weights in the file.
        skipped: Why layers were left alone, by step (`pruning`, `clustering`) and layer.
        trainings: What each step's training came to.
        seconds: Wall time.
    """

    written: Written
    kernels: tuple[KernelSparsity, ...]
    skipped: dict[str, dict[str, str]]
    trainings: dict[str, dict[str, Any]]
    seconds: float

    @property
    def denser(self) -> tuple[KernelSparsity, ...]:
        """Kernels with fewer zeros than asked for."""
        return tuple(kernel for kernel in self.kernels if kernel.reached is Reached.DENSER)

    @property
    def sparsity(self) -> float:
        """Fraction of zeros over all kernels."""
        return sum(k.zeros for k in self.kernels) / sum(k.size for k in self.kernels)


def prune(
    source: Path,
    rows: Rows,
    settings: PruningSettings,
    worker: Worker,
    out: Path,
    *,
    served: Served | None = None,
    progress: Callable[[str], None] | None = None,
) -> PruningResult:
    """Returns the model of a file, pruned and clustered, and writes it into `out`.

    Args:
        source: A `.keras` or `.h5` file.
        rows: To train on, inputs by the Keras model's names.
        settings: The pattern, the sparsity, the training.
        worker: Runs TFMOT.
        out: Gets `Format-Keras/model.keras` and `Format-Serving/`.
        served: What the SavedModel's signatures are made from.
        progress: Gets a line an epoch.

    Raises:
        ConfigError: No layer fits the pattern, or the model has no loss and none is given.
        DataError: The rows do not fit the model, or the loss became NaN.
        ModelError: The file holds no functional tf_keras model.
        ChildFailed: TFMOT aborted, took too long or too much memory.
    """
    written = Written.within(out)
    with tempfile.TemporaryDirectory(prefix="loop-prune-") as scratch:
        payload = {
            "model": str(source),
            "rows": str(write_rows(Path(scratch) / "rows.npz", rows.inputs, rows.labels)),
            "settings": settings.to_json(),
            **to_payload(written, served),
        }
        doing = f"{settings.technique} of {source}"
        done = worker.call(_FUNCTION, payload, doing=doing, progress=progress)
    return PruningResult(
        written=written.signed(done["signatures"]),
        kernels=tuple(KernelSparsity.from_json(kernel) for kernel in done["kernels"]),
        skipped=done["skipped"],
        trainings=done["trainings"],
        seconds=done["seconds"],
    )
