"""Which profile and which sample belong to a table of training rows?"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import ConfigError, DataError
from components.profile.bins import BinSettings, freeze, score_bins
from components.profile.columns import FeatureType, flat, numbers, strings, type_of
from components.profile.counts import count
from components.profile.reference import (
    FeatureProfile,
    Moments,
    ReferenceProfile,
    SampleInfo,
    Skipped,
)
from components.profile.sample import sample

CALENDAR_COLUMNS = ("event_time_ms", "span")


@dataclass(frozen=True, kw_only=True)
class ProfileRequest:
    """What to profile, and how.

    Attributes:
        label: Label column; empty when there is none.
        ignore_features: Columns that are kept in the sample and not profiled.
        score: Name of the model's score, a probability; empty when there is none. A column of
            the table, unless the scores are given apart.
        sample_rows: Most rows of the training sample.
        seed: Seed of the sample.
        bins: How features are binned.
    """

    label: str = ""
    ignore_features: tuple[str, ...] = ()
    score: str = ""
    sample_rows: int = 20_000
    seed: int = 0
    bins: BinSettings = field(default_factory=BinSettings)

    def __post_init__(self) -> None:
        if not 1 <= self.sample_rows <= 20_000:
            raise ConfigError(f"sample_rows must be from 1 to 20,000, got {self.sample_rows}.")


def build(
    table: Any, request: ProfileRequest, spans: Iterable[int] = (), scores: Any = None
) -> tuple[ReferenceProfile, Any]:
    """Returns the profile of a pyarrow table of training rows, and the sample as a table.

    Args:
        table: One column a feature; lists of at most one value are unpacked.
        request: What to profile.
        spans: Spans of the data; where empty, taken from a column `span`.
        scores: The model's scores, as an array of its own; of rows held out from training, say.

    Raises:
        DataError: There are no rows, the label or score column is not there, or a score is no
            probability.
    """
    if not table.num_rows:
        raise DataError("Expected training rows, received none. Check the spans and splits given.")
    columns, skipped = _flat_columns(table)
    score_column = request.score if scores is None else ""
    for role, name in (("label", request.label), ("score", score_column)):
        if name and name not in columns:
            raise DataError(
                f"Expected a {role} column {name!r} with one value a row, received columns "
                f"{sorted(columns)}. Correct {role}_key."
            )
    ignored = {*request.ignore_features, *CALENDAR_COLUMNS, request.label, score_column}
    features = []
    for name in sorted(set(columns) - ignored):
        if not _has_value(columns[name]):
            skipped.append(Skipped(name, "no_values"))
        else:
            features.append(profile_feature(name, columns[name], request.bins))
    rows = sample(pa.table(_sample_columns(columns, request)), request.sample_rows, request.seed)
    return (
        ReferenceProfile(
            rows_total=table.num_rows,
            features=tuple(features),
            sample=SampleInfo(rows.num_rows, rows.num_rows / table.num_rows, request.seed),
            label=request.label,
            positive_rate=_positive_rate(columns.get(request.label)),
            spans=tuple(sorted(set(spans) or _spans(columns.get("span")))),
            ignored=tuple(sorted((ignored - {""}) & {*columns, *request.ignore_features})),
            skipped=tuple(s for s in skipped if s.name not in ignored),
            score=_profile_score(columns.get(score_column, scores), request),
            settings=request.bins,
        ),
        rows,
    )


def profile_feature(name: str, column: Any, settings: BinSettings) -> FeatureProfile:
    """Freezes the bins of one flat column that has a value, and counts it on them."""
    try:
        kind = type_of(column)
        if kind is None:
            raise DataError("Expected values, received nulls only.")
        bins = freeze(column, kind, settings)
    except DataError as error:
        raise DataError(f"Feature {name!r}: {error}") from error
    return FeatureProfile(name, kind, bins, count(column, kind, bins), _moments(column, kind))


def _flat_columns(table: Any) -> tuple[dict[str, Any], list[Skipped]]:
    columns, skipped = {}, []
    for name in table.column_names:
        try:
            columns[name] = flat(table.column(name))
        except DataError:
            skipped.append(Skipped(name, "several_values"))
    return columns, skipped


def _has_value(column: Any) -> bool:
    if pa.types.is_floating(column.type):
        return bool(np.isfinite(numbers(column, FeatureType.NUMERIC)).any())
    return bool(column.null_count < len(column))


def _moments(column: Any, kind: FeatureType) -> Moments | None:
    if kind is FeatureType.CATEGORICAL:
        return None
    values = numbers(column, kind)
    finite = values[np.isfinite(values)]
    return Moments(float(finite.mean()), float(finite.std())) if len(finite) else None


def _profile_score(column: Any, request: ProfileRequest) -> FeatureProfile | None:
    if column is None or not request.score:
        return None
    kind, bins = FeatureType.NUMERIC, score_bins()
    counted = count(column, kind, bins)
    if counted.outside or counted.infinite:
        raise DataError(
            f"Expected probabilities as score {request.score!r}, received values from "
            f"{counted.minimum} to {counted.maximum}. Correct score_key."
        )
    return FeatureProfile(request.score, kind, bins, counted, _moments(column, kind))


def _positive_rate(column: Any) -> float | None:
    if column is None or type_of(column) not in (FeatureType.INTEGER, FeatureType.NUMERIC):
        return None
    values = numbers(column, FeatureType.INTEGER)
    known = values[~np.isnan(values)]
    if not len(known) or not np.isin(known, (0.0, 1.0)).all():
        return None
    return float(known.mean())


def _spans(column: Any) -> set[int]:
    if column is None or type_of(column) is not FeatureType.INTEGER:
        return set()
    return {int(value) for value in pc.unique(column).to_pylist() if value is not None}


def _sample_columns(columns: dict[str, Any], request: ProfileRequest) -> dict[str, Any]:
    """Floats as float64, as the prediction log has them; text as strings; no score."""
    kept = {}
    for name, column in columns.items():
        if name == request.score and name:
            continue
        kind = type_of(column)
        if kind is FeatureType.NUMERIC:
            column = column.cast(pa.float64())
        elif kind is FeatureType.CATEGORICAL:
            column = strings(column)
        kept[name] = column
    return kept
