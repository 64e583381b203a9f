"""Runs Quantizer: a model and Examples in, a .tflite and the report out."""

import logging
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from tfx import types
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
from tfx_loop.core.inputs import single, split_uris
from tfx_loop.models.formats import SERVING_FOLDER, detect, keras_model_of
from tfx_loop.models.guard.settings import allowing
from tfx_loop.optimization.quantizer.ladder import SearchResult, search
from tfx_loop.optimization.quantizer.report import report_of
from tfx_loop.optimization.quantizer.request import SearchRequest, request_of
from tfx_loop.optimization.quantizer.settings import QuantizerSettings
from tfx_loop.optimization.reporting import facts

TFLITE_FILE = "tflite"  # TFMA's name
_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Executor of Quantizer."""

    @allowing
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Quantises the model given; see Quantizer."""
        settings = QuantizerSettings.from_properties(exec_properties)
        source = single(input_dict, "parent")
        model = artifact_utils.get_single_instance(output_dict["model"])
        written = artifact_utils.get_single_instance(output_dict["optimization_report"])
        folder = Path(path_utils.serving_model_dir(model.uri))
        with Worker(
            timeout_seconds=settings.timeout_seconds, memory_mb=settings.memory_mb
        ) as worker:
            request = request_of(
                settings,
                source=detect(source.uri),
                keras=keras_model_of(source.uri),
                split_uris=lambda splits: split_uris(input_dict["examples"], splits),
                worker=worker,
            )
            result = search(request, worker, folder / TFLITE_FILE, _progress)
            told = _report(settings, request, result, worker)
            if result.chosen is None:
                _pass_on(settings, request, worker, source, folder)
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


def _report(
    settings: QuantizerSettings, request: SearchRequest, result: SearchResult, worker: Worker
) -> OptimizationResult:
    models = {
        "parent": facts.MeasuredModel(
            path=str(request.source.path), signature=request.signature, shown_path=SERVING_FOLDER
        )
    }
    if result.chosen is not None:
        models["child"] = facts.MeasuredModel(
            path=str(result.path),
            mode=result.chosen.mode,
            shown_path=os.path.join(SERVING_FOLDER, TFLITE_FILE),
        )
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch) / "rows.npz"
        request.calibration.save_inputs(rows)
        known = facts.facts_of(worker, models, str(rows))
    return report_of(
        result,
        parent=known["parent"],
        child=known.get("child"),
        budget=request.budget,
        rows={"calibration": len(request.calibration), "choosing": len(request.choosing)},
        settings=settings.to_json(),
        notes=request.notes,
    )


def _pass_on(
    settings: QuantizerSettings,
    request: SearchRequest,
    worker: Worker,
    source: types.Artifact,
    folder: Path,
) -> None:
    """Leaves the float .tflite, or the model as it came where the converter refuses that too."""
    unlimited = replace(request, budget=None, search=settings.float_only())
    if search(unlimited, worker, folder / TFLITE_FILE).chosen is None:
        io_utils.copy_dir(path_utils.serving_model_dir(source.uri), str(folder))
