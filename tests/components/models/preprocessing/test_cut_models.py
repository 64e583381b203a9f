"""Models as standard Trainers export them, divided into preprocessing and network."""

from pathlib import Path

import many_signatures
import numpy as np
import pytest
import serving_models
import tensorflow as tf

from tfx_loop.core.errors import DataError, ModelError
from tfx_loop.models.formats import detect
from tfx_loop.models.predictor import open_predictor
from tfx_loop.models.preprocessing.folder import Preprocessing
from tfx_loop.models.preprocessing.in_child import cut_model
from tfx_loop.models.preprocessing.source import signature_asked, takes_examples

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def fruit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fruit")
    network = serving_models.fruit_network()
    serving_models.save_fruit(folder / "named", network)
    serving_models.save_fruit(folder / "bare", network, transform_signature=False)
    return folder


def answers(folder, rows, name):
    """Returns what the whole model answers."""
    (output,) = (
        tf.saved_model.load(str(folder))
        .signatures["serving_default"](**{name: tf.constant(rows)})
        .values()
    )
    return output.numpy()


def halves_answer(found, rows):
    """Returns what the halves answer, one behind the other, opened anew."""
    columns = Preprocessing(Path(found.preprocessing)).columns(rows)
    (output,) = open_predictor(found.network).predict(columns).values()
    return output


def test_the_halves_answer_as_the_whole_on_rows_that_the_cut_did_not_see(worker, fruit, tmp_path):
    found = cut_model(worker, fruit / "named", serving_models.fruit_rows(20), tmp_path)
    rows = serving_models.fruit_rows(300, seed=5)
    whole = answers(fruit / "named", rows, "examples")
    np.testing.assert_allclose(halves_answer(found, rows), whole, atol=1e-5)


def test_the_network_takes_the_transformed_features_by_name(worker, fruit, tmp_path):
    found = cut_model(worker, fruit / "named", serving_models.fruit_rows(20), tmp_path)
    assert (set(found.names), found.named) == ({"weight_xf", "colour_xf"}, True)
    rows = serving_models.fruit_rows(30, seed=6)
    opened = Preprocessing(Path(found.preprocessing))
    made, transformed = opened.columns(rows), opened.transformed(rows)
    assert set(transformed) == {"weight_xf", "colour_xf", "apple_xf"}
    for name in found.names:
        np.testing.assert_allclose(made[name], transformed[name], atol=1e-6)


def test_the_transform_graph_names_features_that_no_signature_does(worker, fruit, tmp_path):
    rows = serving_models.fruit_rows(20)
    bare = cut_model(worker, fruit / "bare", rows, tmp_path / "bare")
    assert not bare.named
    names = ["weight_xf", "colour_xf"]
    named = cut_model(worker, fruit / "bare", rows, tmp_path / "n", transformed_names=names)
    assert (set(named.names), named.named) == (set(names), True)


def save_untransformed(folder):
    """Writes a network that takes three features as they were parsed; the input has a capital."""
    spec = {name: tf.io.FixedLenFeature([1], tf.float32) for name in ("b", "Wide", "A.len")}
    weights = tf.constant([[1.0], [20.0], [300.0]])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="Examples")])
    def serve(examples):
        parsed = tf.io.parse_example(examples, spec)
        joined = tf.concat([parsed[name] for name in ("b", "Wide", "A.len")], axis=1)
        return {"score": tf.matmul(joined, weights)}

    module = tf.Module()
    module.serve = serve
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    return [serving_models.example(b=1.0 * i, Wide=2.0 * i, **{"A.len": 3.0}) for i in range(9)]


def test_without_a_transform_graph_the_network_takes_features_by_their_names(worker, tmp_path):
    rows = save_untransformed(tmp_path / "model")
    found = cut_model(worker, tmp_path / "model", rows, tmp_path / "cut")
    assert (set(found.names), found.named) == ({"b", "Wide", "A.len"}, True)
    whole = answers(tmp_path / "model", rows, "Examples")
    np.testing.assert_allclose(halves_answer(found, rows), whole, atol=1e-5)


