"""The artifacts that tfx-loop adds to TFX, and their custom properties.

The artifacts carry no typed `PROPERTIES` (the Kubeflow V2 compiler refuses them) and their type
names are `tfx_loop.ClassName`, which is the string that the V2 container imports. Custom
properties are int, float or str; a 0 comes back as None after a round trip through Vertex.
"""

import logging
import math
from collections.abc import Mapping
from typing import TypeAlias

from tfx.types import artifact

from tfx_loop.core import type_names
from tfx_loop.core.custom_properties import MOST_INT, Scalar

# What TFX hands to an executor: artifacts by input or output, execution properties by name.
Artifacts: TypeAlias = dict[str, list[artifact.Artifact]]
Scalars: TypeAlias = dict[str, Scalar]

_LOG = logging.getLogger(__name__)


class PredictionLog(artifact.Artifact):
    """One window of the prediction log: `rows.parquet` and `window.json`."""

    TYPE_NAME = type_names.PREDICTION_LOG


class ReferenceProfile(artifact.Artifact):
    """What a model was trained on: `reference_profile.json` and `training_sample.parquet`."""

    TYPE_NAME = type_names.REFERENCE_PROFILE


class DriftReport(artifact.Artifact):
    """What moved between training and a window: `drift_report.json`."""

    TYPE_NAME = type_names.DRIFT_REPORT


class SkewReport(artifact.Artifact):
    """Whether the server saw what training saw, for the same rows: `skew_report.json`."""

    TYPE_NAME = type_names.SKEW_REPORT


class RetrainDecision(artifact.Artifact):
    """Whether a retraining would pay, and why: `retrain_decision.json`."""

    TYPE_NAME = type_names.RETRAIN_DECISION


class OptimizationReport(artifact.Artifact):
    """What an optimiser gained and lost, and why: `optimization_report.json`."""

    TYPE_NAME = type_names.OPTIMIZATION_REPORT


class EdgeTpuReport(artifact.Artifact):
    """Which operators of a model map to the Edge TPU, and who says so: `edgetpu_report.json`."""

    TYPE_NAME = type_names.EDGETPU_REPORT


class MembershipReport(artifact.Artifact):
    """What a model tells of the rows it was trained on: `privacy_report.json`."""

    TYPE_NAME = type_names.MEMBERSHIP_REPORT


class FaultReport(artifact.Artifact):
    """Whether a training went wrong, and by how much: `fault_report.json`."""

    TYPE_NAME = type_names.FAULT_REPORT


def set_properties(target: artifact.Artifact, properties: Mapping[str, Scalar]) -> None:
    """Writes scalar custom properties, for conditions and queries.

    A number that is not finite is left out, as a metric that is not defined on the rows at hand:
    protobuf 6 refuses to write it as JSON, in which the V2 entrypoint hands properties on.

    Raises:
        TypeError: A value is not int, float or str (a bool is refused by the V2 entrypoint).
    """
    for name, value in properties.items():
        # Asked first: a bool is an int to isinstance, and would be written as one.
        if isinstance(value, bool):
            raise TypeError(f"Property {name!r} must be int, float or str, got bool; write 0 or 1.")
        if isinstance(value, float) and not math.isfinite(value):
            continue
        # Whole numbers of ML Metadata have 32 bits on MySQL and PostgreSQL. A double holds those up
        # to 53, such as milliseconds since epoch; `from_properties` reads it as declared.
        if isinstance(value, int) and abs(value) > MOST_INT:
            target.set_float_custom_property(name, float(value))
        elif isinstance(value, int):
            target.set_int_custom_property(name, value)
        elif isinstance(value, float):
            target.set_float_custom_property(name, value)
        elif isinstance(value, str):
            target.set_string_custom_property(name, value)
        else:
            raise TypeError(
                f"Property {name!r} must be int, float or str, got {type(value).__name__}."
            )


def publish(target: artifact.Artifact, event: str, properties: Mapping[str, Scalar]) -> None:
    """Writes custom properties, and logs them as one line with where the artifact lies."""
    set_properties(target, properties)
    facts = " ".join(f"{name}={value}" for name, value in properties.items())
    _LOG.info("%s %s uri=%s", event, facts, target.uri)
