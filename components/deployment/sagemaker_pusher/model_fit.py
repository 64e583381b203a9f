"""Check that a container's image can run a model, made before anything is sent to AWS."""

from pathlib import Path

from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.sagemaker_pusher.archive import check_model
from tfx_loop.deployment.sagemaker_pusher.names import image_of, minor_version
from tfx_loop.models.saved_model.graph import read_graph

# The newest tag of tensorflow-inference in AWS' list of Deep Learning Containers.
NEWEST_IMAGE = (2, 20)


def check_fit(model_dir: Path, image: str) -> None:
    """Checks that a SavedModel can be archived, and that an image is as new as its TensorFlow.

    An operation that a newer TensorFlow brought fails in the container, where the service says no
    more than that its ping failed. Images of others tell no version.

    Raises:
        ConfigError: The image is of an older TensorFlow than the model's.
        ModelError: It is no SavedModel that can be archived.
    """
    check_model(model_dir)
    written = minor_version(str(read_graph(model_dir).meta_info_def.tensorflow_version))
    served = image_of(image).tensorflow
    if written is None or served is None or served >= written:
        return
    newest = "{}.{}".format(*NEWEST_IMAGE)
    remedy = f"Take an image of {written[0]}.{written[1]} or newer"
    if written > NEWEST_IMAGE:
        remedy = f"The newest image known is {newest}: train with that, or bring an image"
    raise ConfigError(
        f"Expected an image of TensorFlow {written[0]}.{written[1]}, which wrote the model, or "
        f"newer, received {served[0]}.{served[1]}: {image}. {remedy}."
    )
