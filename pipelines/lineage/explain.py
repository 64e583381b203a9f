"""The explanation of a version: its data, the decision behind it, what it beat, when it served."""

from dataclasses import dataclass

from tfx_loop.contracts.model_properties import ModelProperties
from tfx_loop.contracts.optimization_report import OptimizationProperties
from tfx_loop.contracts.pushed_model import PushedProperties
from tfx_loop.contracts.skew_report import SkewProperties
from tfx_loop.core.custom_properties import Scalar, from_properties, to_properties
from tfx_loop.core.errors import DataError
from tfx_loop.core.type_names import RETRAIN_DECISION
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.lineage import facts
from tfx_loop.pipelines.lineage.facts import DecisionFact, PushFact
from tfx_loop.pipelines.lineage.graph import Artifact, Execution, Graph, load

EVALUATORS = ("Evaluator", "VariantEvaluator")
CHOOSER = "VariantChooser"
SKEW_MONITOR = "SkewMonitor"
# Under which key an optimiser reads the model that it starts from.
_SOURCES = ("model", "parent", "teacher")
# Properties of an OptimizationReport that a person wants to know (OptimizationProperties).
_TOLD = ("verdict", "reason", "variant", "size_bytes", "sparsity", "metric_drop")


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Examples that a model was trained on.

    Attributes:
        uri: The Examples artifact.
        spans: Its spans, such as `1,2,3`; empty where its maker wrote none.
    """

    uri: str
    spans: str


@dataclass(frozen=True, kw_only=True)
class BaselineComparison:
    """What the model was measured against before the push.

    Attributes:
        baseline_version: The champion's version; 0 when the baseline was never pushed.
        baseline_uri: The champion's Model artifact; empty when there was none to beat.
        baseline_is_parent: True when it is the model that this variant was made from.
        blessed: Whether the evaluation let it pass; None without an evaluation.
        metrics: Numbers that the evaluation left as properties.
    """

    baseline_version: int = 0
    baseline_uri: str = ""
    baseline_is_parent: bool = False
    blessed: bool | None = None
    metrics: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class OptimizationSummary:
    """What an optimiser did to the model on its way to the server.

    Attributes:
        by: The node, such as `Quantizer`.
        facts: The scalar properties of its report, such as verdict, variant and size.
    """

    by: str
    facts: dict[str, Scalar]


@dataclass(frozen=True, kw_only=True)
class SkewSummary:
    """Whether the server saw what the model was trained on, for the same rows.

    Attributes:
        verdict: `CONSISTENT`, `SKEWED` or `NOT_ENOUGH_DATA`.
        reason: SkewMonitor's reason code.
        window: Name of the log's window.
        rows: Rows that were compared.
        skewed_features: How many features differ.
        uri: The SkewReport artifact.
    """

    verdict: str
    reason: str
    window: str
    rows: int
    skewed_features: int
    uri: str


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All that MLMD knows of one version.

    Attributes:
        model_name: The served model.
        version: The version.
        run_id: The run that trained and pushed it.
        pushed_at_ms: When it came into service.
        served_until_ms: When the next version came; None while it serves.
        replaced: The version that served before; 0 for none.
        replaced_by: The version that came after; 0 for none.
        destination: Where the server finds it.
        model_digest: Digest of the served files.
        model_uri: The Model artifact.
        trained_on: The data, nearest to the raw data.
        why: The decision that asked for it; None when a person did.
        contest: What it beat.
        optimised: What optimisers did to it, the last one first; empty for a model as trained.
        skew: What SkewMonitor said last of its training rows; None where it was not asked.
        decided_since: Decisions about this version, oldest first: done and not done.
    """

    model_name: str
    version: int
    run_id: str
    pushed_at_ms: int
    served_until_ms: int | None
    replaced: int
    replaced_by: int
    destination: str
    model_digest: str
    model_uri: str
    trained_on: tuple[TrainingData, ...]
    why: DecisionFact | None
    contest: BaselineComparison
    optimised: tuple[OptimizationSummary, ...]
    skew: SkewSummary | None
    decided_since: tuple[DecisionFact, ...]


def explain(store: Store, model_name: str, version: int) -> Explanation:
    """Walks from a version back to its data and its reason, and forward to what came of it.

    Raises:
        DataError: No such version was pushed.
    """
    graph = load(store)
    history = facts.pushes(graph, model_name)
    places = [place for place, push in enumerate(history) if push.version == version]
    if not places:
        raise DataError(_unknown(graph, model_name, version, history))
    push = history[places[-1]]
    later = history[places[-1] + 1] if places[-1] + 1 < len(history) else None
    decided = facts.decisions(graph, model_name)
    return Explanation(
        model_name=model_name,
        version=version,
        run_id=push.run_id,
        pushed_at_ms=push.pushed_at_ms,
        served_until_ms=later.pushed_at_ms if later else None,
        replaced=push.replaced,
        replaced_by=later.version if later else 0,
        destination=push.destination,
        model_digest=push.model_digest,
        model_uri=push.model.uri if push.model else "",
        trained_on=_data(graph, push),
        why=_why(graph, push, decided),
        contest=_contest(graph, push, history),
        optimised=_optimised(graph, push),
        skew=_skew(graph, push),
        decided_since=tuple(fact for fact in decided if fact.model_version == version),
    )


def _unknown(graph: Graph, model_name: str, version: int, history: list[PushFact]) -> str:
    if history:
        known = ", ".join(str(number) for number in sorted({push.version for push in history}))
        return f"Version {version} of {model_name} was never pushed; known versions: {known}."
    names = {
        from_properties(PushedProperties, a.properties).model_name or ""
        for a in graph.artifacts_of_type("PushedModel")
    } - {""}
    others = f"known models: {', '.join(sorted(names))}" if names else "no model was pushed yet"
    return f"Model {model_name} has no version {version} in this store; {others}."


