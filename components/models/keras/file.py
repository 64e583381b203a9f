"""Check that the Keras of this environment can load a file, told from its configuration.

The guard (models/guard/) has read it before and judged what loading would run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tfx_loop.core.errors import ModelError, first_line
from tfx_loop.models.formats import detect
from tfx_loop.models.guard.hdf5 import Hdf5Reader
from tfx_loop.models.guard.keras_config import VouchedObjects
from tfx_loop.models.guard.keras_file import KerasContent, read_keras

_GRAPH_MODELS = ("Functional", "Sequential", "Model")


def check_loadable(content: KerasContent, path: Path, custom_objects: Sequence[str] = ()) -> None:
    """Checks that a file holds a functional or Sequential model of Keras 2.

    Args:
        content: What the file says of itself.
        path: Its name for messages.
        custom_objects: Import paths `module:Name` that the user vouches for.

    Raises:
        ModelError: It is of Keras 3, or subclassed.
    """
    if _is_keras_3(content):
        raise ModelError(
            f"Expected a model of Keras 2 (tf_keras) in {path}, received one that Keras "
            f"{content.version} wrote. Give the folder that its model.export(folder) writes, or "
            "build and save it with tf_keras."
        )
    check_known_class(content, path, custom_objects)


def check_known_class(
    content: KerasContent, path: Path, custom_objects: Sequence[str] = ()
) -> None:
    """Checks that a file holds a functional or Sequential model, of any Keras.

    Raises:
        ModelError: It is subclassed, and nobody vouches for its class.
    """
    name = str(content.config["class_name"])
    if name in _GRAPH_MODELS or name in {each.partition(":")[2] for each in custom_objects}:
        return
    raise ModelError(
        f"Expected a functional or Sequential Keras model in {path}, received the subclassed "
        f"{name!r}, whose code is not in the file. Save it as a SavedModel (model.export), or "
        "build it functionally for what needs its layers."
    )


def is_of_keras_3(path: Path) -> bool:
    """Says whether Keras 3 wrote a file, which tf_keras cannot load.

    Raises:
        ModelError: It is damaged.
    """
    with Hdf5Reader() as reader:
        return _is_keras_3(read_keras(detect(path), VouchedObjects.of(()), reader, path))


def _is_keras_3(content: KerasContent) -> bool:
    major = content.version.split(".")[0]
    # Keras 3 writes other configurations into the same .keras archive; tf_keras cannot read them.
    return major.isdigit() and int(major) >= 3


@contextmanager
def load_errors_told(where: Path | str) -> Iterator[None]:
    """Turns whatever a damaged file makes Keras raise into one line.

    Raises:
        ModelError: Keras did not load the file.
    """
    try:
        yield
    except Exception as error:
        raise ModelError(
            f"Expected a Keras model that loads in {where}, received {type(error).__name__}: "
            f"{first_line(error)} If it names a layer or function of yours, give it in "
            "custom_objects as 'module:Name'; else save it again."
        ) from error
