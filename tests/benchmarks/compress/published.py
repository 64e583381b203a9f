"""What others publish for the same techniques: not measured here, and on other data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedFigure:
    """A figure that somebody else measured.

    Attributes:
        technique: Which.
        network: Theirs, and the data.
        figure: What it came to.
        source: Where it stands.
    """

    technique: str
    network: str
    figure: str
    source: str


RESNET8_FLOAT_BYTES, RESNET8_INT8_BYTES = 318_144, 98_496
_TINY = (
    "mlcommons/tiny, benchmark/training/image_classification/trained_models: "
    "pretrainedResnet.tflite, pretrainedResnet_quant.tflite"
)
_CLUSTERING = "tensorflow.org/model_optimization/guide/clustering, Results"
_PRUNING = "tensorflow.org/model_optimization/guide/pruning, Results"

PUBLISHED = (
    PublishedFigure(
        "int8",
        "ResNet-8, CIFAR-10",
        f"{RESNET8_FLOAT_BYTES:,} to {RESNET8_INT8_BYTES:,} bytes, 3.2 times smaller",
        _TINY,
    ),
    PublishedFigure(
        "pruned 2:4", "DS-CNN-L, SpeechCommands", "0.9 points of accuracy lost", _PRUNING
    ),
    PublishedFigure("pruned 50 %", "InceptionV3, ImageNet", "78.1 to 78.0 % top-1", _PRUNING),
    PublishedFigure("pruned 50 %", "MobilenetV1 224, ImageNet", "71.04 to 70.84 % top-1", _PRUNING),
    PublishedFigure(
        "clustered",
        "DS-CNN-L, SpeechCommands",
        "3.7 times smaller zipped; in the guide's edition of 2020, with 32 clusters: "
        "1.5 to 0.3 MB, 95.03 to 94.71 %",
        _CLUSTERING,
    ),
)
