"""A month as requests and late labels: each flight once, in time order, cancelled unlabelled."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tfx_loop.pipelines.examples.flights.data import FEATURES, LABEL

# The module names the signature of the model, which is TensorFlow's.
pytestmark = pytest.mark.tensorflow

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def march(fifth):
    return fifth[fifth["span"] == 3]


@pytest.fixture(scope="module")
def requests(march):
    from tfx_loop.pipelines.examples.flights.demo.replay import requests_of

    return list(requests_of(march))


class Recorder:
    """Notes what a client is asked."""

    def __init__(self):
        self.asked = []

    def predict(self, columns, **kwargs):
        self.asked.append((columns, kwargs))


def test_every_flight_is_asked_about_exactly_once_in_time_order(march, requests):
    asked = pd.concat([rows for _, _, rows in requests])
    pd.testing.assert_frame_equal(asked, march)
    assert asked["event_time_ms"].is_monotonic_increasing


def test_request_ids_are_unique_over_the_year(fifth):
    from tfx_loop.pipelines.examples.flights.demo.replay import requests_of

    ids = [
        request_id for _, rows in fifth.groupby("span") for request_id, _, _ in requests_of(rows)
    ]
    assert len(ids) == len(set(ids))


def test_a_request_is_made_of_the_flights_of_one_hour(requests):
    for _, event_time_ms, rows in requests:
        assert event_time_ms == rows["event_time_ms"].min()
        assert rows["event_time_ms"].max() // HOUR_MS == event_time_ms // HOUR_MS


def test_replay_sends_features_alone_and_counts_what_was_answered(march, requests):
    from tfx_loop.pipelines.examples.flights.demo.replay import replay

    client, answered = Recorder(), []
    assert replay(client, march, answered.append) == len(requests) == len(client.asked)
    assert answered[-1] == len(march)
    assert answered == sorted(answered)
    for (columns, kwargs), (request_id, time_ms, rows) in zip(client.asked, requests, strict=True):
        assert set(columns) == set(FEATURES)
        assert (kwargs["request_id"], kwargs["event_time_ms"]) == (request_id, time_ms)
        assert np.array_equal(columns["temp"], rows["temp"])


def test_labels_name_the_rows_that_were_asked_about(march, requests, tmp_path):
    from tfx_loop.pipelines.examples.flights.demo.replay import write_labels

    count = write_labels(march, 123, tmp_path / "labels" / "2013-03.parquet")
    labels = pq.read_table(tmp_path / "labels" / "2013-03.parquet").to_pandas()
    truth = {
        (request_id, index): label
        for request_id, _, rows in requests
        for index, label in enumerate(rows[LABEL])
        if not np.isnan(label)
    }
    found = {(r.request_id, r.instance_index): r.label for r in labels.itertuples()}
    assert found == truth
    assert count == len(labels) == march[LABEL].notna().sum() < len(march)
    assert set(labels["label_time_ms"]) == {123}


def test_the_labels_are_those_that_label_joiner_reads(march, tmp_path):
    from tfx_loop.data.prediction_log.labels import read_labels
    from tfx_loop.pipelines.examples.flights.demo.replay import write_labels

    count = write_labels(march, 123, tmp_path / "2013-03.parquet")
    assert len(read_labels(str(tmp_path)).table) == count


def test_a_span_is_written_whole_with_its_labels_and_what_was_asked(
    march, requests, fifth, tmp_path
):
    from tfx_loop.pipelines.examples.flights.demo.replay import write_span

    write_span(fifth, 3, tmp_path)
    written = pd.read_parquet(tmp_path / "span-03.parquet")
    asked = [(name, index) for name, _, rows in requests for index in range(len(rows))]
    keys = ["request_id", "instance_index"]
    assert list(written[keys].itertuples(index=False, name=None)) == asked
    pd.testing.assert_frame_equal(written.drop(columns=keys), march.reset_index(drop=True))


def test_the_model_never_sees_what_names_a_row():
    from tensorflow_transform.tf_metadata import schema_utils
    from tfx.utils import io_utils

    from tfx_loop.pipelines.examples.flights.settings import MODEL

    schema = io_utils.SchemaReader().read(f"{MODEL.schema_uri}/schema.pbtxt")
    named = {feature.name for feature in schema.feature}
    read = set(schema_utils.schema_as_feature_spec(schema).feature_spec)
    assert named - read == set(MODEL.row_keys)
