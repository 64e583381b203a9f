"""The content of `manifest.json`: the files of an edge bundle, and what a device must know of them.

EdgeBundler writes it and ServingPusher publishes it. Devices have `on_device.py` alone, which
checks and reads the manifest by its keys: it is written in its schema.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tfx_loop.core.json_file import JsonFile


@dataclass(frozen=True, kw_only=True)
class BundledFile:
    """What a device checks of a file before it opens it: SHA-256 in hexadecimal, and its size."""

    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class BundledTensor:
    """An input of the CPU model.

    Attributes:
        name: Name in the signature.
        tensor: Name of the tensor.
        shape: Its shape.
        dtype: NumPy's name of its type.
    """

    name: str
    tensor: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, kw_only=True)
class BundledOutput(BundledTensor):
    """An output of the CPU model, and how far a device may be off, in real values.

    Attributes:
        cpu_tolerance: Of the CPU model on another CPU.
        edge_tpu_tolerance: Of the compiled model.
    """

    cpu_tolerance: float
    edge_tpu_tolerance: float


@dataclass(frozen=True, kw_only=True)
class BundleManifest:
    """All that a bundle says of itself; its digest is the digest of this file.

    Attributes:
        name: What the bundle is called on devices.
        files: Digest and size by file name.
        cpu_model: File of the CPU model.
        edge_tpu_model: File of the compiled model; None without a compiler.
        labels: File of the classes' names; None without labels.
        golden: File of the golden requests and answers.
        golden_rows: How many requests.
        inputs: Inputs of the CPU model, in order.
        outputs: Its outputs, in order.
        minimum_runtime: Oldest runtimes that can run it, by name, such as {"edge_tpu": 14}.
        compiler_version: Version of the Edge TPU compiler; empty where none ran.
    """

    name: str
    files: Mapping[str, BundledFile]
    cpu_model: str
    edge_tpu_model: str | None
    labels: str | None
    golden: str
    golden_rows: int
    inputs: tuple[BundledTensor, ...]
    outputs: tuple[BundledOutput, ...]
    minimum_runtime: Mapping[str, int | str]
    compiler_version: str


BUNDLE_MANIFEST = JsonFile(
    name="manifest.json",
    kind=BundleManifest,
    title="a bundle's manifest",
    remedy="Build the bundle again.",
)
