"""`components` offers its names without loading what is behind them."""

import json
import subprocess
import sys

import pytest

import components

IMPORT = """
import json, sys, time
began = time.perf_counter()
import components
seconds = time.perf_counter() - began
heavy = [m for m in ("tensorflow", "tfx", "apache_beam", "ml_metadata", "numpy", "pandas")
         if m in sys.modules]
print(json.dumps({"seconds": seconds, "heavy": heavy, "names": dir(components)}))
"""


def imported():
    output = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, check=True, text=True
    )
    return json.loads(output.stdout)


def test_importing_components_is_light():
    results = [imported() for _ in range(3)]
    assert results[0]["heavy"] == []
    assert min(result["seconds"] for result in results) < 0.2


def test_names_are_sorted_and_shown():
    names = dir(components)
    assert names == sorted(components.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'components' has no attribute 'Unknown'"):
        components.Unknown  # noqa: B018 - asking is what is tested


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", components.__all__)
def test_every_public_name_loads_and_is_documented(name):
    found = getattr(components, name)
    assert found.__name__ == name
    assert found.__doc__.strip()


@pytest.mark.tensorflow
def test_artifact_types_are_named_as_the_kubeflow_container_imports_them():
    from tfx.types import artifact

    names = [n for n in components.__all__ if issubclass(getattr(components, n), artifact.Artifact)]
    assert set(names) >= {"DriftReport", "PredictionLog", "ReferenceProfile", "RetrainDecision"}
    for name in names:
        kind = getattr(components, name)
        assert (kind.TYPE_NAME, kind.PROPERTIES or {}) == (f"components.{name}", {})
