"""Compilation of a TFX pipeline to the file that Kubeflow Pipelines or Vertex AI runs.

TFX's own compiler does the work. Around it: its errors in a line, the rules of spec_rules.py, the
names that KFP's client expects, and folders of this machine copied to where containers reach them.
"""

import hashlib
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as v2
from tfx.orchestration.pipeline import Pipeline

from tfx_loop.core import storage
from tfx_loop.core.errors import ConfigError, first_line
from tfx_loop.pipelines.runners.remote.node_recording import node_arguments
from tfx_loop.pipelines.runners.remote.node_settings import NodeResources, apply
from tfx_loop.pipelines.runners.remote.spec_check import Breach, SpecCheck, constant
from tfx_loop.pipelines.runners.remote.spec_rules import breaches
from tfx_loop.pipelines.runners.remote.targets import Target

# Fills in what KFP's driver leaves out, and is TFX's own entry point on Vertex.
ENTRY_POINT = ("python", "-m", "tfx_loop.pipelines.runners.kubeflow_entry")
_STAGED, _IMPORTED_URI = "inputs", "artifact_uri"


@dataclass(frozen=True, kw_only=True)
class CompileSettings:
    """How a pipeline is compiled.

    Attributes:
        target: The service that is to run it.
        image: The image of all nodes, with its digest.
        command: The entry point in the image.
        mounts: Absolute folders that every container has.
        stage: Copy local folders of Importers to the pipeline root, named by their content.
        nodes: What single nodes are given, by node; `*` for all others.
    """

    target: Target
    image: str
    command: Sequence[str] = ENTRY_POINT
    mounts: Sequence[str] = ()
    stage: bool = False
    nodes: Mapping[str, NodeResources] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CompiledPipeline:
    """What came of a compilation.

    Attributes:
        spec: The PipelineSpec.
        root: The pipeline root; it is no part of the spec, whoever submits names it.
        breaches: Rules that are not kept; none in a spec that may be submitted.
        staged: Local folders that were copied, with their URIs.
        platform: What KFP reads beside the spec; empty for none.
    """

    spec: dict[str, Any]
    root: str
    breaches: Sequence[Breach]
    staged: Mapping[str, str] = field(default_factory=dict)
    platform: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the pipeline."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def nodes(self) -> int:
        """How many nodes it has."""
        return len(self.spec["root"]["dag"]["tasks"])


def compile_pipeline(pipeline: Any, settings: CompileSettings) -> CompiledPipeline:
    """Compiles a pipeline and checks it against the rules of its target.

    Raises:
        ConfigError: It is no TFX pipeline, or TFX's compiler refuses it.
    """
    if not isinstance(pipeline, Pipeline):
        raise ConfigError(
            "Expected a function that returns a TFX Pipeline, received "
            f"{type(pipeline).__name__}. Name another one, as MODULE:FUNCTION."
        )
    root = str(pipeline.pipeline_info.pipeline_root)
    spec = _compiled(pipeline, settings)
    platform = apply(spec, settings.nodes, settings.target)
    check = SpecCheck(
        spec=spec,
        target=settings.target,
        root=root,
        mounts=settings.mounts,
        this_host=socket.gethostname(),
    )
    staged = stage(check) if settings.stage and check.is_reached(root) else {}
    found = [*_property_breaches(pipeline), *breaches(check)]
    if settings.target is Target.KUBEFLOW:
        use_names_of_kfp(spec)
    return CompiledPipeline(spec=spec, root=root, breaches=found, staged=staged, platform=platform)


def write_spec(compiled: CompiledPipeline, path: Path) -> None:
    """Writes the spec as the YAML file that both services' clients take.

    Raises:
        ConfigError: The name does not end in .yaml, or rules are not kept.
    """
    if path.suffix != ".yaml":
        raise ConfigError(
            f"Expected a file name that ends in .yaml, received {path.name!r}: clients read the "
            "format off the name."
        )
    if compiled.breaches:
        raise ConfigError(
            f"Expected a spec that keeps all rules, received {len(compiled.breaches)} breaches: "
            f"{compiled.breaches[0].sentence}"
        )
    # Two documents in one file, as KFP's own compiler writes them.
    documents = [compiled.spec, dict(compiled.platform)] if compiled.platform else [compiled.spec]
    storage.write_bytes(str(path), yaml.safe_dump_all(documents, sort_keys=True).encode())


