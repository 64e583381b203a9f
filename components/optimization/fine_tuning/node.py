"""What do the nodes that train further have in common? Splits, labels, limits. No TFX in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfx_loop.core.errors import ConfigError, ModelError
from tfx_loop.models.formats import keras_model_of
from tfx_loop.optimization.metrics.eval_config import from_eval_config


@dataclass(frozen=True, kw_only=True)
class Judged:
    """By what a child is judged.

    Attributes:
        label: Feature that holds the label.
        metric: Class name of the metric; None for accuracy, or R2 where the labels are numbers.
        slices: Features that results are broken down by.
        max_metric_drop: What may be lost; None for no limit.
        max_slice_drop: What may be lost on each slice; None for no limit.
    """

    label: str
    metric: str | None = None
    slices: tuple[str, ...] = ()
    max_metric_drop: float | None = None
    max_slice_drop: float | None = None

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> "Judged":
        """Returns what the execution properties of a node say.

        The Evaluator's own configuration names metric, label and slices, where it is given.

        Raises:
            ConfigError: Neither names the label.
        """
        config = properties.get("eval_config")
        evaluation = from_eval_config(config, properties.get("metric") or None) if config else None
        label = properties.get("label_key") or (evaluation.label if evaluation else None)
        if not label:
            raise ConfigError(
                "Expected label_key, or an eval_config that names one, received neither. "
                "Name the feature that holds the label."
            )
        return cls(
            label=label,
            metric=evaluation.metric_name if evaluation else properties.get("metric") or None,
            slices=evaluation.slice_columns if evaluation else (),
            max_metric_drop=_number(properties.get("max_metric_drop")),
            max_slice_drop=_number(properties.get("max_slice_drop")),
        )


def present(slices: tuple[str, ...], columns: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the slices that the rows have, and a note for those that they lack."""
    found = tuple(name for name in slices if name in columns)
    lacking = [name for name in slices if name not in columns]
    note = f"Not broken down by {', '.join(lacking)}: the examples have no such column."
    return found, (note,) if lacking else ()


def required_keras(uri: str) -> str:
    """Returns the Keras file of a TFX Model.

    Raises:
        ModelError: The Trainer left none.
    """
    path = keras_model_of(uri)
    if path is None:
        raise ModelError(
            f"Expected Format-Keras/model.keras beside the SavedModel in {uri}, received none. Let "
            "the Trainer save its tf_keras model there: training-time techniques need its layers."
        )
    return str(path)


def splits(properties: Mapping[str, Any], name: str) -> list[str]:
    """Returns a list of split names from an execution property."""
    return [str(split) for split in json.loads(properties[name])]


def _number(value: Any) -> float | None:
    return None if value is None or value == "" else float(value)
