"""Golden requests: a served answer must be the model's own, in shape and value."""

import numpy as np
import pytest

from tfx_loop.core.errors import DataError, ModelRejected

pytestmark = pytest.mark.tensorflow

EXPECTED = {"probability": np.array([[0.25], [0.75]], dtype=np.float32)}


class Answers:
    """A client that gives one answer and notes what it was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, {}

    def predict(self, **asked):
        self.asked = asked
        return self.answer


def check(answer, expected=EXPECTED):
    from tfx_loop.deployment.serving_pusher.golden import GoldenRequests, check_answers

    client = Answers(answer)
    check_answers(client, 3, GoldenRequests(instances=[b"one", b"two"], expected=expected))
    return client.asked


def test_the_same_answers_pass_and_are_asked_of_that_version_under_a_golden_id():
    asked = check({"probability": [[0.25], [0.75]]})
    assert asked["version"] == 3
    assert asked["request_id"].startswith("golden-")
    assert asked["instances"] == [b"one", b"two"]
    assert asked["signature_name"] == "serving_default"


def test_what_another_machine_rounds_differently_passes():
    check({"probability": [[0.25 * 1.0005], [0.75]]})


@pytest.mark.parametrize(
    "answer",
    [
        {"probability": [[0.26], [0.75]]},
        {"probability": [[0.75], [0.25]]},
        {"probability": [0.25, 0.75]},
        {"probability": [[0.25]]},
        {"probability": []},
        {"probability": None},
        {"probability": "rubbish"},
        {"probability": [["a"], ["b"]]},
        {"probability": [[0.25], [0.5, 0.25]]},
        {"probability": [[float("nan")], [0.75]]},
        {"logit": [[0.25], [0.75]]},
        {},
    ],
)
def test_other_answers_reject_the_version(answer):
    with pytest.raises(ModelRejected, match=r"Expected version 3 to answer \[0.25, 0.75\]"):
        check(answer)


def test_nan_is_an_answer_when_it_is_the_model_s_own():
    check({"p": [float("nan")]}, {"p": np.array([np.nan], dtype=np.float32)})


def test_texts_are_not_compared():
    check({"p": [1.0], "name": ["other"]}, {"p": np.array([1.0]), "name": np.array([b"x"])})


def test_a_folder_without_a_model_is_rejected_in_one_line(tmp_path):
    from tfx_loop.deployment.serving_pusher.golden import expected_answers

    with pytest.raises(ModelRejected, match="Expected a SavedModel whose signature") as error:
        expected_answers(str(tmp_path), [b""])
    assert "\n" not in str(error.value)


def test_a_split_without_examples_is_a_data_error(tmp_path):
    from tfx_loop.deployment.serving_pusher.golden import first_examples

    with pytest.raises(DataError, match=r"Expected tf\.Examples in .* for golden requests"):
        first_examples([str(tmp_path)], 3)
