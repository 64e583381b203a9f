"""Runs FaultDetector: a model and rows of both sides in, a report and a blessing out."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from tfx_loop.contracts.fault_report import FAULT_REPORT
from tfx_loop.contracts.model_properties import BlessingProperties, is_blessed
from tfx_loop.core.artifacts import Artifacts, Scalars, publish, set_properties
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.inputs import single, single_or_none, split_uris
from tfx_loop.core.storage import write_bytes
from tfx_loop.models.fetching import local_folder
from tfx_loop.models.guard.settings import allowing
from tfx_loop.models.saved_model.graph import read_graph
from tfx_loop.models.saved_model.parsed_features import parsed_features
from tfx_loop.monitoring.fault_detector import page
from tfx_loop.monitoring.fault_detector.detection import detect_faults
from tfx_loop.monitoring.fault_detector.learning_curve import read_curve
from tfx_loop.monitoring.fault_detector.rows import AnyArray, SplitRows, TrainingContext
from tfx_loop.monitoring.fault_detector.rows_from_columns import split_rows
from tfx_loop.monitoring.fault_detector.settings import FaultDetectorSettings
from tfx_loop.monitoring.reference_models.evaluated_rows import number_labels
from tfx_loop.monitoring.reference_models.example_columns import (
    columns_of,
    drawn_records,
    transformed_columns,
)
from tfx_loop.monitoring.reference_profiler.scoring import Scorer


class Executor(base_executor.BaseExecutor):
    """Asks the model about rows of both sides, judges the training, writes report and blessing."""

    @allowing
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Looks for faults; see FaultDetector."""
        settings = FaultDetectorSettings.from_properties(exec_properties)
        model = single(input_dict, "model")
        graph = single_or_none(input_dict, "transform_graph")
        scorer = Scorer(model.uri, settings.score_signature, settings.score_key)
        read = _read_features(model.uri)
        (training, made), (held_out, made_of_others) = (
            _rows(
                split_uris(input_dict["examples"], splits),
                scorer,
                read,
                graph.uri if graph else "",
                # Another seed for each side: rows at the same places of both files would be drawn
                # otherwise.
                replace(settings, seed=settings.seed + place),
            )
            for place, splits in enumerate((settings.training_splits, settings.held_out_splits))
        )
        run = single_or_none(input_dict, "model_run")
        held_out_names = {*settings.held_out_splits}
        context = TrainingContext(
            curve=read_curve(run.uri) if run else None,
            analyzed=tuple(sorted({*settings.analyzed_splits} & held_out_names)),
            transformed=(made, made_of_others),
        )
        found = detect_faults(training, held_out, settings, context)
        output = artifact_utils.get_single_instance(output_dict["fault_report"])
        write_bytes(os.path.join(output.uri, page.PAGE_FILE), page.render(found).encode())
        FAULT_REPORT.write(found, output.uri)
        publish(output, "fault_report", to_properties(found.properties))
        _bless(
            artifact_utils.get_single_instance(output_dict["model_blessing"]),
            model,
            single_or_none(input_dict, "blessing"),
            found.passes,
        )


def _rows(
    uris: Sequence[str],
    scorer: Scorer,
    read: Sequence[str],
    graph_uri: str,
    settings: FaultDetectorSettings,
) -> tuple[SplitRows, dict[str, AnyArray]]:
    """Returns the rows, and what Transform made of those that have a label."""
    records, drawn = drawn_records(uris, settings.max_rows, settings.seed)
    columns = columns_of(records, settings.parse_fn)
    made = transformed_columns(records, graph_uri) if graph_uri else {}
    # The label as the model learnt it, beside the features as they came.
    columns |= {name: made.pop(name) for name in (settings.label_key,) if name in made}
    # Before the model runs: a wrong label is told at once.
    kept = np.isfinite(number_labels(columns, settings.label_key))
    answers = scorer.answers(records) if records else np.zeros(0)
    # A parse_fn makes features that the model itself does not name.
    rows = split_rows(columns, answers, settings, () if settings.parse_fn else read, drawn)
    return rows, {name: np.asarray(values)[kept] for name, values in made.items()}


def _read_features(model_uri: str) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="loop-faults-") as scratch:
        folder = local_folder(path_utils.serving_model_path(model_uri), Path(scratch))
        return sorted(parsed_features(read_graph(folder)))


def _bless(
    output: types.Artifact, model: types.Artifact, given: types.Artifact | None, passed: bool
) -> None:
    """Writes a blessing as Evaluator does; a variant's stays one that no resolver takes."""
    # An evaluator of variants writes 0 here, as a variant must not become "latest blessed".
    variant = given is not None and given.get_int_custom_property("blessed") != 1
    blessed = passed and (given is None or is_blessed(given))
    of_variant = blessed and variant
    properties = BlessingProperties(
        blessed=blessed and not variant,
        variant_blessed=True if of_variant else None,
        current_model=model.uri,
        # The property by which TFX's LatestBlessedModelStrategy finds a model; a variant has
        # another.
        current_model_id=None if of_variant else model.id or None,
        variant_model_id=model.id if of_variant else None,
    )
    file = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
    write_bytes(os.path.join(output.uri, file), b"")
    set_properties(output, to_properties(properties))
