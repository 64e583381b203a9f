"""The content of `drift_report.json`: what moved between training and one window.

DriftMonitor writes it, and reads its own of the window before; RetrainDecider, the pages and
`loop monitor` read it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tfx_loop.contracts.feature_change import FeatureChange
from tfx_loop.contracts.window_quality import EstimatedQuality, RealisedQuality
from tfx_loop.core.json_file import JsonFile

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

# Kinds of shapes.
NUMBERS = "numbers"
CATEGORIES = "categories"


class DriftVerdict(str, Enum):
    """What a window is, seen from the model's training rows."""

    STABLE = "STABLE"
    DRIFT = "DRIFT"
    DATA_FAULT = "DATA_FAULT"
    NOT_ENOUGH_DATA = "NOT_ENOUGH_DATA"


# The entry of the test of all features together, which is no feature.
TOGETHER = "(all features)"


def named(feature: str, slice_name: str) -> str:
    """Returns what a feature of a slice is called, such as `x where site=south`."""
    return f"{feature} where {slice_name}" if slice_name else feature


@dataclass(frozen=True)
class ComparedRows:
    """Rows of each side.

    Attributes:
        reference: Training rows that the reference counted.
        current: Rows of the window that were compared; those answered with an error are not.
        failed: Rows of the window that the server answered with an error.
    """

    reference: int
    current: int
    failed: int = 0


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
        p_value: Chance of a difference as large without drift (tests: single_feature.py).
        q_value: The p-value after Benjamini-Hochberg over the features and slices.
        missing_share: Share of the window's rows without a value.
        exceeded: The q-value and the effect floor agree in this window.
        drifted: `exceeded` in k of the last n windows, this one among them.
        fault: What is broken (faults.py); a broken feature has not drifted.
        psi_bound: Largest corrected PSI that the counts allow with 99 % confidence: what is
            compared with the effect floor.
        hellinger: Hellinger distance, in [0, 1].
        l_infinity: Largest difference of a bin's share, in [0, 1].
        wasserstein: Earth mover's distance in the feature's unit; None where values have no order.
        held_by: Why a significant difference is no alarm: `effect_floor`, `season` or `k_of_n`.
        design_effect: Rows of the window that one independent row stands for in this feature, where
            rows come in groups or depend on those before; None where they were taken for
            independent.
        note: What else there is to say, such as why it was not tested or which unit it seems to be.
        slice: Of which rows, as `column=value`; empty for all.
        change: What changed, in means, quantiles, categories and bins; None of slices, and where
            one side was not counted.
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
    design_effect: float | None = None
    note: str = ""
    slice: str = ""
    change: FeatureChange | None = None

    @property
    def title(self) -> str:
        """What the feature is called among those of all rows and of slices."""
        return named(self.feature, self.slice)

    @property
    def effect(self) -> float | None:
        """The PSI that people are told: corrected, and 0 where it is below that by chance."""
        # max(-0.0, 0.0) is -0.0, which people would read as "-0.00"; adding 0.0 takes the sign
        # away.
        return None if self.psi_corrected is None else max(self.psi_corrected, 0.0) + 0.0


def tested_features(features: Iterable[FeatureDrift]) -> tuple[str, ...]:
    """Returns the features that were tested, in all rows or in a slice, each once."""
    named_once = dict.fromkeys(f.feature for f in features if f.p_value is not None and not f.fault)
    return tuple(name for name in named_once if name != TOGETHER)


def moved_features(features: Iterable[FeatureDrift]) -> tuple[str, ...]:
    """Returns the features that drifted, in all rows or in a slice, each once."""
    named_once = dict.fromkeys(f.feature for f in features if f.drifted)
    return tuple(name for name in named_once if name != TOGETHER)


