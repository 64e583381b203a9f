"""The TFX node that joins late labels to logged predictions."""

from collections.abc import Iterable
from typing import ClassVar

from tfx.dsl.components.base import executor_spec

from tfx_loop.core.artifacts import PredictionLog, Scalars
from tfx_loop.core.bucket.trees import open_tree
from tfx_loop.core.node import Input
from tfx_loop.core.source_node import SourceDriver, SourceNode, digest_of
from tfx_loop.data.prediction_log.label_joiner_executor import Executor
from tfx_loop.data.prediction_log.labels import label_files
from tfx_loop.data.prediction_log.settings import LabelJoinerSettings


class LabelDriver(SourceDriver):
    """Driver of LabelJoiner."""

    def files(self, properties: Scalars) -> Iterable[str]:
        """Returns the files of labels."""
        return label_files(LabelJoinerSettings.from_properties(properties).labels_dir)

    def fingerprint(self, properties: Scalars) -> str:
        """Returns that of the files; those of S3 by their tags, as TensorFlow may not know it."""
        labels_dir = LabelJoinerSettings.from_properties(properties).labels_dir
        if labels_dir.startswith("s3://"):
            return digest_of(open_tree(labels_dir).below(""))
        return super().fingerprint(properties)


class LabelJoiner(SourceNode):
    """Adds the labels that have arrived to the rows of a window.

    They are joined by request id and place in the request. Unknown ids, duplicates and wrong types
    are counted, never fatal; where two labels disagree, the earlier counts, or with `corrections`
    the later. With a cache, labels that came since are joined.

    Inputs:
        prediction_log: The log of PredictionLogGen.

    Outputs:
        labelled_log: `PredictionLog` with the rows that have a label, and the columns `label` and
            `label_time_ms`; `window.json` counts what matched and what did not.

    Example:
        joiner = LabelJoiner(prediction_log=log.outputs["prediction_log"], labels_dir="/srv/labels")
    """

    SETTINGS = LabelJoinerSettings
    INPUTS: ClassVar = {"prediction_log": Input(PredictionLog)}
    OUTPUTS: ClassVar = {"labelled_log": PredictionLog}
    DRIVER_CLASS = LabelDriver
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
