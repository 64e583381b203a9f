"""Golden requests: a served answer must be the model's own, in shape and value."""

import numpy as np
import pytest

from tfx_loop.core.errors import DataError, ModelRejected

pytestmark = pytest.mark.tensorflow

EXPECTED = {"probability": np.array([[0.25], [0.75]], dtype=np.float32)}


NAN, INF = float("nan"), float("inf")


class Answers:
    """A client that gives one answer a version, and notes what it was asked."""

    def __init__(self, answer, parent=None):
        self.answers, self.asked = {3: answer, 2: parent}, []

    def predict(self, **asked):
        self.asked.append(asked)
        answer = self.answers[asked["version"]]
        if answer is None:
            raise ModelRejected("Servable not found for request: Specific(flights, 2)")
        return answer


class Stopwatch:
    """A clock on which each request takes the next of the times given, in seconds."""

    def __init__(self, *taken):
        self.taken, self.now, self.looked = list(taken), 0.0, 0

    def __call__(self):
        if self.looked % 2:
            self.now += self.taken.pop(0)
        self.looked += 1
        return self.now


def check(answer, expected=EXPECTED, *, parent=None, share_of_largest=0.0, **limits):
    from tfx_loop.deployment.serving_pusher.golden import AnswerCheck, GoldenRequests

    client = Answers(answer, parent)
    golden = GoldenRequests(
        instances=[b"one", b"two"], expected=expected, share_of_largest=share_of_largest
    )
    AnswerCheck(client=client, golden=golden, parent_version=2, **limits)(3)
    return client.asked


def array(*values, dtype="float32"):
    return {"y": np.array(values, dtype=dtype)}


def test_the_same_answers_pass_and_are_asked_of_that_version_under_a_golden_id():
    asked = check({"probability": [[0.25], [0.75]]})
    assert {each["version"] for each in asked} == {3}
    assert asked[0]["request_id"].startswith("golden-")
    assert asked[0]["instances"] == [b"one", b"two"]
    assert asked[0]["signature_name"] == "serving_default"
    assert {each["golden_token"] for each in check(EXPECTED, token="t")} == {"t"}


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
        {"probability": [["0.25"], ["0.75"]]},
        {"probability": [[True], [True]]},
        {"probability": [[0.25], [0.5, 0.25]]},
        {"probability": [[NAN], [0.75]]},
        {"probability": [[INF], [0.75]]},
        {"logit": [[0.25], [0.75]]},
        {},
    ],
)
def test_other_answers_reject_the_version(answer):
    with pytest.raises(ModelRejected, match=r"Expected version 3 to answer \[0.25, 0.75\]"):
        check(answer)


def test_output_that_the_model_has_not_rejects_the_version():
    with pytest.raises(ModelRejected, match=r"received also \['loss'\]"):
        check({"probability": [[0.25], [0.75]], "loss": [0.5]})


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("parent", [None, {"y": [1.0, 2.0]}, {"y": [2.0, NAN]}, {"z": [NAN, 1.0]}])
def test_value_that_is_not_finite_rejects_the_version_though_the_model_gives_it(value, parent):
    with pytest.raises(ModelRejected, match=r"finite values for output 'y'.*from the model itself"):
        check({"y": [value, 1.0]}, array(value, 1.0), parent=parent)


def test_value_that_is_not_finite_passes_where_the_parent_gives_one_for_the_same_row():
    check({"y": [NAN, 1.0]}, array(NAN, 1.0), parent={"y": [NAN, 1.0]})
    check({"y": [INF, 1.0]}, array(INF, 1.0), parent={"y": [NAN, 1.0]})
    with pytest.raises(ModelRejected):
        check({"y": [-INF, 1.0]}, array(INF, 1.0), parent={"y": [INF, 1.0]})


def test_parent_is_asked_only_about_values_that_are_not_finite():
    assert {each["version"] for each in check({"y": [0.0, 1.0]}, array(0.0, 1.0))} == {3}


