"""The content of `privacy_report.json`: what a model tells of the rows it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tfx_loop.core.json_file import JsonFile

# Reasons of a verdict.
MEMBERS_RECOGNISED = "members_recognised"
NOT_RECOGNISED = "not_recognised"
TOO_FEW_ROWS = "too_few_rows"


class PrivacyVerdict(str, Enum):
    """What membership inference found."""

    NO_SIGN = "NO_SIGN"
    WARN = "WARN"
    NOT_ENOUGH_DATA = "NOT_ENOUGH_DATA"


@dataclass(frozen=True, kw_only=True)
class Separation:
    """How well a score tells rows that were trained on from rows that were not.

    Attributes:
        auc: Chance that a trained row scores higher than another one; 0.5 tells nothing.
        standard_error: Of that (Hanley and McNeil 1982).
        low: Lower end of the 95 % interval.
        high: Upper end.
        true_positive_rate: Share of the trained rows found where 1 % of the others are taken for
            trained ones: what a careful attacker is sure of (Carlini et al. 2022).
    """

    auc: float
    standard_error: float
    low: float
    high: float
    true_positive_rate: float


@dataclass(frozen=True, kw_only=True)
class PrivacyProperties:
    """What the artifact says of itself, for conditions and queries."""

    verdict: str
    reason: str
    members: int
    others: int
    calibrated_auc: float | None = None
    calibrated_auc_low: float | None = None


@dataclass(frozen=True, kw_only=True)
class PrivacyResult:
    """Membership inference against one model.

    Attributes:
        verdict: WARN where the calibrated AUC less two standard errors is beyond the threshold.
        reason: A constant of this module.
        explanation: The same in a sentence or two, with what to do.
        members: Rows that the model was trained on.
        others: Rows that it was not trained on.
        plain: By the model's loss alone; None without enough rows.
        calibrated: By the model's loss less that of reference models that saw neither row.
        control: By the reference models' loss alone: beyond 0.5 the sides differ by themselves.
        settings: What the report was made with.
    """

    verdict: PrivacyVerdict
    reason: str
    explanation: str
    members: int
    others: int
    plain: Separation | None = None
    calibrated: Separation | None = None
    control: Separation | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def properties(self) -> PrivacyProperties:
        """What the artifact says of itself."""
        found = self.calibrated
        return PrivacyProperties(
            verdict=self.verdict.value,
            reason=self.reason,
            members=self.members,
            others=self.others,
            calibrated_auc=found.auc if found else None,
            calibrated_auc_low=found.low if found else None,
        )


PRIVACY_REPORT = JsonFile(
    name="privacy_report.json",
    kind=PrivacyResult,
    title="a privacy report",
    remedy="Run PrivacyReport of this release on the model again.",
)
