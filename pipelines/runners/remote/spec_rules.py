"""Rules that a compiled pipeline has to keep to run on Kubeflow Pipelines or Vertex AI.

`KubeflowV2DagRunner` compiles what neither service runs: names that Argo refuses, folders of the
machine that compiled, queries that find nothing. Each rule here is one that a service, its client
or the container's own code was seen to enforce, only later. They read the spec (PipelineSpec as a
dict) alone, so a spec that something else compiled can be checked, too.
"""

import ipaddress
import math
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml

from tfx_loop.pipelines.runners.remote.spec_check import (
    Breach,
    SpecCheck,
    constant,
    task_constants,
    texts,
)
from tfx_loop.pipelines.runners.remote.targets import Target

# google-cloud-aiplatform's PipelineJob refuses other names, KFP makes names of objects from them.
_PIPELINE_NAME = re.compile(r"[a-z][-a-z0-9]{0,127}")
# Argo's name of a task (its validate.go, workflowFieldNameFmt).
_NODE_ID = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
# What use_pipeline_spec_2_1 of TFX's runner writes; without it the compiler writes 2.0.
_SCHEMA_VERSION = "2.1.0"
# What TFX's compiler writes for a class whose type name is not PACKAGE.Class (_SCHEMA_TITLE_RE).
_NO_TITLE = "tfx.Artifact"
_PROPERTY_KINDS = ("integer", "number", "string")
# Of the proto's kinds those that TFX's entry point reads; booleans, lists and structs are not.
_PARAMETER_KINDS = ("STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE")
_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_ABSOLUTE = re.compile(r"(file://)?/[^/\s][^\s]*|[A-Za-z]:\\\S+")
_MODULE_FILES = ("module_file", "module_path")
# The second is Docker's own name for the machine that a container runs on.
_LOCAL_HOSTS = ("localhost", "host.docker.internal")


def breaches(check: SpecCheck) -> list[Breach]:
    """Returns every breach of every rule, in the order of the rules and then of the nodes."""
    return [breach for rule in _RULES for breach in rule(check)]


def _pipeline_name(check: SpecCheck) -> Iterator[Breach]:
    name = str(check.spec.get("pipelineInfo", {}).get("name", ""))
    if not _PIPELINE_NAME.fullmatch(name):
        yield Breach(
            rule="pipeline-name",
            place="",
            found=f"the name {name!r}",
            remedy="Use at most 128 small letters, digits and hyphens, a letter first",
        )


def _spec_version(check: SpecCheck) -> Iterator[Breach]:
    version = str(check.spec.get("schemaVersion", ""))
    if version != _SCHEMA_VERSION:
        yield Breach(
            rule="spec-version",
            place="",
            found=f"schema version {version or 'none'}",
            remedy="Compile with use_pipeline_spec_2_1=True, as `loop compile` does: KFP reads "
            "2.1 alone",
        )


def _pipeline_root(check: SpecCheck) -> Iterator[Breach]:
    if not check.is_reached(check.root):
        yield Breach(
            rule="pipeline-root",
            place="",
            found=f"the root {check.root!r}",
            remedy=f"Name one of {', '.join(check.target.schemes)} as pipeline_root, or with "
            "--root of `loop submit`",
        )


def _node_ids(check: SpecCheck) -> Iterator[Breach]:
    small = Counter(name.lower() for name in check.tasks)
    for name in check.tasks:
        if not _NODE_ID.fullmatch(name):
            yield Breach(
                rule="node-id",
                place=name,
                found="an id that is no name of an Argo task",
                remedy="Use letters, digits and hyphens in with_id()",
            )
        elif small[name.lower()] > 1:
            yield Breach(
                rule="node-id",
                place=name,
                found="an id that another node has in other capitals",
                remedy="Kubernetes knows no capitals: give it another id",
            )


def _importers(check: SpecCheck) -> Iterator[Breach]:
    for name, task in check.tasks.items():
        uri = constant(check.executor(task).get("importer", {}).get("artifactUri", {}))
        if isinstance(uri, str) and not check.is_reached(uri):
            yield Breach(
                rule="importer-scheme",
                place=name,
                found=f"the URI {uri!r}",
                remedy=f"Name one of {', '.join(check.target.schemes)}, or copy the folder there "
                "with --stage",
            )


def _resolvers(check: SpecCheck) -> Iterator[Breach]:
    for name, task in check.tasks.items():
        resolver = check.executor(task).get("resolver")
        if resolver is None:
            continue
        if check.target is Target.KUBEFLOW:
            yield Breach(
                rule="resolver",
                place=name,
                found="a query of ML Metadata, which KFP has none of",
                remedy="Import the artifact by its URI (tfx.dsl.Importer), or make it a parameter",
            )
            continue
        for query in resolver.get("outputArtifactQueries", {}).values():
            if f'schema_title="{_NO_TITLE}"' in str(query.get("filter", "")):
                yield Breach(
                    rule="resolver",
                    place=name,
                    found="a query for a type of one's own, compiled to one for tfx.Artifact",
                    remedy="Import the artifact by its URI (tfx.dsl.Importer)",
                )


