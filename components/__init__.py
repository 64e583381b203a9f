"""The public names of tfx-loop: TFX nodes, their artifact types, and what needs no pipeline.

Importing this package is light: a name is loaded when it is first asked for. The artifact classes
must be reachable here, because the Kubeflow V2 container imports the string `tfx_loop.ClassName`.
It leaves the process of whoever imports it alone: which Keras `tf.keras` is there is theirs to
choose. What needs Keras 2 runs in child processes (core/child_process), which set it themselves.
Editors and type checkers read `__init__.pyi`, which is written from the nodes' declarations.
"""

import importlib
from typing import Any

_HOMES = {
    "Distiller": "tfx_loop.optimization.distiller.component",
    "DriftMonitor": "tfx_loop.monitoring.drift_monitor.component",
    "DriftReport": "tfx_loop.core.artifacts",
    "EdgeBundler": "tfx_loop.edge.edge_bundler.component",
    "EdgeTPUCompiler": "tfx_loop.edge.edgetpu_compiler.component",
    "EdgeTpuReport": "tfx_loop.core.artifacts",
    "FaultDetector": "tfx_loop.monitoring.fault_detector.component",
    "FaultReport": "tfx_loop.core.artifacts",
    "LabelJoiner": "tfx_loop.data.prediction_log.label_joiner",
    "MembershipReport": "tfx_loop.core.artifacts",
    "OptimizationReport": "tfx_loop.core.artifacts",
    "PredictionLog": "tfx_loop.core.artifacts",
    "PredictionLogGen": "tfx_loop.data.prediction_log.component",
    "PrivacyReport": "tfx_loop.monitoring.privacy_report.component",
    "Pruner": "tfx_loop.optimization.pruner.component",
    "QualityMonitor": "tfx_loop.monitoring.quality_monitor.component",
    "Quantizer": "tfx_loop.optimization.quantizer.component",
    "ReferenceProfile": "tfx_loop.core.artifacts",
    "ReferenceProfiler": "tfx_loop.monitoring.reference_profiler.component",
    "RetrainDecider": "tfx_loop.monitoring.retrain_decider.component",
    "RetrainDecision": "tfx_loop.core.artifacts",
    "SageMakerPusher": "tfx_loop.deployment.sagemaker_pusher.component",
    "ServingPusher": "tfx_loop.deployment.serving_pusher.component",
    "SkewMonitor": "tfx_loop.monitoring.skew_monitor.component",
    "SkewReport": "tfx_loop.core.artifacts",
    "SpanExampleGen": "tfx_loop.data.span_example_gen.component",
    "Variant": "tfx_loop.optimization.variant_chooser.component",
    "VariantChooser": "tfx_loop.optimization.variant_chooser.component",
}

# The loop around a pipeline of the user's own: no node, and stated in Python or in loop.toml.
_LOOP = {
    "Days": "tfx_loop.pipelines.control.windows",
    "Every": "tfx_loop.pipelines.control.windows",
    "Labels": "tfx_loop.pipelines.control.label_timing",
    "Loop": "tfx_loop.pipelines.loop",
    "Months": "tfx_loop.pipelines.control.windows",
    "Serving": "tfx_loop.pipelines.loop_settings",
}
# What needs no pipeline.
_FUNCTIONS = {
    "compress": "tfx_loop.optimization.file_compression.python_api",
    "monitor": "tfx_loop.monitoring.file_comparison.python_api",
    **_LOOP,
}

__all__ = sorted([*_HOMES, *_FUNCTIONS])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Read when asked for: the metadata of the installed packages take 20 ms to open.
        from importlib.metadata import version

        return version("tfx-loop")
    home = _HOMES.get(name) or _FUNCTIONS.get(name)
    if home is None:
        raise AttributeError(f"module 'tfx_loop' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
