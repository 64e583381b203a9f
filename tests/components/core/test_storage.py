"""Small files are read and written whole."""

import json
import stat
import threading

import pytest

from tfx_loop.core import storage
from tfx_loop.core.errors import DataError


@pytest.mark.slow
def test_a_reader_never_sees_half_a_file(tmp_path):
    path = str(tmp_path / "record.json")
    contents = [{"number": number, "padding": "x" * 200_000} for number in range(2)]
    storage.write_json(path, contents[0])
    stop = threading.Event()
    seen = []

    def read():
        while not stop.is_set():
            seen.append(storage.read_json(path))

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(60):
        storage.write_json(path, contents[turn % 2])
    stop.set()
    reader.join()
    assert seen
    assert all(content in contents for content in seen)


def test_a_failed_write_leaves_the_old_content_and_no_scratch_file(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    storage.write_json(str(path), {"a": 1})

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        storage.write_json(str(path), {"a": 2})
    assert storage.read_json(str(path)) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_refused_before_anything_is_written(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(str(tmp_path / "x.json"), {"value": value})
    assert list(tmp_path.iterdir()) == []


def test_folders_are_made_and_others_may_read(tmp_path):
    path = tmp_path / "a" / "b" / "x.json"
    storage.write_json(f"file://{path}", {"z": 1, "a": [None, True]})
    assert list(json.loads(path.read_text())) == ["z", "a"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert storage.read_json(f"file://{path}") == storage.read_json(str(path))


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_is_its_owner_s_alone_also_where_an_open_one_stood(tmp_path):
    path = tmp_path / "rows"
    storage.write_bytes(str(path), b"public")
    storage.write_bytes(str(path), b"private", private=True)
    assert mode(path) == 0o600


def test_private_folders_are_closed_with_those_made_above_them(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "open").mkdir(mode=0o755)
    storage.private_folder(f"file://{tmp_path}/a/b")
    storage.private_folder(tmp_path / "open")
    folders = (tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "open")
    assert [mode(folder) for folder in folders] == [0o755, 0o700, 0o700, 0o700]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"3"])
def test_what_is_no_json_object_is_a_data_error_that_names_the_file(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"Expected a JSON object in .*x\.json, received"):
        storage.read_json(str(path))


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        storage.read_json(str(tmp_path / "none.json"))


@pytest.mark.parametrize(
    ("uri", "remote"),
    [
        ("gs://bucket/x", True),
        ("s3://bucket/x", True),
        ("hdfs://host/x", True),
        ("file:///tmp/x", False),
        ("/tmp/x", False),
        ("relative/x", False),
    ],
)
def test_the_scheme_says_what_is_remote(uri, remote):
    assert storage.is_remote(uri) is remote


@pytest.mark.tensorflow
def test_a_remote_uri_goes_through_the_file_system_of_its_scheme():
    pytest.importorskip("tensorflow")
    storage.write_json("ram://loop/record.json", {"a": 2})
    assert storage.read_json("ram://loop/record.json") == {"a": 2}
