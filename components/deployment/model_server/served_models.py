"""The models of a server by name, as its configuration has them now."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from tfx_loop.core.errors import LoopError, ModelRejected
from tfx_loop.deployment.model_server.model_config import ModelConfig
from tfx_loop.deployment.model_server.service import ModelService, wanted_servable
from tfx_loop.deployment.model_server.version_status import VersionStatus
from tfx_loop.deployment.model_server.versions import unknown_label

_LOG = logging.getLogger(__name__)


class LabelUnavailableError(LoopError):
    """A configuration gives a label to a version that does not answer."""


class ModelUnavailableError(LoopError):
    """A model of a new configuration has no version that loads."""


class ServedModels:
    """Services by model name; asked by many threads, configured by one at a time."""

    def __init__(
        self,
        make: Callable[[ModelConfig], ModelService],
        read_config: Callable[[], Sequence[ModelConfig]] | None = None,
    ) -> None:
        """Serves no model before `configure`.

        Args:
            make: Makes the service of a model that is new, or has another base path.
            read_config: Returns the configuration as its file is now; None where there is none.
        """
        self._make = make
        self._read_config = read_config
        self._lock = threading.Lock()
        self._complaint = ""
        self._last_read: Sequence[ModelConfig] = ()
        # Replaced by one assignment, which is atomic: requests read it without a lock.
        self._services: Mapping[str, ModelService] = {}

    @property
    def services(self) -> Mapping[str, ModelService]:
        """The services by name, in the order of the configuration."""
        return self._services

    def find(self, name: str, version: int | None = None, label: str | None = None) -> ModelService:
        """Returns the service of a model.

        Args:
            name: What a request calls it.
            version: Which version is asked for, for the message.
            label: Or its label.

        Raises:
            ModelRejected: No such model is served; in the words of TF Serving.
            DataError: Nor has it that label, which is what TF Serving says first.
        """
        service = self._services.get(name)
        if service is None and label is not None:
            raise unknown_label(label)
        if service is None:
            raise ModelRejected(f"Servable not found for request: {wanted_servable(name, version)}")
        return service

    def statuses(
        self, name: str, version: int | None, label: str | None = None
    ) -> list[VersionStatus]:
        """Returns the states of a model's versions; raises as ModelService.statuses."""
        service = self._services.get(name)
        if service is None:
            wanted = "any versions" if version is None else f"version {version}"
            raise ModelRejected(f"Could not find {wanted} of model {name}")
        return service.statuses(version, label)

    def configure(self, configs: Sequence[ModelConfig]) -> None:
        """Serves these models and no others; a model that stays keeps its loaded versions."""
        with self._lock:
            before = self._services
            now: dict[str, ModelService] = {}
            for config in configs:
                service = before.get(config.name)
                if service is None or service.config.base_path != config.base_path:
                    _LOG.info("model=%s base_path=%s state=added", config.name, config.base_path)
                    moved = service is not None
                    service = self._make(config)
                    if moved:
                        # The model serves on from its old base path while the new one is loaded.
                        _poll(service)
                else:
                    service.config = config
                now[config.name] = service
            for name in before.keys() - now.keys():
                _LOG.info("model=%s state=removed", name)
            self._services = now

    def reconfigure(self, configs: Sequence[ModelConfig]) -> None:
        """Configures and loads at once.

        Raises:
            ModelUnavailableError: A model has no version that answers by now; others serve.
            LabelUnavailableError: A label names a version that does not answer by now.
        """
        self.configure(configs)
        self.poll_models()
        without = [name for name, s in self._services.items() if s.serving_version() is None]
        if without:
            raise ModelUnavailableError(
                f"{len(without)} model(s) did not become available: {', '.join(without)}"
            )
        for service in self._services.values():
            answering = service.labels()
            for label, version in service.config.labels.items():
                if answering.get(label) != version:
                    raise LabelUnavailableError(
                        f"Request to assign label to version {version} of model "
                        f"{service.model_name}, which is not currently available for inference"
                    )

    def poll_config(self) -> None:
        """Looks at the configuration's file; one that cannot be read changes nothing."""
        if self._read_config is None:
            return
        try:
            configs = tuple(self._read_config())
            self._complaint = ""
        except (LoopError, OSError) as error:
            # Half-written, perhaps: what is configured serves on. Said once.
            if str(error) != self._complaint:
                self._complaint = str(error)
                _LOG.error("model_config state=unchanged error=%s", error)
            return
        # A configuration that came by a call stands until the file says something new.
        if configs != self._last_read:
            self._last_read = configs
            self.configure(configs)
            self.poll_models()

    def poll_models(self) -> None:
        """Looks at each model's folders."""
        for service in self._services.values():
            _poll(service)


def _poll(service: ModelService) -> None:
    try:
        service.poll()
    except Exception:
        # A file system that is away comes back: what is loaded serves on.
        _LOG.exception("cannot look at the base path of model=%s", service.model_name)
