"""Profile and sample of a table of training rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.profile.bins import Bins, BinSettings, CategoryBins, freeze, score_bins
from tfx_loop.monitoring.profile.calendar_columns import calendar_note, is_key
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
from tfx_loop.monitoring.profile.columns import (
    FeatureType,
    flat,
    is_bytes,
    is_list,
    numbers,
    score_column_of,
    strings,
    type_of,
)
from tfx_loop.monitoring.profile.counts import count
from tfx_loop.monitoring.profile.derived_columns import (
    LENGTH,
    TOKEN,
    TOKEN_NAMES,
    VALUE,
    aspect_of,
    unchunked,
)
from tfx_loop.monitoring.profile.reference import (
    BINARY,
    KEY,
    NO_VALUES,
    TIME,
    FeatureProfile,
    FrozenProfile,
    Moments,
    SampleInfo,
    SkippedColumn,
)
from tfx_loop.monitoring.profile.sample import sample
from tfx_loop.monitoring.profile.value_sample import value_sample

CALENDAR_COLUMNS = ("event_time_ms", "span")
# More slices than anybody looks at; each costs a cell of counts a window, and the tests power.
MOST_SLICES = 64
_NUMBERS = (FeatureType.INTEGER, FeatureType.NUMERIC, FeatureType.BOOLEAN)


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
        slices: Columns by whose values windows are sliced; text or few whole numbers each.
        profile_features: Columns to profile though they read as dates, times or keys.
        roles: What columns are, where that does not show.
        bins: How features are binned.
    """

    label: str = ""
    ignore_features: tuple[str, ...] = ()
    score: str = ""
    # As many as RetrainDecider's surrogates learn from at most (MeasureSettings.max_rows).
    sample_rows: int = 20_000
    seed: int = 0
    slices: tuple[str, ...] = ()
    profile_features: tuple[str, ...] = ()
    roles: ColumnRoles = field(default_factory=ColumnRoles)
    bins: BinSettings = field(default_factory=BinSettings)

    def __post_init__(self) -> None:
        if not 1 <= self.sample_rows <= 20_000:
            raise ConfigError(f"sample_rows must be from 1 to 20,000, got {self.sample_rows}.")

    @property
    def label_column(self) -> str:
        """The label column; empty when there is none."""
        return self.label or self.roles.label


def build(
    table: Any,
    request: ProfileRequest,
    spans: Iterable[int] = (),
    scores: Any = None,
    score_labels: Any = None,
) -> tuple[FrozenProfile, Any]:
    """Returns the profile of a pyarrow table of training rows, and the sample as a table.

    Args:
        table: One column a feature; lists of at most one value are unpacked.
        request: What to profile.
        spans: Spans of the data; where empty, taken from a column `span`.
        scores: The model's scores, as an array of its own; of rows held out from training, say.
        score_labels: Labels of the scored rows, for the map from score to quality; the label
            column where the scores are a column of the table.

    Raises:
        DataError: There are no rows, the label, score or slice column is not there, or a score is
            infinite.
    """
    if not table.num_rows:
        raise DataError("Expected training rows, received none. Check the spans and splits given.")
    columns, lists = _flat_columns(table)
    score_column = request.score if scores is None else ""
    _require(columns, lists, request, score_column)
    # Whose row it is and when, examples need not say.
    replace(request.roles, label="", time="", group="", weight="", ids=()).check([*columns, *lists])
    named = {*request.ignore_features, *request.roles.untested}
    ignored = {*named, *CALENDAR_COLUMNS, request.label_column, score_column}
    features: list[FeatureProfile] = []
    skipped = []
    for name in sorted({*columns, *lists} - ignored):
        if reason := _skipped_for(name, columns.get(name), request):
            skipped.append(SkippedColumn(name, reason))
        else:
            column = columns.get(name, lists.get(name))
            features.extend(profile_column(name, column, request.bins, request.roles))
    rows = sample(pa.table(_sample_columns(columns, request)), request.sample_rows, request.seed)
    scored = columns.get(score_column, lists.get(score_column, scores))
    return (
        FrozenProfile(
            rows_total=table.num_rows,
            features=tuple(sorted(features, key=lambda feature: feature.name)),
            sample=SampleInfo(rows.num_rows, rows.num_rows / table.num_rows, request.seed),
            label=request.label_column,
            positive_rate=_positive_rate(columns.get(request.label_column)),
            spans=tuple(sorted(set(spans) or _spans(columns.get("span")))),
            ignored=tuple(sorted((ignored - {""}) & {*columns, *lists, *named})),
            skipped=tuple(skipped),
            score=_profile_score(scored, request),
            score_positives=_positives(
                scored,
                columns.get(request.label_column) if scores is None else score_labels,
                request,
            ),
            slices={name: slice_rows(name, columns[name]) for name in request.slices},
            settings=request.bins,
        ),
        rows,
    )


