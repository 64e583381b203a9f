"""Settings that a user states about a loop, from Python or from `loop.toml`."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.durations import seconds_of
from tfx_loop.core.errors import ConfigError, did_you_mean
from tfx_loop.core.storage import is_remote
from tfx_loop.data.prediction_log.record import check_model_name
from tfx_loop.monitoring.retrain_decider.settings import PolicySettings
from tfx_loop.pipelines.config import (
    ModelSettings,
    PipelineSettings,
    QualityGate,
    RetrainingSettings,
    ServingSettings,
    Settings,
)
from tfx_loop.pipelines.control.home import STORE_FILE
from tfx_loop.pipelines.control.label_timing import Labels
from tfx_loop.pipelines.control.settings import LoopMode, LoopSettings
from tfx_loop.pipelines.control.store_address import read_address
from tfx_loop.pipelines.control.windows import Months, Windows
from tfx_loop.pipelines.notifications.settings import Receiver
from tfx_loop.pipelines.runner_settings import Runner
from tfx_loop.pipelines.stated_gate import stated_gate

# Fields that are no texts; those without a type check themselves.
_OTHER_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("labels", "serving", "windows", "runner"), ()),
    "task": (str, ModelTask),
    "gate": (Mapping, type(None)),
    "home": (str, Path),
    "mode": (str, LoopMode),
    "training_cost": (int, float, type(None)),
    "training_windows": (int,),
    **dict.fromkeys(("ignore", "redact", "notify"), (str, list, tuple)),
}
# How a person who writes TOML calls what Python calls otherwise; what is missing is not said.
_WORDS: Mapping[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    Mapping: "a table",
}
_SUCH_AS = {
    "cooldown": "7d",
    "max_trainings": "3/30d",
    "mode": "suggest",
    "pipeline": "training.pipeline",
}
# `module.function`, or `module:function`; a path of a file is a frequent slip.
_IMPORT_PATH = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*[.:](?!py$)[^\W\d]\w*")
_BUDGET = re.compile(r"(\d+)\s*/\s*(\S+)")


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The server of a model.

    Attributes:
        url: Its REST address, such as `http://127.0.0.1:8501`.
        base_path: Folder of versions that it watches; empty asks the server.
        prediction_log: Folder that it logs to; empty asks the server.
        prediction_log_key: File of the keys that the log is encrypted with; empty for a plain log.
        load_timeout_seconds: How long a pushed version may take to become available.
        endpoint: Parameters of SageMakerPusher (`endpoint`, `region`, `role_arn` and others) where
            a SageMaker endpoint serves in place of a server; `base_path` is its `s3://` address.
        capture: Where that endpoint's captures are, in place of a log; None takes where the pusher
            has them written.
    """

    url: str = ""
    base_path: str = ""
    prediction_log: str = ""
    prediction_log_key: str = ""
    load_timeout_seconds: int = 120
    endpoint: Mapping[str, Any] = field(default_factory=dict)
    capture: CaptureSource | None = None

    def __post_init__(self) -> None:
        if not self.endpoint:
            if not self.url:
                raise ConfigError(
                    "Expected the address of the server as url in [serving], or a SageMaker "
                    "endpoint in [serving.endpoint], received neither."
                )
            return
        if self.url or self.prediction_log or self.prediction_log_key:
            raise ConfigError(
                "Expected url and prediction_log of a server, or [serving.endpoint], received "
                "both. Leave out what does not serve; captures are stated in [serving.capture]."
            )
        # Costs a quarter of a second that loops beside a server need not wait.
        from tfx_loop.deployment.sagemaker_pusher.settings import SageMakerPusherSettings

        stated = SageMakerPusherSettings.of(
            {**self.endpoint, "base_path": self.base_path}, "[serving.endpoint]"
        )
        if self.capture is None:
            if not stated.capture_uri:
                raise ConfigError(
                    "Expected the prefix of captures in [serving.capture] of a serverless "
                    "endpoint, received none: SageMaker captures nothing there by itself."
                )
            capture = CaptureSource(
                prefix=f"{stated.capture_uri.rstrip('/')}/{stated.endpoint}",
                variants=(stated.variant_name,),
                sampling_percentage=stated.capture_percent,
            )
            object.__setattr__(self, "capture", capture)


