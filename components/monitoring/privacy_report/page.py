"""A privacy report as a page."""

from tfx_loop.contracts.privacy_report import PrivacyResult, Separation
from tfx_loop.presentation.document import document, header, section, table

PAGE_FILE = "privacy_report.html"
_NUMBERS = ("AUC", "from", "to", "found at 1 %")
HEADINGS = ("by what", *_NUMBERS)


def rows(report: PrivacyResult) -> list[tuple[str, ...]]:
    """Returns a row for each way to tell the sides apart."""
    told = (
        ("loss of the model, less that of reference models", report.calibrated),
        ("loss of the model alone", report.plain),
        ("loss of the reference models alone (control)", report.control),
    )
    return [(name, *_cells(found)) for name, found in told if found]


def _cells(found: Separation) -> tuple[str, ...]:
    share = f"{found.true_positive_rate:.1%}"
    return f"{found.auc:.3f}", f"{found.low:.3f}", f"{found.high:.3f}", share


def render(report: PrivacyResult) -> str:
    """Returns the page of a report."""
    facts = [
        ("rows trained on", f"{report.members:,}"),
        ("other rows", f"{report.others:,}"),
    ]
    if report.calibrated:
        facts.append(("calibrated AUC", f"{report.calibrated.auc:.3f}"))
    lead = "0.5 tells nothing, 1 everything. The control is of models that saw neither row."
    parts = [section("In one sentence", report.explanation)]
    if report.calibrated:
        parts.append(
            section(
                "How well the rows are told apart", lead, table(HEADINGS, rows(report), _NUMBERS)
            )
        )
    verdict = report.verdict.value.replace("_", " ")
    return document(
        f"{verdict}: membership inference",
        header("Membership inference", f"{verdict}: {report.reason}", facts),
        parts,
    )
