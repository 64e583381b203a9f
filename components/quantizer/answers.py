"""What does a model answer? Asked in a child process, as a runtime may abort on a model."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from components.model_formats.inspect import check_convertible
from components.model_formats.predictor import open_predictor
from components.model_formats.tensors import Array
from components.optimization.rows import Rows
from components.quantizer.variants import Caller

_CHILD = "components.quantizer.answers:predict"
_OUTPUTS = "outputs.npz"


class Asker:
    """Asks models about the same rows."""

    def __init__(self, rows: Rows, worker: Caller, folder: Path, name: str) -> None:
        """Writes the rows to `folder`, for the child to read.

        Args:
            rows: What models are asked about.
            worker: The child.
            folder: For files; the caller removes it.
            name: Of the rows, such as `choosing`.
        """
        self.folder = folder / name
        self.folder.mkdir()
        self.rows = self.folder / "rows.npz"
        rows.save_inputs(self.rows)
        self.worker = worker

    def ask(self, model: Path, *, signature: str | None = None) -> dict[str, Array]:
        """Returns the outputs by name.

        Raises:
            ModelError: It cannot be loaded or run.
            ChildFailed: The runtime died of it.
        """
        outputs = self.folder / _OUTPUTS
        payload = {
            "model": str(model),
            "signature": signature,
            "rows": str(self.rows),
            "outputs": str(outputs),
        }
        self.worker.call(_CHILD, payload, doing=f"asking {model.name}")
        return _read(outputs)


def predict(payload: Mapping[str, Any]) -> None:
    """Writes the outputs of `model` for `rows` to `outputs`; both are .npz by tensor name."""
    predictor = open_predictor(payload["model"], signature=payload["signature"])
    np.savez(payload["outputs"], **predictor.predict(_read(Path(payload["rows"]))))


def _read(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def inputs_of(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns what a model takes, as fields of `TensorSpec`.

    Raises:
        ModelError: It is unfit for conversion; one line says why.
    """
    found = check_convertible(payload["model"], signature=payload["signature"])
    return [asdict(spec) for spec in found.inputs]
