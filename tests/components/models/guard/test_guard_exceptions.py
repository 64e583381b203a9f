"""Exceptions to the guard: named, kept to, inherited by children, and told in reports."""

import hostile_models as hostile
import pytest
import tensorflow as tf

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ModelUnsafe
from tfx_loop.models import inference
from tfx_loop.models.guard import guard
from tfx_loop.models.guard.settings import GuardSettings, allowing
from tfx_loop.models.predictor import open_predictor

pytestmark = pytest.mark.tensorflow


def test_named_operation_runs_and_others_do_not(tmp_path):
    model = hostile.saved_model_writes(tmp_path)
    with guard.exceptions(["ReadFile"]), pytest.raises(ModelUnsafe):
        open_predictor(model)
    with guard.exceptions(["WriteFile"]):
        open_predictor(model).predict({"x": [[1.0, 2.0, 3.0]]})
    assert hostile.harm_of(tmp_path).read_text() == "harm"
    with pytest.raises(ModelUnsafe):
        open_predictor(model)


def test_lambda_layer_runs_when_its_name_is_given(tmp_path):
    model = hostile.keras_lambda(tmp_path)
    assert guard.scan(model, allow=["Lambda:bad"]).exceptions == ("Lambda:bad",)
    with guard.exceptions(["Lambda:bad"]):
        assert open_predictor(model).inputs
    assert hostile.harm_of(tmp_path).exists()
    with guard.exceptions(["Lambda:other"]), pytest.raises(ModelUnsafe):
        open_predictor(model)


def test_children_take_exceptions_over(tmp_path):
    model = str(hostile.saved_model_writes(tmp_path))
    with Worker() as worker:
        with guard.exceptions(["WriteFile"]):
            assert inference.inputs_of(worker, model)
        with pytest.raises(ModelUnsafe, match="WriteFile"):
            inference.inputs_of(worker, model)


@pytest.mark.parametrize(
    "make",
    [hostile.zip_bomb, hostile.two_forms, hostile.hdf5_external, hostile.keras_foreign_model],
)
def test_no_name_lets_harm_of_the_form_pass(tmp_path, make):
    findings = guard.scan(make(tmp_path)).findings
    assert findings
    assert not any(finding.allow for finding in findings)


def test_node_s_exceptions_hold_for_its_run_alone():
    told = []

    class Executor:
        @allowing
        def Do(self, input_dict, output_dict, exec_properties):
            told.extend(guard.notes())

    properties = GuardSettings(allow=("WriteFile",)).to_properties()
    Executor().Do({}, {}, properties)
    assert told == ["Allowed past the guard of model files: WriteFile"]
    assert guard.notes() == ()
    Executor().Do({}, {}, {})
    assert len(told) == 1


def test_vocabulary_of_the_model_s_own_is_read(tmp_path):
    model = hostile.vocabulary(tmp_path)
    assert guard.scan(model).findings == ()
    assert open_predictor(model).predict({"x": [[1.0, 2.0, 3.0]]})["y"].tolist() == [6.0]
    assert tf.io.gfile.exists(str(model / "assets" / "words.txt"))