def test_the_layers_of_a_network_have_inputs_of_the_same_names(worker, tmp_path):
    from tfx_loop.models.keras.from_graph import from_graph

    rows = save_untransformed(tmp_path / "model")
    found = cut_model(worker, tmp_path / "model", rows, tmp_path / "cut")
    assert set(from_graph(Path(found.network)).input_names) == {"b", "Wide", "A.len"}


def test_a_refused_operation_moves_into_the_preprocessing(worker, fruit, tmp_path):
    rows = serving_models.fruit_rows(20)
    found = cut_model(worker, fruit / "named", rows, tmp_path, refused=["GatherV2"])
    assert set(found.names) == {"weight_xf", "colour_preprocessed"}
    np.testing.assert_allclose(
        halves_answer(found, rows), answers(fruit / "named", rows, "examples"), atol=1e-5
    )


def test_encoded_images_are_decoded_before_the_network(worker, tmp_path):
    serving_models.save_image_model(tmp_path / "model")
    rows = serving_models.image_rows(12)
    found = cut_model(worker, tmp_path / "model", rows, tmp_path / "cut")
    (spec,) = open_predictor(found.network).inputs
    assert (spec.name, spec.shape) == ("image_bytes_preprocessed", (None, 8, 8, 1))
    images = [tf.train.Example.FromString(r).features.feature["image_bytes"] for r in rows]
    content = [image.bytes_list.value[0] for image in images]
    np.testing.assert_allclose(
        halves_answer(found, rows), answers(tmp_path / "model", content, "image_bytes"), atol=1e-5
    )


def test_tf_examples_go_to_the_signature_that_takes_them(worker, tmp_path):
    serving_models.save_image_model(tmp_path / "model", examples_too=True)
    rows = [tf.train.Example.FromString(row) for row in serving_models.image_rows(12)]
    content = [row.features.feature["image_bytes"].bytes_list.value[0] for row in rows]
    examples = [serving_models.example(picture=image) for image in content]
    found = cut_model(worker, tmp_path / "model", examples, tmp_path / "cut")
    assert found.names == ("picture_preprocessed",)
    np.testing.assert_allclose(
        halves_answer(found, examples),
        answers(tmp_path / "model", content, "image_bytes"),
        atol=1e-5,
    )


def test_a_model_of_text_to_its_end_is_refused_in_one_line(worker, tmp_path):
    serving_models.save_text_model(tmp_path / "model")
    rows = [serving_models.example(text=b"abc")]
    with pytest.raises(ModelError, match="computes with text or tables to its end") as raised:
        cut_model(worker, tmp_path / "model", rows, tmp_path / "cut")
    assert "\n" not in str(raised.value)


def test_examples_without_the_features_are_refused(worker, fruit, tmp_path):
    with pytest.raises(DataError, match="is required but could not be found"):
        cut_model(worker, fruit / "named", [serving_models.example(other=1.0)] * 3, tmp_path)


def test_the_signature_that_the_evaluator_asks_with_examples_is_taken_where_none_takes_numbers(
    tmp_path,
):
    pictures, examples = many_signatures.of_pictures(), many_signatures.of_examples()
    many_signatures.save(tmp_path / "a", serving_default=pictures, from_examples=examples)
    images = detect(tmp_path / "a")
    assert signature_asked(images, "", "from_examples") == "from_examples"
    assert takes_examples(images, "from_examples")
    for named, judged in (("", "serving_default"), ("", "lost"), ("", ""), ("other", "x")):
        assert signature_asked(images, named, judged) == named
    rows = many_signatures.of_rows()
    many_signatures.save(tmp_path / "b", serving_default=rows, from_examples=examples)
    assert signature_asked(detect(tmp_path / "b"), "", "from_examples") == ""
