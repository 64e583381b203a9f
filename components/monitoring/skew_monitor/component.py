"""The SkewMonitor node: says whether the server saw what training saw, for the same rows."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, component_spec

from tfx_loop.core.artifacts import PredictionLog, ReferenceProfile, SkewReport
from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.skew_monitor.executor import Executor
from tfx_loop.monitoring.skew_monitor.skew import SkewSettings, parse_keys


class SkewMonitorSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of SkewMonitor; lists travel as JSON."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "keys": component_spec.ExecutionParameter(type=str),
        "ignore_features": component_spec.ExecutionParameter(type=str),
        "tolerated": component_spec.ExecutionParameter(type=float),
        "min_rows": component_spec.ExecutionParameter(type=int),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "reference_profile": component_spec.ChannelParameter(type=ReferenceProfile),
        "prediction_log": component_spec.ChannelParameter(type=PredictionLog),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "skew_report": component_spec.ChannelParameter(type=SkewReport)
    }


class SkewMonitor(base_component.BaseComponent):
    """Compares rows of a training sample with the same rows as the server saw them.

    No test and no threshold of chance: what differs beyond rounding is a fault in one of two
    feature pipelines. Nothing is held back by the verdict; gate on its property where you want to.

    Output `skew_report`: `skew_report.json` and the same as a page (`skew_report.html`), with the
    custom properties verdict, reason, window, rows and skewed_features.
    """

    SPEC_CLASS = SkewMonitorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        reference_profile: channel.BaseChannel,
        prediction_log: channel.BaseChannel,
        keys: Sequence[str] | str,
        ignore_features: Sequence[str] | str = (),
        tolerated: float = 0.001,
        min_rows: int = 50,
    ) -> None:
        """Declares the node.

        Args:
            reference_profile: The frozen profile of a model; its training sample holds the keys,
                named in ReferenceProfiler's `ignore_features`.
            prediction_log: A log of a time that was trained on, of any model with these features.
            keys: Columns that name a row, as `TRAINING=SERVED` where the log calls it otherwise:
                one of its columns (`request_id`) or a feature.
            ignore_features: Features that may differ, besides those that the reference ignores.
            tolerated: Share of the rows that may differ in a feature, in [0, 1).
            min_rows: Common rows below which there is no verdict.
        """
        named = _names_as_json(keys, "keys")
        parse_keys(json.loads(named))
        SkewSettings(tolerated=tolerated, min_rows=min_rows)
        super().__init__(
            spec=SkewMonitorSpec(
                reference_profile=reference_profile,
                prediction_log=prediction_log,
                skew_report=channel.Channel(type=SkewReport),
                keys=named,
                ignore_features=_names_as_json(ignore_features, "ignore_features"),
                tolerated=float(tolerated),
                min_rows=min_rows,
            )
        )


def _names_as_json(names: Sequence[str] | str, setting: str) -> str:
    try:
        listed = json.loads(names) if isinstance(names, str) else list(names)
    except ValueError:
        listed = None
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise ConfigError(
            f"{setting} must be a list of names, or JSON of one like '[\"trip\"]', got {names!r}."
        )
    return json.dumps(listed)
