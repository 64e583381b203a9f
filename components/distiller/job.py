"""What does Distiller do with a teacher and its examples? It teaches, compares, reports."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.child_process.worker import Worker
from components.distiller.distiller import DistillationResult, distill, student_inputs
from components.distiller.settings import DistillationSettings
from components.fine_tuning.comparison import Asked, Side, compared
from components.fine_tuning.describing import inputs_of
from components.fine_tuning.node import Judged, present
from components.fine_tuning.outputs import Served
from components.model_formats.tensors import TensorSpec
from components.optimization.facts import Described
from components.optimization.fitting import rows_from_table
from components.optimization.report import OptimizationReport
from components.optimization.rows import Rows

TECHNIQUE = "distillation"


@dataclass(frozen=True, kw_only=True)
class DistillationJob:
    """What is to be done.

    Attributes:
        teacher: A model that takes numbers.
        teacher_deployed: The file or folder whose bytes count as the teacher's.
        settings: How the student is taught.
        judged: By what the student is judged.
        export_fn: Import path of the user's function that writes the SavedModel; empty for none.
        transform_output: Folder of the Transform graph; None for none.
        shown_teacher: What the report calls the teacher.
        shown_student: What the report calls the student.
    """

    teacher: Path
    teacher_deployed: Path
    settings: DistillationSettings
    judged: Judged
    export_fn: str = ""
    transform_output: str | None = None
    shown_teacher: str = ""
    shown_student: str = ""

    @property
    def served(self) -> Served:
        """What the student's signatures are made from: it has another shape than its teacher."""
        return Served(
            export_fn=self.export_fn,
            parent_saved_model=str(self.teacher_deployed),
            transform_output=self.transform_output,
            label=self.judged.label,
        )


def run(
    job: DistillationJob,
    training: Any,
    reporting: Any,
    worker: Worker,
    out: Path,
    progress: Callable[[str], None] | None = None,
) -> OptimizationReport:
    """Writes the student into `out` and returns the report on it.

    Args:
        job: What is to be done.
        training: pyarrow Table of rows to learn from, columns by the inputs of both models.
        reporting: The same of rows to judge the student on.
        worker: Runs everything that needs TensorFlow.
        out: Folder of a TFX Model.
        progress: Gets a line an epoch.

    Raises:
        LoopError: As `distiller.distill`; DataError where the rows lack a column.
    """
    teacher_takes = inputs_of(worker, job.teacher, job.settings.fine_tuning.custom_objects)
    student_takes = student_inputs(job.settings, worker)
    slices, notes = present(job.judged.slices, reporting.column_names)

    def rows(table: Any, inputs: tuple[TensorSpec, ...], slices: tuple[str, ...] = ()) -> Rows:
        return rows_from_table(table, inputs, job.judged.label, slices)

    result = distill(
        job.teacher,
        rows(training, student_takes),
        job.settings,
        worker,
        out,
        teacher_rows=rows(training, teacher_takes),
        served=job.served,
        progress=progress,
    )
    asked = Asked(
        technique=TECHNIQUE,
        settings=job.settings.to_json(),
        metric=job.judged.metric,
        max_metric_drop=job.judged.max_metric_drop,
        max_slice_drop=job.judged.max_slice_drop,
        notes=(*notes, *told(result)),
    )
    teacher = Described(
        path=str(job.teacher),
        custom_objects=job.settings.fine_tuning.custom_objects,
        shown_path=job.shown_teacher,
    )
    student = Described(
        path=str(result.written.keras), mode="distilled", shown_path=job.shown_student
    )
    return compared(
        worker,
        Side(
            asked=teacher,
            rows=rows(reporting, teacher_takes, slices),
            deployed=job.teacher_deployed,
            output=job.settings.teacher_output,
        ),
        Side(
            asked=student,
            rows=rows(reporting, student_takes),
            deployed=result.written.saved_model,
        ),
        asked,
    )


def told(result: DistillationResult) -> tuple[str, ...]:
    """Returns what people want to know of a distillation, in sentences."""
    training, signatures = result.training, result.written.signatures
    return (
        f"Taught {result.predicts}: epoch {training['kept_epoch']} of {training['epochs']} kept, "
        f"{training['seconds']:.1f} s; the teacher's answers took {result.teacher_seconds:.1f} s.",
        f"Signatures of the SavedModel come from: {signatures.value if signatures else 'none'}.",
    )
