"""Targets of a compression: what is to be gained within the budget."""

from enum import Enum


class CompressionTarget(str, Enum):
    """What is to be gained."""

    SMALLEST = "smallest"
    # Of the zip that it travels in, where zeros and repeated weights count.
    SMALLEST_ZIPPED = "smallest_zipped"
    FASTEST = "fastest"
    EDGE_TPU = "edge_tpu"
