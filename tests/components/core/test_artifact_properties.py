"""Custom properties of artifacts: finite scalars only."""

import pytest

pytestmark = pytest.mark.tensorflow


def test_scalars_are_written_by_type():
    from tfx_loop.core.artifacts import RetrainDecision, set_properties

    decision = RetrainDecision()
    set_properties(decision, {"rows": 3, "loss": 0.5, "verdict": "HOLD"})
    assert decision.get_int_custom_property("rows") == 3
    assert decision.get_float_custom_property("loss") == 0.5
    assert decision.get_string_custom_property("verdict") == "HOLD"


@pytest.mark.parametrize(("value", "kind"), [(True, "bool"), (None, "NoneType"), ([1], "list")])
def test_other_values_are_refused(value, kind):
    from tfx_loop.core.artifacts import DriftReport, set_properties

    with pytest.raises(TypeError, match=f"'x' must be int, float or str, got {kind}"):
        set_properties(DriftReport(), {"x": value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_left_out(value):
    """Protobuf 6 refuses it in JSON; a metric that is not defined is absent instead."""
    from google.protobuf import json_format

    from tfx_loop.core.artifacts import DriftReport, set_properties

    report = DriftReport()
    set_properties(report, {"auc": value, "rows": 3})
    written = json_format.MessageToDict(report.mlmd_artifact)
    assert written["customProperties"] == {"rows": {"intValue": "3"}}


def test_whole_numbers_beyond_32_bits_are_doubles_and_read_as_declared():
    """MySQL and PostgreSQL keep no larger ones, and a push is stamped in milliseconds."""
    from tfx_loop.contracts.pushed_model import PushedProperties
    from tfx_loop.core.artifacts import PredictionLog, set_properties
    from tfx_loop.core.custom_properties import from_properties

    artifact = PredictionLog()
    pushed_at_ms = 1_800_000_000_123
    set_properties(artifact, {"pushed": 1, "pushed_at_ms": pushed_at_ms, "rows": 2**31 - 1})
    held = artifact.mlmd_artifact.custom_properties
    assert held["pushed_at_ms"].WhichOneof("value") == "double_value"
    assert held["rows"].int_value == 2**31 - 1
    read = {"pushed": 1, "pushed_at_ms": held["pushed_at_ms"].double_value}
    assert from_properties(PushedProperties, read).pushed_at_ms == pushed_at_ms
