"""Writer and reader together: what is appended is read, whatever happens to the files."""

import errno
import json
import os
import stat
import threading
import time

import numpy as np
import pyarrow as pa
import pytest
from example_counts import scaled
from hypothesis import example, given, settings
from hypothesis import strategies as st
from log_rows import DAY_MS, START_MS, batch_of

from tfx_loop.core.errors import ConfigError
from tfx_loop.data.prediction_log import segment_file as segment_file_module
from tfx_loop.data.prediction_log.losses import LogLosses
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.data.prediction_log.segment import END_OF_STREAM, parse_segment
from tfx_loop.data.prediction_log.unified_columns import unify
from tfx_loop.data.prediction_log.window_files import LOG_WINDOW, LogWindow, write_window
from tfx_loop.data.prediction_log.writer import PredictionLogWriter

END_MS = START_MS + 31 * DAY_MS


def read(directory, start_ms=START_MS, end_ms=END_MS):
    return read_window(str(directory), "flights", start_ms, end_ms)


def ids(window):
    return [
        (row["request_id"], row["instance_index"])
        for row in window.table.select(["request_id", "instance_index"]).to_pylist()
    ]


def append(log, batch, event_time_ms=START_MS):
    log.append("flights", event_time_ms, batch)


def segments(directory):
    return sorted(directory.rglob("*.arrows"))


def test_rows_are_on_disk_before_the_writer_is_closed(tmp_path):
    log = PredictionLogWriter(tmp_path)
    append(log, batch_of("a", 2))
    append(log, batch_of("b", 1))
    window = read(tmp_path)
    assert ids(window) == [("a", 0), ("a", 1), ("b", 0)]
    assert window.losses == LogLosses()


def test_segments_lie_by_model_and_event_day(tmp_path):
    log = PredictionLogWriter(tmp_path)
    for day in (0, 1):
        time_ms = START_MS + day * DAY_MS
        append(log, batch_of(f"r{day}", event_time_ms=time_ms), time_ms)
    folders = [str(path.parent.relative_to(tmp_path)) for path in segments(tmp_path)]
    assert folders == ["flights/date=2013-03-01", "flights/date=2013-03-02"]


def test_rows_of_people_are_their_owner_s_alone(tmp_path):
    (tmp_path / "flights").mkdir(mode=0o755)
    append(PredictionLogWriter(tmp_path), batch_of("a"))
    (segment,) = segments(tmp_path)
    window = read(tmp_path)
    about = LogWindow(
        window="w", start_ms=0, end_ms=1, model_name="flights", rows=len(window.table)
    )
    write_window(str(tmp_path / "artifact"), about, window.table)
    files = [segment, tmp_path / "artifact" / "rows.parquet"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    folders = [segment.parent, segment.parent.parent, tmp_path / "artifact"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_window_is_half_open(tmp_path):
    log = PredictionLogWriter(tmp_path)
    for name, time_ms in {"in": START_MS, "last": END_MS - 1, "out": END_MS}.items():
        append(log, batch_of(name, event_time_ms=time_ms), time_ms)
    assert [request for request, _ in ids(read(tmp_path))] == ["in", "last"]


def test_another_schema_opens_another_segment_and_the_reader_joins_them(tmp_path):
    log = PredictionLogWriter(tmp_path)
    append(log, batch_of("a"))
    other = batch_of("b")
    smaller = pa.RecordBatch.from_arrays(
        [other.column(i) for i, n in enumerate(other.schema.names) if n != "feature.temp"],
        names=[n for n in other.schema.names if n != "feature.temp"],
    )
    append(log, smaller)
    assert len(segments(tmp_path)) == 2
    assert read(tmp_path).table.column("feature.temp").to_pylist() == [0.0, None]


def test_segments_roll_by_size_and_open_files_are_bounded(tmp_path):
    log = PredictionLogWriter(tmp_path, segment_bytes=4000, max_open_segments=2)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(40):
        time_ms = START_MS + number % 4 * DAY_MS
        append(log, batch_of(f"r{number}", event_time_ms=time_ms), time_ms)
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    log.close()
    assert len(segments(tmp_path)) > 4
    window = read(tmp_path)
    assert len(window.table) == 40
    assert window.losses == LogLosses()


def test_a_repeated_request_counts_once_and_the_first_answer_wins(tmp_path):
    second, first = PredictionLogWriter(tmp_path), PredictionLogWriter(tmp_path)
    append(second, batch_of("a", 2, answered_time_ms=20, score=0.25))
    append(first, batch_of("a", 2, answered_time_ms=10, score=0.75))
    window = read(tmp_path)
    assert window.table.column("output.probability").to_pylist() == [0.75, 0.75]
    assert window.losses.duplicate_rows == 2


def test_a_repeat_in_the_next_window_counts_where_it_was_answered_first(tmp_path):
    log = PredictionLogWriter(tmp_path)
    border = START_MS + DAY_MS
    append(log, batch_of("a", event_time_ms=border - 1, answered_time_ms=1), border - 1)
    append(log, batch_of("a", event_time_ms=border + 1, answered_time_ms=2), border + 1)
    assert len(read(tmp_path, START_MS, border).table) == 1
    assert len(read(tmp_path, border, border + DAY_MS).table) == 0


def test_a_window_without_rows_or_folder_has_no_rows(tmp_path):
    for directory in (tmp_path, tmp_path / "missing"):
        window = read(directory)
        assert len(window.table) == 0
        assert "request_id" in window.table.schema.names
        assert window.losses == LogLosses()


def test_a_model_name_with_a_path_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="model name"):
        PredictionLogWriter(tmp_path).append("../x", START_MS, batch_of("a"))
    with pytest.raises(ConfigError, match="model name"):
        read_window(str(tmp_path), "../x", 0, 1)


def test_a_window_that_ends_before_it_starts_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="window"):
        read(tmp_path, 10, 5)


