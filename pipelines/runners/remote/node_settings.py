"""Settings of single nodes on a service: processors, memory, accelerators, secrets, cache.

A file of tables, one a node, `*` for all that have none of their own:

    ["*"]
    cpu = 2
    memory = "8G"
    [Trainer]
    cpu = 8
    memory = "30G"
    accelerator = "NVIDIA_TESLA_T4"
    secrets = { WANDB_API_KEY = "tracking/api-key" }
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import ConfigError, did_you_mean
from tfx_loop.core.settings import from_table
from tfx_loop.core.toml_file import read_toml
from tfx_loop.pipelines.runners.remote.targets import Target

ALL_NODES = "*"
# Bytes in the units of Kubernetes, which both services take; a spec holds gigabytes of 10^9.
_BYTES = {
    **{"M": 10**6, "G": 10**9, "T": 10**12},
    **{"Mi": 2**20, "Gi": 2**30, "Ti": 2**40},
}
_GIGABYTE = 10**9
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)(Mi|Gi|Ti|M|G|T)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Names of Kubernetes: an object's, and a key of its data.
_SECRET = re.compile(r"([a-z0-9][-a-z0-9.]{0,252})/([-._a-zA-Z0-9]{1,253})")
_SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class NodeResources:
    """What one node is given.

    Attributes:
        cpu: Processors at most; 0 for the service's own.
        memory: Memory at most, such as `16G` or `16Gi`; empty for the service's own.
        accelerator: Kind of accelerator as the service calls it, such as `NVIDIA_TESLA_T4` on
            Vertex and `nvidia.com/gpu` on Kubeflow; empty for none.
        accelerators: How many of them.
        env: Variables of the container.
        secrets: Variables that come of a Secret of Kubernetes, as `SECRET/KEY`; Kubeflow alone.
        cache: Whether outputs of an earlier run are taken; None for what the pipeline says.
    """

    cpu: float = 0
    memory: str = ""
    accelerator: str = ""
    accelerators: int = 1
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    cache: bool | None = None

    def __post_init__(self) -> None:
        if self.cpu < 0:
            raise ConfigError(f"Expected cpu above 0, received {self.cpu:g}.")
        if self.memory and not _MEMORY.fullmatch(self.memory):
            raise ConfigError(
                f"Expected memory such as '16G' or '512Mi', received {self.memory!r}."
            )
        if self.accelerators < 1:
            raise ConfigError(
                f"Expected at least 1 of accelerators, received {self.accelerators}. Leave "
                "accelerator out for none."
            )
        for name in (*self.env, *self.secrets):
            if not _VARIABLE.fullmatch(name):
                raise ConfigError(
                    f"Expected a variable's name of letters, digits and underscores, received "
                    f"{name!r}."
                )
        for name in self.env:
            if _SECRET_NAMES.search(name):
                raise ConfigError(
                    f"Expected no secret in env, received {name}: whoever reads the compiled file "
                    "would read it. Name a Secret in secrets (Kubeflow), or let the node ask "
                    "Secret Manager (Vertex)."
                )
        for name, place in self.secrets.items():
            if not _SECRET.fullmatch(place):
                raise ConfigError(
                    f"Expected SECRET/KEY as the secret of {name}, received {place!r}."
                )

    @property
    def gigabytes(self) -> float:
        """Memory in gigabytes of 10^9 bytes; 0 for the service's own."""
        found = _MEMORY.fullmatch(self.memory)
        return float(found[1]) * _BYTES[found[2]] / _GIGABYTE if found else 0.0


def read_node_settings(path: Path) -> dict[str, NodeResources]:
    """Returns the settings of a file, by node.

    Raises:
        DataError: It is not there, or no TOML.
        ConfigError: A name is unknown, or a value cannot work.
    """
    content = read_toml(path, "docs/kubeflow.md shows such a file.")
    return {node: _resources(node, table, path) for node, table in content.items()}


def _resources(node: str, table: Any, path: Path) -> NodeResources:
    if not isinstance(table, dict):
        raise ConfigError(
            f"Expected tables named after nodes in {path}, received {node} = {table!r}."
        )
    place = f"[{node}] of {path}"
    try:
        return from_table(NodeResources, table, place)
    except ConfigError as error:
        # What a value cannot be is told by the dataclass, which knows no file.
        if place in str(error):
            raise
        raise ConfigError(f"{str(error).rstrip('.')} (in {place}).") from error


def apply(
    spec: dict[str, Any], given: Mapping[str, NodeResources], target: Target
) -> dict[str, Any]:
    """Writes the settings into a compiled spec, in place.

    Returns:
        What KFP reads beside the spec (its platform spec); empty where there is nothing to say.

    Raises:
        ConfigError: A node is unknown, or the service has no such setting.
    """
    tasks, executors = spec["root"]["dag"]["tasks"], spec["deploymentSpec"]["executors"]
    for node in given:
        if node not in tasks and node != ALL_NODES:
            raise ConfigError(
                f"Expected settings of a node among {', '.join(sorted(tasks))}, received those of "
                f"{node!r}.{did_you_mean(node, list(tasks))}"
            )
    secrets: dict[str, Any] = {}
    for node, task in tasks.items():
        label = spec["components"][task["componentRef"]["name"]].get("executorLabel", "")
        container = executors.get(label, {}).get("container")
        settings = given.get(node, given.get(ALL_NODES))
        if container is None and node in given:
            raise ConfigError(
                f"Expected settings of nodes that run in a container, received those of {node}, "
                "which the service itself carries out."
            )
        if settings is None or container is None:
            continue
        if settings.cache is not None:
            task["cachingOptions"] = {"enableCache": settings.cache} if settings.cache else {}
        if resources := _of_container(settings):
            container["resources"] = resources
        if settings.env:
            container["env"] = [
                {"name": name, "value": text} for name, text in settings.env.items()
            ]
        if settings.secrets:
            if target is not Target.KUBEFLOW:
                raise ConfigError(
                    f"Expected no secrets of Kubernetes for {node} on {target.value}, received "
                    f"{', '.join(settings.secrets)}. Let the node ask Secret Manager, as its "
                    "service account may."
                )
            secrets[label] = {"secretAsEnv": [_secret(*one) for one in settings.secrets.items()]}
    if not secrets:
        return {}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": secrets}}}}


def _of_container(settings: NodeResources) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    if settings.cpu:
        resources["cpuLimit"] = float(settings.cpu)
    if settings.memory:
        resources["memoryLimit"] = settings.gigabytes
    if settings.accelerator:
        # A whole number of 64 bits is text in the JSON of protocol buffers.
        resources["accelerator"] = {
            "type": settings.accelerator,
            "count": str(settings.accelerators),
        }
    return resources


def _secret(variable: str, place: str) -> dict[str, Any]:
    name, _, key = place.partition("/")
    return {"secretName": name, "keyToEnv": [{"secretKey": key, "envVar": variable}]}
