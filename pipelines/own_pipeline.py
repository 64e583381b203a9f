"""A training pipeline of the user's own, called as it is, with what the loop needs beside it.

Beside its nodes come ReferenceProfiler, ServingPusher, and where it has no Evaluator one that
compares with the champion. Whatever of these the pipeline has already is left as it is; a Pusher is
left out, as ServingPusher stands in its place.
"""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeAlias

from tfx import components as tfx_components
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts

from tfx_loop.contracts.measured_loss import FaultyWindow
from tfx_loop.core.artifacts import RetrainDecision
from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.sagemaker_pusher.component import SageMakerPusher
from tfx_loop.deployment.serving_pusher.component import ServingPusher
from tfx_loop.monitoring.reference_profiler.component import ReferenceProfiler
from tfx_loop.pipelines.assembly import assemble, imported
from tfx_loop.pipelines.config import Settings
from tfx_loop.pipelines.evaluation.configs import challenger_config
from tfx_loop.pipelines.evaluation.recording_evaluator import Evaluator
from tfx_loop.pipelines.evaluation.task_metrics import least_gain
from tfx_loop.pipelines.pushers import pusher_of

# A function that returns nodes or a pipeline; a pipeline; or nodes. TFX's classes have no types.
OwnPipeline: TypeAlias = Any

_LOG = logging.getLogger(__name__)
# What reads a model that is to serve.
_TELLING = (tfx_components.Pusher, tfx_components.Evaluator, ServingPusher, SageMakerPusher)


@dataclass(frozen=True, kw_only=True)
class OwnTraining:
    """What a training of the user's own may ask for, each by a parameter of this name.

    Attributes:
        rows_from: Rows from this time on are to be trained on, UTC; None for all there are.
        rows_until: Rows before this time are, UTC: their labels have been waited for.
        window: Name of the window whose evidence asks for the training; empty for the first one.
        champion_uri: Folder of the model that serves; None before the first push.
        quarantined: Windows whose rows are to be left out: `window`, `start_ms`, `end_ms`.
    """

    rows_from: datetime | None
    rows_until: datetime
    window: str = ""
    champion_uri: str | None = None
    quarantined: tuple[FaultyWindow, ...] = ()


def utc(ms: int) -> datetime:
    """Returns a time of milliseconds since epoch."""
    return datetime.fromtimestamp(ms / 1000, tz=timezone.utc)


def own_training_pipeline(
    pipeline: OwnPipeline,
    settings: Settings,
    training: OwnTraining,
    decision_uri: str | None = None,
    *,
    judged_here: bool | None = None,
) -> Pipeline:
    """Returns the user's pipeline with what the loop needs beside it.

    Args:
        pipeline: The user's. Of a function the parameters are filled by name with the fields of
            `OwnTraining`, and `champion` with a channel of the serving `Model`.
        settings: What is served where, and what a challenger must reach.
        training: What this training is asked for.
        decision_uri: Artifact of the decision that asks; None where a person does.
        judged_here: Whether the gate of `settings` judges; None does where the pipeline has no
            Evaluator.

    Raises:
        ConfigError: It has no examples or no model, several of which none is known to be the one,
            or two judges.
    """
    champion = None
    if training.champion_uri:
        champion = imported("ChampionImporter", training.champion_uri, standard_artifacts.Model)
    nodes = _called(pipeline, training, champion)
    parts = _Parts(nodes)
    added = _judge(parts, settings, champion, judged_here)
    added += _profiler_and_pusher(parts, settings, added)
    if champion is not None and any(_reads(node, champion) for node in [*parts.nodes, *added]):
        added.append(champion)
    if decision_uri:
        added.append(imported("RetrainDecisionImporter", decision_uri, RetrainDecision))
    return assemble(
        f"{settings.model.name}-training", [*parts.nodes, *added], settings.pipeline, metadata=True
    )


def _called(pipeline: OwnPipeline, training: OwnTraining, champion: Any) -> list[Any]:
    """Returns the nodes of the user's pipeline."""
    made: Any = pipeline
    if callable(pipeline) and not isinstance(pipeline, Pipeline):
        given = {**vars(training), "champion": champion.outputs["result"] if champion else None}
        made = pipeline(**_asked(pipeline, given))
    if isinstance(made, Pipeline):
        made = made.components
    if isinstance(made, Mapping):
        made = made.values()
    nodes = list(made) if isinstance(made, Iterable) else []
    if not nodes or not all(isinstance(node, BaseNode) for node in nodes):
        raise ConfigError(
            "Expected a TFX pipeline or its nodes, or a function that returns them, received "
            f"{type(made).__name__} from {getattr(pipeline, '__name__', type(pipeline).__name__)}."
        )
    for node in nodes:
        # A pipeline that is given as it is serves for several trainings: what an earlier one put
        # beside it is not part of it.
        for other in set(node.downstream_nodes) - set(nodes):
            node.remove_downstream_node(other)
    return nodes


