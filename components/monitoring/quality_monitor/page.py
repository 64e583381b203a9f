"""A quality report as a page: metrics by slice, and how the model did beside its promise."""

from tfx_loop.contracts.quality_report import PromiseTest, QualityResult
from tfx_loop.presentation.document import document, header, section, table

PAGE_FILE = "quality.html"
_LOSSES = ("loss of", "promised", "this window", "rise")


def render(report: QualityResult) -> str:
    """Returns the page of a report."""
    facts = [("labelled rows", f"{report.rows:,}")]
    if report.labels and report.labels.coverage is not None:
        facts.append(("rows with a label", f"{report.labels.coverage:.1%}"))
    errors = report.sequential
    if errors:
        facts.append(("mean error promised", f"{errors.promised_error:.4g}"))
    if errors and errors.mean_error is not None:
        facts.append(("measured", f"{errors.mean_error:.4g}"))
    parts = [_promise(report.promise)] if report.promise else []
    parts += [_slices(report)] if report.slices else []
    headline = "promise was wrong" if report.promise and report.promise.wrong else "quality"
    about = " · ".join(filter(None, ("Quality of served answers", report.window)))
    return document(f"{headline}: served answers", header(about, headline, facts), parts)


def _promise(promise: PromiseTest) -> str:
    lead = (
        "Mean log loss; promised by rows held out of the training, the reference's out of fold. "
        f"The model rose {promise.optimism:+.4g} more than a reference that learnt the same rows "
        f"({promise.z:.1f} standard errors). "
    )
    lead += (
        "That is no drift: the promise was too good. Look for rows or groups on both sides of the "
        "split, for preprocessing that saw labels, and for what the server sees that training "
        "did not."
        if promise.wrong
        else "What both rose by is drift."
    )
    rows = [
        _losses("the model", promise.promised, promise.live),
        _losses("a reference", promise.reference_promised, promise.reference_live),
        ("a constant", "-", f"{promise.constant:.4g}", "-"),
    ]
    return section("Promise", lead, table(_LOSSES, rows, _LOSSES[1:]))


def _losses(title: str, promised: float, live: float) -> tuple[str, ...]:
    return title, f"{promised:.4g}", f"{live:.4g}", f"{live - promised:+.4g}"


def _slices(report: QualityResult) -> str:
    names = sorted({name for metrics in report.slices.values() for name in metrics})
    rows = [
        (title, *(f"{metrics[name]:.4g}" if name in metrics else "-" for name in names))
        for title, metrics in report.slices.items()
    ]
    return section("Metrics by slice", "", table(("slice", *names), rows, names))
