"""Frozen profile of a model's training rows, and its JSON."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile.bins import Bins, BinSettings, CategoryBins, NumericBins
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.counts import ColumnCounts

SCHEMA_VERSION = 2
PROFILE_FILE = "reference_profile.json"
SAMPLE_FILE = "training_sample.parquet"


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of a feature's finite numbers, in the feature's own unit."""

    mean: float
    std: float


@dataclass(frozen=True)
class FeatureProfile:
    """One feature at training time: its type, frozen bins and exact counts on them.

    Attributes:
        name: The column's name; with `#` and the aspect where a column has several.
        type: How it is counted: NUMERIC, INTEGER, CATEGORICAL or BOOLEAN.
        bins: Frozen bins.
        counts: Exact counts of the training rows on them.
        moments: Of the finite numbers; None for categories.
        aspect: What of the column is counted: "" for its values, else as in derived_columns.py.
        kind: What the column holds: `type`, or TEXT or MULTIVALENT.
    """

    name: str
    type: FeatureType
    bins: Bins
    counts: ColumnCounts
    moments: Moments | None = None
    aspect: str = ""
    kind: FeatureType | None = None

    def __post_init__(self) -> None:
        if len(self.bins) != len(self.counts.bins):
            raise DataError(
                f"Expected {len(self.bins)} counts for feature {self.name!r}, "
                f"received {len(self.counts.bins)}. Make the profile again."
            )
        if self.kind is None:
            object.__setattr__(self, "kind", self.type)

    @property
    def column(self) -> str:
        """Name of the column that the feature is read from."""
        return self.name.removesuffix(f"#{self.aspect}") if self.aspect else self.name


@dataclass(frozen=True)
class SkippedColumn:
    """A column that has no profile, and why (`no_values`)."""

    name: str
    reason: str


