"""SageMaker's captures of a window: what becomes rows, and what is counted instead."""

import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from captured_lines import (
    CSV_TYPE,
    HOUR_MS,
    JSON_TYPE,
    TIME_MS,
    capture,
    hour_folder,
    side,
    write_hour,
)
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_loop.contracts.capture_source import CaptureSource, ServedVersion
from tfx_loop.core.bucket.trees import open_tree, read_each
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.data.prediction_log.importers.capture_files import CaptureFile, hour_of
from tfx_loop.data.prediction_log.importers.capture_rows import CaptureTables
from tfx_loop.data.prediction_log.importers.capture_window import list_captures, read_captures
from tfx_loop.data.prediction_log.importers.captured_table import captured_features
from tfx_loop.pipelines.cli.main import main

ROW, ANSWER = {"instances": [{"fare": 3.5}]}, {"predictions": [0.25]}


def window(folder, start=TIME_MS, end=TIME_MS + HOUR_MS, **changes):
    return read_captures(CaptureSource(prefix=str(folder), **changes), "taxi", start, end)


def one(folder, record, **changes):
    """Returns the rows that a single record makes."""
    write_hour(folder, TIME_MS, [record])
    return window(folder, **changes).table


@pytest.mark.parametrize(
    ("asked", "answered", "features", "outputs"),
    [
        pytest.param(ROW, ANSWER, {"fare": [3.5]}, {"prediction": [0.25]}, id="rows"),
        pytest.param(
            {"inputs": {"fare": [[1.0], [2.0]]}},
            {"outputs": [[0.5], [0.75]]},
            {"fare": [1.0, 2.0]},
            {"prediction": [0.5, 0.75]},
            id="columns of shape n by 1",
        ),
        pytest.param(
            {"instances": [[1, "a"], [2, "b"]]},
            {"predictions": [{"p": 0.5, "label": "x"}, {"p": 0.75, "label": "y"}]},
            {"fare": [1, 2], "kind": ["a", "b"]},
            {"p": [0.5, 0.75], "label": ["x", "y"]},
            id="lists, and answers with names",
        ),
        pytest.param(
            [1, "a"], {"predictions": [0.5]}, {"fare": [1], "kind": ["a"]}, {"prediction": [0.5]},
            id="a plain list as one row",
        ),
        pytest.param(
            "1.5,07x\n2,a\n", "0.5\n0.75\n", {"fare": [1.5, 2.0], "kind": ["07x", "a"]},
            {"prediction": [0.5, 0.75]}, id="csv",
        ),
        pytest.param(
            "fare,kind\n1,a\n2,b", "0.5,0.75", {"fare": [1, 2], "kind": ["a", "b"]},
            {"prediction": [0.5, 0.75]}, id="csv with a header, answered in one line",
        ),
        pytest.param(
            "\ufeffkind, fare\r\n\"a, b\",1\r\n\"c\nd\",2\r\n", "0.5\n0.75",
            {"fare": [1, 2], "kind": ["a, b", "c\nd"]}, {"prediction": [0.5, 0.75]},
            id="csv with a header in another order, cells with commas and line ends",
        ),
        pytest.param(
            side('{"fare": 1, "kind": "a"}\n{"fare": 2, "kind": null}\n', "JSON",
                 "application/jsonlines"),
            {"predictions": [0.5, 0.75]}, {"fare": [1, 2], "kind": ["a", None]},
            {"prediction": [0.5, 0.75]}, id="json lines",
        ),
        pytest.param(
            side("1,a", "BASE64", CSV_TYPE), side(json.dumps(ANSWER), "BASE64", JSON_TYPE),
            {"fare": [1], "kind": ["a"]}, {"prediction": [0.25]}, id="base64 by its content type",
        ),
        pytest.param(
            side(json.dumps(ROW), "BASE64", "application/json; charset=utf-8"),
            side(json.dumps(ANSWER), "BASE64", ""), {"fare": [3.5]}, {"prediction": [0.25]},
            id="base64, content type with parameters or none",
        ),
        pytest.param(
            side('{"instances": [{"fare": NaN}]}'), side('{"predictions": [Infinity]}'),
            {}, {"prediction": [float("inf")]}, id="numbers that are none in JSON",
        ),
        pytest.param(
            {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]},
            {"outputs": [{"name": "y", "shape": [2, 1], "datatype": "FP32", "data": [5, 6]}]},
            {"fare": [1, 3], "kind": [2, 4]}, {"y": [5, 6]}, id="tensors",
        ),
    ],
)  # fmt: skip
def test_bodies_become_rows(tmp_path, asked, answered, features, outputs):
    table = one(tmp_path, capture(asked, answered), feature_names=("fare", "kind"))
    for prefix, columns in (("feature.", features), ("output.", outputs)):
        for name, values in columns.items():
            assert table.column(prefix + name).to_pylist() == values
    assert table.column("instance_index").to_pylist() == list(range(len(table)))
    assert set(table.column("request_id").to_pylist()) == {"e1"}
    assert set(table.column("event_time_ms").to_pylist()) == {TIME_MS}


