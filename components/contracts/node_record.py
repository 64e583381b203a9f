"""The record that a node in a service's container leaves of itself, for the loop's own store.

Containers on Kubeflow and Vertex reach no ML Metadata of the loop's. The entry point leaves one
such file a node in the bucket, and the loop copies them into its store (pipelines/runners/remote).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tfx_loop.core.json_codec import default_left_out
from tfx_loop.core.json_file import JsonFile


class NodeEnd(str, Enum):
    """How a node ended."""

    COMPLETE = "COMPLETE"
    FAILED = "FAILED"


@dataclass(frozen=True, kw_only=True)
class RecordedArtifact:
    """An artifact that a node read or wrote.

    Attributes:
        type_name: Its type as ML Metadata calls it, such as `Model`.
        uri: Where it lies, as every machine reaches it.
        properties: What it says of itself, properties and custom properties alike.
    """

    type_name: str
    uri: str
    properties: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NodeRecord:
    """One execution of a node.

    Attributes:
        run_id: The run.
        node: Id of the node.
        node_type: Class of the node, as ML Metadata calls its type.
        end: How it ended.
        reason: Why it failed, in one line; empty where it did not.
        started_ms: When, by the container's clock, milliseconds UTC.
        ended_ms: When.
        inputs: What it read, by the name of the input.
        outputs: What it wrote; none where it failed.
        base_path: Of a pusher, where the steps of its push are noted; empty for other nodes.
    """

    run_id: str
    node: str
    node_type: str
    end: NodeEnd
    started_ms: int
    ended_ms: int
    reason: str = ""
    inputs: Mapping[str, tuple[RecordedArtifact, ...]] = field(default_factory=dict)
    outputs: Mapping[str, tuple[RecordedArtifact, ...]] = field(default_factory=dict)
    base_path: str = field(default="", metadata=default_left_out())


NODE_RECORD = JsonFile(
    name="node.json",
    kind=NodeRecord,
    title="the record of a node",
    remedy="The image of the run holds another release of tfx-loop: build it from this one.",
)
