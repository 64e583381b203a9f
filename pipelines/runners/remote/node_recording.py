"""Records of the nodes of a remote run: what a container is told for them, and what it leaves.

The folder of a run's records lies in the pipeline root. Buckets are asked through their own
clients: TensorFlow's file systems know no `s3://`, which KFP's launcher copies for artifacts alone.
"""

import copy
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tfx_loop.contracts.node_record import NODE_RECORD, NodeEnd, NodeRecord, RecordedArtifact
from tfx_loop.core import storage
from tfx_loop.core.bucket.files import conditional_files
from tfx_loop.core.bucket.trees import open_tree, read_each
from tfx_loop.core.errors import DataError, first_line

_LOG = logging.getLogger(__name__)
_FOLDER, _RUN, _NODE, _TYPE = "--loop_record", "--loop_run", "--loop_node", "--loop_type"
_RECORDS = "loop-records"
# No node is called so: ids have no underscore.
_SPEC = "_spec.json"
_MINIO = "minio://"
# The parameter of pushers that says where their record lies.
BASE_PATH = "base_path"
# Ids in a service's own store say nothing in another.
_FOREIGN_IDS = ("_model_id", "store_session_info")
# Whole numbers beyond are kept as doubles in ML Metadata, too.
_EXACT = 2**53


@dataclass(frozen=True, kw_only=True)
class RecordOrder:
    """What a container is told of its record.

    Attributes:
        folder: Where to; empty for none.
        run_id: The run.
        node: Id of the node.
        node_type: Class of the node.
    """

    folder: str = ""
    run_id: str = ""
    node: str = ""
    node_type: str = ""


def records_folder(root: str, run_id: str) -> str:
    """Returns where the records of a run lie."""
    # MinIO speaks S3; KFP alone has a scheme of its own for it.
    address = f"s3://{root.removeprefix(_MINIO)}" if root.startswith(_MINIO) else root
    return f"{address.rstrip('/')}/{_RECORDS}/{run_id}"


def node_arguments(node: str, node_type: str) -> list[str]:
    """Returns the arguments that every container gets when it is compiled."""
    return [f"{_NODE}={node}", f"{_TYPE}={node_type}"]


def with_records(spec: Mapping[str, Any], root: str, start: str, run_id: str) -> dict[str, Any]:
    """Returns a compiled spec whose containers leave records.

    Args:
        spec: The PipelineSpec.
        root: The pipeline root.
        start: What the service calls this start of the run.
        run_id: The run as the loop calls it.
    """
    made = copy.deepcopy(dict(spec))
    told = [f"{_FOLDER}={records_folder(root, start)}", f"{_RUN}={run_id}"]
    for executor in made["deploymentSpec"]["executors"].values():
        if "container" in executor:
            executor["container"]["args"] = [*executor["container"].get("args", ()), *told]
    return made


def keep_spec(spec: Mapping[str, Any], root: str, start: str) -> None:
    """Writes the spec of a run beside its records."""
    _replace(records_folder(root, start), _SPEC, json.dumps(spec).encode())


def kept_spec(root: str, start: str) -> dict[str, Any]:
    """Returns the spec of a run that `keep_spec` wrote.

    Raises:
        DataError: There is none.
    """
    folder = records_folder(root, start)
    found = conditional_files(folder).read(_SPEC).content
    if found is None:
        raise DataError(
            f"Expected the spec of the run {start} at {folder}/{_SPEC}, found none: it was "
            "removed, or the pipeline root is another one than when the run was submitted."
        )
    return storage.json_object(found, f"{folder}/{_SPEC}")


def node_type_of(arguments: Sequence[str]) -> str:
    """Returns the class of the node that a container's arguments name; empty where they do not."""
    return taken(arguments)[0].node_type


def taken(arguments: Sequence[str]) -> tuple[RecordOrder, list[str]]:
    """Returns what a container is told of its record, and its other arguments."""
    told, others = {}, []
    for word in arguments:
        name, separator, value = str(word).partition("=")
        if separator and name in (_FOLDER, _RUN, _NODE, _TYPE):
            told[name] = value
        else:
            others.append(word)
    order = RecordOrder(
        folder=told.get(_FOLDER, ""),
        run_id=told.get(_RUN, ""),
        node=told.get(_NODE, ""),
        node_type=told.get(_TYPE, ""),
    )
    return order, others


