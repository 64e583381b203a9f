"""How do TFX's artifacts come to the disk of this machine, and results back?"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfx import types
from tfx.types import artifact_utils
from tfx.utils import io_utils

from tfx_loop.contracts.optimization_report import (
    FILE_NAME,
    OptimizationResult,
    OptimizationVerdict,
    write_report,
)
from tfx_loop.core.artifacts import Scalar, set_properties
from tfx_loop.core.errors import DataError
from tfx_loop.core.storage import is_remote
from tfx_loop.optimization.fine_tuning.example_splits import read_splits


@contextmanager
def on_this_machine(uri: str) -> Iterator[Path]:
    """Yields a local folder with what lies at `uri`."""
    if not is_remote(uri):
        yield Path(uri.removeprefix("file://"))
        return
    with tempfile.TemporaryDirectory(prefix="loop-model-") as scratch:
        io_utils.copy_dir(uri, scratch)
        yield Path(scratch)


@contextmanager
def published(uri: str) -> Iterator[Path]:
    """Yields a local folder whose content lies at `uri` afterwards, when nothing was raised."""
    if not is_remote(uri):
        yield Path(uri.removeprefix("file://"))
        return
    with tempfile.TemporaryDirectory(prefix="loop-model-") as scratch:
        yield Path(scratch)
        io_utils.copy_dir(scratch, uri)


def rows_of(examples: Sequence[types.Artifact], splits: Sequence[str]) -> Any:
    """Returns the rows of some splits of all artifacts as a pyarrow table.

    Raises:
        DataError: An artifact lacks a split, or its rows cannot be read.
    """
    folders = []
    for artifact in examples:
        known = artifact_utils.decode_split_names(artifact.split_names)
        for split in splits:
            if split not in known:
                raise DataError(
                    f"Expected a split {split!r} in the examples, received {known}. "
                    "Correct training_splits or reporting_splits."
                )
            folders.append(artifact_utils.get_split_uri([artifact], split))
    return read_splits(folders)


def optional_uri(artifacts: Sequence[types.Artifact] | None) -> str | None:
    """Returns the URI of the one artifact of an optional channel."""
    return artifact_utils.get_single_uri(list(artifacts)) if artifacts else None


def publish_report(
    report: OptimizationResult, artifact: types.Artifact, model: types.Artifact, variant: str
) -> None:
    """Writes a report and its scalar properties, and names the model's variant."""
    write_report(report, f"{artifact.uri}/{FILE_NAME}")
    properties: dict[str, Scalar] = {
        "technique": report.technique,
        "verdict": report.verdict.value,
        "kept": int(report.verdict is OptimizationVerdict.KEPT),
        "reason": report.reason.value,
        "variant": variant,
    }
    if report.child is not None:
        properties["size_bytes"] = report.child.size.raw_bytes
        properties["zipped_bytes"] = report.child.size.zipped_bytes
        if report.child.sparsity is not None:
            properties["sparsity"] = report.child.sparsity
    if report.overall is not None and report.overall.drop.value is not None:
        properties["metric_drop"] = report.overall.drop.value
    set_properties(artifact, properties)
    set_properties(model, {"variant": variant})
