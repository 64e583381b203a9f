"""Models that were trained on the rows of some files, told from ML Metadata."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tfx_loop.core import type_names
from tfx_loop.core.storage import is_remote
from tfx_loop.data.span_example_gen.spans import parse_spans
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.lineage import graph as lineage
from tfx_loop.pipelines.lineage.facts import all_pushes
from tfx_loop.pipelines.lineage.graph import Artifact, Execution, Graph

_SPAN_GENERATOR = "SpanExampleGen"
_EXAMPLES, _MODEL = "Examples", "Model"


@dataclass(frozen=True, kw_only=True)
class DescendantModel:
    """A model that learnt from rows of the files asked about.

    Attributes:
        uri: The Model artifact.
        node: The node that made it.
        run_id: The pipeline run.
        versions: What it was served as, such as `taxi 3`.
    """

    uri: str
    node: str
    run_id: str
    versions: tuple[str, ...]


def models_trained_on(store: Store, files: Collection[str]) -> tuple[DescendantModel, ...]:
    """Returns the models that were made from files, oldest first.

    Files are spans that SpanExampleGen read, or lie in an artifact's folder. A training sample
    lies in a ReferenceProfile: there the Examples that it was drawn from count.
    """
    graph = lineage.load(store)
    # The store may know a file by the name of a link, or by what the link leads to.
    paths = {place for path in files for place in (_place(path), _target(path))}
    reached = {a.id: a for a in _sources(graph, paths)}
    ahead = list(reached.values())
    while ahead:
        for reader in graph.readers(ahead.pop()):
            for made in graph.outputs(reader):
                if made.id not in reached and made.type in (_EXAMPLES, _MODEL, *_ON_THE_WAY):
                    reached[made.id] = made
                    ahead.append(made)
    served: dict[int, list[str]] = {}
    for push in all_pushes(graph):
        if push.model is not None:
            served.setdefault(push.model.id, []).append(f"{push.model_name} {push.version}")
    return tuple(
        _trained(graph, model, served.get(model.id, []))
        for _, model in sorted(reached.items())
        if model.type == _MODEL
    )


# What Transform makes of Examples, and what Trainer reads of it.
_ON_THE_WAY = ("TransformGraph",)


def _sources(graph: Graph, paths: Collection[str]) -> Iterator[Artifact]:
    for execution in graph.of_type(_SPAN_GENERATOR):
        if _read_by(execution) & {*paths}:
            yield from graph.outputs(execution)
    for artifact in graph.artifacts.values():
        folder = f"{_place(artifact.uri)}/"
        if not artifact.uri or not any(path.startswith(folder) for path in paths):
            continue
        yield artifact
        maker = graph.maker(artifact)
        if artifact.type == type_names.REFERENCE_PROFILE and maker is not None:
            yield from (given for given in graph.inputs(maker) if given.type == _EXAMPLES)


def _read_by(execution: Execution) -> set[str]:
    """Returns the files of spans that a SpanExampleGen read."""
    base, pattern, spans = (
        str(execution.properties.get(name, "")) for name in ("input_base", "pattern", "spans")
    )
    if not (base and pattern and spans):
        return set()
    files = (pattern.format(SPAN=span) for span in parse_spans(spans))
    return {_place(f"{base.rstrip('/')}/{file}") for file in files}


def _place(uri: str) -> str:
    return uri.rstrip("/") if is_remote(uri) else os.path.abspath(uri.removeprefix("file://"))


def _target(path: str) -> str:
    return path if is_remote(path) else os.path.realpath(path)


def _trained(graph: Graph, model: Artifact, versions: list[str]) -> DescendantModel:
    maker = graph.maker(model)
    return DescendantModel(
        uri=model.uri,
        node=maker.node if maker else "",
        run_id=maker.run_id if maker else "",
        versions=tuple(versions),
    )
