"""The order of an import of other servers' logs, and its counts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.core.errors import ConfigError
from tfx_loop.data.prediction_log.record import check_model_name

TF_SERVING, KSERVE, SAGEMAKER = "tf-serving", "kserve", "sagemaker"
GATEWAY = "gateway"
KINDS = (TF_SERVING, KSERVE, SAGEMAKER, GATEWAY)


@dataclass(frozen=True, kw_only=True)
class ImportOrder:
    """What is imported, and where to.

    Attributes:
        kind: `tf-serving`, `kserve`, `sagemaker` or `gateway`.
        files: Patterns of files; of captures folders and `s3://` or `gs://` prefixes, too.
        log_dir: The prediction log.
        model_name: Name that the rows get; of a gateway's calls also the model that is wanted.
        default_time_ms: Time of calls whose log has none, UTC; None rejects them.
        feature_names: What columns without names are called: those of CSV, of plain lists, and of
            the one matrix that a model takes.
        output_names: What the one output of a gateway's REST answers is called.
        capture: What SageMaker's captures leave unsaid; its prefix is each of `files`.
        key_file: File of keys that the log is encrypted with; empty for a plain log.
    """

    kind: str
    files: Sequence[str]
    log_dir: str
    model_name: str
    default_time_ms: int | None = None
    feature_names: Sequence[str] = ()
    output_names: Sequence[str] = ()
    capture: CaptureSource | None = None
    key_file: str = ""

    def __post_init__(self) -> None:
        check_model_name(self.model_name)
        if self.kind not in KINDS or not self.files:
            raise ConfigError(
                f"Expected files of one of {', '.join(KINDS)}, received {self.kind!r} and "
                f"{len(self.files)} patterns."
            )


@dataclass(frozen=True, kw_only=True)
class ImportCounts:
    """What became of the records.

    Attributes:
        rows: Rows that were written.
        rejected: Records that did not become rows, by reason.
        copies: Files that were left out, as another one has their content.
    """

    rows: int
    rejected: dict[str, int] = field(default_factory=dict)
    copies: int = 0
