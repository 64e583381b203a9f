"""Type names of our artifacts in ML Metadata: today's, and those of releases before.

A store outlives releases. Artifacts that were written while the package was imported as
`components` carry its name for ever, so whoever reads a store asks here, and whoever writes to one
uses today's name. No TFX is imported: the loop and the lineage commands start without it.
"""

PREDICTION_LOG = "tfx_loop.PredictionLog"
REFERENCE_PROFILE = "tfx_loop.ReferenceProfile"
DRIFT_REPORT = "tfx_loop.DriftReport"
SKEW_REPORT = "tfx_loop.SkewReport"
RETRAIN_DECISION = "tfx_loop.RetrainDecision"
OPTIMIZATION_REPORT = "tfx_loop.OptimizationReport"
EDGETPU_REPORT = "tfx_loop.EdgeTpuReport"
MEMBERSHIP_REPORT = "tfx_loop.MembershipReport"
FAULT_REPORT = "tfx_loop.FaultReport"

_PACKAGE = "tfx_loop."
_FORMER_PACKAGES = ("components.",)
_TODAY = (
    PREDICTION_LOG,
    REFERENCE_PROFILE,
    DRIFT_REPORT,
    SKEW_REPORT,
    RETRAIN_DECISION,
    OPTIMIZATION_REPORT,
    EDGETPU_REPORT,
    MEMBERSHIP_REPORT,
    FAULT_REPORT,
)
# By the full name: a user's own `components.Something` is none of ours.
_FORMER = {
    name.replace(_PACKAGE, package, 1): name for name in _TODAY for package in _FORMER_PACKAGES
}


def current_type_name(name: str) -> str:
    """Returns today's name of a type; the name itself where it is none of ours, or today's."""
    return _FORMER.get(name, name)


def known_type_names(name: str) -> tuple[str, ...]:
    """Returns every name under which a store may hold artifacts of a type, today's first."""
    return (name, *(former for former, today in _FORMER.items() if today == name))
