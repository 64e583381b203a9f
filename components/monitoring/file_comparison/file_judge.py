"""Reports on a file and on its chunks, from what was counted of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tfx_loop.contracts.drift_report import (
    DriftResult,
    DriftVerdict,
    FeatureDrift,
    WindowHistory,
)
from tfx_loop.contracts.feature_change import FeatureChange
from tfx_loop.core.redaction import Redaction
from tfx_loop.monitoring.drift.all_features import design_effects
from tfx_loop.monitoring.drift.changes import SideRows, changes_of
from tfx_loop.monitoring.drift.data_faults.faults import NEW_CATEGORY_FLOOD, STANDING, Fault
from tfx_loop.monitoring.drift.dependence_warning import idle_group_warnings
from tfx_loop.monitoring.drift.explanation import FILE_WORDING, explain
from tfx_loop.monitoring.drift.export import Comparison
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.verdict import assess
from tfx_loop.monitoring.file_comparison.chunks import Chunks
from tfx_loop.monitoring.file_comparison.counting import CountedRows
from tfx_loop.monitoring.file_comparison.known_values import KnownValues
from tfx_loop.monitoring.file_comparison.notes import awaited_label, with_note
from tfx_loop.monitoring.file_comparison.options import ComparisonOptions
from tfx_loop.monitoring.file_comparison.plan import ComparisonPlan
from tfx_loop.monitoring.file_comparison.roles import is_answer
from tfx_loop.monitoring.file_comparison.seasons import NO_SEASON, Season
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.presentation.wording import few

STEADY_NOTE = "one value, as in each such stretch of the reference"
# The worst of the chunks is what a file is.
_WORST_FIRST = {
    DriftVerdict.DATA_FAULT: 0,
    DriftVerdict.DRIFT: 1,
    DriftVerdict.STABLE: 2,
    DriftVerdict.NOT_ENOUGH_DATA: 3,
}


@dataclass(frozen=True, kw_only=True)
class FileJudge:
    """One reference, counted, beside which files and parts of files are judged.

    Attributes:
        plan: What is compared.
        profile: The reference's, with the counts of all its rows.
        known: Its values, by feature of many values.
        before: Its rows, counted by slice.
        settings: When a feature has drifted or is broken.
        options: How the files are read.
        redaction: Which values a report may show.
        columns: pyarrow fields of the current file.
        new: Names of those that the reference lacks.
    """

    plan: ComparisonPlan
    profile: FrozenProfile
    known: Mapping[str, KnownValues]
    before: CountedRows
    settings: DriftSettings
    options: ComparisonOptions
    redaction: Redaction
    columns: tuple[Any, ...]
    new: frozenset[str]

    def report(
        self,
        rows: CountedRows,
        name: str,
        findings: Sequence[FeatureDrift] = (),
        past: Sequence[WindowHistory] = (),
        season: Season = NO_SEASON,
    ) -> DriftResult:
        """Returns the report on some rows.

        Args:
            rows: What was counted of them.
            name: What they are called.
            findings: What there is to say of columns that are not compared.
            past: The chunks before, the newest last.
            season: What rows of so short a time do by themselves.
        """
        roles, ignored = self.settings.roles, self.settings.ignore_features
        waiting = awaited_label(roles.label, self.profile, rows.counts, self.settings)
        settings = replace(
            self.settings,
            # Columns to ignore may be there to slice by: they are no features of the plan already.
            ignore_features=(roles.label,) if waiting else (),
            roles=ColumnRoles(),
            season_floors={**season.floors, **self.settings.season_floors},
        )
        judgement = assess(
            self.profile,
            rows.counts,
            settings,
            baseline=replace(self.before.counts, reference=self.profile.digest()),
            sample=self.before.counts.sample.answered() if self.options.multivariate else None,
            findings=[*findings, *([waiting] if waiting else [])],
            faults=self._floods(rows),
            past=past,
            sparse=False,
            sliced_by=self.options.by,
            answers=[name for name in self.plan.columns if is_answer(name)],
            excused=self._excused(season),
            roles=roles,
            seed=self.options.seed,
        )
        judgement = replace(judgement, features=self._named_slices(judgement.features, rows))
        types = {field.name: field.type for field in self.columns}
        return DriftResult(
            verdict=judgement.verdict,
            reason=judgement.reason,
            explanation=explain(judgement, FILE_WORDING, ignored),
            window=name,
            model_name="",
            model_version=0,
            model_versions={},
            warnings=(*self.plan.warnings, *self._idle_groups(rows)),
            rows=judgement.rows,
            features=tuple(
                replace(
                    told := with_note(
                        feature, self.profile, types, rows.tallies, self.new, self.redaction
                    ),
                    note=self.redaction.note(feature.feature, told.note),
                )
                for feature in judgement.features
            ),
            settings=replace(self.settings, season_floors=settings.season_floors).to_json(),
        )

    def changes(self, rows: CountedRows) -> dict[str, FeatureChange]:
        """Returns from where to where each feature moved."""
        weighted = bool(self.plan.weight_column)

        def side(counted: CountedRows) -> SideRows:
            # Quantiles are of the sampled rows as they are; of weighted ones they would be wrong.
            sample = None if weighted else counted.counts.sample.answered()
            return SideRows(sample=sample, moments=counted.moments)

        return changes_of(
            self.profile,
            self.before.counts,
            rows.counts,
            side(self.before),
            side(rows),
            self.redaction,
        )

    def with_chunks(
        self,
        whole: Comparison,
        chunks: Chunks,
        parts: Sequence[CountedRows],
        season: Season,
    ) -> Comparison:
        """Returns the comparison of a file with reports on its chunks, and their verdict.

        Args:
            whole: All of its rows beside the reference.
            chunks: How it was cut.
            parts: What was counted of each chunk, in order.
            season: What such chunks of the reference do by themselves.
        """
        history: list[WindowHistory] = []
        reports = []
        # One is kept always: hysteresis asks whether the chunk before had drifted.
        before = max(self.settings.windows_looked_at - 1, 1)
        for name, part in zip(chunks.names, parts, strict=True):
            found = self.report(part, name, (), history[-before:], season)
            exceeded, drifted = (
                tuple(f.title for f in found.features if getattr(f, kind))
                for kind in ("exceeded", "drifted")
            )
            history.append(WindowHistory(name, exceeded, drifted))
            reports.append(replace(found, history=tuple(history[-before - 1 :])))
        worst = min(reports, key=lambda found: _WORST_FIRST[found.verdict], default=None)
        report = whole.report
        broken = report.verdict is DriftVerdict.DATA_FAULT
        # No chunk can be judged: what all rows together say stands.
        if worst is None or worst.verdict is DriftVerdict.NOT_ENOUGH_DATA:
            told = (
                f"{report.explanation[:-1]}; none of {len(reports)} chunks has the "
                f"{self.settings.min_rows} rows that it takes."
            )
            report = replace(report, explanation=told) if reports else report
            return replace(whole, report=report, chunks=tuple(reports))
        if worst.verdict is not DriftVerdict.DATA_FAULT and broken:
            # What no chunk shows by itself, such as a breach of the schema.
            return replace(whole, chunks=tuple(reports))
        told = _explanation(reports, worst.verdict, chunks.outside)
        if worst.verdict is DriftVerdict.STABLE and report.verdict is DriftVerdict.DRIFT:
            told = f"{told[:-1]}; all rows together did: {', '.join(report.drifted)}."
        report = replace(report, verdict=worst.verdict, reason=worst.reason, explanation=told)
        return replace(whole, report=report, chunks=tuple(reports))

    def _named_slices(
        self, features: Sequence[FeatureDrift], current: CountedRows
    ) -> tuple[FeatureDrift, ...]:
        """Returns the entries under the names that slices may have; of rare ones there is none."""
        rows = Counter[str]()
        for counts in (self.before.counts, current.counts):
            for key, cell in counts.cells.items():
                rows[key.slice] += cell.rows
        return tuple(
            replace(f, slice=self.redaction.slice_name(f.slice)) if f.slice else f
            for f in features
            if not f.slice or self.redaction.names(rows[f.slice])
        )

    def _idle_groups(self, rows: CountedRows) -> tuple[str, ...]:
        sides = {
            "the reference": self.before.counts.sample,
            "the current file": rows.counts.sample,
        }
        return idle_group_warnings(self.settings.roles.group, sides)

    def _excused(self, season: Season) -> dict[str, dict[str, str]]:
        """By feature, the faults that it does not have, with their notes."""
        found = {name: dict.fromkeys(STANDING, STEADY_NOTE) for name in season.steady}
        if self.plan.weight_column:
            # A value that one heavy row has counts as several: exact look-ups tell instead.
            looked_up = (name for name, values in self.known.items() if not values.overflown)
            for name in looked_up:
                found.setdefault(name, {})[NEW_CATEGORY_FLOOD] = ""
        return found

    def _floods(self, rows: CountedRows) -> dict[str, Fault]:
        found = {
            name: unseen.fault(
                self.known[name],
                self.settings.fault_settings,
                design_effects(self.before.counts, rows.counts, name),
            )
            for name, unseen in rows.unseen.items()
        }
        return {name: fault for name, fault in found.items() if fault}


def _explanation(reports: Sequence[DriftResult], verdict: DriftVerdict, outside: int) -> str:
    """How many chunks are what the verdict says, which, and by which features."""
    judged = [found for found in reports if found.verdict is not DriftVerdict.NOT_ENOUGH_DATA]
    lacking = len(reports) - len(judged)
    more = f"; {lacking} had too few rows" if lacking else ""
    more += f"; {outside:,} rows have no time and are in none" if outside else ""
    if verdict is DriftVerdict.STABLE:
        return f"None of {len(judged)} chunks drifted{more}."
    those = [found for found in reports if found.verdict is verdict]
    fault = verdict is DriftVerdict.DATA_FAULT
    names = Counter(
        f"{f.feature} ({f.fault})" if fault else f.feature
        for found in those
        for f in found.features
        if (f.fault if fault else f.drifted)
    )
    shown = few([found.window for found in those])
    what = "broken" if fault else "drifted"
    features = ", ".join(name for name, _ in names.most_common())
    return f"{len(those)} of {len(judged)} chunks {what} ({shown}): {features}{more}."
