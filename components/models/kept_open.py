"""Models kept open in a child process, for a parent that is asked again and again.

Opening and tracing a Keras model takes seconds, and one compression needs its parent for checks,
answers, conversion and facts. The child lives as long as the search, so what it opened last is
kept, until its file changes. What is kept is shared: it is asked, never changed; a model that is to
be trained is loaded anew.
"""

import functools
from collections.abc import Sequence
from typing import Any

from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.guard import guard
from tfx_loop.models.predictor import Predictor, open_predictor

# A parent and its child.
_KEPT = 2
# Larger models are opened anew: kept, they take the child to the size at which it is replaced.
_MOST_BYTES = 500_000_000


def kept_predictor(
    file: ModelFile, *, signature: str | None = None, custom_objects: Sequence[str] = ()
) -> Predictor:
    """Returns a model, opened in this process; arguments and errors as of `open_predictor`.

    TFLite files open in milliseconds and are not kept.
    """
    state = state_of(file)
    if file.format is Format.TFLITE or state is None:
        return open_predictor(file, signature=signature, custom_objects=custom_objects)
    return _predictor(file, state, signature, tuple(custom_objects))


def kept_keras(file: ModelFile, custom_objects: Sequence[str] = ()) -> Any:
    """Returns the tf_keras model of a file; errors as of `load_keras`."""
    from tfx_loop.models.keras.model import load_keras

    state = state_of(file)
    if state is None:
        return load_keras(file, custom_objects=custom_objects)
    return _keras(file, state, tuple(custom_objects))


@functools.lru_cache(maxsize=_KEPT)
def _predictor(
    file: ModelFile, state: object, signature: str | None, custom_objects: tuple[str, ...]
) -> Predictor:
    if file.format is Format.SAVED_MODEL:
        return open_predictor(file, signature=signature)
    from tfx_loop.models.keras.model import KerasPredictor

    return KerasPredictor.of(_keras(file, state, custom_objects), str(file.path))


@functools.lru_cache(maxsize=_KEPT)
def _keras(file: ModelFile, state: object, custom_objects: tuple[str, ...]) -> Any:
    from tfx_loop.models.keras.model import load_keras

    return load_keras(file, custom_objects=custom_objects)


def state_of(file: ModelFile) -> tuple[tuple[str, int, int], ...] | None:
    """Returns what tells a model from another at its path; None where it is too large to keep."""
    root = file.path
    found = []
    for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
        known = path.stat()
        found.append((str(path), known.st_size, known.st_mtime_ns))
    # A model that was let pass is not kept for when its exception no longer holds.
    found += [(name, 0, 0) for name in guard.excepted()]
    return None if sum(size for _, size, _ in found) > _MOST_BYTES else tuple(found)
