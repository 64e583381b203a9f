"""Runs Quantizer: a model and Examples in, a .tflite and the report out."""

import contextlib
import logging
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from tfx_loop.contracts.model_properties import ModelProperties
from tfx_loop.contracts.optimization_report import (
    OPTIMIZATION_REPORT,
    OptimizationProperties,
    OptimizationResult,
    OptimizationVerdict,
)
from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.inputs import single, single_or_none, split_uris
from tfx_loop.models.fetching import on_this_machine, published
from tfx_loop.models.formats import SERVING_FOLDER, detect, keras_model_of
from tfx_loop.models.guard.settings import allowing
from tfx_loop.models.keras.file import is_of_keras_3
from tfx_loop.models.preprocessing.folder import PREPROCESSING_FOLDER
from tfx_loop.models.preprocessing.source import (
    NetworkSource,
    network_source,
    signature_asked,
)
from tfx_loop.optimization.quantizer.report import report_of
from tfx_loop.optimization.quantizer.request import (
    SearchRequest,
    check_settings,
    evaluation_of,
    request_of,
)
from tfx_loop.optimization.quantizer.search import SearchResult, search
from tfx_loop.optimization.quantizer.settings import QuantizerSettings
from tfx_loop.optimization.quantizer.variant_builder import refused_operations
from tfx_loop.optimization.reporting import facts

TFLITE_FILE = "tflite"  # TFMA's name
_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Executor of Quantizer."""

    @allowing
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Quantises the model given; see Quantizer."""
        settings = QuantizerSettings.from_properties(exec_properties)
        # Told at once, and not after TensorFlow's import in a child.
        check_settings(settings)
        source = single(input_dict, "parent")
        model = artifact_utils.get_single_instance(output_dict["model"])
        written = artifact_utils.get_single_instance(output_dict["optimization_report"])
        graph = single_or_none(input_dict, "transform_graph")
        worker = Worker(timeout_seconds=settings.timeout_seconds, memory_mb=settings.memory_mb)
        between = tempfile.TemporaryDirectory(prefix="loop-network-", dir=worker.folder)
        with contextlib.ExitStack() as held:
            # The child that converts reaches no bucket.
            transform = held.enter_context(on_this_machine(graph.uri)) if graph else None
            parent = held.enter_context(on_this_machine(source.uri))
            out = held.enter_context(published(model.uri))
            folder = Path(path_utils.serving_model_dir(str(out)))
            # Before the child starts, which would else have to start again.
            worker.may_write(folder)
            held.enter_context(worker)
            scratch = held.enter_context(between)
            network = _network(settings, input_dict, parent, transform, worker, Path(scratch))
            request = request_of(
                settings,
                source=network,
                keras=_trainable(settings, parent, network, worker, Path(scratch)),
                split_uris=lambda splits: split_uris(input_dict["examples"], splits),
                worker=worker,
            )
            baseline = Path(scratch) / "float.tflite"
            asked = replace(request, baseline=baseline)
            result = search(asked, worker, folder / TFLITE_FILE, _progress)
            if network.preprocessing is not None and result.chosen is not None:
                shutil.copytree(network.preprocessing, folder / PREPROCESSING_FOLDER)
            told = _report(settings, asked, network, result, worker)
            if result.chosen is None:
                _pass_on(settings, request, network, worker, parent, folder)
        OPTIMIZATION_REPORT.write(told, written.uri)
        variant = result.chosen.mode if result.chosen else "float"
        set_properties(model, to_properties(ModelProperties(variant=variant)))
        properties = OptimizationProperties(
            verdict=told.verdict.value,
            kept=told.verdict is OptimizationVerdict.KEPT,
            reason=told.reason.value,
            variant=variant,
            size_bytes=told.child.size.raw_bytes if told.child else 0,
        )
        set_properties(written, to_properties(properties))
        _LOG.info(
            "quantizer verdict=%s reason=%s variant=%s model=%s report=%s",
            told.verdict.value,
            told.reason.value,
            variant,
            model.uri,
            written.uri,
        )


def _progress(step: str) -> None:
    _LOG.info("quantizer step=%s", step)


def _network(
    settings: QuantizerSettings,
    input_dict: Artifacts,
    parent: Path,
    transform: Path | None,
    worker: Worker,
    scratch: Path,
) -> NetworkSource:
    """Returns the network that is quantised; says first whether there is one."""
    model = detect(parent)
    return network_source(
        worker,
        model,
        scratch,
        lambda: split_uris(input_dict["examples"], settings.calibration_splits),
        signature=signature_asked(model, settings.signature, evaluation_of(settings).signature),
        parse_fn=settings.parse_fn,
        transform_graph=str(transform) if transform else None,
        refused=lambda network: refused_operations(worker, network),
    )


def _trainable(
    settings: QuantizerSettings,
    parent: Path,
    network: NetworkSource,
    worker: Worker,
    scratch: Path,
) -> Path | None:
    """Returns what quantisation-aware training starts from; None where there is none of it."""
    if settings.fine_tuning is None:
        return None
    keras = keras_model_of(parent)
    if keras is not None and not is_of_keras_3(keras):
        return keras
    return network.rebuilt(worker, scratch / "network.keras")


def _report(
    settings: QuantizerSettings,
    request: SearchRequest,
    network: NetworkSource,
    result: SearchResult,
    worker: Worker,
) -> OptimizationResult:
    models = {
        "parent": facts.MeasuredModel(
            path=str(request.source.path),
            signature=request.signature,
            shown_path=SERVING_FOLDER,
            whole=str(network.whole.path),
        )
    }
    if result.chosen is not None:
        models["child"] = facts.MeasuredModel(
            path=str(result.path),
            mode=result.chosen.mode,
            shown_path=os.path.join(SERVING_FOLDER, TFLITE_FILE),
            # What is deployed is both: the file, and the preprocessing beside it.
            sized=str(result.path.parent) if network.preprocessing and result.path else "",
        )
    if request.baseline is not None and request.baseline.is_file():
        models["baseline"] = facts.MeasuredModel(
            path=str(request.baseline), shown_path=request.baseline.name
        )
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch) / "rows.npz"
        request.calibration.save_inputs(rows)
        known = facts.facts_of(worker, models, str(rows))
    return report_of(
        result,
        parent=known["parent"],
        child=known.get("child"),
        baseline=known.get("baseline"),
        budget=request.budget,
        rows={"calibration": len(request.calibration), "choosing": len(request.choosing)},
        settings=settings.to_json(),
        notes=request.notes,
    )


def _pass_on(
    settings: QuantizerSettings,
    request: SearchRequest,
    network: NetworkSource,
    worker: Worker,
    parent: Path,
    folder: Path,
) -> None:
    """Leaves the float .tflite, or the model as it came where the converter refuses that too."""
    # The same search with one rung and no budget: written, loaded back and compared as any variant.
    unlimited = replace(request, budget=None, search=settings.float_only())
    if search(unlimited, worker, folder / TFLITE_FILE).chosen is None:
        io_utils.copy_dir(path_utils.serving_model_dir(str(parent)), str(folder))
    elif network.preprocessing is not None:
        shutil.copytree(network.preprocessing, folder / PREPROCESSING_FOLDER)
