"""The interface between the loop and whatever runs its pipelines: launches, and states of runs."""

import enum
from dataclasses import dataclass
from typing import Protocol


class RunState(enum.Enum):
    """Where a pipeline run stands.

    ABSENT: nothing of it was recorded. RUNNING: somebody is at it. INTERRUPTED: it was started,
    has not ended, and whoever ran it is gone. SUCCEEDED and FAILED: it has ended.
    """

    ABSENT = "ABSENT"
    RUNNING = "RUNNING"
    INTERRUPTED = "INTERRUPTED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """The state of a run, and why.

    Attributes:
        state: Where the run stands.
        node: The node that failed; empty unless the state is FAILED.
        reason: Why it failed, in the words of the node; empty unless the state is FAILED.
    """

    state: RunState
    node: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class LaunchRequest:
    """What a launcher is asked to run.

    Attributes:
        model_name: The served model.
        window: The window to monitor, or the window whose evidence asked for the training.
        attempt: 1 for the first start of this run, 2 for the first resumption, and so on.
        decision_uri: URI of the RetrainDecision that becomes an input artifact of the training
            pipeline; empty for monitoring.
        decision_id: MLMD id of that artifact in the loop's store; 0 for monitoring.
        model_version: The serving version that the decision is about; 0 for monitoring.
    """

    model_name: str
    window: str
    attempt: int = 1
    decision_uri: str = ""
    decision_id: int = 0
    model_version: int = 0


class Launcher(Protocol):
    """Runs one kind of pipeline.

    `launch` may return when the run has ended (a local run) or when it was handed over (a cluster).
    It resumes a run that was interrupted or has failed under the same id, and never makes a second
    run of one id. The loop calls it only while it holds the lease of the run (`leases.py`), so one
    process at a time is inside `launch` for one run. A run that fails may also raise.
    """

    def check(self, request: LaunchRequest) -> None:
        """Raises a LoopError where a run could not begin; nothing is counted as a start then."""
        ...

    def launch(self, run_id: str, request: LaunchRequest) -> None:
        """Starts the run, or resumes it."""
        ...

    def state(self, run_id: str) -> RunStatus:
        """Says where the run stands; for runs recorded into MLMD, `mlmd_run_state` answers."""
        ...
