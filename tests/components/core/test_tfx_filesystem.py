"""TFX's fileio on a real S3 of loopback (moto's server)."""

import contextlib

import pytest
from object_stores import S3, object_store

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def bucket():
    from tfx_loop.core.bucket import tfx_filesystem

    with object_store(S3, "artifacts") as address:
        tfx_filesystem.register()
        yield address


def test_files_and_folders_are_as_on_a_disk(bucket, tmp_path):
    from tfx.dsl.io import fileio

    from tfx_loop.core import storage

    storage.write_bytes(f"{bucket}/model/1/saved_model.pb", b"graph")
    storage.write_bytes(f"{bucket}/model/1/variables/data", b"x" * 1000)
    storage.write_bytes(f"{bucket}/model-2/other", b"")
    assert storage.read_bytes(f"{bucket}/model/1/saved_model.pb") == b"graph"
    assert fileio.listdir(f"{bucket}/model") == ["1"]
    assert fileio.isdir(f"{bucket}/model/1")
    assert not fileio.isdir(f"{bucket}/model/1/saved_model.pb")
    assert fileio.exists(f"{bucket}/model")
    assert not fileio.exists(f"{bucket}/mode")
    assert fileio.glob(f"{bucket}/model/*/*") == [
        f"{bucket}/model/1/saved_model.pb",
        f"{bucket}/model/1/variables",
    ]
    assert list(fileio.walk(f"{bucket}/model/1")) == [
        (f"{bucket}/model/1", ["variables"], ["saved_model.pb"]),
        (f"{bucket}/model/1/variables", [], ["data"]),
    ]
    fileio.copy(f"{bucket}/model/1/variables/data", str(tmp_path / "data"))
    assert (tmp_path / "data").read_bytes() == b"x" * 1000
    fileio.rename(f"{bucket}/model/1", f"{bucket}/model/2")
    assert storage.read_bytes(f"{bucket}/model/2/variables/data") == b"x" * 1000
    fileio.rmtree(f"{bucket}/model")
    assert not fileio.exists(f"{bucket}/model")
    assert fileio.exists(f"{bucket}/model-2/other")


def test_what_is_not_there_is_told_as_a_disk_tells_it(bucket):
    from tfx.dsl.io import fileio

    from tfx_loop.core import storage

    for call in (storage.read_bytes, fileio.listdir, fileio.remove):
        with pytest.raises(FileNotFoundError):
            call(f"{bucket}/nothing")


def test_a_write_that_breaks_off_leaves_the_old_content(bucket):
    from tfx.dsl.io import fileio

    from tfx_loop.core import storage

    storage.write_bytes(f"{bucket}/report.json", b"old")
    with contextlib.suppress(RuntimeError), fileio.open(f"{bucket}/report.json", "wb") as file:
        file.write(b"new, and then")
        raise RuntimeError
    assert storage.read_bytes(f"{bucket}/report.json") == b"old"


def test_minio_is_the_same_bucket(bucket):
    from tfx_loop.core import storage

    storage.write_bytes("minio://artifacts/a/b", b"1")
    assert storage.read_bytes(f"{bucket}/a/b") == b"1"