@pytest.mark.parametrize(
    ("asked", "answered", "features"),
    [
        ("fare,kind\n1,a\n2,b", "0.5\n0.75", {"fare": [1, 2], "kind": ["a", "b"]}),
        ("fare,kind\n1,a\n2,b", "0.5,0.75", {"fare": [1, 2], "kind": ["a", "b"]}),
        ("kind\na", "0.5", {"kind": ["a"]}),
        ("x,y\nz,w", "0.5\n0.75", {"c0": ["x", "z"], "c1": ["y", "w"]}),
    ],
    ids=["header", "header, answers in one line", "header of one column", "a row for each answer"],
)
def test_csv_without_names_takes_those_of_a_row_that_nobody_answered(
    tmp_path, asked, answered, features
):
    table = one(tmp_path, capture(asked, answered))
    for name, values in features.items():
        assert table.column(f"feature.{name}").to_pylist() == values


@pytest.mark.parametrize("asked", ["fare,fare\n1,a", "1,2\n3,4", ",b\n1,2"])
def test_csv_with_a_row_too_many_that_is_no_header_is_rejected(tmp_path, asked):
    write_hour(tmp_path, TIME_MS, [capture(asked, "0.5"), capture(ROW, ANSWER)])
    assert window(tmp_path).losses.rejected_captures == {"no_rows": 1}


def test_the_inference_id_is_the_request_and_the_event_tells_its_calls_apart(tmp_path):
    records = [
        capture(ROW, ANSWER, event="e1", inferenceId="trip-7"),
        capture(ROW, ANSWER, event="e2", inferenceId="trip-7"),
        capture(ROW, ANSWER, event="e2", inferenceId="trip-7"),
        capture(ROW, ANSWER, event="e3", inferenceId="golden-1"),
        capture(ROW, ANSWER, event="e4"),
    ]
    write_hour(tmp_path, TIME_MS, records)
    found = window(tmp_path)
    assert sorted(found.table.column("request_id").to_pylist()) == ["e4", "trip-7", "trip-7"]
    assert (found.losses.duplicate_rows, found.losses.golden_rows) == (1, 1)


def test_what_becomes_no_row_is_counted_by_its_reason(tmp_path):
    records = [
        capture(ROW, None),
        capture(None, ANSWER),
        capture(ROW, side("0.5", "PROTOBUF")),
        capture(ROW, ANSWER, version="1"),
        capture(ROW, side(b"\x93NUMPY\xff", "BASE64", "application/x-npy")),
        capture(ROW, {"error": "Failed to process element: 0"}),
        capture(ROW, {"predictions": [0.1, 0.2]}),
        capture("1,a\n2\n", "0.5"),
        capture({"instances": [{"fare": 1}, {"fare": "x"}]}, {"predictions": [1, 2]}),
        capture(side("{"), ANSWER),
        capture(side('{"instances": [{"fare": "\\ud800"}]}'), ANSWER),
        capture(ROW, ANSWER, inferenceTime="yesterday"),
        {"captureData": {}, "eventMetadata": {}, "eventVersion": "0"},
        "[" * 100_000,
        "null",
        "",
        capture(ROW, ANSWER, event="good"),
        capture({"instances": [{"fare": 2**70}]}, ANSWER, event="wide"),
    ]
    path = write_hour(tmp_path, TIME_MS, records)
    path.write_text(path.read_text() + json.dumps(capture(ROW, ANSWER))[:90])
    found = window(tmp_path)
    assert found.losses.rejected_captures == {
        "cut_line": 1,
        "failed_call": 1,
        "mixed_rows": 1,
        "mixed_types": 1,
        "no_capture": 1,
        "no_endpointInput": 1,
        "no_endpointOutput": 1,
        "no_json": 4,
        "no_rows": 1,
        "no_text": 1,
        "no_time": 1,
        "unknown_encoding": 1,
        "unknown_version": 1,
    }
    assert sorted(found.table.column("request_id").to_pylist()) == ["good", "wide"]


