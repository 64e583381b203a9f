"""Bundles around a real int8 model of one matrix product, made by `make_tiny_model.py`."""

from pathlib import Path

import numpy as np
from tflite_builder import TfliteBuilder

from tfx_loop.edge.edge_bundle.bundle import BundleParts, build_bundle
from tfx_loop.models.tflite.model import EDGETPU_CUSTOM_OP

MODEL = Path(__file__).with_name("tiny_int8.tflite")
ROWS = np.random.default_rng(2).uniform(-1, 1, (3, 4)).astype(np.float32)


def parts(label="a", **changed):
    """Another label gives another digest."""
    settings = {
        "name": "tiny",
        "cpu_model": MODEL,
        "golden_rows": {"x": ROWS},
        "labels": [label, "b", "c"],
        "minimum_runtime": {"edge_tpu": 14},
    }
    return BundleParts(**{**settings, **changed})


def build(folder, label="a", **changed):
    return build_bundle(parts(label, **changed), folder)


def compiled_model():
    """Returns a .tflite file of one operator for the Edge TPU."""
    builder = TfliteBuilder()
    given = builder.input((1, 4))
    output = builder.tensor((1, 4))
    return builder.content(builder.op(EDGETPU_CUSTOM_OP, [given], output))
