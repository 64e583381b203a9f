"""Explanation of a version: its data, the decision behind it, what it beat, when it served."""

from dataclasses import dataclass

from tfx_loop.core.custom_properties import Scalar
from tfx_loop.pipelines.lineage.facts import DecisionFact, RolloutFact, WindowFact


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Examples that a model was trained on.

    Attributes:
        uri: The Examples artifact.
        spans: Its spans, such as `1,2,3`; empty where its maker wrote none.
    """

    uri: str
    spans: str


@dataclass(frozen=True, kw_only=True)
class BaselineComparison:
    """What the model was measured against before the push.

    Attributes:
        baseline_version: The champion's version; 0 when the baseline was never pushed.
        baseline_uri: The champion's Model artifact; empty when there was none to beat.
        baseline_is_parent: True when it is the model that this variant was made from.
        blessed: Whether the evaluation let it pass; None without an evaluation.
        metrics: Numbers that the evaluation left as properties.
        compared: How it compares with the baseline row by row, in words with numbers; empty where
            the evaluation did not tell.
    """

    baseline_version: int = 0
    baseline_uri: str = ""
    baseline_is_parent: bool = False
    blessed: bool | None = None
    metrics: dict[str, float]
    compared: str = ""


@dataclass(frozen=True, kw_only=True)
class OptimizationSummary:
    """What an optimiser did to the model on its way to the server.

    Attributes:
        by: The node, such as `Quantizer`.
        facts: The scalar properties of its report, such as verdict, variant and size.
    """

    by: str
    facts: dict[str, Scalar]


@dataclass(frozen=True, kw_only=True)
class SkewSummary:
    """Whether the server saw what the model was trained on, for the same rows.

    Attributes:
        verdict: `CONSISTENT`, `SKEWED` or `NOT_ENOUGH_DATA`.
        reason: SkewMonitor's reason code.
        window: Name of the log's window.
        rows: Rows that were compared.
        skewed_features: How many features differ.
        uri: The SkewReport artifact.
    """

    verdict: str
    reason: str
    window: str
    rows: int
    skewed_features: int
    uri: str


@dataclass(frozen=True, kw_only=True)
class FaultSummary:
    """Whether its training went wrong.

    Attributes:
        verdict: `SOUND`, `WARN`, `BLOCK` or `NOT_ENOUGH_DATA`.
        reason: FaultDetector's reason code.
        findings: How many there are.
        uri: The FaultReport artifact.
    """

    verdict: str
    reason: str
    findings: int
    uri: str


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All that MLMD knows of one version.

    Attributes:
        model_name: The served model.
        version: The version.
        run_id: The run that pushed it.
        training_run_id: The run that made the model; the same, or one of another pipeline.
        pushed_at_ms: When it came into service.
        served_until_ms: When the next version came; None while it serves.
        replaced: The version that served before; 0 for none.
        replaced_by: The version that came after; 0 for none.
        destination: Where the server finds it.
        model_digest: Digest of the served files.
        model_uri: The Model artifact.
        trained_on: The data, nearest to the raw data.
        why: The decision that asked for it; None when a person did.
        contest: What it was judged against.
        optimised: What optimisers did to it, the last one first; empty for a model as trained.
        skew: What SkewMonitor said last of its training rows; None where it was not asked.
        faults: What FaultDetector said of its training; None where it was not asked.
        windows: Windows whose DriftReports name this version, oldest first.
        decided_since: Decisions about this version, and those that ask for it to serve again,
            oldest first: done and not done.
        rollouts: Promotions, roll-backs and labels of this version, oldest first.
        push_steps: Steps of its push to an endpoint, oldest first; none for a model server.
    """

    model_name: str
    version: int
    run_id: str
    training_run_id: str
    pushed_at_ms: int
    served_until_ms: int | None
    replaced: int
    replaced_by: int
    destination: str
    model_digest: str
    model_uri: str
    trained_on: tuple[TrainingData, ...]
    why: DecisionFact | None
    contest: BaselineComparison
    optimised: tuple[OptimizationSummary, ...]
    skew: SkewSummary | None
    windows: tuple[WindowFact, ...]
    decided_since: tuple[DecisionFact, ...]
    rollouts: tuple[RolloutFact, ...] = ()
    faults: FaultSummary | None = None
    push_steps: tuple[RolloutFact, ...] = ()
