"""Messages of TF Serving's gRPC interface, taken apart and filled."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tfx_loop.core.errors import DataError, LoopError
from tfx_loop.deployment.model_server.examples_api import Method, classes_of, values_of
from tfx_loop.models.tensors import DEFAULT_SIGNATURE, Array


class UnsupportedError(LoopError):
    """A request asks for what TF Serving has no answer to, either."""


class Answerer(Protocol):
    """The version of a model that answers."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def version(self) -> int:
        """Its number."""


@dataclass(frozen=True)
class InferenceTask:
    """One question of a MultiInferenceRequest."""

    spec: Any
    signature_name: str
    method: Method


def model_spec(spec: Any) -> tuple[str, int | None, str | None]:
    """Returns name, version and label of a ModelSpec; raises DataError where it has no name."""
    if not spec.name:
        raise DataError("Missing ModelSpec")
    if spec.WhichOneof("version_choice") == "version_label":
        return spec.name, None, spec.version_label
    return spec.name, spec.version.value if spec.HasField("version") else None, None


def tasks_of(request: Any) -> list[InferenceTask]:
    """Returns the questions of a MultiInferenceRequest.

    Raises:
        DataError: They are not all of one model, or one is asked twice.
        UnsupportedError: One is neither Classify nor Regress.
    """
    tasks: list[InferenceTask] = []
    for task in request.tasks:
        spec = task.model_spec
        if not spec.name:
            raise DataError("Found ModelSpec with an empty model name.")
        if spec.name != request.tasks[0].model_spec.name:
            raise DataError(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = spec.signature_name or DEFAULT_SIGNATURE
        if name in (known.signature_name for known in tasks):
            raise DataError(f"Duplicate evaluation of signature: {name}")
        if task.method_name not in [method.value for method in Method]:
            raise UnsupportedError(f"Unsupported signature method_name: {task.method_name}")
        tasks.append(InferenceTask(spec, name, Method(task.method_name)))
    return tasks


def fill_spec(spec: Any, asked: Answerer, signature_name: str) -> None:
    """Writes into a ModelSpec who answered."""
    spec.name = asked.name
    spec.version.value = asked.version
    spec.signature_name = signature_name


def fill_classes(result: Any, outputs: Mapping[str, Array], rows: int) -> None:
    """Writes a ClassificationResult; raises as `classes_of`."""
    for row in classes_of(outputs, rows):
        classes = result.classifications.add().classes
        for label, score in row:
            # The field is text by its type: bytes that are none cannot stand in it.
            classes.add(label=label.decode("utf-8", "replace"), score=score)


def fill_values(result: Any, outputs: Mapping[str, Array], rows: int) -> None:
    """Writes a RegressionResult; raises as `values_of`."""
    for value in values_of(outputs, rows).tolist():
        result.regressions.add(value=value)
