"""The model is fed the same, whoever measured means and vocabulary."""

import numpy as np
import pytest

from tfx_loop.pipelines.examples.flights.data import FEATURES, INTEGER_FEATURES, LABEL

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def small(fifth):
    rows = fifth[fifth[LABEL].notna()].sample(3000, random_state=5)
    return rows.head(2000).reset_index(drop=True), rows.tail(1000).reset_index(drop=True)


@pytest.fixture(scope="module")
def transformed(small, tmp_path_factory):
    """The TF Transform graph, analysed over Beam on the first table, applied to both."""
    import apache_beam as beam
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from apache_beam.runners.portability import fn_api_runner
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    from tfx_loop.pipelines.examples.flights import features

    kinds = dict.fromkeys(FEATURES, tf.float32)
    kinds |= dict.fromkeys(INTEGER_FEATURES, tf.int64)
    kinds |= dict.fromkeys(("carrier", "dest", "origin"), tf.string) | {LABEL: tf.float32}
    spec = {name: tf.io.FixedLenFeature([1], kind) for name, kind in kinds.items()}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    rows = [
        {name: [value] for name, value in row.items()}
        for row in small[0][[*FEATURES, LABEL]].to_dict("records")
    ]
    folder = tmp_path_factory.mktemp("transform")
    with (
        beam.Pipeline(runner=fn_api_runner.FnApiRunner()) as pipeline,
        tft_beam.Context(temp_dir=str(folder / "scratch")),
    ):
        data = pipeline | beam.Create(rows)
        graph = (data, metadata) | tft_beam.AnalyzeDataset(features.preprocessing_fn)
        _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
    output = tft.TFTransformOutput(str(folder / "graph"))
    layer = output.transform_features_layer()

    def apply(table):
        columns = {
            name: tf.constant(table[[name]].to_numpy(dtype=object).astype(kind.as_numpy_dtype))
            if kind != tf.string
            else tf.constant(table[[name]].to_numpy(dtype=object).astype("S"))
            for name, kind in kinds.items()
            if name != LABEL
        }
        return {name: value.numpy() for name, value in layer(columns).items()}

    vocabulary = [word.decode() for word in output.vocabulary_by_name(features.VOCABULARY)]
    return [apply(table) for table in small], vocabulary


@pytest.fixture(scope="module")
def measured(small):
    from tfx_loop.pipelines.examples.flights.features import NumpyTransform

    return NumpyTransform.of(small[0])


def words(ids, vocabulary):
    """Ids in the order of two vocabularies differ where counts are equal; words do not."""
    return np.array([*vocabulary, "unseen"], dtype=object)[np.minimum(ids, len(vocabulary))]


@pytest.mark.parametrize("table", [0, 1], ids=["analysed rows", "other rows"])
def test_tf_transform_and_numpy_feed_the_model_the_same(small, transformed, measured, table):
    graphs, vocabulary = transformed
    ours = measured(small[table])
    assert set(ours) == {"numbers", "categories"}
    np.testing.assert_allclose(ours["numbers"], graphs[table]["numbers"], atol=2e-4)
    np.testing.assert_array_equal(
        words(ours["categories"], measured.vocabulary),
        words(graphs[table]["categories"], vocabulary),
    )


def test_both_know_the_same_words(transformed, measured):
    assert sorted(measured.vocabulary) == sorted(transformed[1])


def test_a_value_not_seen_in_training_gets_the_id_after_the_last(small, transformed, measured):
    row = small[1].head(1).assign(dest="XXX", carrier="??")
    size = len(measured.vocabulary)
    assert measured(row)["categories"][0, :2].tolist() == [size, size]
    assert len(transformed[1]) == size


def test_the_same_code_in_another_column_is_another_word(measured):
    assert {"origin=JFK", "origin=EWR"} < set(measured.vocabulary)
    assert "JFK" not in measured.vocabulary


def test_numbers_of_the_measured_rows_have_mean_0_and_deviation_1(small, measured):
    numbers = measured(small[0])["numbers"]
    assert numbers.dtype == np.float32
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(numbers.std(axis=0), 1, atol=1e-3)


def test_a_number_that_never_varies_is_no_division_by_zero(small):
    from tfx_loop.pipelines.examples.flights.features import NumpyTransform

    rows = small[0].assign(precip=0.0)
    assert np.isfinite(NumpyTransform.of(rows)(rows)["numbers"]).all()
