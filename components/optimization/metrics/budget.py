"""Budget of a compression: what may be lost of a metric, for which gain; judged on outputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.model_evaluation import OVERALL
from tfx_loop.contracts.optimization_report import SliceResult, SliceStatus
from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.compression_target import CompressionTarget
from tfx_loop.optimization.metrics.drops import drop
from tfx_loop.optimization.metrics.intervals import CONFIDENCE, own_interval
from tfx_loop.optimization.metrics.metrics import Metric, Outputs

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What may be lost of a metric, and what for.

    Attributes:
        metric: What is measured.
        max_metric_drop: What may be lost on all rows, in the metric's unit, at least 0.
        target: What is to be gained.
        max_slice_drop: What may be lost on each slice; None leaves slices unlimited.
        min_slice_rows: Slices with fewer rows are shown and do not decide: of 50 rows one is 0.02
            of an accuracy, more than most limits.
    """

    metric: Metric
    max_metric_drop: float
    target: CompressionTarget = CompressionTarget.SMALLEST
    max_slice_drop: float | None = None
    # Of fewer rows one is more than 2 % of an accuracy: any budget is over by a single one.
    min_slice_rows: int = 50

    def __post_init__(self) -> None:
        """Checks the limits."""
        for name in ("max_metric_drop", "max_slice_drop"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ConfigError(
                    f"Expected {name} of at least 0, in the unit of {self.metric.name}, received "
                    f"{value}. 0.005 of an accuracy is half a percentage point."
                )
        if self.min_slice_rows < 1:
            raise ConfigError(
                f"Expected min_slice_rows of at least 1, received {self.min_slice_rows}."
            )


@dataclass(frozen=True, kw_only=True)
class BudgetJudgement:
    """Parent and child on the same rows, against a budget.

    Attributes:
        overall: All rows.
        slices: By slice, in the order of the columns.
    """

    overall: SliceResult
    slices: tuple[SliceResult, ...] = ()

    @property
    def over(self) -> tuple[SliceResult, ...]:
        """What is over its limit, the whole first."""
        found = [x for x in (self.overall, *self.slices) if x.status is SliceStatus.OVER]
        return tuple(found)


def judge(
    parent: Outputs,
    child: Outputs,
    labels: Array,
    budget: Budget,
    slices: Mapping[str, Array] | None = None,
    *,
    confidence: float = CONFIDENCE,
) -> BudgetJudgement:
    """Returns what the child lost, overall and by slice, and whether the point values are within.

    Args:
        parent: Outputs of the parent.
        child: Outputs of the child on the same rows.
        labels: Labels of these rows.
        budget: What may be lost.
        slices: Column name to (rows,) values.
        confidence: Of the intervals.
    """
    everything = np.ones(len(labels), dtype=bool)
    overall = _judged(
        OVERALL, everything, parent, child, labels, budget, budget.max_metric_drop, confidence
    )
    parts = tuple(
        _judged(name, mask, parent, child, labels, budget, budget.max_slice_drop, confidence)
        for name, mask in slice_masks(slices or {})
    )
    return BudgetJudgement(overall=overall, slices=parts)


def slice_masks(slices: Mapping[str, Array]) -> list[tuple[str, Array]]:
    """Returns `column:value` and which rows are in it, values sorted within a column."""
    return [
        (f"{column}:{value}", values == value)
        for column, values in slices.items()
        for value in np.unique(values)
    ]


def is_within(lost: float, limit: float) -> bool:
    """Says whether a drop keeps to its limit; one that is NaN does not."""
    # 3 of 1,000 rows lost is a drop of 0.003, whatever the last bit of the subtraction says.
    return lost <= limit + 1e-9


def one_row(metric: Metric, rows: int) -> float:
    """Returns by how much one row alone can move an accuracy; 0 for metrics that move smoothly.

    A budget smaller than that can neither be kept nor broken by less than a row.
    """
    # Losses and ranks move by parts of a row.
    return 1.0 / rows if metric.is_accuracy and rows else 0.0


def _judged(
    name: str,
    mask: Array,
    parent: Outputs,
    child: Outputs,
    labels: Array,
    budget: Budget,
    limit: float | None,
    confidence: float,
) -> SliceResult:
    metric, truth = budget.metric, labels[mask]
    before, after = _rows_of(parent, mask), _rows_of(child, mask)
    lost = drop(before, after, truth, metric, confidence=confidence)
    of_parent, of_child = metric.measure(truth, before), metric.measure(truth, after)
    return SliceResult(
        slice=name,
        rows=int(mask.sum()),
        parent=own_interval(of_parent.value, of_parent.influence, metric, confidence),
        child=own_interval(of_child.value, of_child.influence, metric, confidence),
        drop=lost.interval,
        limit=limit,
        status=_status(lost.value, lost.rows, limit, budget, name),
    )


def _status(value: float, rows: int, limit: float | None, budget: Budget, name: str) -> SliceStatus:
    if limit is None:
        return SliceStatus.NOT_LIMITED
    if name != OVERALL and (rows < budget.min_slice_rows or not np.isfinite(value)):
        return SliceStatus.TOO_FEW_ROWS
    return SliceStatus.WITHIN if is_within(value, limit) else SliceStatus.OVER


def _rows_of(outputs: Outputs, mask: Array) -> Outputs:
    if isinstance(outputs, Mapping):
        return {name: values[mask] for name, values in outputs.items()}
    return outputs[mask]
