"""Configuration of the served models: places, versions and labels.

Read from flags, or from TF Serving's ModelServerConfig: as text from `--model_config_file`, or as a
message from HandleReloadConfigRequest.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.data.prediction_log.record import check_model_name
from tfx_loop.deployment.model_server.text_messages import invalid_file

_PLATFORM = "tensorflow"
# ModelType of model_server_config.proto; the older way to say what model_platform says.
_TENSORFLOW_TYPE = 1
# Where buckets and others are named; a folder may be named file:///folder.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FILE_SCHEME = "file://"


@dataclass(frozen=True, kw_only=True)
class VersionPolicy:
    """Which of the versions that are there are to be loaded.

    Attributes:
        latest: So many of the highest numbers, unless one of the others says otherwise.
        every: All of them.
        specific: These alone; None for no such list.
    """

    latest: int = 1
    every: bool = False
    specific: frozenset[int] | None = None

    def choose(self, versions: Iterable[int]) -> frozenset[int]:
        """Returns the versions to load, of those that are there."""
        there = frozenset(versions)
        if self.specific is not None:
            return there & self.specific
        return there if self.every else frozenset(sorted(there)[-self.latest :])

    def may_fall_back(self) -> bool:
        """Says whether other versions may serve where none of the chosen ones loads."""
        return self.specific is None


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One model to serve.

    Attributes:
        name: What clients call it.
        base_path: The folder of its numbered versions.
        policy: Which of them are loaded.
        labels: Versions by name, beside those of the deployment record.
    """

    name: str
    base_path: str
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = field(default_factory=dict)


def read_config_file(path: str) -> tuple[ModelConfig, ...]:
    """Returns the models of a ModelServerConfig in protobuf's text format.

    Raises:
        ConfigError: It cannot be read, is no such text, or asks for what cannot be served.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    try:
        text = Path(path).read_text("utf-8")
        config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise invalid_file(path, error) from error
    return models_of(config)


def models_of(config: Any) -> tuple[ModelConfig, ...]:
    """Returns the models of a ModelServerConfig message.

    Raises:
        ConfigError: It has none, two of one name, or asks for what cannot be served.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise ConfigError(
            "Expected a ModelServerConfig with a model_config_list, received "
            f"{config.WhichOneof('config') or 'none'}."
        )
    models = tuple(_model_of(model) for model in config.model_config_list.config)
    names = [model.name for model in models]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(
            f"Illegal to list model {twice[0]} multiple times in config list: name each once."
        )
    return models


def local_folder(base_path: str) -> str:
    """Returns a base path as a folder of this machine.

    Raises:
        ConfigError: It is in a bucket or elsewhere.
    """
    if base_path.startswith(_FILE_SCHEME):
        return base_path[len(_FILE_SCHEME) :]
    if _SCHEME.match(base_path):
        raise ConfigError(
            f"Expected base_path to be a folder of this machine, received {base_path}. "
            "Mount the bucket, or copy its versions."
        )
    return base_path


def _model_of(model: Any) -> ModelConfig:
    if not model.name or not model.base_path:
        raise ConfigError(
            "Expected name and base_path in each config of model_config_list, received "
            f"name={model.name!r} base_path={model.base_path!r}."
        )
    check_model_name(model.name)
    platform = model.model_platform or (
        _PLATFORM if model.model_type in (0, _TENSORFLOW_TYPE) else "another model_type"
    )
    if platform != _PLATFORM:
        raise ConfigError(
            f"Expected model_platform {_PLATFORM!r} of model {model.name}, received {platform!r}."
        )
    return ModelConfig(
        name=model.name,
        base_path=local_folder(model.base_path),
        policy=_policy_of(model),
        labels=dict(model.version_labels),
    )


def _policy_of(model: Any) -> VersionPolicy:
    policy = model.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return VersionPolicy(every=True)
    if kind == "specific":
        if not policy.specific.versions:
            raise ConfigError(
                f"Expected versions in the specific policy of model {model.name}, received none."
            )
        return VersionPolicy(specific=frozenset(policy.specific.versions))
    # 0 stands for a field that is not set, which means one version.
    return VersionPolicy(latest=policy.latest.num_versions or 1)
