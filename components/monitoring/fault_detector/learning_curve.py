"""The learning curve that a Trainer left: the losses of TensorBoard's event files."""

from collections import defaultdict

import numpy as np

from tfx_loop.contracts.fault_report import LearningCurve

# What Keras' TensorBoard callback calls an epoch's loss, and what TensorFlow's Estimators do.
_TAGS = ("epoch_loss", "loss")
# The folder that each writer puts its validation losses in: Keras, Estimators, and PyTorch's users.
_VALIDATION = ("validation", "eval", "val")


def read_curve(folder: str) -> LearningCurve | None:
    """Returns the losses by epoch below a folder; None where there are none.

    Args:
        folder: Such as the Trainer's `model_run`, local or remote.
    """
    from tfx.dsl.io import fileio

    if not folder or not fileio.exists(folder):
        return None
    found: dict[bool, dict[int, float]] = defaultdict(dict)
    for place, _, names in fileio.walk(folder):
        # TFX's fileio walks in bytes or text, by file system.
        path = place.decode() if isinstance(place, bytes) else str(place)
        validation = path.rstrip("/").rsplit("/", 1)[-1] in _VALIDATION
        for name in sorted(str(n) for n in names):
            if ".tfevents." in name:
                found[validation] |= _losses(f"{path}/{name}")
    training, own = (
        tuple(found[side][step] for step in sorted(found[side])) for side in (False, True)
    )
    if not training and not own:
        return None
    return LearningCurve(training=training, validation=own)


def _losses(path: str) -> dict[int, float]:
    """Returns the losses of one file by step."""
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    by_tag: dict[str, dict[int, float]] = defaultdict(dict)
    try:
        for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                if value.tag in _TAGS:
                    plain = value.HasField("simple_value")
                    made = value.simple_value if plain else tf.make_ndarray(value.tensor)
                    if np.size(made) == 1 and np.isfinite(made):
                        by_tag[value.tag][event.step] = float(made)
    except tf.errors.DataLossError:
        pass  # A training that was killed leaves half a record at the end.
    return next((by_tag[tag] for tag in _TAGS if by_tag[tag]), {})