def whole_segment():
    batches = [batch_of(f"r{number}", number % 3 + 1) for number in range(5)]
    header = batches[0].schema.serialize().to_pybytes()
    parts = [batch.serialize().to_pybytes() for batch in batches]
    return header, parts, [batch.num_rows for batch in batches]


HEADER, PARTS, ROWS = whole_segment()
CONTENT = HEADER + b"".join(PARTS) + END_OF_STREAM


@settings(max_examples=scaled(300), deadline=None)
@given(st.integers(0, len(CONTENT)))
def test_a_cut_loses_nothing_before_the_last_whole_batch(cut):
    segment = parse_segment(CONTENT[:cut])
    ends = np.cumsum([len(HEADER), *(len(part) for part in PARTS)])
    whole = int(np.searchsorted(ends, cut, side="right")) - 1
    rows = 0 if segment.table is None else len(segment.table)
    assert rows == sum(ROWS[: max(whole, 0)])
    at_border = cut in (0, *ends, len(CONTENT))
    assert segment.truncated == (not at_border)
    lost = cut - (ends[whole] if whole >= 0 else 0)
    assert segment.unreadable_bytes == (0 if at_border else lost)
    assert not segment.unreadable


@settings(max_examples=scaled(300), deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.binary(min_size=1, max_size=16))
@example(72, b"\x00")  # the schema then names one column twice
def test_damaged_bytes_never_break_the_reader(position, rubbish):
    damaged = CONTENT[:position] + rubbish + CONTENT[position + len(rubbish) :]
    segment = parse_segment(damaged)
    assert segment.table is None or segment.table.validate(full=True) is None


@given(st.binary(max_size=300))
def test_rubbish_is_counted_not_raised(content):
    segment = parse_segment(content)
    assert segment.table is None
    assert segment.unreadable_bytes == len(content)


def test_garbage_and_foreign_files_are_counted(tmp_path):
    log = PredictionLogWriter(tmp_path)
    append(log, batch_of("a"))
    folder = segments(tmp_path)[0].parent
    (folder / "garbage.arrows").write_bytes(b"not arrow at all" * 10)
    foreign = pa.RecordBatch.from_arrays([pa.array([1])], names=["x"])
    stream = foreign.schema.serialize().to_pybytes() + foreign.serialize().to_pybytes()
    (folder / "foreign.arrows").write_bytes(stream)
    (folder / "empty.arrows").write_bytes(b"")
    (folder / ".scratch.arrows").write_bytes(b"ignored")
    window = read(tmp_path)
    assert len(window.table) == 1
    assert window.losses.unreadable_segments == 2
    assert window.losses.unreadable_bytes == 160 + len(stream)


