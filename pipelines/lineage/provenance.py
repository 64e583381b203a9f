"""The provenance of a served version, as SLSA writes it down: data, code, parameters and parents.

An in-toto statement with the predicate of SLSA 1.0 (slsa.dev/spec/v1.0/provenance), made of what ML
Metadata knows. It names the version by the digest that its signature has, so that the two belong
together; signed itself, it says who vouches for it. No rows and no secrets: nodes keep paths of
keys in their properties, never keys.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.lineage import facts
from tfx_loop.pipelines.lineage.explain import explain
from tfx_loop.pipelines.lineage.explanation import Explanation
from tfx_loop.pipelines.lineage.graph import IMPORTER, Artifact, Execution, Graph, load

BUILD_TYPE = "urn:tfx-loop:pipeline-run:v1"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://slsa.dev/provenance/v1"
# What nodes call the code that they run: import paths, and the wheel that TFX makes of a module
# file, whose name ends with the hash of its content.
_CODE = ("run_fn", "preprocessing_fn", "module_path", "module_file", "export_fn", "code_revision")
# Of a property, such as a whole configuration; the store has the rest.
_SHOWN_CHARACTERS = 2_000


def provenance(
    store: Store | Graph, model_name: str, version: int, digest: Mapping[str, str]
) -> dict[str, Any]:
    """Returns the statement about a version.

    Args:
        store: ML Metadata.
        model_name: The served model.
        version: Its version.
        digest: By algorithm, of the served files.

    Raises:
        DataError: No such version was pushed.
    """
    graph = load(store)
    told = explain(graph, model_name, version)
    push = next(p for p in reversed(facts.pushes(graph, model_name)) if p.version == version)
    pusher = graph.maker(push.artifact)
    behind = [] if push.model is None else list(graph.upstream(push.model, push.run_id))
    nodes = _makers(graph, [*([push.model] if push.model else []), *behind])
    nodes = [*nodes, *([pusher] if pusher else [])]
    return {
        "_type": _STATEMENT,
        "subject": [{"name": f"{model_name}/{version}", "digest": dict(digest)}],
        "predicateType": _PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"model": model_name, "version": version, **_asked(told)},
                "internalParameters": {
                    _name(node, told.run_id): _parameters(node) for node in nodes
                },
                "resolvedDependencies": [*_data(told), *_code(nodes), *_parents(told, behind)],
            },
            "runDetails": {
                "builder": {"id": "urn:tfx-loop", "version": _versions()},
                "metadata": {
                    "invocationId": told.run_id,
                    "startedOn": _time(min((n.created_at_ms for n in nodes), default=0)),
                    "finishedOn": _time(told.pushed_at_ms),
                },
            },
        },
    }


def _makers(graph: Graph, artifacts: list[Artifact]) -> list[Execution]:
    """Returns the nodes that had a part in it, in the order in which they ran."""
    made = {maker.id: maker for a in artifacts if (maker := graph.maker(a)) is not None}
    return [node for _, node in sorted(made.items()) if node.type != IMPORTER]


def _asked(told: Explanation) -> dict[str, Any]:
    """Returns the decision that asked for the training; nothing where a person did."""
    if told.why is None:
        return {}
    return {"decision": {"window": told.why.window, "reason": told.why.reason}}


def _name(node: Execution, run_id: str) -> str:
    return node.node if node.run_id == run_id else f"{node.node} of {node.run_id}"


def _parameters(node: Execution) -> dict[str, Any]:
    return {name: _shown(value) for name, value in sorted(node.properties.items())}


def _shown(value: Any) -> Any:
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) <= _SHOWN_CHARACTERS:
        return value
    return f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"


def _data(told: Explanation) -> list[dict[str, Any]]:
    return [
        {"name": "data", "uri": data.uri, "annotations": {"spans": data.spans}}
        for data in told.trained_on
    ]


def _code(nodes: list[Execution]) -> list[dict[str, Any]]:
    found = [
        {"name": "code", "annotations": {"node": node.node, name: node.text(name)}}
        for node in nodes
        for name in _CODE
        if node.text(name)
    ]
    return [entry for place, entry in enumerate(found) if entry not in found[:place]]


def _parents(told: Explanation, behind: list[Artifact]) -> list[dict[str, Any]]:
    """Returns the models that it was made from, and the champion that it had to beat."""
    models: list[dict[str, Any]] = [
        {"name": "parent", "uri": artifact.uri} for artifact in behind if artifact.type == "Model"
    ]
    beaten = told.contest.baseline_uri
    if beaten and not told.contest.baseline_is_parent:
        version = told.contest.baseline_version
        models.append({"name": "baseline", "uri": beaten, "annotations": {"version": version}})
    return models


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("tfx-loop", "tfx", "tensorflow")}


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, timezone.utc).isoformat(timespec="seconds")
