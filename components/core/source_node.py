"""Nodes that read files which are no artifacts: never taken from the cache when these have changed.

TFX takes a node from its cache where inputs and execution properties are the same as in an earlier
run; of files that a property only names it knows nothing. As its ExampleGens do, a driver adds a
fingerprint of the files to the properties before the cache is looked up.

Kubeflow V2 and Vertex run no drivers but those of ExampleGens. There the node has the id of the
job among its parameters, which the back end puts in: no two runs have the same, so the node runs in
each of them.
"""

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2

from tfx_loop.core.artifacts import Scalars
from tfx_loop.core.node import Node
from tfx_loop.core.storage import is_remote

FINGERPRINT = "input_fingerprint"
# KFP's PIPELINE_JOB_ID_PLACEHOLDER; other runners hand the text on as it stands.
_JOB_ID = "{{$.pipeline_job_uuid}}"


class SourceNode(Node):
    """Base of such nodes; a subclass names its `SourceDriver` as DRIVER_CLASS."""

    CONSTANTS: ClassVar = {"pipeline_job": _JOB_ID}


class SourceDriver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Base of their drivers, which know what a node is about to read."""

    def __init__(self, mlmd_connection: Any) -> None:
        base_driver.BaseDriver.__init__(self, mlmd_connection)
        portable_driver.BaseDriver.__init__(self, mlmd_connection)

    @abstractmethod
    def files(self, properties: Scalars) -> Iterable[str]:
        """Returns the files that the node reads under these execution properties."""

    def fingerprint(self, properties: Scalars) -> str:
        """Returns what changes with what the node reads: by default with `files`."""
        return fingerprint(self.files(properties))

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Returns the properties with the fingerprint; TFX calls it before it asks its cache."""
        properties = dict(execution_info.exec_properties)
        properties[FINGERPRINT] = self.fingerprint(properties)
        result = driver_output_pb2.DriverOutput()
        for name, value in properties.items():
            if value is not None:
                data_types_utils.set_metadata_value(result.exec_properties[name], value)
        return result


def fingerprint(files: Iterable[str]) -> str:
    """Returns a digest of the files' names, sizes and times of change; of absent ones, too.

    TFX's own goes by whole seconds of the time of modification, which copies keep and editors may
    set. On a disk the time of the inode's change counts besides, which nobody sets.
    """
    digest, count, size = hashlib.sha256(), 0, 0
    # By name: the order of a listing differs between file systems.
    for file in sorted(files):
        length, *times = _stat(file)
        digest.update(f"{file}\0{length}\0{times}\n".encode())
        count, size = count + 1, size + max(length, 0)
    return f"files:{count},bytes:{size},sha256:{digest.hexdigest()}"


def digest_of(tagged: Iterable[tuple[str, str]]) -> str:
    """Returns a digest of files that are told with what changes with their content."""
    digest, count = hashlib.sha256(), 0
    for file, tag in sorted(tagged):
        digest.update(f"{file}\0{tag}\n".encode())
        count += 1
    return f"files:{count},sha256:{digest.hexdigest()}"


def _stat(file: str) -> tuple[int, ...]:
    if is_remote(file):
        import tensorflow as tf

        try:
            found = tf.io.gfile.stat(file)
        except tf.errors.NotFoundError:
            return (-1,)
        return found.length, found.mtime_nsec
    try:
        here = os.stat(Path(file.removeprefix("file://")))
    except FileNotFoundError:
        return (-1,)
    return here.st_size, here.st_mtime_ns, here.st_ctime_ns, here.st_ino
