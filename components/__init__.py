"""Which names does tfx-loop offer to a TFX pipeline?

Importing this package is light: a name is loaded when it is first asked for. The artifact classes
must be reachable here, because the Kubeflow V2 container imports the string `components`.
"""

import importlib
import os
from typing import Any

# TFMOT and TensorFlow Transform know Keras 2 alone; whoever imports TensorFlow first decides.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

_HOMES = {
    "Distiller": "components.distiller.component",
    "DriftMonitor": "components.drift_monitor.component",
    "DriftReport": "components.artifacts",
    "EdgeBundler": "components.edge_bundler.component",
    "EdgeTPUCompiler": "components.edgetpu_compiler.component",
    "EdgeTpuReport": "components.artifacts",
    "LabelJoiner": "components.prediction_log.label_joiner",
    "OptimizationReport": "components.artifacts",
    "PredictionLog": "components.artifacts",
    "PredictionLogGen": "components.prediction_log.component",
    "Pruner": "components.pruner.component",
    "QualityMonitor": "components.quality_monitor.component",
    "Quantizer": "components.quantizer.component",
    "ReferenceProfile": "components.artifacts",
    "ReferenceProfiler": "components.reference_profiler.component",
    "RetrainDecider": "components.retrain_decider.component",
    "RetrainDecision": "components.artifacts",
    "ServingPusher": "components.serving_pusher.component",
    "SkewMonitor": "components.skew_monitor.component",
    "SkewReport": "components.artifacts",
    "SpanExampleGen": "components.span_example_gen.component",
    "Variant": "components.variant_chooser.component",
    "VariantChooser": "components.variant_chooser.component",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'components' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
