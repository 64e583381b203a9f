"""The node that pushes: to a model server, or to an endpoint of SageMaker."""

from typing import Any

from tfx_loop.deployment.sagemaker_pusher.component import SageMakerPusher
from tfx_loop.deployment.serving_pusher.component import ServingPusher
from tfx_loop.pipelines.config import Settings


def pusher_of(settings: Settings, **inputs: Any) -> Any:
    """Returns the node that pushes to the SageMaker endpoint of the settings, or to a server.

    Args:
        settings: What is served where.
        inputs: Channels: `model`, `examples`, `reference_profile`, and what else the node takes.
    """
    serving = settings.serving
    shared = {
        "base_path": serving.base_path,
        "model_name": settings.model.name,
        "redact": settings.model.redact,
        "code_revision": settings.pipeline.code_revision,
        **inputs,
    }
    if serving.endpoint:
        return SageMakerPusher(**shared, **serving.endpoint)
    return ServingPusher(
        **shared,
        server_url=serving.server_url,
        load_timeout_seconds=serving.load_timeout_seconds,
    )