def test_the_window_goes_by_time_and_not_by_folder(tmp_path):
    before, after = TIME_MS - 1000, TIME_MS + HOUR_MS
    write_hour(tmp_path, TIME_MS, [capture(ROW, ANSWER, before, "early"), capture(ROW, ANSWER)])
    write_hour(
        tmp_path, after,
        [capture(ROW, ANSWER, after - 1000, "late"), capture(ROW, ANSWER, after, "next")],
    )  # fmt: skip
    assert sorted(window(tmp_path).table.column("request_id").to_pylist()) == ["e1", "late"]
    assert window(tmp_path, TIME_MS - HOUR_MS, TIME_MS).table.column("request_id").to_pylist() == [
        "early"
    ]


def test_a_window_that_begins_within_an_hour_reads_the_folder_of_that_hour(tmp_path):
    half = TIME_MS + HOUR_MS // 2
    records = [capture(ROW, ANSWER, half - 1000, "a"), capture(ROW, ANSWER, half + 1000, "b")]
    write_hour(tmp_path, TIME_MS, records)
    found = window(tmp_path, half, half + HOUR_MS, margin_hours=0)
    assert found.table.column("request_id").to_pylist() == ["b"]
    assert found.losses.rejected_captures == {}


def test_a_line_that_its_own_window_would_not_find_is_counted_where_it_lies(tmp_path):
    write_hour(tmp_path, TIME_MS, [capture(ROW, ANSWER, TIME_MS - 5 * HOUR_MS, "lost")])
    assert window(tmp_path).losses.rejected_captures == {"misplaced": 1}
    wide = window(tmp_path, TIME_MS - 6 * HOUR_MS, TIME_MS - 4 * HOUR_MS, margin_hours=5)
    assert len(wide.table) == 1


