"""Which pipeline brings the digits from images to the smallest network that is good enough?"""

from dataclasses import dataclass
from typing import Any

from tfx import v1 as tfx

from components.serving_pusher.component import ServingPusher
from components.span_example_gen.component import SpanExampleGen
from pipelines.assembly import assemble
from pipelines.compression import CompressionSettings, Trained, compression
from pipelines.config import PipelineSettings, ServingSettings
from pipelines.digits.data import KEY, LABEL, SPANS
from pipelines.digits.settings import MODEL_NAME

_EVAL_FRACTION = 0.35


@dataclass(frozen=True)
class TrainedDigits:
    """The nodes from images to a trained network, and their channels."""

    nodes: tuple[Any, ...]
    trained: Trained


def trained_digits(settings: PipelineSettings, seed: int = 0) -> TrainedDigits:
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
    trainer = tfx.components.Trainer(
        run_fn="pipelines.digits.model.run_fn",
        examples=examples,
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["eval"]),
        custom_config={"seed": seed},
    )
    trained = Trained(model=trainer.outputs["model"], examples=examples)
    return TrainedDigits((example_gen, trainer), trained)


def compression_pipeline(
    settings: PipelineSettings,
    serving: ServingSettings,
    compressing: CompressionSettings,
    metadata: bool = True,
) -> tfx.dsl.Pipeline:
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
