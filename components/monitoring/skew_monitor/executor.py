"""Runs SkewMonitor: a reference's sample and a log in, a skew report out."""

import os
from dataclasses import replace

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from tfx_loop.contracts.skew_report import SKEW_REPORT
from tfx_loop.core.artifacts import Artifacts, Scalars, publish
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.inputs import single
from tfx_loop.core.storage import write_bytes
from tfx_loop.data.prediction_log.window_files import LOG_WINDOW, ROWS_FILE
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.monitoring.profile import profile_files
from tfx_loop.monitoring.profile.logged_features import parsed_log
from tfx_loop.monitoring.skew_monitor import page
from tfx_loop.monitoring.skew_monitor.settings import SkewMonitorSettings, parse_keys
from tfx_loop.monitoring.skew_monitor.skew import find_skew_of_reference, log_columns


class Executor(base_executor.BaseExecutor):
    """Reads the sample and the log, writes the report."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Compares the rows that both sides have; see SkewMonitor."""
        profile_uri = single(input_dict, "reference_profile").uri
        log_uri = single(input_dict, "prediction_log").uri
        settings = SkewMonitorSettings.from_properties(exec_properties)
        keys = parse_keys(settings.keys)
        window = LOG_WINDOW.read(log_uri)
        log = open_table(os.path.join(log_uri, ROWS_FILE))
        found = find_skew_of_reference(
            profile_files.load_profile(profile_uri),
            profile_files.load_sample(profile_uri),
            parsed_log(log.read(log_columns(log.schema.names, keys)), settings.parse_fn),
            keys,
            settings,
        )
        found = replace(found, window=window.window, model_name=window.model_name)
        output = artifact_utils.get_single_instance(output_dict["skew_report"])
        write_bytes(os.path.join(output.uri, page.PAGE_FILE), page.render(found).encode())
        SKEW_REPORT.write(found, output.uri)
        publish(output, "skew_report", to_properties(found.properties))
