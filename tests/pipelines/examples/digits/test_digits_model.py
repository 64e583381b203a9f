"""The digits example trains in seconds and serves what it trained."""

import numpy as np
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    from tfx_loop.pipelines.examples.digits.data import IMAGE, LABEL, write_spans

    folder = tmp_path_factory.mktemp("digits")
    assert write_spans(folder) == "1"
    table = pq.read_table(folder / "span-01.parquet")
    images = np.stack(table[IMAGE].to_numpy()).reshape(-1, 8, 8, 1)
    return images, table[LABEL].to_numpy()


def test_every_image_is_there_with_brightness_from_0_to_1(rows):
    images, digits = rows
    assert images.shape == (1797, 8, 8, 1)
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert sorted(set(digits)) == list(range(10))


def test_both_signatures_answer_as_the_network_does(rows, tmp_path):
    import tensorflow as tf

    from tfx_loop.pipelines.examples.digits import model as digits_model

    images, digits = rows
    tf.keras.utils.set_random_seed(0)
    network = digits_model.teacher()
    network.fit(images, digits, batch_size=64, epochs=4, verbose=0)
    expected = network(images[:5]).numpy()
    assert (network.predict(images, verbose=0).argmax(1) == digits).mean() > 0.8
    digits_model.export(network, str(tmp_path))
    served = tf.saved_model.load(str(tmp_path)).signatures
    flat = images[:5].reshape(5, 64)
    answers = served["serving_columns"](image=tf.constant(flat))["probabilities"]
    np.testing.assert_allclose(answers, expected, atol=1e-6)
    records = [
        tf.train.Example(
            features=tf.train.Features(
                feature={"image": tf.train.Feature(float_list=tf.train.FloatList(value=row))}
            )
        ).SerializeToString()
        for row in flat
    ]
    answers = served["serving_default"](examples=tf.constant(records))["probabilities"]
    np.testing.assert_allclose(answers, expected, atol=1e-6)


def test_the_student_is_a_seventh_of_the_teacher():
    from tfx_loop.pipelines.examples.digits import model as digits_model

    ratio = digits_model.teacher().count_params() / digits_model.student().count_params()
    assert 6 < ratio < 7
