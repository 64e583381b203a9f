"""The stock pipelines of `make examples`: TFX's own, and three as users write them.

Nothing of ours is in them. Each runs in a process of its own, with the Keras that it is written
for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.examples import data
from tests.helpers import stock_penguin

MODULES = Path(__file__).parent / "modules"

CLASSES = "SparseCategoricalAccuracy"
IMAGES = "tests.benchmarks.examples.nodes.image_features"


def _scored(output: str = "output_0", signature: str = "serving_default") -> dict[str, str]:
    return {"score_key": output, "score_signature": signature}


MONITORED = {
    "ReferenceProfiler": _scored(),
    "DriftMonitor": {"score_output": "output.output_0"},
}
# penguin, taxi and the regression return one tensor under this name.
OUTPUTS = {
    "ReferenceProfiler": _scored("outputs"),
    "DriftMonitor": {"score_output": "output.outputs"},
}


@dataclass(frozen=True, kw_only=True)
class StockExample:
    """A pipeline to put our nodes into.

    Attributes:
        name: Of one word, under which its model is served.
        title: What it is.
        make: Returns the TFX pipeline in a folder.
        write: Writes its data to a folder.
        label: Feature with the label.
        keras_2: Whether its code is written for Keras 2.
        signature: Signature that takes serialized tf.Examples.
        score: Output of that signature that is monitored.
        metric: By which its served scores are judged: of several classes, or a single number.
        beside: Settings by node that its rows and its model need beside the document's lines.
    """

    name: str
    title: str
    make: Callable[[Path], Any]
    write: Callable[[Path], None]
    label: str
    keras_2: bool = True
    signature: str = "serving_default"
    score: str = "output_0"
    metric: str = "MeanSquaredError"
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def penguin(folder: Path) -> Any:
    return stock_penguin.pipeline(folder)


def penguin_with_tuner(folder: Path) -> Any:
    return stock_penguin.pipeline(folder, tuner=True)


def mnist(folder: Path) -> Any:
    from tfx.examples.mnist import mnist_pipeline_native_keras as example
    from tfx.examples.mnist import mnist_utils_native_keras as module

    return example._create_pipeline(**_places("mnist", folder), module_file=module.__file__)


def taxi(folder: Path) -> Any:
    from tfx.examples.chicago_taxi_pipeline import taxi_pipeline_native_keras as example
    from tfx.examples.chicago_taxi_pipeline import taxi_utils_native_keras as module

    return example._create_pipeline(**_places("taxi", folder), module_file=module.__file__)


def image_bytes(folder: Path) -> Any:
    from tfx import v1 as tfx

    source = tfx.components.ImportExampleGen(input_base=str(folder / "data"))
    return _users_own(
        "image_bytes",
        folder,
        source,
        "label",
        "SparseCategoricalAccuracy",
        0.5,
        "serving_tf_example",
    )


def regression(folder: Path) -> Any:
    from tfx import v1 as tfx

    source = tfx.components.CsvExampleGen(input_base=str(folder / "data"))
    return _users_own("regression", folder, source, "progression", "MeanSquaredError", 1e9)


def untransformed(folder: Path) -> Any:
    from tfx import v1 as tfx

    source = tfx.components.CsvExampleGen(input_base=str(folder / "data"))
    return _users_own(
        "untransformed", folder, source, "benign", "BinaryAccuracy", 0.7, transformed=False
    )


EXAMPLES = {
    "penguin": StockExample(
        name="penguin",
        title="penguin (TFX), untouched Trainer",
        make=penguin,
        write=data.penguin,
        label="species",
        keras_2=False,
        score="outputs",
        metric=CLASSES,
        beside=OUTPUTS,
    ),
    "penguin_tuner": StockExample(
        name="penguin_tuner",
        title="penguin (TFX) with Tuner",
        make=penguin_with_tuner,
        write=data.penguin,
        label="species",
        keras_2=False,
        score="outputs",
        metric=CLASSES,
        beside=OUTPUTS,
    ),
    "mnist": StockExample(
        name="mnist",
        title="mnist (TFX)",
        make=mnist,
        write=data.mnist,
        label="image_class",
        metric=CLASSES,
        beside=MONITORED,
    ),
    "taxi": StockExample(
        name="taxi",
        title="taxi (TFX)",
        make=taxi,
        write=data.taxi,
        label="tips",
        score="outputs",
        beside=OUTPUTS,
    ),
    "image_bytes": StockExample(
        name="image_bytes",
        title="image bytes",
        make=image_bytes,
        write=data.image_bytes,
        label="label",
        signature="serving_tf_example",
        score="scores",
        metric=CLASSES,
        beside={
            "ReferenceProfiler": {"parse_fn": IMAGES, **_scored("scores", "serving_tf_example")},
            "DriftMonitor": {"parse_fn": IMAGES, "score_output": "output.scores"},
            "SkewMonitor": {"parse_fn": IMAGES},
            "RetrainDecider": {"parse_fn": IMAGES},
            "PrivacyReport": {"score_signature": "serving_tf_example"},
            "FaultDetector": {"score_signature": "serving_tf_example"},
        },
    ),
    "regression": StockExample(
        name="regression",
        title="regression",
        make=regression,
        write=data.regression,
        label="progression",
        score="outputs",
        beside={
            "ReferenceProfiler": _scored("outputs"),
            "DriftMonitor": {"score_output": "output.outputs"},
        },
    ),
    "untransformed": StockExample(
        name="untransformed",
        title="a table without Transform",
        make=untransformed,
        write=data.untransformed,
        label="benign",
        beside=MONITORED,
    ),
}


def _places(name: str, folder: Path) -> dict[str, Any]:
    return {
        "pipeline_name": name,
        "pipeline_root": str(folder / "root"),
        "data_root": str(folder / "data"),
        "serving_model_dir": str(folder / "stock_serving" / name),
        "metadata_path": str(folder / "metadata.sqlite"),
        "beam_pipeline_args": stock_penguin.BEAM_ARGUMENTS,
    }


def _users_own(
    name: str,
    folder: Path,
    source: Any,
    label: str,
    metric: str,
    bound: float,
    signature: str = "serving_default",
    *,
    transformed: bool = True,
) -> Any:
    """Returns the pipeline of TFX's tutorials around a module of the user's."""
    from tfx import v1 as tfx

    examples, module = source.outputs["examples"], str(MODULES / f"{name}.py")
    statistics = tfx.components.StatisticsGen(examples=examples)
    schema = tfx.components.SchemaGen(
        statistics=statistics.outputs["statistics"], infer_feature_shape=True
    )
    nodes, given = [source, statistics, schema], {"examples": examples}
    if transformed:
        transform = tfx.components.Transform(
            examples=examples, schema=schema.outputs["schema"], module_file=module
        )
        nodes.append(transform)
        given = {
            "examples": transform.outputs["transformed_examples"],
            "transform_graph": transform.outputs["transform_graph"],
        }
    trainer = tfx.components.Trainer(
        module_file=module,
        schema=schema.outputs["schema"],
        train_args=tfx.proto.TrainArgs(num_steps=300),
        eval_args=tfx.proto.EvalArgs(num_steps=10),
        **given,
    )
    evaluator = tfx.components.Evaluator(
        examples=examples,
        model=trainer.outputs["model"],
        eval_config=_gate(label, metric, bound, signature),
    )
    pusher = tfx.components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(
                base_directory=str(folder / "stock_serving" / name)
            )
        ),
    )
    sqlite = tfx.orchestration.metadata.sqlite_metadata_connection_config
    return tfx.dsl.Pipeline(
        # Kubeflow's names have no underscore.
        pipeline_name=name.replace("_", "-"),
        pipeline_root=str(folder / "root"),
        components=[*nodes, trainer, evaluator, pusher],
        metadata_connection_config=sqlite(str(folder / "metadata.sqlite")),
        beam_pipeline_args=stock_penguin.BEAM_ARGUMENTS,
    )


def _gate(label: str, metric: str, bound: float, signature: str) -> Any:
    import tensorflow_model_analysis as tfma

    side = "upper_bound" if metric == "MeanSquaredError" else "lower_bound"
    threshold = tfma.GenericValueThreshold(**{side: {"value": bound}})
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(label_key=label, signature_name=signature)],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(
                        class_name=metric, threshold=tfma.MetricThreshold(value_threshold=threshold)
                    )
                ]
            )
        ],
    )
