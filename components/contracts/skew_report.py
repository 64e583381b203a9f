"""The content of `skew_report.json`: whether serving saw what training saw, row by row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tfx_loop.core.json_file import JsonFile

# Reasons of a verdict; the first four are also those of a feature, the worst first.
TYPE_CHANGED = "type_changed"
FEATURE_ABSENT = "feature_absent"
FEATURE_MISSING = "feature_missing"
VALUES_DIFFER = "values_differ"
NO_SKEW = "no_skew"
COLUMNS_NOT_COMPARED = "columns_not_compared"
NO_COMMON_ROWS = "no_common_rows"
TOO_FEW_COMMON_ROWS = "too_few_common_rows"
NO_COMMON_FEATURES = "no_common_features"


class SkewVerdict(str, Enum):
    """Whether training and serving agree on the same rows."""

    CONSISTENT = "CONSISTENT"
    SKEWED = "SKEWED"
    PARTLY_COMPARED = "PARTLY_COMPARED"
    NOT_ENOUGH_DATA = "NOT_ENOUGH_DATA"


@dataclass(frozen=True, kw_only=True)
class FeatureSkew:
    """One feature on the rows that both sides have.

    Attributes:
        feature: Name.
        reason: `type_changed`, `feature_missing` (one side never has a value), `values_differ`;
            empty while no more rows differ than are tolerated.
        differing: Share of the served rows that differ, in [0, 1]: another value, or one on one
            side only.
        missing_in_serving: Share of the rows where only training has a value.
        missing_in_training: Share of the rows where only serving has one.
        mean_difference: Of serving less training, in the feature's unit; None for text.
        example: One differing pair, as text.
        example_row: The keys of that row, as text.
    """

    feature: str
    reason: str = ""
    differing: float
    missing_in_serving: float = 0.0
    missing_in_training: float = 0.0
    mean_difference: float | None = None
    example: str = ""
    example_row: str = ""


@dataclass(frozen=True, kw_only=True)
class SkewProperties:
    """What the artifact says of itself, for conditions and queries."""

    verdict: str
    reason: str
    window: str
    rows: int
    skewed_features: int


@dataclass(frozen=True, kw_only=True)
class SkewResult:
    """Skew on the rows that both sides have.

    Attributes:
        verdict: What it comes to.
        reason: A constant of this module.
        explanation: The same in a sentence or two, with what to do.
        rows: Rows that both sides have.
        training_rows: Rows as trained on that were looked for.
        served_rows: Rows that were served.
        repeated_rows: Served rows beyond the first of each; all of them are compared.
        features: The most skewed first.
        absent_in_serving: Features that only training has.
        absent_in_training: Features that only serving has.
        not_compared: Columns of both sides of kinds that cannot be compared.
        row_numbers: Columns of either side in which pandas keeps its row numbers; left out.
        keys: Training's name of each key, and serving's.
        window: Name of the log's window; empty for files.
        model_name: Whose predictions these are; empty for files.
        settings: What the report was made with.
    """

    verdict: SkewVerdict
    reason: str
    explanation: str
    rows: int = 0
    training_rows: int = 0
    served_rows: int = 0
    repeated_rows: int = 0
    features: tuple[FeatureSkew, ...] = ()
    absent_in_serving: tuple[str, ...] = ()
    absent_in_training: tuple[str, ...] = ()
    not_compared: tuple[str, ...] = ()
    row_numbers: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    window: str = ""
    model_name: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def skewed(self) -> tuple[str, ...]:
        """Names of the features that differ or that one side lacks."""
        differ = [feature.feature for feature in self.features if feature.reason]
        # A column that one side lacks is the most thorough skew there is, and has no entry of its
        # own.
        return (*differ, *self.absent_in_serving, *self.absent_in_training)

    @property
    def properties(self) -> SkewProperties:
        """What the artifact says of itself."""
        return SkewProperties(
            verdict=self.verdict.value,
            reason=self.reason,
            window=self.window,
            rows=self.rows,
            skewed_features=len(self.skewed),
        )


SKEW_REPORT = JsonFile(
    name="skew_report.json",
    kind=SkewResult,
    title="a skew report",
    remedy="Run SkewMonitor of this release on the window again.",
)
