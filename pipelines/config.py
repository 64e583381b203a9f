"""Settings of the pipelines, and the one reader of environment variables.

Every setting is a field of a frozen dataclass that checks itself when made.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tfx_loop.core.errors import ConfigError

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
        preprocessing_fn: Import path of the Transform function.
        run_fn: Import path of the Trainer function.
        schema_uri: Folder that holds the curated `schema.pbtxt`.
        slice_feature: Feature by which quality and drift are sliced.
        score: Name of the model's output.
        ignore_features: Columns that are no features (time, span).
        eval_fraction: Share of the rows held out from training.
        seed: Seed of splits, weights and samples.
        group_column: Column that decides the split in place of the key; empty splits row by row.
        row_keys: Columns of a span that name a row in the prediction log, too, as
            `TRAINING=SERVED` where the log calls it otherwise; empty leaves skew unseen.
    """

    name: str
    label: str
    key_column: str
    preprocessing_fn: str
    run_fn: str
    schema_uri: str
    slice_feature: str
    score: str = "probability"
    ignore_features: tuple[str, ...] = ("span", "event_time_ms")
    eval_fraction: float = 0.1
    seed: int = 0
    group_column: str = ""
    row_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("preprocessing_fn", "run_fn"):
            if "." not in getattr(self, name):
                raise ConfigError(
                    f"{name} must be an import path such as 'package.module.function', "
                    f"got {getattr(self, name)!r}."
                )
        if not 0 < self.eval_fraction < 1:
            raise ConfigError(
                f"eval_fraction must be between 0 and 1, both excluded, got {self.eval_fraction}."
            )


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """Where the model is served.

    Attributes:
        base_path: Folder of the numbered versions that the server watches.
        server_url: REST address of the model server, such as `http://127.0.0.1:8501`.
        prediction_log: Folder of the server's prediction log.
        load_timeout_seconds: How long a pushed version may take to become available.
    """

    base_path: str
    server_url: str
    prediction_log: str
    load_timeout_seconds: int = 120

    def __post_init__(self) -> None:
        if not self.server_url.startswith(("http://", "https://")):
            raise ConfigError(
                "server_url must be a REST address such as 'http://127.0.0.1:8501', "
                f"got {self.server_url!r}."
            )
        if self.load_timeout_seconds < 1:
            raise ConfigError(
                f"load_timeout_seconds must be at least 1, got {self.load_timeout_seconds}."
            )


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    """Where a pipeline keeps its files.

    Attributes:
        root: Folder or URI of the artifacts.
        metadata_path: SQLite file of ML Metadata; unused on Kubeflow and Vertex.
        data: Folder or URI of the spans.
        labels: Folder or URI of the late labels.
        beam_args: Arguments for Beam.
    """

    root: str
    metadata_path: str
    data: str
    labels: str
    beam_args: tuple[str, ...] = LOCAL_BEAM_ARGS


@dataclass(frozen=True, kw_only=True)
class QualityGate:
    """What a challenger must reach to be blessed.

    Attributes:
        min_auc: Lowest AUC on the held-out rows.
        max_auc_drop: How much lower than the champion's its AUC may be, on the same rows.
        max_calibration_error: How far mean prediction over mean label may be from 1.
    """

    min_auc: float = 0.55
    max_auc_drop: float = 0.01
    max_calibration_error: float = 0.25

    def __post_init__(self) -> None:
        if not 0 <= self.min_auc <= 1:
            raise ConfigError(f"min_auc must be from 0 to 1, got {self.min_auc}.")
        for name in ("max_auc_drop", "max_calibration_error"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must not be below 0, got {getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True)
class RetrainingSettings:
    """When retraining pays.

    Attributes:
        training_cost: What one training costs, in units of one window's loss.
        training_windows: How many of the newest windows a retraining uses; 0 means all.
    """

    training_cost: float = 0.02
    training_windows: int = 0

    def __post_init__(self) -> None:
        for name in ("training_cost", "training_windows"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must not be below 0, got {getattr(self, name)}.")


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
