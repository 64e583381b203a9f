"""The PrivacyReport node: says whether a model gives away which rows it was trained on."""

from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import MembershipReport
from tfx_loop.core.node import Input, Node
from tfx_loop.monitoring.privacy_report.executor import Executor
from tfx_loop.monitoring.privacy_report.settings import PrivacyReportSettings


class PrivacyReport(Node):
    """Tries to tell the rows that a model was trained on from others, by its losses.

    The loss of reference models that saw neither row is taken off, as some rows are hard for every
    model. Nothing is held back by the verdict; gate on its property where you want to.

    Reasons: `members_recognised`, `not_recognised`, `too_few_rows` (under 300 of a side).

    Inputs:
        model: The model that was trained.
        examples: Examples with rows that it was trained on and others, drawn by chance.
        transform_graph: Of Transform, where the label is one of its outputs.

    Outputs:
        privacy_report: `MembershipReport` (WARN, NO_SIGN or NOT_ENOUGH_DATA):
            `privacy_report.json`, the same as a page (`privacy_report.html`), and the custom
            properties `verdict`, `reason`, `members`, `others`, `calibrated_auc` and
            `calibrated_auc_low`.

    Example:
        privacy = PrivacyReport(
            model=trainer.outputs["model"], examples=example_gen.outputs["examples"],
            label_key="tips", score_key="output_0",
        )
    """

    SETTINGS = PrivacyReportSettings
    INPUTS: ClassVar = {
        "model": Input(standard_artifacts.Model),
        "examples": Input(standard_artifacts.Examples),
        "transform_graph": Input(standard_artifacts.TransformGraph, optional=True),
    }
    OUTPUTS: ClassVar = {"privacy_report": MembershipReport}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
