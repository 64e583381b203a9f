"""Model configurations: what a ModelServerConfig says, and what is refused."""

import pytest

from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.model_server.model_config import (
    ModelConfig,
    VersionPolicy,
    local_folder,
    read_config_file,
)

MODEL = 'name: "a" base_path: "/models/a" model_platform: "tensorflow"'


def read(tmp_path, text):
    path = tmp_path / "models.config"
    path.write_text(text)
    return read_config_file(str(path))


def listed(*models):
    return "model_config_list {" + "".join(f" config {{ {model} }}" for model in models) + " }"


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        ("", {9}),
        ("latest {}", {9}),
        ("latest { num_versions: 2 }", {4, 9}),
        ("all {}", {1, 4, 9}),
        ("specific { versions: 1 versions: 5 }", {1}),
    ],
)
def test_policies_choose_among_the_versions_that_are_there(tmp_path, policy, chosen):
    text = listed(f"{MODEL} model_version_policy {{ {policy} }}")
    (config,) = read(tmp_path, text)
    assert config.policy.choose([1, 9, 4]) == chosen


def test_labels_and_folders_are_read(tmp_path):
    labels = 'version_labels { key: "stable" value: 3 }'
    other = 'name: "b" base_path: "file:///models/b" model_type: TENSORFLOW'
    assert read(tmp_path, listed(f"{MODEL} {labels}", other)) == (
        ModelConfig(name="a", base_path="/models/a", labels={"stable": 3}),
        ModelConfig(name="b", base_path="/models/b"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rubbish", "Invalid protobuf file: '.*models.config'"),
        ("", "with a model_config_list, received none"),
        (listed(MODEL, MODEL), "list model a multiple times"),
        (listed('base_path: "/models/a"'), "Expected name and base_path"),
        (listed('name: "../a" base_path: "/x"'), "name"),
        (listed(MODEL.replace("tensorflow", "caffe")), "received 'caffe'"),
        (listed(MODEL.replace("/models/a", "s3://bucket/a")), "a folder of this machine"),
        (listed(f"{MODEL} model_version_policy {{ specific {{}} }}"), "received none"),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


def test_specific_versions_have_no_fallback():
    assert VersionPolicy(latest=2).may_fall_back()
    assert not VersionPolicy(specific=frozenset({1})).may_fall_back()


def test_a_relative_folder_is_one():
    assert local_folder("out/serving") == "out/serving"
