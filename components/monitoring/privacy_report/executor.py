"""Runs PrivacyReport: a model and rows of both sides in, a report out."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from tfx_loop.contracts.privacy_report import PRIVACY_REPORT
from tfx_loop.core.artifacts import Artifacts, Scalars, publish
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.inputs import single, single_or_none, split_uris
from tfx_loop.core.storage import write_bytes
from tfx_loop.models.guard.settings import allowing
from tfx_loop.monitoring.privacy_report import page
from tfx_loop.monitoring.privacy_report.membership import infer_membership
from tfx_loop.monitoring.privacy_report.settings import PrivacyReportSettings
from tfx_loop.monitoring.reference_models.evaluated_rows import evaluated_rows
from tfx_loop.monitoring.reference_models.example_columns import (
    columns_of,
    drawn_records,
    transformed_columns,
)
from tfx_loop.monitoring.reference_profiler.scoring import Scorer


class Executor(base_executor.BaseExecutor):
    """Asks the model about rows of both sides, writes the report."""

    @allowing
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Infers membership; see PrivacyReport."""
        settings = PrivacyReportSettings.from_properties(exec_properties)
        model_uri = single(input_dict, "model").uri
        scorer = Scorer(model_uri, settings.score_signature, settings.score_key)
        graph = single_or_none(input_dict, "transform_graph")
        records = [
            drawn_records(
                split_uris(input_dict["examples"], splits), settings.max_rows, settings.seed
            )[0]
            for splits in (settings.member_splits, settings.other_splits)
        ]
        sides = [_columns(side, graph.uri if graph else "") for side in records]
        outputs = [scorer.answers(side) if side else np.zeros(0) for side in records]
        members, others = evaluated_rows(
            sides, outputs, settings.label_key, settings.ignore_features
        )
        found = infer_membership(members, others, settings)
        output = artifact_utils.get_single_instance(output_dict["privacy_report"])
        write_bytes(os.path.join(output.uri, page.PAGE_FILE), page.render(found).encode())
        PRIVACY_REPORT.write(found, output.uri)
        publish(output, "privacy_report", to_properties(found.properties))


def _columns(records: Sequence[bytes], graph_uri: str) -> Mapping[str, Any]:
    return transformed_columns(records, graph_uri) if graph_uri else columns_of(records)