@pytest.mark.parametrize(
    ("dtype", "values", "passes", "fails"),
    [
        # A thousandth of the spread of 0.5, though the values are near a thousand.
        ("float32", [1000.0, 1000.5], [1000.02, 1000.5], [1000.25, 1000.5]),
        ("float32", [1e-6, 3e-6], [1.001e-6, 3e-6], [2e-6, 3e-6]),
        ("float32", [5.0, 5.0], [5.004, 5.0], [5.01, 5.0]),
        ("float64", [0.0, 1.0], [1e-7, 1.0], [1e-4, 1.0]),
        ("float16", [0.0, 1.0], [5e-3, 1.0], [5e-2, 1.0]),
        ("int64", [2**60, 7], [2**60, 7], [2**60 + 1, 7]),
        ("uint8", [200, 7], [200, 7], [201, 7]),
        ("int32", [1, 7], [1, 7], [1.0, 7.0]),
        ("bool", [True, False], [True, False], [True, True]),
        ("bool", [True, False], [True, False], [1, 0]),
        (object, [b"a", b"b"], ["a", "b"], ["a", "WRONG"]),
        (object, [b"a", b"b"], ["a", "b"], ["a", None]),
        (object, [b"a", b"b"], ["a", "b"], ["a"]),
        (object, [b"a", b"\xff"], ["a", "\ufffd"], ["a", "b"]),
        (object, [b"a", b"\xff"], [{"b64": "YQ=="}, {"b64": "/w=="}], ["a", {"b64": "/g=="}]),
        (object, [[b"a"], [b"b"]], [["a"], ["b"]], ["a", "b"]),
    ],
)
def test_each_type_of_output_has_a_tolerance_of_its_own(dtype, values, passes, fails):
    expected = array(*values, dtype=dtype)
    check({"y": passes}, expected)
    with pytest.raises(ModelRejected, match="for output 'y', received"):
        check({"y": fails}, expected)


def test_each_output_has_a_tolerance_of_its_own():
    expected = {"large": np.array([0.0, 1e6], "float32"), "small": np.array([0.1, 0.2], "float32")}
    check({"large": [500.0, 1e6], "small": [0.1, 0.2]}, expected)
    with pytest.raises(ModelRejected, match="output 'small'"):
        check({"large": [0.0, 1e6], "small": [0.11, 0.2]}, expected)


def test_quantised_answer_may_be_steps_off_the_output_s_own_range():
    expected = {"a": np.array([90.0, 91.0], "float32"), "b": np.array([0.1, 0.2], "float32")}
    check({"a": [91.0, 91.0], "b": [0.1, 0.2]}, expected, share_of_largest=0.02)
    with pytest.raises(ModelRejected, match="output 'b'"):
        check({"a": [90.0, 91.0], "b": [0.1, 0.25]}, expected, share_of_largest=0.02)


def test_late_answers_reject_the_version():
    late = Stopwatch(0.001, 0.3, 0.3)
    with pytest.raises(ModelRejected, match=r"2 rows within 200 ms, received .* after 300.0 ms"):
        check({"y": [0.0, 1.0]}, array(0.0, 1.0), max_latency_ms=200, clock=late)


def test_one_late_answer_of_three_is_chance():
    check({"y": [0.0, 1.0]}, array(0.0, 1.0), max_latency_ms=200, clock=Stopwatch(0.3, 0.1, 0.1))


def test_a_folder_without_a_model_is_rejected_in_one_line(tmp_path):
    from tfx_loop.deployment.serving_pusher.golden import golden_requests
    from tfx_loop.deployment.serving_pusher.golden_rows import GoldenTerms

    (tmp_path / "saved_model.pb").write_bytes(b"rubbish")
    with pytest.raises(ModelRejected, match="Expected a SavedModel whose signature") as error:
        golden_requests(tmp_path, [b""], GoldenTerms(rows=1))
    assert "\n" not in str(error.value)


def test_a_split_without_examples_is_a_data_error(tmp_path):
    from tfx_loop.deployment.serving_pusher.golden import first_examples

    with pytest.raises(DataError, match=r"Expected tf\.Examples in .* for golden requests"):
        first_examples([str(tmp_path)], 3)


@pytest.mark.tensorflow
def test_golden_rows_hold_no_value_of_redacted_features():
    import tensorflow as tf

    from tfx_loop.deployment.serving_pusher.golden import without_values

    example = tf.train.Example()
    example.features.feature["city"].bytes_list.value[:] = [b"Bern", b"Visp"]
    example.features.feature["age"].int64_list.value[:] = [93]
    example.features.feature["fare"].float_list.value[:] = [7.25]
    (record,) = without_values([example.SerializeToString()], ["city", "age"])
    features = tf.train.Example.FromString(record).features.feature
    assert features["city"].bytes_list.value == [b"other", b"other"]
    assert features["age"].int64_list.value == [0]
    assert features["fare"].float_list.value == [7.25]
