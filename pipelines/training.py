"""The training pipeline: from spans of data to a model that serves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfx import components as tfx_components
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2, transform_pb2
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import RetrainDecision
from tfx_loop.core.errors import ConfigError
from tfx_loop.data.prediction_log.component import PredictionLogGen
from tfx_loop.data.span_example_gen.component import SpanExampleGen
from tfx_loop.data.span_example_gen.spans import format_spans
from tfx_loop.monitoring.fault_detector.component import FaultDetector
from tfx_loop.monitoring.reference_profiler.component import ReferenceProfiler
from tfx_loop.monitoring.skew_monitor.component import SkewMonitor
from tfx_loop.monitoring.skew_monitor.settings import parse_keys
from tfx_loop.pipelines.assembly import assemble, imported
from tfx_loop.pipelines.config import ModelSettings, Settings
from tfx_loop.pipelines.control.calendar import MonitoringWindow
from tfx_loop.pipelines.evaluation.configs import challenger_config
from tfx_loop.pipelines.evaluation.recording_evaluator import Evaluator
from tfx_loop.pipelines.evaluation.task_metrics import least_gain
from tfx_loop.pipelines.pushers import pusher_of


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """What one training is asked for.

    Attributes:
        spans: Spans to train on.
        champion_uri: Model artifact of the stable version; None before the first push.
        decision_uri: Artifact of the decision that asks; None when a person does.
        served_window: When rows of these spans were served, to look for training-serving skew; None
            before anything served.
    """

    spans: Sequence[int]
    champion_uri: str | None = None
    decision_uri: str | None = None
    served_window: MonitoringWindow | None = None


def training_pipeline(
    settings: Settings, request: TrainingRequest, metadata: bool = True
) -> Pipeline:
    """Returns the training pipeline.

    SkewMonitor compares what is trained on with what the champion was asked, where the model names
    `row_keys`. Nothing waits for its verdict: features that only training computes otherwise show
    in the served model's quality, which the loop judges. FaultDetector stands between Evaluator and
    the pusher where `settings.gate.detect_faults` asks for it.

    Args:
        settings: What to train, where to serve it, what it must reach.
        request: The spans, the champion to beat and the decision to answer.
        metadata: Connect to the local ML Metadata; False for Kubeflow and Vertex.
    """
    nodes: list[BaseNode] = []
    model = settings.model
    if not (model.run_fn and model.key_column):
        raise ConfigError(
            "Expected run_fn and key_column of the model that this pipeline trains, received "
            f"{model.run_fn!r} and {model.key_column!r}. Give them; Loop.from_pipeline takes a "
            "pipeline of your own."
        )
    row_keys = parse_keys(model.row_keys) if model.row_keys else {}
    decision = None
    if request.decision_uri:
        decision = imported("RetrainDecisionImporter", request.decision_uri, RetrainDecision)
        nodes.append(decision)
    example_gen = SpanExampleGen(
        input_base=settings.pipeline.data,
        spans=format_spans(request.spans),
        key_column=model.key_column,
        group_column=model.group_column,
        label_column=model.label,
        eval_fraction=model.eval_fraction,
        seed=model.seed,
        keep_key=model.key_column in row_keys,
        decision=decision.outputs["result"] if decision else None,
    )
    examples = example_gen.outputs["examples"]
    prepared = _prepared(model, examples)
    trainer = tfx_components.Trainer(
        run_fn=model.run_fn,
        examples=prepared.examples,
        transform_graph=prepared.transform_graph,
        schema=prepared.schema,
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        # Trainer demands eval files; run_fn holds rows of its own back for early stopping.
        eval_args=trainer_pb2.EvalArgs(splits=["train"]),
        custom_config={"seed": model.seed},
    )
    champion = None
    if request.champion_uri:
        champion = imported("ChampionImporter", request.champion_uri, standard_artifacts.Model)
    evaluator = Evaluator(
        examples=examples,
        model=trainer.outputs["model"],
        baseline_model=champion.outputs["result"] if champion else None,
        eval_config=challenger_config(model, settings.gate),
        example_splits=["eval"],
        max_loss_rise=settings.gate.max_loss_rise,
        task=model.described,
        min_gain=least_gain(model.described, settings.gate),
    )
    profiler = ReferenceProfiler(
        examples=examples,
        model=trainer.outputs["model"],
        label_key=model.label,
        task=model.described,
        score_key=model.score,
        score_signature="serving_default",
        slice_features=model.slices,
        # Keys of rows are in the data for SkewMonitor alone; each row has another value.
        ignore_features=(*model.ignore_features, *row_keys),
        redact=model.redact,
        seed=model.seed,
    )
    # The pusher waits for the last of the gates: FaultDetector hands Evaluator's blessing on, or
    # takes it back.
    blessing, faults = evaluator.outputs["blessing"], None
    if settings.gate.detect_faults:
        faults = _fault_detector(settings, trainer, examples, blessing)
        blessing = faults.outputs["model_blessing"]
    pusher = pusher_of(
        settings,
        model=trainer.outputs["model"],
        model_blessing=blessing,
        reference_profile=profiler.outputs["reference_profile"],
        examples=examples,
    )
    nodes += [example_gen, *prepared.nodes, trainer]
    nodes += [champion] if champion else []
    nodes += [evaluator, *([faults] if faults else []), profiler, pusher]
    if row_keys and request.served_window:
        nodes += _skew_nodes(settings, request.served_window, profiler)
    return assemble(f"{model.name}-training", nodes, settings.pipeline, metadata)


@dataclass(frozen=True, kw_only=True)
class _PreparedExamples:
    """What Trainer learns from, and the nodes that make it of the examples."""

    nodes: tuple[Any, ...]
    examples: Any
    transform_graph: Any = None
    schema: Any = None


def _prepared(model: ModelSettings, examples: Any) -> _PreparedExamples:
    """Returns the way from examples to Trainer: through Transform where the model names one."""
    if not (model.preprocessing_fn or model.schema_uri):
        return _PreparedExamples(nodes=(), examples=examples)
    statistics = tfx_components.StatisticsGen(examples=examples)
    nodes: list[Any] = [statistics]
    if model.schema_uri:
        importer = imported("SchemaImporter", model.schema_uri, standard_artifacts.Schema)
        schema = importer.outputs["result"]
        validator = tfx_components.ExampleValidator(
            statistics=statistics.outputs["statistics"], schema=schema
        )
        nodes += [importer, validator]
    else:
        inferred = tfx_components.SchemaGen(statistics=statistics.outputs["statistics"])
        schema = inferred.outputs["schema"]
        nodes.append(inferred)
    if not model.preprocessing_fn:
        return _PreparedExamples(nodes=tuple(nodes), examples=examples, schema=schema)
    transform = tfx_components.Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn=model.preprocessing_fn,
        # Held-out rows stay raw: Evaluator and the profile score them through the served signature.
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=["train"]),
        # Statistics of transformed features are read by nobody and cost a pass over the rows.
        disable_statistics=True,
    )
    return _PreparedExamples(
        nodes=(*nodes, transform),
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
    )


def _fault_detector(
    settings: Settings, trainer: Any, examples: Any, blessing: Any
) -> FaultDetector:
    model, gate = settings.model, settings.gate
    return FaultDetector(
        model=trainer.outputs["model"],
        examples=examples,
        blessing=blessing,
        model_run=trainer.outputs["model_run"],
        label_key=model.label,
        score_key=model.score,
        group_column=gate.fault_group_column,
        ignore_features=model.ignore_features,
        blocking=gate.blocking_faults,
        acknowledged=gate.acknowledged_faults,
        seed=model.seed,
    )


def _skew_nodes(
    settings: Settings, window: MonitoringWindow, profiler: ReferenceProfiler
) -> list[Any]:
    log = PredictionLogGen(
        **settings.serving.logged,
        model_name=settings.model.name,
        window=window.name,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
    ).with_id("TrainingWindowLogGen")
    skew = SkewMonitor(
        reference_profile=profiler.outputs["reference_profile"],
        prediction_log=log.outputs["prediction_log"],
        keys=settings.model.row_keys,
    )
    return [log, skew]
