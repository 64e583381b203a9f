"""Distillation of a teacher into a student in a child process, and the report on the student."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_loop.contracts.optimization_report import OptimizationResult
from tfx_loop.core import json_codec
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.models.inference import inputs_of
from tfx_loop.models.rows.splits import Rows
from tfx_loop.models.tensors import TensorSpec
from tfx_loop.optimization.distiller.settings import DistillationSettings
from tfx_loop.optimization.fine_tuning.comparison import comparison_report
from tfx_loop.optimization.fine_tuning.job import (
    ChildFiles,
    ExportSources,
    FineTuningJob,
    SignatureSource,
    preprocessed_inputs,
    to_payload,
)
from tfx_loop.optimization.fine_tuning.rows_file import write_rows

TECHNIQUE = "distillation"
VARIANT = "distilled"
_DISTILL = "tfx_loop.optimization.distiller.training:distill"
_STUDENT_INPUTS = "tfx_loop.optimization.distiller.training:student_inputs"


@dataclass(frozen=True, kw_only=True)
class DistillationResult:
    """A student and how it was taught.

    Attributes:
        child: Where it lies.
        signatures: Where the signatures of its SavedModel come from.
        predicts: What is predicted, for people.
        training: What the training came to.
        teacher_seconds: Time that the teacher's answers took.
        seconds: Wall time.
    """

    child: ChildFiles
    signatures: SignatureSource
    predicts: str
    training: dict[str, Any]
    teacher_seconds: float
    seconds: float


def run(
    job: FineTuningJob,
    settings: DistillationSettings,
    worker: Worker,
    progress: Callable[[str], None] | None = None,
) -> OptimizationResult:
    """Writes the student and returns the report on it.

    Args:
        job: The teacher, as the parent, the rows, and by what the student is judged.
        settings: How the student is taught.
        worker: Runs everything that needs TensorFlow.
        progress: Gets a line an epoch.

    Raises:
        LoopError: As `distill`; ModelError where the teacher's preprocessing does not make what
            the student takes; DataError where the rows lack a column.
    """
    custom_objects = settings.fine_tuning.custom_objects
    worker.may_write(job.child.folder)
    teacher_takes = inputs_of(worker, job.parent, custom_objects)
    student_takes = student_inputs(settings, worker)
    if job.preprocessing and not job.export_fn:
        # What cannot be served is said before anything is trained.
        names = [spec.name for spec in student_takes]
        preprocessed_inputs(names, job.training.made, job.training.others)
    result = distill(
        job.parent,
        job.training_rows(student_takes),
        settings,
        worker,
        job.child.folder,
        teacher_rows=job.training_rows(teacher_takes),
        sources=job.export_sources,
        progress=progress,
    )
    teacher_rows = job.reporting_rows(teacher_takes)
    return comparison_report(
        worker,
        job.compared_parent(teacher_rows, custom_objects, settings.teacher_output),
        job.compared_child(job.reporting_rows(student_takes), VARIANT),
        job.acceptance,
        technique=TECHNIQUE,
        settings=json_codec.to_json(settings),
        notes=(*job.notes, *_notes(result)),
    )


def student_inputs(settings: DistillationSettings, worker: Worker) -> tuple[TensorSpec, ...]:
    """Returns what the student takes: which columns of the rows it needs.

    Raises:
        ConfigError: `student_fn` is no function, or returns no functional tf_keras model.
    """
    doing = f"building {settings.student_fn}"
    told = worker.call(_STUDENT_INPUTS, {"settings": json_codec.to_json(settings)}, doing=doing)
    inputs: tuple[TensorSpec, ...] = json_codec.from_json(
        tuple[TensorSpec, ...], told, settings.student_fn
    )
    return inputs


def distill(
    teacher: Path,
    rows: Rows,
    settings: DistillationSettings,
    worker: Worker,
    out: Path,
    *,
    teacher_rows: Rows | None = None,
    sources: ExportSources | None = None,
    progress: Callable[[str], None] | None = None,
) -> DistillationResult:
    """Returns a student that learned from a teacher, and writes it into `out`.

    Args:
        teacher: Any model that takes numbers: SavedModel, `.keras`, `.h5`, TFLite or TFX Model.
        rows: To train on, inputs by the student's names.
        settings: The student, the temperature, the weights, the training.
        worker: Runs teacher and training.
        out: Gets `Format-Keras/model.keras` and `Format-Serving/`.
        teacher_rows: The same rows as the teacher takes them; None where it takes `rows`.
        sources: What the SavedModel's signatures are made from.
        progress: Gets a line an epoch.

    Raises:
        ConfigError: The student cannot be built, or a layer is not there.
        DataError: Rows, teacher and student do not fit each other, or the loss became NaN.
        ModelError: The teacher cannot be asked with numbers.
        ChildFailed: Training aborted, took too long or too much memory.
    """
    child = ChildFiles(out)
    worker.may_write(out)
    # Two files: teacher and student may take the same rows in other shapes, or under other names.
    teacher_inputs = (teacher_rows or rows).inputs
    with tempfile.TemporaryDirectory(prefix="loop-distill-", dir=worker.folder) as scratch:
        folder = Path(scratch)
        payload = {
            "teacher": str(teacher),
            "rows": str(write_rows(folder / "rows.npz", rows.inputs, rows.labels)),
            "teacher_rows": str(write_rows(folder / "teacher.npz", teacher_inputs, rows.labels)),
            "settings": json_codec.to_json(settings),
            **to_payload(child, sources),
        }
        doing = f"distillation of {teacher}"
        done = worker.call(_DISTILL, payload, doing=doing, progress=progress)
    return DistillationResult(
        child=child,
        signatures=SignatureSource(done["signatures"]),
        predicts=done["predicts"],
        training=done["training"],
        teacher_seconds=done["teacher_seconds"],
        seconds=done["seconds"],
    )


def _notes(result: DistillationResult) -> tuple[str, ...]:
    """Returns what people want to know of a distillation, in sentences."""
    training = result.training
    return (
        f"Taught {result.predicts}: epoch {training['kept_epoch']} of {training['epochs']} kept, "
        f"{training['seconds']:.1f} s; the teacher's answers took {result.teacher_seconds:.1f} s.",
        f"Signatures of the SavedModel come from: {result.signatures.value}.",
    )
