"""What does Distiller do with a teacher and its examples? It teaches, compares, reports."""

from collections.abc import Callable
from pathlib import Path

from tfx_loop.contracts.optimization_report import OptimizationResult
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.optimization.distiller.distiller import DistillationResult, distill, student_inputs
from tfx_loop.optimization.distiller.settings import DistillationSettings
from tfx_loop.optimization.fine_tuning.comparison import compared
from tfx_loop.optimization.fine_tuning.describing import inputs_of
from tfx_loop.optimization.fine_tuning.job import Job

TECHNIQUE = "distillation"
VARIANT = "distilled"


def run(
    job: Job,
    settings: DistillationSettings,
    worker: Worker,
    out: Path,
    progress: Callable[[str], None] | None = None,
) -> OptimizationResult:
    """Writes the student into `out` and returns the report on it.

    Args:
        job: The teacher, as the parent, the rows, and by what the student is judged.
        settings: How the student is taught.
        worker: Runs everything that needs TensorFlow.
        out: Folder of a TFX Model.
        progress: Gets a line an epoch.

    Raises:
        LoopError: As `distiller.distill`; DataError where the rows lack a column.
    """
    custom_objects = settings.fine_tuning.custom_objects
    teacher_takes = inputs_of(worker, job.parent, custom_objects)
    student_takes = student_inputs(settings, worker)
    result = distill(
        job.parent,
        job.training_rows(student_takes),
        settings,
        worker,
        out,
        teacher_rows=job.training_rows(teacher_takes),
        served=job.served,
        progress=progress,
    )
    asked_of_teacher = job.reporting_rows(teacher_takes)
    return compared(
        worker,
        job.parent_side(asked_of_teacher, custom_objects, settings.teacher_output),
        job.child_side(result.written, job.reporting_rows(student_takes), VARIANT),
        job.asked(TECHNIQUE, settings.to_json(), told(result)),
    )


def told(result: DistillationResult) -> tuple[str, ...]:
    """Returns what people want to know of a distillation, in sentences."""
    training, signatures = result.training, result.written.signatures
    return (
        f"Taught {result.predicts}: epoch {training['kept_epoch']} of {training['epochs']} kept, "
        f"{training['seconds']:.1f} s; the teacher's answers took {result.teacher_seconds:.1f} s.",
        f"Signatures of the SavedModel come from: {signatures.value if signatures else 'none'}.",
    )
