"""The VariantChooser node: takes the best of the variants that passed the gate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import channel, standard_artifacts

from tfx_loop.core.artifacts import OptimizationReport
from tfx_loop.core.node import Input, Node
from tfx_loop.optimization.variant_chooser.choice import ChoiceTarget
from tfx_loop.optimization.variant_chooser.executor import Executor
from tfx_loop.optimization.variant_chooser.settings import MOST_VARIANTS, VariantChooserSettings


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One variant as the pipeline knows it.

    Attributes:
        name: Such as `float` or `quantized`.
        model: Channel of the Model.
        blessing: Channel of its ModelBlessing, when it was evaluated.
        report: Channel of its optimiser's OptimizationReport, when there is one. A variant with
            neither blessing nor report is never chosen, save the first.
    """

    name: str
    model: channel.BaseChannel
    blessing: channel.BaseChannel | None = None
    report: channel.BaseChannel | None = None


def _numbered_inputs() -> dict[str, Input]:
    """Returns an input for each part of each variant: a channel holds one artifact everywhere."""
    inputs: dict[str, Input] = {}
    for number in range(1, MOST_VARIANTS + 1):
        inputs[f"model_{number}"] = Input(standard_artifacts.Model, optional=number > 1)
        inputs[f"blessing_{number}"] = Input(standard_artifacts.ModelBlessing, optional=True)
        inputs[f"report_{number}"] = Input(OptimizationReport, optional=True)
    return inputs


class VariantChooser(Node):
    """Chooses the smallest or fastest of the variants that passed the gate.

    The first is what the others were made from: it stays when no other is better, and when its own
    gate refused it, none is deployed. Another one needs a blessing, or a report that it keeps to
    its optimiser's budget. For `fastest` all are timed here, in turns, and where the first cannot
    be (it takes tf.Examples alone), it stays.

    `tfx_loop.pipelines.compression.compression` puts Distiller, Pruner, Quantizer, an Evaluator for
    each variant and the chooser together, any of the optimisers left out.
    `tfx_loop.pipelines.evaluation.variant_evaluator.VariantEvaluator` judges a variant as Evaluator
    does, by the same eval_config, and blesses it so that no LatestBlessedModel resolver takes it
    for the next baseline. It judges a TFLite variant, behind its preprocessing where it has one,
    beside the float SavedModel, which stock TFMA refuses.

    Outputs:
        model: A copy of the chosen one; custom properties `variant` and `chosen_from`.
        model_blessing: `ModelBlessing`, not blessed when nothing passed, so that a pusher holds
            back; its `current_model_id` is that of the first, which stays the baseline of
            LatestBlessedModel, and `variant_model_id` that of a variant that is passed on.
        optimization_report: `OptimizationReport` with a reason for every variant.

    Example:
        gate, report = evaluator.outputs["blessing"], quantizer.outputs["optimization_report"]
        float_model = Variant(name="float", model=trainer.outputs["model"], blessing=gate)
        small = Variant(name="quantized", model=quantizer.outputs["model"], report=report)
        chooser = VariantChooser(variants=[float_model, small])
    """

    SETTINGS = VariantChooserSettings
    INPUTS: ClassVar = _numbered_inputs()
    OUTPUTS: ClassVar = {
        "model": standard_artifacts.Model,
        "model_blessing": standard_artifacts.ModelBlessing,
        "optimization_report": OptimizationReport,
    }
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self, *, variants: Sequence[Variant], target: str = ChoiceTarget.SMALLEST.value
    ) -> None:
        """Declares the node.

        Args:
            variants: One to six; first the model that the others were made from. It wins a tie, and
                when its blessing is refused, none is deployed.
            target: `smallest` or `fastest`.

        Raises:
            ConfigError: Too many variants or none, two of one name, or an unknown target.
        """
        channels: dict[str, channel.BaseChannel | None] = {}
        # The settings refuse more names in a sentence; an unknown input would be a TypeError
        # before.
        for number, variant in enumerate(variants[:MOST_VARIANTS], start=1):
            channels[f"model_{number}"] = variant.model
            channels[f"blessing_{number}"] = variant.blessing
            channels[f"report_{number}"] = variant.report
        names = tuple(variant.name for variant in variants)
        super().__init__(names=names, target=target, **channels)
