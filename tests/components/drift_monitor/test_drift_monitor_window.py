"""Which rows of a log are compared?"""

import pyarrow as pa
import pytest

from components.drift_monitor.window import read_window
from components.errors import DataError
from components.prediction_log.window_files import Window


def about(rows):
    return Window(window="2013-04", start_ms=0, end_ms=1, model_name="flights", rows=rows)


def test_only_answered_rows_count_and_names_lose_their_prefix():
    table = pa.table(
        {
            "request_id": ["a", "b", "c", "d"],
            "model_version": [3, 3, 4, 4],
            "status": ["ok", "ok", "ok", "error"],
            "feature.temp": [1.0, 2.0, 3.0, 4.0],
            "output.probability": [0.1, 0.2, 0.3, None],
            "label": [0.0, 1.0, 0.0, 1.0],
        }
    )
    window = read_window(table, about(4))
    assert (window.rows, window.failed_rows) == (3, 1)
    assert window.columns["temp"].to_pylist() == [1.0, 2.0, 3.0]
    assert set(window.columns) == {"temp", "output.probability"}
    assert window.features == {"temp"}
    assert window.model_versions == {3: 2, 4: 1}


def test_an_empty_log_has_no_rows_and_no_columns():
    window = read_window(pa.table({}), about(0))
    assert (window.rows, window.window, dict(window.columns)) == (0, "2013-04", {})


def test_rows_that_window_json_does_not_vouch_for_are_refused():
    table = pa.table({"model_version": [3], "status": ["ok"]})
    with pytest.raises(DataError, match="Expected 2 rows"):
        read_window(table, about(2))


def test_a_table_that_is_no_prediction_log_is_refused():
    with pytest.raises(DataError, match="model_version"):
        read_window(pa.table({"temp": [1.0]}), about(1))
