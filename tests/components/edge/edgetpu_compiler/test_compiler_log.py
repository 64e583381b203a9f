"""Logs of four versions, written from the documented format; what is not certain is unknown."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.contracts.compiler_log import CompilerOutcome
from tfx_loop.core.json_codec import to_json
from tfx_loop.edge.edgetpu_compiler.toolchain.compiler_log import parse

LOGS = Path(__file__).resolve().parents[3] / "helpers" / "edgetpu_logs"
KIB, MIB = 2**10, 2**20


def log(name):
    return (LOGS / name).read_text()


def test_version_2_states_what_was_available():
    parsed = parse(log("2.0_all_mapped.txt"))
    (model,) = parsed.models
    assert (parsed.outcome, parsed.version) == (CompilerOutcome.COMPILED, "2.0.267685300")
    assert parsed.compile_ms == 412
    assert (model.operations, model.mapped, model.mapped_share) == (12, 12, 1.0)
    assert model.on_chip_used_bytes == 1.25 * MIB
    assert model.on_chip_remaining_bytes == 6.25 * MIB
    assert (model.off_chip_bytes, model.subgraphs) == (0, 1)


def test_version_14_gives_a_reason_for_each_operator_on_the_cpu():
    (model,) = parse(log("14.1_some_on_cpu.txt")).models
    assert (model.operations, model.mapped, model.mapped_share) == (24, 6, 0.25)
    assert {(row.op, row.count, row.reason) for row in model.operators if not row.mapped} == {
        ("CONV_2D", 9, "after_the_first_subgraph"),
        ("RESIZE_NEAREST_NEIGHBOR", 2, "operation_version"),
        ("PACK", 3, "rank"),
        ("CUSTOM", 1, "data_type"),
        ("LOGISTIC", 3, "unspecified_limitation"),
    }
    assert model.output_bytes == 120 * KIB


def test_an_operation_log_alone_states_no_outcome():
    parsed = parse(log("14.1_operation_log.log"))
    assert parsed.outcome is CompilerOutcome.UNKNOWN
    assert parsed.models[0].mapped == 6
    assert sum(row.count for row in parsed.models[0].operators) == 24


def test_the_operation_log_completes_a_log_without_table():
    without = parse(log("14.1_no_table.txt"))
    completed = parse(log("14.1_no_table.txt"), [log("14.1_operation_log.log")])
    assert without.models[0].operators == ()
    assert completed.models == parse(log("14.1_some_on_cpu.txt")).models
    assert completed.outcome is CompilerOutcome.COMPILED


def test_an_operation_log_that_contradicts_the_summary_is_not_believed():
    table = log("14.1_operation_log.log").replace("CONV_2D                        5", "CONV_2D  4")
    assert parse(log("14.1_no_table.txt"), [table]).outcome is CompilerOutcome.UNKNOWN


def test_version_15_names_each_co_compiled_model():
    parsed = parse(log("15.0_co_compiled.txt"))
    first, second = parsed.models
    assert parsed.outcome is CompilerOutcome.COMPILED
    assert (first.input_model, first.mapped_share) == ("first.tflite", 1.0)
    assert (second.input_model, second.mapped_share) == ("second.tflite", 7 / 8)
    assert first.on_chip_remaining_bytes == second.on_chip_remaining_bytes == 2304
    assert second.off_chip_bytes == 4.5 * MIB


def test_compiled_with_nothing_mapped_is_a_share_of_zero():
    parsed = parse(log("15.0_nothing_mapped.txt"))
    assert parsed.outcome is CompilerOutcome.COMPILED
    assert (parsed.models[0].mapped_share, parsed.models[0].subgraphs) == (0.0, 0)


def test_version_16_fails_on_its_way_to_success():
    parsed = parse(log("16.0_searched.txt"))
    (model,) = parsed.models
    assert (parsed.outcome, parsed.reason) == (CompilerOutcome.COMPILED, "")
    assert (parsed.major_version, parsed.compile_ms) == (16, 1753)
    assert (model.mapped_share, model.off_chip_bytes) == (0.75, 512)
    assert [row.reason for row in model.operators if not row.mapped] == [
        "after_the_first_subgraph",
        "other",
    ]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("16.0_dynamic.txt", "Model failed in Tflite interpreter"),
        ("16.0_own_timeout.txt", "Compilation timeout"),
        ("15.0_not_quantized.txt", "Invalid model: float.tflite"),
        ("2.0_aborted.txt", "std::out_of_range"),
        ("15.0_not_written.txt", "Error opening file for writing"),
    ],
)
def test_failures_are_failures_and_say_why(name, says):
    parsed = parse(log(name))
    assert parsed.outcome is CompilerOutcome.FAILED
    assert says in parsed.reason
    assert any(says in message for message in parsed.messages)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "Segment 1 done. All good.",
        log("15.0_banner_only.txt"),
        log("21.3_of_the_future.txt"),
        log("16.0_searched.txt").replace("Edge TPU Compiler version 16.0.384591198", "Compiler"),
        log("2.0_all_mapped.txt").replace("Total number of operations: 12", ""),
        log("2.0_all_mapped.txt").replace("CONV_2D                        8", "CONV_2D  7"),
        log("14.1_some_on_cpu.txt").replace("will run on Edge TPU: 6", "will run on Edge TPU: 9"),
    ],
)
def test_a_log_that_is_not_certain_is_unknown(text):
    parsed = parse(text)
    assert parsed.outcome is CompilerOutcome.UNKNOWN
    assert parsed.reason


def test_carriage_returns_and_indents_do_not_matter():
    text = "\r\n".join(f"   {line}  " for line in log("16.0_searched.txt").splitlines())
    assert parse(text).models == parse(log("16.0_searched.txt")).models


@given(st.sampled_from(sorted(LOGS.glob("*.txt"))), st.data())
def test_a_log_that_breaks_off_never_claims_more_than_the_whole(path, data):
    """Cut anywhere: no crash, and `compiled` only with all operators accounted for."""
    whole = path.read_text()
    cut = parse(whole[: data.draw(st.integers(0, len(whole)))])
    if cut.outcome is CompilerOutcome.COMPILED:
        for model in cut.models:
            assert model.mapped is not None
            assert not model.operators or sum(r.count for r in model.operators) == model.operations


@given(st.text())
def test_any_text_is_read(text):
    assert parse(text).outcome in (CompilerOutcome.UNKNOWN, CompilerOutcome.FAILED)


def test_the_log_as_json_has_the_share_and_the_table():
    content = to_json(parse(log("14.1_some_on_cpu.txt")))
    assert content["models"][0]["mapped_share"] == 0.25
    assert content["models"][0]["operators"][0]["reason"] == "after_the_first_subgraph"
