"""Comparison of two files without a pipeline or a model: one file is the reference of the other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from tfx_loop.contracts.drift_report import DriftResult
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.data.tables.table_file import TableFile, open_table
from tfx_loop.monitoring.drift.assessment import assess
from tfx_loop.monitoring.drift.data_faults.faults import Fault
from tfx_loop.monitoring.drift.data_faults.schema import check_schema, read_schema
from tfx_loop.monitoring.drift.explanation import FILE_WORDING, explain
from tfx_loop.monitoring.drift.export import Comparison
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.statistics.multivariate import MOST_ROWS
from tfx_loop.monitoring.file_comparison.cells import CellReader, CellTally
from tfx_loop.monitoring.file_comparison.known_values import (
    KnownValues,
    UnseenRows,
    collected,
    looked_up,
    many_valued,
)
from tfx_loop.monitoring.file_comparison.notes import awaited_label, not_in_plan, with_note
from tfx_loop.monitoring.file_comparison.plan import SLICE, ComparisonPlan, make_plan
from tfx_loop.monitoring.file_comparison.roles import plain_column
from tfx_loop.monitoring.profile.calendar_columns import order_of
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.profiler import Profiler
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.window_profile import Cell, WindowProfile, regrouped

# The column that numbers a file's rows, which have no other identity.
_ROW = "_loop_row"
# The column that orders them, where the file has times. How rows lie in a file is no order: a
# query's ORDER BY changes it, and nothing in the data.
_TIME = "_loop_time"
# Share of cells with a fraction from which a column of whole numbers is none any more.
_MOST_FRACTIONS = 0.5
# Two files have no envelope: each column but the row's number and its slice is a feature.
_LAYOUT = Layout(
    identity=(_ROW,),
    event_time=_TIME,
    model_version="",
    sampling_rate="",
    status="",
    ignored=(SLICE,),
    sample_rows=MOST_ROWS,
)


def compare_paths(
    reference: str, current: str, settings: DriftSettings, schema: str = "", **options: Any
) -> Comparison:
    """Opens two files, and TFDV's schema where one is named, and compares; see compare_files."""
    expected = read_schema(schema) if schema else None
    files = open_table(reference), open_table(current)
    try:
        return compare_files(*files, settings, schema=expected, **options)
    except pa.ArrowException as error:
        raise DataError(
            f"Expected columns that can be compared in {current}, received: {error}. "
            "Leave the column out with ignore_features."
        ) from error


def compare_files(
    reference: TableFile,
    current: TableFile,
    settings: DriftSettings,
    *,
    by: str = "",
    schema: Any = None,
    multivariate: bool = False,
    seed: int = 0,
    missing_values: Sequence[str] = (),
    decimal: str = "",
    label: str = "",
    numeric: Sequence[str] = (),
) -> Comparison:
    """Compares a file with a reference file, column by column.

    Args:
        reference: The baseline. It is read twice: bins are frozen before anything is counted.
        current: What came since. It is read once.
        settings: When a feature has drifted or is broken.
        by: Column whose values slice the rows; empty for none.
        schema: TFDV's Schema message that the current file has to keep to; None for none.
        multivariate: Test all features together, too (multivariate.py).
        seed: Of the sample that bins are frozen on.
        missing_values: Texts that stand for missing values, beside those that are known (cells.py);
            numbers among them are missing in columns of numbers, too.
        decimal: Decimal mark of numbers that are written as text, `.` or `,`; told from them unless
            given.
        label: Column whose values come later: no fault and not tested while they lack; empty for
            none.
        numeric: Columns of numbers that are tested though they read as times or keys.

    Raises:
        ConfigError: A setting names a column that is not there.
        DataError: A file is damaged, or the reference has no rows.
    """
    known = {*reference.schema.names, *current.schema.names}
    if unknown := sorted(set(settings.ignore_features) - known):
        raise ConfigError(
            f"Expected columns to ignore out of {sorted(known)}, received {unknown}. "
            "Correct the names."
        )
    if label and label not in reference.schema.names:
        raise ConfigError(f"Expected a column of the reference as label, received {label!r}.")
    if decimal not in ("", ".", ","):
        raise ConfigError(f"decimal must be '.' or ',', got {decimal!r}.")
    ignored, missing = settings.ignore_features, tuple(missing_values)
    plan = make_plan(reference, ignored, by, seed, missing, decimal, numeric)
    current = current.as_text(
        [name for name, cells in plan.cells.items() if cells.kind is FeatureType.CATEGORICAL]
    )
    sides = _count(reference, current, plan, settings)
    profile, before, now = sides.profile, sides.before, sides.now
    findings = not_in_plan(plan, current, settings)
    waiting = awaited_label(label, profile, now, settings)
    if waiting:
        findings.append(waiting)
    if schema is not None:
        # Codes that the schema has as text (1 is its BYTES) are text, whatever a reader guesses.
        texts = [feature.name for feature in schema.feature if feature.type == 1]
        findings += check_schema(current.as_text(texts), schema, settings.ignore_features)
    judgement = assess(
        profile,
        now,
        # Columns to ignore may be there to slice by: they are no features of the plan already.
        replace(settings, ignore_features=(label,) if waiting else ()),
        baseline=replace(before, reference=profile.digest()),
        sample=before.sample.answered() if multivariate else None,
        findings=findings,
        faults=sides.faults,
        sparse=False,
        sliced_by=by,
        seed=seed,
    )
    report = DriftResult(
        verdict=judgement.verdict,
        reason=judgement.reason,
        explanation=explain(judgement, FILE_WORDING, ignored),
        window=current.path,
        model_name="",
        model_version=0,
        model_versions={},
        rows=judgement.rows,
        features=tuple(
            with_note(feature, profile, current, sides.tallies) for feature in judgement.features
        ),
        settings=settings.to_json(),
    )
    return Comparison(report, profile, now, settings)


