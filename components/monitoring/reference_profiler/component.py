"""The ReferenceProfiler node: freezes what a model was trained on, for monitoring."""

from collections.abc import Collection
from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import ReferenceProfile
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.node import Input, Node
from tfx_loop.monitoring.reference_profiler.executor import Executor
from tfx_loop.monitoring.reference_profiler.settings import ReferenceProfilerSettings


class ReferenceProfiler(Node):
    """Freezes what a model was trained on: bins, exact counts and a seeded sample.

    A number has bins of equal mass, a text its top categories, with exact counts; texts are
    profiled by length and words, too, lists by length and values. Beside them stand the histogram
    of the model's scores with the labels by bin, permutation importances, and a seeded sample of
    training rows. The training rows are also counted by day and by slice, so that DriftMonitor can
    tell a season from a drift.

    Inputs:
        examples: Gzipped TFRecords of tf.Examples that the model was trained on.
        schema: With it only the schema's features are read.
        model: The model trained on them; it ties the profile to the model in the lineage.

    Outputs:
        reference_profile: `ReferenceProfile`: `reference_profile.json`, `training_sample.parquet`,
            `training_counts.packed` (counts by day and by slice), and the custom properties `rows`,
            `label` and `spans`.

    Example:
        profiler = ReferenceProfiler(
            examples=example_gen.outputs["examples"], schema=schema_gen.outputs["schema"],
            model=trainer.outputs["model"], label_key="tips",
        )
    """

    SETTINGS = ReferenceProfilerSettings
    INPUTS: ClassVar = {
        "examples": Input(standard_artifacts.Examples),
        "schema": Input(standard_artifacts.Schema, optional=True),
        "model": Input(standard_artifacts.Model, optional=True),
    }
    OUTPUTS: ClassVar = {"reference_profile": ReferenceProfile}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    @classmethod
    def check(cls, settings: ReferenceProfilerSettings, inputs: Collection[str]) -> None:
        """Checks that there is a model to score with."""
        # Found when the pipeline is declared, and not after an hour of reading examples.
        if settings.score_signature and "model" not in inputs:
            raise ConfigError(
                f"score_signature {settings.score_signature!r} needs a model to score with. Give "
                "one, or leave score_signature empty."
            )
