"""Settings of PredictionLogGen and LabelJoiner."""

from dataclasses import dataclass, field

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.settings import NodeSettings, wide


@dataclass(frozen=True, kw_only=True)
class PredictionLogGenSettings(NodeSettings):
    """Which window of which model's log is read.

    Attributes:
        log_dir: The folder or URI that the servers were given as `--prediction_log`; none where an
            `inference_result` or a `capture` is read.
        model_name: The name that the model is served under.
        window: Name of the window, such as "2013-03".
        start_ms: Begin of the window, milliseconds UTC.
        end_ms: End of the window, exclusive.
        log_key: File of the keys that the log is encrypted with, the servers'
            `--prediction_log_key`; empty for a plain log.
        capture: SageMaker's captures in place of a log: their prefix, such as
            `s3://BUCKET/PREFIX/ENDPOINT`, or a `CaptureSource` that says more. `inferenceTime`
            decides which lines are of the window.
    """

    log_dir: str = ""
    model_name: str
    window: str
    start_ms: int = field(metadata=wide())
    end_ms: int = field(metadata=wide())
    log_key: str = ""
    capture: CaptureSource | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_ms <= self.end_ms:
            raise ConfigError(
                f"Expected 0 <= start_ms <= end_ms, received {self.start_ms} and {self.end_ms}."
            )


@dataclass(frozen=True, kw_only=True)
class LabelJoinerSettings(NodeSettings):
    """Where labels lie, and by when they must have arrived.

    Attributes:
        labels_dir: Folder or URI with Parquet files of `request_id`, `instance_index`, `label` and
            `label_time_ms`, or SageMaker's ground truth as yyyy/mm/dd/HH/*.jsonl.
        as_of_ms: Only labels that had arrived by then are seen, milliseconds UTC; None takes all.
        task: What the labels are, as ReferenceProfiler takes it: with classes they may be names or
            lists (one-hot rows, sets of labels); None for numbers alone.
        corrections: Of labels for one row that disagree, the latest counts that had arrived, and
            not the earliest.
    """

    labels_dir: str
    as_of_ms: int | None = field(default=None, metadata=wide())
    task: ModelTask | None = None
    corrections: bool = False
