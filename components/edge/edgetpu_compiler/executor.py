"""Runs EdgeTPUCompiler: an int8 model in, the same model and perhaps its compiled twin out."""

import os
import tempfile
from pathlib import Path

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from tfx_loop.contracts.edgetpu_report import EDGETPU_REPORT
from tfx_loop.core import storage
from tfx_loop.core.artifacts import Artifacts, Scalars, publish, set_properties
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.errors import ModelError
from tfx_loop.core.inputs import single, single_or_none
from tfx_loop.edge.edgetpu_compiler.settings import (
    COMPANION_INPUTS,
    COMPANIONS_FOLDER,
    EdgeTPUCompilerSettings,
)
from tfx_loop.edge.edgetpu_compiler.toolchain.compile_or_check import EdgeTpuModel, compile_or_check
from tfx_loop.models.fetching import fetch, pass_on
from tfx_loop.models.formats import TFLITE_NAMES
from tfx_loop.models.guard.settings import allowing
from tfx_loop.models.preprocessing.folder import PREPROCESSING_FOLDER

COMPILED_NAME = "model_edgetpu.tflite"


class Executor(base_executor.BaseExecutor):
    """Reads the model, writes the models and the report."""

    @allowing
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Compiles or checks one model; see EdgeTPUCompiler."""
        settings = EdgeTPUCompilerSettings.from_properties(exec_properties)
        model = single(input_dict, "model")
        output = artifact_utils.get_single_instance(output_dict["edgetpu_model"])
        report = artifact_utils.get_single_instance(output_dict["edgetpu_report"])
        with tempfile.TemporaryDirectory(prefix="loop-edgetpu-node-") as scratch:
            result = compile_or_check(
                _fetched(model.uri, Path(scratch) / "model.tflite"),
                Path(scratch) / "out",
                settings,
                require_compiler=settings.require_compiler,
                prepared=settings.prepare,
                companions=[
                    *(Path(path) for path in settings.companions),
                    *_companions(input_dict, Path(scratch)),
                ],
            )
            # Within the scratch folder's life: the result's files lie there.
            _write_models(result, output.uri)
            # The checked model is judged and served as the one that came: behind its preprocessing.
            pass_on(model.uri, PREPROCESSING_FOLDER, output.uri)
        EDGETPU_REPORT.write(result.report, report.uri)
        variant = model.get_string_custom_property("variant")
        set_properties(
            output,
            {
                "compiled": int(result.compiled is not None),
                **({"variant": variant} if variant else {}),
            },
        )
        publish(report, "edgetpu_report", to_properties(result.report.properties))


def _companions(input_dict: Artifacts, scratch: Path) -> list[Path]:
    """Returns the files of the models that share the Edge TPU, called after their inputs."""
    given = {name: single_or_none(input_dict, name) for name in COMPANION_INPUTS}
    return [
        _fetched(model.uri, scratch / f"{name}.tflite") for name, model in given.items() if model
    ]


def _fetched(model_uri: str, target: Path) -> Path:
    """Returns the .tflite file of a Model, on this machine."""
    path = fetch(model_uri, TFLITE_NAMES, target)
    if path is None:
        raise ModelError(
            f"Expected a .tflite model in {path_utils.serving_model_path(model_uri)}, found none. "
            "Put Quantizer with target edge_tpu before EdgeTPUCompiler."
        )
    return path


def _write_models(result: EdgeTpuModel, output_uri: str) -> None:
    folder = path_utils.serving_model_dir(output_uri)
    storage.write_bytes(os.path.join(folder, TFLITE_NAMES[0]), result.source.read_bytes())
    if result.compiled is not None:
        storage.write_bytes(os.path.join(folder, COMPILED_NAME), result.compiled.read_bytes())
    for path in result.companions:
        storage.write_bytes(
            os.path.join(output_uri, COMPANIONS_FOLDER, path.name), path.read_bytes()
        )
