"""Settings of ServingPusher, which takes those of TFX's Pusher, too."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tfx_loop.core import storage
from tfx_loop.core.errors import ConfigError, did_you_mean
from tfx_loop.core.settings import defaults, field_types, typed
from tfx_loop.deployment.server_access.credentials import Credentials
from tfx_loop.deployment.serving_pusher.targets import DEVICES, FOLDER, SERVER, target_named
from tfx_loop.models.guard.settings import GuardSettings
from tfx_loop.models.signing.settings import SigningSettings

_PUSHER_ARGUMENTS = ("push_destination", "custom_config")


@dataclass(frozen=True, kw_only=True)
class ServingPusherSettings(SigningSettings, GuardSettings):
    """Where a model is pushed, and how long that may take.

    Attributes:
        model_name: Name that the server serves it under, or that the bundle has; empty takes the
            last part of `base_path`.
        base_path: Folder of numbered versions that the server watches; of devices the folder or
            bucket that they fetch from.
        server_url: REST address of the server, such as `http://127.0.0.1:8501`; devices and a
            folder alone need none.
        pinned_at: gRPC address (`HOST:PORT`, not encrypted) of a TF Serving that serves this model
            alone, to tell it which versions to serve: one is proven under the name
            `MODEL-candidate` before it takes traffic, in buckets too. Empty leaves it to serve the
            highest number.
        token_file: Path of a file whose first token is sent to the server; the token itself is in
            no property.
        ca_file: Path of the authorities, PEM, of a server with TLS; empty for those of the system.
        client_certificate: Path of a certificate, PEM, to show to a server with mutual TLS.
        client_key: Path of its key, PEM.
        push_destination: TFX's `PushDestination`, in place of `base_path`: versions are named by
            the time, as Pusher names them, and without `server_url` the target is `folder`.
        custom_config: Settings of this node by name, for pipelines that give Pusher's
            `custom_config`; what clouds' pushers read there is refused.
        load_timeout_seconds: How long the version may take to become available.
        lock_timeout_seconds: How long another push to the base path is waited for. After one that
            was killed the next goes on at once on the same machine, on another after 30 s.
        golden_rows: How many rows are asked and compared.
        redact: Features whose values golden rows do not have: texts are `other`, numbers 0.
        signature_name: The signature that is asked; empty takes the first of `serving_default`,
            `serving_tf_example`, `serve`, `serving_columns` and the others that the Examples, or
            features of them, fit.
        golden_features: By input of that signature the features that it takes, such as
            `{"inputs": ["width", "height"]}`, where they are not called after it.
        max_latency_ms: How long the answer to the golden rows may take, in milliseconds.
        canary_share: The share of requests that a new version gets beside the one that serves,
            until `loop promote` or `loop rollback`; 0 gives it all of them at once. TF Serving
            cannot divide its traffic.
        probation_seconds: How long a version that serves is asked the golden requests on, and taken
            back when it fails.
        keep_versions: How many versions that serve no more keep their folders, beside the one that
            served before; 0 keeps all.
        shadow_rows: How many rows of a `prediction_log` candidate and champion are asked.
        min_agreement: Share of these rows, 0 to 1, on which both must decide alike.
        max_loss_ratio: The candidate's loss on labelled rows at most, in those of the champion; 0
            judges none.
        code_revision: What the code was that trained the model, such as a commit; kept in the
            lineage, for `loop provenance`.
        target: `server`; `folder`, whose versions are proven in the pipeline and asked of no
            server; or `devices`.
        rollout_stages: For devices, pairs of group and percentage, in order; empty is the group
            `canary`, then 10, 50 and 100 % of the group `default`. The last stage makes the version
            everybody's.
    """

    model_name: str = ""
    base_path: str = ""
    server_url: str = ""
    pinned_at: str = ""
    token_file: str = ""
    ca_file: str = ""
    client_certificate: str = ""
    client_key: str = ""
    push_destination: str | None = None
    custom_config: Mapping[str, Any] | None = None
    # A server polls every few seconds and loads a large SavedModel in tens of them. Chosen, not
    # measured.
    load_timeout_seconds: int = 120
    lock_timeout_seconds: int = 600
    # One request of a client that asks a few at once; each is computed here as well. Chosen, not
    # measured.
    golden_rows: int = 8
    redact: tuple[str, ...] = ()
    signature_name: str = ""
    golden_features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Half of the time that the client itself waits by default: later is no answer to anybody.
    max_latency_ms: int = 5_000
    canary_share: float = 0.0
    probation_seconds: int = 0
    keep_versions: int = 0
    # An agreement is then known to 1 / sqrt(256) = 6 % at worst, in 32 requests of 8 rows.
    shadow_rows: int = 256
    min_agreement: float = 0.0
    max_loss_ratio: float = 0.0
    code_revision: str = ""
    target: str = SERVER
    rollout_stages: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for name, value in (self.custom_config or {}).items():
            self._take(name, value)
        if self.push_destination:
            self._set("base_path", _base_directory(self.push_destination))
            if self.target == SERVER and not self.server_url:
                self._set("target", FOLDER)
        if not self.base_path:
            raise ConfigError(
                "Expected base_path or push_destination of ServingPusher, received neither. Give "
                "the folder of versions."
            )
        if not self.model_name:
            object.__setattr__(self, "model_name", os.path.basename(self.base_path.rstrip("/")))
        if self.golden_rows < 1 or self.max_latency_ms < 1:
            raise ConfigError(
                "Expected golden_rows and max_latency_ms of at least 1, received "
                f"{self.golden_rows} and {self.max_latency_ms}."
            )
        if not 0.0 <= self.canary_share < 1.0:
            raise ConfigError(
                f"Expected a canary_share of 0 to below 1, received {self.canary_share:g}."
            )
        if self.probation_seconds < 0 or self.keep_versions < 0:
            raise ConfigError(
                "Expected probation_seconds and keep_versions of at least 0, received "
                f"{self.probation_seconds} and {self.keep_versions}."
            )
        if self.pinned_at and (self.canary_share or self.target != SERVER or not self.server_url):
            raise ConfigError(
                "Expected server_url, target 'server' and no canary_share beside pinned_at, "
                f"received {self.server_url!r}, {self.target!r} and {self.canary_share:g}: TF "
                "Serving does not divide its traffic."
            )
        if self.shadow_rows < 1 or not 0.0 <= self.min_agreement <= 1.0 or self.max_loss_ratio < 0:
            raise ConfigError(
                "Expected shadow_rows of at least 1, min_agreement of 0 to 1 and max_loss_ratio of "
                f"at least 0, received {self.shadow_rows}, {self.min_agreement:g} and "
                f"{self.max_loss_ratio:g}."
            )
        self._check_target()

    def _check_target(self) -> None:
        receiver = target_named(self.target)
        if receiver is not None:
            receiver.check_stages(self.rollout_stages)
        elif self.target == FOLDER and storage.is_remote(self.base_path):
            raise ConfigError(
                f"base_path of target {FOLDER!r} must be a folder, got {self.base_path!r}: a "
                "bucket has no rename, so no version can be proven before servers see it. Give "
                "server_url, so that the server proves it, or mount the bucket as a volume."
            )
        elif storage.is_remote(self.base_path) and self.canary_share:
            raise ConfigError(
                f"Expected a folder as base_path for canary_share, received {self.base_path!r}: "
                "loop-model-server, which divides its traffic, serves from folders."
            )
        elif self.target == SERVER and not self.server_url:
            raise ConfigError(
                "Expected server_url to push to a server, received no server_url. Give it, or set "
                f"target to {FOLDER!r} or {DEVICES!r}."
            )
        elif self.target == SERVER:
            # Refused when the pipeline is written, not when it has trained for hours.
            parts = urlsplit(self.server_url)
            self.credentials.check(parts.scheme, parts.hostname or "")

    @property
    def credentials(self) -> Credentials:
        """What is shown to the server."""
        return Credentials(
            token_file=self.token_file,
            ca_file=self.ca_file,
            certificate=self.client_certificate,
            key=self.client_key,
        )

    def _take(self, name: str, value: Any) -> None:
        """Takes a setting that stands in custom_config."""
        known = [n for n in field_types(type(self)) if n not in _PUSHER_ARGUMENTS]
        if name not in known:
            raise ConfigError(
                f"Expected settings of ServingPusher in custom_config, received {name!r}."
                f"{did_you_mean(name, known)} What a cloud's pusher reads there is for that pusher."
            )
        kind = field_types(type(self))[name]
        self._set(name, typed(kind, value, f"custom_config, {name} of ServingPusher"))

    def _set(self, name: str, value: Any) -> None:
        held, usual = getattr(self, name), defaults(type(self))[name]
        if held not in (usual, value):
            raise ConfigError(
                f"Expected one {name} of ServingPusher, received {held!r} and {value!r}. Give one."
            )
        object.__setattr__(self, name, value)


def _base_directory(push_destination: str) -> str:
    """Returns the folder of a PushDestination, as JSON; it knows file systems alone."""
    try:
        folder = json.loads(push_destination)["filesystem"]
        return str(folder.get("base_directory") or folder["baseDirectory"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            "Expected push_destination with filesystem.base_directory, received "
            f"{push_destination[:200]!r}. Give a PushDestination with a folder."
        ) from error