class NodeRecording:
    """The record of a node, from its call to its end; nothing where none is asked for."""

    def __init__(self, told: RecordOrder, call: Mapping[str, Any], uris: Mapping[str, str]) -> None:
        """Begins.

        Args:
            told: What the container was told.
            call: The invocation (ExecutorInput as JSON).
            uris: The URI of each local path in the call.
        """
        self._told, self._call, self._uris = told, call, uris
        self._started_ms = _now_ms()

    def complete(self, output: Mapping[str, Any]) -> None:
        """Records the end of a node that did what it should (ExecutorOutput as JSON)."""
        if not self._told.folder:
            return
        declared = self._call.get("outputs", {}).get("artifacts", {})
        made = {
            key: tuple(
                _artifact({**given, "type": _type(declared.get(key))}, self._uris)
                for given in found.get("artifacts", ())
            )
            for key, found in output.get("artifacts", {}).items()
        }
        self._write(NodeEnd.COMPLETE, "", made)

    def failed(self, error: BaseException) -> None:
        """Records a failure; where that fails too, what the node said is still what is raised."""
        if not self._told.folder:
            return
        try:
            self._write(NodeEnd.FAILED, f"{type(error).__name__}: {first_line(error)}", {})
        except Exception:
            _LOG.warning("record node=%s written=0", self._told.node, exc_info=True)

    def _write(
        self, end: NodeEnd, reason: str, made: Mapping[str, tuple[RecordedArtifact, ...]]
    ) -> None:
        read = {
            key: tuple(_artifact(one, self._uris) for one in given.get("artifacts", ()))
            for key, given in self._call.get("inputs", {}).get("artifacts", {}).items()
        }
        record = NodeRecord(
            run_id=self._told.run_id,
            node=self._told.node,
            node_type=self._told.node_type,
            end=end,
            reason=reason,
            started_ms=self._started_ms,
            ended_ms=_now_ms(),
            inputs=read,
            outputs=made,
            base_path=_base_path(self._call),
        )
        content = storage.json_text(NODE_RECORD.content(record))
        _replace(self._told.folder, f"{self._told.node}.json", content)


def read_records(root: str, run_id: str) -> Iterator[NodeRecord]:
    """Yields the records of a run.

    Raises:
        DataError: One cannot be read, or another release wrote it.
    """
    tree = open_tree(records_folder(root, run_id))
    names = [name for name, _ in tree.below("") if name.endswith(".json") and name != _SPEC]
    for name, content in zip(names, read_each(tree, names), strict=True):
        yield NODE_RECORD.value(storage.json_object(content, name), f"{tree.address}/{name}")


def type_name_of(kind: Mapping[str, Any]) -> str:
    """Returns the name in ML Metadata of a type (ArtifactTypeSchema as JSON)."""
    title = kind.get("schemaTitle", "")
    if kind.get("instanceSchema"):
        title = (yaml.safe_load(kind["instanceSchema"]) or {}).get("title", title)
    # What TFX's compiler calls its own types; those of others stand as they are.
    return str(title or "tfx.Artifact").removeprefix("tfx.")


def _replace(folder: str, name: str, content: bytes) -> None:
    """Writes a file, whatever was there: of a container that was started again the last speaks."""
    if not storage.is_remote(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
    files = conditional_files(folder)
    files.replace(name, content, files.read(name).tag)


def _type(declared: Mapping[str, Any] | None) -> Mapping[str, Any]:
    artifacts = (declared or {}).get("artifacts") or [{}]
    return dict(artifacts[0].get("type") or {})


def _artifact(given: Mapping[str, Any], uris: Mapping[str, str]) -> RecordedArtifact:
    uri = str(given.get("uri", ""))
    return RecordedArtifact(
        type_name=type_name_of(given.get("type") or {}),
        uri=uris.get(uri, uri),
        properties={
            name: _number(value)
            for name, value in (given.get("metadata") or {}).items()
            if isinstance(value, (int, float, str)) and not name.endswith(_FOREIGN_IDS)
        },
    )


def _base_path(call: Mapping[str, Any]) -> str:
    """Returns the parameter `base_path` of a call, as each generation of the services has it."""
    inputs = call.get("inputs", {})
    older = inputs.get("parameters", {}).get(BASE_PATH, {}).get("stringValue", "")
    return str(inputs.get("parameterValues", {}).get(BASE_PATH, older))


def _number(value: int | float | str) -> int | float | str:
    # The services keep every number as a double; ML Metadata has no truth values.
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    return value


def _now_ms() -> int:
    return int(time.time() * 1000)
