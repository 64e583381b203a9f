"""The order of a push to a server: the model, its place, and how long to wait."""

import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tfx_loop.contracts.variant_note import FLOAT, TFLITE, read_note
from tfx_loop.core.errors import ConfigError
from tfx_loop.models.formats import is_saved_model, tflite_file


def holder_of(what: str) -> str:
    """Returns who holds the lock of a base path, for another one that waits."""
    return f"{what} (process {os.getpid()} on {socket.gethostname()})"


@dataclass(frozen=True, kw_only=True)
class ServerPushOrder:
    """What is pushed, and where.

    Attributes:
        model_name: Name that the server serves it under.
        model_dir: Folder of the SavedModel or the TFLite model, on this machine.
        base_path: Folder or bucket of numbered versions that the server watches.
        model_uri: The Model artifact.
        reference_profile_uri: The ReferenceProfile artifact; empty if there is none.
        variant: Which optimisation of the model it is; empty for what the folder says, or else
            `float` for a SavedModel and `tflite` for a TFLite model.
        examples_input: Under which name a TFLite model is to take serialized tf.Examples, as the
            version before does; empty where it takes columns alone.
        run_id: Pipeline run that pushes; a run that is resumed continues its own push.
        load_timeout_seconds: How long the version may take to become available.
        lock_wait_seconds: How long another push to the base path is waited for.
        canary_share: The share of requests that the version gets beside the one that serves; 0
            gives it all of them at once.
        probation_seconds: How long a version that serves is asked its golden requests on, and taken
            back when it fails.
        keep_versions: How many versions that serve no more keep their folders; 0 keeps all.
        token: What only this push knows and writes into its lock.
        at_least: The least number that the version may have.
        pinned_at: gRPC address of a TF Serving that is told which versions to serve; it sees none
            before.
        sign: Signs a folder under a name; None leaves the version unsigned.
    """

    model_name: str
    model_dir: Path
    base_path: str
    model_uri: str
    reference_profile_uri: str
    run_id: str
    load_timeout_seconds: float
    variant: str = ""
    examples_input: str = ""
    lock_wait_seconds: float = 600.0
    canary_share: float = 0.0
    probation_seconds: float = 0.0
    keep_versions: int = 0
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    at_least: int = 0
    pinned_at: str = ""
    sign: Callable[[Path, str], object] | None = None

    def __post_init__(self) -> None:
        if not is_saved_model(self.model_dir) and tflite_file(self.model_dir) is None:
            raise ConfigError(
                f"Expected a SavedModel or a TFLite model in {self.model_dir}, found no "
                "saved_model.pb and no model.tflite. Let the Trainer write one to "
                "fn_args.serving_model_dir."
            )

    @property
    def variant_name(self) -> str:
        """Which optimisation it is, for the record and the version folder."""
        default = FLOAT if is_saved_model(self.model_dir) else TFLITE
        return self.variant or read_note(self.model_dir, default).variant

    @property
    def holder(self) -> str:
        """Who pushes, for another push that waits."""
        return holder_of(f"run {self.run_id}" if self.run_id else "a run without a name")
