"""The digits pipelines: from images to a server, and to devices with an Edge TPU."""

from dataclasses import dataclass
from typing import Any

from tfx import components as tfx_components
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2

from tfx_loop.data.span_example_gen.component import SpanExampleGen
from tfx_loop.deployment.serving_pusher.component import ServingPusher
from tfx_loop.edge.edge_bundler.component import EdgeBundler
from tfx_loop.edge.edgetpu_compiler.component import EdgeTPUCompiler
from tfx_loop.optimization.distiller.component import Distiller
from tfx_loop.optimization.distiller.settings import DistillationSettings
from tfx_loop.optimization.quantizer.component import Quantizer
from tfx_loop.pipelines.assembly import assemble
from tfx_loop.pipelines.compression import CompressionSettings, TrainedModel, compression
from tfx_loop.pipelines.config import PipelineSettings, ServingSettings
from tfx_loop.pipelines.evaluation.configs import variant_config
from tfx_loop.pipelines.evaluation.recording_evaluator import Evaluator
from tfx_loop.pipelines.examples.digits.data import CLASSES, KEY, LABEL, SPANS
from tfx_loop.pipelines.examples.digits.settings import DEVICE_MODEL_NAME, METRIC, MODEL_NAME

# A third and more of 1,797 images, as several variants are judged on them.
_EVAL_FRACTION = 0.35


@dataclass(frozen=True)
class DigitsTraining:
    """The nodes from images to a trained network, and their channels."""

    nodes: tuple[Any, ...]
    trained: TrainedModel


def trained_digits(settings: PipelineSettings, seed: int = 0) -> DigitsTraining:
    """Returns ExampleGen and Trainer: an image needs no Transform."""
    example_gen = SpanExampleGen(
        input_base=settings.data,
        spans=",".join(str(span) for span in SPANS),
        key_column=KEY,
        label_column=LABEL,
        eval_fraction=_EVAL_FRACTION,
        seed=seed,
    )
    examples = example_gen.outputs["examples"]
    trainer = tfx_components.Trainer(
        run_fn="tfx_loop.pipelines.examples.digits.model.run_fn",
        examples=examples,
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
        custom_config={"seed": seed},
    )
    trained = TrainedModel(model=trainer.outputs["model"], examples=examples)
    return DigitsTraining((example_gen, trainer), trained)


def compression_pipeline(
    settings: PipelineSettings,
    serving: ServingSettings,
    compressing: CompressionSettings,
    metadata: bool = True,
) -> Pipeline:
    """Returns the pipeline: train, make variants, judge each, choose one, push it.

    Args:
        settings: Where it keeps its files.
        serving: Where the chosen variant is served.
        compressing: Which techniques, and what may be lost.
        metadata: Connect to the local ML Metadata; False for Kubeflow and Vertex.
    """
    digits = trained_digits(settings)
    compressed = compression(digits.trained, compressing)
    pusher = ServingPusher(
        model=compressed.chooser.outputs["model"],
        model_blessing=compressed.chooser.outputs["model_blessing"],
        examples=digits.trained.examples,
        model_name=MODEL_NAME,
        base_path=serving.base_path,
        server_url=serving.server_url,
        load_timeout_seconds=serving.load_timeout_seconds,
    )
    nodes = [*digits.nodes, *compressed.nodes, pusher]
    return assemble(f"{MODEL_NAME}-compression", nodes, settings, metadata)


@dataclass(frozen=True, kw_only=True)
class EdgeSettings:
    """What goes to devices, and where they fetch it.

    Attributes:
        base_path: Folder or bucket of the bundles.
        distillation: The student that maps to the Edge TPU, and how it is taught.
        max_metric_drop: What the int8 student may lose against the float champion.
        require_compiler: Fail where there is no compiler; otherwise the analyser speaks.
        min_mapped_share: Least share of operators on the Edge TPU.
    """

    base_path: str
    distillation: DistillationSettings
    max_metric_drop: float = 0.03
    require_compiler: bool = False
    min_mapped_share: float = 0.9


def edge_pipeline(
    settings: PipelineSettings, edge: EdgeSettings, metadata: bool = True
) -> Pipeline:
    """Returns the pipeline: train, distil, quantise, compile, judge as TFLite, bundle, publish.

    Args:
        settings: Where it keeps its files.
        edge: What goes to devices.
        metadata: Connect to the local ML Metadata; False for Kubeflow and Vertex.
    """
    digits = trained_digits(settings)
    examples, champion = digits.trained.examples, digits.trained.model
    distiller = Distiller(
        teacher=champion,
        examples=examples,
        label_key=LABEL,
        metric=METRIC,
        max_metric_drop=edge.max_metric_drop,
        **vars(edge.distillation),
    )
    quantizer = Quantizer(
        model=distiller.outputs["model"],
        examples=examples,
        max_metric_drop=edge.max_metric_drop,
        metric=METRIC,
        label_key=LABEL,
        target="edge_tpu",
    )
    compiler = EdgeTPUCompiler(
        model=quantizer.outputs["model"],
        require_compiler=edge.require_compiler,
        min_mapped_share=edge.min_mapped_share,
    )
    evaluator = Evaluator(
        examples=examples,
        model=compiler.outputs["edgetpu_model"],
        baseline_model=champion,
        eval_config=variant_config(LABEL, METRIC, edge.max_metric_drop, tflite=True),
        example_splits=["eval"],
        module_path="tfx_loop.pipelines.evaluation.variant_extractors",
    )
    bundler = EdgeBundler(
        model=compiler.outputs["edgetpu_model"],
        examples=examples,
        edgetpu_report=compiler.outputs["edgetpu_report"],
        name=DEVICE_MODEL_NAME,
        labels=[str(digit) for digit in range(CLASSES)],
    )
    pusher = ServingPusher(
        model=bundler.outputs["bundle"],
        model_blessing=evaluator.outputs["blessing"],
        model_name=DEVICE_MODEL_NAME,
        base_path=edge.base_path,
        target="devices",
    )
    nodes = [*digits.nodes, distiller, quantizer, compiler, evaluator, bundler, pusher]
    return assemble(f"{MODEL_NAME}-edge", nodes, settings, metadata)
