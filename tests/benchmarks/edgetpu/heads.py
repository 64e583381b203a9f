"""The heads of detectors, at the sizes of models whose compiler logs are public.

The models themselves are not here: what their logs decide (which of the operators behind the
feature maps stay on the CPU) is put together from their published structure, operator by operator.
"""

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as tables

from tests.helpers.tflite_builder import TfliteBuilder

_STRIDES = (8, 16, 32)


class Head:
    """Adds operators to a graph whose tensors know their shapes."""

    def __init__(self) -> None:
        self.builder = TfliteBuilder()
        self.shapes: dict[int, list[int]] = {}

    def feature_map(self, side: int, depth: int) -> int:
        """A map that the network before the head computes."""
        tensor = self.builder.input([1, side, side, depth])
        self.shapes[tensor] = [1, side, side, depth]
        return self.conv(tensor, depth)

    def conv(self, source: int, filters: int) -> int:
        shape = self.shapes[source]
        output = self.builder.conv(source, shape, filters=filters)
        self.shapes[output] = [*shape[:-1], filters]
        return output

    def op(
        self,
        name: str,
        sources: Sequence[int],
        shape: Sequence[int],
        *constants: Sequence[int],
        version: int = 1,
        options: object = None,
        type_name: str = "INT8",
    ) -> int:
        inputs = [*sources, *(self.builder.constant(values) for values in constants)]
        output = self.builder.tensor(shape, type_name)
        self.shapes[output] = list(shape)
        return self.builder.op(name, inputs, output, version=version, options=options)

    def reshape(self, source: int, *shape: int) -> int:
        return self.op("RESHAPE", [source], [1, *shape], [1, *shape])

    def transpose(self, source: int, *order: int) -> int:
        shape = self.shapes[source]
        return self.op("TRANSPOSE", [source], [shape[axis] for axis in order], order)

    def concatenate(self, sources: Sequence[int], axis: int) -> int:
        shape = list(self.shapes[sources[0]])
        shape[axis] = sum(self.shapes[source][axis] for source in sources)
        options = tables.ConcatenationOptionsT()
        options.axis = axis
        return self.op("CONCATENATION", sources, shape, options=options)

    def slice(self, source: int, axis: int, first: int, last: int) -> int:
        shape = list(self.shapes[source])
        begin, end = [0] * len(shape), list(shape)
        begin[axis], end[axis], shape[axis] = first, last, last - first
        options = tables.StridedSliceOptionsT()
        return self.op(
            "STRIDED_SLICE", [source], shape, begin, end, [1] * len(shape), options=options
        )

    def same(self, name: str, *sources: int) -> int:
        return self.op(name, sources, self.shapes[sources[0]])

    def by_constant(self, name: str, source: int) -> int:
        constant = self.builder.constant(np.ones(self.shapes[source]), np.int8, scales=[0.1])
        output = self.builder.tensor(self.shapes[source])
        self.shapes[output] = self.shapes[source]
        return self.builder.op(name, [source, constant], output)

    def detections(self, boxes: int, scores: int) -> bytes:
        """Ends the model as TensorFlow's exporters do: in float, with the custom operator."""
        ends = [
            self.op("DEQUANTIZE", [source], self.shapes[source], type_name="FLOAT32")
            for source in (boxes, scores)
        ]
        output = self.builder.tensor([1, 10, 4], "FLOAT32")
        self.builder.op("TFLite_Detection_PostProcess", ends, output, custom_options=b"")
        return self.builder.content(output)


def _anchored(
    head: Head,
    maps: Sequence[int],
    anchors: Sequence[int],
    classes: int,
    *,
    requantised: int = 0,
) -> bytes:
    """Boxes and classes of every anchor of every map in one row each.

    The rows of the last `requantised` maps have scales of their own.
    """
    boxes, scores = [], []
    for source, count in zip(maps, anchors, strict=True):
        side = head.shapes[source][1]
        for rows, depth in ((boxes, 4), (scores, classes)):
            predicted = head.conv(source, count * depth)
            row = head.reshape(predicted, side * side * count, depth)
            if source in maps[len(maps) - requantised :]:
                row = head.same("QUANTIZE", row)
            rows.append(row)
    return head.detections(
        head.concatenate(boxes, 1), head.same("LOGISTIC", head.concatenate(scores, 1))
    )


