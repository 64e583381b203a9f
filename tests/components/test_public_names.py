"""`tfx_loop` offers its names without loading what is behind them."""

import json
import os
import subprocess
import sys

import pytest

import tfx_loop

IMPORT = """
import json, sys, time
began = time.process_time()
import tfx_loop
seconds = time.process_time() - began
heavy = [m for m in ("tensorflow", "tfx", "apache_beam", "ml_metadata", "numpy", "pandas")
         if m in sys.modules]
print(json.dumps({"seconds": seconds, "heavy": heavy, "names": dir(tfx_loop)}))
"""


# As a user's process is: nothing chosen for Keras.
PLAIN = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
KERAS = """
import json, os
before = dict(os.environ)
import tfx_loop
changed = {n for n in before.keys() | os.environ.keys() if before.get(n) != os.environ.get(n)}
for name in NAMES:
    getattr(tfx_loop, name)
import tensorflow as tf
keras = getattr(tf.keras, "__version__", "2")
print(json.dumps({"changed": sorted(changed), "keras": keras}))
"""


def imported(script=IMPORT):
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True, env=PLAIN
    )
    return json.loads(output.stdout)


def test_importing_components_is_light():
    results = [imported() for _ in range(3)]
    assert results[0]["heavy"] == []
    assert min(result["seconds"] for result in results) < 0.2


def test_names_are_sorted_and_shown():
    names = dir(tfx_loop)
    assert names == sorted(tfx_loop.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tfx_loop' has no attribute 'Unknown'"):
        tfx_loop.Unknown  # noqa: B018 - asking is what is tested


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", tfx_loop.__all__)
def test_every_public_name_loads_and_is_documented(name):
    found = getattr(tfx_loop, name)
    assert found.__name__ == name
    assert found.__doc__.strip()


@pytest.mark.tensorflow
@pytest.mark.parametrize("names", [[], tfx_loop.__all__], ids=["package", "all names"])
def test_keras_of_the_user_s_process_stays_what_it_was(names):
    found = imported(KERAS.replace("NAMES", repr(names)))
    assert found["changed"] == []
    assert found["keras"].startswith("3."), "TensorFlow's own choice"


@pytest.mark.tensorflow
def test_artifact_types_are_named_as_the_kubeflow_container_imports_them():
    from tfx.types import artifact

    names = [n for n in tfx_loop._HOMES if issubclass(getattr(tfx_loop, n), artifact.Artifact)]
    assert set(names) >= {"DriftReport", "PredictionLog", "ReferenceProfile", "RetrainDecision"}
    for name in names:
        kind = getattr(tfx_loop, name)
        assert (kind.TYPE_NAME, kind.PROPERTIES or {}) == (f"tfx_loop.{name}", {})
