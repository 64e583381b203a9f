"""The graph of TFX's Transform, opened behind the guard of model files like any other."""

import tempfile
from pathlib import Path
from typing import Any

from tfx_loop.models.fetching import local_folder
from tfx_loop.models.formats import detect
from tfx_loop.models.guard import guard


def open_transform(uri: str) -> Any:
    """Returns `tft.TFTransformOutput` of a TransformGraph artifact.

    Raises:
        ModelUnsafe: Running it would do what it should not.
        ModelError: It is damaged, or none.
    """
    import tensorflow_transform as tft

    graph = f"{uri.rstrip('/')}/{tft.TFTransformOutput.TRANSFORM_FN_DIR}"
    with tempfile.TemporaryDirectory(prefix="loop-transform-") as scratch:
        guard.check(detect(local_folder(graph, Path(scratch))))
    return tft.TFTransformOutput(uri)
