"""Runs EdgeBundler: a model and Examples in, a bundle out."""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from tfx_loop.contracts.edgetpu_report import EDGETPU_REPORT, CompilerRun
from tfx_loop.core import storage
from tfx_loop.core.artifacts import Artifacts, Scalars, publish
from tfx_loop.core.errors import ModelError
from tfx_loop.core.inputs import sampled_split_uris, single, single_or_none
from tfx_loop.data.tables.several import read_first, read_serialized
from tfx_loop.edge.edge_bundle.bundle import (
    EDGE_TPU_MODEL,
    GOLDEN,
    Bundle,
    BundleParts,
    build_bundle,
)
from tfx_loop.edge.edge_bundle.golden import Tolerance
from tfx_loop.edge.edge_bundler.settings import EdgeBundlerSettings
from tfx_loop.edge.edgetpu_compiler.settings import COMPANIONS_FOLDER
from tfx_loop.models.fetching import fetch, local_folder, pass_on
from tfx_loop.models.formats import TFLITE_NAMES
from tfx_loop.models.guard.settings import allowing
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.preprocessing.folder import (
    PREPROCESSING_FOLDER,
    Preprocessing,
    preprocessing_of,
)
from tfx_loop.models.rows.fitting import rows_from_table


class Executor(base_executor.BaseExecutor):
    """Reads models, rows and report, writes the bundle."""

    @allowing
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Packs one bundle; see EdgeBundler."""
        settings = EdgeBundlerSettings.from_properties(exec_properties)
        signer = settings.signer()
        model = single(input_dict, "model")
        output = artifact_utils.get_single_instance(output_dict["bundle"])
        compiler = _compiler_run(single_or_none(input_dict, "edgetpu_report"))
        with tempfile.TemporaryDirectory(prefix="loop-bundle-") as scratch:
            cpu_model = fetch(model.uri, TFLITE_NAMES, Path(scratch) / "model.tflite")
            if cpu_model is None:
                raise ModelError(
                    f"Expected a .tflite model in {model.uri}, found none. Give EdgeBundler the "
                    "edgetpu_model of EdgeTPUCompiler."
                )
            compiled = _compiled(
                model, single_or_none(input_dict, "compiled_with"), settings, Path(scratch)
            )
            runtime = compiler.minimum_runtime if compiler else 0
            serving = local_folder(
                path_utils.serving_model_path(model.uri), Path(scratch) / "serving"
            )
            rows = _golden_rows(
                cpu_model, input_dict["examples"], settings.golden_rows, preprocessing_of(serving)
            )
            # Devices keep them: of redacted inputs they are nobody's.
            rows = {n: np.zeros_like(v) if n in settings.redact else v for n, v in rows.items()}
            parts = BundleParts(
                name=settings.name,
                cpu_model=cpu_model,
                edge_tpu_model=compiled,
                golden_rows=rows,
                labels=settings.labels,
                minimum_runtime={"edge_tpu": runtime} if compiled and runtime else {},
                compiler_version=compiler.version if compiled and compiler else "",
                tolerance=settings.part(Tolerance),
            )
            bundle = build_bundle(parts, Path(scratch) / "bundle", signer)
            _write(bundle, path_utils.serving_model_dir(output.uri))
            # For Evaluator; a device has no TensorFlow, and gives the network what it takes.
            pass_on(model.uri, PREPROCESSING_FOLDER, output.uri)
        _describe(output, bundle, model.get_string_custom_property("variant"))


def _compiled(
    model: types.Artifact,
    compiled_with: types.Artifact | None,
    settings: EdgeBundlerSettings,
    scratch: Path,
) -> Path | None:
    """Returns the compiled model; None where no compiler ran."""
    if compiled_with is None:
        return fetch(model.uri, (EDGE_TPU_MODEL,), scratch / EDGE_TPU_MODEL)
    if not compiled_with.get_int_custom_property("compiled"):
        return None
    name = f"companion_{settings.companion}_edgetpu.tflite"
    uri = os.path.join(compiled_with.uri, COMPANIONS_FOLDER, name)
    try:
        content = storage.read_bytes(uri)
    except FileNotFoundError as error:
        raise ModelError(
            f"Expected the companion {settings.companion} in {compiled_with.uri}, found none. Give "
            "the number of the input that EdgeTPUCompiler had it by."
        ) from error
    (scratch / EDGE_TPU_MODEL).write_bytes(content)
    return scratch / EDGE_TPU_MODEL


def _compiler_run(report: types.Artifact | None) -> CompilerRun | None:
    """Returns what came of the compiler; None where the analyser spoke or there is no report."""
    return EDGETPU_REPORT.read(report.uri).compiler if report else None


def _golden_rows(
    model: Path, examples: list[types.Artifact], count: int, preprocessing: Path | None
) -> dict[str, npt.NDArray[Any]]:
    uris, inputs = sampled_split_uris(examples), open_predictor(model).inputs
    first = read_first(uris, count)
    # Transformed Examples hold the network's inputs already.
    if preprocessing and not all(spec.name in first.column_names for spec in inputs):
        made = Preprocessing(preprocessing).columns(read_serialized(uris, count))
        return {spec.name: made[spec.name] for spec in inputs}
    return dict(rows_from_table(first, inputs, None).inputs)


def _write(bundle: Bundle, folder: str) -> None:
    # The manifest goes last: a folder that has it is whole.
    for name in bundle.files:
        content = (bundle.folder / name).read_bytes()
        storage.write_bytes(os.path.join(folder, name), content, private=name == GOLDEN)


def _describe(artifact: types.Artifact, bundle: Bundle, variant: str) -> None:
    properties: dict[str, int | float | str] = {
        "bundle_digest": f"sha256:{bundle.digest}",
        "compiled": int(bundle.manifest.edge_tpu_model is not None),
        "golden_rows": bundle.manifest.golden_rows,
    }
    if variant:
        properties["variant"] = variant
    publish(artifact, f"edge_bundle name={bundle.name}", properties)
