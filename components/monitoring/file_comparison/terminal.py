"""A comparison of files for a terminal: a sentence, tables, what to do."""

from collections.abc import Sequence

from tfx_loop.contracts.drift_report import NO_FEATURES, DriftResult, FeatureDrift
from tfx_loop.monitoring.drift.changes import told_changes
from tfx_loop.monitoring.drift.data_faults.faults import ABSENT_FEATURE
from tfx_loop.monitoring.drift.export import Comparison
from tfx_loop.monitoring.file_comparison.notes import DECIMAL_COMMAS
from tfx_loop.presentation.terminal import TextTable
from tfx_loop.presentation.wording import few

# As many as stand on one screen, the most drifted first.
_ROWS_SHOWN = 15
# A month of days.
_CHUNKS_SHOWN = 31
_CHANGES_SHOWN = 3
_HEADINGS = ("feature", "type", "PSI", "at most", "KS", "q", "missing", "")
_ADVICE = {
    "STABLE": "Nothing to do.",
    "DRIFT": "Look whether the model still holds for what moved; `--ignore` what moves by nature.",
    "DATA_FAULT": "Fix the data before anybody retrains on it; `--ignore` what is meant to be so.",
    "NOT_ENOUGH_DATA": "Wait for more rows, or lower --min-rows.",
}
_NOTHING_LEFT = "Leave fewer columns out, or name those that do hold numbers with --numeric COLUMN."
_LABELS = "Name a label that comes later than the rest with --label COLUMN."
_DECIMAL_COMMAS = "Columns of numbers came with decimal commas: read them with `--decimal ,`."


def parts(comparison: Comparison) -> list[str | TextTable]:
    """Returns the report for a terminal: a sentence, ranked tables, what to do."""
    report = comparison.report
    entries = [entry for entry in report.features if not entry.slice]
    entries += [entry for entry in report.features if entry.slice and entry.drifted]
    more = len(entries) - _ROWS_SHOWN
    return [
        f"{report.verdict.value}: {report.explanation}\n{_rows(comparison)}",
        _chunks(comparison.chunks),
        TextTable(
            headings=_HEADINGS,
            rows=[_cells(entry) for entry in entries[:_ROWS_SHOWN]],
            numbers=_HEADINGS[2:7],
            below=f"… and {more} more; --json has all." if more > 0 else "",
        ),
        _changes(comparison),
        *(f"Note: {warning}." for warning in report.warnings),
        _advice(report),
    ]


def _rows(comparison: Comparison) -> str:
    rows = comparison.report.rows
    counted = f"{rows.current:,} row{'s' if rows.current != 1 else ''}"
    if comparison.settings.roles.weight:
        # Of unequal weight there are more, which tell as much (weights.py).
        counted = f"As much as {counted} of equal weight"
    return f"{counted} against {rows.reference:,} of the reference."


def _chunks(chunks: Sequence[DriftResult]) -> TextTable:
    """The chunks with their verdicts, and what moved or is broken in each."""
    rows = []
    for chunk in chunks:
        faults = [f"{f.feature} {f.fault}" for f in chunk.features if f.fault]
        told = faults or chunk.drifted
        rows.append((chunk.window, f"{chunk.rows.current:,}", chunk.verdict.value, few(told)))
    more = len(rows) - _CHUNKS_SHOWN
    return TextTable(
        headings=("chunk", "rows", "verdict", ""),
        rows=rows[-_CHUNKS_SHOWN:],
        numbers=("rows",),
        below=f"… and {more} before; --json has all." if more > 0 else "",
    )


def _changes(comparison: Comparison) -> TextTable:
    """From where to where the features moved that drifted or broke."""
    report = comparison.report
    changes = {f.feature: f.change for f in report.features if f.change}
    moved = dict.fromkeys([*report.faulty, *report.drifted])
    rows: list[tuple[str, ...]] = []
    for name in [name for name in moved if name in changes][:_CHANGES_SHOWN]:
        told = told_changes(changes[name])
        rows += [(name if not place else "", *cells) for place, cells in enumerate(told)]
    return TextTable(headings=("what changed", "", "reference", "now"), rows=rows)


def _advice(report: DriftResult) -> str:
    """What to do, by the verdict or, where that says more, by what brought it about."""
    if report.reason == NO_FEATURES:
        return _NOTHING_LEFT
    advice = _ADVICE[report.verdict.value]
    if any(entry.fault == ABSENT_FEATURE for entry in report.features):
        advice = f"{advice} {_LABELS}"
    if any(entry.fault and DECIMAL_COMMAS in entry.note for entry in report.features):
        return f"{_DECIMAL_COMMAS} {advice}"
    return advice


def _cells(entry: FeatureDrift) -> tuple[str, ...]:
    name = f"{entry.feature} [{entry.slice}]" if entry.slice else entry.feature
    said = ""
    if entry.fault:
        said = f"FAULT {entry.fault}"
    elif entry.drifted:
        said = "DRIFT"
    elif entry.held_by:
        said = f"moved, held by {entry.held_by}"
    elif entry.p_value is None:
        said = "not tested"
    said = ": ".join(filter(None, [said, entry.note]))
    return (
        name,
        entry.type,
        _number(entry.effect, ".3f"),
        _number(entry.psi_bound, ".3f"),
        _number(entry.ks, ".3f"),
        _number(entry.q_value, ".1e"),
        _number(entry.missing_share, ".1%"),
        said,
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
