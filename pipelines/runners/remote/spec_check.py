"""A compiled pipeline (PipelineSpec as a dict), and what stands in it where."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_loop.pipelines.runners.remote.targets import Target


@dataclass(frozen=True, kw_only=True)
class Breach:
    """A rule that a spec does not keep.

    Attributes:
        rule: Its name, as documented in docs/kubeflow.md.
        place: The node, and the parameter in it; empty for the pipeline itself.
        found: What stands there.
        remedy: What to write instead.
    """

    rule: str
    place: str
    found: str
    remedy: str

    @property
    def sentence(self) -> str:
        """The breach in one line."""
        return f"{self.rule}: {self.place or 'the pipeline'} has {self.found}. {self.remedy}."


@dataclass(frozen=True, kw_only=True)
class SpecCheck:
    """A compiled spec with what it is to run on.

    Attributes:
        spec: The PipelineSpec.
        target: The service.
        root: The pipeline root, where outputs go.
        mounts: Absolute folders that every container of the service has, as a volume or in the
            image.
        this_host: Name of the machine that compiles, which no container resolves.
    """

    spec: Mapping[str, Any]
    target: Target
    root: str
    mounts: Sequence[str] = ()
    this_host: str = ""

    @property
    def tasks(self) -> Mapping[str, Any]:
        """The tasks by node id."""
        return dict(self.spec.get("root", {}).get("dag", {}).get("tasks", {}))

    def component(self, task: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the component that a task refers to."""
        return dict(self.spec["components"][task["componentRef"]["name"]])

    def executor(self, task: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns what a task executes: a container, an importer or a resolver."""
        executors = self.spec["deploymentSpec"]["executors"]
        return dict(executors.get(self.component(task).get("executorLabel", ""), {}))

    def is_reached(self, uri: str) -> bool:
        """Says whether the service's tasks reach a URI."""
        scheme, _, rest = uri.partition("://")
        # A bucket has a name: `gs://` alone, or `gs:///path`, is none.
        return f"{scheme}://" in self.target.schemes and bool(rest.partition("/")[0])


def constant(value: Mapping[str, Any]) -> Any:
    """Returns a constant as each release of TFX writes it; None for a runtime parameter."""
    value = value.get("runtimeValue", value)
    if "constantValue" in value:
        [value] = [value["constantValue"]]
        return next(iter(value.values()), None)
    return value.get("constant")


def task_constants(task: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields name and value of each parameter of a task; None for one that is no constant."""
    for key, value in task.get("inputs", {}).get("parameters", {}).items():
        yield key, constant(value)


def texts(check: SpecCheck) -> Iterator[tuple[str, str, str]]:
    """Yields node, parameter and text of all constants, those inside JSON, too."""
    for name, task in check.tasks.items():
        # What an Importer brings in is a matter of its own, and stands in its executor.
        importer = "importer" in check.executor(task)
        for key, value in () if importer else task_constants(task):
            for text in _leaves(value):
                yield name, key, text
        # A Beam option such as --temp_location=/tmp stands among the container's arguments.
        for text in check.executor(task).get("container", {}).get("args", ()):
            option, _, value = str(text).partition("=")
            if option.startswith("--") and value:
                yield name, option, value


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value[:1] in ("{", "["):
            try:
                yield from _leaves(json.loads(value))
                return
            except ValueError:
                pass
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
