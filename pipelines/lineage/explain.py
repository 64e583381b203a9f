"""The explanation of a version: its data, why it was trained, what it was judged against."""

from dataclasses import replace

from tfx_loop.contracts.fault_report import FaultProperties
from tfx_loop.contracts.model_evaluation import JudgedProperties
from tfx_loop.contracts.model_properties import ModelProperties
from tfx_loop.contracts.optimization_report import OptimizationProperties
from tfx_loop.contracts.pushed_model import PushedProperties
from tfx_loop.contracts.skew_report import SkewProperties
from tfx_loop.core.custom_properties import from_properties, to_properties
from tfx_loop.core.errors import DataError
from tfx_loop.core.type_names import RETRAIN_DECISION
from tfx_loop.pipelines.control.ledger import CLAIM, Store
from tfx_loop.pipelines.lineage import facts
from tfx_loop.pipelines.lineage.explanation import (
    BaselineComparison,
    Explanation,
    FaultSummary,
    OptimizationSummary,
    SkewSummary,
    TrainingData,
)
from tfx_loop.pipelines.lineage.facts import DecisionFact, PushFact, RolloutFact
from tfx_loop.pipelines.lineage.graph import MODEL_SOURCES, Artifact, Execution, Graph, load

EVALUATORS = ("Evaluator", "VariantEvaluator")
CHOOSER = "VariantChooser"
SKEW_MONITOR = "SkewMonitor"
FAULT_DETECTOR = "FaultDetector"
# The event of a deployment record that gives a version all traffic.
PROMOTE = "promote"
# Properties of an OptimizationReport that a person wants to know (OptimizationProperties).
_TOLD = ("verdict", "reason", "variant", "size_bytes", "sparsity", "metric_drop")


def explain(store: Store | Graph, model_name: str, version: int) -> Explanation:
    """Walks from a version back to its data and its reason, and forward to what came of it.

    Raises:
        DataError: No such version was pushed.
    """
    graph = load(store)
    history = facts.pushes(graph, model_name)
    places = [place for place, push in enumerate(history) if push.version == version]
    if not places:
        raise DataError(_unknown(graph, model_name, version, history))
    # The last push of a number: a version that came back is explained by what serves.
    push = _with_lineage(graph, history[places[-1]])
    later = history[places[-1] + 1] if places[-1] + 1 < len(history) else None
    decided = facts.decisions(graph, model_name, version)
    moves = facts.rollouts(graph, model_name)
    until, by = _end(push, later, moves)
    return Explanation(
        model_name=model_name,
        version=version,
        run_id=push.run_id,
        training_run_id=_training_run(graph, push),
        pushed_at_ms=push.pushed_at_ms,
        served_until_ms=until,
        replaced=push.replaced,
        replaced_by=by,
        destination=push.destination,
        model_digest=push.model_digest,
        model_uri=push.model.uri if push.model else "",
        trained_on=_data(graph, push),
        why=_why(graph, push),
        contest=_contest(graph, push, history),
        optimised=_optimised(graph, push),
        skew=_skew(graph, push),
        faults=_faults(graph, push),
        windows=tuple(facts.windows(graph, push)),
        decided_since=tuple(decided),
        rollouts=tuple(one for one in moves if one.version == version and not one.is_push_step),
        push_steps=tuple(one for one in moves if one.version == version and one.is_push_step),
    )


def _with_lineage(graph: Graph, push: PushFact) -> PushFact:
    """Returns a push with a Model artifact whose maker is known.

    A model that was copied between stores or buckets and imported has no maker here; one of the
    same content, pushed elsewhere, may have.
    """
    if push.model is None or graph.maker(push.model) is not None or not push.model_digest:
        return push
    twins = [p for p in facts.all_pushes(graph) if p.model_digest == push.model_digest]
    made = [twin.model for twin in twins if twin.model and graph.maker(twin.model)]
    return replace(push, model=made[0]) if made else push


def _training_run(graph: Graph, push: PushFact) -> str:
    """Returns the run that made the model, which optimisers of later runs may have started from."""
    model, run = push.model, push.run_id
    while model is not None:
        maker = graph.maker_in(model, run) or graph.maker(model)
        if maker is None:
            break
        run = maker.run_id or run
        model = _source(graph, model, maker)
    return run


def _source(graph: Graph, model: Artifact, maker: Execution) -> Artifact | None:
    """Returns the model that another was made from; None for one as trained."""
    chosen = _chosen(graph, model)
    if chosen != model:
        return chosen
    return next((s for key in MODEL_SOURCES for s in graph.inputs(maker, key)), None)


def _end(
    push: PushFact, later: PushFact | None, moves: list[RolloutFact]
) -> tuple[int | None, int]:
    """Returns when a version served no more, and which came in its place; None and 0 while it does.

    What was done to versions after their push counts, where it is recorded; else the next push.
    """
    serving, ended = 0, None
    for move in moves:
        if move.action == PROMOTE:
            if serving == push.version:
                # The last time counts: a version may come back and go again.
                ended = (move.at_ms, move.version)
            serving = move.version
    if serving == push.version:
        # A push that came later and is in no history may have replaced it all the same.
        known = {move.version for move in moves}
        return (None, 0) if later is None or later.version in known else _of(later)
    if ended is not None:
        return ended
    return _of(later) if later else (None, 0)


def _of(later: PushFact) -> tuple[int, int]:
    return later.pushed_at_ms, later.version


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


def _why(graph: Graph, push: PushFact) -> DecisionFact | None:
    if push.model is None:
        return None
    for artifact in graph.upstream(push.model, push.run_id):
        if artifact.type == RETRAIN_DECISION:
            return facts.decision_of(graph, artifact, push.model_name)
    # A pipeline whose examples are not made by SpanExampleGen reads no decision; its run tells.
    for claim in graph.artifacts_of_type(CLAIM):
        if push.run_id and claim.text("run_id") == push.run_id:
            decided = graph.artifacts.get(claim.integer("decision_id"))
            return facts.decision_of(graph, decided, push.model_name) if decided else None
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
        compared=_compared(graph, evaluator),
    )


def _evaluator(graph: Graph, push: PushFact, model: Artifact) -> Execution | None:
    """Returns the evaluation that let the model pass: the one whose blessing the pusher read.

    A pusher without a blessing says nothing of it. Then the last evaluation of the model counts: a
    resumed run may have evaluated it twice.
    """
    pusher = graph.maker(push.artifact)
    given = graph.inputs(pusher, "model_blessing") if pusher else []
    maker = graph.maker(given[-1]) if given else None
    if maker is not None and maker.type == FAULT_DETECTOR:
        given = graph.inputs(maker, "blessing")
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
        model = _source(graph, model, maker)
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


def _faults(graph: Graph, push: PushFact) -> FaultSummary | None:
    """Returns what the newest FaultDetector said of the model that was pushed."""
    readers = graph.readers(push.model) if push.model else []
    judged = [reader for reader in readers if reader.type == FAULT_DETECTOR]
    reports = [report for one in judged for report in graph.outputs(one, "fault_report")]
    if not reports:
        return None
    newest = max(reports, key=lambda report: report.id)
    said = from_properties(FaultProperties, newest.properties)
    return FaultSummary(
        verdict=said.verdict, reason=said.reason, findings=said.findings, uri=newest.uri
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


def _compared(graph: Graph, evaluator: Execution) -> str:
    made = graph.outputs(evaluator, "evaluation")
    said = [from_properties(JudgedProperties, artifact.properties) for artifact in made]
    return next((each.comparison for each in said if each.comparison), "")
