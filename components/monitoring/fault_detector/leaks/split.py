"""Leakage through the split: groups and times on both sides, and what was fitted on all rows."""

from collections.abc import Sequence

import numpy as np

from tfx_loop.contracts.fault_report import (
    FEATURE_AFTER_PREDICTION,
    FITTED_ON_ALL_ROWS,
    GROUPS_OVERLAP,
    LABEL_BEFORE_EVENT,
    TIMES_OVERLAP,
    FaultFinding,
)
from tfx_loop.core.texts import listed
from tfx_loop.monitoring.fault_detector.leaks.columns import Column
from tfx_loop.monitoring.fault_detector.rows import SplitRows
from tfx_loop.monitoring.reference_models.row_losses import FloatArray

# Where a mean is 0 because it was taken off, what is left is the arithmetic of float32.
_ZERO = 1e-4
# Shares of the columns: nearly all are centred on both sides together, and not even half on the
# training rows alone, as chance would have a few of either.
_NEARLY_ALL, _HALF = 0.9, 0.5


def group_findings(training: SplitRows, held_out: SplitRows) -> list[FaultFinding]:
    """Returns groups that stand on both sides, where somebody named the groups."""
    if training.groups is None or held_out.groups is None:
        return []
    # As text: one side's file may hold the numbers of customers as text.
    both = np.isin(held_out.groups.astype(str), training.groups.astype(str))
    if not both.any():
        return []
    share = float(both.mean())
    return [
        FaultFinding(
            kind=GROUPS_OVERLAP,
            blocks=True,
            evidence={"share": share},
            explanation=f"{share:.1%} of the held-out rows belong to a group that training rows "
            "belong to, too, so they don't tell how the model does on a new one. Split by group.",
        )
    ]


def time_findings(training: SplitRows, held_out: SplitRows) -> list[FaultFinding]:
    """Returns held-out rows from before the last training row, where somebody named the time."""
    if training.times is None or held_out.times is None:
        return []
    known = held_out.times[np.isfinite(held_out.times)]
    learnt = training.times[np.isfinite(training.times)]
    if not len(known) or not len(learnt):
        return []
    # Strictly before: rows of the same moment, such as one day's, may be divided.
    share = float((known < learnt.max()).mean())
    if not share:
        return []
    return [
        FaultFinding(
            kind=TIMES_OVERLAP,
            blocks=True,
            evidence={"share": share},
            explanation=f"{share:.1%} of the held-out rows are from before the last training row: "
            "the model was trained on what came after them. Hold out the newest rows.",
        )
    ]


def order_findings(training: SplitRows, held_out: SplitRows) -> list[FaultFinding]:
    """Returns features known after the prediction, and labels known before it, on either side."""
    known = [(side, side.times) for side in (training, held_out) if side.times is not None]
    found = []
    for name in sorted({name for side, _ in known for name in side.feature_times}):
        share = _share_after([(side.feature_times[name], due) for side, due in known])
        if share:
            said = (
                f"{name} was known only after the prediction was due in {share:.1%} of the rows. "
                "Take the value that was known before, or leave the feature out."
            )
            found.append(_of_order(FEATURE_AFTER_PREDICTION, said, share, name))
    labelled = [(due, side.label_times) for side, due in known if side.label_times is not None]
    if labelled and (share := _share_after(labelled)):
        said = (
            f"The label was known before the prediction was due in {share:.1%} of the rows: there "
            "was nothing left to predict. Leave those rows out, or correct the times."
        )
        found.append(_of_order(LABEL_BEFORE_EVENT, said, share, ""))
    return found


def _share_after(pairs: Sequence[tuple[FloatArray, FloatArray]]) -> float:
    """Returns the share of rows whose first time is after the second; unknown ones are not."""
    # Comparisons with NaN are false: a row without a time is no evidence.
    later = np.concatenate([first > second for first, second in pairs])
    return float(later.mean()) if len(later) else 0.0


def _of_order(kind: str, said: str, share: float, feature: str) -> FaultFinding:
    return FaultFinding(
        kind=kind, feature=feature, blocks=True, evidence={"share": share}, explanation=said
    )


def analysis_findings(analyzed: Sequence[str]) -> list[FaultFinding]:
    """Returns whether Transform learnt from held-out rows.

    Args:
        analyzed: Splits of the held-out rows that Transform analysed.
    """
    if not analyzed:
        return []
    return [
        FaultFinding(
            kind=FITTED_ON_ALL_ROWS,
            blocks=False,
            evidence={"splits": float(len(analyzed))},
            explanation=f"Transform analysed {listed(analyzed)}, which is held out: means, "
            "vocabularies and bins were learnt with the held-out rows in sight. Name the training "
            "split alone as analyze in splits_config.",
        )
    ]


def preprocessing_findings(
    columns: Sequence[Column], training: SplitRows, held_out: SplitRows
) -> list[FaultFinding]:
    """Returns whether columns were centred on the rows of both sides together."""
    numbers = [c for c in columns if not c.categories and np.isfinite(c.training).all()]
    numbers = [c for c in numbers if np.isfinite(c.held_out).all() and c.training.std() > 0]
    # The mean of a sample is not that of all.
    if not numbers or min(training.drawn, held_out.drawn) < 1:
        return []
    pooled = [float(np.concatenate([c.training, c.held_out]).mean()) for c in numbers]
    own = [float(c.training.mean()) for c in numbers]
    if np.mean(np.abs(pooled) < _ZERO) <= _NEARLY_ALL or np.mean(np.abs(own) < _ZERO) >= _HALF:
        return []
    return [
        FaultFinding(
            kind=FITTED_ON_ALL_ROWS,
            blocks=False,
            evidence={"columns": float(np.sum(np.abs(pooled) < _ZERO))},
            explanation=f"The mean of {listed([c.name for c in numbers])} is 0 over training and "
            "held-out rows together and not over the training rows: they were scaled with the "
            "held-out rows in sight. Fit the preprocessing on the training rows alone.",
        )
    ]
