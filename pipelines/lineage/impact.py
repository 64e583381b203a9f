"""Impact of a bad span or window: models, versions, device bundles and decisions.

Three ways lead from bad rows to a model. It learnt from them, or from a model that did (`learned`).
A decision that was measured on them, or that judged such a model, asked for its training (`asked`).
Or it passed the gate beside a champion that learnt from them (`compared`): its own rows are sound.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tfx_loop.contracts.retrain_decision import DecisionProperties
from tfx_loop.core.custom_properties import from_properties
from tfx_loop.core.type_names import PREDICTION_LOG, RETRAIN_DECISION
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.lineage import facts
from tfx_loop.pipelines.lineage.graph import Artifact, Execution, Graph, load
from tfx_loop.pipelines.lineage.starting_points import EXAMPLES, starting_points
from tfx_loop.pipelines.lineage.trained_on import MODEL, learns
from tfx_loop.pipelines.lineage.walk import COMPARED, reached

LEARNED, ASKED, COMPARED_WITH = "learned", "asked", "compared"
_BUNDLER = "EdgeBundler"
_MEASURED, _JUDGED = "measured_on_it", "judged_such_a_model"


@dataclass(frozen=True, kw_only=True)
class TouchedModel:
    """A model, a variant of one, or a bundle for devices.

    Attributes:
        what: `model`, `variant` (an optimiser's) or `bundle`.
        how: `learned`, `asked` or `compared`.
        uri: The Model artifact.
        node: The node that made it.
        run_id: The pipeline run.
        versions: What it was served or rolled out as, such as `taxi 3`.
        serves: Whether one of these versions is the newest of its name in the store.
    """

    what: str
    how: str
    uri: str
    node: str
    run_id: str
    versions: tuple[str, ...]
    serves: bool


@dataclass(frozen=True, kw_only=True)
class TouchedDecision:
    """A decision that rests on the rows, or on a model that learnt from them.

    Attributes:
        decision_id: MLMD id.
        model_name: The served model.
        window: The window that it is about.
        verdict: What was decided.
        reason: Why.
        how: `measured_on_it` or `judged_such_a_model`.
        run_id: The training that it asked for; empty for none.
    """

    decision_id: int
    model_name: str
    window: str
    verdict: str
    reason: str
    how: str
    run_id: str


@dataclass(frozen=True, kw_only=True)
class Impact:
    """All that was touched.

    Attributes:
        asked_about: As it was named.
        sources: URIs that the walk began at.
        models: Models, variants and bundles; those that learnt from it first, then oldest first.
        decisions: Oldest first.
    """

    asked_about: str
    sources: tuple[str, ...]
    models: tuple[TouchedModel, ...]
    decisions: tuple[TouchedDecision, ...]


def impact(store: Store | Graph, model_name: str, named: str) -> Impact:
    """Returns what rows touched.

    Args:
        store: The store.
        model_name: The served model whose windows are meant.
        named: A span's number, a window's name, or what `starting_points` takes.

    Raises:
        DataError: The store knows nothing by this name.
    """
    graph = load(store)
    text = f"span:{named}" if named.isdecimal() else named
    starts = starting_points(graph, model_name, text)
    learned = reached(graph, starts, learns)
    # From all that learnt from the rows, not from the rows alone: a decision may judge such a model
    # on rows that are sound.
    touched = reached(graph, learned.values(), _rests_on)
    decisions = {a.id: a for a in touched.values() if a.type == RETRAIN_DECISION}
    asked = reached(graph, decisions.values(), _was_asked_for)
    compared = _passed_beside(graph, learned.values())
    found: dict[int, tuple[str, Artifact]] = {}
    for how, artifacts in ((LEARNED, learned), (ASKED, asked), (COMPARED_WITH, compared)):
        for number, artifact in sorted(artifacts.items()):
            if artifact.type == MODEL and graph.maker(artifact) is not None:
                # The first way found is told, from the nearest (`learned`) to the furthest.
                found.setdefault(number, (how, artifact))
    return Impact(
        asked_about=named,
        sources=tuple(dict.fromkeys(start.uri for start in starts)),
        models=tuple(_model(graph, how, model) for how, model in found.values()),
        decisions=tuple(
            fact
            for _, decision in sorted(decisions.items())
            if (fact := _decision(graph, decision, starts)) is not None
        ),
    )


def _rests_on(given: Artifact, reader: Execution, key: str) -> bool:
    """Says whether a report or decision rests on what its node was given; it ends at decisions."""
    return given.type != RETRAIN_DECISION and key not in COMPARED


def _was_asked_for(given: Artifact, reader: Execution, key: str) -> bool:
    """Follows a decision into the training that it asked for, and what came of that."""
    if given.type == RETRAIN_DECISION:
        return key not in COMPARED and any(
            part in reader.type for part in ("ExampleGen", "Trainer")
        )
    return learns(given, reader, key)


def _passed_beside(graph: Graph, artifacts: Iterable[Artifact]) -> dict[int, Artifact]:
    """Returns the models that an evaluation compared with one of these champions."""
    found: dict[int, Artifact] = {}
    for champion in artifacts:
        if champion.type != MODEL:
            continue
        same = {node.id for node in graph.same(champion)}
        for reader in graph.readers(champion):
            if any(a.id in same for a in graph.inputs(reader, "baseline_model")):
                found |= {model.id: model for model in graph.inputs(reader, "model")}
    return found


def _model(graph: Graph, how: str, model: Artifact) -> TouchedModel:
    maker = graph.maker(model)
    node = maker.type if maker else ""
    variant = bool(maker and graph.outputs(maker, "optimization_report"))
    same = {one.id for one in graph.same(model)}
    pushes = [p for p in facts.all_pushes(graph) if p.model is not None and p.model.id in same]
    newest = {p.model_name: p.version for p in facts.all_pushes(graph)}
    return TouchedModel(
        what="bundle" if node == _BUNDLER else "variant" if variant else "model",
        how=how,
        uri=model.uri,
        node=maker.node if maker else "",
        run_id=maker.run_id if maker else "",
        versions=tuple(f"{p.model_name} {p.version}" for p in pushes),
        serves=any(newest[p.model_name] == p.version for p in pushes),
    )


def _decision(
    graph: Graph, decision: Artifact, starts: Iterable[Artifact]
) -> TouchedDecision | None:
    said = from_properties(DecisionProperties, decision.properties)
    if not said.verdict:
        return None  # What an Importer brought in: its maker's own is told.
    fact = facts.decision_of(graph, decision, said.model_name)
    rows = {start.id for start in starts if start.type in (PREDICTION_LOG, EXAMPLES)}
    logs = reached(graph, [s for s in starts if s.id in rows], _log_leads_to)
    return TouchedDecision(
        decision_id=decision.id,
        model_name=said.model_name,
        window=said.window,
        verdict=said.verdict,
        reason=said.reason,
        how=_MEASURED if decision.id in logs else _JUDGED,
        run_id=fact.run_id if fact else "",
    )


def _log_leads_to(given: Artifact, reader: Execution, key: str) -> bool:
    return given.type not in (EXAMPLES, MODEL, RETRAIN_DECISION) and key not in COMPARED
