"""What does a drift report say? The report, its verdicts and its JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.drift import report_parts
from tfx_loop.monitoring.drift.report_parts import Parts

SCHEMA_VERSION = 1
REPORT_FILE = "drift_report.json"

# What holds a significant difference back from being an alarm.
EFFECT_FLOOR = "effect_floor"
SEASON = "season"
K_OF_N = "k_of_n"

# Reasons, one for each way to a verdict.
NO_DRIFT = "no_drift"
FEATURES_DRIFTED = "features_drifted"
FEATURES_FAULTY = "features_faulty"
EMPTY_WINDOW = "empty_window"
TOO_FEW_ROWS = "too_few_rows"
TOO_FEW_REFERENCE_ROWS = "too_few_reference_rows"
NO_FEATURES = "no_features"


class Verdict(str, Enum):
    """What a window is, seen from the model's training rows."""

    STABLE = "STABLE"
    DRIFT = "DRIFT"
    DATA_FAULT = "DATA_FAULT"
    NOT_ENOUGH_DATA = "NOT_ENOUGH_DATA"


def named(feature: str, slice_name: str) -> str:
    """Returns what a feature of a slice is called, such as `x where site=south`."""
    return f"{feature} where {slice_name}" if slice_name else feature


@dataclass(frozen=True, kw_only=True)
class FeatureDrift:
    """One feature of a window against its reference; None where it could not be measured.

    Attributes:
        feature: Name; an output of the model has its column's name, `output.<name>`.
        type: `numeric`, `integer`, `categorical`, or `unknown` where nobody can say.
        psi: Population stability index, in nats.
        psi_corrected: PSI less its mean without drift.
        ks: Largest distance of the cumulative shares; None where values have no order.
        js: Jensen-Shannon divergence, in nats.
        p_value: Chance of a difference as large without drift (comparison.py says by which tests).
        q_value: The p-value after Benjamini-Hochberg over the features and slices.
        missing_share: Share of the window's rows without a value.
        exceeded: The q-value and the effect floor agree in this window.
        drifted: `exceeded` in k of the last n windows, this one among them.
        fault: What is broken (faults.py); a broken feature has not drifted.
        psi_bound: Largest PSI that the counts allow with 99 % confidence; the effect floor.
        hellinger: Hellinger distance, in [0, 1].
        l_infinity: Largest difference of a bin's share, in [0, 1].
        wasserstein: Earth mover's distance in the feature's unit; None where values have no order.
        held_by: Why a significant difference is no alarm: `effect_floor`, `season` or `k_of_n`.
        note: What else there is to say, such as why it was not tested or which unit it seems to be.
        slice: Of which rows, as `column=value`; empty for all.
    """

    feature: str
    type: str
    psi: float | None = None
    psi_corrected: float | None = None
    ks: float | None = None
    js: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    missing_share: float | None = None
    exceeded: bool = False
    drifted: bool = False
    fault: str | None = None
    psi_bound: float | None = None
    hellinger: float | None = None
    l_infinity: float | None = None
    wasserstein: float | None = None
    held_by: str | None = None
    note: str = ""
    slice: str = ""

    @property
    def title(self) -> str:
        """What the feature is called among those of all rows and of slices."""
        return named(self.feature, self.slice)


@dataclass(frozen=True)
class WindowHistory:
    """Which features went beyond the threshold in one window, and which of them had drifted."""

    window: str
    exceeded: tuple[str, ...]
    drifted: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """What moved between a model's training rows and one window.

    Attributes:
        verdict: STABLE only when every feature was measured and none is broken or drifted.
        reason: A constant of this module.
        explanation: The same in one sentence.
        model_version: The latest version that answered in the window; 0 when none did.
        model_versions: Rows that each version answered.
        reference_rows: Training rows that the reference counted.
        current_rows: Rows of the window that were compared; those answered with an error are not.
        failed_rows: Rows of the window that the server answered with an error.
        features: By corrected effect, the largest first; broken ones before all.
        skipped: Features that the reference holds without a profile, and why.
        history: The last windows on this reference, the newest last.
        reference_digest: Names the reference profile.
        settings: What the report was made with.
        longest_gap_share: Longest time without a row, as a share of the window; None where the
            rows have no event times.
        start_ms: Begin of the window, milliseconds UTC; 0 where nobody knows.
        end_ms: End of the window, exclusive.
        parts: Pictures of the features, quality without and with labels, and the windows before.
    """

    verdict: Verdict
    reason: str
    explanation: str
    window: str
    model_name: str
    model_version: int
    model_versions: Mapping[int, int]
    reference_rows: int
    current_rows: int
    failed_rows: int = 0
    features: tuple[FeatureDrift, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    history: tuple[WindowHistory, ...] = ()
    reference_digest: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    longest_gap_share: float | None = None
    start_ms: int = 0
    end_ms: int = 0
    parts: Parts = field(default_factory=Parts)

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of features that drifted, in all rows or in a slice, the largest effect first."""
        return tuple(dict.fromkeys(f.feature for f in self.features if f.drifted))

    @property
    def faulty(self) -> tuple[str, ...]:
        """Names of the broken features."""
        return tuple(feature.feature for feature in self.features if feature.fault)


def to_json(report: DriftReport) -> dict[str, Any]:
    """Returns the content of `drift_report.json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": report.verdict.value,
        "reason": report.reason,
        "explanation": report.explanation,
        "window": report.window,
        "model_name": report.model_name,
        "model_version": report.model_version,
        "model_versions": {str(key): rows for key, rows in report.model_versions.items()},
        "rows": {
            "reference": report.reference_rows,
            "current": report.current_rows,
            "failed": report.failed_rows,
        },
        "features": [asdict(feature) for feature in report.features],
        "skipped": dict(report.skipped),
        "history": [
            {"window": p.window, "exceeded": list(p.exceeded), "drifted": list(p.drifted)}
            for p in report.history
        ],
        "reference_digest": report.reference_digest,
        "settings": dict(report.settings),
        "longest_gap_share": report.longest_gap_share,
        "start_ms": report.start_ms,
        "end_ms": report.end_ms,
        **report_parts.to_json(report.parts),
    }


def from_json(content: dict[str, Any]) -> DriftReport:
    """Returns the report that `to_json` wrote.

    Raises:
        DataError: The content is of another schema version, or not a whole report.
    """
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(
            f"Expected a drift report of schema version {SCHEMA_VERSION}, received {version!r}. "
            "Run DriftMonitor of this release on the window."
        )
    try:
        return DriftReport(
            verdict=Verdict(content["verdict"]),
            reason=content["reason"],
            explanation=content["explanation"],
            window=content["window"],
            model_name=content["model_name"],
            model_version=int(content["model_version"]),
            model_versions={int(key): rows for key, rows in content["model_versions"].items()},
            reference_rows=int(content["rows"]["reference"]),
            current_rows=int(content["rows"]["current"]),
            failed_rows=int(content["rows"]["failed"]),
            features=tuple(FeatureDrift(**entry) for entry in content["features"]),
            skipped=content["skipped"],
            history=tuple(
                WindowHistory(
                    past["window"], tuple(past["exceeded"]), tuple(past.get("drifted", ()))
                )
                for past in content["history"]
            ),
            reference_digest=content["reference_digest"],
            settings=content["settings"],
            longest_gap_share=content.get("longest_gap_share"),
            start_ms=int(content.get("start_ms", 0)),
            end_ms=int(content.get("end_ms", 0)),
            parts=report_parts.from_json(content),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"Expected a whole drift report, received one without or with a wrong {error}. "
            "Run DriftMonitor on the window again."
        ) from error
