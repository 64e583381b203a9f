"""What published compiler logs say of a detector's head, and what the analyser says.

`python -m tests.benchmarks.edgetpu.published`. A log counts operators by operation and status, so
counts are compared, not operators: weaker evidence than a compiled twin.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.benchmarks.edgetpu import heads
from tfx_loop.contracts.edgetpu_report import MappingStatus
from tfx_loop.edge.edgetpu_compiler.rules.analyser import analyse

_BEHIND_THE_ROWS = {
    "STRIDED_SLICE": 4,
    "CONCATENATION": 2,
    "LOGISTIC": 1,
    "SOFTMAX": 1,
    "CONV_2D": 1,
    "SUB": 2,
    "ADD": 2,
    "MUL": 2,
}
_EXPORTED = {"DEQUANTIZE": 2, "TFLite_Detection_PostProcess": 1}


@dataclass(frozen=True)
class PublishedLog:
    """One log.

    Attributes:
        model: What was compiled.
        source: Where the log stands, and the compiler's version.
        head: Builds the part of the model that the log decides.
        left: By operation, how many of the head's operators the log shows on the CPU.
        mapped: By operation, how many it shows mapped, where that is decided by size.
        multiple_subgraphs: Whether it was compiled with `-a`.
        ignored: Operations whose number in the model is not known.
    """

    model: str
    source: str
    head: Callable[[], bytes]
    left: Mapping[str, int]
    mapped: Mapping[str, int]
    multiple_subgraphs: bool = False
    ignored: frozenset[str] = frozenset()


LOGS = (
    PublishedLog(
        "SSD MobileNet v2 of the TF2 zoo, 91 classes",
        "15.0, AxisCommunications/acap3-examples issue 47",
        lambda: heads.ssd((19, 10, 5, 3, 2, 1)),
        _EXPORTED,
        {"RESHAPE": 12, "QUANTIZE": 10, "CONCATENATION": 2, "LOGISTIC": 1},
    ),
    PublishedLog(
        "SSD MobileNet v2 FPNLite 320x320",
        "16.0, clsandoval/coral_tpu",
        lambda: heads.fpnlite((40, 20, 10, 5, 3)),
        {"PACK": 4, "RESHAPE": 6, "ADD": 2, "CONV_2D": 14, "QUANTIZE": 8}
        | {"CONCATENATION": 2, "LOGISTIC": 1}
        | _EXPORTED,
        {"RESHAPE": 6},
    ),
    PublishedLog(
        "EfficientDet-Lite0, 3 classes",
        "16.0, SotirisKar/Helmet-Detection and kierankyllo/safety-vision",
        lambda: heads.efficientdet((40, 20, 10, 5, 3), 3, 64),
        _EXPORTED,
        {"RESHAPE": 10, "CONCATENATION": 2, "LOGISTIC": 1, "RESIZE_NEAREST_NEIGHBOR": 4},
    ),
    PublishedLog(
        "EfficientDet-Lite4, 3 classes, with -a",
        "16.0, kierankyllo/safety-vision",
        lambda: heads.efficientdet((80, 40, 20, 10, 5), 3, 224),
        {"RESHAPE": 2, "CONCATENATION": 2, "LOGISTIC": 1} | _EXPORTED,
        {"RESHAPE": 8, "RESIZE_NEAREST_NEIGHBOR": 4},
        multiple_subgraphs=True,
    ),
    PublishedLog(
        "YOLOv5s 160x160",
        "16.0, jveitchmichaelis/edgetpu-yolo",
        lambda: heads.yolo5(160),
        {},
        {"RESHAPE": 6, "CONCATENATION": 4, "STRIDED_SLICE": 9},
    ),
    PublishedLog(
        "YOLOv5s 224x224, transposed, with -a",
        "16.0, jveitchmichaelis/edgetpu-yolo, export.md",
        lambda: heads.yolo5(224, transposed=True),
        {"RESHAPE": 1, "TRANSPOSE": 1, "CONCATENATION": 1},
        {"RESHAPE": 5, "TRANSPOSE": 2},
        multiple_subgraphs=True,
    ),
    PublishedLog(
        "YOLOv5n 640x640",
        "16.0, Sandhya1708/modelnew",
        lambda: heads.yolo5(640),
        {"RESHAPE": 3, "CONCATENATION": 2, "STRIDED_SLICE": 3, "ADD": 1},
        {"RESHAPE": 3, "STRIDED_SLICE": 6, "ADD": 2},
        # Versions of the export differ in how many of these they decode with.
        ignored=frozenset({"LOGISTIC", "MUL"}),
    ),
    PublishedLog(
        "YOLOv8s 192x192",
        "16.0, jveitchmichaelis/edgetpu-yolo",
        lambda: heads.yolo8(192),
        {},
        {"SOFTMAX": 1, "LOGISTIC": 1},
    ),
    PublishedLog(
        "YOLOv8n 320x320",
        "16.0, MRezqalla/GoalBuddy (read after the rules were written)",
        lambda: heads.yolo8(320, moved_back=True),
        {"TRANSPOSE": 3, "RESHAPE": 4} | _BEHIND_THE_ROWS,
        {"TRANSPOSE": 2, "RESHAPE": 2},
    ),
    PublishedLog(
        "YOLOv8n 640x640",
        "16.0, nerbivol/edgetpu_lite",
        lambda: heads.yolo8(640),
        {"TRANSPOSE": 3, "RESHAPE": 5} | _BEHIND_THE_ROWS,
        {"TRANSPOSE": 1, "RESHAPE": 1},
    ),
    PublishedLog(
        "YOLOv8n 640x640, earlier export",
        "16.0, MaxwellHogan/coral_wifi_webserver (read after the rules were written)",
        lambda: heads.yolo8(640, moved_back=True),
        {"TRANSPOSE": 4, "RESHAPE": 5} | _BEHIND_THE_ROWS,
        {"TRANSPOSE": 1, "RESHAPE": 1},
    ),
)


def compare(log: PublishedLog) -> tuple[Counter[str], Counter[str], int]:
    """Returns what the analyser leaves on the CPU and maps, by operation, and how much is open."""
    counts = {status: Counter[str]() for status in MappingStatus}
    for operator in analyse(log.head(), multiple_subgraphs=log.multiple_subgraphs).operators:
        if operator.op not in log.ignored:
            counts[operator.status][operator.op] += 1
    return (
        counts[MappingStatus.NOT_MAPPED],
        counts[MappingStatus.MAPPED],
        counts[MappingStatus.UNKNOWN].total(),
    )


def main() -> None:
    """Prints the table of RESULTS.md."""
    print("| model | left by the compiler | left by the analyser | unknown | source |")
    print("|---|---|---|---|---|")
    for log in LOGS:
        left, _, unknown = compare(log)
        agreed = "the same" if left == log.left else _shown(left)
        print(f"| {log.model} | {_shown(log.left)} | {agreed} | {unknown} | {log.source} |")


def _shown(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {op}" for op, count in sorted(counts.items())) or "nothing"


if __name__ == "__main__":
    main()