@dataclass(frozen=True)
class _Sides:
    """Both files, counted.

    Attributes:
        profile: The reference's, with the counts of all its rows.
        before: The reference's counts by slice.
        now: The current file's counts.
        faults: By feature, what the current file's values showed beside its counts.
        tallies: By column, cells of the current file that did not fit.
    """

    profile: FrozenProfile
    before: WindowProfile
    now: WindowProfile
    faults: Mapping[str, Fault]
    tallies: Mapping[str, CellTally]


def _count(
    reference: TableFile, current: TableFile, plan: ComparisonPlan, settings: DriftSettings
) -> _Sides:
    values = {name: KnownValues() for name in many_valued(plan.reference)}
    reader = CellReader(plan.cells, plan.missing)
    before = _counted(collected(_rows(reference, plan, reader), values), plan.reference, reader)
    profile = _with_counts(plan.reference, before)
    unseen = {name: UnseenRows() for name in values}
    reader = CellReader(plan.cells, plan.missing)
    now = _counted(looked_up(_rows(current, plan, reader), values, unseen), profile, reader)
    floods = {name: unseen[name].fault(values[name], settings.fault_settings) for name in values}
    faults = {name: fault for name, fault in floods.items() if fault}
    return _Sides(profile, before, now, faults, reader.tallies)


def _counted(rows: Iterator[Any], reference: FrozenProfile, reader: CellReader) -> WindowProfile:
    counts = Profiler(reference, _LAYOUT).profile_all(rows)
    counts = _with_unfit(counts, reference, reader.tallies)
    # Slices under the names that the plan gave them, without the column that carries them.
    prefix = f"{SLICE}="
    return regrouped(counts, lambda key: replace(key, slice=key.slice.removeprefix(prefix)))


def _with_unfit(
    counts: WindowProfile, reference: FrozenProfile, tallies: Mapping[str, CellTally]
) -> WindowProfile:
    """Adds the cells that the reader found unfit: Profiler saw them as missing."""
    columns = {profile.name: profile.column for profile in reference.features}

    def added(cell: Cell) -> Cell:
        features = {
            name: replace(f, counts=replace(f.counts, unfit=f.counts.unfit + unfit))
            for name, f in cell.features.items()
            if (tally := tallies.get(columns.get(name, ""))) and (unfit := _unfit(tally, cell.rows))
        }
        return Cell(cell.rows, {**cell.features, **features})

    cells = {key: cell if key.slice else added(cell) for key, cell in counts.cells.items()}
    return replace(counts, cells=cells)


def _unfit(tally: CellTally, rows: int) -> int:
    """Cells that do not fit: those with fractions, too, once they are most of a column."""
    return tally.unfit + (tally.fractions if tally.fractions > _MOST_FRACTIONS * rows else 0)


def _rows(table: TableFile, plan: ComparisonPlan, reader: CellReader) -> Iterator[Any]:
    """Yields a file's planned columns as record batches, each row with its number and slice."""
    there = set(table.schema.names)
    names = [name for name in plan.columns if name in there]
    sliced = plan.slices if plan.slices and plan.slices.profile.column in there else None
    first = 0
    time = plan.time_column if plan.time_column in there else ""
    read = [*names, *([time] if time else [])]
    for batch in table.batches(read or table.schema.names[:1]):
        columns = {
            name: reader.read(name, plain_column(batch.column(place)))
            for place, name in enumerate(names)
        }
        columns[_ROW] = pa.array(range(first, first + batch.num_rows), pa.int64())
        if time:
            columns[_TIME] = order_of(plain_column(batch.column(len(names))))
        if sliced:
            columns[SLICE] = sliced.of(pa.RecordBatch.from_pydict(columns))
        first += batch.num_rows
        yield pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _with_counts(frozen: FrozenProfile, counted: WindowProfile) -> FrozenProfile:
    """Returns the profile with the counts of all rows in place of the sample's."""
    features = [replace(f, counts=counted.total(f.name).counts) for f in frozen.features]
    return replace(frozen, rows_total=counted.rows, features=tuple(features))