def _types(check: SpecCheck) -> Iterator[Breach]:
    for name, task in check.tasks.items():
        component = check.component(task)
        for side in ("inputDefinitions", "outputDefinitions"):
            for key, declared in component.get(side, {}).get("artifacts", {}).items():
                yield from _type(f"{name}.{key}", declared.get("artifactType", {}))


def _type(place: str, kind: Mapping[str, Any]) -> Iterator[Breach]:
    try:
        schema = yaml.safe_load(kind.get("instanceSchema", "")) or {}
    except yaml.YAMLError:
        schema = {}
    # A schema without a title, or none at all, finds no class, either.
    if schema.get("title", kind.get("schemaTitle", _NO_TITLE)) == _NO_TITLE:
        yield Breach(
            rule="type-title",
            place=place,
            found="an artifact whose class cannot be found again",
            remedy="Let its TYPE_NAME be PACKAGE.Class, 3 to 21 small letters and then a capital, "
            "and import the class in that package",
        )
    for prop, told in (schema.get("properties") or {}).items():
        if told.get("type") not in _PROPERTY_KINDS:
            yield Breach(
                rule="type-properties",
                place=place,
                found=f"the property {prop} of type {told.get('type')!r}",
                remedy="Declare INT, FLOAT or STRING in PROPERTIES; write a list as JSON text",
            )


def _parameters(check: SpecCheck) -> Iterator[Breach]:
    for name, task in check.tasks.items():
        declared = check.component(task).get("inputDefinitions", {}).get("parameters", {})
        for key, told in declared.items():
            kind = told.get("parameterType", told.get("type", "STRING"))
            if kind not in (*_PARAMETER_KINDS, "INT", "DOUBLE"):
                yield Breach(
                    rule="parameter-type",
                    place=f"{name}.{key}",
                    found=f"a parameter of type {kind}",
                    remedy="TFX's entry point reads text, whole numbers and floats: write a bool "
                    "as 0 or 1, a list as JSON text",
                )
        for key, value in task_constants(task):
            if isinstance(value, float) and not math.isfinite(value):
                yield Breach(
                    rule="number",
                    place=f"{name}.{key}",
                    found=f"the value {value}",
                    remedy="JSON has finite numbers alone",
                )


def _module_files(check: SpecCheck) -> Iterator[Breach]:
    for name, task in check.tasks.items():
        for key, value in task_constants(task):
            path = str(value or "").rpartition("@")[2]
            # What follows an @ is a wheel that TFX made; a dotted name is a module of the image.
            is_file = "/" in path or path.endswith((".py", ".whl"))
            if key in _MODULE_FILES and is_file and not check.is_reached(path):
                yield Breach(
                    rule="module-file",
                    place=f"{name}.{key}",
                    found=f"{path!r}, a file of the machine that compiled",
                    remedy="Put the function in a package of the image and name it (run_fn=, "
                    "preprocessing_fn=), or keep the file in the bucket",
                )


def _local_paths(check: SpecCheck) -> Iterator[Breach]:
    for name, key, text in texts(check):
        if key in _MODULE_FILES or not _ABSOLUTE.fullmatch(text):
            continue
        path = PurePosixPath(posixpath.normpath(text.removeprefix("file://")))
        if not any(path.is_relative_to(mount) for mount in check.mounts):
            yield Breach(
                rule="local-path",
                place=f"{name}.{key}",
                found=f"the path {text!r}",
                remedy="Name a URI of a bucket; with --mount FOLDER, where every container has it",
            )


def _hosts(check: SpecCheck) -> Iterator[Breach]:
    for name, key, text in texts(check):
        host = _host(text)
        if host and _is_of_this_machine(host, check.this_host):
            yield Breach(
                rule="loopback-url",
                place=f"{name}.{key}",
                found=f"the address {text!r}, which in a container is the container itself",
                remedy="Name the service as the cluster knows it",
            )


def _images(check: SpecCheck) -> Iterator[Breach]:
    images: dict[str, str] = {}
    for name, task in check.tasks.items():
        image = str(check.executor(task).get("container", {}).get("image", ""))
        if image and not _DIGEST.fullmatch(image):
            images.setdefault(image, name)
    for image, name in images.items():
        yield Breach(
            rule="image-digest",
            place=name,
            found=f"the image {image!r} without a digest",
            remedy="Name what was built and tested, REPOSITORY@sha256:DIGEST: a tag moves",
        )


def _host(text: str) -> str:
    """Returns the host of a URL or of HOST:PORT; empty for any other text."""
    try:
        if "://" in text and " " not in text:
            return urlsplit(text).hostname or ""
        if re.fullmatch(r"(\[[0-9a-f:]+\]|[\w.-]+):\d{1,5}", text):
            return urlsplit(f"//{text}").hostname or ""
    except ValueError:
        return ""
    return ""


def _is_of_this_machine(host: str, this_host: str) -> bool:
    if host in (*_LOCAL_HOSTS, this_host):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


_RULES: tuple[Callable[[SpecCheck], Iterator[Breach]], ...] = (
    _pipeline_name,
    _spec_version,
    _pipeline_root,
    _node_ids,
    _importers,
    _resolvers,
    _types,
    _parameters,
    _module_files,
    _local_paths,
    _hosts,
    _images,
)
