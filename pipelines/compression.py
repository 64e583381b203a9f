"""The compression nodes: from a trained model to its smallest variant that is still good enough.

Distiller, Pruner and Quantizer in this order, any of them left out. Each result is a variant; each
variant is judged by an Evaluator against the trained model, on the same rows; VariantChooser takes
the best that passed. The trained model is a variant too: it is taken when no other passes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.distiller.component import Distiller
from tfx_loop.optimization.distiller.settings import DistillationSettings
from tfx_loop.optimization.pruner.component import Pruner
from tfx_loop.optimization.pruner.settings import PruningSettings
from tfx_loop.optimization.quantizer.component import Quantizer
from tfx_loop.optimization.variant_chooser.component import Variant, VariantChooser
from tfx_loop.pipelines.evaluation.configs import variant_config
from tfx_loop.pipelines.evaluation.variant_evaluator import VariantEvaluator

# Name of the trained model among the variants.
PARENT = "float"
_EXTRACTORS = "tfx_loop.pipelines.evaluation.variant_extractors"


@dataclass(frozen=True, kw_only=True)
class CompressionSettings:
    """What may be lost, what for, and which techniques are tried.

    Attributes:
        label: Feature with the label.
        metric: Class name as TFMA has it; more is better.
        max_metric_drop: What a variant may lose against the trained model, in the metric's unit.
        target: `smallest` or `fastest`.
        distillation: The student and how it is taught; None for no Distiller.
        pruning: What is pruned, and how; None for no Pruner.
        quantise: Quantise every variant that is a SavedModel.
        quantizer: More settings of Quantizer, such as `io_type`.
        export_fn: Import path of the function that writes an optimised network as a SavedModel, for
            networks that stand behind a Transform graph; empty keeps the parent's signatures.
        train_split: Split that the optimisers train and calibrate on.
        eval_split: Split that judges.
        seed: Of Quantizer's draws.
    """

    label: str
    metric: str
    max_metric_drop: float = 0.005
    target: str = "smallest"
    distillation: DistillationSettings | None = None
    pruning: PruningSettings | None = None
    quantise: bool = True
    quantizer: Mapping[str, Any] = field(default_factory=dict)
    export_fn: str = ""
    train_split: str = "train"
    eval_split: str = "eval"
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.distillation or self.pruning or self.quantise):
            raise ConfigError(
                "Expected a distillation, a pruning or quantise=True, received none of them."
            )


@dataclass(frozen=True)
class Compression:
    """The nodes of a compression, and what comes out.

    Attributes:
        nodes: In the order in which they run.
        chooser: Its outputs `model`, `model_blessing` and `optimization_report`.
    """

    nodes: Sequence[Any]
    chooser: VariantChooser


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """What the training pipeline gives.

    Attributes:
        model: Channel of the Model; the Keras file beside its SavedModel is what is trained on.
        examples: Channel of the Examples that Evaluator judges on.
        network_examples: Channel of Examples with a feature for each input of the network;
            the transformed ones behind a Transform, else `examples`.
        transform_graph: Channel of the TransformGraph, when there is one.
        blessing: Channel of the model's own blessing; None takes it as passed.
    """

    model: Any
    examples: Any
    network_examples: Any = None
    transform_graph: Any = None
    blessing: Any = None


def compression(trained: TrainedModel, settings: CompressionSettings) -> Compression:
    """Returns the nodes that make, judge and choose variants of a model.

    A network behind a Transform graph is quantised on `examples`, which its variants take too.

    Args:
        trained: The model, and what it was trained on.
        settings: What may be lost, what for.
    """
    made = _variants(trained, settings)
    nodes: list[Any] = [node for node, _ in made]
    variants = [Variant(name=PARENT, model=trained.model, blessing=trained.blessing)]
    for node, name in made:
        evaluator = VariantEvaluator(
            examples=trained.examples,
            model=node.outputs["model"],
            baseline_model=trained.model,
            eval_config=variant_config(
                settings.label,
                settings.metric,
                settings.max_metric_drop,
                tflite=isinstance(node, Quantizer),
            ),
            example_splits=[settings.eval_split],
            module_path=_EXTRACTORS,
        ).with_id(_node_id("Evaluator", name))
        nodes.append(evaluator)
        variants.append(
            Variant(
                name=name,
                model=node.outputs["model"],
                blessing=evaluator.outputs["blessing"],
                report=node.outputs["optimization_report"],
            )
        )
    chooser = VariantChooser(variants=variants, target=settings.target)
    return Compression([*nodes, chooser], chooser)


def _variants(trained: TrainedModel, settings: CompressionSettings) -> list[tuple[Any, str]]:
    """Returns the optimisers with the names of what they make."""
    common: dict[str, Any] = {
        "examples": trained.network_examples or trained.examples,
        "label_key": settings.label,
        "metric": settings.metric,
        "max_metric_drop": settings.max_metric_drop,
    }
    training: dict[str, Any] = {
        "transform_graph": trained.transform_graph,
        "export_fn": settings.export_fn or None,
        "training_splits": (settings.train_split,),
        "reporting_splits": (settings.eval_split,),
    }
    # Behind a Transform graph a variant takes what Evaluator judges on.
    raw = {"examples": trained.examples}
    # Each network that can still be quantised: a TFLite file is an end.
    made: list[tuple[Any, str]] = []
    networks = [(PARENT, trained.model)]
    if settings.distillation is not None:
        distiller = Distiller(
            teacher=trained.model, **vars(settings.distillation), **training, **common
        )
        made.append((distiller, "distilled"))
        networks.append(("distilled", distiller.outputs["model"]))
    if settings.pruning is not None:
        # The student where there is one, else the trained model.
        pruner = Pruner(model=networks[-1][1], **vars(settings.pruning), **training, **common)
        made.append((pruner, "pruned"))
        networks.append(("pruned", pruner.outputs["model"]))
    for name, network in networks if settings.quantise else ():
        quantizer = Quantizer(
            model=network,
            transform_graph=trained.transform_graph,
            calibration_splits=(settings.train_split,),
            measure_splits=(settings.eval_split,),
            seed=settings.seed,
            **(common if trained.transform_graph is None else common | raw),
            **settings.quantizer,
        ).with_id(_node_id("Quantizer", name))
        made.append((quantizer, f"{name}_quantized"))
    return made


def _node_id(kind: str, variant: str) -> str:
    """Returns an id that Argo takes for a task, too: letters, digits and hyphens."""
    return f"{kind}-{variant.replace('_', '-')}"
