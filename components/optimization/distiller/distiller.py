"""How is a student taught, in a child process, and what came of it?"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.models.rows.rows import Rows
from tfx_loop.models.tensors import TensorSpec
from tfx_loop.optimization.distiller.settings import DistillationSettings
from tfx_loop.optimization.fine_tuning.describing import specs_from_json
from tfx_loop.optimization.fine_tuning.outputs import Served, Written, to_payload
from tfx_loop.optimization.fine_tuning.rows_file import write_rows

_DISTILL = "tfx_loop.optimization.distiller.training:distill"
_DESCRIBE = "tfx_loop.optimization.distiller.training:describe"


@dataclass(frozen=True, kw_only=True)
class DistillationResult:
    """A student and how it was taught.

    Attributes:
        written: Where it lies, as Keras file and as SavedModel.
        predicts: What is predicted, for people.
        training: What the training came to.
        teacher_seconds: Time that the teacher's answers took.
        seconds: Wall time.
    """

    written: Written
    predicts: str
    training: dict[str, Any]
    teacher_seconds: float
    seconds: float


def student_inputs(settings: DistillationSettings, worker: Worker) -> tuple[TensorSpec, ...]:
    """Returns what the student takes: which columns of the rows it needs.

    Raises:
        ConfigError: `student_fn` is no function, or returns no functional tf_keras model.
    """
    payload = {"settings": settings.to_json()}
    told = worker.call(_DESCRIBE, payload, doing=f"building {settings.student_fn}")
    return specs_from_json(told["inputs"])


def distill(
    teacher: Path,
    rows: Rows,
    settings: DistillationSettings,
    worker: Worker,
    out: Path,
    *,
    teacher_rows: Rows | None = None,
    served: Served | None = None,
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
        served: What the SavedModel's signatures are made from.
        progress: Gets a line an epoch.

    Raises:
        ConfigError: The student cannot be built, or a layer is not there.
        DataError: Rows, teacher and student do not fit each other, or the loss became NaN.
        ModelError: The teacher cannot be asked with numbers.
        ChildFailed: Training aborted, took too long or too much memory.
    """
    written = Written.within(out)
    asked = (teacher_rows or rows).inputs
    with tempfile.TemporaryDirectory(prefix="loop-distill-") as scratch:
        folder = Path(scratch)
        payload = {
            "teacher": str(teacher),
            "rows": str(write_rows(folder / "rows.npz", rows.inputs, rows.labels)),
            "teacher_rows": str(write_rows(folder / "asked.npz", asked, rows.labels)),
            "settings": settings.to_json(),
            **to_payload(written, served),
        }
        doing = f"distillation of {teacher}"
        done = worker.call(_DISTILL, payload, doing=doing, progress=progress)
    return DistillationResult(
        written=written.signed(done["signatures"]),
        predicts=done["predicts"],
        training=done["training"],
        teacher_seconds=done["teacher_seconds"],
        seconds=done["seconds"],
    )