@dataclass(frozen=True)
class WindowHistory:
    """Which features went beyond the threshold in one window, and which of them had drifted."""

    window: str
    exceeded: tuple[str, ...]
    drifted: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a feature was distributed, in few bars, for a picture.

    Attributes:
        feature: Name, as in the report's features.
        kind: `numbers` or `categories`.
        edges: Of `numbers`: edges of the inner bars, rising, one more than there are of them.
        names: Of `categories`: what each bar counts.
        reference: Share of the reference's rows in each bar, in [0, 1]. For numbers the first bar
            is what lies below all edges, the last what lies above.
        current: The same of the window.
        reference_missing: Share of the reference's rows without a value.
        current_missing: Share of the window's rows without a value.
        importance: The feature's part of what the model rests on, in [0, 1]: of all that it loses
            when columns are shuffled one by one; None where nobody measured it.
    """

    feature: str
    kind: str
    edges: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    reference: tuple[float, ...]
    current: tuple[float, ...]
    reference_missing: float = 0.0
    current_missing: float = 0.0
    importance: float | None = None


@dataclass(frozen=True, kw_only=True)
class PastWindow:
    """A window in a few numbers, carried from report to report for pictures over time.

    Attributes:
        window: Its name.
        verdict: Of its report; empty where only its labels are known.
        model_version: Which version answered.
        rows: Its answered rows.
        psi: Corrected PSI by feature.
        drifted: Features that had drifted.
        faults: Fault code by broken feature.
        estimated: Value, low, high and the factor of the interval by metric.
        realised: Value by metric, once labels came.
        from_scores: What scores alone said and the chance in it, by metric.
    """

    window: str
    verdict: str = ""
    model_version: int = 0
    rows: int = 0
    psi: Mapping[str, float] = field(default_factory=dict)
    drifted: tuple[str, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)
    estimated: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    realised: Mapping[str, float] = field(default_factory=dict)
    from_scores: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DriftProperties:
    """What the artifact says of itself, for conditions and queries."""

    verdict: str
    reason: str
    window: str
    model_version: int
    drifted_features: int
    faulty_features: int
    rows: int
    estimated_auc: float | None = None


@dataclass(frozen=True, kw_only=True)
class DriftResult:
    """What moved between a model's training rows and one window.

    Attributes:
        verdict: STABLE only when every feature was measured and none is broken or drifted.
        reason: A constant of this module.
        explanation: The same in one sentence.
        window: Name of the window, or path of the file.
        model_name: Name that the model is served under; empty for files.
        model_version: The latest version that answered in the window; 0 when none did.
        model_versions: Rows that each version answered.
        rows: Rows of each side.
        features: By corrected effect, the largest first; broken ones before all.
        skipped: Features that the reference holds without a profile, and why.
        history: The last windows on this reference, the newest last.
        reference_digest: Names the reference profile.
        settings: What the report was made with.
        longest_gap_share: Longest time without a row, as a share of the window; None where the
            rows have no event times.
        start_ms: Begin of the window, milliseconds UTC; 0 where nobody knows.
        end_ms: End of the window, exclusive.
        shapes: Pictures of the features that moved most.
        estimated: Quality of this window without labels; None where there are no scores.
        realised: Quality of an earlier window whose labels have come; None without one.
        past: The last windows and this one in a few numbers each, the newest last.
        warnings: What the verdict may owe to what nobody named, such as rows that belong together.
    """

    verdict: DriftVerdict
    reason: str
    explanation: str
    window: str
    model_name: str
    model_version: int
    model_versions: Mapping[int, int]
    rows: ComparedRows
    features: tuple[FeatureDrift, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    history: tuple[WindowHistory, ...] = ()
    reference_digest: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    longest_gap_share: float | None = None
    start_ms: int = 0
    end_ms: int = 0
    shapes: tuple[Shape, ...] = ()
    estimated: EstimatedQuality | None = None
    realised: RealisedQuality | None = None
    past: tuple[PastWindow, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of features that drifted, in all rows or in a slice, the largest effect first."""
        return tuple(dict.fromkeys(f.feature for f in self.features if f.drifted))

    @property
    def faulty(self) -> tuple[str, ...]:
        """Names of the broken features."""
        return tuple(feature.feature for feature in self.features if feature.fault)

    @property
    def properties(self) -> DriftProperties:
        """What the artifact says of itself."""
        auc = self.estimated.metrics.get("auc") if self.estimated else None
        return DriftProperties(
            verdict=self.verdict.value,
            reason=self.reason,
            window=self.window,
            model_version=self.model_version,
            drifted_features=len(self.drifted),
            faulty_features=len(self.faulty),
            rows=self.rows.current,
            estimated_auc=auc.value if auc else None,
        )


DRIFT_REPORT = JsonFile(
    name="drift_report.json",
    kind=DriftResult,
    title="a drift report",
    remedy="Run DriftMonitor of this release on the window again.",
)