def _asked(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of the values that a function has parameters for."""
    parameters = inspect.signature(function).parameters.values()
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
        return dict(given)
    lacking = [
        one.name
        for one in parameters
        if one.name not in given
        and one.default is inspect.Parameter.empty
        and one.kind is not inspect.Parameter.VAR_POSITIONAL
    ]
    if lacking:
        raise ConfigError(
            f"Expected a pipeline function with parameters out of {', '.join(given)}, received one "
            f"that needs {', '.join(lacking)}, too. Give them defaults, or functools.partial."
        )
    return {one.name: given[one.name] for one in parameters if one.name in given}


class _Parts:
    """The nodes of a pipeline by what they do."""

    def __init__(self, nodes: Sequence[Any]) -> None:
        pushers = [node for node in nodes if isinstance(node, tfx_components.Pusher)]
        self.nodes = [node for node in nodes if node not in pushers]
        for pusher in pushers:
            _LOG.info("node=%s left_out=1 in_its_place=ServingPusher", pusher.id)
            for other in tuple(pusher.upstream_nodes):
                pusher.remove_upstream_node(other)
        self._consumers = [*self.nodes, *pushers]
        self.profiler = self._only(ReferenceProfiler)
        self.pusher = self._only(ServingPusher) or self._only(SageMakerPusher)
        self.evaluators = [node for node in self.nodes if "blessing" in node.outputs]
        self.examples = self._examples()
        self.model = self._model()

    def _only(self, kind: type[Any]) -> Any:
        return next((node for node in self.nodes if isinstance(node, kind)), None)

    def _examples(self) -> Any:
        """Returns the channel of the examples as they came, before any preprocessing."""
        kind = standard_artifacts.Examples
        sources = [
            channel
            for node in self.nodes
            for channel in node.outputs.values()
            if channel.type is kind and not any(read.type is kind for read in node.inputs.values())
        ]
        if not sources:
            raise ConfigError(
                "Expected a node of the pipeline that brings examples in, such as CsvExampleGen, "
                f"found none among {', '.join(node.id for node in self.nodes)}."
            )
        return sources[0]

    def _model(self) -> Any:
        """Returns the channel of the model that is to serve."""
        kind = standard_artifacts.Model
        made = {
            (node.id, key): channel
            for node in self.nodes
            for key, channel in node.outputs.items()
            if channel.type is kind and not isinstance(node, Importer)
        }
        read = [
            node.inputs["model"]
            for node in self._consumers
            if "model" in node.inputs and isinstance(node, _TELLING)
        ]
        # What the user pushes or has judged is what is to serve, whatever else is trained.
        chosen = {
            place: channel for place, channel in made.items() if any(channel is one for one in read)
        } or made
        if len(chosen) != 1:
            names = ", ".join(node_id for node_id, _ in chosen) or "none"
            raise ConfigError(
                f"Expected one node whose model is to serve, found {names}. Put an Evaluator on it."
            )
        return next(iter(chosen.values()))


def _reads(node: Any, producer: Any) -> bool:
    return any(
        getattr(channel, "producer_component_id", None) == producer.id
        for channel in node.inputs.values()
    )


def _judge(parts: _Parts, settings: Settings, champion: Any, judged_here: bool | None) -> list[Any]:
    """Returns the Evaluator of the gate, where the pipeline has none."""
    has_judge = any(isinstance(node, tfx_components.Evaluator) for node in parts.nodes)
    if has_judge and judged_here:
        raise ConfigError(
            "Expected a pipeline without Evaluator beside a gate, received both. Leave the gate "
            "out, and the thresholds of your Evaluator hold; or take Evaluator out."
        )
    if has_judge or judged_here is False:
        return []
    model, gate = settings.model, settings.gate
    evaluator = Evaluator(
        examples=parts.examples,
        model=parts.model,
        baseline_model=champion.outputs["result"] if champion else None,
        eval_config=challenger_config(model, gate),
        example_splits=["eval"],
        max_loss_rise=gate.max_loss_rise,
        task=model.described,
        min_gain=least_gain(model.described, gate),
    )
    return [evaluator]


def _profiler_and_pusher(parts: _Parts, settings: Settings, judges: Sequence[Any]) -> list[Any]:
    model, added = settings.model, list[Any]()
    profiler = parts.profiler
    if profiler is None:
        profiler = ReferenceProfiler(
            examples=parts.examples,
            model=parts.model,
            label_key=model.label,
            task=model.described,
            score_key=model.score,
            score_signature="serving_default",
            slice_features=model.slices,
            ignore_features=model.ignore_features,
            redact=model.redact,
            seed=model.seed,
        )
        added.append(profiler)
    if parts.pusher is not None:
        return added
    blessings = [
        node.outputs["blessing"]
        for node in [*parts.nodes, *judges]
        if isinstance(node, tfx_components.Evaluator)
    ]
    infra = [
        node.outputs["blessing"]
        for node in parts.nodes
        if isinstance(node, tfx_components.InfraValidator)
    ]
    added.append(
        pusher_of(
            settings,
            model=parts.model,
            examples=parts.examples,
            reference_profile=profiler.outputs["reference_profile"],
            **({"model_blessing": blessings[-1]} if blessings else {}),
            **({"infra_blessing": infra[-1]} if infra else {}),
        )
    )
    return added
