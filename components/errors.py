"""Which errors does tfx-loop raise, and who catches them?

    LoopError
    ├── ConfigError         a setting is wrong; the caller mends it and starts again
    ├── DataError           rows, files or labels are not what was expected
    ├── ServingError        the model server did not do what it was asked
    │   ├── ServerUnavailable   it does not answer
    │   └── ModelRejected       it answers, and will not serve this version
    └── PipelineFailed      a node of a pipeline run failed

Every message says what was expected, what came, and what to do.
"""

__all__ = [
    "ConfigError",
    "DataError",
    "LoopError",
    "ModelRejected",
    "PipelineFailed",
    "ServerUnavailable",
    "ServingError",
]


class LoopError(Exception):
    """Base of every error that tfx-loop raises on purpose."""


class ConfigError(LoopError, ValueError):
    """A setting has a value that cannot work."""


class DataError(LoopError, ValueError):
    """Rows, files or labels are not what was expected."""


class ServingError(LoopError):
    """The model server did not do what it was asked."""


class ServerUnavailable(ServingError):
    """The model server does not answer."""


class ModelRejected(ServingError):
    """The model server answers, and will not serve this version."""


class PipelineFailed(LoopError):
    """A node of a pipeline run failed."""
