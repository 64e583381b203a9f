"""The TFX node that turns spans of Parquet into Examples."""

from typing import Any, ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration import data_types
from tfx.types import component_spec, standard_artifacts

from tfx_loop.core.artifacts import RetrainDecision
from tfx_loop.data.span_example_gen import executor


class SpanExampleGenSpec(component_spec.ComponentSpec):
    """Inputs, outputs and execution properties of SpanExampleGen."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "input_base": component_spec.ExecutionParameter(type=str),
        "pattern": component_spec.ExecutionParameter(type=str),
        "spans": component_spec.ExecutionParameter(type=str),
        "key_column": component_spec.ExecutionParameter(type=str),
        "group_column": component_spec.ExecutionParameter(type=str, optional=True),
        "label_column": component_spec.ExecutionParameter(type=str),
        "eval_fraction": component_spec.ExecutionParameter(type=float),
        "seed": component_spec.ExecutionParameter(type=int),
        "keep_key": component_spec.ExecutionParameter(type=int, optional=True),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "decision": component_spec.ChannelParameter(type=RetrainDecision, optional=True),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class SpanExampleGen(base_component.BaseComponent):
    """Reads one Parquet file a span and writes them as one Examples artifact.

    Stock ExampleGen reads one span at a run, and each run costs a Beam pipeline; a training over
    ten months would read each month ten times. This node reads the spans given, splits by a hash
    of the row's key or group, and ends in seconds.

    Inputs:
        decision: The `RetrainDecision` that asked for this training, if one did. It is not read:
            it is an input so that lineage can say why the model exists.

    Outputs:
        examples: `Examples` (gzipped TFRecords of tf.Examples, splits `train` and `eval`) with the
            custom properties `spans` (such as "1,2,3") and `rows`.
    """

    SPEC_CLASS = SpanExampleGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        input_base: str | data_types.RuntimeParameter,
        spans: str | data_types.RuntimeParameter,
        key_column: str,
        group_column: str = "",
        label_column: str = "",
        pattern: str = "span-{SPAN:02d}.parquet",
        eval_fraction: float = 0.2,
        seed: int = 0,
        keep_key: bool = False,
        decision: types.BaseChannel | None = None,
    ) -> None:
        """Builds the node.

        Args:
            input_base: Folder or URI that holds the spans.
            spans: Which spans to read, such as "1,2,3".
            key_column: Column that identifies a row; it decides the split and is then dropped.
            group_column: Column that decides the split in place of the key, and is dropped, too:
                rows of one value (a day, a machine, an account) are held out together. Empty
                splits row by row.
            label_column: Rows without this label are left out; empty keeps all.
            pattern: File name of a span below `input_base`, with `{SPAN}`.
            eval_fraction: Share of the rows held out.
            seed: Another seed holds out other rows.
            keep_key: Keep the key in the examples, for SkewMonitor to find rows by. Keep the model
                from it: leave it out of the schema that Transform reads.
            decision: The decision to retrain, if this run answers one.
        """
        super().__init__(
            spec=SpanExampleGenSpec(
                input_base=input_base,
                pattern=pattern,
                spans=spans,
                key_column=key_column,
                group_column=group_column,
                label_column=label_column,
                eval_fraction=eval_fraction,
                seed=seed,
                keep_key=int(keep_key),
                decision=decision,
                examples=types.Channel(type=standard_artifacts.Examples),
            )
        )