def ssd(sides: Sequence[int], classes: int = 91) -> bytes:
    """SSD: 3 anchors a position on the first map, 6 on the others."""
    head = Head()
    maps = [head.feature_map(side, 64) for side in sides]
    return _anchored(head, maps, [3, *[6] * (len(sides) - 1)], classes, requantised=5)


def efficientdet(sides: Sequence[int], classes: int, depth: int) -> bytes:
    """EfficientDet: upsampling from map to map, 9 anchors a position."""
    head = Head()
    maps = [head.feature_map(side, depth) for side in sides]
    for at in range(len(sides) - 1, 0, -1):
        larger = head.shapes[maps[at - 1]]
        options = tables.ResizeNearestNeighborOptionsT()
        resized = head.op(
            "RESIZE_NEAREST_NEIGHBOR", [maps[at]], larger, larger[1:3], options=options
        )
        maps[at - 1] = head.same("ADD", maps[at - 1], resized)
    return _anchored(head, maps, [9] * len(maps), classes)


def fpnlite(sides: Sequence[int], classes: int = 2, depth: int = 16) -> bytes:
    """SSD with FPNLite, which upsamples by PACK of PACK, and 4 convolutions before each head."""
    head = Head()
    maps = [head.feature_map(side, depth) for side in sides]
    for at in (1, 0):
        side = head.shapes[maps[at + 1]][1]
        upsampled = maps[at + 1]
        for axis, shape in (
            (3, [1, side, side, 2, depth]),
            (2, [1, side, 2, side, 2, depth]),
        ):
            options = tables.PackOptionsT()
            options.axis, options.valuesCount = axis, 2
            upsampled = head.op("PACK", [upsampled, upsampled], shape, options=options)
        upsampled = head.reshape(upsampled, 2 * side, 2 * side, depth)
        maps[at] = head.conv(head.same("ADD", upsampled, maps[at]), depth)
    for at, tower in enumerate(maps):
        for _ in range(4):
            tower = head.conv(tower, depth)
        maps[at] = tower
    return _anchored(head, maps, [6] * len(maps), classes, requantised=4)


def yolo5(size: int, classes: int = 80, *, transposed: bool = False) -> bytes:
    """YOLOv5 as its TensorFlow export decodes it."""
    head, rows, width = Head(), [], 5 + classes
    for stride in _STRIDES:
        side = size // stride
        predicted = head.conv(head.feature_map(side, 32), 3 * width)
        at_anchors = head.reshape(predicted, side * side, 3, width)
        if transposed:
            at_anchors = head.transpose(at_anchors, 0, 2, 1, 3)
        sure = head.same("LOGISTIC", at_anchors)
        place = head.by_constant("ADD", head.slice(sure, 3, 0, 2))
        extent = head.same("MUL", *[head.slice(sure, 3, 2, 4)] * 2)
        whole = head.concatenate([place, extent, head.slice(sure, 3, 4, width)], 3)
        rows.append(head.reshape(whole, side * side * 3, width))
    return head.builder.content(head.concatenate(rows, 1))


def yolo8(size: int, classes: int = 80, *, moved_back: bool = False) -> bytes:
    """YOLOv8 as it comes by way of ONNX: channels first behind the feature maps.

    Some exports move the bins of the boxes back behind their SOFTMAX.
    """
    head, rows = Head(), []
    for stride in _STRIDES:
        side = size // stride
        source = head.feature_map(side, 32)
        both = head.concatenate([head.conv(source, 64), head.conv(source, classes)], 3)
        first = head.transpose(both, 0, 3, 1, 2)
        rows.append(head.reshape(first, 64 + classes, side * side))
    joined = head.concatenate(rows, 2)
    count = head.shapes[joined][2]
    boxes = head.reshape(head.slice(joined, 1, 0, 64), 4, 16, count)
    boxes = head.same("SOFTMAX", head.transpose(boxes, 0, 1, 3, 2))
    if moved_back:
        boxes = head.transpose(boxes, 0, 2, 1, 3)
    boxes = head.reshape(head.reshape(head.conv(boxes, 1), 1, 4, count), 4, count)
    low = head.by_constant("SUB", head.slice(boxes, 1, 0, 2))
    high = head.by_constant("ADD", head.slice(boxes, 1, 2, 4))
    middle = head.by_constant("MUL", head.same("ADD", low, high))
    extent = head.by_constant("MUL", head.same("SUB", high, low))
    scores = head.same("LOGISTIC", head.slice(joined, 1, 64, 64 + classes))
    return head.builder.content(head.concatenate([middle, extent, scores], 1))
