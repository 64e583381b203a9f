"""Columns that are not tested, keys and times, are broken all the same when nothing is left."""

import pytest
from monitored_files import entry_of, frame, monitored, save

GONE = {
    "row": [("absent_feature", None), ("constant_value", 7)],
    "request_id": [("absent_feature", None), ("constant_value", "r"), ("all_missing", "")],
    "at": [("absent_feature", None), ("type_changed", "x"), ("all_missing", "")],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("column", "fault", "value"),
    [(column, *case) for column, cases in GONE.items() for case in cases],
)
def test_a_key_or_a_time_that_is_gone_is_a_fault(capsys, tmp_path, kind, column, fault, value):
    reference = save(frame(0), tmp_path, "a", kind)
    current = frame(1, first=5_000)
    current = (
        current.assign(**{column: value or None})
        if value is not None
        else current.drop(columns=column)
    )
    status, report = monitored(capsys, reference, save(current, tmp_path, "b", kind))
    entry = entry_of(report, column)
    assert (status, report["verdict"], entry["fault"]) == (3, "DATA_FAULT", fault)
    assert entry["note"]
    ignored = monitored(capsys, reference, save(current, tmp_path, "b", kind), "--ignore", column)
    assert ignored[1]["verdict"] == "STABLE"


def test_a_key_that_was_renamed_is_told(capsys, tmp_path):
    files = frame(0), frame(1, first=5_000).rename(columns={"request_id": "requestId"})
    paths = (save(content, tmp_path, name) for content, name in zip(files, "ab", strict=True))
    note = entry_of(monitored(capsys, *paths)[1], "request_id")["note"]
    assert note == "no such column in the current file. Did you mean 'requestId'?"


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_one_day_one_batch_and_lost_row_numbers_are_no_fault(capsys, tmp_path, kind):
    numbered = {"Unnamed: 0": range(1_500), "batch": [f"b{row // 3}" for row in range(1_500)]}
    reference = save(frame(0).assign(**numbered), tmp_path, "a", kind)
    current = frame(1, first=5_000).assign(at="2024-03-01", batch="b9")
    paths = reference, save(current, tmp_path, "b", kind)
    assert monitored(capsys, *paths, "--id", "batch")[1]["verdict"] == "STABLE"
