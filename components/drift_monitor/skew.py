"""Does the server see what training saw, for the same rows? Row by row, so chance has no part.

Drift compares other rows and needs a test; skew compares the same rows, and any difference beyond
rounding is a bug in one of two feature pipelines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd

from components.errors import DataError

_ROUNDING = 1e-5


class SkewVerdict(str, Enum):
    """Whether training and serving agree on the same rows."""

    CONSISTENT = "CONSISTENT"
    SKEWED = "SKEWED"
    NOT_ENOUGH_DATA = "NOT_ENOUGH_DATA"


@dataclass(frozen=True)
class FeatureSkew:
    """One feature on the rows that both sides have.

    Attributes:
        feature: Name.
        differing: Share of the rows whose value differs, in [0, 1].
        missing_in_serving: Share of the rows where only training has a value.
        missing_in_training: Share of the rows where only serving has one.
        mean_difference: Of serving less training, in the feature's unit; None for text.
        example: One differing pair, as text.
    """

    feature: str
    differing: float
    missing_in_serving: float = 0.0
    missing_in_training: float = 0.0
    mean_difference: float | None = None
    example: str = ""


@dataclass(frozen=True)
class SkewReport:
    """Skew on the rows that both sides have.

    Attributes:
        verdict: What it comes to.
        reason: `no_skew`, `values_differ`, `feature_absent` or `too_few_common_rows`.
        rows: Rows that both sides have.
        features: The most skewed first.
        absent: Features that one side lacks.
    """

    verdict: SkewVerdict
    reason: str
    rows: int
    features: tuple[FeatureSkew, ...] = ()
    absent: tuple[str, ...] = ()


def find_skew(
    training: pd.DataFrame,
    served: pd.DataFrame,
    keys: Sequence[str],
    *,
    ignore: Sequence[str] = (),
    tolerated: float = 0.001,
    min_rows: int = 50,
) -> SkewReport:
    """Compares rows that training and serving both saw.

    Args:
        training: Rows as training saw them.
        served: Rows as the server saw them; one delivered twice counts once.
        keys: Columns that name a row.
        ignore: Columns that may differ.
        tolerated: Share of rows that may differ in a feature, in [0, 1).
        min_rows: Common rows needed.

    Raises:
        DataError: A key column is not there, or names several training rows.
    """
    for side, frame in (("training", training), ("served", served)):
        if lacking := [key for key in keys if key not in frame]:
            raise DataError(f"Expected key columns {lacking} in the {side} rows, received none.")
    if training.duplicated(list(keys)).any():
        raise DataError(f"Expected keys {list(keys)} that name one training row, received twins.")
    left = training.set_index(list(keys))
    right = served.drop_duplicates(list(keys)).set_index(list(keys))
    common = left.index.intersection(right.index)
    if len(common) < min_rows:
        return SkewReport(SkewVerdict.NOT_ENOUGH_DATA, "too_few_common_rows", len(common))
    left, right = left.loc[common], right.loc[common]
    names = [name for name in left.columns if name not in ignore]
    absent = tuple(sorted(set(names).symmetric_difference(set(right.columns) - set(ignore))))
    features = [_compared(name, left[name], right[name]) for name in names if name in right]
    features.sort(key=lambda feature: (-feature.differing, feature.feature))
    differ = [feature for feature in features if feature.differing > tolerated]
    skewed = bool(differ or absent)
    reason = "values_differ" if differ else "feature_absent" if absent else "no_skew"
    verdict = SkewVerdict.SKEWED if skewed else SkewVerdict.CONSISTENT
    return SkewReport(verdict, reason, len(common), tuple(features), absent)


def _compared(name: str, training: pd.Series, served: pd.Series) -> FeatureSkew:
    before, now = training.isna().to_numpy(), served.isna().to_numpy()
    both = ~before & ~now
    mean: float | None = None
    unequal = np.zeros(len(training), dtype=bool)
    if _is_number(training) and _is_number(served):
        a = training.to_numpy(dtype=np.float64, na_value=np.nan)
        b = served.to_numpy(dtype=np.float64, na_value=np.nan)
        scale = np.maximum(np.abs(a), np.abs(b))
        with np.errstate(invalid="ignore"):
            unequal[both] = ~(np.abs(a - b)[both] <= _ROUNDING * scale[both]) & (a != b)[both]
            mean = float(np.mean((b - a)[both])) if both.any() else None
        mean = mean if mean is not None and np.isfinite(mean) else None
    else:
        pair = training.astype(str).to_numpy() != served.astype(str).to_numpy()
        unequal[both] = pair[both]
    differing = unequal | (before != now)
    example = ""
    if differing.any():
        place = int(np.argmax(differing))
        example = f"{training.iloc[place]!r} in training, {served.iloc[place]!r} in serving"
    return FeatureSkew(
        feature=name,
        differing=float(differing.mean()),
        missing_in_serving=float((now & ~before).mean()),
        missing_in_training=float((before & ~now).mean()),
        mean_difference=mean,
        example=example,
    )


def _is_number(column: Any) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))
