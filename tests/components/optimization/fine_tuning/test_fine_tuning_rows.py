"""Rows and settings reach a child process as they are, and wrong ones stop before it."""

import json

import numpy as np
import pytest

from tfx_loop.core import json_codec
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.import_path import user_function
from tfx_loop.core.settings import typed
from tfx_loop.optimization.fine_tuning.comparison import Acceptance
from tfx_loop.optimization.fine_tuning.job import slices_in
from tfx_loop.optimization.fine_tuning.rows_file import read_rows, write_rows
from tfx_loop.optimization.fine_tuning.settings import FineTuningNodeSettings, FineTuningSettings


def test_rows_survive_the_file(tmp_path):
    inputs = {"file": np.eye(3, dtype=np.float32), "word": np.array(["a", "b", "c"], object)}
    found = read_rows(write_rows(tmp_path / "rows.npz", inputs, np.array([1, 0, 1])))
    assert np.array_equal(found.inputs["file"], inputs["file"])
    assert found.inputs["word"].tolist() == ["a", "b", "c"]
    assert found.labels.tolist() == [1, 0, 1]
    assert len(found) == 3


@pytest.mark.parametrize(
    ("inputs", "labels", "said"),
    [
        ({"x": np.zeros(3)}, None, "labels to train on"),
        ({"x": np.zeros(3)}, np.zeros(2), "rows of one length"),
        ({"x": np.zeros(0)}, np.zeros(0), "at least one"),
        ({}, np.zeros(2), "rows of one length"),
        ({"x": np.zeros(2)}, np.array(["cat", "dog"]), "numbers as labels"),
    ],
)
def test_rows_that_cannot_train_are_refused(tmp_path, inputs, labels, said):
    with pytest.raises(DataError, match=said):
        write_rows(tmp_path / "rows.npz", inputs, labels)


def test_a_damaged_file_is_a_one_line_error(tmp_path):
    (tmp_path / "rows.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match="Expected rows in"):
        read_rows(tmp_path / "rows.npz")


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"validation_fraction": 0.6}],
)
def test_settings_that_cannot_work_are_refused(changes):
    with pytest.raises(ConfigError, match=f"Expected .*{next(iter(changes))}"):
        FineTuningSettings(**changes)


def test_settings_survive_json():
    given_ones = FineTuningSettings(learning_rate=1e-4, custom_objects=("module:Layer",))
    content = json.loads(json.dumps(json_codec.to_json(given_ones)))
    assert json_codec.from_json(FineTuningSettings, content, "settings") == given_ones
    with pytest.raises(ConfigError, match=r"received 'epoch'\. Did you mean 'epochs'"):
        typed(FineTuningSettings, {"epoch": 3}, "fine_tuning")


def test_functions_are_named_by_import_path():
    assert user_function("os.path.join", "compile_fn").__name__ == "join"
    assert user_function("os.path:join", "compile_fn").__name__ == "join"
    for path in ("join", "no_such_module.join", "os.path.no_such", "os.sep"):
        with pytest.raises(ConfigError, match="compile_fn"):
            user_function(path, "compile_fn")


def test_the_evaluators_config_names_label_metric_and_slices():
    config = (
        '{"modelSpecs": [{"labelKey": "late"}], "slicingSpecs": [{}, {"featureKeys": ["hour"]}],'
        ' "metricsSpecs": [{"metrics": [{"className": "AUC"}]}]}'
    )
    judged = Acceptance.of(FineTuningNodeSettings(eval_config=config, max_metric_drop=0.01))
    assert (judged.label, judged.metric, judged.slices) == ("late", "AUC", ("hour",))
    assert (judged.max_metric_drop, judged.max_slice_drop) == (0.01, None)
    plain = Acceptance.of(FineTuningNodeSettings(label_key="digit"))
    assert (plain.label, plain.metric, plain.max_metric_drop) == ("digit", None, None)
    with pytest.raises(ConfigError, match="label_key"):
        Acceptance.of(FineTuningNodeSettings())


def test_slices_that_the_rows_lack_are_said():
    assert slices_in(("hour",), ["hour", "x"]) == (("hour",), ())
    found, notes = slices_in(("hour", "day"), ["hour"])
    assert found == ("hour",)
    assert "day" in notes[0]
