"""`tfx_loop.monitor`: what `loop monitor` does, for tables of a program or a notebook."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from tfx_loop.contracts.drift_report import DriftResult, DriftVerdict, FeatureDrift
from tfx_loop.contracts.feature_change import FeatureChange
from tfx_loop.core.redaction import DEFAULT_MIN_COUNT, RedactionSettings
from tfx_loop.data.schema_file import read_schema
from tfx_loop.data.tables.in_memory import as_table
from tfx_loop.monitoring.drift import export
from tfx_loop.monitoring.drift.settings import ColumnThresholds
from tfx_loop.monitoring.file_comparison.compare_files import compare_files
from tfx_loop.monitoring.file_comparison.configuration import (
    Configuration,
    overridden,
    read_configuration,
)
from tfx_loop.monitoring.file_comparison.terminal import parts
from tfx_loop.monitoring.profile.column_roles import ColumnRoles

# As high as a notebook shows without scrolling away from its cell.
_FRAME_PIXELS = 720


@dataclass(frozen=True)
class MonitorReport:
    """How far a table moved away from a reference, and what in it is broken.

    In a notebook it shows as the page of `loop monitor --page`, printed as the command's text.

    Attributes:
        verdict: STABLE, DRIFT, DATA_FAULT or NOT_ENOUGH_DATA.
        explanation: Why, in one sentence.
        features: Of all rows and of slices: broken ones first, then by effect, the largest first.
        changes: From where to where each feature moved.
        chunks: Reports on each day, week or number of rows, where `every` was given.
    """

    verdict: DriftVerdict
    explanation: str
    features: tuple[FeatureDrift, ...]
    changes: Mapping[str, FeatureChange]
    chunks: tuple[DriftResult, ...]
    _comparison: export.Comparison = field(repr=False)
    _title: str = field(default="", repr=False)

    @property
    def alarm(self) -> bool:
        """Whether something drifted or is broken."""
        return self.verdict in (DriftVerdict.DRIFT, DriftVerdict.DATA_FAULT)

    def to_dict(self) -> dict[str, Any]:
        """Returns what `loop monitor --json` prints."""
        return export.to_json(self._comparison)

    def to_html(self) -> str:
        """Returns the report as one page without scripts."""
        return export.page_of(self._comparison, self._title)

    def save_html(self, path: str | Path) -> None:
        """Writes the page."""
        Path(path).write_text(self.to_html(), encoding="utf-8")

    def __str__(self) -> str:
        return "\n\n".join(filter(None, map(str, parts(self._comparison))))

    def __repr__(self) -> str:
        return f"<MonitorReport {self.verdict.value}: {self.explanation}>"

    def _repr_html_(self) -> str:
        # In a frame: the page's styles are its own, and the notebook's stay the notebook's.
        return (
            f'<iframe srcdoc="{escape(self.to_html())}" title="{escape(self._title)}" '
            f'style="width: 100%; height: {_FRAME_PIXELS}px; border: 0"></iframe>'
        )


def monitor(
    reference: Any,
    current: Any,
    *,
    config: str | Path = "",
    schema: str | Path = "",
    label: str = "",
    time: str = "",
    group: str = "",
    weight: str = "",
    ids: str | Sequence[str] = (),
    categorical: str | Sequence[str] = (),
    numeric: str | Sequence[str] = (),
    text: str | Sequence[str] = (),
    ignore: str | Sequence[str] = (),
    thresholds: Mapping[str, ColumnThresholds | Mapping[str, float]] | None = None,
    by: str | None = None,
    every: str | int | None = None,
    k_of_n: tuple[int, int] | None = None,
    q: float | None = None,
    psi_floor: float | None = None,
    min_rows: int | None = None,
    missing_values: str | Sequence[str] | None = None,
    decimal: str | None = None,
    multivariate: bool | None = None,
    seed: int | None = None,
    redact: str | Sequence[str] = (),
    min_count: int = DEFAULT_MIN_COUNT,
) -> MonitorReport:
    """Compares a table with a reference table, column by column, as `loop monitor` does.

    Args:
        reference: The baseline: a pandas or Polars DataFrame, an Arrow table, a DuckDB relation, an
            ADBC cursor, anything with `__arrow_c_stream__`, or the path of a file or folder.
        current: What came since, of the same kinds.
        config: TOML file of `loop monitor --write-config`; arguments go before it.
        schema: TFDV's schema.pbtxt, checked as well.
        label: Column that comes later than the rest: no fault while it lacks.
        time: Column that orders the rows, of which neighbours depend on each other; not tested.
        group: Column of which rows belong together, as a customer's do; not tested.
        weight: Column of how many rows of the world a row stands for; not tested.
        ids: Columns that name rows; not tested. Of these lists of columns, a text is one of them.
        categorical: Columns of categories, though they are written as numbers.
        numeric: Columns of numbers, though they read as times, keys or codes.
        text: Columns of prose, compared by its length and its words.
        ignore: Columns that are not compared.
        thresholds: By column, its own `psi_floor`, `q` and `missing_rise`.
        by: Column whose values are compared one by one, too.
        every: `day`, `week` or a number of rows: chunks that are judged one by one.
        k_of_n: In how many of the last so many chunks a feature must differ to have drifted.
        q: Rate of false alarms; 0.025 unless given.
        psi_floor: PSI below which a difference does not matter; 0.02 unless given.
        min_rows: Rows it takes to judge; 100 unless given.
        missing_values: Texts that stand for missing values, beside ?, None and the like.
        decimal: Mark of numbers that are written as text, `.` or `,`.
        multivariate: Test all numbers together, too (seconds).
        seed: Draws the samples; 0 unless given.
        redact: Columns of which no value is shown.
        min_count: Rows that a value must have to be named.

    Raises:
        ConfigError: A setting cannot work, or names a column that is not there.
        DataError: A table cannot be read, or the reference has no rows.
    """
    base = read_configuration(str(config)) if config else Configuration()
    needed, looked_at = k_of_n or (None, None)
    chosen = overridden(
        base,
        {
            "q": q,
            "psi_floor": psi_floor,
            "min_rows": min_rows,
            "windows_needed": needed,
            "windows_looked_at": looked_at,
            "by": by,
            "every": None if every is None else str(every),
            "missing_values": None if missing_values is None else _names(missing_values),
            "decimal": decimal,
            "multivariate": multivariate,
            "seed": seed,
        },
        ColumnRoles(
            label=label,
            time=time,
            group=group,
            weight=weight,
            ids=_names(ids),
            categorical=_names(categorical),
            numeric=_names(numeric),
            text=_names(text),
        ),
        _names(ignore),
        {
            column: own if isinstance(own, ColumnThresholds) else ColumnThresholds(**own)
            for column, own in (thresholds or {}).items()
        },
    )
    tables = as_table(reference, "the reference"), as_table(current, "the current table")
    comparison = compare_files(
        *tables,
        chosen.settings,
        chosen.options,
        read_schema(str(schema)) if schema else None,
        RedactionSettings(redact=_names(redact), min_count=min_count).redaction(),
    )
    report = comparison.report
    title = " against ".join(Path(table.path).name for table in reversed(tables))
    return MonitorReport(
        report.verdict,
        report.explanation,
        report.features,
        {f.feature: f.change for f in report.features if f.change},
        comparison.chunks,
        comparison,
        title,
    )


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    """Returns names as a tuple: of a text alone the letters would be names."""
    return (given,) if isinstance(given, str) else tuple(given)
