"""Gauges of a quality report, in the form of a drift report's."""

from collections.abc import Iterator

from tfx_loop.contracts.model_evaluation import OVERALL
from tfx_loop.contracts.quality_report import QualityResult
from tfx_loop.monitoring.drift.telemetry import Gauge

PREFIX = "tfx_loop_quality_"
_Row = tuple[str, str, str, float | None, dict[str, str]]


def quality_gauges(report: QualityResult, model_name: str) -> tuple[Gauge, ...]:
    """Returns the report's numbers.

    Args:
        report: What QualityMonitor wrote.
        model_name: Whose quality it is, which the report does not say.
    """
    return tuple(
        Gauge(PREFIX + name, said, unit, float(value), {"model": model_name, **labels})
        for name, said, unit, value, labels in _rows(report)
        if value is not None
    )


def _rows(report: QualityResult) -> Iterator[_Row]:
    for metric, value in report.slices.get(OVERALL, {}).items():
        yield "metric", "Metric of the labelled rows.", "1", value, {"metric": metric}
    for metric, found in report.intervals.items():
        for bound in ("low", "high"):
            said = "End of the 95 % interval of a metric."
            labels = {"metric": metric}
            yield f"metric_{bound}", said, "1", getattr(found, bound), labels
    yield "labelled_rows", "Rows judged by their labels.", "{row}", report.rows, {}
    if report.labels is not None:
        said = "Share of rows with a label."
        yield "label_coverage_ratio", said, "1", report.labels.coverage, {}
    if report.sequential is not None:
        said = "Evidence for a rise of the errors, 1 for none."
        yield "error_rise_evidence", said, "1", report.sequential.evidence, {}
        alarm = float(report.sequential.alarm_at_row is not None)
        yield "error_rise_alarm", "1 once the errors rose for sure.", "1", alarm, {}
    if report.promise is not None:
        wrong = float(report.promise.wrong)
        yield "promise_was_wrong", "1 where the model's promise was wrong.", "1", wrong, {}
