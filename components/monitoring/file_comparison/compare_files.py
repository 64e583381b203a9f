"""Comparison of two files without a pipeline or a model: one file is the reference of the other."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tfx_loop.core.errors import ConfigError, DataError, check_columns, did_you_mean
from tfx_loop.core.redaction import OPEN, Redaction, check_known
from tfx_loop.data.schema_file import read_schema
from tfx_loop.data.tables.in_memory import as_table, held
from tfx_loop.data.tables.table_file import TableFile
from tfx_loop.monitoring.drift.changes import with_changes
from tfx_loop.monitoring.drift.data_faults.faults import STANDING
from tfx_loop.monitoring.drift.data_faults.schema import check_schema
from tfx_loop.monitoring.drift.export import Comparison
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.file_comparison.chunks import cut
from tfx_loop.monitoring.file_comparison.counting import count_reference, count_rows
from tfx_loop.monitoring.file_comparison.evidence import with_evidence
from tfx_loop.monitoring.file_comparison.file_judge import FileJudge
from tfx_loop.monitoring.file_comparison.notes import not_in_plan
from tfx_loop.monitoring.file_comparison.options import ComparisonOptions
from tfx_loop.monitoring.file_comparison.plan import ComparisonPlan, make_plan
from tfx_loop.monitoring.file_comparison.seasons import season_of, season_of_span
from tfx_loop.monitoring.profile.columns import FeatureType


def compare_paths(
    reference: str,
    current: Any,
    settings: DriftSettings,
    options: ComparisonOptions | None = None,
    schema: str = "",
    redaction: Redaction = OPEN,
) -> Comparison:
    """Opens two files or queries, and TFDV's schema where one is named; see compare_files.

    What came since may be rows of a program, too.
    """
    expected = read_schema(schema) if schema else None
    name = current if isinstance(current, str) else "the current rows"
    files = as_table(reference, reference), as_table(current, name)
    return compare_files(*files, settings, options, expected, redaction)


def compare_files(
    reference: TableFile,
    current: TableFile,
    settings: DriftSettings,
    options: ComparisonOptions | None = None,
    schema: Any = None,
    redaction: Redaction = OPEN,
) -> Comparison:
    """Compares a file with a reference file, column by column.

    Args:
        reference: The baseline. It is read twice: bins are frozen before anything is counted.
        current: What came since. It is read once.
        settings: When a feature has drifted or is broken, and what columns are.
        options: How the files are read.
        schema: TFDV's Schema message that the current file has to keep to; None for none.
        redaction: Which values the comparison may show.

    Raises:
        ConfigError: A setting names a column that is not there.
        DataError: A file is damaged, or the reference has no rows.
    """
    try:
        options = options or ComparisonOptions()
        return _compared(reference, current, settings, options, schema, redaction)
    except pa.ArrowException as error:
        raise DataError(
            f"Expected columns that can be compared in {current.path}, received: {error}. "
            "Leave the column out with ignore_features (--ignore of the command)."
        ) from error


def _compared(
    reference: TableFile,
    current: TableFile,
    settings: DriftSettings,
    options: ComparisonOptions,
    schema: Any,
    redaction: Redaction,
) -> Comparison:
    check_known(redaction.features, {*reference.schema.names, *current.schema.names})
    _check_names(settings, [*reference.schema.names, *current.schema.names])
    reference, plan = planned(reference, settings, options)
    # The reference decides: codes that it has as text are no numbers here either.
    current = current.as_text(
        [name for name, cells in plan.cells.items() if cells.kind is FeatureType.CATEGORICAL]
    )
    if plan.group_column and plan.group_column not in current.schema.names:
        raise ConfigError(
            f"Expected the column {plan.group_column!r} of --group in {current.path}, found none."
            f"{did_you_mean(plan.group_column, current.schema.names) or ' Both files need it.'}"
        )
    before, profile, known = count_reference(reference, plan)
    chunks = cut(current, options.every, plan.time_column) if options.every else None
    now, parts = count_rows(current, plan, profile, known, chunks)
    judge = FileJudge(
        plan=plan,
        profile=profile,
        known=known,
        before=before,
        settings=settings,
        options=options,
        redaction=redaction,
        columns=tuple(current.schema),
        new=frozenset(current.schema.names) - frozenset(reference.schema.names),
    )
    findings = not_in_plan(plan, current, settings, before, now)
    if schema is not None:
        # Codes that the schema has as text (1 is its BYTES) are text, whatever a reader guesses.
        texts = [feature.name for feature in schema.feature if feature.type == 1]
        findings += check_schema(
            current.as_text(texts), schema, settings.ignore_features, redaction
        )
    report = judge.report(now, current.path, findings)
    if not options.every and any(f.fault in STANDING for f in report.features):
        season = season_of_span(reference, current, plan, profile, settings)
        report = judge.report(now, current.path, findings, (), season)
    report = with_evidence(report, current, plan, profile, known, redaction)
    # Last, as notes and evidence do not change what moved.
    report = with_changes(report, judge.changes(now))
    found = Comparison(report, profile, now.counts, settings, redaction)
    if chunks is None:
        return found
    season = season_of(reference, options.every, plan, profile, settings)
    return judge.with_chunks(found, chunks, parts, season)


def planned(
    reference: TableFile, settings: DriftSettings, options: ComparisonOptions
) -> tuple[TableFile, ComparisonPlan]:
    """Returns how a reference is compared, and the reference as it is read for that.

    Raises:
        ConfigError: A setting names a column that is not there, or cannot be what it is named.
        DataError: The reference is damaged, or has no rows.
    """
    roles = settings.roles
    # Of a CSV file, that is: whoever says so knows that `007` is no number.
    # It is read twice: to freeze its bins, and to count on them.
    reference = held(reference.as_text([*roles.categorical, *roles.text]))
    return reference, make_plan(reference, options, roles, settings.ignore_features)


def _check_names(settings: DriftSettings, columns: Sequence[str]) -> None:
    check_columns(settings.ignore_features, columns, "to ignore")
    check_columns(settings.thresholds, columns, "with thresholds of their own")
    settings.roles.check(dict.fromkeys(columns))
