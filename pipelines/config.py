"""Settings of the pipelines, and the one reader of environment variables.

Every setting is a field of a frozen dataclass that checks itself when made.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.contracts.task import BINARY, ModelTask
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.network import check_server_address

# FnApiRunner is known to every Beam of both lanes; DirectRunner first looks for a binary to
# download. The image is never used in process: naming one keeps TFX from building a source
# distribution of itself for every Beam node (2 to 3 s each).
LOCAL_BEAM_ARGS = ("--runner=FnApiRunner", "--sdk_container_image=unused-in-process")


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What is trained, by import path, so that no wheel is built of a module file.

    Attributes:
        name: Name under which the model is served.
        label: Label column.
        key_column: Column that identifies a row of a span; decides the split.
        run_fn: Import path of the Trainer function. It and `key_column` are empty where a pipeline
            of the user's own trains the model.
        preprocessing_fn: Import path of the Transform function; empty trains on examples as they
            are.
        schema_uri: Folder that holds the curated `schema.pbtxt`; empty infers one where Transform
            needs it.
        slice_feature: Feature by which quality and drift are sliced; empty slices by none.
        task: What the model answers, as `binary`, `classes:3`, `classes:red,green`, `labels:a,b`,
            `regression`, `regression:absolute`, `regression:quantile=0.9` or `regression:poisson`.
        score: Name of the model's output; empty where it has one.
        ignore_features: Columns that are no features (time, span).
        eval_fraction: Share of the rows held out from training.
        seed: Seed of splits, weights and samples.
        group_column: Column that decides the split in place of the key; empty splits row by row.
        row_keys: Columns of a span that name a row in the prediction log, too, as
            `TRAINING=SERVED` where the log calls it otherwise; empty leaves skew unseen.
        redact: Features whose values no report, page, log or golden row shows.
    """

    name: str
    label: str
    key_column: str = ""
    run_fn: str = ""
    preprocessing_fn: str = ""
    schema_uri: str = ""
    slice_feature: str = ""
    task: ModelTask | str = BINARY
    score: str = "probability"
    ignore_features: tuple[str, ...] = ("span", "event_time_ms")
    eval_fraction: float = 0.1
    seed: int = 0
    group_column: str = ""
    row_keys: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.task, str):
            object.__setattr__(self, "task", ModelTask.of_text(self.task))
        for name in ("preprocessing_fn", "run_fn"):
            if "." not in getattr(self, name) and getattr(self, name):
                raise ConfigError(
                    f"{name} must be an import path such as 'package.module.function', "
                    f"got {getattr(self, name)!r}."
                )
        if not 0 < self.eval_fraction < 1:
            raise ConfigError(
                f"eval_fraction must be between 0 and 1, both excluded, got {self.eval_fraction}."
            )

    @property
    def described(self) -> ModelTask:
        """The task, read."""
        assert isinstance(self.task, ModelTask)  # Texts were read when this was made.
        return self.task

    @property
    def slices(self) -> tuple[str, ...]:
        """Features to slice by."""
        return (self.slice_feature,) if self.slice_feature else ()


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """Where the model is served, and where its answers are logged.

    Attributes:
        base_path: Folder of the numbered versions that the server watches; of a SageMaker endpoint
            `s3://BUCKET/PREFIX` of its archives.
        server_url: REST address of the model server, such as `http://127.0.0.1:8501`.
        prediction_log: Folder of the server's prediction log.
        prediction_log_key: File of the keys that the log is encrypted with; empty for a plain log.
        load_timeout_seconds: How long a pushed version may take to become available.
        capture: SageMaker's captures in place of `prediction_log`. Names and versions that it lacks
            come from the model and from the deployment record.
        endpoint: Parameters of SageMakerPusher, which then pushes in place of ServingPusher.
    """

    base_path: str
    server_url: str = ""
    prediction_log: str = ""
    prediction_log_key: str = ""
    load_timeout_seconds: int = 120
    capture: CaptureSource | None = None
    endpoint: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.endpoint:
            check_server_address(self.server_url)
        if bool(self.prediction_log) == (self.capture is not None):
            received = "both" if self.prediction_log else "neither"
            raise ConfigError(
                f"Expected prediction_log, or capture of a SageMaker endpoint, received {received}."
            )
        if self.load_timeout_seconds < 1:
            raise ConfigError(
                f"load_timeout_seconds must be at least 1, got {self.load_timeout_seconds}."
            )

    @property
    def logged(self) -> dict[str, Any]:
        """Where PredictionLogGen finds the answers: its parameters."""
        if self.capture is not None:
            return {"capture": self.capture}
        return {"log_dir": self.prediction_log, "log_key": self.prediction_log_key}


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    """Where a pipeline keeps its files.

    Attributes:
        root: Folder or URI of the artifacts.
        metadata_path: The store of ML Metadata: an SQLite file, `mysql://USER@HOST/DATABASE` or
            `postgresql://USER@HOST/DATABASE`; unused on Kubeflow and Vertex.
        data: Folder or URI of the spans.
        labels: Folder or URI of the late labels.
        beam_args: Arguments for Beam.
        code_revision: What the code is, such as a commit; for the provenance of what is pushed.
    """

    root: str
    metadata_path: str
    data: str
    labels: str
    beam_args: tuple[str, ...] = LOCAL_BEAM_ARGS
    code_revision: str = ""


