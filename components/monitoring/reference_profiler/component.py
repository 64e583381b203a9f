"""The ReferenceProfiler node: freezes what a model was trained on, for monitoring."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from tfx_loop.core.artifacts import ReferenceProfile
from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.reference_profiler.executor import Executor


class ReferenceProfilerSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of ReferenceProfiler; lists travel as JSON."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "label_key": component_spec.ExecutionParameter(type=str),
        "score_key": component_spec.ExecutionParameter(type=str),
        "score_signature": component_spec.ExecutionParameter(type=str),
        "score_splits": component_spec.ExecutionParameter(type=str),
        "ignore_features": component_spec.ExecutionParameter(type=str),
        "splits": component_spec.ExecutionParameter(type=str),
        "sample_rows": component_spec.ExecutionParameter(type=int),
        "seed": component_spec.ExecutionParameter(type=int),
        "numeric_bins": component_spec.ExecutionParameter(type=int),
        "slice_features": component_spec.ExecutionParameter(type=str),
        "importance_rows": component_spec.ExecutionParameter(type=int),
        "count_windows": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema, optional=True),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "reference_profile": component_spec.ChannelParameter(type=ReferenceProfile)
    }


class ReferenceProfiler(base_component.BaseComponent):
    """Freezes bins, exact counts and a seeded sample of a model's training rows.

    Output `reference_profile`: `reference_profile.json`, `training_sample.parquet` and
    `training_counts.packed` (counts by day and by slice), with the custom properties rows, label
    and spans.
    """

    SPEC_CLASS = ReferenceProfilerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        examples: channel.BaseChannel,
        schema: channel.BaseChannel | None = None,
        model: channel.BaseChannel | None = None,
        label_key: str = "",
        score_key: str = "",
        score_signature: str = "",
        score_splits: Sequence[str] | str = ("eval",),
        ignore_features: Sequence[str] | str = (),
        splits: Sequence[str] | str = ("train",),
        sample_rows: int = 20_000,
        seed: int = 0,
        numeric_bins: int = 32,
        slice_features: Sequence[str] | str = (),
        importance_rows: int = 1_000,
        count_windows: str = "day",
    ) -> None:
        """Declares the node.

        Args:
            examples: Gzipped TFRecords of tf.Examples that the model was trained on.
            schema: With it only the schema's features are read.
            model: The model trained on them; it ties the profile to the model in the lineage.
            label_key: Label column, kept in the sample and not profiled as a feature.
            score_key: Column of the examples with the model's score, a probability, for
                prediction drift; with `score_signature` the name of that signature's output.
            score_signature: Signature of `model` that takes serialized tf.Examples and gives the
                score; empty runs no model.
            score_splits: Splits to score with the model; held out from training by default.
            ignore_features: Columns to keep in the sample and not to profile.
            splits: Splits that the model was trained on.
            sample_rows: Most rows of the sample, at most 20,000.
            seed: Seed of the sample.
            numeric_bins: Equal-mass bins of a number, from 32 to 64.
            slice_features: Columns with few values by which windows are sliced.
            importance_rows: Rows of `score_splits` on which each column is shuffled to see what
                the model loses; 0 for none. Needs `score_signature`.
            count_windows: By what the training rows are counted apart, so that DriftMonitor can
                tell a season from a drift: `day` or `hour` of `event_time_ms`, "" for neither.
        """
        if score_signature and (model is None or not score_key):
            raise ConfigError(
                f"score_signature {score_signature!r} needs a model and a score_key, the name of "
                "the output that is the score. Give both, or leave score_signature empty."
            )
        if count_windows not in ("day", "hour", ""):
            raise ConfigError(f"count_windows must be 'day', 'hour' or '', got {count_windows!r}.")
        inputs: dict[str, Any] = {"schema": schema, "model": model}
        super().__init__(
            spec=ReferenceProfilerSpec(
                examples=examples,
                **{name: given for name, given in inputs.items() if given is not None},
                reference_profile=channel.Channel(type=ReferenceProfile),
                label_key=label_key,
                score_key=score_key,
                score_signature=score_signature,
                score_splits=names_as_json(score_splits, "score_splits"),
                ignore_features=names_as_json(ignore_features, "ignore_features"),
                splits=names_as_json(splits, "splits"),
                sample_rows=sample_rows,
                seed=seed,
                numeric_bins=numeric_bins,
                slice_features=names_as_json(slice_features, "slice_features"),
                importance_rows=importance_rows,
                count_windows=count_windows,
            )
        )


def names_as_json(names: Sequence[str] | str, setting: str) -> str:
    """Returns a list of names as JSON; a string must be such JSON already.

    Raises:
        ConfigError: It is no list of strings.
    """
    try:
        listed = json.loads(names) if isinstance(names, str) else list(names)
    except ValueError:
        listed = None
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise ConfigError(
            f"{setting} must be a list of names, or JSON of one like '[\"month\"]', got {names!r}."
        )
    return json.dumps(listed)
