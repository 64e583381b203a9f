"""The entry point of containers on Kubeflow Pipelines and Vertex AI.

    python -m tfx_loop.pipelines.runners.kubeflow_entry --executor_class_path ... (TFX's own flags)

KFP's driver hands over less than TFX's entry point asks for (tensorflow/tfx#7768), and other paths
than its executors can open. What is missing is put right, and TFX's own entry point does the rest:

- Input artifacts come without their type: it is taken from the component's own declaration.
- Artifacts at `s3://` and `minio://` are read and written below the folders into which KFP's
  launcher copies them (`/s3/...`, `/minio/...`); what is reported back are the URIs.

Calls that lack nothing, as Vertex's, are handed on as they are. A node of a run that the loop asked
for leaves a record of itself where `--loop_record` says (node_recording.py).
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfx_loop.pipelines.runners.remote import node_recording

_CALL = "--json_serialized_invocation_args"
_DECLARATION = "--json_serialized_inputs_spec_args"
# KFP's launcher copies artifacts of these to and from a folder of the scheme's name.
_COPIED = ("minio", "s3")

Run = Callable[[list[str], str], None]


def completed_call(call: dict[str, Any], declared: Mapping[str, Any]) -> dict[str, str]:
    """Puts right what KFP's driver handed over, in place.

    Args:
        call: The invocation (ExecutorInput as JSON).
        declared: The inputs of the component (ComponentInputsSpec as JSON).

    Returns:
        The URI of each local path that was put in its place.
    """
    types = {
        key: told["artifactType"]
        for key, told in declared.get("artifacts", {}).items()
        if "artifactType" in told
    }
    for key, given in call.get("inputs", {}).get("artifacts", {}).items():
        for artifact in given.get("artifacts", ()):
            if key in types and _lacks_type(artifact.get("type") or {}):
                artifact["type"] = types[key]
    uris = {}
    for side in ("inputs", "outputs"):
        for given in call.get(side, {}).get("artifacts", {}).values():
            for artifact in given.get("artifacts", ()):
                path = _path(artifact["uri"])
                if path != artifact["uri"]:
                    uris[path] = artifact["uri"]
                    artifact["uri"] = path
    return uris


def reported(output: dict[str, Any], uris: Mapping[str, str]) -> dict[str, Any]:
    """Returns a node's output (ExecutorOutput as JSON) with URIs in place of local paths."""
    for given in output.get("artifacts", {}).values():
        for artifact in given.get("artifacts", ()):
            artifact["uri"] = uris.get(artifact.get("uri"), artifact.get("uri"))
    return output


def main(arguments: Sequence[str], run: Run) -> None:
    """Completes the call, runs the node, and completes and records what it reports.

    Args:
        arguments: The container's.
        run: Runs the node; takes TFX's own arguments, and the id of the run or an empty text.
    """
    told, given = node_recording.taken(arguments)
    call = json.loads(_value(given, _CALL) or "{}")
    uris = completed_call(call, json.loads(_value(given, _DECLARATION) or "{}"))
    if _CALL in given:
        given[given.index(_CALL) + 1] = json.dumps(call)
    recording = node_recording.NodeRecording(told, call, uris)
    try:
        run(given, told.run_id)
        output = _report(str(call["outputs"]["outputFile"]), uris) if told.folder or uris else {}
    except BaseException as error:
        recording.failed(error)
        raise
    recording.complete(output)


def _report(path: str, uris: Mapping[str, str]) -> dict[str, Any]:
    from tfx_loop.core import storage

    output = reported(storage.read_json(path), uris)
    if uris:
        storage.write_bytes(path, json.dumps(output).encode())
    return output


def _lacks_type(kind: Mapping[str, Any]) -> bool:
    """Says whether a type is none that TFX knows: none at all, or KFP's `system.Artifact`."""
    return not kind.get("instanceSchema") and kind.get("schemaTitle", "system.").startswith(
        "system."
    )


def _path(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    return f"/{scheme}/{rest}" if separator and scheme in _COPIED else uri


def _value(arguments: Sequence[str], flag: str) -> str:
    """Returns what follows a flag; empty where it is not given."""
    return arguments[arguments.index(flag) + 1] if flag in arguments[:-1] else ""


def _run_by_tfx(arguments: list[str], run_id: str) -> None:
    from absl import flags
    from tfx.dsl.components.base import base_executor
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor as entry

    class Context(base_executor.BaseExecutor.Context):
        """TFX's entry point knows of no run; ServingPusher writes it into the deployment record."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **{"pipeline_run_id": run_id or None, **named})

    base_executor.BaseExecutor.Context = Context
    # absl's app.run would end the process, before the output is reported.
    flags.FLAGS([sys.argv[0]])
    entry.main(entry._parse_flags([sys.argv[0], *arguments]))


if __name__ == "__main__":
    main(sys.argv[1:], _run_by_tfx)
