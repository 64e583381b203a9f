"""Rows of a split as the rules want them, from columns and what the model answered."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tfx_loop.core.errors import DataError, did_you_mean
from tfx_loop.core.texts import listed
from tfx_loop.monitoring.fault_detector.rows import AnyArray, SplitRows
from tfx_loop.monitoring.fault_detector.settings import ColumnSettings
from tfx_loop.monitoring.reference_models.evaluated_rows import number_labels
from tfx_loop.monitoring.reference_models.row_losses import FloatArray

# From there on float64 has no whole number of its own for each.
_EXACT = 2.0**53


def split_rows(
    columns: Mapping[str, Any],
    outputs: Any,
    settings: ColumnSettings,
    read: Collection[str],
    drawn: float = 1.0,
    others: Collection[str] = (),
) -> SplitRows:
    """Returns the rows that have a label.

    Args:
        columns: By name, of shape (rows,) or (rows, …).
        outputs: What the model answered, of shape (rows, …).
        settings: Which columns are what.
        read: Columns that the model reads; empty where that is not known, and then all are
            features but those that the settings name.
        drawn: The share of the split's rows that these are.
        others: Columns of the rows that were not read at all.

    Raises:
        DataError: A column that the settings name is not there, or the label is no number.
    """
    labels = number_labels(columns, settings.label_key)
    kept = np.isfinite(labels)
    named = {settings.label_key, *settings.named.values()}
    # A name that the model reads and no column has (made by Transform) leaves all columns in.
    features = {*read} & {*columns} or {*columns} - named
    features -= {settings.label_key, *settings.ignore_features}
    if not features:
        raise DataError(
            f"Expected features beside the label, received the columns {sorted(columns)}. Give the "
            "columns that the model reads."
        )
    found = {
        setting: _named(columns, column, setting)[kept]
        for setting, column in settings.named.items()
    }
    times = {
        setting: as_times(values, settings.named[setting])
        for setting, values in found.items()
        if setting != "group_column"
    }
    known_at = {name: times[f"feature_times of {name}"] for name in settings.feature_times}
    return SplitRows(
        features={name: np.asarray(columns[name])[kept] for name in features},
        labels=labels[kept],
        outputs=np.asarray(outputs, dtype=np.float64)[kept],
        groups=found.get("group_column"),
        times=times.get("time_column"),
        feature_times=known_at,
        label_times=times.get("label_time_column"),
        unlabelled=int(np.sum(~kept)),
        drawn=drawn,
        unread=tuple(sorted({*columns, *others} - features - named - {*settings.ignore_features})),
    )


def check_named(path: str, settings: ColumnSettings) -> None:
    """Checks by a file's header that it has the columns that are named, before a model is opened.

    Raises:
        DataError: It lacks one.
    """
    from tfx_loop.data.tables.table_file import open_table

    known = open_table(path).schema.names
    for name in (settings.label_key, *settings.named.values()):
        if name not in known:
            raise DataError(
                f"Expected the column {name!r} in {path}, received {listed(known)}."
                f"{did_you_mean(name, known)}"
            )


def _named(columns: Mapping[str, Any], name: str, setting: str) -> AnyArray:
    if name not in columns:
        raise DataError(
            f"Expected the {setting} {name!r} among the columns, received {sorted(columns)}."
            f"{did_you_mean(name, columns)}"
        )
    values = np.asarray(columns[name])
    if values.dtype.kind == "f" and np.nanmax(np.abs(values), initial=0.0) >= _EXACT:
        raise DataError(
            f"Expected values that are told apart in {name!r}, received numbers beyond 2^53, which "
            "floats round. Give them as text or as whole numbers of 64 bits."
        )
    return values


def as_times(values: AnyArray, name: str) -> FloatArray:
    """Returns times as numbers that are in order, NaN where one is missing.

    Args:
        values: Numbers of any unit, times of NumPy, or text as ISO 8601 has it.
        name: Of the column, for errors.

    Raises:
        DataError: A text is no time.
    """
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    try:
        # Microseconds, as Arrow and Parquet mostly have them: years 1678 to 2262 of nanoseconds are
        # few.
        moments = values.astype("datetime64[us]")
    except (ValueError, TypeError) as error:
        raise DataError(
            f"Expected numbers or times such as 2013-05-01T10:00:00 in {name!r}, received: {error}."
        ) from error
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64).astype(np.float64))
