"""TFMA's measurements in plain numbers, slice by slice.

The one place that knows how TFMA nests them: by output, by sub key and by metric.
"""

from dataclasses import dataclass
from typing import Any

# Name of the slice of all rows, here and in every report.
OVERALL = "overall"


def metrics_by_slice(result: Any) -> dict[str, dict[str, float]]:
    """Returns metric values by slice of a `tfma.EvalResult`.

    Returns:
        Slice name ("overall", or such as "origin=JFK") to metric name to value; metrics that are
        not one number are left out.
    """
    slices = {}
    for key, outputs in result.slicing_metrics:
        name = ",".join(f"{feature}={value}" for feature, value in key) or OVERALL
        # Models of one output, metrics of the whole: both keys are empty.
        values = (outputs or {}).get("", {}).get("", {})
        slices[name] = {
            metric: float(value["doubleValue"])
            for metric, value in values.items()
            if isinstance(value, dict) and "doubleValue" in value
        }
    return slices


@dataclass(frozen=True, kw_only=True)
class JudgedProperties:
    """What an evaluation says of a challenger in words, as its artifact carries them.

    Attributes:
        refused_because: Why it was refused; empty where it passed.
        compared: `better`, `not worse`, `can't tell` or `worse` than the champion, row by row on
            rows held out of both; empty where they were not compared.
        comparison: The same with its numbers, or why they were not compared.
    """

    refused_because: str = ""
    compared: str = ""
    comparison: str = ""
