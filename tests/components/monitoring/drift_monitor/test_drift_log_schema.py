"""A log's features against TFDV's schema, as far as a server has them."""

import pytest
from counted_rows import log_rows

from tfx_loop.data.prediction_log.window_files import LogWindow, write_window

pytestmark = pytest.mark.tensorflow

SCHEMA = """
default_environment: "TRAINING"
default_environment: "SERVING"
feature { name: "temp" type: FLOAT presence { min_fraction: 0.9 } }
feature { name: "code" type: INT int_domain { min: 0 max: 5 } }
feature { name: "late" type: FLOAT presence { min_fraction: 1.0 } not_in_environment: "SERVING" }
feature { name: "day" type: INT presence { min_fraction: 1.0 } }
"""


def breaches(tmp_path, columns, failed=0):
    from tfx_loop.data.schema_file import read_schema
    from tfx_loop.monitoring.drift.data_faults.schema import check_schema
    from tfx_loop.monitoring.drift_monitor.beam_counting import LogFeatures

    rows = log_rows(columns, failed=failed)
    about = LogWindow(window="w", start_ms=0, end_ms=1, model_name="m", rows=rows.num_rows)
    write_window(str(tmp_path), about, rows)
    (tmp_path / "schema.pbtxt").write_text(SCHEMA)
    schema = read_schema(str(tmp_path / "schema.pbtxt"))
    found = check_schema(LogFeatures(str(tmp_path)), schema, ignored={"day"})
    return {entry.feature: entry.fault for entry in found}


def test_a_label_and_what_is_ignored_are_not_asked_of_a_server(tmp_path):
    assert breaches(tmp_path, {"temp": [1.0] * 20, "code": [5] * 20}) == {}


def test_rows_answered_with_an_error_are_not_judged(tmp_path):
    assert breaches(tmp_path, {"temp": [1.0] * 20, "code": [5] * 20}, failed=30) == {}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"temp": [None] * 5 + [1.0] * 15, "code": [5] * 20}, {"temp": "schema_anomaly"}),
        ({"temp": [1.0] * 20, "code": [5] * 19 + [6]}, {"code": "schema_anomaly"}),
        ({"temp": ["warm"] * 20, "code": [5] * 20}, {"temp": "type_changed"}),
        ({"code": [5] * 20}, {"temp": "schema_anomaly"}),
        ({"temp": [1.0], "code": [1], "extra": [1]}, {"extra": "schema_anomaly"}),
    ],
)
def test_each_breach_is_named(tmp_path, columns, expected):
    assert breaches(tmp_path, columns) == expected
