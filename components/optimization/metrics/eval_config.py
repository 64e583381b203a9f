"""Metric, label and slices that the Evaluator's own configuration names.

Read from the JSON of TFMA's EvalConfig, so that an optimiser is judged by what the gate after it
is judged by, without importing TFMA.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.metrics import metrics

_THRESHOLDS = ("threshold", "num_thresholds")
# Their keys are names of outputs, which stay as they are written.
_BY_OUTPUT = ("label_keys", "prediction_keys")
# Where the entry of a metric keeps which output its list of metrics is of.
_OUTPUT = "of_output"


@dataclass(frozen=True, kw_only=True)
class EvaluatorSettings:
    """What an EvalConfig says of one model.

    Attributes:
        metric_name: Class name of the metric that is judged.
        metric_settings: Its `threshold` or `num_thresholds`, where set.
        label: Feature that holds the label; None when the config names none.
        output: Name of the model's output; None when the config names none.
        signature: Signature that is evaluated; empty for the default.
        slice_columns: Single features that results are broken down by.
    """

    metric_name: str
    metric_settings: Mapping[str, Any]
    label: str | None = None
    output: str | None = None
    signature: str = ""
    slice_columns: tuple[str, ...] = ()


def from_eval_config(text: str, name: str | None = None) -> EvaluatorSettings:
    """Returns what the JSON of an EvalConfig says.

    The metric is the named one, else the first with a threshold, else the first that is known here.
    Where a model has several outputs, label and output are those of this metric (`output_names`).
    Slices over single features are taken; crosses of features and single values are not.

    Args:
        text: EvalConfig as JSON, keys in snake_case or camelCase.
        name: Class name of the metric to take.

    Raises:
        ConfigError: No JSON object, or no metric in it that is known here.
    """
    try:
        config = _snake(json.loads(text))
    except ValueError as error:
        raise ConfigError(f"Expected the JSON of an EvalConfig, received: {error}.") from error
    if not isinstance(config, dict):
        raise ConfigError(f"Expected the JSON of an EvalConfig, received {text[:60]!r}.")
    chosen = _chosen_metric(config, name)
    # An EvalConfig without model specs judges one model by defaults, as TFMA does.
    candidates = [m for m in config.get("model_specs") or [] if not m.get("is_baseline")]
    model = (candidates or [{}])[0]
    named = chosen.get(_OUTPUT)
    keys = [spec.get("feature_keys", []) for spec in config.get("slicing_specs", [])]
    return EvaluatorSettings(
        metric_name=metrics.metric(chosen["class_name"]).name,
        metric_settings=_settings(chosen),
        label=model.get("label_key") or _of_output(model, "label_keys", named),
        output=model.get("prediction_key") or _of_output(model, "prediction_keys", named) or named,
        signature=model.get("signature_name", ""),
        slice_columns=tuple(dict.fromkeys(key[0] for key in keys if len(key) == 1)),
    )


def _chosen_metric(config: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    offered: list[dict[str, Any]] = [
        {**entry, _OUTPUT: (spec.get("output_names") or [None])[0]}
        for spec in config.get("metrics_specs", [])
        for entry in spec.get("metrics", [])
        if isinstance(entry.get("class_name"), str)
    ]
    known = [entry for entry in offered if _is_known(entry["class_name"])]
    if name is not None:
        known = [entry for entry in known if entry["class_name"] == name]
    # A threshold is what blesses a model: its metric is the one that must not fall.
    judged = [e for e in known if any("threshold" in key for key in e)]
    if not known:
        raise ConfigError(
            f"Expected {name or 'a known metric'} in the EvalConfig, received "
            f"{', '.join(e['class_name'] for e in offered) or 'no metric'}. Add one of "
            f"{', '.join(metrics.names())}."
        )
    return (judged or known)[0]


def _of_output(model: Mapping[str, Any], key: str, output: str | None) -> str | None:
    """Returns what a model spec says by output; of the only one where no output is named."""
    by_output = model.get(key) or {}
    if output is None and len(by_output) == 1:
        return str(next(iter(by_output.values())))
    return by_output.get(output)


def _is_known(name: str) -> bool:
    try:
        metrics.metric(name)
    except ConfigError:
        return False
    return True


def _settings(entry: Mapping[str, Any]) -> dict[str, Any]:
    text = entry.get("config", "")
    try:
        content = json.loads(text) if text else {}
    except ValueError as error:
        raise ConfigError(
            f"Expected JSON as config of {entry['class_name']}, received {text!r}: {error}."
        ) from error
    settings = {key: content[key] for key in _THRESHOLDS if content.get(key) is not None}
    several = content.get("thresholds")
    # TFMA's Precision and Recall may ask for several thresholds; of those none is the one to judge
    # by.
    if isinstance(several, list) and len(several) == 1:
        settings["threshold"] = float(several[0])
    return settings


def _snake(value: Any) -> Any:
    """Returns the same JSON with keys in snake_case: protobuf prints camelCase."""
    if isinstance(value, dict):
        named = {
            "".join(f"_{c.lower()}" if c.isupper() else c for c in key): item
            for key, item in value.items()
        }
        return {key: item if key in _BY_OUTPUT else _snake(item) for key, item in named.items()}
    return [_snake(item) for item in value] if isinstance(value, list) else value