@dataclass(frozen=True, kw_only=True)
class QualityGate:
    """What a challenger must reach to be blessed.

    Attributes:
        min_auc: Lowest AUC on the held-out rows, of binary tasks.
        max_auc_drop: How much lower than the champion's its AUC may be, on the same rows.
        max_calibration_error: How far mean prediction over mean label may be from 1; of binary
            tasks.
        min_accuracy: Lowest share of right answers, of tasks of several classes.
        max_accuracy_drop: How much lower than the champion's it may be.
        max_error: Largest mean absolute error on the held-out rows, of regressions; None asks for
            none.
        min_gain: Share of what the best constant answer loses on the held-out rows that the
            challenger must lose less; of all tasks but binary ones, whose AUC says it.
        max_loss_rise: Share of the champion's loss by which it may surely (95 %) lose more, row by
            row on rows held out of both.
        detect_faults: Whether over-fitting, under-fitting and leakage stop a push (FaultDetector).
        blocking_faults: Kinds of finding that stop a push beside those that do anyway.
        fault_group_column: Column of the examples that says what a row belongs to; not the model's
            group_column, which SpanExampleGen splits by and leaves out.
        acknowledged_faults: Who accepts a finding and why, by its name.
    """

    # Just above a coin: it stops what is broken. How good a model has to be is asked of it beside
    # the champion. Chosen, not measured.
    min_auc: float = 0.55
    max_auc_drop: float = 0.01
    max_calibration_error: float = 0.25
    min_accuracy: float = 0.0
    max_accuracy_drop: float = 0.02
    max_error: float | None = None
    # A model that does no better than a constant is broken. Chosen, not measured.
    min_gain: float = 0.01
    # Chosen, not measured.
    max_loss_rise: float = 0.01
    detect_faults: bool = False
    blocking_faults: tuple[str, ...] = ()
    fault_group_column: str = ""
    acknowledged_faults: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("min_auc", "min_accuracy"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be from 0 to 1, got {getattr(self, name)}.")
        for name in (
            "max_auc_drop",
            "max_calibration_error",
            "max_accuracy_drop",
            "max_loss_rise",
            "min_gain",
        ):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must not be below 0, got {getattr(self, name)}.")
        if self.max_error is not None and not self.max_error >= 0:
            raise ConfigError(f"max_error must not be below 0, got {self.max_error}.")


@dataclass(frozen=True, kw_only=True)
class RetrainingSettings:
    """When retraining pays.

    Attributes:
        training_cost: What one training costs, in units of one window's loss; None takes
            RetrainDecider's own.
        training_windows: How many of the newest windows a retraining uses; 0 means all.
    """

    training_cost: float | None = None
    training_windows: int = 0

    def __post_init__(self) -> None:
        if self.training_windows < 0:
            raise ConfigError(f"training_windows must not be below 0, got {self.training_windows}.")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that the training and the monitoring pipeline need to know."""

    model: ModelSettings
    serving: ServingSettings
    pipeline: PipelineSettings
    gate: QualityGate = field(default_factory=QualityGate)
    decision: RetrainingSettings = field(default_factory=RetrainingSettings)


def output_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Returns where results go: TFX_LOOP_OUT, or `out` in the working directory."""
    return Path(environment.get("TFX_LOOP_OUT") or "out").absolute()


def quiet_environment() -> dict[str, str]:
    """Returns the environment for child processes: Keras 2, no banners of TensorFlow."""
    return {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def metadata_password(environment: Mapping[str, str] = os.environ) -> str:
    """Returns the password of a database with ML Metadata: TFX_LOOP_METADATA_PASSWORD, or none."""
    return environment.get("TFX_LOOP_METADATA_PASSWORD", "")


def environment_of_checks(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns the variables that `loop doctor` looks at."""
    names = ("PYTHONDONTWRITEBYTECODE", "TF_USE_LEGACY_KERAS")
    return {name: environment[name] for name in names if name in environment}
