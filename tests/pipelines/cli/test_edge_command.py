"""`loop edge`: the table, the JSON, the errors, and how fast it starts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tflite_builder import TfliteBuilder
from time_limits import seconds

from tfx_loop.pipelines.cli import main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """CONV_2D, CAST to a place where nothing maps, and a custom operator."""
    builder = TfliteBuilder()
    shape = [1, 4, 4, 8]
    middle = builder.conv(builder.input(shape), shape, filters=4)
    left = builder.op("ELU", [middle], builder.tensor([1, 4, 4, 4], name="elu out"))
    output = builder.op("Decoder", [left], builder.tensor([1, 4], name="poses"))
    path = tmp_path / "model.tflite"
    path.write_bytes(builder.content(output))
    return path


def test_json_has_the_keys_that_were_promised(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["edge", str(model), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {"operators", "subgraphs", "parameter_bytes", "compiled"} <= set(content)
    assert content["compiled"] is False
    assert content["subgraphs"] == 1
    assert content["parameter_bytes"] == 4 * 8 + 4 * 4
    assert [operator["index"] for operator in content["operators"]] == [0, 1, 2]
    assert [operator["op"] for operator in content["operators"]] == ["CONV_2D", "ELU", "Decoder"]
    assert [operator["outputs"] for operator in content["operators"]][1:] == [
        ["elu out"],
        ["poses"],
    ]
    assert [operator["status"] for operator in content["operators"]] == [
        "mapped",
        "not_mapped",
        "not_mapped",
    ]
    assert all(operator["reason"] for operator in content["operators"])
    named = {key for operator in content["operators"] for key in operator["sources"]}
    assert named == set(content["sources"])


def test_the_table_has_a_line_an_operator_and_a_summary(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["edge", str(model)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["index", "op", "outputs", "status", "reason"]
    assert [line.split()[1] for line in lines[2:5]] == ["CONV_2D", "ELU", "Decoder"]
    assert lines[6].startswith("1 of 3 operators mapped, 2 on the CPU, 0 unknown")
    assert "the compiler did not run" in lines[7]


@pytest.mark.parametrize("flag", ["--unmapped", "--left"])
def test_only_what_does_not_map_is_listed(
    model: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    assert main.main(["edge", str(model), flag]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:4]] == ["1", "2"]


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 a keras file"])
def test_a_file_that_is_no_model_is_one_line_and_exit_1(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.tflite"
    if content is not None:
        path.write_bytes(content)
    assert main.main(["edge", str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("loop: Expected a ")


def test_a_truncated_model_is_one_line_and_exit_1(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.write_bytes(model.read_bytes()[:400])
    assert main.main(["edge", str(model)]) == 1
    assert "a damaged file" in capsys.readouterr().err


@pytest.mark.slow
def test_nothing_heavy_is_imported(model: Path) -> None:
    code = (
        "import sys; from tfx_loop.pipelines.cli import main; "
        "code = main.main(['edge', sys.argv[1], '--json']); "
        "heavy = {'tensorflow', 'tfx', 'pyarrow', 'pandas', 'apache_beam'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(model)],
        capture_output=True,
        text=True,
        timeout=seconds(60),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["subgraphs"] == 1