def _skipped_for(name: str, column: Any, request: ProfileRequest) -> str:
    """Returns why a column has no profile; empty where it has one, as a column of lists does."""
    if column is None:
        return ""
    if not _has_value(column):
        return NO_VALUES
    if is_bytes(column):
        return BINARY
    if name in {*request.profile_features, *request.slices, *request.roles.features}:
        return ""
    if calendar_note(name, column):
        return TIME
    return KEY if is_key(name, column) else ""


def _require(
    columns: dict[str, Any], lists: dict[str, Any], request: ProfileRequest, score_column: str
) -> None:
    wanted = [("label_key", request.label_column), ("score_key", score_column)]
    wanted += [("slice_features", name) for name in request.slices]
    for setting, name in wanted:
        if name and name not in columns:
            role = setting.split("_")[0]
            found, remedy = f"columns {sorted(columns)}", f"Correct {setting}"
            if name in lists:
                found = "several, as in rankings and images"
                remedy = f"Leave {setting} out, and name the column in ignore_features"
            raise DataError(
                f"Expected a {role} column {name!r} with one value a row, received {found}. "
                f"{remedy}."
            )


def profile_column(
    name: str, column: Any, settings: BinSettings, roles: ColumnRoles
) -> list[FeatureProfile]:
    """Returns one profile of a plain column, two of a text or of a column of lists."""
    multivalent = is_list(column.type)
    kind = None if multivalent else _type(name, column)
    if name in roles.numeric and kind not in _NUMBERS:
        raise DataError(f"Feature {name!r}: Expected numbers as it is named, received text.")
    prose = kind is FeatureType.CATEGORICAL and (
        name in roles.text or (name not in roles.categorical and is_text(column, settings))
    )
    if name in roles.categorical and kind is FeatureType.INTEGER:
        return [_codes(name, column, settings)]
    if not multivalent and not prose:
        plain = profile_feature(name, column, settings)
        # Of values that share the last bin it is kept which they are.
        # `bins[-1]` of categories is `other`.
        many = plain.type is FeatureType.CATEGORICAL and plain.counts.bins[-1]
        return [replace(plain, values=value_sample(column)) if many else plain]
    aspects, shown = (
        ((LENGTH, VALUE), FeatureType.MULTIVALENT)
        if multivalent
        else ((LENGTH, TOKEN), FeatureType.TEXT)
    )
    profiles = []
    for aspect in aspects:
        seen = aspect_of(column, aspect)
        # Lists that are all empty have lengths and no values.
        if not _has_value(seen):
            continue
        bins = CategoryBins(TOKEN_NAMES) if aspect == TOKEN else None
        found = profile_feature(f"{name}#{aspect}", seen, settings, bins)
        values = value_sample(column) if aspect == TOKEN else None
        profiles.append(replace(found, aspect=aspect, kind=shown, values=values))
    return profiles


def _codes(name: str, column: Any, settings: BinSettings) -> FeatureProfile:
    """Whole numbers that are names: a bin for each of the most frequent, and no order."""
    texts = freeze(slice_values(column), FeatureType.CATEGORICAL, settings)
    assert isinstance(texts, CategoryBins)
    bins = CategoryBins(tuple(int(text) for text in texts.categories))
    found = profile_feature(name, column, settings, bins)
    return replace(found, kind=FeatureType.CATEGORICAL, moments=None)


def profile_feature(
    name: str, column: Any, settings: BinSettings, bins: Bins | None = None
) -> FeatureProfile:
    """Freezes the bins of one flat column that has a value, unless given, and counts it on them."""
    kind = _type(name, column)
    try:
        bins = freeze(column, kind, settings) if bins is None else bins
    except DataError as error:
        raise DataError(f"Feature {name!r}: {error}") from error
    return FeatureProfile(name, kind, bins, count(column, kind, bins), _moments(column, kind))


def _type(name: str, column: Any) -> FeatureType:
    try:
        kind = type_of(column)
    except DataError as error:
        raise DataError(f"Feature {name!r}: {error}") from error
    if kind is None:
        raise DataError(f"Feature {name!r}: Expected values, received nulls only.")
    return kind


