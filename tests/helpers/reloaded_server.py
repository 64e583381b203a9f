"""TF Serving's ModelService over gRPC, as far as a pusher that pins versions uses it.

It stands for `tensorflow_model_server`, which is not to be had as a package: versions of a
`specific` policy are loaded from their folders or buckets, a label may stand for a loaded version
alone, and a request that names no version is answered by a model's highest one.
"""

from collections.abc import Callable, Iterable
from concurrent import futures

import grpc
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
)

_STATES = get_model_status_pb2.ModelVersionStatus.State


class ReloadedServer(model_service_pb2_grpc.ModelServiceServicer):
    """A server of many models; `whole` says which versions of a base path can be loaded."""

    def __init__(self, whole: Callable[[str], Iterable[int]], *, takes_labels: bool = True) -> None:
        self.whole, self.takes_labels = whole, takes_labels
        self.loaded: dict[str, dict[int, str]] = {}
        self.labels: dict[str, dict[str, int]] = {}
        # What answered each name after each configuration.
        self.answered: dict[str, list[int]] = {}
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self, self.server)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def stop(self) -> None:
        """Stops it at once."""
        self.server.stop(0).wait()

    def serving(self, name: str) -> int | None:
        """Returns the version that answers requests that name none."""
        states = self.loaded.get(name, {})
        return max((v for v, state in states.items() if state == "AVAILABLE"), default=None)

    def HandleReloadConfigRequest(self, request, context):  # noqa: N802 - gRPC's name
        """Takes a configuration whole, or refuses it."""
        before, loaded = self.loaded, {}
        for model in request.config.model_config_list.config:
            versions = model.model_version_policy.specific.versions
            if not versions or model.model_platform != "tensorflow":
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no versions of {model.name}")
            available = [v for v, s in before.get(model.name, {}).items() if s == "AVAILABLE"]
            if model.version_labels and not self.takes_labels:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "labels are not taken")
            for label, version in model.version_labels.items():
                if version not in available:
                    told = f"label {label} for version {version}, which is not available"
                    context.abort(grpc.StatusCode.FAILED_PRECONDITION, told)
            whole = set(self.whole(model.base_path))
            states = {v: "AVAILABLE" if v in whole else "END" for v in versions}
            if "END" in states.values() and available:
                # The version before serves on until the new one has loaded.
                states |= dict.fromkeys(available, "AVAILABLE")
            loaded[model.name] = states
            self.labels[model.name] = dict(model.version_labels)
        self.loaded = loaded
        for name in loaded:
            self.answered.setdefault(name, []).append(self.serving(name))
        return model_management_pb2.ReloadConfigResponse()

    def GetModelStatus(self, request, context):  # noqa: N802 - gRPC's name
        """Returns the states of a model's versions."""
        name = request.model_spec.name
        if name not in self.loaded:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, state in self.loaded[name].items():
            shown = response.model_version_status.add(version=version, state=_STATES.Value(state))
            if state == "END":
                shown.status.error_message = "cannot parse"
        return response
