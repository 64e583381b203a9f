"""Rows of a person are removed from every file, and no others."""

import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from log_rows import DAY_MS, START_MS, batch_of, words_in
from object_stores import GCS, S3, object_store

from tfx_loop.core.bucket.client import open_bucket
from tfx_loop.core.errors import ConfigError, DataError, WriteConflict
from tfx_loop.core.key_file import SecretKey
from tfx_loop.data.prediction_log.compaction import compact_folder
from tfx_loop.data.prediction_log.erasure import erase, erase_labels
from tfx_loop.data.prediction_log.erasure_subject import Subject
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.data.prediction_log.row_files import LocalFile, files_below, with_rows
from tfx_loop.data.prediction_log.writer import PredictionLogWriter

KEY = SecretKey(b"k" * 32)
BETA = Subject("request_id", frozenset({"beta"}))


def written(folder, requests=("alpha", "beta", "gamma"), *, key=None, close=True):
    log = PredictionLogWriter(folder, key=key)
    for request in requests:
        log.append("flights", START_MS, batch_of(request))
    if close:
        log.close()
    return log


def rows_below(folder):
    return with_rows(files_below(str(folder)))


def requests_of(folder, *keys):
    window = read_window(str(folder), "flights", START_MS, START_MS + DAY_MS, keys=keys)
    assert window.losses.unreadable_bytes == 0
    return window.table.column("request_id").to_pylist()


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("close", [True, False])
def test_a_request_is_removed_from_segments_plain_and_encrypted(tmp_path, key, close):
    written(tmp_path, key=key, close=close)
    keys = [key] if key else []
    (segment,) = rows_below(tmp_path)
    found = erase(segment, BETA, keys)
    assert (found.rows, found.identities) == (1, {("beta", 0)})
    assert requests_of(tmp_path, *keys) == ["alpha", "gamma"]
    content = segment.path.read_bytes()
    assert b"alpha" not in content
    assert b"beta" not in words_in(content, *keys)
    assert (b"alpha" in words_in(content)) == (key is None)
    assert b"alpha" in words_in(content, *keys)
    assert segment.path.stat().st_mode & 0o077 == 0
    assert erase(segment, BETA, keys) is None
    assert [path.name for path in segment.path.parent.iterdir()] == [segment.name]


@pytest.mark.parametrize("key", [None, KEY])
def test_compacted_files_lose_the_rows_and_keep_what_they_replace(tmp_path, key):
    keys = [key] if key else []
    written(tmp_path, key=key)
    (segment,) = rows_below(tmp_path)
    before = segment.path.read_bytes()
    compact_folder(segment.path.parent, keys)
    segment.path.write_bytes(before)  # As if whoever compacted had been killed before its removal.
    found = [erase(path, BETA, keys) for path in rows_below(tmp_path)]
    assert [file.rows for file in found] == [1, 1]
    assert requests_of(tmp_path, *keys) == ["alpha", "gamma"]
    assert (
        erase_labels(LocalFile(next(segment.path.parent.glob("*.parquet"))), {("alpha", 0)}) is None
    )


def test_a_dry_run_says_the_same_and_changes_nothing(tmp_path):
    written(tmp_path)
    (segment,) = rows_below(tmp_path)
    before = segment.path.read_bytes()
    assert erase(segment, BETA, dry_run=True).rows == 1
    assert segment.path.read_bytes() == before


def test_a_server_that_goes_on_writing_loses_no_row(tmp_path):
    log = written(tmp_path, close=False)
    stop, names = threading.Event(), []

    def serve():
        while not stop.is_set() and len(names) < 2_000:
            log.append("flights", START_MS, batch_of(f"r{len(names)}"))
            names.append(f"r{len(names)}")

    server = threading.Thread(target=serve)
    server.start()
    erased = []
    for _ in range(5):
        for path in rows_below(tmp_path):
            erased.append(erase(path, Subject("request_id", frozenset({"beta", "r3"}))))
    stop.set()
    server.join()
    log.close()
    for path in rows_below(tmp_path):
        erased.append(erase(path, Subject("request_id", frozenset({"beta", "r3"}))))
    assert sorted(requests_of(tmp_path)) == sorted({"alpha", "gamma", *names} - {"r3"})
    assert any(erased)


