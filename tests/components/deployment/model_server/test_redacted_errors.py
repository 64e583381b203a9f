"""What a model says of values that it fails at, to clients of a server that redacts."""

import numpy as np
import pytest
import tensorflow as tf

from tfx_loop.core.errors import DataError
from tfx_loop.deployment.model_server.engine import run_blocking
from tfx_loop.deployment.model_server.features import FeatureColumns
from tfx_loop.deployment.model_server.loading import load_version
from tfx_loop.deployment.model_server.logging_gateway import LoggingGateway, PredictCall

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def servable(tmp_path_factory):
    """A model that takes numbers as text, and quotes what is none."""

    class Reader(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="amount")])
        def serve(self, amount):
            return {"y": tf.strings.to_number(amount)}

    module, folder = Reader(), tmp_path_factory.mktemp("reader")
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return load_version(1, folder)


def test_a_model_s_error_quotes_no_value_where_a_feature_is_redacted(servable):
    features = FeatureColumns(redacted=["amount"])
    gateway = LoggingGateway("m", None, lambda: 0, features=features)
    given = np.array([b"bob@example.org"], dtype=object)
    call = PredictCall(
        signature_name="serving_default", inputs={"amount": given}, request_id="r", event_time_ms=0
    )
    with pytest.raises(DataError) as refused:
        run_blocking(gateway.predict(servable, call))
    withheld = "The model refuses the request; details withheld, as the feature is redacted."
    assert str(refused.value) == withheld
