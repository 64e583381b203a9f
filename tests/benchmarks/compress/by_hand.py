"""What a user would do without this project: TFLiteConverter as its documentation begins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def convert(payload: Mapping[str, Any]) -> None:
    """Converts a SavedModel and writes the file; runs in the child.

    Args:
        payload: `saved_model`, `optimize` (whether with Optimize.DEFAULT) and `out`.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(payload["saved_model"])
    if payload["optimize"]:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    Path(payload["out"]).write_bytes(converter.convert())
