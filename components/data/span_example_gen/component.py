"""The TFX node that turns spans of Parquet into Examples."""

from collections.abc import Iterable
from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import RetrainDecision, Scalars
from tfx_loop.core.node import Input
from tfx_loop.core.source_node import SourceDriver, SourceNode
from tfx_loop.data.span_example_gen.executor import Executor, span_files
from tfx_loop.data.span_example_gen.settings import SpanExampleGenSettings


class SpanDriver(SourceDriver):
    """Driver of SpanExampleGen."""

    def files(self, properties: Scalars) -> Iterable[str]:
        """Returns the files of the spans."""
        return span_files(SpanExampleGenSettings.from_properties(properties))


class SpanExampleGen(SourceNode):
    """Reads one Parquet file a span (a month, a day) and writes them as one Examples artifact.

    Stock ExampleGen reads one span at a run, and each run costs a Beam pipeline; a training over
    ten months would read each month ten times. This node reads the spans given, in seconds and
    without Beam. A row's split depends on its key alone: a row that was held out once stays held
    out in every later training. So does a group (a day, a machine, an account) where one is named:
    quality is overestimated when rows that share their luck stand on both sides. With a cache,
    spans that were written again are read again.

    Inputs:
        decision: The `RetrainDecision` that asked for this training, if one did. It is not read:
            it is an input so that lineage can say why the model exists.

    Outputs:
        examples: `Examples` (gzipped TFRecords of tf.Examples, splits `train` and `eval`) with the
            custom properties `spans` (such as "1,2,3") and `rows`.

    Example:
        example_gen = SpanExampleGen(
            input_base="/srv/spans", spans="1,2,3", key_column="trip_id", label_column="tips"
        )
    """

    SETTINGS = SpanExampleGenSettings
    INPUTS: ClassVar = {"decision": Input(RetrainDecision, optional=True)}
    OUTPUTS: ClassVar = {"examples": standard_artifacts.Examples}
    DRIVER_CLASS = SpanDriver
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
