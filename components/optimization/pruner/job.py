"""What does Pruner do with a model and its examples? It trains, counts zeros, compares, reports."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tfx_loop.contracts.optimization_report import OptimizationResult
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.optimization.fine_tuning.comparison import compared
from tfx_loop.optimization.fine_tuning.describing import inputs_of
from tfx_loop.optimization.fine_tuning.job import Job
from tfx_loop.optimization.pruner.pruner import PruningResult, prune
from tfx_loop.optimization.pruner.settings import PruningSettings


def run(
    job: Job,
    settings: PruningSettings,
    worker: Worker,
    out: Path,
    progress: Callable[[str], None] | None = None,
) -> OptimizationResult:
    """Writes the pruned model into `out` and returns the report on it.

    Args:
        job: The model, its rows, and by what the child is judged.
        settings: What is pruned.
        worker: Runs everything that needs TensorFlow.
        out: Folder of a TFX Model.
        progress: Gets a line an epoch.

    Raises:
        LoopError: As `pruner.prune`; DataError where the rows lack a column.
    """
    custom_objects = settings.fine_tuning.custom_objects
    inputs = inputs_of(worker, job.parent, custom_objects)
    judged_on = job.reporting_rows(inputs)
    result = prune(
        job.parent,
        job.training_rows(inputs),
        settings,
        worker,
        out,
        # The child has its parent's shape, so it may answer under all of its signatures.
        served=replace(job.served, parent_keras=str(job.parent), custom_objects=custom_objects),
        progress=progress,
    )
    mode = settings.pattern.value
    return compared(
        worker,
        job.parent_side(judged_on, custom_objects),
        job.child_side(result.written, judged_on, mode, custom_objects),
        job.asked(settings.technique, settings.to_json(), told(result), refusal(result)),
    )


def refusal(result: PruningResult) -> str:
    """Returns which kernels have fewer zeros than asked for, in a sentence; empty for none."""
    if not result.denser:
        return ""
    kernels = ", ".join(f"{k.layer} {k.zero_units} of {k.units}" for k in result.denser)
    return f"Fewer zeros than asked for in {kernels}."


def told(result: PruningResult) -> tuple[str, ...]:
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
    if result.written.signatures is not None:
        notes.append(f"Signatures of the SavedModel come from: {result.written.signatures.value}.")
    return tuple(notes)
