"""What an executor is given: one artifact where one is meant, the splits of all Examples."""

import pytest

from tfx_loop.core.errors import DataError

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def examples():
    from tfx.types import standard_artifacts

    def made(uri, splits, payload=""):
        artifact = standard_artifacts.Examples()
        artifact.uri, artifact.split_names = uri, splits
        if payload:
            artifact.set_string_custom_property("payload_format", payload)
        return artifact

    return made


def test_one_artifact_is_taken_and_several_are_refused_in_a_sentence(examples):
    from tfx_loop.core.inputs import single, single_or_none

    one, other = examples("/a", '["train"]'), examples("/b", '["train"]')
    assert single({"log": [one]}, "log") is one
    assert single_or_none({"log": [one]}, "log") is one
    assert single_or_none({"log": []}, "log") is single_or_none({}, "log") is None
    for take in (single, single_or_none):
        with pytest.raises(DataError, match="one artifact as input 'log', received 2: /a, /b"):
            take({"log": [one, other]}, "log")
    with pytest.raises(DataError, match="one artifact as input 'log', received none"):
        single({}, "log")


def test_splits_are_those_of_all_artifacts(examples):
    from tfx_loop.core.inputs import sampled_split_uris, split_uris

    window = [examples("/a", '["train", "eval"]'), examples("/b", '["train"]')]
    assert split_uris(window, ["train"]) == ["/a/Split-train", "/b/Split-train"]
    assert sampled_split_uris(window) == ["/a/Split-eval", "/b/Split-train"]
    with pytest.raises(DataError, match=r"a split 'eval' in the examples, .* in /b"):
        split_uris(window, ["train", "eval"])


def test_what_cannot_be_read_is_refused(examples):
    from tfx_loop.core.inputs import sampled_split_uris, split_uris

    with pytest.raises(DataError, match="Expected Examples, received none"):
        split_uris([], ["train"])
    # Rankings keep a query with its documents in one message, as TFX's ranking example does.
    for payload in ("FORMAT_PARQUET", "FORMAT_PROTO"):
        with pytest.raises(DataError, match=f"received {payload} in /a. Give this node rows as tf"):
            split_uris([examples("/a", '["train"]', payload)], ["train"])
    with pytest.raises(DataError, match="Expected splits in the examples /a"):
        sampled_split_uris([examples("/a", "[]")])
