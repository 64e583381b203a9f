"""Evaluator of a variant: the same judgement, blessed so that no resolver makes it a baseline.

`blessed` stays 0 and `variant_blessed` says what came of it. VariantChooser and ServingPusher read
both; a stock Pusher reads `blessed`, which the blessing of VariantChooser has.
"""

from tfx.dsl.components.base import executor_spec

from tfx_loop.contracts.model_properties import BlessingProperties
from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.pipelines.evaluation import recording_evaluator


class VariantExecutor(recording_evaluator.Executor):
    """Executor of the recording Evaluator, whose blessing is a variant's."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Evaluates, then moves the verdict from `blessed` to `variant_blessed`."""
        super().Do(input_dict, output_dict, exec_properties)
        for blessing in output_dict.get("blessing", ()):
            passed = blessing.get_int_custom_property("blessed") == 1
            properties = BlessingProperties(blessed=False, variant_blessed=passed)
            set_properties(blessing, to_properties(properties))


class VariantEvaluator(recording_evaluator.Evaluator):
    """Evaluator for a model that was made from a trained one."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(VariantExecutor)
