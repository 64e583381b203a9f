"""What do the executors of the nodes that train further do alike? They open what is given, publish.

Such a node has the inputs and outputs that `spec.py` declares, and the model that it starts from.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tfx import types
from tfx.types import artifact_utils

from tfx_loop.contracts.optimization_report import OptimizationResult
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.optimization.fine_tuning import artifacts
from tfx_loop.optimization.fine_tuning.job import Job
from tfx_loop.optimization.fine_tuning.node import Judged, splits

Artifacts: TypeAlias = dict[str, list[types.Artifact]]
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Given:
    """What an executor works with.

    Attributes:
        job: What is to be done.
        worker: Runs everything that needs TensorFlow.
        out: Folder of the model that is made.
    """

    job: Job
    worker: Worker
    out: Path


@contextmanager
def opened(
    parent_key: str,
    files: Callable[[Path], tuple[Path, Path]],
    inputs: Artifacts,
    outputs: Artifacts,
    properties: dict[str, Any],
) -> Iterator[Given]:
    """Yields what an executor was given; `out` is published afterwards, when nothing was raised.

    Args:
        parent_key: Input that holds the model that the node starts from.
        files: Returns the file that answers and what is deployed, in that model's folder.
        inputs: `input_dict` of the executor.
        outputs: Its `output_dict`.
        properties: Its `exec_properties`.

    Raises:
        ConfigError: Nothing names the label.
        DataError: The examples lack a split, or cannot be read.
    """
    parent = artifact_utils.get_single_instance(inputs[parent_key])
    child = artifact_utils.get_single_instance(outputs["model"])
    training = artifacts.rows_of(inputs["examples"], splits(properties, "training_splits"))
    reporting = artifacts.rows_of(inputs["examples"], splits(properties, "reporting_splits"))
    worker = Worker(
        timeout_seconds=float(properties["timeout_seconds"]),
        memory_mb=float(properties["memory_mb"]),
    )
    with (
        worker,
        artifacts.on_this_machine(parent.uri) as source,
        artifacts.published(child.uri) as out,
    ):
        answers, deployed = files(source)
        job = Job(
            parent=answers,
            deployed=deployed,
            training=training,
            reporting=reporting,
            judged=Judged.from_properties(properties),
            export_fn=properties.get("export_fn") or "",
            transform_output=artifacts.optional_uri(inputs.get("transform_graph")),
            shown_parent=parent.uri,
            shown_child=child.uri,
        )
        yield Given(job=job, worker=worker, out=out)


def publish(report: OptimizationResult, outputs: Artifacts, variant: str, doing: str) -> None:
    """Writes the report and the properties of both outputs, and says so in the log."""
    child = artifact_utils.get_single_instance(outputs["model"])
    artifact = artifact_utils.get_single_instance(outputs["optimization_report"])
    artifacts.publish_report(report, artifact, child, variant)
    _LOG.info(
        "%s verdict=%s reason=%s model=%s",
        doing,
        report.verdict.value,
        report.reason.value,
        child.uri,
    )
