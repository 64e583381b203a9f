"""What do the nodes that train further take and give alike, in TFX's words?"""

from typing import Any, ClassVar

from tfx.types import component_spec, standard_artifacts

from tfx_loop.core.artifacts import OptimizationReport


class FineTuningSpec(component_spec.ComponentSpec):
    """Inputs, outputs and execution properties; each node adds the model that it starts from."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "settings": component_spec.ExecutionParameter(type=str),
        "label_key": component_spec.ExecutionParameter(type=str, optional=True),
        "eval_config": component_spec.ExecutionParameter(type=str, optional=True),
        "metric": component_spec.ExecutionParameter(type=str, optional=True),
        "max_metric_drop": component_spec.ExecutionParameter(type=float, optional=True),
        "max_slice_drop": component_spec.ExecutionParameter(type=float, optional=True),
        "export_fn": component_spec.ExecutionParameter(type=str, optional=True),
        "training_splits": component_spec.ExecutionParameter(type=str),
        "reporting_splits": component_spec.ExecutionParameter(type=str),
        "timeout_seconds": component_spec.ExecutionParameter(type=int),
        "memory_mb": component_spec.ExecutionParameter(type=int),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": component_spec.ChannelParameter(
            type=standard_artifacts.TransformGraph, optional=True
        ),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "optimization_report": component_spec.ChannelParameter(type=OptimizationReport),
    }
