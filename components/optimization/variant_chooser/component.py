"""The VariantChooser node: takes the best of the variants that passed the gate."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from tfx_loop.core.artifacts import OptimizationReport
from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.variant_chooser.choice import parse_target
from tfx_loop.optimization.variant_chooser.executor import MOST_VARIANTS, Executor


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One variant as the pipeline knows it.

    Attributes:
        name: Such as `float` or `quantized`.
        model: Channel of the Model.
        blessing: Channel of its ModelBlessing, when it was evaluated.
        report: Channel of its optimiser's OptimizationReport, when there is one.
    """

    name: str
    model: channel.BaseChannel
    blessing: channel.BaseChannel | None = None
    report: channel.BaseChannel | None = None


def _inputs() -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for number in range(1, MOST_VARIANTS + 1):
        for name, kind, optional in (
            (f"model_{number}", standard_artifacts.Model, number > 1),
            (f"blessing_{number}", standard_artifacts.ModelBlessing, True),
            (f"report_{number}", OptimizationReport, True),
        ):
            inputs[name] = component_spec.ChannelParameter(type=kind, optional=optional)
    return inputs


class VariantChooserSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of VariantChooser.

    A channel holds one artifact on every runner, so the variants come in numbered channels.
    """

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "names": component_spec.ExecutionParameter(type=str),
        "target": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, Any]] = _inputs()
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "optimization_report": component_spec.ChannelParameter(type=OptimizationReport),
    }


class VariantChooser(base_component.BaseComponent):
    """Chooses the smallest or fastest of the variants that passed.

    Outputs: `model`, a copy of the chosen one (property `variant`); `model_blessing`, so that a
    pusher holds back when none passed; `optimization_report`, with a reason for every variant.
    """

    SPEC_CLASS = VariantChooserSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, variants: Sequence[Variant], target: str = "smallest") -> None:
        """Declares the node.

        Args:
            variants: One to six; first the model that the others were made from. It wins a tie, and
                when its blessing is refused, none is deployed.
            target: `smallest` or `fastest`.

        Raises:
            ConfigError: Too many variants or none, two of one name, or an unknown target.
        """
        names = [variant.name for variant in variants]
        if not 1 <= len(names) <= MOST_VARIANTS or len(set(names)) < len(names):
            raise ConfigError(
                f"Expected 1 to {MOST_VARIANTS} variants with names of their own, received {names}."
            )
        inputs: dict[str, Any] = {}
        for number, variant in enumerate(variants, start=1):
            inputs[f"model_{number}"] = variant.model
            if variant.blessing is not None:
                inputs[f"blessing_{number}"] = variant.blessing
            if variant.report is not None:
                inputs[f"report_{number}"] = variant.report
        super().__init__(
            spec=VariantChooserSpec(
                **inputs,
                model=channel.Channel(type=standard_artifacts.Model),
                model_blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
                optimization_report=channel.Channel(type=OptimizationReport),
                names=json.dumps(names),
                target=parse_target(target).value,
            )
        )
