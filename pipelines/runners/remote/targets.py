"""The services that run compiled pipelines, and what each of them takes."""

import enum


class Target(enum.Enum):
    """A service that runs compiled pipelines."""

    VERTEX = "vertex"
    KUBEFLOW = "kubeflow"

    @property
    def schemes(self) -> tuple[str, ...]:
        """Schemes of the URIs that its tasks reach, with `://`."""
        return _SCHEMES[self]


_SCHEMES = {
    Target.VERTEX: ("gs://",),
    # KFP's launcher has a provider for each of these, and no other.
    Target.KUBEFLOW: ("gs://", "s3://", "minio://"),
}
