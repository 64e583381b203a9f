"""An int8 model compiled where the compiler is, and checked by the rules elsewhere."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfx_loop.contracts.edgetpu_report import EdgeTpuResult
from tfx_loop.core.errors import ConfigError, ModelError
from tfx_loop.edge.edgetpu_compiler.rewrite.preparation import prepare
from tfx_loop.edge.edgetpu_compiler.rules.analyser import analyse
from tfx_loop.edge.edgetpu_compiler.rules.analysis_report import report_of_analysis
from tfx_loop.edge.edgetpu_compiler.settings import CompilerSettings
from tfx_loop.edge.edgetpu_compiler.toolchain.compilation import compile_models
from tfx_loop.edge.edgetpu_compiler.toolchain.compiler import HOW_TO_GET, find
from tfx_loop.edge.edgetpu_compiler.toolchain.compiler_report import report_of_compilation
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.guard import guard
from tfx_loop.models.tflite.reading import read_model

_EIGHT_BITS = ("INT8", "UINT8")


@dataclass(frozen=True, kw_only=True)
class EdgeTpuModel:
    """A model for devices with an Edge TPU.

    Attributes:
        source: The checked int8 model, prepared when that was asked for.
        compiled: The compiled one; None where there is no compiler.
        companions: Compiled models that share the chip's memory with it.
        report: What is known of it, and who says so.
    """

    source: Path
    compiled: Path | None
    companions: tuple[Path, ...]
    report: EdgeTpuResult


def compile_or_check(
    model: Path,
    folder: Path,
    settings: CompilerSettings,
    *,
    require_compiler: bool,
    prepared: bool = True,
    companions: Sequence[Path] = (),
) -> EdgeTpuModel:
    """Checks a model, compiles it where the compiler is, and reports.

    Args:
        model: A .tflite file of int8 or uint8.
        folder: Where the files are written.
        settings: How the compiler is found and run, and what counts as success.
        require_compiler: Whether it is an error that there is none.
        prepared: Whether the exact rewrites of `preparation.py` are made first.
        companions: Other int8 models to co-compile with it.

    Raises:
        ModelError: The model is no int8 model, or too little of it maps.
        ConfigError: There is no compiler and one is required.
        ChildFailed: The compiler failed; a compiler that is there and fails is never passed over.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "model.tflite"
    content, rewrites = _prepared(_checked(model), prepared)
    source.write_bytes(content)
    # Of the prepared model, which is what the compiler gets.
    analysis = analyse(content)
    told = {
        **dataclasses.asdict(settings),
        "require_compiler": require_compiler,
        "prepare": prepared,
    }
    compiler = find(settings)
    if compiler is None:
        if require_compiler:
            raise ConfigError(
                f"Expected edgetpu_compiler on the PATH, found none. {HOW_TO_GET} The analyser "
                f"expects {analysis.mapped_share:.0%} of the operators to map."
            )
        share = settings.min_mapped_share
        report = report_of_analysis(analysis, minimum_share=share, rewrites=rewrites, settings=told)
        return EdgeTpuModel(source=source, compiled=None, companions=(), report=report)
    compilation = compile_models([source, *companions], folder, compiler, settings)
    # In the order given: the model itself first.
    own, *others = compilation.models
    report = report_of_compilation(
        compilation,
        own,
        analysis,
        minimum_share=settings.min_mapped_share,
        rewrites=rewrites,
        settings=told,
    )
    return EdgeTpuModel(
        source=source,
        compiled=own.path,
        companions=tuple(other.path for other in others),
        report=report,
    )


def _prepared(content: bytes, prepared: bool) -> tuple[bytes, tuple[str, ...]]:
    """Returns the model after the exact rewrites, and what they are."""
    if not prepared:
        return content, ()
    done = prepare(content)
    return done.content, tuple(str(rewrite) for rewrite in done.rewrites)


def _checked(path: Path) -> bytes:
    """Returns the bytes of an int8 model."""
    guard.check(ModelFile(path, Format.TFLITE))
    model = read_model(path)
    if model.compiled:
        raise ModelError(
            f"Expected an int8 model in {path}, received one that is compiled already. Give the "
            "model that it was compiled from."
        )
    quantised = [
        tensor for tensor in model.main.tensors if tensor.type in _EIGHT_BITS and tensor.scales
    ]
    # Quantised weights alone are a dynamic-range model, whose activations are floats.
    if not any(not tensor.is_constant for tensor in quantised):
        raise ModelError(
            f"Expected an int8 model in {path}, received one that computes in floats. Quantise it "
            "first: Quantizer with target edge_tpu."
        )
    return path.read_bytes()