@settings(max_examples=scaled(60), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 11),
            st.integers(-4 * HOUR_MS, 4 * HOUR_MS),
            st.sampled_from(["row", "cut", "one side", "no time"]),
        ),
        max_size=12,
    ),
    st.integers(0, 3),
    st.lists(st.integers(1, 20), min_size=1, max_size=3),
)
def test_windows_side_by_side_count_every_line_once(lines, margin, cuts):
    """Whatever hour a line lies in, and wherever the windows are cut."""
    base = TIME_MS - TIME_MS % HOUR_MS
    edges = [base - 10 * HOUR_MS]
    for cut in cuts:
        edges.append(edges[-1] + cut * HOUR_MS // 2)
    edges.append(base + 24 * HOUR_MS)
    made = {}
    for number, (hour, shift, kind) in enumerate(lines):
        time = base + hour * HOUR_MS + shift
        record = capture(ROW, None if kind == "one side" else ANSWER, time, f"e{number}")
        if kind == "no time":
            del record["eventMetadata"]["inferenceTime"]
        text = json.dumps(record)
        made.setdefault(hour, []).append(text[:50] if kind == "cut" else text)
    source = CaptureSource(prefix="unused", margin_hours=margin)
    counted = 0
    for start, end in pairwise(edges):
        tables = CaptureTables(source, "taxi", (start, end))
        for hour, texts in made.items():
            hour_ms = base + hour * HOUR_MS
            # As `capture_files` lists them.
            first = (start - margin * HOUR_MS) // HOUR_MS * HOUR_MS
            if first <= hour_ms < end + margin * HOUR_MS:
                file = CaptureFile(path="x", hour_ms=hour_ms)
                tables.add(file, "\n".join(texts).encode())
        rows = sum(map(len, tables.take()))
        assert rows == tables.counts.calls
        counted += rows + sum(tables.counts.rejected.values())
    assert counted == len(lines)


def test_shadows_are_counted_and_variants_are_never_guessed(tmp_path):
    write_hour(tmp_path, TIME_MS, [capture(ROW, ANSWER)], variant="blue-1")
    write_hour(tmp_path, TIME_MS, [capture(ROW, ANSWER), "{"], variant="shadow")
    with pytest.raises(ConfigError, match=r"found|received none: \['blue-1', 'shadow'\]"):
        window(tmp_path)
    found = window(tmp_path, variants=("blue-*",))
    assert len(found.table) == 1
    assert found.losses.rejected_captures == {"no_json": 1, "shadow_variant": 1}
    with pytest.raises(ConfigError, match=r"found those of \['blue-1', 'shadow'\]"):
        window(tmp_path, variants=("green",))


def test_the_prefix_may_stand_above_the_endpoint_or_below_it(tmp_path):
    write_hour(tmp_path / "endpoint", TIME_MS, [capture(ROW, ANSWER)])
    for prefix in (tmp_path, tmp_path / "endpoint", tmp_path / "endpoint" / "AllTraffic"):
        assert len(window(prefix).table) == 1
    write_hour(tmp_path / "another", TIME_MS, [capture(ROW, ANSWER)])
    with pytest.raises(ConfigError, match=r"one endpoint .*\['another', 'endpoint'\]"):
        window(tmp_path)
    with pytest.raises(DataError, match="found none"):
        window(tmp_path / "nowhere")


def test_sampled_captures_say_what_a_row_stands_for(tmp_path):
    write_hour(tmp_path, TIME_MS, [capture(ROW, ANSWER)])
    assert window(tmp_path).sampling_rate == 1
    found = window(tmp_path, sampling_percentage=25)
    assert found.sampling_rate == 0.25
    assert found.table.column("sampling_rate").to_pylist() == [0.25]
    assert len(window(tmp_path, TIME_MS + 9 * HOUR_MS, TIME_MS + 10 * HOUR_MS).table) == 0


@pytest.mark.parametrize(
    ("given", "received"),
    [
        ({"sampling_percentage": "20"}, "in sampling_percentage of CaptureSource"),
        ({"margin_hours": 1.5}, "in margin_hours"),
        ({"variants": "AllTraffic"}, r"Write \('AllTraffic',\)"),
        ({"prefix": 3}, "in prefix"),
        ({"versions": (1,)}, "in versions"),
    ],
)
def test_a_value_of_another_type_is_a_sentence(given, received):
    with pytest.raises(ConfigError, match=received):
        CaptureSource(**{"prefix": "captures", **given})


@pytest.mark.parametrize("percent", [0, -1, 100.5])
def test_a_share_that_endpoints_cannot_capture_is_refused(percent):
    with pytest.raises(ConfigError, match="sampling_percentage"):
        CaptureSource(prefix="x", sampling_percentage=percent)


def test_versions_are_those_that_served_then(tmp_path):
    versions = (
        ServedVersion(version=1),
        ServedVersion(version=2, since_ms=TIME_MS + 60_000),
        ServedVersion(version=3, since_ms=TIME_MS, variant="green"),
    )
    records = [capture(ROW, ANSWER, TIME_MS + 1000 * s, f"e{s}") for s in (0, 59, 60)]
    write_hour(tmp_path, TIME_MS, records)
    table = window(tmp_path, versions=versions).table
    assert table.column("model_version").to_pylist() == [1, 1, 2]


def test_one_odd_call_costs_the_others_nothing(tmp_path):
    """A column of several types is taken apart call by call, with the same counts."""
    even = [capture({"instances": [{"fare": i}]}, ANSWER, event=f"e{i}") for i in range(5)]
    odd = capture({"instances": [{"fare": 1}, {"fare": "x"}]}, {"predictions": [1, 2]}, event="odd")
    text = capture({"instances": [{"fare": "x"}]}, ANSWER, event="text")
    write_hour(tmp_path, TIME_MS, [*even, odd, text])
    found = window(tmp_path)
    assert found.losses.rejected_captures == {"mixed_types": 1}
    assert found.losses.type_conflicts == 1
    assert found.table.column("feature.fare").to_pylist() == ["0", "1", "2", "3", "4", "x"]


def test_a_file_that_comes_or_changes_is_another_listing(tmp_path):
    source = CaptureSource(prefix=str(tmp_path))
    write_hour(tmp_path, TIME_MS, [capture(ROW, ANSWER)])
    write_hour(tmp_path, TIME_MS + 9 * HOUR_MS, [capture(ROW, ANSWER)])
    first = list_captures(source, TIME_MS, TIME_MS + HOUR_MS)
    assert [file.path for file in first] == [
        f"{folder}/00-00-000-a.jsonl" for folder in [f"AllTraffic/{hour_folder(TIME_MS)}"]
    ]
    write_hour(tmp_path, TIME_MS, [capture(ROW, ANSWER)] * 2)
    changed = list_captures(source, TIME_MS, TIME_MS + HOUR_MS)
    assert changed != first
    write_hour(tmp_path, TIME_MS + HOUR_MS, [capture(ROW, ANSWER)])
    assert len(list_captures(source, TIME_MS, TIME_MS + HOUR_MS)) == 2


def test_hours_that_are_none_are_no_hours():
    assert hour_of("v/2023/11/14/22/a.jsonl") == TIME_MS
    for path in ("v/2023/13/14/22/a.jsonl", "v/2023/11/14/24/a.jsonl", "v/2023/11/14/a.jsonl"):
        assert hour_of(path) is None


def test_an_address_of_another_store_is_refused():
    with pytest.raises(ConfigError, match="s3://"):
        open_tree("hdfs://somewhere/captures")


def test_columns_that_golden_rows_alone_had_are_no_columns_of_clients(tmp_path):
    golden = capture({"instances": [[1.0, 2.0]]}, ANSWER, event="e2", inferenceId="golden-1")
    unknown = capture({"instances": [{"fare": 1.5, "kind": None}]}, ANSWER, event="e3")
    write_hour(tmp_path, TIME_MS, [capture(ROW, ANSWER), golden, unknown])
    table, rejected = captured_features(f"sagemaker:{tmp_path}")
    assert (table.column_names, len(table), rejected) == (["fare", "kind"], 2, {})


def test_the_file_command_compares_captures_with_a_file(tmp_path, capsys):
    random = np.random.default_rng(0)
    pq.write_table(pa.table({"fare": random.normal(0, 1, 3000)}), tmp_path / "reference.parquet")

    def captured(shift):
        rows = [{"fare": value} for value in random.normal(shift, 1, 2000)]
        return capture({"instances": rows}, {"predictions": [0.5] * len(rows)})

    write_hour(tmp_path / "same", TIME_MS, [captured(0), "{"])
    write_hour(tmp_path / "moved", TIME_MS, [captured(2)])
    words = ["monitor", "--reference", str(tmp_path / "reference.parquet"), "--current"]
    assert main([*words, f"sagemaker:{tmp_path / 'same'}"]) == 0
    assert "captured lines that are no rows: no_json 1" in capsys.readouterr().err
    assert main([*words, f"sagemaker:{tmp_path / 'moved'}::2023-11-14/2023-11-15", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["verdict"] == "DRIFT"
    for period, told in (("2023-11-15/2023-11-16", "received none"), ("soon/2", "FROM/TO")):
        assert main([*words, f"sagemaker:{tmp_path / 'moved'}::{period}"]) == 1
        assert told in capsys.readouterr().err


def test_files_are_read_together_and_come_in_their_order(tmp_path):
    names = [f"{number:03d}" for number in range(35)]
    for name in names:
        (tmp_path / name).write_text(name)
    assert [each.decode() for each in read_each(open_tree(str(tmp_path)), names)] == names
    with pytest.raises(DataError, match=r"Expected to read .*absent"):
        list(read_each(open_tree(str(tmp_path)), [*names, "absent"]))
