"""Outputs of a model with several: which have budgets of their own, and what happens to the others.

A budget holds an output. One without is still moved by quantising, so what it moves by is told.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.optimization_report import MetricUsed, OutputResult
from tfx_loop.models.parity import compare
from tfx_loop.optimization.metrics.budget import Budget, judge

Array = npt.NDArray[Any]


def results(
    parent: Mapping[str, Array],
    child: Mapping[str, Array],
    labels: Mapping[str, Array],
    budgets: Mapping[str, Budget],
) -> tuple[OutputResult, ...]:
    """Returns what happened to each output; empty for a model with one.

    Args:
        parent: Outputs by name.
        child: The same of the variant.
        labels: Labels by output, of those that have a budget.
        budgets: Budgets by output.
    """
    if len(parent) < 2:
        return ()
    return tuple(
        OutputResult(
            output=name,
            parity=compare({name: parent[name]}, {name: child[name]}),
            metric=used(budgets[name]) if name in budgets else None,
            overall=judge(parent, child, labels[name], budgets[name]).overall
            if name in budgets
            else None,
        )
        for name in parent
    )


def used(budget: Budget) -> MetricUsed:
    """Returns which metric a budget limits, as a report has it."""
    return MetricUsed(name=budget.metric.name, higher_is_better=budget.metric.higher_is_better)


def warnings(found: Sequence[OutputResult], parent: Mapping[str, Array]) -> list[str]:
    """Returns a line for each output that nothing was asked of."""
    told = []
    for one in found:
        if one.overall is None:
            spread = float(np.std(np.asarray(parent[one.output], dtype=np.float64)))
            told.append(
                f"Warning: the output {one.output} has no budget. Its answers move by "
                f"{one.parity.mean_difference:.3g} on average and by up to "
                f"{one.parity.max_difference:.3g} (their own standard deviation is {spread:.3g}). "
                f"loop compress limits its loss with --budget {one.output}=DROP and --label "
                f"{one.output}=COLUMN."
            )
    return told