def _data(graph: Graph, push: PushFact) -> tuple[TrainingData, ...]:
    if push.model is None:
        return ()
    examples = [a for a in graph.upstream(push.model, push.run_id) if a.type == "Examples"]
    # Transformed examples are examples, too; what they were made from says more.
    sources = [a for a in examples if not _made_from_examples(graph, a)]
    return tuple(TrainingData(uri=a.uri, spans=a.text("spans") or a.text("span")) for a in sources)


def _made_from_examples(graph: Graph, artifact: Artifact) -> bool:
    maker = graph.maker(artifact)
    return maker is not None and any(a.type == "Examples" for a in graph.inputs(maker))


def _why(graph: Graph, push: PushFact, decided: list[DecisionFact]) -> DecisionFact | None:
    if push.model is None:
        return None
    for artifact in graph.upstream(push.model, push.run_id):
        if artifact.type == RETRAIN_DECISION:
            same = {node.id for node in graph.same(artifact)}
            return next((fact for fact in decided if fact.decision_id in same), None)
    return None


def _contest(graph: Graph, push: PushFact, history: list[PushFact]) -> BaselineComparison:
    if push.model is None:
        return BaselineComparison(metrics={})
    model = _chosen(graph, push.model)
    evaluator = _evaluator(graph, push, model)
    if evaluator is None:
        return BaselineComparison(metrics={})
    baselines = graph.inputs(evaluator, "baseline_model")
    made_from = {artifact.id for artifact in graph.upstream(model, push.run_id)}
    blessings = graph.outputs(evaluator, "blessing")
    return BaselineComparison(
        baseline_version=_version_of(graph, baselines[0], history) if baselines else 0,
        baseline_uri=baselines[0].uri if baselines else "",
        baseline_is_parent=bool(baselines) and baselines[0].id in made_from,
        blessed=_is_blessed(blessings[-1]) if blessings else None,
        metrics=_metrics(graph, evaluator),
    )


def _evaluator(graph: Graph, push: PushFact, model: Artifact) -> Execution | None:
    """Returns the evaluation that let the model pass: the one whose blessing the pusher read.

    A pusher without a blessing says nothing of it. Then the last evaluation of the model counts: a
    resumed run may have evaluated it twice.
    """
    pusher = graph.maker(push.artifact)
    given = graph.inputs(pusher, "model_blessing") if pusher else []
    maker = graph.maker(given[-1]) if given else None
    if maker is not None and maker.type == CHOOSER and push.model is not None:
        said = from_properties(ModelProperties, push.model.properties)
        given = graph.inputs(maker, (said.chosen_input or "none").replace("model_", "blessing_"))
        maker = graph.maker(given[-1]) if given else None
    if maker is not None and maker.type in EVALUATORS:
        return maker
    judged = [
        execution
        for execution in graph.readers(model)
        if execution.type in EVALUATORS and model in graph.inputs(execution, "model")
    ]
    return judged[-1] if judged else None


def _is_blessed(blessing: Artifact) -> bool:
    return bool(blessing.integer("blessed") or blessing.integer("variant_blessed"))


def _chosen(graph: Graph, model: Artifact) -> Artifact:
    """Returns the variant that a chooser passed on, which is what was evaluated, or the model."""
    maker = graph.maker(model)
    if maker is None or maker.type != CHOOSER:
        return model
    said = from_properties(ModelProperties, model.properties)
    variants = graph.inputs(maker, said.chosen_input or "none")
    return variants[0] if variants else model


def _optimised(graph: Graph, push: PushFact) -> tuple[OptimizationSummary, ...]:
    """Follows the model back through the nodes that made a model from a model."""
    steps: list[OptimizationSummary] = []
    model = push.model
    while model is not None and (maker := graph.maker(model)) is not None:
        reports = graph.outputs(maker, "optimization_report")
        if not reports:
            break
        held = reports[-1].properties
        said = to_properties(from_properties(OptimizationProperties, held))
        facts = {name: said[name] for name in _TOLD if name in held}
        steps.append(OptimizationSummary(by=maker.node, facts=facts))
        chosen = _chosen(graph, model)
        sources = [source for key in _SOURCES for source in graph.inputs(maker, key)]
        model = chosen if chosen != model else next(iter(sources), None)
    return tuple(steps)


def _skew(graph: Graph, push: PushFact) -> SkewSummary | None:
    """Returns the newest report on the reference profile that was pushed with the model."""
    pusher = graph.maker(push.artifact)
    profiles = graph.inputs(pusher, "reference_profile") if pusher else []
    readers = [reader for profile in profiles for reader in graph.readers(profile)]
    judged = [r for r in readers if r.type == SKEW_MONITOR and r.done]
    reports = [report for monitor in judged for report in graph.outputs(monitor, "skew_report")]
    if not reports:
        return None
    newest = max(reports, key=lambda report: report.id)
    said = from_properties(SkewProperties, newest.properties)
    return SkewSummary(
        verdict=said.verdict,
        reason=said.reason,
        window=said.window,
        rows=said.rows,
        skewed_features=said.skewed_features,
        uri=newest.uri,
    )


def _version_of(graph: Graph, model: Artifact, history: list[PushFact]) -> int:
    same = {node.id for node in graph.same(model)}
    return next((p.version for p in reversed(history) if p.model and p.model.id in same), 0)


def _metrics(graph: Graph, evaluator: Execution) -> dict[str, float]:
    """Returns what Evaluator noted: its floats are metrics, the rest is TFX's bookkeeping."""
    return {
        name: value
        for artifact in graph.outputs(evaluator, "evaluation")
        for name, value in artifact.properties.items()
        if isinstance(value, float)
    }
