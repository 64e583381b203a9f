"""Compaction: every row once at each moment, whoever is killed, and nothing that is written."""

import contextlib
import fcntl
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_rows import DAY_MS, START_MS, batch_of

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.folders import walk_files
from tfx_loop.core.key_file import read_keys
from tfx_loop.data.prediction_log import compaction, reader
from tfx_loop.data.prediction_log.compaction import compact
from tfx_loop.data.prediction_log.losses import LogLosses
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.data.prediction_log.writer import PredictionLogWriter
from tfx_loop.pipelines.cli.main import main

END_MS = START_MS + 2 * DAY_MS


def read(directory, keys=()):
    return read_window(str(directory), "flights", START_MS, END_MS, keys=keys)


def fill(directory, numbers, close=True, key=None, segment_bytes=20_000):
    log = PredictionLogWriter(directory, segment_bytes=segment_bytes, key=key)
    for number in numbers:
        time_ms = START_MS + number % 2 * DAY_MS
        log.append("flights", time_ms, batch_of(f"r{number}", 2, event_time_ms=time_ms))
    if close:
        log.close()
    return log


def names(directory):
    return sorted(path.suffix for path in Path(directory).rglob("*.*") if path.is_file())


@pytest.mark.slow
def test_compacted_rows_are_the_same_and_smaller(tmp_path):
    fill(tmp_path, range(1000))
    before = read(tmp_path)
    result = compact(tmp_path)
    after = read(tmp_path)
    assert after.table.equals(before.table)
    assert after.losses == LogLosses()
    assert (result.rows, result.live, result.damaged) == (2000, 0, 0)
    assert result.bytes_after < result.bytes_before / 2
    assert names(tmp_path) == [".parquet", ".parquet"], "one a day"
    assert compact(tmp_path).files == 0, "nothing more to do"


def test_segments_that_a_server_writes_are_left_alone(tmp_path):
    log = fill(tmp_path, range(10), close=False)
    assert compact(tmp_path).live == 2
    assert len(read(tmp_path).table) == 20
    log.roll()
    assert compact(tmp_path).files == 2
    log.append("flights", START_MS, batch_of("later", 1))
    assert len(read(tmp_path).table) == 21


def test_compactions_of_a_day_are_joined(tmp_path):
    for start in (0, 10, 20):
        fill(tmp_path, range(start, start + 10))
        compact(tmp_path)
    assert names(tmp_path) == [".parquet", ".parquet"]
    assert len(read(tmp_path).table) == 60


def removal_that_ends_after(kept):
    """Removes some files, and ends as SIGKILL would."""
    removed = []

    def remove(paths):
        for path in paths:
            if len(removed) >= kept:
                raise KeyboardInterrupt
            removed.append(path)
            path.unlink(missing_ok=True)

    return remove


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.data())
def test_killed_at_any_removal_loses_and_doubles_nothing(tmp_path_factory, rounds, data):
    directory, number, expected = tmp_path_factory.mktemp("log"), 0, set()
    for size in rounds:
        fill(directory, range(number, number + size), segment_bytes=1)
        expected |= {f"r{n}" for n in range(number, number + size)}
        number += size
        kept = data.draw(st.integers(0, size))
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            patch.setattr(compaction, "_remove", removal_that_ends_after(kept))
            compact(directory)
        window = read(directory)
        assert sorted(window.table.column("request_id").to_pylist()) == sorted([*expected] * 2)
        assert window.losses.duplicate_rows == 0
    compact(directory)
    window = read(directory)
    assert len(window.table) == 2 * len(expected)
    assert window.losses == LogLosses()


def test_damaged_files_stay_and_are_counted(tmp_path):
    fill(tmp_path, range(4))
    folder = next(tmp_path.glob("flights/date=*"))
    (folder / "rubbish.arrows").write_bytes(b"no arrow at all")
    (folder / "rubbish.parquet").write_bytes(b"PAR1 it is not")
    result = compact(tmp_path)
    assert result.damaged == 2
    assert read(tmp_path).losses.unreadable_segments == 2
    assert len(read(tmp_path).table) == 8


