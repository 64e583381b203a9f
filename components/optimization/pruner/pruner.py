"""Pruning and clustering of a Keras model in a child process, and the report on the child."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfx_loop.contracts.optimization_report import OptimizationResult
from tfx_loop.core import json_codec
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.models.inference import inputs_of
from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.fine_tuning.comparison import comparison_report
from tfx_loop.optimization.fine_tuning.job import (
    ChildFiles,
    ExportSources,
    FineTuningJob,
    SignatureSource,
    to_payload,
)
from tfx_loop.optimization.fine_tuning.rows_file import write_rows
from tfx_loop.optimization.pruner.settings import PruningSettings
from tfx_loop.optimization.pruner.sparsity import KernelSparsity, SparsityOutcome

_FUNCTION = "tfx_loop.optimization.pruner.training:prune"


@dataclass(frozen=True, kw_only=True)
class PruningResult:
    """A pruned model and what its weights show.

    Attributes:
        child: Where it lies.
        signatures: Where the signatures of its SavedModel come from.
        kernels: Every kernel, counted on the weights in the file.
        skipped: Why layers were left alone, by step (`pruning`, `clustering`) and layer.
        trainings: What each step's training came to.
        held_outputs: Outputs without labels, trained to answer as before.
        seconds: Wall time.
    """

    child: ChildFiles
    signatures: SignatureSource
    kernels: tuple[KernelSparsity, ...]
    skipped: dict[str, dict[str, str]]
    trainings: dict[str, dict[str, Any]]
    held_outputs: tuple[str, ...]
    seconds: float

    @property
    def denser(self) -> tuple[KernelSparsity, ...]:
        """Kernels with fewer zeros than asked for."""
        return tuple(kernel for kernel in self.kernels if kernel.reached is SparsityOutcome.DENSER)

    @property
    def sparsity(self) -> float:
        """Fraction of zeros over all kernels."""
        # By weights and not by layers: a large layer counts for what it is.
        return sum(k.zeros for k in self.kernels) / sum(k.size for k in self.kernels)


def run(
    job: FineTuningJob,
    settings: PruningSettings,
    worker: Worker,
    progress: Callable[[str], None] | None = None,
) -> OptimizationResult:
    """Writes the pruned model and returns the report on it.

    Args:
        job: The model, its rows, and by what the child is judged.
        settings: What is pruned.
        worker: Runs everything that needs TensorFlow.
        progress: Gets a line an epoch.

    Raises:
        LoopError: As `prune`; DataError where the rows lack a column.
    """
    custom_objects = settings.fine_tuning.custom_objects
    worker.may_write(job.child.folder)
    inputs = inputs_of(worker, job.parent, custom_objects)
    reporting = job.reporting_rows(inputs)
    # The child has its parent's shape, so it may answer under all of its signatures.
    sources = replace(
        job.export_sources, parent_keras=str(job.parent), custom_objects=custom_objects
    )
    result = prune(
        job.parent,
        job.training_rows(inputs),
        settings,
        worker,
        job.child.folder,
        sources=sources,
        progress=progress,
    )
    return comparison_report(
        worker,
        job.compared_parent(reporting, custom_objects, settings.output or None),
        job.compared_child(
            reporting, settings.pattern.value, custom_objects, settings.output or None
        ),
        job.acceptance,
        technique=settings.technique,
        settings=json_codec.to_json(settings),
        notes=(*job.notes, *_notes(result)),
        refused=_refusal(result),
    )


def prune(
    source: Path,
    rows: Rows,
    settings: PruningSettings,
    worker: Worker,
    out: Path,
    *,
    sources: ExportSources | None = None,
    progress: Callable[[str], None] | None = None,
) -> PruningResult:
    """Returns the model of a file, pruned and clustered, and writes it into `out`.

    Args:
        source: A `.keras` or `.h5` file.
        rows: To train on, inputs by the Keras model's names.
        settings: The pattern, the sparsity, the training.
        worker: Runs TFMOT.
        out: Gets `Format-Keras/model.keras` and `Format-Serving/`.
        sources: What the SavedModel's signatures are made from.
        progress: Gets a line an epoch.

    Raises:
        ConfigError: No layer fits the pattern, or the model has no loss and none is given.
        DataError: The rows do not fit the model, or the loss became NaN.
        ModelError: The file holds no functional tf_keras model.
        ChildFailed: TFMOT aborted, took too long or too much memory.
    """
    child = ChildFiles(out)
    worker.may_write(out)
    with tempfile.TemporaryDirectory(prefix="loop-prune-", dir=worker.folder) as scratch:
        payload = {
            "model": str(source),
            "rows": str(write_rows(Path(scratch) / "rows.npz", rows.inputs, rows.labels)),
            "settings": json_codec.to_json(settings),
            **to_payload(child, sources),
        }
        doing = f"{settings.technique} of {source}"
        done = worker.call(_FUNCTION, payload, doing=doing, progress=progress)
    return PruningResult(
        child=child,
        signatures=SignatureSource(done["signatures"]),
        kernels=json_codec.from_json(tuple[KernelSparsity, ...], done["kernels"], "kernels"),
        skipped=done["skipped"],
        trainings=done["trainings"],
        held_outputs=tuple(done["held_outputs"]),
        seconds=done["seconds"],
    )


def _refusal(result: PruningResult) -> str:
    """Returns which kernels have fewer zeros than asked for, in a sentence; empty for none."""
    if not result.denser:
        return ""
    kernels = ", ".join(f"{k.layer} {k.zero_units} of {k.units}" for k in result.denser)
    return f"Fewer zeros than asked for in {kernels}."


def _notes(result: PruningResult) -> tuple[str, ...]:
    """Returns what people want to know of a pruning, in sentences."""
    notes = [
        f"Left alone in {step}: "
        + ", ".join(f"{layer} ({reason})" for layer, reason in reasons.items())
        + "."
        for step, reasons in result.skipped.items()
        if reasons
    ]
    for step, training in result.trainings.items():
        notes.append(
            f"Training while {step}: epoch {training['kept_epoch']} of {training['epochs']} kept, "
            f"{training['seconds']:.1f} s."
        )
    if result.held_outputs:
        notes.append(f"Trained to answer as before: {', '.join(result.held_outputs)}.")
    return (*notes, f"Signatures of the SavedModel come from: {result.signatures.value}.")
