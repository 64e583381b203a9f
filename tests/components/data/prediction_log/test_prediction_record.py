"""Records of predictions: what is accepted, refused, and how requests are made rows."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_rows import START_MS, batch_of

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.data.prediction_log.record import (
    ENVELOPE,
    MAX_EVENT_TIME_MS,
    check_event_time,
    check_model_name,
    check_request_id,
    day_of,
    to_arrow,
)


def test_batch_has_envelope_features_outputs_in_this_order():
    names = batch_of("r", 2).schema.names
    assert names == [
        *ENVELOPE.names,
        "feature.hour",
        "feature.origin",
        "feature.temp",
        "output.probability",
        "answered_time_ms",
        "request_key",
        "golden",
        "trace_id",
    ]


def test_rows_of_a_request_are_numbered():
    assert batch_of("r", 3).column("instance_index").to_pylist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "-rf", "a\n", "x" * 200])
def test_model_name_cannot_leave_its_folder(name):
    with pytest.raises(ConfigError, match="model name"):
        check_model_name(name)


@pytest.mark.parametrize(
    "text", ["", "-1", "1.5", "abc", "1e9", "253402300800000", "9" * 30, "\u0661"]
)
def test_bad_event_time_is_refused(text):
    with pytest.raises(DataError, match="x-event-time-ms"):
        check_event_time(text)


@given(st.integers(0, MAX_EVENT_TIME_MS))
def test_every_valid_event_time_has_a_day(time_ms):
    assert check_event_time(str(time_ms)) == time_ms
    assert len(day_of(time_ms)) == 10


def test_day_is_utc():
    assert day_of(START_MS) == "2013-03-01"
    assert day_of(START_MS - 1) == "2013-02-28"


@pytest.mark.parametrize("text", ["", "a b", "é", "x" * 257, "a\x00"])
def test_bad_request_id_is_refused(text):
    with pytest.raises(DataError, match="x-request-id"):
        check_request_id(text)


def test_single_column_becomes_scalars_and_wider_rows_become_lists():
    assert to_arrow(np.array([[1.0], [2.0]])).to_pylist() == [1.0, 2.0]
    assert to_arrow(np.array([[1, 2], [3, 4]])).to_pylist() == [[1, 2], [3, 4]]


def test_bytes_that_are_no_text_do_not_make_the_log_unreadable():
    column = to_arrow(np.array([b"\xff\xfeJFK", b"ok"], dtype=object))
    assert column.type == pa.string()
    assert column.to_pylist() == ["\\xff\\xfeJFK", "ok"]


@given(
    st.sampled_from(["int8", "int32", "int64", "uint16", "uint64", "float32", "float64", "bool"]),
    st.integers(1, 6),
    st.booleans(),
)
def test_columns_keep_their_values_and_types(dtype, rows, strided):
    values = np.arange(rows * 2).astype(dtype)
    values = values[::2] if strided else values[:rows]
    column = to_arrow(values)
    column.validate(full=True)
    assert column.type == pa.from_numpy_dtype(np.dtype(dtype))
    assert column.to_pylist() == values.tolist()


def test_steady_columns_are_not_mixed_up_between_requests():
    one, two = batch_of("r", 2, version=1), batch_of("r", 2, version=2)
    assert one.column("model_version").to_pylist() == [1, 1]
    assert two.column("model_version").to_pylist() == [2, 2]
    assert one.column("sampling_rate").to_pylist() == [1.0, 1.0]
