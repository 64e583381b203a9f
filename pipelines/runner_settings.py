"""Settings of the runner: a service for a loop's pipelines; without them they run in process."""

from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError

VERTEX, KUBEFLOW = "vertex", "kubeflow"
_NEEDED = {VERTEX: ("project", "location"), KUBEFLOW: ("host",)}
_OTHERS = {VERTEX: ("host", "namespace", "token_file"), KUBEFLOW: ("project", "location")}


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A service that runs the monitoring and the training pipeline.

    Attributes:
        on: `vertex` or `kubeflow`.
        image: Image of all nodes, `REPOSITORY@sha256:DIGEST`; holds tfx-loop and your own packages.
        root: Where outputs go, such as `gs://BUCKET/loop`; the bucket has to be there.
        project: Vertex: the project.
        location: Vertex: the location.
        endpoint: Vertex: another address than Google's.
        host: Kubeflow: address of its API.
        namespace: Kubeflow: of the runs; empty where it has one user.
        token_file: Kubeflow: file that holds a bearer token.
        experiment: Kubeflow: name of the runs' experiment.
        service_account: Whom the nodes act as; empty for the service's own.
        nodes: File of what single nodes are given (`loop compile --nodes`); empty for none.
        mounts: Absolute folders that every container has.
        first_hours: How long the first training is waited for; the service goes on with it, and the
            next step waits again.
    """

    on: str
    image: str
    root: str
    project: str = ""
    location: str = ""
    endpoint: str = ""
    host: str = ""
    namespace: str = ""
    token_file: str = ""
    experiment: str = "tfx-loop"
    service_account: str = ""
    nodes: str = ""
    mounts: tuple[str, ...] = ()
    # A day, as `loop submit --wait` waits. Chosen, not measured.
    first_hours: float = 24.0

    def __post_init__(self) -> None:
        if self.on not in _NEEDED:
            raise ConfigError(f"Expected on of the runner among vertex, kubeflow, got {self.on!r}.")
        if not self.image or "://" not in self.root:
            raise ConfigError(
                "Expected image and root of the runner, such as 'repository@sha256:…' and "
                f"'gs://bucket/loop', received {self.image!r} and {self.root!r}."
            )
        if not self.first_hours > 0:
            raise ConfigError(f"first_hours of the runner must be above 0, got {self.first_hours}.")
        lacking = [name for name in _NEEDED[self.on] if not getattr(self, name)]
        if lacking:
            raise ConfigError(f"Expected {', '.join(lacking)} of a runner on {self.on}, got none.")
        strange = [name for name in _OTHERS[self.on] if getattr(self, name)]
        if strange:
            raise ConfigError(f"Expected no {', '.join(strange)} of a runner on {self.on}.")