def is_text(column: Any, settings: BinSettings) -> bool:
    """Says whether strings are text or identifiers: their top categories hold under half of them.

    Such a column as categories would be nearly all `other`, where no change shows.
    """
    counts = pc.value_counts(strings(column).drop_null()).field("counts").to_numpy()
    # Half of the rows: below it `other` is the largest bin, and bins say less than words and
    # lengths do.
    return bool(2 * np.sort(counts)[::-1][: settings.max_categories].sum() < counts.sum())


def slice_rows(name: str, column: Any) -> dict[str, int]:
    """Returns the rows of each value of a column to slice by; missing values are in no slice.

    Raises:
        DataError: There are more values than slices that anyone could look at.
    """
    tally = pc.value_counts(slice_values(column).drop_null())
    found = dict(
        zip(tally.field("values").to_pylist(), tally.field("counts").to_pylist(), strict=True)
    )
    if not 1 <= len(found) <= MOST_SLICES:
        raise DataError(
            f"Expected 1 to {MOST_SLICES} values of {name!r} to slice by, received {len(found)}. "
            "Name another column in slice_features."
        )
    return {str(value): int(rows) for value, rows in sorted(found.items())}


def slice_values(column: Any) -> Any:
    """Returns a flat column of text, whole numbers or booleans as texts to slice by."""
    if pa.types.is_floating(column.type):
        values = column.to_numpy(zero_copy_only=False)
        # Beyond 2^53 doubles skip whole numbers, so two of them could be one slice.
        whole = (np.abs(values) < 2**53) & (values == np.floor(values))
        column = pa.array(np.where(whole, values, 0).astype(np.int64), mask=~whole)
    # 0 and 1, as the log has booleans of JSON.
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return column.cast(pa.string()) if pa.types.is_integer(column.type) else strings(column)


def _flat_columns(table: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the columns with one value a row, and those with several."""
    columns, lists = {}, {}
    for name in table.column_names:
        column = unchunked(table.column(name))
        if is_list(column.type) and (pc.max(pc.list_value_length(column)).as_py() or 0) > 1:
            lists[name] = column
        else:
            columns[name] = flat(column)
    return columns, lists


def flat_table(table: Any) -> Any:
    """Returns a table whose columns have one value a row, where no row has several."""
    columns, lists = _flat_columns(table)
    return pa.table({**columns, **lists})


def _has_value(column: Any) -> bool:
    if pa.types.is_floating(column.type):
        return bool(np.isfinite(numbers(column, FeatureType.NUMERIC)).any())
    return bool(column.null_count < len(column))


def _moments(column: Any, kind: FeatureType) -> Moments | None:
    if kind in (FeatureType.CATEGORICAL, FeatureType.BOOLEAN):
        return None
    values = numbers(column, kind)
    finite = values[np.isfinite(values)]
    # Of finite values alone: one infinity would leave neither mean nor deviation.
    return Moments(float(finite.mean()), float(finite.std())) if len(finite) else None


def _profile_score(column: Any, request: ProfileRequest) -> FeatureProfile | None:
    if column is None or not request.score:
        return None
    kind = FeatureType.NUMERIC
    column = score_column_of(column)
    # Bins that all probabilities have: the map from score to quality (score_calibration.py) is
    # frozen on the same.
    bins: Bins = score_bins()
    counted = count(column, kind, bins)
    if counted.infinite:
        raise DataError(
            f"Expected finite scores {request.score!r}, received infinite ones. Correct score_key."
        )
    if counted.outside:
        # No probabilities: the answers of a regression, or logits.
        bins = freeze(column, kind, request.bins)
        counted = count(column, kind, bins)
    return FeatureProfile(request.score, kind, bins, counted, _moments(column, kind))


def _positives(scores: Any, labels: Any, request: ProfileRequest) -> tuple[int, ...]:
    """Returns the rows with label 1 in each score bin, where every scored row has its label."""
    if scores is None or labels is None or not request.score or _positive_rate(labels) is None:
        return ()
    # Scored rows without their label would look like zeros.
    if len(labels) != len(scores) or labels.null_count or scores.null_count:
        return ()
    # Where the score has bins of its own it is no probability of label 1.
    if is_list(scores.type) or count(scores, FeatureType.NUMERIC, score_bins()).outside:
        return ()
    positive = numbers(labels, FeatureType.INTEGER) == 1
    return count(scores.filter(pa.array(positive)), FeatureType.NUMERIC, score_bins()).bins


def _positive_rate(column: Any) -> float | None:
    if column is None or type_of(column) not in _NUMBERS:
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
