"""The archive: the same bytes for the same model, one model, no links, nothing that is run."""

import gzip
import os
import shutil
import tarfile

import pytest
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from sagemaker_container import NumberContainer, answer_of, served_model, unpacked

from tfx_loop.core.errors import ConfigError, ModelError
from tfx_loop.deployment.sagemaker_pusher.archive import write_archive


@pytest.fixture
def model(tmp_path):
    return make(tmp_path / "model")


def make(folder, order=(0, 1, 2)):
    names = ["saved_model.pb", "variables/variables.index", "assets/words.txt"]
    for place in order:
        file = folder / names[place]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(names[place])
    return folder


def test_same_model_makes_the_same_bytes(tmp_path, model):
    first = write_archive(model, "taxi", tmp_path / "1.tar.gz")
    other = make(tmp_path / "else" / "where", order=(2, 1, 0))
    (other / "empty").mkdir()
    for file in other.rglob("*"):
        os.utime(file, (1, 1))
        file.chmod(0o700)
    second = write_archive(other, "taxi", tmp_path / "2.tar.gz")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256


def test_another_model_makes_other_bytes(tmp_path, model):
    first = write_archive(model, "taxi", tmp_path / "1.tar.gz")
    (model / "assets/words.txt").write_text("other words")
    assert write_archive(model, "taxi", tmp_path / "2.tar.gz").sha256 != first.sha256


@given(st.lists(st.text("abc/", min_size=1, max_size=8), min_size=1, max_size=6, unique=True))
@settings(max_examples=scaled(10), deadline=None)
def test_order_of_the_disk_never_shows(tmp_path_factory, names):
    archives = []
    for order in (names, list(reversed(names))):
        folder = tmp_path_factory.mktemp("model")
        (folder / "saved_model.pb").write_text("model")
        for name in order:
            file = folder / f"assets/{name.replace('/', '_')}.txt"
            file.parent.mkdir(exist_ok=True)
            file.write_text(name.replace("/", "_"))
        archives.append(write_archive(folder, "taxi", folder.parent / f"{folder.name}.tar.gz"))
    assert archives[0].sha256 == archives[1].sha256


def test_members_are_what_the_container_wants(tmp_path, model):
    archive = write_archive(model, "taxi", tmp_path / "model.tar.gz")
    with tarfile.open(archive.path) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == [
        "taxi/1/assets/words.txt",
        "taxi/1/saved_model.pb",
        "taxi/1/variables/variables.index",
    ]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {(0, 0, 0, "", 0o644)}
    # Bytes 4 to 8 of gzip's header are its time.
    assert archive.path.read_bytes()[4:8] == b"\0" * 4
    root = unpacked(archive.path)
    assert served_model(root, {}) == ("taxi", root / "taxi")
    shutil.rmtree(root)
    container = NumberContainer(archive.path, {})
    assert (
        str(answer_of(b"saved_model.pb"))
        in container.invoke(b'{"instances": [1]}', "application/json", "")[1].decode()
    )
    container.stop()


@pytest.mark.parametrize("name", ["code", "", "../x", "a/b", ".hidden", "a b"])
def test_name_that_the_container_would_run_or_not_find_is_refused(tmp_path, model, name):
    with pytest.raises(ConfigError, match="other than 'code'"):
        write_archive(model, name, tmp_path / "x")


def test_links_are_refused(tmp_path, model):
    (model / "assets/link").symlink_to("/etc/passwd")
    with pytest.raises(ModelError, match="found a link or device assets/link"):
        write_archive(model, "taxi", tmp_path / "x")
    (model / "assets/link").unlink()
    os.mkfifo(model / "assets/pipe")
    with pytest.raises(ModelError, match="found a link or device assets/pipe"):
        write_archive(model, "taxi", tmp_path / "x")


def test_folder_that_the_container_would_run_is_refused(tmp_path, model):
    (model / "code").mkdir()
    (model / "code/requirements.txt").write_text("something")
    with pytest.raises(ModelError, match="would install and run"):
        write_archive(model, "taxi", tmp_path / "x")


def test_second_model_is_refused(tmp_path, model):
    make(model / "assets" / "7")
    with pytest.raises(ModelError, match=r"found 2 of saved_model\.pb"):
        write_archive(model, "taxi", tmp_path / "x")


def test_tflite_is_refused_with_the_reason(tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"....TFL3")
    with pytest.raises(ModelError, match="AWS' TensorFlow image serves SavedModels alone"):
        write_archive(tmp_path, "taxi", tmp_path / "x")


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"found no saved_model.pb"):
        write_archive(tmp_path, "taxi", tmp_path / "x")


def test_archive_is_gzip_of_tar(tmp_path, model):
    archive = write_archive(model, "taxi", tmp_path / "model.tar.gz")
    with gzip.open(archive.path) as file:
        assert file.read(512)[257:262] == b"ustar"
