"""What a user states about a loop: ten values, from Python or from `loop.toml`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.durations import seconds_of
from tfx_loop.core.errors import ConfigError, did_you_mean
from tfx_loop.core.storage import is_remote
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
from tfx_loop.pipelines.control.windows import Months, Windows
from tfx_loop.pipelines.notifications.settings import Receiver
from tfx_loop.pipelines.runner_settings import Runner

# Gates by metric and by what is asked of it, with the setting of QualityGate that they stand for.
_GATES: Mapping[tuple[str, str], str] = {
    ("AUC", "at_least"): "min_auc",
    ("AUC", "drop"): "max_auc_drop",
    ("calibration", "off"): "max_calibration_error",
    ("accuracy", "at_least"): "min_accuracy",
    ("accuracy", "drop"): "max_accuracy_drop",
    ("error", "at_most"): "max_error",
    ("loss", "rise"): "max_loss_rise",
    ("loss", "gain"): "min_gain",
}
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
    """

    url: str
    base_path: str = ""
    prediction_log: str = ""
    prediction_log_key: str = ""
    load_timeout_seconds: int = 120


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
        self.control()
        self.quality_gate()
        for receiver in self.notify:
            Receiver.of(receiver)
        self.pipelines(base_path="/", prediction_log="/")

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

    def control(self) -> LoopSettings:
        """Returns the limits on automatic retraining."""
        match = _BUDGET.fullmatch(self.max_trainings.strip())
        if match is None:
            raise ConfigError(f"max_trainings must be such as '3/30d', got {self.max_trainings!r}.")
        return LoopSettings(
            model_name=self.name,
            mode=self.mode,
            cooldown_seconds=seconds_of(self.cooldown),
            max_launches=int(match[1]),
            budget_seconds=seconds_of(match[2]),
        )

    def quality_gate(self) -> QualityGate:
        """Returns what a challenger must reach."""
        given: dict[str, Any] = {}
        for metric, limits in (self.gate or {}).items():
            if not isinstance(limits, Mapping):
                raise ConfigError(f"Expected limits of the gate {metric}, received {limits!r}.")
            for word, value in limits.items():
                if not isinstance(value, (int, float)):
                    raise ConfigError(f"Expected a number as {metric} {word}, received {value!r}.")
                if (metric, word) not in _GATES:
                    known = [f"{one} {asked}" for one, asked in _GATES]
                    raise ConfigError(
                        f"Expected a gate among {', '.join(known)}, received {metric} {word}."
                        f"{did_you_mean(f'{metric} {word}', known)}"
                    )
                given[_GATES[metric, word]] = float(value)
        return QualityGate(**given)

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
                prediction_log=prediction_log,
                prediction_log_key=serving.prediction_log_key,
                load_timeout_seconds=serving.load_timeout_seconds,
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
    expected = " or ".join(kind.__name__ for kind in kinds)
    raise ConfigError(f"Expected {expected} as {name}, received {value!r}.")


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
