"""Runs SkewMonitor: a reference's sample and a log in, a skew report out."""

import logging
import os
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from tfx_loop.contracts import skew_report
from tfx_loop.core.artifacts import Scalar, set_properties
from tfx_loop.core.errors import DataError
from tfx_loop.core.storage import read_bytes, read_json, write_bytes, write_json
from tfx_loop.data.prediction_log.window_files import ROWS_FILE, read_window_json
from tfx_loop.monitoring.profile import reference
from tfx_loop.monitoring.skew_monitor import page
from tfx_loop.monitoring.skew_monitor.settings import SkewMonitorSettings
from tfx_loop.monitoring.skew_monitor.skew import (
    find_skew_of_reference,
    log_columns,
    parse_keys,
)

_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Reads the sample and the log, writes the report."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Compares the rows that both sides have; see SkewMonitor."""
        profile_uri = artifact_utils.get_single_uri(input_dict["reference_profile"])
        log_uri = artifact_utils.get_single_uri(input_dict["prediction_log"])
        settings = SkewMonitorSettings.from_properties(exec_properties)
        keys = parse_keys(settings.keys)
        window = read_window_json(log_uri)
        log = read_parquet(os.path.join(log_uri, ROWS_FILE), keys)
        found = find_skew_of_reference(
            reference.from_json(read_json(os.path.join(profile_uri, reference.PROFILE_FILE))),
            read_parquet(os.path.join(profile_uri, reference.SAMPLE_FILE)),
            log,
            keys,
            settings,
        )
        found = replace(found, window=window.window, model_name=window.model_name)
        output = artifact_utils.get_single_instance(output_dict["skew_report"])
        write_bytes(os.path.join(output.uri, page.PAGE_FILE), page.render(found).encode())
        write_json(os.path.join(output.uri, skew_report.REPORT_FILE), skew_report.to_json(found))
        properties: dict[str, Scalar] = {
            "verdict": found.verdict.value,
            "reason": found.reason,
            "window": found.window,
            "rows": found.rows,
            "skewed_features": len(found.skewed),
        }
        set_properties(output, properties)
        facts = " ".join(f"{name}={value}" for name, value in properties.items())
        _LOG.info("skew_report %s uri=%s", facts, output.uri)


def read_parquet(uri: str, keys: dict[str, str] | None = None) -> Any:
    """Returns the rows of a file; with keys only the columns that matter of a log.

    Raises:
        DataError: The file is cut off, or no Parquet.
    """
    content = read_bytes(uri)
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        names = file.schema_arrow.names
        return file.read(columns=names if keys is None else log_columns(names, keys))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"Expected whole Parquet rows in {uri}, received: {error}. Run the node again that "
            "wrote them."
        ) from error
