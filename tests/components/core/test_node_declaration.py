"""What becomes of a node's declaration: TFX's spec, a constructor with clear errors, its help."""

import inspect
from dataclasses import dataclass
from typing import ClassVar

import pytest
from compiled_pipeline import compile_pipeline
from tfx.dsl.components.base import base_executor, executor_spec
from tfx.orchestration import data_types
from tfx.types import channel, standard_artifacts

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.node import Input, Node
from tfx_loop.core.settings import NodeSettings

pytestmark = pytest.mark.tensorflow


@dataclass(frozen=True, kw_only=True)
class CopierSettings(NodeSettings):
    """Settings.

    Attributes:
        text: What is written.
        times: How often.
        limit: None for no limit.
        names: In this order.
    """

    text: str
    times: int = 1
    limit: float | None = 0.5
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.times < 1:
            raise ConfigError(f"times must be at least 1, got {self.times}.")


class Executor(base_executor.BaseExecutor):
    """Never runs here; the nodes of tfx-loop run in tests of their own."""


class Copier(Node):
    """Copies a model.

    It does so often.

    Inputs:
        model: What is copied.
        schema: Its schema.

    Outputs:
        model: The copy.
    """

    SETTINGS = CopierSettings
    INPUTS: ClassVar = {
        "parent": Input(standard_artifacts.Model, argument="model"),
        "schema": Input(standard_artifacts.Schema, optional=True),
    }
    OUTPUTS: ClassVar = {"model": standard_artifacts.Model}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    @classmethod
    def check(cls, settings, inputs):
        if settings.limit is None and "schema" not in inputs:
            raise ConfigError("Expected a schema where there is no limit.")


def of(kind):
    return channel.Channel(type=kind)


def copier(**changes):
    return Copier(**{"model": of(standard_artifacts.Model), "text": "a", **changes})


def test_the_spec_has_inputs_outputs_and_settings_as_tfx_wants_them():
    node = copier(names=["x"], limit=None, schema=of(standard_artifacts.Schema))
    assert node.id == "Copier"
    assert set(node.inputs) == {"parent", "schema"}
    assert node.outputs["model"].type is standard_artifacts.Model
    assert node.exec_properties == {"text": "a", "times": 1, "names": '["x"]'}
    assert CopierSettings.from_properties(node.exec_properties) == CopierSettings(
        text="a", names=("x",), limit=None
    )
    types = {name: parameter.type for name, parameter in Copier.SPEC_CLASS.PARAMETERS.items()}
    assert types == {"text": str, "times": int, "limit": float, "names": str}


def test_an_optional_input_may_be_none():
    assert set(copier(schema=None).inputs) == {"parent"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tines": 2}, "received 'tines'. Did you mean 'times'"),
        ({"parent": None}, "among model, schema, text, times, limit, names, received 'parent'"),
        ({"text": 1}, "Expected text in text of Copier, received 1"),
        ({"times": 0}, "times must be at least 1, got 0"),
        ({"limit": None}, "Expected a schema"),
        ({"model": None}, "Expected a channel of Model as model of Copier, received none"),
        ({"model": "/a/b"}, "channel of Model as model of Copier, received str"),
        ({"model": of(standard_artifacts.Schema)}, "as model of Copier, received Schema"),
        (
            {"times": data_types.RuntimeParameter(name="t", ptype=str)},
            "ptype=int as times of Copier, received <class 'str'>",
        ),
        ({"times": data_types.RuntimeParameter(name="t", ptype=int, default=-1)}, "got -1"),
    ],
)
def test_a_declaration_that_cannot_run_is_one_clear_error(changes, message):
    with pytest.raises(ConfigError, match=message):
        copier(**changes)


def test_arguments_by_position_are_refused():
    with pytest.raises(ConfigError, match="keyword arguments of Copier alone, received 1 by"):
        Copier(of(standard_artifacts.Model), text="a")


def test_a_required_setting_is_asked_for():
    with pytest.raises(ConfigError, match="Expected text of Copier, received none"):
        Copier(model=of(standard_artifacts.Model))


def test_a_runtime_parameter_waits_for_the_run():
    later = data_types.RuntimeParameter(name="text", ptype=str)
    node = copier(text=later, names=["x"])
    assert node.exec_properties == {"text": later, "times": 1, "limit": 0.5, "names": '["x"]'}
    with pytest.raises(ConfigError, match="Expected a whole number in times"):
        copier(text=later, times="often")


def test_nodes_compile_for_kubeflow_with_runtime_parameters_and_placeholders(tmp_path):
    from tfx.dsl.components.common import importer

    given = importer.Importer(
        source_uri="gs://bucket/model", artifact_type=standard_artifacts.Model
    ).with_id("given")
    first = Copier(
        model=given.outputs["result"],
        text=data_types.RuntimeParameter(name="text", ptype=str),
        names=("x", "y"),
    ).with_id("first")
    spec = compile_pipeline(tmp_path, [given, first])
    inputs = spec["root"]["dag"]["tasks"]["first"]["inputs"]
    assert inputs["parameters"]["text"] == {"componentInputParameter": "text"}
    assert inputs["parameters"]["names"]["runtimeValue"]["constantValue"] == {
        "stringValue": '["x", "y"]'
    }
    assert set(inputs["artifacts"]) == {"parent"}


def test_help_shows_inputs_and_settings_with_their_defaults():
    signature = inspect.signature(Copier)
    assert list(signature.parameters) == ["model", "text", "schema", "times", "limit", "names"]
    assert all(p.kind is p.KEYWORD_ONLY for p in signature.parameters.values())
    assert signature.parameters["limit"].default == 0.5
    assert signature.parameters["limit"].annotation == float | None
    assert signature.parameters["text"].default is inspect.Parameter.empty
    assert Copier.__doc__ == (
        "Copies a model.\n\nIt does so often.\n\nArgs:\n    model: What is copied.\n"
        "    schema: Its schema.\n    text: What is written.\n    times: How often.\n"
        "    limit: None for no limit.\n    names: In this order.\n\nOutputs:\n    model: The copy."
    )


def test_a_node_may_be_specialised():
    class Twice(Copier):
        """Copies twice."""

    node = Twice(model=of(standard_artifacts.Model), text="a")
    assert node.exec_properties["text"] == "a"
    assert Twice.SPEC_CLASS is Copier.SPEC_CLASS
