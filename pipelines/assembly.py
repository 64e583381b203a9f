"""Pipelines from nodes, with or without a local ML Metadata store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.pipeline import Pipeline

from tfx_loop.pipelines.config import PipelineSettings
from tfx_loop.pipelines.control.store_address import is_server
from tfx_loop.pipelines.control.stores import connection_config


def assemble(
    name: str, nodes: Sequence[Any], settings: PipelineSettings, metadata: bool
) -> Pipeline:
    """Returns a pipeline; nothing is cached, because every run looks at another window or data.

    Args:
        name: Name of the pipeline.
        nodes: Its nodes.
        settings: Where it keeps its files.
        metadata: Connect to ML Metadata; False for Kubeflow and Vertex.
    """
    connection = None
    if metadata:
        if not is_server(settings.metadata_path):
            Path(settings.metadata_path).parent.mkdir(parents=True, exist_ok=True)
        connection = connection_config(settings.metadata_path)
    return Pipeline(
        pipeline_name=name,
        pipeline_root=settings.root,
        components=list(nodes),
        enable_cache=False,
        metadata_connection_config=connection,
        beam_pipeline_args=list(settings.beam_args),
    )


def imported(node_id: str, uri: str, kind: Any) -> Any:
    """Returns the node that brings in an artifact that another run made."""
    return Importer(source_uri=uri, artifact_type=kind).with_id(node_id)
