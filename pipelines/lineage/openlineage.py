"""Events of OpenLineage from ML Metadata (openlineage.io, specification 2-0-2).

A node of a pipeline is a job, its execution a run, its artifacts and raw files datasets. Ids of
runs follow from the store's own numbers, so that what is sent twice is the same run. Parameters are
left out: they may say more than a catalogue is to know.
"""

import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from tfx_loop.core.storage import is_remote
from tfx_loop.pipelines.lineage.graph import IMPORTER, Artifact, Execution, Graph
from tfx_loop.pipelines.lineage.raw_files import place, raw_files

PRODUCER = "urn:tfx-loop"
_SPEC = "https://openlineage.io/spec"
_EVENT_SCHEMA = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = {
    "parent": f"{_SPEC}/facets/1-0-1/ParentRunFacet.json#/$defs/ParentRunFacet",
    "errorMessage": f"{_SPEC}/facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
    "jobType": f"{_SPEC}/facets/2-0-3/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
    "version": (
        f"{_SPEC}/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
    ),
}
# How an execution ended, as OpenLineage calls it; others are under way.
_ENDS = {"COMPLETE": "COMPLETE", "CACHED": "COMPLETE", "FAILED": "FAIL", "CANCELED": "ABORT"}
# Of an error; some carry a whole traceback.
_SHOWN_CHARACTERS = 2_000


def events(graph: Graph, namespace: str, since_ms: int = 0) -> Iterator[dict[str, Any]]:
    """Yields the events of executions, oldest first: START, and how they ended.

    Args:
        graph: The store.
        namespace: Of the jobs, such as the name of the installation.
        since_ms: What was recorded from then on alone, milliseconds since epoch.
    """
    found: list[tuple[int, int, int, dict[str, Any]]] = []
    for number, execution in graph.executions.items():
        # The loop's own records are no work on data, and an Importer does none.
        if not execution.run_id or execution.type == IMPORTER:
            continue
        if execution.created_at_ms >= since_ms:
            found.append((execution.created_at_ms, number, 0,
                          _event(graph, execution, namespace, "START")))  # fmt: skip
        end = _ENDS.get(execution.state)
        if end is not None and execution.updated_at_ms >= since_ms:
            found.append((execution.updated_at_ms, number, 1,
                          _event(graph, execution, namespace, end)))  # fmt: skip
    yield from (event for *_, event in sorted(found, key=lambda one: one[:3]))


def _event(graph: Graph, execution: Execution, namespace: str, kind: str) -> dict[str, Any]:
    started = kind == "START"
    at_ms = execution.created_at_ms if started else execution.updated_at_ms
    run: dict[str, Any] = {
        "parent": _facet(
            "parent",
            run={"runId": _run_id(namespace, "run", execution.run_id)},
            job={"namespace": namespace, "name": execution.run_id},
        )
    }
    if kind == "FAIL":
        told = execution.message or "no reason was recorded"
        message = told[:_SHOWN_CHARACTERS]
        run["errorMessage"] = _facet("errorMessage", message=message, programmingLanguage="Python")
    about = {"processingType": "BATCH", "integration": "TFX", "jobType": execution.type}
    return {
        "eventType": kind,
        "eventTime": _time(at_ms),
        "producer": PRODUCER,
        "schemaURL": _EVENT_SCHEMA,
        "run": {"runId": _run_id(namespace, execution.run_id, str(execution.id)), "facets": run},
        "job": {
            "namespace": namespace,
            "name": execution.node,
            "facets": {"jobType": _facet("jobType", **about)},
        },
        "inputs": _inputs(graph, execution),
        "outputs": [] if started else _datasets(graph.outputs(execution)),
    }


def _inputs(graph: Graph, execution: Execution) -> list[dict[str, Any]]:
    raw = [{**_name(path), "facets": {}} for path in raw_files(execution)]
    return [*raw, *_datasets(graph.inputs(execution))]


def _datasets(artifacts: list[Artifact]) -> list[dict[str, Any]]:
    return [
        {
            **_name(place(artifact.uri)),
            "facets": {"version": _facet("version", datasetVersion=str(artifact.id))},
        }
        for artifact in artifacts
        if artifact.uri
    ]


def _name(path: str) -> dict[str, str]:
    """Returns namespace and name of a dataset, as OpenLineage names files and objects."""
    if not is_remote(path):
        return {"namespace": "file", "name": path}
    parts = urlsplit(path)
    return {"namespace": f"{parts.scheme}://{parts.netloc}", "name": parts.path.strip("/") or "/"}


def _facet(name: str, **content: Any) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": _FACETS[name], **content}


def _run_id(*parts: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join((PRODUCER, *parts))))


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, timezone.utc).isoformat(timespec="milliseconds")
