"""The FaultDetector node: a push stops at over-fitting, under-fitting and leakage."""

from typing import Any, ClassVar

from google.protobuf import json_format
from tfx.dsl.components.base import executor_spec
from tfx.proto import transform_pb2
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import FaultReport
from tfx_loop.core.node import Input, Node
from tfx_loop.monitoring.fault_detector.executor import Executor
from tfx_loop.monitoring.fault_detector.settings import FaultDetectorSettings


class FaultDetector(Node):
    """Finds over-fitting, under-fitting and leakage, and holds the push back.

    Row losses of the model are compared with those of a cheap honest reference on the same rows. A
    gap between training and held-out loss alone is no fault.

    Reasons that stop a push: `over_fitted`, `under_fitted`, `worse_than_reference`,
    `feature_tells_label`, `copied_rows` (half a percent of the held-out rows, surely),
    `groups_overlap`, `times_overlap`, `own_label_encoding`, `splits_swapped`,
    `feature_after_prediction`, `label_before_event`. Reasons of a warning: `no_signal`,
    `feature_dominates`, `near_copies`, `fitted_on_all_rows`, and those that are acknowledged.

    Inputs:
        model: The model that was trained.
        examples: Examples with the rows that it was trained on and those that were held out.
        transform_graph: Of Transform, where the label is one of its outputs.
        blessing: Of Evaluator: what it refused stays refused.
        model_run: Of Trainer: the learning curve, where it left TensorBoard's event files.

    Outputs:
        fault_report: `FaultReport` (SOUND, WARN, BLOCK or NOT_ENOUGH_DATA): `fault_report.json`,
            the same as a page (`fault_report.html`), and the custom properties `verdict`, `reason`,
            `findings`, `training_rows`, `held_out_rows`, `shortfall_share` and
            `refused_because`.
        model_blessing: `ModelBlessing` for a pusher: blessed where the verdict is SOUND or WARN,
            and Evaluator blessed the model, too, where it is connected.

    Example:
        faults = FaultDetector(
            model=trainer.outputs["model"], examples=example_gen.outputs["examples"],
            blessing=evaluator.outputs["blessing"], label_key="tips", score_key="output_0",
        )
    """

    SETTINGS = FaultDetectorSettings
    INPUTS: ClassVar = {
        "model": Input(standard_artifacts.Model),
        "examples": Input(standard_artifacts.Examples),
        "transform_graph": Input(standard_artifacts.TransformGraph, optional=True),
        "blessing": Input(standard_artifacts.ModelBlessing, optional=True),
        "model_run": Input(standard_artifacts.ModelRun, optional=True),
    }
    OUTPUTS: ClassVar = {
        "fault_report": FaultReport,
        "model_blessing": standard_artifacts.ModelBlessing,
    }
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    @classmethod
    def settings_of(cls, inputs: dict[str, Any]) -> dict[str, Any]:
        """Returns which splits the Transform behind `transform_graph` analyses, where it says."""
        # Read when the pipeline is declared: an artifact at run time no longer says which node made
        # it.
        maker = getattr(inputs.get("transform_graph"), "_producer_component", None)
        config = maker.exec_properties.get("splits_config") if maker else None
        if not isinstance(config, str) or not config:
            return {}
        parsed = json_format.Parse(config, transform_pb2.SplitsConfig())
        return {"analyzed_splits": tuple(parsed.analyze)}
