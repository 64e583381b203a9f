"""Status of a version, as TF Serving's status call has it."""

from dataclasses import dataclass
from enum import Enum


class ServingState(Enum):
    """Life of a version, with the names and numbers of TF Serving's ModelVersionStatus."""

    # The numbers of TF Serving's ModelVersionStatus.State (get_model_status.proto): they go over
    # the wire.
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True, kw_only=True)
class VersionStatus:
    """What is known of a version.

    Attributes:
        version: Its number.
        state: Where it is in its life.
        error: Why it could not be loaded; empty when nothing failed.
    """

    version: int
    state: ServingState
    error: str = ""
