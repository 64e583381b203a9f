"""Captures of a shadow variant beside production's, as files of the documented layout."""

import pytest
from captured_lines import HOUR_MS, TIME_MS, capture, write_hour

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.core.bucket.trees import open_tree
from tfx_loop.core.errors import ModelRejected
from tfx_loop.data.prediction_log.importers.capture_window import read_captures
from tfx_loop.deployment.sagemaker_pusher import shadow_capture
from tfx_loop.deployment.sagemaker_pusher.shadow_capture import (
    CapturedAnswers,
    captured_answers,
    judge,
    shadow_report,
)

OUTPUTS = ("score",)


def asked(value):
    return {"instances": [{"hour": value}]}


def answered(*scores):
    return {"predictions": [[score] for score in scores]}


def captured(folder, variant="AllTraffic", since_ms=TIME_MS, until_ms=TIME_MS + 1):
    return captured_answers(open_tree(str(folder)), variant, OUTPUTS, since_ms, until_ms)


def both(folder, production, shadow):
    write_hour(folder, TIME_MS, production)
    write_hour(folder, TIME_MS, shadow, variant="Shadow")
    return shadow_report((1, 2), captured(folder), captured(folder, "Shadow"))


@pytest.mark.slow
def test_golden_requests_are_left_out_by_both_readers(tmp_path):
    golden = {"event": "e2", "inferenceId": "golden-7"}
    records = [capture(asked(1), answered(0.1)), capture(asked(2), answered(0.2), **golden)]
    write_hour(tmp_path, TIME_MS, records)
    rows = read_captures(CaptureSource(prefix=str(tmp_path)), "late", TIME_MS, TIME_MS + HOUR_MS)
    assert rows.table.column("request_id").to_pylist() == ["e1"]
    assert rows.losses.golden_rows == 1
    assert [call.event.request_id for call in captured(tmp_path).calls] == ["e1"]


def test_lines_are_rejected_for_the_same_reasons_by_both_readers(tmp_path):
    records = [
        capture(asked(1), None),
        capture(asked(1), answered(0.1), version="9"),
        capture(asked(1), {"error": "the graph failed"}),
        capture(asked(1), answered(0.1, 0.2)),
        "no json",
    ]
    write_hour(tmp_path, TIME_MS, records)
    rows = read_captures(CaptureSource(prefix=str(tmp_path)), "late", TIME_MS, TIME_MS + HOUR_MS)
    found = captured(tmp_path)
    assert found.calls == ()
    assert found.rejected == rows.losses.rejected_captures
    assert sum(found.rejected.values()) == len(records)


def test_requests_meet_by_inference_id_else_by_what_was_asked(tmp_path):
    production = [
        capture(asked(1), answered(0.9), event="p1", inferenceId="mine"),
        capture(asked(2), answered(0.2), event="p2"),
        capture(asked(2), answered(0.8), event="p3"),
        capture(asked(3), answered(0.3), event="p4"),
    ]
    shadow = [
        # Shadows write in an order of their own, and have events of their own.
        capture(asked(2), answered(0.1), event="s1"),
        capture(asked(1), answered(0.7), event="s2", inferenceId="mine"),
        capture(asked(2), answered(0.3), event="s3"),
        capture(asked(4), answered(0.4), event="s4"),
    ]
    report = both(tmp_path, production, shadow)
    assert (report.requests, report.rows) == (3, 3)
    assert (report.champion_alone, report.candidate_alone) == (1, 1)
    # Of the pairs (0.2, 0.1), (0.9, 0.7), (0.8, 0.3) the last lies on both sides of a half.
    assert report.agreement == {"score": pytest.approx(2 / 3)}
    assert report.mean_difference == {"score": pytest.approx(0.8 / 3)}


def test_what_was_asked_before_the_shadow_began_is_left_out(tmp_path):
    records = [
        capture(asked(n), answered(0.1), time_ms=TIME_MS + n * 1000, event=f"e{n}") for n in (1, 5)
    ]
    write_hour(tmp_path, TIME_MS, records)
    found = captured(tmp_path, since_ms=TIME_MS + 4_900, until_ms=TIME_MS + 6_000)
    assert [call.event.request_id for call in found.calls] == ["e5"]


def test_reading_ends_at_the_most_requests(tmp_path, monkeypatch):
    monkeypatch.setattr(shadow_capture, "MAX_REQUESTS", 3)
    records = [capture(asked(n), answered(0.1), event=f"e{n}") for n in range(5)]
    write_hour(tmp_path, TIME_MS, records)
    assert len(captured(tmp_path).calls) == 3


def test_outputs_of_other_form_agree_nowhere(tmp_path):
    production = [capture(asked(1), {"predictions": [{"score": [0.1], "why": "a"}]})]
    report = both(tmp_path, production, [capture(asked(1), answered(0.1), event="s1")])
    assert report.agreement == {"score": 1.0, "why": 0.0}
    with pytest.raises(ModelRejected, match="output 'why'"):
        judge(report, 0.5)


def test_rows_of_several_lengths_are_no_agreement(tmp_path):
    wide = [[0.1], [0.1, 0.9]]
    production = [
        capture(asked(n), {"predictions": [row]}, event=f"p{n}") for n, row in enumerate(wide)
    ]
    report = both(tmp_path, production, production)
    assert (report.requests, report.agreement) == (2, {})
    with pytest.raises(ModelRejected, match="found none"):
        judge(report, 0.5)


def test_nothing_captured_is_refused_with_what_was_rejected():
    report = shadow_report((1, 2), CapturedAnswers(), CapturedAnswers(rejected={"cut_line": 2}))
    with pytest.raises(ModelRejected, match="rejected lines: cut_line 2"):
        judge(report, 0.5)
    judge(report, 0.0)
