"""A skew report as a page: the common page, with one table."""

from tfx_loop.contracts.skew_report import FeatureSkew, SkewResult
from tfx_loop.presentation.document import document, header, section, table

PAGE_FILE = "skew_report.html"
_SHARE = "rows that differ"
_MEAN = "mean difference"


def render(report: SkewResult) -> str:
    """Returns the page of a report."""
    about = " · ".join(filter(None, ("Training-serving skew", report.model_name, report.window)))
    facts = [
        ("rows of both sides", f"{report.rows:,}"),
        ("training rows", f"{report.training_rows:,}"),
        ("served rows", f"{report.served_rows:,}"),
        ("features compared", str(len(report.features))),
        ("skewed", str(len(report.skewed))),
    ]
    return document(
        f"{report.verdict.value}: training-serving skew",
        header(about, f"{report.verdict.value}: {report.reason}", facts),
        [section("In one sentence", report.explanation), _features(report), _others(report)],
    )


def _features(report: SkewResult) -> str:
    if not report.features:
        return ""
    headings: tuple[str, ...] = ("feature", "reason", _SHARE, _MEAN, "for example", "in row")
    rows: list[tuple[str, ...]] = [_row(feature) for feature in report.features]
    if not any(feature.example for feature in report.features):
        headings, rows = headings[:-2], [row[:-2] for row in rows]
    lead = "Serving less training, on the same rows. Rounding counts as equal."
    return section("Features", lead, table(headings, rows, (_SHARE, _MEAN)))


def _row(feature: FeatureSkew) -> tuple[str, ...]:
    mean = feature.mean_difference
    return (
        feature.feature,
        feature.reason or "agrees",
        f"{feature.differing:.2%}",
        "" if not mean else f"{mean:.4g}",
        feature.example,
        feature.example_row,
    )


def _others(report: SkewResult) -> str:
    told = [(name, "only training has it") for name in report.absent_in_serving]
    told += [(name, "only serving has it") for name in report.absent_in_training]
    told += [(name, "not compared: of kinds that cannot be") for name in report.not_compared]
    told += [(name, "left out: row numbers that pandas wrote") for name in report.row_numbers]
    if report.repeated_rows:
        again = "served again, and compared as the first were"
        told.append((f"{report.repeated_rows:,} rows", again))
    return section("Beside these", "", table(("what", "why"), told)) if told else ""
