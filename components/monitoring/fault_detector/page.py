"""A fault report as a page and as rows of terminal tables."""

from tfx_loop.contracts.fault_report import FaultFinding, FaultResult
from tfx_loop.presentation.document import document, header, section, table

PAGE_FILE = "fault_report.html"
LOSS_HEADINGS = ("loss of", "training rows", "held-out rows")
FINDING_HEADINGS = ("finding", "feature", "stops", "what and why")
_EPOCHS = ("epoch", "training loss", "validation loss")
_NUMBERS = LOSS_HEADINGS[1:]


def loss_rows(report: FaultResult) -> list[tuple[str, ...]]:
    """Returns the mean losses of the model, of the reference and of a constant."""
    fit = report.fit
    if fit is None:
        return []
    training = _number(fit.training)
    return [
        ("the model", training, f"{fit.held_out:.4g}"),
        (
            f"the reference: {fit.reference}",
            "-" if fit.training is None else f"{fit.reference_training:.4g}",
            f"{fit.reference_held_out:.4g}",
        ),
        ("a constant", _number(fit.constant_training), f"{fit.constant_held_out:.4g}"),
    ]


def finding_rows(report: FaultResult) -> list[tuple[str, ...]]:
    """Returns a row for each finding."""
    return [
        (finding.kind, finding.feature, _stops(finding), finding.explanation)
        for finding in report.findings
    ]


def headline(report: FaultResult) -> str:
    """Returns the worst finding's name, as `acknowledged` takes it, or the reason."""
    return report.findings[0].name if report.findings else report.reason


def other_findings(report: FaultResult) -> list[str]:
    """Returns a sentence for each finding but the worst, which is the report's own."""
    return [
        f"{_title(finding)} {finding.name}: {finding.explanation}"
        for finding in report.findings[1:]
    ]


def curve_rows(report: FaultResult) -> list[tuple[str, ...]]:
    """Returns the first, the best and the last epoch."""
    curve = report.curve
    if curve is None:
        return []
    places = {1: "first", curve.best_epoch: "best", curve.last_epoch: "last"}
    return [
        (f"{epoch} ({title})", _at(curve.training, epoch), _at(curve.validation, epoch))
        for epoch, title in sorted(places.items())
    ]


def curve_lines(report: FaultResult) -> list[str]:
    """Returns the learning curve in a line; none where there is none."""
    told = [
        f"epoch {epoch}: {training} in training, {own} in validation"
        for epoch, training, own in curve_rows(report)
    ]
    return [f"Learning curve: {'; '.join(told)}."] if told else []


def _at(losses: tuple[float, ...], epoch: int) -> str:
    return f"{losses[epoch - 1]:.4g}" if epoch <= len(losses) else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _title(finding: FaultFinding) -> str:
    if finding.acknowledged:
        return f"Acknowledged ({finding.acknowledged}),"
    return "Stops the push, too," if finding.blocks else "Warning,"


def _stops(finding: FaultFinding) -> str:
    if finding.acknowledged:
        return f"acknowledged: {finding.acknowledged}"
    return "yes" if finding.blocks else "no"


def render(report: FaultResult) -> str:
    """Returns the page of a report."""
    facts = [
        ("training rows", f"{report.training_rows:,}"),
        ("held-out rows", f"{report.held_out_rows:,}"),
    ]
    parts = [section("In one sentence", report.explanation)]
    if report.fit:
        kind = report.fit.loss.replace("_", " ")
        lead = (
            f"Mean {kind} of rows; lower is better. A reference is a cheap honest model, learnt "
            "from the same training rows. A gap between the model's two numbers alone is no fault."
        )
        lead += " On the training rows the reference's is out of fold."
        parts.append(section("Fit", lead, table(LOSS_HEADINGS, loss_rows(report), _NUMBERS)))
    if report.curve:
        lead = "The Trainer's own losses by epoch, penalties among them."
        parts.append(section("Learning curve", lead, table(_EPOCHS, curve_rows(report), _EPOCHS)))
    if report.findings:
        lead = "What stops a push until it is fixed, or acknowledged by name with who and why."
        parts.append(section("Findings", lead, table(FINDING_HEADINGS, finding_rows(report))))
    if report.untested:
        rows = [(said,) for said in report.untested]
        parts.append(section("Not tested", "", table(("what, and why not",), rows)))
    verdict = report.verdict.value.replace("_", " ")
    return document(
        f"{verdict}: faults of a training",
        header("Faults of a training", f"{verdict}: {report.reason.replace('_', ' ')}", facts),
        parts,
    )