def test_rows_by_feature_and_of_any_type(tmp_path):
    table = pa.table(
        {
            "name": ["a", "b", None],
            "code": [1, 2, 2],
            "score": [1.5, 2.0, None],
            "raw": pa.array([b"x", b"y", b"y"]),
            "many": [["p", "q"], ["q"], None],
        }
    )
    for column, value, left in (
        ("name", "b", 2),
        ("code", "2", 1),
        ("score", "2", 2),
        ("raw", "y", 1),
        ("many", "p", 2),
        ("none", "b", 3),
        ("code", "b", 3),
    ):
        pq.write_table(table, tmp_path / "rows.parquet")
        erase(LocalFile(tmp_path / "rows.parquet"), Subject(column, frozenset({value})))
        assert pq.read_table(tmp_path / "rows.parquet").num_rows == left, column
    log = pa.table({"feature.name": ["a", "b"]})
    pq.write_table(log, tmp_path / "rows.parquet")
    assert erase(LocalFile(tmp_path / "rows.parquet"), Subject("name", frozenset({"a"}))).rows == 1


def test_labels_go_with_their_rows_and_not_with_others_of_the_request(tmp_path):
    labels = pa.table(
        {
            "request_id": ["r", "r", "s"],
            "instance_index": [0, 1, 0],
            "label": [1.0, 0.0, 1.0],
            "label_time_ms": [1, 1, 1],
        }
    )
    path = tmp_path / "labels.parquet"
    pq.write_table(labels, path)
    assert erase_labels(LocalFile(path), {("r", 1)}).rows == 1
    assert pq.read_table(path).column("instance_index").to_pylist() == [0, 0]
    assert erase_labels(LocalFile(path), {("r", 1)}) is None


def test_what_cannot_be_looked_into_is_never_passed_over(tmp_path):
    written(tmp_path, key=KEY)
    (segment,) = rows_below(tmp_path)
    with pytest.raises(ConfigError, match=KEY.name.hex()):
        erase(segment, BETA)
    segment.path.write_bytes(b"rubbish" * 10)
    with pytest.raises(DataError, match="What is in it is not known"):
        erase(segment, BETA)
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"cut\.parquet"):
        erase(LocalFile(tmp_path / "cut.parquet"), BETA)
    for folder in (str(tmp_path / "none"), "hdfs://host/log"):
        with pytest.raises(ConfigError, match="Expected"):
            files_below(folder)


def test_links_are_followed_and_each_file_is_looked_into_once(tmp_path):
    written(tmp_path / "elsewhere")
    named = tmp_path / "named"
    named.mkdir()
    (named / "log").symlink_to(tmp_path / "elsewhere")
    (named / "again").symlink_to(tmp_path / "elsewhere")
    (named / "circle").symlink_to(named)
    (named / "broken").symlink_to(tmp_path / "none")
    (file,) = rows_below(named)
    assert erase(file, BETA).rows == 1
    assert requests_of(tmp_path / "elsewhere") == ["alpha", "gamma"]
    assert (named / "log").is_symlink()
    (segment,) = rows_below(tmp_path / "elsewhere")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / segment.name).symlink_to(segment.path)
    (file,) = rows_below(tmp_path / "one")
    assert erase(file, Subject("request_id", frozenset({"alpha"}))).rows == 1
    assert requests_of(tmp_path / "elsewhere") == ["gamma"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [S3, GCS])
def test_objects_of_buckets_lose_the_rows(tmp_path, kind):
    written(tmp_path / "plain")
    written(tmp_path / "secret", key=KEY)
    compacted = tmp_path / "compacted"
    written(compacted)
    (segment,) = rows_below(compacted)
    compact_folder(segment.path.parent, [])
    with object_store(kind, "logs") as address:
        bucket = open_bucket(f"{address}/here")
        for file in rows_below(tmp_path):
            bucket.upload(file.path.relative_to(tmp_path).as_posix(), file.path)
        open_bucket(f"{address}/hereafter").upload("x.parquet", file.path)
        files = with_rows(files_below(f"{address}/here"))
        assert len(files) == 3
        assert [erase(file, BETA, [KEY], dry_run=True).rows for file in files] == [1, 1, 1]
        assert [erase(file, BETA, [KEY]).rows for file in files] == [1, 1, 1]
        assert [erase(file, BETA, [KEY]) for file in files] == [None] * 3
        (one,) = files_below(str(files[0]))
        assert str(one) == str(files[0])
        for file in files:
            assert b"beta" not in words_in(file.read()[0], KEY)
        other, (content, tag) = files[0], files[0].read()
        other.replace(content + b"", tag)
        with pytest.raises(WriteConflict):
            other.replace(b"", "0")
        with pytest.raises(ConfigError, match="received none"):
            files_below(f"{address}/nothing")
