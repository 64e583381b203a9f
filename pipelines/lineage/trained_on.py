"""Models that were trained on the rows of some files, told from ML Metadata."""

from collections.abc import Collection
from dataclasses import dataclass

from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.lineage import graph as lineage
from tfx_loop.pipelines.lineage.facts import all_pushes
from tfx_loop.pipelines.lineage.graph import Artifact, Execution, Graph
from tfx_loop.pipelines.lineage.starting_points import EXAMPLES, of_file
from tfx_loop.pipelines.lineage.walk import COMPARED, reached

MODEL = "Model"
# What Transform makes of Examples, and what Trainer reads of it.
_LEARNT_FROM = (EXAMPLES, MODEL, "TransformGraph")


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


def models_trained_on(store: Store | Graph, files: Collection[str]) -> tuple[DescendantModel, ...]:
    """Returns the models that were made from files, oldest first.

    Files are spans that SpanExampleGen read, or lie in an artifact's folder. A training sample
    lies in a ReferenceProfile: there the Examples that it was drawn from count.
    """
    graph = lineage.load(store)
    starts = [artifact for path in files for artifact in of_file(graph, path)]
    found = reached(graph, starts, learns)
    served = versions_of(graph)
    return tuple(
        described(graph, model, served) for _, model in sorted(found.items()) if model.type == MODEL
    )


def learns(given: Artifact, reader: Execution, key: str) -> bool:
    """Says whether what a node makes may hold what it was given: rows, or what a model learnt."""
    return given.type in _LEARNT_FROM and key not in COMPARED


def versions_of(graph: Graph) -> dict[int, list[str]]:
    """Returns by id of a Model what it was served as."""
    served: dict[int, list[str]] = {}
    for push in all_pushes(graph):
        if push.model is not None:
            served.setdefault(push.model.id, []).append(f"{push.model_name} {push.version}")
    return served


def described(graph: Graph, model: Artifact, served: dict[int, list[str]]) -> DescendantModel:
    """Returns what people know a model by."""
    maker = graph.maker(model)
    return DescendantModel(
        uri=model.uri,
        node=maker.node if maker else "",
        run_id=maker.run_id if maker else "",
        versions=tuple(served.get(model.id, [])),
    )