@dataclass(frozen=True, kw_only=True)
class ModelLoopSettings:
    """All that a loop is told of a model.

    Attributes:
        name: Name under which the model is served.
        label: Label column of the examples.
        labels: Where late labels come to, and how long they are waited for.
        serving: The server, or its address.
        windows: `Months`, `Days` or `Every`.
        task: What the model answers, as ReferenceProfiler takes it.
        score: The output that decides; empty where the model has one.
        gate: What a challenger must reach, such as `{"AUC": {"at_least": 0.6, "drop": 0.02}}`;
            None leaves it to the pipeline's own Evaluator, or to the defaults where it has none.
        home: Folder of the metadata store and the artifacts.
        metadata: Address of a metadata store elsewhere; empty for the file in the home.
        mode: `observe` records, `suggest` asks a person, `act` launches.
        cooldown: Quiet time after a launch that brought a version, such as `7d`.
        max_trainings: Most launches in a time, such as `3/30d`.
        training_cost: What a training costs, in units of one window's loss; None takes
            RetrainDecider's own.
        training_windows: How many of the newest windows a retraining uses; 0 means all.
        ignore: Columns that are no features.
        slice_feature: Feature by which quality and drift are sliced; empty for none.
        redact: Features whose values nothing shows.
        notify: Who is told of changes: addresses, or tables of a `Receiver`.
        pipeline: Import path of the training function, such as `training.pipeline`; empty where
            the function itself is given.
        runner: The service that runs both pipelines; None runs them in the loop's process.
    """

    name: str
    label: str
    labels: Labels
    serving: Serving
    windows: Windows = field(default_factory=Months)
    task: ModelTask | str = "binary"
    score: str = ""
    gate: Mapping[str, Mapping[str, float]] | None = None
    home: str = "out"
    metadata: str = ""
    mode: LoopMode = LoopMode.SUGGEST
    cooldown: str = "1d"
    max_trainings: str = "3/7d"
    training_cost: float | None = None
    training_windows: int = 0
    ignore: tuple[str, ...] = ()
    slice_feature: str = ""
    redact: tuple[str, ...] = ()
    notify: tuple[Any, ...] = ()
    pipeline: str = ""
    runner: Runner | None = None

    def __post_init__(self) -> None:
        # Whatever is wrong is told when the loop is stated, not weeks later at the first decision.
        check_model_name(self.name)
        if not self.label:
            raise ConfigError("Expected the label column as label, received an empty text.")
        self._check_places()
        self._check_columns()
        self.control()
        self.quality_gate()
        for receiver in self.notify:
            Receiver.of(receiver)
        self.pipelines(base_path="/", prediction_log="/")
        if self.training_cost is not None:
            # RetrainDecider's own rule; NaN is not above 0 either.
            PolicySettings(training_cost=self.training_cost)
            if not math.isfinite(self.training_cost):
                raise ConfigError(
                    "Expected a number as training_cost, received infinity. To train never, set "
                    "mode to 'observe'."
                )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "ModelLoopSettings":
        """Returns settings from values as a user writes them.

        Raises:
            ConfigError: A name is unknown, or a value cannot work.
        """
        known = [one.name for one in fields(cls)]
        for name in given:
            if name not in known:
                raise ConfigError(
                    f"Expected {', '.join(known)}, received {name!r}.{did_you_mean(name, known)}"
                )
        values = {name: _typed(name, value) for name, value in given.items()}
        if lacking := [
            name for name in ("name", "label", "labels", "serving") if name not in values
        ]:
            raise ConfigError(f"Expected {', '.join(lacking)} of a loop, received none. Give them.")
        for name, kind in (("labels", Labels), ("serving", Serving)):
            if isinstance(values[name], (str, Path)):
                word = str(values[name])
                values[name] = Serving(url=word) if kind is Serving else Labels(word)
            elif not isinstance(values[name], kind):
                raise ConfigError(f"Expected {kind.__name__} as {name}, got {values[name]!r}.")
        for name in ("ignore", "redact", "notify"):
            if name in values:
                value = values[name]
                values[name] = (value,) if isinstance(value, str) else tuple(value)
        if "home" in values:
            values["home"] = str(values["home"])
        if isinstance(values.get("mode"), str):
            values["mode"] = _mode(values["mode"])
        return cls(**values)

    @property
    def folder(self) -> Path:
        """The home, as an absolute path."""
        return Path(self.home).expanduser().absolute()

    @property
    def store(self) -> str:
        """Address of the metadata store."""
        return self.metadata or str(self.folder / STORE_FILE)

    def _check_places(self) -> None:
        if not self.home or is_remote(self.home):
            raise ConfigError(
                f"Expected a folder of this machine as home, received {self.home!r}: its files are "
                "locked and replaced."
            )
        if self.metadata:
            read_address(self.metadata)
        if self.pipeline and not _IMPORT_PATH.fullmatch(self.pipeline):
            raise ConfigError(
                "Expected the import path of a function as pipeline, such as 'training.pipeline' "
                f"for `def pipeline` in training.py, received {self.pipeline!r}."
            )

    def _check_columns(self) -> None:
        for name in ("ignore", "redact"):
            for column in getattr(self, name):
                if not isinstance(column, str):
                    raise ConfigError(
                        f"Expected names of columns as {name}, received {column!r}. Quote it."
                    )
        if self.label in self.ignore:
            raise ConfigError(
                f"Expected columns that are no features as ignore, received the label "
                f"{self.label!r} among them. Leave it out: a label is no feature anyway."
            )

    def control(self) -> LoopSettings:
        """Returns the limits on automatic retraining."""
        match = _BUDGET.fullmatch(self.max_trainings.strip())
        if match is None:
            raise ConfigError(f"max_trainings must be such as '3/30d', got {self.max_trainings!r}.")
        budget_seconds = seconds_of(match[2])
        if not budget_seconds:
            raise ConfigError(
                f"Expected a length of time above 0 in max_trainings, received "
                f"{self.max_trainings!r}: without it nothing is limited."
            )
        return LoopSettings(
            model_name=self.name,
            mode=self.mode,
            cooldown_seconds=seconds_of(self.cooldown),
            max_launches=int(match[1]),
            budget_seconds=budget_seconds,
        )

    def quality_gate(self) -> QualityGate:
        """Returns what a challenger must reach."""
        return stated_gate(self.gate or {}, self.described_task)

    @property
    def described_task(self) -> ModelTask:
        """What the model answers, read."""
        return self.task if isinstance(self.task, ModelTask) else ModelTask.of_text(self.task)

    def pipelines(self, base_path: str, prediction_log: str) -> Settings:
        """Returns what the pipelines need.

        Args:
            base_path: Folder of versions, as stated or as the server says.
            prediction_log: Folder of the log, as stated or as the server says.
        """
        serving, folder = self.serving, self.folder
        usual = ModelSettings(name=self.name, label=self.label).ignore_features
        return Settings(
            model=ModelSettings(
                name=self.name,
                label=self.label,
                task=self.task,
                score=self.score,
                slice_feature=self.slice_feature,
                ignore_features=(*usual, *self.ignore),
                redact=self.redact,
            ),
            serving=ServingSettings(
                base_path=base_path,
                server_url=serving.url,
                prediction_log="" if serving.capture else prediction_log,
                prediction_log_key=serving.prediction_log_key,
                load_timeout_seconds=serving.load_timeout_seconds,
                capture=serving.capture,
                endpoint=serving.endpoint,
            ),
            pipeline=PipelineSettings(
                root=self.runner.root if self.runner else str(folder / "artifacts"),
                metadata_path=self.store,
                data="",
                labels=_absolute(str(self.labels.path)),
            ),
            gate=self.quality_gate(),
            decision=RetrainingSettings(
                training_cost=self.training_cost, training_windows=self.training_windows
            ),
        )


def _typed(name: str, value: Any) -> Any:
    """Returns a value as it is written; raises ConfigError for one of another type."""
    kinds: tuple[type, ...] = (str,)
    if name in _OTHER_TYPES:
        kinds = _OTHER_TYPES[name]
    # A truth value is a whole number to Python, and to no user.
    if not kinds or (isinstance(value, kinds) and not isinstance(value, bool)):
        return value
    expected = " or ".join(_WORDS[kind] for kind in kinds if kind in _WORDS)
    such = f" such as {_SUCH_AS[name]!r}" if name in _SUCH_AS else ""
    raise ConfigError(f"Expected {expected}{such} as {name}, received {value!r}.")


def _absolute(path: str) -> str:
    return path if is_remote(path) else str(Path(path).expanduser().absolute())


def _mode(text: str) -> LoopMode:
    modes = [one.value for one in LoopMode]
    if text not in modes:
        raise ConfigError(
            f"Expected a mode among {', '.join(modes)}, received {text!r}."
            f"{did_you_mean(text, modes)}"
        )
    return LoopMode(text)
