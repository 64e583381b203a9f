"""Runs DriftMonitor: a window's log and a reference in, a drift report out."""

import os
from dataclasses import replace

from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from tfx_loop.contracts.drift_report import DRIFT_REPORT, DriftResult, FeatureDrift
from tfx_loop.contracts.quality_report import QUALITY_REPORT
from tfx_loop.contracts.window_quality import RealisedQuality
from tfx_loop.core.artifacts import Artifacts, Scalars, publish
from tfx_loop.core.custom_properties import to_properties
from tfx_loop.core.errors import DataError
from tfx_loop.core.inputs import single, single_or_none
from tfx_loop.core.redaction import Redaction
from tfx_loop.core.storage import write_bytes
from tfx_loop.data.prediction_log.window_files import LOG_WINDOW, LogWindow
from tfx_loop.data.schema_file import read_schema
from tfx_loop.monitoring.drift import page, telemetry
from tfx_loop.monitoring.drift.data_faults.schema import check_schema
from tfx_loop.monitoring.drift.quality import realised
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.window_report import report_window
from tfx_loop.monitoring.drift_monitor.beam_counting import LogFeatures, count_log
from tfx_loop.monitoring.drift_monitor.settings import DriftMonitorSettings
from tfx_loop.monitoring.profile.profile_files import load_reference
from tfx_loop.monitoring.profile.redacted import redaction_for, with_named_slices
from tfx_loop.monitoring.profile.reference import FrozenProfile


class Executor(base_beam_executor.BaseBeamExecutor):
    """Counts the log on the profile's bins, judges the counts, writes the report."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Scalars) -> None:
        """Monitors one window; see DriftMonitor."""
        log_uri = single(input_dict, "prediction_log").uri
        reference_uri = single(input_dict, "reference_profile").uri
        output = artifact_utils.get_single_instance(output_dict["drift_report"])
        chosen = DriftMonitorSettings.from_properties(exec_properties)
        about = named_window(log_uri, chosen)
        reference = load_reference(reference_uri, with_sample=True)
        redaction = redaction_for(reference.profile, chosen.redaction())
        # Redacted slices have hashes in the log: the training counts take the same names before
        # both meet.
        counts = with_named_slices(reference.counts, reference.profile, redaction)
        reference = replace(reference, counts=counts)
        settings = chosen.comparison(reference, about.end_ms - about.start_ms)
        window = count_log(
            self._make_beam_pipeline,
            log_uri,
            about,
            reference.profile,
            chosen.layout(),
            output.uri,
            redaction,
            chosen.parse_fn,
        )
        report = report_window(
            reference,
            window,
            settings,
            read_report(single_or_none(input_dict, "previous_report")),
            breaches=breaches(
                single_or_none(input_dict, "schema"),
                log_uri,
                reference.profile,
                settings,
                redaction,
            ),
            realised=read_evaluation(single_or_none(input_dict, "evaluation")),
            redaction=redaction,
            multivariate=chosen.multivariate,
        )
        write_report(output.uri, report)
        publish(output, "drift_report", to_properties(report.properties))


def write_report(uri: str, result: DriftResult) -> None:
    """Writes the report as JSON, as a page and as Prometheus gauges, and records the gauges."""
    found = telemetry.gauges(result)
    text = telemetry.prometheus_text(found)
    write_bytes(os.path.join(uri, page.PAGE_FILE), page.render(result).encode())
    write_bytes(os.path.join(uri, telemetry.PROMETHEUS_FILE), text.encode())
    # After the page and the gauges: where the report stands, all of it does.
    DRIFT_REPORT.write(result, uri)
    telemetry.record(found)


def read_report(given: types.Artifact | None) -> DriftResult | None:
    """Returns the report of the window before; None where there is none."""
    return DRIFT_REPORT.read(given.uri) if given else None


def breaches(
    given: types.Artifact | None,
    log_uri: str,
    profile: FrozenProfile,
    settings: DriftSettings,
    redaction: Redaction,
) -> list[FeatureDrift]:
    """Returns the log's breaches of the data's schema; none where no schema is given."""
    if not given:
        return []
    schema = read_schema(io_utils.get_only_uri_in_dir(given.uri))
    ignored = {*settings.left_out, *profile.ignored}
    return check_schema(LogFeatures(log_uri), schema, ignored, redaction)


def read_evaluation(given: types.Artifact | None) -> RealisedQuality | None:
    """Returns the quality that QualityMonitor measured; None where there is none."""
    if not given:
        return None
    return realised.realised_quality(QUALITY_REPORT.read(given.uri))


def named_window(uri: str, settings: DriftMonitorSettings) -> LogWindow:
    """Returns what a PredictionLog artifact says of itself.

    Raises:
        DataError: The log is not of the window and model that were asked for.
    """
    about = LOG_WINDOW.read(uri)
    for name, wanted, received in (
        ("window", settings.window, about.window),
        ("model_name", settings.model_name, about.model_name),
    ):
        if wanted and received != wanted:
            raise DataError(
                f"Expected the log of {name} {wanted!r}, received that of {received!r} in "
                f"{uri}. Give DriftMonitor the log of its own window."
            )
    return about