def test_full_disk_fails_the_append_and_leaves_no_half_batch(tmp_path, monkeypatch):
    log = PredictionLogWriter(tmp_path)
    append(log, batch_of("a"))
    real_write = os.write

    def full(handle, content):
        if len(content) > 100:
            return real_write(handle, bytes(content)[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(segment_file_module.os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            append(log, batch_of("b"))
    append(log, batch_of("c"))
    window = read(tmp_path)
    assert [request for request, _ in ids(window)] == ["a", "c"]
    assert window.losses.truncated_segments == 0


def test_a_closed_log_refuses_rows(tmp_path):
    log = PredictionLogWriter(tmp_path)
    log.close()
    with pytest.raises(OSError, match="closed"):
        append(log, batch_of("a"))


@pytest.mark.slow
def test_many_threads_lose_nothing(tmp_path):
    log = PredictionLogWriter(tmp_path, segment_bytes=20_000)

    def work(thread):
        for number in range(50):
            append(log, batch_of(f"{thread}-{number}", 2))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    window = read(tmp_path)
    assert len(window.table) == 800
    assert window.losses == LogLosses()


@settings(max_examples=scaled(30), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(0, 9)), max_size=12))
def test_reading_again_what_was_deduplicated_changes_nothing(tmp_path_factory, requests):
    directory = tmp_path_factory.mktemp("log")
    log = PredictionLogWriter(directory)
    for number, rows, answered in requests:
        append(log, batch_of(f"r{number}", rows, answered_time_ms=answered))
    once = read(directory)
    for _ in range(2):
        for number, rows, answered in requests:
            append(log, batch_of(f"r{number}", rows, answered_time_ms=answered + 10))
    again = read(directory)
    assert again.table.equals(once.table)
    expected = {(f"r{number}", i) for number, rows, _ in requests for i in range(rows)}
    assert set(ids(once)) == expected
    assert len(once.table) == len(expected)
    sent = sum(rows for _, rows, _ in requests)
    assert once.losses.duplicate_rows == sent - len(expected)


@pytest.mark.parametrize(
    ("kinds", "expected", "conflicts"),
    [
        ([pa.int32(), pa.int64()], pa.int64(), 0),
        ([pa.int64(), pa.float32()], pa.float64(), 0),
        ([pa.float32(), pa.float32()], pa.float32(), 0),
        ([pa.null(), pa.float32()], pa.float32(), 0),
        ([pa.string(), pa.int64()], pa.string(), 1),
        ([pa.list_(pa.int64()), pa.int64()], pa.list_(pa.int64()), 0),
        ([pa.list_(pa.int64()), pa.list_(pa.float32())], pa.list_(pa.float64()), 0),
        ([pa.list_(pa.int64()), pa.string()], pa.list_(pa.string()), 1),
    ],
)
def test_types_that_differ_between_segments_are_unified(kinds, expected, conflicts):
    def table(kind):
        value = [1] if pa.types.is_list(kind) else "1" if kind == pa.string() else 1
        values = pa.array([None if pa.types.is_null(kind) else value], type=kind)
        columns = batch_of("r").columns[:9]
        names = batch_of("r").schema.names[:9]
        return pa.Table.from_arrays(
            [*columns, values, pa.array([1])], names=[*names, "feature.x", "answered_time_ms"]
        )

    unified, counted = unify([table(kind) for kind in kinds])
    assert unified.schema.field("feature.x").type == expected
    assert len(unified) == 2
    assert counted == conflicts


@pytest.mark.slow
def test_a_month_in_small_batches_reads_in_seconds(tmp_path):
    log = PredictionLogWriter(tmp_path)
    template = batch_of("r")
    ids_at = template.schema.get_field_index("request_id")
    for number in range(5000):
        columns = template.columns
        columns[ids_at] = pa.array([f"r{number}"])
        append(log, pa.RecordBatch.from_arrays(columns, schema=template.schema))
    started = time.process_time()
    assert len(read(tmp_path).table) == 5000
    assert time.process_time() - started < 2


def test_golden_rows_are_those_marked_and_in_older_logs_those_of_the_prefix(tmp_path):
    log = PredictionLogWriter(tmp_path)
    append(log, batch_of("golden-1"))
    older = batch_of("golden-2")
    names = [n for n in older.schema.names if n not in ("request_key", "golden", "trace_id")]
    columns = [older.column(older.schema.get_field_index(name)) for name in names]
    append(log, pa.RecordBatch.from_arrays(columns, names=names))
    marked = batch_of("r1")
    columns = marked.columns
    columns[marked.schema.get_field_index("golden")] = pa.array([True])
    append(log, pa.RecordBatch.from_arrays(columns, schema=marked.schema))
    window = read(tmp_path)
    assert window.table.column("request_id").to_pylist() == ["golden-1"]
    assert window.losses.golden_rows == 2


def test_a_window_file_of_earlier_releases_is_read_and_written_the_same(tmp_path):
    losses = {
        "duplicate_rows": 1,
        "golden_rows": 2,
        "unidentified_rows": 0,
        "truncated_segments": 0,
        "unreadable_segments": 0,
        "unreadable_batches": 0,
        "unreadable_bytes": 3,
        "type_conflicts": 0,
    }
    recorded = {
        "schema_version": 1,
        "window": "2013-03",
        "start_ms": 1362096000000,
        "end_ms": 1364774400000,
        "model_name": "flights",
        "rows": 3,
        "losses": losses,
    }
    text = json.dumps(recorded, indent=2) + "\n"
    (tmp_path / "window.json").write_text(text)
    window = LOG_WINDOW.read(tmp_path)
    assert (window.losses.golden_rows, window.labels) == (2, None)
    write_window(str(tmp_path / "again"), window, pa.table({}))
    assert (tmp_path / "again" / "window.json").read_text() == text