def test_encrypted_logs_are_compacted_encrypted(tmp_path):
    keys = read_keys(tmp_path / "keys", make=True)
    fill(tmp_path / "log", range(10), key=keys[0])
    compact(tmp_path / "log", keys=keys)
    assert all(b"JFK" not in p.read_bytes() for p in (tmp_path / "log").rglob("*.parquet"))
    assert len(read(tmp_path / "log", keys).table) == 20
    with pytest.raises(ConfigError, match="Expected the key"):
        read(tmp_path / "log")


def test_old_days_go_and_readers_beside_a_compaction_see_every_row(tmp_path):
    fill(tmp_path, range(40), segment_bytes=1)
    seen, stop = set(), threading.Event()

    def reading():
        while not stop.is_set():
            window = read(tmp_path)
            seen.add((len(window.table), window.losses.duplicate_rows))

    thread = threading.Thread(target=reading)
    thread.start()
    compact(tmp_path)
    stop.set()
    thread.join()
    assert seen == {(80, 0)}
    assert compact(tmp_path, keep_days=1, today="2013-03-02").expired == 1
    assert len(read(tmp_path).table) == 40
    assert not (tmp_path / "flights" / "date=2013-03-01").exists()


def test_a_compaction_between_two_looks_at_a_day_hides_no_row(tmp_path, monkeypatch):
    fill(tmp_path, range(40), segment_bytes=1)
    looks = []

    def walking(folder, suffix):
        found = list(walk_files(folder, suffix))
        looks.append(suffix)
        if len(looks) == 1:
            compact(tmp_path)
        return found

    monkeypatch.setattr(reader, "walk_files", walking)
    window = read(tmp_path)
    assert (len(window.table), window.losses.duplicate_rows) == (80, 0)
    assert len(looks) > 2


@pytest.mark.slow
def test_two_compactions_at_once_lose_and_double_nothing(tmp_path):
    fill(tmp_path, range(40), segment_bytes=1)
    command = [sys.executable, "-m", "tfx_loop.data.prediction_log.compaction"]
    command += [str(tmp_path), "flights", "0", ""]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    rows = [json.loads(process.communicate()[0])["rows"] for process in running]
    assert sum(rows) >= 80
    window = read(tmp_path)
    assert (len(window.table), window.losses.duplicate_rows) == (80, 0)


def test_the_command_says_what_it_did(tmp_path, capsys):
    fill(tmp_path, range(10))
    assert main(["log", "compact", str(tmp_path)]) == 0
    assert "20 rows of 2 files" in capsys.readouterr().out
    assert main(["log", "compact", str(tmp_path), "--json", "--keep-days", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["expired"] == 2
    assert main(["log", "compact", str(tmp_path / "nowhere")]) == 1
    with pytest.raises(DataError):
        compact(tmp_path / "nowhere")


@pytest.mark.parametrize("removed_first", [True, False])
def test_a_compaction_that_locks_a_new_segment_before_its_writer_loses_no_row(
    tmp_path, monkeypatch, removed_first
):
    real, held = fcntl.flock, []

    def late(handle, operation):
        """Lets a compaction be quicker once, which removes what it finds empty."""
        if not held:
            (path,) = tmp_path.rglob("*.arrows")
            held.append((path, path.open("rb")))
            real(held[0][1], operation)
            if removed_first:
                path.unlink()
                held[0][1].close()
        return real(handle, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    log = fill(tmp_path, [0], close=False)
    path, file = held[0]
    path.unlink(missing_ok=True)
    file.close()
    assert compact(tmp_path).live == 1
    log.append("flights", START_MS, batch_of("r2", 2, event_time_ms=START_MS))
    log.close()
    found = read(tmp_path)
    assert sorted(set(found.table.column("request_id").to_pylist())) == ["r0", "r2"]
