"""Limits by size, at the sizes that published compiler logs show."""

from collections.abc import Sequence
from typing import Any

import pytest
from one_operator import MAPPED, NOT_MAPPED, UNKNOWN, one, options

from tfx_loop.contracts.edgetpu_report import MappingCode, MappingStatus


def transpose(shape: Sequence[int], order: Sequence[int]) -> tuple[MappingStatus, MappingCode]:
    return one("TRANSPOSE", shape, [shape[axis] for axis in order], order)


def test_a_transpose_moves_little_or_nothing() -> None:
    assert transpose([1, 24, 24, 144], [0, 3, 1, 2])[0] is MAPPED
    assert transpose([1, 28, 28, 128], [0, 3, 1, 2])[0] is UNKNOWN
    assert transpose([1, 4, 16, 2100], [0, 1, 3, 2])[0] is NOT_MAPPED
    assert transpose([1, 3, 224, 224], [0, 2, 3, 1]) == (NOT_MAPPED, MappingCode.SIZE)
    assert transpose([1, 1, 224, 672], [0, 2, 1, 3])[0] is MAPPED, "nothing moves in memory"


def resize(
    kind: str, before: int, after: int, depth: int = 8, **fields: Any
) -> tuple[MappingStatus, MappingCode]:
    return one(
        f"RESIZE_{kind}",
        [1, before, before, depth],
        [1, after, after, depth],
        [after, after],
        version=3,
        table=options(
            {"BILINEAR": "ResizeBilinear", "NEAREST_NEIGHBOR": "ResizeNearestNeighbor"}[kind],
            **fields,
        ),
    )


def test_resizes() -> None:
    assert resize("BILINEAR", 24, 48, halfPixelCenters=True)[0] is MAPPED
    assert resize("BILINEAR", 33, 65, alignCorners=True)[0] is MAPPED, "two steps each"
    assert resize("BILINEAR", 33, 66, alignCorners=True)[0] is UNKNOWN
    assert resize("BILINEAR", 33, 65)[0] is UNKNOWN
    assert resize("BILINEAR", 8, 32)[0] is MAPPED
    assert resize("BILINEAR", 8, 64) == (UNKNOWN, MappingCode.SIZE)
    assert resize("BILINEAR", 1, 33, alignCorners=True) == (NOT_MAPPED, MappingCode.LIMITATION)
    assert resize("NEAREST_NEIGHBOR", 1, 2) == (NOT_MAPPED, MappingCode.LIMITATION)
    assert resize("BILINEAR", 256, 512, depth=32) == (NOT_MAPPED, MappingCode.SIZE)
    assert resize("BILINEAR", 33, 513, depth=21, alignCorners=True) == (
        NOT_MAPPED,
        MappingCode.SIZE,
    )
    assert resize("NEAREST_NEIGHBOR", 40, 80, depth=224)[0] is MAPPED
    assert resize("NEAREST_NEIGHBOR", 40, 80, depth=225)[0] is UNKNOWN
    assert resize("NEAREST_NEIGHBOR", 3, 5)[0] is MAPPED
    assert resize("NEAREST_NEIGHBOR", 8, 32)[0] is UNKNOWN


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([1, 1917, 91], MAPPED),
        ([1, 2034, 91], MAPPED),
        ([1, 2352, 85], NOT_MAPPED),
        ([1, 80, 8400], NOT_MAPPED),
        ([1, 57600, 3], NOT_MAPPED),
        ([1, 14400, 3], MAPPED),
        ([1, 200_000], MAPPED),
        ([1, 784, 3, 85], MAPPED),
    ],
)
@pytest.mark.parametrize("op", ["RESHAPE", "LOGISTIC", "TANH", "CONCATENATION"])
def test_a_row_of_positions_is_short(op: str, shape: list[int], expected: MappingStatus) -> None:
    """Anchors by classes: SSD's of 300 and 320, YOLO's of 224 and 640, EfficientDet-Lite4's."""
    constants = [shape] if op == "RESHAPE" else []
    table = options("Concatenation", axis=1) if op == "CONCATENATION" else None
    assert one(op, shape, shape, *constants, table=table)[0] is expected


def test_a_map_may_be_large() -> None:
    assert one("LOGISTIC", [1, 512, 512, 32], [1, 512, 512, 32])[0] is MAPPED
    assert one("RESHAPE", [1, 28, 28, 255], [1, 784, 3, 85], [1, 784, 3, 85])[0] is MAPPED
    assert one("RESHAPE", [1, 40, 40, 255], [1, 1600, 3, 85], [1, 1600, 3, 85])[0] is MAPPED
    assert one("RESHAPE", [1, 40, 40, 300], [1, 1600, 3, 100], [1, 1600, 3, 100])[0] is UNKNOWN
    assert one("RESHAPE", [1, 64, 8400], [1, 4, 16, 8400], [1, 4, 16, 8400])[0] is NOT_MAPPED
