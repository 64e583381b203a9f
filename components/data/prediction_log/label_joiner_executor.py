"""Executor of LabelJoiner."""

import dataclasses
import logging

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from tfx_loop.core.artifacts import Artifacts, Scalars, set_properties
from tfx_loop.core.inputs import single
from tfx_loop.data.prediction_log.labels import join_labels, read_labels
from tfx_loop.data.prediction_log.settings import LabelJoinerSettings
from tfx_loop.data.prediction_log.window_files import LOG_WINDOW, read_rows, write_window

_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Joins late labels to logged predictions."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Writes the `labelled_log` artifact."""
        log = single(input_dict, "prediction_log")
        settings = LabelJoinerSettings.from_properties(exec_properties)
        labels = read_labels(settings.labels_dir, settings.task)
        for path, reason in labels.unusable.items():
            _LOG.warning("labels unusable_file=%s reason=%s", path, reason)
        labelled, counts = join_labels(
            read_rows(log.uri), labels, settings.as_of_ms, corrections=settings.corrections
        )
        window = dataclasses.replace(LOG_WINDOW.read(log.uri), rows=len(labelled), labels=counts)
        output = artifact_utils.get_single_instance(output_dict["labelled_log"])
        write_window(output.uri, window, labelled)
        set_properties(
            output, {"window": window.window, "model_name": window.model_name, "rows": window.rows}
        )
        _LOG.info(
            "labelled_log window=%s rows=%d labels=%s artifact=%s",
            window.window,
            window.rows,
            dataclasses.asdict(counts),
            output.uri,
        )
