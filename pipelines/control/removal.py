"""Files of artifacts removed, and the artifacts marked, so that no cache hands them out again."""

from collections.abc import Iterable

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.core.bucket.own_folders import remove_folder
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.ledger import Store


def remove_files(store: Store, folders: Iterable[tuple[int, str]], now_ms: int) -> int:
    """Removes folders of artifacts; returns how many.

    The mark comes first: killed in between, files are left that nobody is handed, and the next call
    removes them. TFX's cache and its resolvers take live artifacts alone.

    Args:
        store: Of the artifacts.
        folders: Pairs of an artifact's id and its folder, which may be one of a bucket.
        now_ms: When, milliseconds since epoch.
    """
    removed = 0
    for artifact_id, folder in folders:
        [artifact] = store.get_artifacts_by_id([artifact_id])
        artifact.state = pb.Artifact.DELETED
        ledger.set_properties(artifact, {"files_removed_at_ms": now_ms})
        store.put_artifacts([artifact])
        removed += remove_folder(folder)
    return removed
