"""The TFX node that prunes and clusters a model while it is trained further."""

from collections.abc import Collection
from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import OptimizationReport
from tfx_loop.core.node import Input, Node
from tfx_loop.optimization.fine_tuning.comparison import Acceptance
from tfx_loop.optimization.pruner.executor import Executor
from tfx_loop.optimization.pruner.settings import PrunerSettings


class Pruner(Node):
    """Makes weights zero, or share values, while the network is trained on with its own loss.

    Zeros are unstructured, 2:4 or in blocks; weights that share values are clustered. Works on the
    tf_keras model that the Trainer leaves beside its SavedModel (`Format-Keras/model.keras`), or
    where there is none on the layers and weights that are read off the SavedModel, as TFX's
    standard Trainers export it. Zeros are counted on the weights in the file that was written.
    Quantisation-aware training of Quantizer keeps the zeros and the clusters of what it gets.

    Inputs:
        model: The `Model` of a Trainer.
        examples: `Examples` as the SavedModel takes them, or with a feature for each input of the
            Keras file, such as transformed ones.
        transform_graph: Handed to `export_fn`; names the features that a network behind it takes,
            where the model has no signature `transform_features`.

    Outputs:
        model: `Model` with `Format-Serving/` under all of the parent's signatures (or those of
            `export_fn`), and `Format-Keras/model.keras`; custom property `variant`.
        optimization_report: `OptimizationReport` with the custom properties `technique`, `verdict`,
            `kept` (1 or 0, for conditions), `reason`, `variant`, `sparsity`, `metric_drop`,
            `size_bytes` and `zipped_bytes`.

    Example:
        pruner = Pruner(
            model=trainer.outputs["model"], examples=example_gen.outputs["examples"],
            label_key="tips", sparsity=0.5,
        )
    """

    SETTINGS = PrunerSettings
    INPUTS: ClassVar = {
        "parent": Input(standard_artifacts.Model, argument="model"),
        "examples": Input(standard_artifacts.Examples),
        "transform_graph": Input(standard_artifacts.TransformGraph, optional=True),
    }
    OUTPUTS: ClassVar = {
        "model": standard_artifacts.Model,
        "optimization_report": OptimizationReport,
    }
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    @classmethod
    def check(cls, settings: PrunerSettings, inputs: Collection[str]) -> None:
        """Says before any training by what the result would be judged."""
        if not settings.eval_config:  # Which is completed by its pipeline, and read when it runs.
            Acceptance.of(settings)