@dataclass(frozen=True)
class SampleInfo:
    """The training sample beside the profile.

    Attributes:
        rows: Rows in the sample.
        fraction: Share of all training rows that these are, in [0, 1].
        seed: Seed of the draw.
    """

    rows: int
    fraction: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class FrozenProfile:
    """The training rows of one model, frozen for monitoring.

    Attributes:
        rows_total: Training rows.
        features: Profiles in order of name.
        sample: What the training sample beside this profile holds.
        label: Name of the label column; empty when there is none.
        positive_rate: Share of ones among the labels; None when they are not 0 and 1.
        spans: Spans of the data that the rows came from, rising.
        ignored: Columns that are no features: the label, the calendar, what the user named.
        skipped: Columns that could not be profiled.
        score: The model's score on its training rows over 200 bins, when it was given.
        score_positives: Rows with label 1 in each bin of `score`, for the isotonic map that
            estimates quality without labels; empty where the scored rows had no label of 0 and 1.
        importances: What the model loses when a column is shuffled, by column; permutation
            importance on held-out rows, in units of `importance_metric`.
        importance_metric: `log_loss` where there are labels, else `score_change`.
        slices: Training rows by value for each column that windows are sliced by.
        settings: How features were binned.
    """

    rows_total: int
    features: tuple[FeatureProfile, ...]
    sample: SampleInfo
    label: str = ""
    positive_rate: float | None = None
    spans: tuple[int, ...] = ()
    ignored: tuple[str, ...] = ()
    skipped: tuple[SkippedColumn, ...] = ()
    score: FeatureProfile | None = None
    score_positives: tuple[int, ...] = ()
    importances: Mapping[str, float] = field(default_factory=dict)
    importance_metric: str = ""
    slices: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    settings: BinSettings = field(default_factory=BinSettings)

    def __post_init__(self) -> None:
        names = [profile.name for profile in self.features]
        if len(set(names)) != len(names):
            raise DataError(f"Expected each feature once, received {sorted(names)}. Rename one.")
        self._check_positives()
        for profile in self.features:
            if profile.counts.rows != self.rows_total:
                raise DataError(
                    f"Expected {self.rows_total} rows counted for feature {profile.name!r}, "
                    f"received {profile.counts.rows}. Make the profile again."
                )

    def _check_positives(self) -> None:
        if not self.score_positives:
            return
        counts = self.score.counts.bins if self.score else ()
        if len(counts) != len(self.score_positives) or any(
            not 0 <= positive <= rows
            for positive, rows in zip(self.score_positives, counts, strict=False)
        ):
            raise DataError(
                "Expected at most as many positives as rows in each bin of the score, received "
                "others. Make the profile again."
            )

    def digest(self) -> str:
        """Returns `sha256:…` of the profile's content, which names this reference."""
        text = json.dumps(to_json(self), sort_keys=True)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def to_json(profile: FrozenProfile) -> dict[str, Any]:
    """Returns the content of `reference_profile.json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "rows_total": profile.rows_total,
        "spans": list(profile.spans),
        "label": profile.label,
        "positive_rate": profile.positive_rate,
        "sample": asdict(profile.sample),
        "settings": asdict(profile.settings),
        "ignored": list(profile.ignored),
        "skipped": [
            {"feature": skipped.name, "reason": skipped.reason} for skipped in profile.skipped
        ],
        "features": [_feature_to_json(feature) for feature in profile.features],
        "score": _feature_to_json(profile.score) if profile.score else None,
        "score_positives": list(profile.score_positives),
        "importances": dict(sorted(profile.importances.items())),
        "importance_metric": profile.importance_metric,
        "slices": {
            name: dict(sorted(values.items())) for name, values in sorted(profile.slices.items())
        },
    }


def from_json(content: dict[str, Any]) -> FrozenProfile:
    """Returns the profile that `to_json` wrote.

    Raises:
        DataError: The content is of another schema version, or not a whole profile.
    """
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(
            f"Expected a reference profile of schema version {SCHEMA_VERSION}, received "
            f"{version!r}. Run ReferenceProfiler of this release on the model's training data."
        )
    try:
        return FrozenProfile(
            rows_total=int(content["rows_total"]),
            features=tuple(_feature_from_json(entry) for entry in content["features"]),
            sample=SampleInfo(**content["sample"]),
            label=content["label"],
            positive_rate=content["positive_rate"],
            spans=tuple(int(span) for span in content["spans"]),
            ignored=tuple(content["ignored"]),
            skipped=tuple(SkippedColumn(e["feature"], e["reason"]) for e in content["skipped"]),
            score=_feature_from_json(content["score"]) if content["score"] else None,
            score_positives=tuple(int(rows) for rows in content["score_positives"]),
            importances={name: float(value) for name, value in content["importances"].items()},
            importance_metric=content["importance_metric"],
            slices={name: dict(values) for name, values in content["slices"].items()},
            settings=BinSettings(**content["settings"]),
        )
    except DataError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"Expected a whole reference profile, received one without or with a wrong "
            f"{error}. Make the profile again."
        ) from error


def _feature_to_json(feature: FeatureProfile) -> dict[str, Any]:
    bins = feature.bins
    counts = asdict(feature.counts)
    counts["bins"] = list(feature.counts.bins)
    return {
        "feature": feature.name,
        "type": feature.type.value,
        "kind": (feature.kind or feature.type).value,
        "aspect": feature.aspect,
        "bins": {"edges": list(bins.edges), "low": bins.low, "high": bins.high}
        if isinstance(bins, NumericBins)
        else {"categories": list(bins.categories)},
        "counts": counts,
        "moments": asdict(feature.moments) if feature.moments else None,
    }


def _feature_from_json(entry: dict[str, Any]) -> FeatureProfile:
    frozen = entry["bins"]
    bins: Bins = (
        CategoryBins(tuple(frozen["categories"]))
        if "categories" in frozen
        else NumericBins(tuple(frozen["edges"]), frozen["low"], frozen["high"])
    )
    counts = entry["counts"]
    return FeatureProfile(
        name=entry["feature"],
        type=FeatureType(entry["type"]),
        bins=bins,
        counts=ColumnCounts(**{**counts, "bins": tuple(counts["bins"])}),
        moments=Moments(**entry["moments"]) if entry["moments"] else None,
        aspect=entry["aspect"],
        kind=FeatureType(entry["kind"]),
    )
