"""`loop scan`, and how the other commands answer hostile models."""

import json

import hostile_models as hostile
import numpy as np
import pytest

from tfx_loop.pipelines.cli.main import main

pytestmark = pytest.mark.tensorflow


def test_findings_as_a_table(tmp_path, capsys):
    assert main(["scan", str(hostile.saved_model_writes(tmp_path))]) == 3
    shown = capsys.readouterr().out
    for word in ("WriteFile", "writes files", "--allow"):
        assert word in shown


def test_findings_as_json(tmp_path, capsys):
    assert main(["scan", "--json", str(hostile.h5_writes(tmp_path))]) == 3
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["allow"] == "io.write_file"
    assert finding["part"] == "layer 'bad'"


def test_what_is_allowed_is_told(tmp_path, capsys):
    model = str(hostile.saved_model_writes(tmp_path))
    assert main(["scan", "--json", "--allow", "WriteFile", model]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["findings"] == []
    assert {each["allow"] for each in content["allowed"]} == {"WriteFile"}


def test_harmless_model(tmp_path, capsys):
    assert main(["scan", str(hostile.vocabulary(tmp_path))]) == 0
    assert "Nothing found" in capsys.readouterr().out


def test_unreadable_file(tmp_path, capsys):
    (tmp_path / "m.h5").write_bytes(b"no model")
    assert main(["scan", str(tmp_path / "m.h5")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "make",
    [
        hostile.keras_writes,
        hostile.two_forms,
        hostile.saved_model_initializer,
        hostile.tflite_flex_writes,
    ],
    ids=lambda make: make.__name__,
)
def test_report_and_compress_refuse_in_one_line(tmp_path, capsys, make):
    model = str(make(tmp_path))
    np.savez(tmp_path / "rows.npz", x=np.ones((40, 3), np.float32), y=np.arange(40) % 2)
    commands = [["report", model]]
    if not model.endswith(".tflite"):
        commands.append(["compress", model, "--data", str(tmp_path / "rows.npz"), "--budget", "1",
                         "--out", str(tmp_path / "out")])  # fmt: skip
    for command in commands:
        assert main(command) == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("loop: ")]
        assert len(lines) == 1
        assert "safe to open" in lines[0]
    assert not hostile.harm_of(tmp_path).exists()
