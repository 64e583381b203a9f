"""Models by name: added, kept, moved and removed by configurations."""

import pytest

from tfx_loop.core.errors import ConfigError, DataError, ModelRejected
from tfx_loop.deployment.model_server.model_config import ModelConfig
from tfx_loop.deployment.model_server.served_models import (
    LabelUnavailableError,
    ModelUnavailableError,
    ServedModels,
)


class Service:
    """A service whose versions are said by the test."""

    def __init__(self, config):
        self.config, self.polled, self.version, self.known = config, 0, 1, {}

    @property
    def model_name(self):
        return self.config.name

    def poll(self):
        self.polled += 1
        if self.version == "broken":
            raise OSError("away")

    def serving_version(self):
        return self.version

    def labels(self):
        return self.known


def config(name, base_path="base", **labels):
    return ModelConfig(name=name, base_path=base_path, labels=labels)


def test_models_that_stay_keep_their_service():
    models = ServedModels(Service)
    models.configure([config("a"), config("b")])
    a, b = models.find("a"), models.find("b")
    models.configure([config("a", stable=1), config("b", "elsewhere"), config("c")])
    assert models.find("a") is a
    assert a.config.labels == {"stable": 1}
    assert models.find("b") is not b
    models.configure([config("c")])
    assert list(models.services) == ["c"]


def test_unknown_models_are_refused_in_tf_serving_s_words():
    models = ServedModels(Service)
    with pytest.raises(ModelRejected, match=r"Latest\(x\)"):
        models.find("x")
    with pytest.raises(ModelRejected, match=r"Specific\(x, 3\)"):
        models.find("x", 3)
    with pytest.raises(DataError, match="version label: l"):
        models.find("x", None, "l")
    with pytest.raises(ModelRejected, match="any versions of model x"):
        models.statuses("x", None)


def test_a_call_tells_of_models_and_labels_that_do_not_answer():
    def make(made):
        service = Service(made)
        service.version = None if made.name == "empty" else 1
        return service

    models = ServedModels(make)
    with pytest.raises(ModelUnavailableError, match=r"1 model.* empty"):
        models.reconfigure([config("a"), config("empty")])
    with pytest.raises(LabelUnavailableError, match="version 7 of model a"):
        models.reconfigure([config("a", stable=7)])
    models.find("a").known = {"stable": 7}
    models.reconfigure([config("a", stable=7)])


def test_a_file_that_cannot_be_read_changes_nothing_and_one_model_s_trouble_is_its_own():
    content = [config("a"), config("b")]

    def read():
        if content is None:
            raise ConfigError("half written")
        return content

    models = ServedModels(Service, read)
    models.poll_config()
    models.find("a").version = "broken"
    polled = models.find("b").polled
    models.poll_models()
    assert models.find("b").polled == polled + 1
    content = None
    models.poll_config()
    assert list(models.services) == ["a", "b"]


def test_what_a_call_configured_stands_until_the_file_says_something_new():
    content = [config("a")]
    models = ServedModels(Service, lambda: content)
    models.poll_config()
    models.reconfigure([config("b")])
    models.poll_config()
    assert list(models.services) == ["b"]
    content = [config("c")]
    models.poll_config()
    assert list(models.services) == ["c"]
