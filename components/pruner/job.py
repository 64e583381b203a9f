"""What does Pruner do with a model and its examples? It trains, counts zeros, compares, reports."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.child_process.worker import Worker
from components.fine_tuning.comparison import Asked, Side, compared
from components.fine_tuning.describing import inputs_of
from components.fine_tuning.node import Judged, present
from components.fine_tuning.outputs import Served
from components.optimization.facts import Described
from components.optimization.fitting import rows_from_table
from components.optimization.report import OptimizationReport
from components.pruner.pruner import PruningResult, prune
from components.pruner.settings import PruningSettings

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PruningJob:
    """What is to be done.

    Attributes:
        keras: The parent's Keras file.
        saved_model: The parent's SavedModel.
        settings: What is pruned.
        judged: By what the child is judged.
        export_fn: Import path of the user's function that writes the SavedModel; empty for none.
        transform_output: Folder of the Transform graph; None for none.
        shown_parent: What the report calls the parent.
        shown_child: What the report calls the child.
    """

    keras: Path
    saved_model: Path
    settings: PruningSettings
    judged: Judged
    export_fn: str = ""
    transform_output: str | None = None
    shown_parent: str = ""
    shown_child: str = ""

    @property
    def served(self) -> Served:
        """What the child's signatures are made from: the parent's, where the user has no own."""
        return Served(
            export_fn=self.export_fn,
            parent_keras=str(self.keras),
            parent_saved_model=str(self.saved_model),
            transform_output=self.transform_output,
            label=self.judged.label,
            custom_objects=self.settings.fine_tuning.custom_objects,
        )


def run(
    job: PruningJob,
    training: Any,
    reporting: Any,
    worker: Worker,
    out: Path,
    progress: Callable[[str], None] | None = None,
) -> OptimizationReport:
    """Writes the pruned model into `out` and returns the report on it.

    Args:
        job: What is to be done.
        training: pyarrow Table of rows to train on, columns by the Keras model's inputs.
        reporting: The same of rows to judge the child on.
        worker: Runs everything that needs TensorFlow.
        out: Folder of a TFX Model.
        progress: Gets a line an epoch.

    Raises:
        LoopError: As `pruner.prune`; DataError where the rows lack a column.
    """
    custom_objects = job.settings.fine_tuning.custom_objects
    inputs = inputs_of(worker, job.keras, custom_objects)
    slices, notes = present(job.judged.slices, reporting.column_names)
    rows = rows_from_table(training, inputs, job.judged.label)
    judged_on = rows_from_table(reporting, inputs, job.judged.label, slices)
    result = prune(job.keras, rows, job.settings, worker, out, served=job.served, progress=progress)
    asked = Asked(
        technique=job.settings.technique,
        settings=job.settings.to_json(),
        metric=job.judged.metric,
        max_metric_drop=job.judged.max_metric_drop,
        max_slice_drop=job.judged.max_slice_drop,
        refused=refusal(result),
        notes=(*notes, *told(result)),
    )
    parent = Described(
        path=str(job.keras), custom_objects=custom_objects, shown_path=job.shown_parent
    )
    child = Described(
        path=str(result.written.keras),
        mode=job.settings.pattern.value,
        custom_objects=custom_objects,
        shown_path=job.shown_child,
    )
    return compared(
        worker,
        Side(asked=parent, rows=judged_on, deployed=job.saved_model),
        Side(asked=child, rows=judged_on, deployed=result.written.saved_model),
        asked,
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
