"""The EdgeBundler node: packs a model for devices into a bundle that they can check."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from tfx_loop.core.artifacts import EdgeTpuReport
from tfx_loop.core.errors import ConfigError
from tfx_loop.edge.edge_bundler.executor import Executor


class EdgeBundlerSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of EdgeBundler; lists travel as JSON."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "name": component_spec.ExecutionParameter(type=str),
        "labels": component_spec.ExecutionParameter(type=str),
        "golden_rows": component_spec.ExecutionParameter(type=int),
        "cpu_steps": component_spec.ExecutionParameter(type=float),
        "edge_tpu_steps": component_spec.ExecutionParameter(type=float),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "edgetpu_report": component_spec.ChannelParameter(type=EdgeTpuReport, optional=True),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "bundle": component_spec.ChannelParameter(type=standard_artifacts.Model),
    }


class EdgeBundler(base_component.BaseComponent):
    """Packs CPU model, compiled model, labels, golden answers and digests for devices.

    Outputs:
        bundle: A Model whose `Format-Serving` is the bundle; its CPU model is `tflite`, so that
            Evaluator judges the very bytes that ship. Custom properties: bundle_digest, compiled
            (1 or 0), golden_rows, variant.
    """

    SPEC_CLASS = EdgeBundlerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: channel.BaseChannel,
        examples: channel.BaseChannel,
        name: str,
        edgetpu_report: channel.BaseChannel | None = None,
        labels: Sequence[str] = (),
        golden_rows: int = 8,
        cpu_steps: float = 1.0,
        edge_tpu_steps: float = 8.0,
    ) -> None:
        """Declares the node.

        Args:
            model: `edgetpu_model` of EdgeTPUCompiler, or any int8 TFLite Model.
            examples: Examples from which the golden requests are taken: their features are the
                model's inputs.
            name: What the bundle is called on devices.
            edgetpu_report: Report of EdgeTPUCompiler: names the minimum runtime and the compiler.
            labels: Names of the classes in order; empty takes those packed into the model, if any.
            golden_rows: How many rows each device asks before it uses a version.
            cpu_steps: How far a device's CPU may be off, in quantisation steps of the output.
            edge_tpu_steps: How far its Edge TPU may be off.

        Raises:
            ConfigError: The bundle has no name, or no golden row.
        """
        if not name or golden_rows < 1:
            raise ConfigError(
                f"Expected a name and golden_rows of at least 1, received {name!r} and "
                f"{golden_rows}."
            )
        super().__init__(
            spec=EdgeBundlerSpec(
                model=model,
                examples=examples,
                **({} if edgetpu_report is None else {"edgetpu_report": edgetpu_report}),
                bundle=channel.Channel(type=standard_artifacts.Model),
                name=name,
                labels=json.dumps(list(labels)),
                golden_rows=golden_rows,
                cpu_steps=float(cpu_steps),
                edge_tpu_steps=float(edge_tpu_steps),
            )
        )
