"""The DriftMonitor node: says what moved between a model's training rows and a window."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from tfx_loop.core.artifacts import DriftReport, PredictionLog, ReferenceProfile
from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.drift_monitor.executor import Executor


class DriftMonitorSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of DriftMonitor; lists and mappings travel as JSON."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "window": component_spec.ExecutionParameter(type=str),
        "model_name": component_spec.ExecutionParameter(type=str),
        "q": component_spec.ExecutionParameter(type=float),
        "psi_floor": component_spec.ExecutionParameter(type=float),
        "min_rows": component_spec.ExecutionParameter(type=int),
        "windows_needed": component_spec.ExecutionParameter(type=int),
        "windows_looked_at": component_spec.ExecutionParameter(type=int),
        "ignore_features": component_spec.ExecutionParameter(type=str),
        "score_output": component_spec.ExecutionParameter(type=str),
        "fault_settings": component_spec.ExecutionParameter(type=str),
        "release": component_spec.ExecutionParameter(type=float),
        "season_floors": component_spec.ExecutionParameter(type=str),
        "arrival_settings": component_spec.ExecutionParameter(type=str),
        "multivariate": component_spec.ExecutionParameter(type=int),
        "score_threshold": component_spec.ExecutionParameter(type=float),
        "calibrate": component_spec.ExecutionParameter(type=int),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "prediction_log": component_spec.ChannelParameter(type=PredictionLog),
        "reference_profile": component_spec.ChannelParameter(type=ReferenceProfile),
        "previous_report": component_spec.ChannelParameter(type=DriftReport, optional=True),
        "evaluation": component_spec.ChannelParameter(
            type=standard_artifacts.ModelEvaluation, optional=True
        ),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema, optional=True),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "drift_report": component_spec.ChannelParameter(type=DriftReport)
    }


class DriftMonitor(base_beam_component.BaseBeamComponent):
    """Compares a window of the prediction log with the model's frozen reference.

    Slices are compared where the reference has slice_features.

    Output `drift_report`: `drift_report.json`, the same as a page (`drift_report.html`) and as
    Prometheus gauges (`drift_report.prom`), the window's exact counts (`window_profile.json`, which
    merge into those of longer windows) and sampled rows, with the custom properties verdict,
    reason, window, model_version, drifted_features, faulty_features and rows, and `estimated_auc`
    where there is an estimate.
    """

    SPEC_CLASS = DriftMonitorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        prediction_log: channel.BaseChannel,
        reference_profile: channel.BaseChannel,
        previous_report: channel.BaseChannel | None = None,
        window: Any = "",
        model_name: Any = "",
        q: float = 0.025,
        psi_floor: float = 0.02,
        min_rows: int = 100,
        windows_needed: int = 1,
        windows_looked_at: int = 1,
        ignore_features: Sequence[str] | str = (),
        score_output: str = "output.probability",
        fault_settings: Mapping[str, float] | str = "{}",
        release: float = 0.5,
        season_floors: Mapping[str, float] | str = "{}",
        arrival_settings: Mapping[str, float] | str = "{}",
        multivariate: bool = False,
        evaluation: channel.BaseChannel | None = None,
        score_threshold: float = 0.5,
        calibrate: bool = True,
        schema: channel.BaseChannel | None = None,
    ) -> None:
        """Declares the node.

        Args:
            prediction_log: The log of one window.
            reference_profile: The frozen profile of the model that answered in it.
            previous_report: The report of the window before; k of n windows needs it.
            window: Id that the log must have; empty takes the log's own. May be a runtime
                parameter.
            model_name: Name that the log must have; empty takes the log's own.
            q: False discovery rate over the features, in (0, 1).
            psi_floor: PSI, in nats, below which a difference does not matter.
            min_rows: Rows below which nothing is tested.
            windows_needed: k of k-of-n windows that must exceed.
            windows_looked_at: n of k-of-n.
            ignore_features: Features that move legitimately, such as the month.
            score_output: Log column to compare with the reference's score, if that has one.
            fault_settings: Fields of FaultSettings (settings.py) to change.
            release: A feature that had drifted stays so down to this share of the floor, (0, 1].
            season_floors: Least corrected PSI of a feature in this season (calibration.py).
            arrival_settings: Fields of ArrivalSettings (settings.py) to change.
            multivariate: Test all features together, on the training sample; takes seconds.
            evaluation: QualityMonitor's, of the newest window whose labels have come: shown beside
                the estimate, which it corrects.
            score_threshold: Score above which a row is answered with 1, for the estimate.
            calibrate: Take as a feature's floor what windows of the training rows as long as this
                one show against all others (calibration.py); season_floors goes before it.
            schema: TFDV's schema of the data, to which the log's features have to keep.
        """
        given = {"previous_report": previous_report, "evaluation": evaluation, "schema": schema}
        super().__init__(
            spec=DriftMonitorSpec(
                prediction_log=prediction_log,
                reference_profile=reference_profile,
                **{name: channel_ for name, channel_ in given.items() if channel_ is not None},
                drift_report=channel.Channel(type=DriftReport),
                window=window,
                model_name=model_name,
                q=float(q),
                psi_floor=float(psi_floor),
                min_rows=min_rows,
                windows_needed=windows_needed,
                windows_looked_at=windows_looked_at,
                ignore_features=_as_json(ignore_features, list, "ignore_features"),
                score_output=score_output,
                fault_settings=_as_json(fault_settings, dict, "fault_settings"),
                release=float(release),
                season_floors=_as_json(season_floors, dict, "season_floors"),
                arrival_settings=_as_json(arrival_settings, dict, "arrival_settings"),
                multivariate=int(multivariate),
                score_threshold=float(score_threshold),
                calibrate=int(calibrate),
            )
        )


def _as_json(value: Any, kind: type, setting: str) -> str:
    try:
        content: Any = json.loads(value) if isinstance(value, str) else kind(value)
    except (TypeError, ValueError):
        content = None
    names = content if kind is list else ()
    if not isinstance(content, kind) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{setting} must be a {kind.__name__} or JSON of one, got {value!r}.")
    return json.dumps(content)
