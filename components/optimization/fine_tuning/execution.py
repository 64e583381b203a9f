"""Shared work of the executors of Pruner and Distiller: artifacts in, a job, artifacts out.

Such a node has the settings `FineTuningNodeSettings`, the inputs `examples` and `transform_graph`
and the model that it starts from, and the outputs `model` and `optimization_report`.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfx.types import artifact_utils
from tfx.utils import path_utils

from tfx_loop.contracts.model_properties import ModelProperties
from tfx_loop.contracts.optimization_report import (
    OPTIMIZATION_REPORT,
    OptimizationProperties,
    OptimizationResult,
    OptimizationVerdict,
)
from tfx_loop.core.artifacts import Artifacts, set_properties
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.inputs import single, single_or_none, split_uris
from tfx_loop.models.fetching import on_this_machine, published
from tfx_loop.models.formats import detect
from tfx_loop.optimization.fine_tuning.comparison import Acceptance
from tfx_loop.optimization.fine_tuning.job import ChildFiles, FineTuningJob
from tfx_loop.optimization.fine_tuning.settings import FineTuningNodeSettings
from tfx_loop.optimization.fine_tuning.starting_point import starting_point

_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def opened(
    parent_key: str,
    inputs: Artifacts,
    outputs: Artifacts,
    settings: FineTuningNodeSettings,
    *,
    trainable: bool,
    custom_objects: Sequence[str] = (),
) -> Iterator[tuple[FineTuningJob, Worker]]:
    """Yields the job of an executor and the worker that runs what needs TensorFlow.

    The child's folder is published afterwards, when nothing was raised.

    Args:
        parent_key: Input that holds the model that the node starts from.
        inputs: `input_dict` of the executor.
        outputs: Its `output_dict`.
        settings: Of the node.
        trainable: Whether the parent's layers are needed; otherwise it is asked alone.
        custom_objects: Import paths of layers that the parent's Keras file names.

    Raises:
        ConfigError: Nothing names the label.
        ModelError: There is no network to start from.
        DataError: The examples lack a split, or cannot be read.
    """
    acceptance = Acceptance.of(settings)
    parent = single(inputs, parent_key)
    child = artifact_utils.get_single_instance(outputs["model"])
    training = split_uris(inputs["examples"], settings.training_splits)
    reporting = split_uris(inputs["examples"], settings.reporting_splits)
    graph = single_or_none(inputs, "transform_graph")
    worker = Worker(timeout_seconds=settings.timeout_seconds, memory_mb=settings.memory_mb)
    # In the worker's own folder, which is all that its confined process may write to by itself.
    scratch = tempfile.TemporaryDirectory(prefix="loop-network-", dir=worker.folder)
    with contextlib.ExitStack() as held:
        # The child that runs the work reaches no bucket.
        transform = held.enter_context(on_this_machine(graph.uri)) if graph else None
        source = held.enter_context(on_this_machine(parent.uri))
        out = held.enter_context(published(child.uri))
        held.enter_context(worker)
        made = held.enter_context(scratch)
        worker.may_write(out)
        start = starting_point(
            worker,
            source,
            detect(path_utils.serving_model_path(str(source))).path,
            Path(made),
            training,
            trainable=trainable,
            parse_fn=settings.parse_fn or "",
            transform_graph=str(transform) if transform else None,
            custom_objects=custom_objects,
            judged=acceptance.signature,
        )
        job = FineTuningJob(
            parent=start.answers,
            deployed=start.deployed,
            child=ChildFiles(out),
            training=start.reader.read(worker, training, acceptance.label),
            reporting=start.reader.read(worker, reporting, acceptance.label),
            acceptance=acceptance,
            preprocessing=start.reader.preprocessing,
            told=start.notes,
            export_fn=settings.export_fn or "",
            transform_output=str(transform) if transform else None,
            shown_parent=parent.uri,
            shown_child=child.uri,
        )
        yield job, worker


def publish(report: OptimizationResult, outputs: Artifacts, variant: str, doing: str) -> None:
    """Writes the report and the properties of both outputs, and says so in the log."""
    child = artifact_utils.get_single_instance(outputs["model"])
    artifact = artifact_utils.get_single_instance(outputs["optimization_report"])
    OPTIMIZATION_REPORT.write(report, artifact.uri)
    set_properties(artifact, to_properties(_properties(report, variant)))
    set_properties(child, to_properties(ModelProperties(variant=variant)))
    _LOG.info(
        "%s verdict=%s reason=%s model=%s",
        doing,
        report.verdict.value,
        report.reason.value,
        child.uri,
    )


def _properties(report: OptimizationResult, variant: str) -> OptimizationProperties:
    child, overall = report.child, report.overall
    return OptimizationProperties(
        technique=report.technique,
        verdict=report.verdict.value,
        kept=report.verdict is OptimizationVerdict.KEPT,
        reason=report.reason.value,
        variant=variant,
        size_bytes=child.size.raw_bytes if child else None,
        zipped_bytes=child.size.zipped_bytes if child else None,
        sparsity=child.sparsity if child else None,
        metric_drop=overall.drop.value if overall else None,
    )
