"""What `loop init` reads off labels and a model, and what it leaves to the user."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.cli.main import main
from tfx_loop.pipelines.loop_file import settings_of
from tfx_loop.pipelines.loop_init import (
    AskedOfModel,
    class_order,
    loop_text,
    task_of_labels,
)


def shown(values, answers, kind=None):
    column = pa.array(values, kind)
    return task_of_labels(iter([pa.table({"y": column})]), "y", answers)


@pytest.mark.parametrize(
    ("values", "answers", "task"),
    [
        ([0, 1, 1], 1, "binary"),
        ([0.0, 1.0, None, float("nan")], 1, "binary"),
        ([True, False], 1, "binary"),
        ([0, 1, 1], 3, "classes:3"),
        ([0, 2, 1], 3, "classes:3"),
        (["b", "a", "c"], 3, "classes:a,b,c"),
        ([0.5, 1.0, 3.25], 1, "regression"),
    ],
)
def test_labels_show_the_task_beside_the_shape_of_the_answer(values, answers, task):
    assert shown(values, answers) == task


@pytest.mark.parametrize(
    ("values", "answers", "told"),
    [
        ([None, float("nan")], 1, "received 0 values"),
        ([1, 1], 1, "received 1 values"),
        (["yes", "no"], 1, "binary:no,yes"),  # Nobody knows which is label 1.
        (["a", "b", "c"], 1, "answers 1 numbers"),
        (["a", "b"], 3, "answers 3 numbers"),
        (["a, b", "c"], 2, "--task"),
        ([1, 5, 9], 1, "--task"),  # Amounts, or codes of classes.
        ([0.5, 1.5], 3, "--task"),
        ([[1], [0]], 1, "received lists"),
    ],
)
def test_what_labels_leave_open_is_asked_for_in_one_line(values, answers, told):
    with pytest.raises(ConfigError, match=told) as raised:
        shown(values, answers)
    assert "\n" not in str(raised.value)


def test_a_table_without_rows_shows_no_task():
    with pytest.raises(ConfigError, match="received 0 values"):
        task_of_labels(iter([]), "y", 1)


def test_names_of_classes_come_with_their_order_and_a_gate_that_the_task_has():
    found = AskedOfModel(label="y", task="classes:a,b,c", score="", ignore=(), unfed=())
    parts = {"name": "m", "serving": "http://127.0.0.1:1", "pipeline": "training.training"}
    text = loop_text(found, **parts)
    assert "order of the model's outputs" in text
    assert "probability of 'yes'" in class_order("binary:no,yes")
    assert class_order("regression") == ""
    for task in ("binary", "classes:a,b,c", "labels:a,b", "regression"):
        text = loop_text(replace(found, task=task), **parts)
        gate = text[text.index("# [gate.") :]
        assert settings_of(text + gate.replace("\n# ", "\n").removeprefix("# "), "loop.toml").gate


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A SavedModel that reads `x1` and `x2` of tf.Examples and answers one number, or three."""
    import tensorflow as tf

    def written(answers):
        spec = {name: tf.io.FixedLenFeature([1], tf.float32) for name in ("x1", "x2")}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(examples):
            found = tf.io.parse_example(examples, spec)
            return {"score": tf.tile(found["x1"] + found["x2"], [1, answers])}

        folder = tmp_path_factory.mktemp("model") / "taxi" / "7"
        module = tf.Module()
        tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
        return folder

    return {answers: str(written(answers)) for answers in (1, 3)}


def init(tmp_path, monkeypatch, capsys, model, *words, rows="x1,x2,y\n1,2,0\n3,4,1\n"):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text(rows)
    serving = (
        ()
        if any(word.startswith("--serving") for word in words)
        else ("--serving=http://127.0.0.1:8501",)
    )
    code = main(["init", model, "rows.csv", *serving, *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.tensorflow
def test_a_file_is_written_that_commands_read(tmp_path, monkeypatch, capsys, model):
    from tfx_loop.pipelines.loop_file import read_loop_file

    code, told = init(tmp_path, monkeypatch, capsys, model[1])
    assert (code, told["name"], told["lacking_columns"]) == (0, "taxi", [])
    settings = read_loop_file("loop.toml").settings
    assert (settings.label, settings.task) == ("y", "binary")
    # What is there is the user's.
    assert init(tmp_path, monkeypatch, capsys, model[1])[0] == 1
    lacking = "X1,x2,y\n1,2,0\n3,4,1\n"
    told = init(tmp_path, monkeypatch, capsys, model[1], "--force", "--label=y", rows=lacking)[1]
    assert told["lacking_columns"] == ["x1"]


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("answers", "words", "told"),
    [
        (1, ["--serving=127.0.0.1:8501"], "REST address"),
        (1, ["--name=../other"], "a model name of letters"),
        (1, ["--pipeline=train.py"], "import path of a function"),
        (1, ["--task=classes:3"], "answers 3 numbers a row"),
        (3, ["--task=binary"], "answers 1 numbers a row"),
        (1, ["--label=z"], "a label out of x1, x2, y"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_written(
    tmp_path, monkeypatch, capsys, model, answers, words, told
):
    code, said = init(tmp_path, monkeypatch, capsys, model[answers], *words)
    assert code == 1
    assert told in said["error"]["message"]
    assert not (tmp_path / "loop.toml").exists()


@pytest.mark.tensorflow
def test_columns_that_are_called_otherwise_are_told_with_those_that_lack(
    tmp_path, monkeypatch, capsys, model
):
    renamed = "X1,x2,y\n1,2,0\n3,4,1\n"
    code, said = init(tmp_path, monkeypatch, capsys, model[1], rows=renamed)
    assert code == 1
    assert "X1, y are not read, and lacks x1" in said["error"]["message"]
