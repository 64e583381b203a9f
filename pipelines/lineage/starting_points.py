"""Starting points in the lineage by name: a version, a window, a span, a decision, a file."""

import os
from collections.abc import Callable, Mapping

from tfx_loop.core.errors import DataError
from tfx_loop.core.storage import is_remote
from tfx_loop.core.type_names import PREDICTION_LOG, REFERENCE_PROFILE, RETRAIN_DECISION
from tfx_loop.pipelines.lineage import facts
from tfx_loop.pipelines.lineage.graph import Artifact, Graph
from tfx_loop.pipelines.lineage.raw_files import place, raw_files, spans_of

EXAMPLES = "Examples"
KINDS = (
    "a version (3), window:NAME, span:N, decision:ID, run:ID, artifact:ID, or a file or an "
    "artifact's URI"
)


def starting_points(graph: Graph, model_name: str, named: str) -> list[Artifact]:
    """Returns the artifacts that a text names, oldest first.

    Args:
        graph: The store.
        model_name: The served model that versions and windows are of.
        named: One of KINDS; a text without a kind is a version if it is a number, else the name of
            a window, else a file or URI.

    Raises:
        DataError: The store knows nothing by this name.
    """
    kind, colon, rest = named.partition(":")
    find = _FINDERS.get(kind) if colon else None
    if find is not None:
        found = find(graph, model_name, rest)
    elif named.isdecimal():
        found = _version(graph, model_name, named)
    else:
        found = _window(graph, model_name, named) or of_file(graph, named)
    if not found:
        raise DataError(
            f"Expected {KINDS}, known to the store, received {named!r}, which it does not know"
            f"{_known(graph, model_name, kind if find else '')}."
        )
    return sorted(found, key=lambda artifact: artifact.id)


def of_file(graph: Graph, path: str) -> list[Artifact]:
    """Returns what was made of a file or lies at a URI.

    A training sample lies in a ReferenceProfile: there the Examples that it was drawn from count.
    """
    # The store may know a file by the name of a link, or by what the link leads to.
    paths = {place(path), place(path) if is_remote(path) else os.path.realpath(path)}
    found = {
        made.id: made
        for execution in graph.executions.values()
        if paths & {*raw_files(execution)}
        for made in graph.outputs(execution)
    }
    for artifact in graph.artifacts.values():
        own = place(artifact.uri) if artifact.uri else ""
        if own and any(one == own or one.startswith(f"{own}/") for one in paths):
            found[artifact.id] = artifact
            maker = graph.maker(artifact)
            if artifact.type == REFERENCE_PROFILE and maker is not None:
                found |= {g.id: g for g in graph.inputs(maker) if g.type == EXAMPLES}
    return list(found.values())


def _version(graph: Graph, model_name: str, text: str) -> list[Artifact]:
    pushes = [p for p in facts.pushes(graph, model_name) if str(p.version) == text]
    return [part for p in pushes[-1:] for part in (p.model, p.artifact) if part is not None]


def _window(graph: Graph, model_name: str, name: str) -> list[Artifact]:
    return [
        log
        for log in graph.artifacts_of_type(PREDICTION_LOG)
        if log.text("window") == name and log.text("model_name") in ("", model_name)
    ]


def _span(graph: Graph, model_name: str, text: str) -> list[Artifact]:
    if not text.isdecimal():
        return []
    # Transformed examples follow from these.
    return [
        artifact
        for artifact in graph.artifacts_of_type(EXAMPLES)
        if int(text) in spans_of(artifact.text("spans") or artifact.text("span"))
    ]


def _decision(graph: Graph, model_name: str, text: str) -> list[Artifact]:
    return [a for a in graph.artifacts_of_type(RETRAIN_DECISION) if str(a.id) == text]


def _artifact(graph: Graph, model_name: str, text: str) -> list[Artifact]:
    return [a for a in graph.artifacts.values() if str(a.id) == text]


def _run(graph: Graph, model_name: str, text: str) -> list[Artifact]:
    made = [o for e in graph.executions.values() if e.run_id == text for o in graph.outputs(e)]
    return list({artifact.id: artifact for artifact in made}.values())


_FINDERS: Mapping[str, Callable[[Graph, str, str], list[Artifact]]] = {
    "version": _version,
    "window": _window,
    "span": _span,
    "decision": _decision,
    "artifact": _artifact,
    "run": _run,
}


def _known(graph: Graph, model_name: str, kind: str) -> str:
    """Returns a few of the names that would have been known."""
    names: list[str] = []
    if kind in ("", "version"):
        names = [str(p.version) for p in facts.pushes(graph, model_name)]
    elif kind == "window":
        logs = graph.artifacts_of_type(PREDICTION_LOG)
        names = [log.text("window") for log in logs if log.text("window")]
    elif kind == "span":
        texts = [a.text("spans") for a in graph.artifacts_of_type(EXAMPLES)]
        names = [str(n) for n in sorted({n for text in texts for n in spans_of(text)})]
    shown = list(dict.fromkeys(names))[-8:]
    return f" (known: {', '.join(shown)})" if shown else ""
