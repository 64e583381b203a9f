"""The log beside full disks, removed files and mixed sampling: nothing is lost unsaid."""

import os
import resource
import shutil

import pyarrow as pa
import pytest
from log_rows import DAY_MS, START_MS, batch_of
from time_limits import seconds

from tfx_loop.data.prediction_log import segment_file
from tfx_loop.data.prediction_log.losses import UnloggedRows, write_unlogged
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.data.prediction_log.record import sampling_position
from tfx_loop.data.prediction_log.writer import LogSync, PredictionLogWriter

END_MS = START_MS + DAY_MS


def read(directory):
    return read_window(str(directory), "flights", START_MS, END_MS)


def ids(window):
    return window.table.column("request_id").to_pylist()


def append(log, batch):
    log.append("flights", START_MS, batch)


def segments(directory):
    return sorted(directory.rglob("*.arrows"))


def test_rows_after_a_removed_segment_are_in_a_new_one(tmp_path, caplog):
    log = PredictionLogWriter(tmp_path)
    append(log, batch_of("a"))
    segments(tmp_path)[0].unlink()
    append(log, batch_of("b"))
    assert ids(read(tmp_path)) == ["b"]
    assert caplog.text.count("state=gone_while_open") == 1


def test_a_segment_removed_during_the_write_is_written_again(tmp_path, monkeypatch, caplog):
    log = PredictionLogWriter(tmp_path)
    append(log, batch_of("a"))
    write, removed = segment_file.write_all, []

    def remove_first(handle, content):
        if not removed:
            removed.append(segments(tmp_path)[0])
            removed[0].unlink()
        write(handle, content)

    monkeypatch.setattr(segment_file, "write_all", remove_first)
    append(log, batch_of("b"))
    assert ids(read(tmp_path)) == ["b"]
    assert "state=removed_while_written" in caplog.text


def test_rows_of_a_moved_folder_stay_where_they_are(tmp_path):
    log = PredictionLogWriter(tmp_path)
    append(log, batch_of("a"))
    shutil.move(tmp_path / "flights", tmp_path / "archive" / "flights")
    append(log, batch_of("b"))
    assert ids(read(tmp_path)) == ["b"]
    assert ids(read(tmp_path / "archive")) == ["a"]


@pytest.mark.parametrize("sync", LogSync)
def test_every_sync_policy_writes_the_same_rows(tmp_path, sync, monkeypatch):
    synced = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda handle: (synced.append(handle), real(handle)))
    log = PredictionLogWriter(tmp_path, sync=sync, sync_seconds=3600)
    for number in range(5):
        append(log, batch_of(f"r{number}"))
    assert len(synced) == (5 if sync is LogSync.BATCH else 0)
    log.close()
    assert len(synced) == {LogSync.NEVER: 0, LogSync.BATCH: 6, LogSync.INTERVAL: 1}[sync]
    assert len(read(tmp_path).table) == 5


def test_an_interval_syncs_what_was_written_since(tmp_path, monkeypatch):
    import threading

    synced = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda _: synced.set())
    log = PredictionLogWriter(tmp_path, sync=LogSync.INTERVAL, sync_seconds=0.01)
    append(log, batch_of("a"))
    assert synced.wait(seconds(30))
    log.close()


def test_a_full_disk_refuses_rows_and_leaves_no_files_behind(tmp_path):
    log = PredictionLogWriter(tmp_path)
    append(log, batch_of("a"))
    (segment,) = segments(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file of this process may grow beyond this: half a batch fits.
    resource.setrlimit(resource.RLIMIT_FSIZE, (segment.stat().st_size + 100, limits[1]))
    try:
        for number in range(20):
            with pytest.raises(OSError, match="File too large"):
                append(log, batch_of(f"full{number}", rows=2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    append(log, batch_of("b"))
    window = read(tmp_path)
    assert ids(window) == ["a", "b"]
    assert window.losses.truncated_segments == 0
    assert len(segments(tmp_path)) == 2, "no empty file for each refused request"


def test_rows_that_could_not_be_logged_are_counted_in_their_windows(tmp_path):
    unlogged = UnloggedRows.joined(None, 2, START_MS + 5)
    unlogged = UnloggedRows.joined(unlogged, 1, START_MS)
    write_unlogged(str(tmp_path), "flights", unlogged)
    (tmp_path / "flights" / "date=2013-03-01" / "x.unlogged.json").write_text("{}")
    assert read(tmp_path).losses.unlogged_rows == 3
    later = read_window(str(tmp_path), "flights", END_MS, END_MS + 1)
    assert later.losses.unlogged_rows == 0


def test_a_window_of_two_sampling_rates_has_the_sample_of_the_lower_one(tmp_path):
    def sampled(name, rate):
        batch = batch_of(name)
        place = batch.schema.get_field_index("sampling_rate")
        columns = batch.columns
        columns[place] = pa.array([rate])
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)

    log = PredictionLogWriter(tmp_path)
    names = [f"r{number}" for number in range(400)]
    first, second = names[:200], names[200:]
    for name in first:
        append(log, sampled(name, 1.0))
    kept = [name for name in second if sampling_position(name) < 0.25]
    for name in kept:
        append(log, sampled(name, 0.25))
    window = read(tmp_path)
    expected = [name for name in names if sampling_position(name) < 0.25]
    assert sorted(ids(window)) == sorted(expected)
    assert 60 < len(expected) < 140
    assert window.sampling_rate == 0.25
    assert window.losses.thinned_rows == 200 - sum(name in expected for name in first)