def _compiled(pipeline: Pipeline, settings: CompileSettings) -> dict[str, Any]:
    config = v2.KubeflowV2DagRunnerConfig(
        default_image=settings.image,
        default_commands=list(settings.command),
        use_pipeline_spec_2_1=True,
    )
    with tempfile.TemporaryDirectory(prefix="loop-compile-") as folder:
        runner = v2.KubeflowV2DagRunner(
            config=config, output_dir=folder, output_filename="spec.yaml"
        )
        try:
            runner.run(pipeline, write_out=True)
        # The compiler has no error of its own; what it raises depends on the node.
        except Exception as error:
            raise ConfigError(
                f"Expected a pipeline that TFX compiles for {settings.target.value}, received "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error
        text = Path(folder, "spec.yaml").read_text()
    spec = dict(next(yaml.safe_load_all(text)))
    _name_nodes(spec, pipeline)
    _write_defaults(spec, pipeline)
    return spec


def _write_defaults(spec: dict[str, Any], pipeline: Pipeline) -> None:
    """Writes the defaults of runtime parameters, which TFX keeps outside of what it writes."""
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for node in pipeline.components:
        for value in getattr(node, "exec_properties", {}).values():
            if isinstance(value, RuntimeParameter) and value.default is not None:
                declared[value.name]["defaultValue"] = value.default


def _name_nodes(spec: dict[str, Any], pipeline: Pipeline) -> None:
    """Tells each container which node it is, for the record that it leaves."""
    for node in pipeline.components:
        task = spec["root"]["dag"]["tasks"].get(node.id)
        label = (
            spec["components"][task["componentRef"]["name"]].get("executorLabel", "")
            if task
            else ""
        )
        container = spec["deploymentSpec"]["executors"].get(label, {}).get("container")
        if container is not None:
            container["args"] = [*container.get("args", ()), *node_arguments(node.id, node.type)]


def _property_breaches(pipeline: Pipeline) -> list[Breach]:
    """Returns the properties that a node does not get back as they were set."""
    found = []
    for node in pipeline.components:
        if not isinstance(node, BaseComponent):
            continue
        for name, value in node.exec_properties.items():
            if isinstance(value, (bool, list, dict)):
                found.append(
                    Breach(
                        rule="property-type",
                        place=f"{node.id}.{name}",
                        found=f"a {type(value).__name__}, which the node gets as text or a number",
                        remedy="Write a bool as 0 or 1, a list or dict as JSON text",
                    )
                )
    return found


def stage(check: SpecCheck) -> dict[str, str]:
    """Copies local folders of Importers to the root, and puts their URIs into the spec.

    The name of a copy is the digest of its content: it is copied once, and never changes.

    Returns:
        Folder and URI of each that was copied.
    """
    staged: dict[str, str] = {}
    for task in check.tasks.values():
        imported = check.executor(task).get("importer", {}).get("artifactUri", {})
        uri = constant(imported)
        if not isinstance(uri, str) or storage.is_remote(uri):
            continue
        folder = Path(uri.removeprefix("file://"))
        if folder.is_dir():
            staged[uri] = staged.get(uri) or _copy(folder, check.root)
            imported["constant"] = staged[uri]
            # TFX writes the URI a second time, as a parameter of the task.
            given = task.get("inputs", {}).get("parameters", {}).get(_IMPORTED_URI, {})
            if constant(given) == uri:
                given["runtimeValue"] = {"constant": staged[uri]}
    return staged


def _copy(folder: Path, root: str) -> str:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    digest = hashlib.sha256()
    for path in files:
        if path.is_symlink():
            raise ConfigError(
                f"Expected plain files to copy, received the link {path}. "
                "Put the file in its place."
            )
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    target = f"{root.rstrip('/')}/{_STAGED}/sha256-{digest.hexdigest()}"
    for path in files:
        storage.write_bytes(f"{target}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return target


def use_names_of_kfp(spec: dict[str, Any]) -> None:
    """Renames what KFP's client, its driver and kfp.local look up by a fixed name.

    Components begin with `comp-`, and an importer's output is called `artifact`; TFX writes the
    node's id and `result`.
    """
    tasks, components = spec["root"]["dag"]["tasks"], spec["components"]
    executors = spec["deploymentSpec"]["executors"]
    importers = set()
    for name, task in tasks.items():
        former = task["componentRef"]["name"]
        component = components.pop(former)
        components[f"comp-{former}"] = component
        task["componentRef"]["name"] = f"comp-{former}"
        if "importer" in executors.get(component.get("executorLabel", ""), {}):
            importers.add(name)
            outputs = component["outputDefinitions"]["artifacts"]
            outputs["artifact"] = outputs.pop("result")
    for task in tasks.values():
        for value in task.get("inputs", {}).get("artifacts", {}).values():
            source = value.get("taskOutputArtifact", {})
            if source.get("producerTask") in importers:
                source["outputArtifactKey"] = "artifact"
