"""Settings of nodes: what is given, written as execution properties and read back is the same."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfx_loop
from tfx_loop.core.docstrings import attributes, entries, sections
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.settings import NodeSettings, property_types, typed_values, wide


class Color(str, Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group.

    Attributes:
        share: In [0, 1].
        label: Its name.
    """

    share: float = 0.5
    label: str | None = None

    def __post_init__(self):
        if not 0 <= self.share <= 1:
            raise ConfigError(f"share must be from 0 to 1, got {self.share}.")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the domain takes.

    Attributes:
        least: Least rows.
        names: Names, in
            order.
    """

    least: int = 1
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ExampleSettings(Limits, NodeSettings):
    """Every kind of field.

    Attributes:
        text: Some text.
        least: Least rows, as the node says it.
    """

    text: str
    least: int = 7
    number: float = 0.1
    flag: bool = True
    color: Color = Color.RED
    limit: float | None = 0.005
    stages: tuple[tuple[str, float], ...] = ()
    floors: Mapping[str, float] = field(default_factory=dict)
    group: Group = field(default_factory=Group)
    extra: Group | None = None


finite = st.floats(allow_nan=False, allow_infinity=False)
groups = st.builds(Group, share=st.floats(0, 1), label=st.none() | st.text())
settings = st.builds(
    ExampleSettings,
    text=st.text(),
    least=st.integers(-(2**53), 2**53),
    names=st.lists(st.text()).map(tuple),
    number=finite,
    flag=st.booleans(),
    color=st.sampled_from(Color),
    limit=st.none() | finite,
    stages=st.lists(st.tuples(st.text(), finite)).map(tuple),
    floors=st.dictionaries(st.text(), finite),
    group=groups,
    extra=st.none() | groups,
)


@given(settings)
def test_properties_are_scalars_and_read_back_the_same(chosen):
    properties = chosen.to_properties()
    assert {type(value) for value in properties.values()} <= {int, float, str}
    assert ExampleSettings.from_properties(properties) == chosen


@given(settings)
def test_kubeflow_may_hand_whole_numbers_on_as_floats_and_zeros_as_none(chosen):
    handed = {
        name: None if value == 0 else float(value) if isinstance(value, int) else value
        for name, value in chosen.to_properties().items()
        if name != "limit"
    }
    read = ExampleSettings.from_properties(handed | {"limit": chosen.limit})
    assert read == chosen


@given(settings)
def test_lists_mappings_and_groups_may_be_given_plain_or_as_json(chosen):
    plain = {
        "text": chosen.text,
        "least": chosen.least,
        "names": list(chosen.names),
        "number": chosen.number,
        "flag": int(chosen.flag),
        "color": chosen.color.value,
        "limit": chosen.limit,
        "stages": [list(stage) for stage in chosen.stages],
        "floors": dict(chosen.floors),
        "group": vars(chosen.group),
        "extra": chosen.extra,
    }
    assert ExampleSettings.of(plain) == chosen
    assert ExampleSettings.of(plain | {"group": json.dumps(plain["group"])}) == chosen
    assert ExampleSettings.of(plain | {"stages": json.dumps(plain["stages"])}) == chosen
    assert ExampleSettings.of(vars(chosen)) == chosen


def test_a_property_of_the_runner_is_no_setting():
    properties = ExampleSettings(text="a").to_properties() | {"log_root": "gs://b"}
    assert ExampleSettings.from_properties(properties) == ExampleSettings(text="a")


def test_a_setting_that_may_be_none_is_none_when_its_property_is_absent():
    """Its default is 0.005: what was set to None must not come back as that."""
    properties = ExampleSettings(text="a", limit=None).to_properties()
    assert "limit" not in properties
    assert ExampleSettings.from_properties(properties).limit is None


@pytest.mark.parametrize(
    ("given_ones", "message"),
    [
        ({}, "Expected text of Node, received none"),
        ({"text": 3}, "Expected text in text of Node, received 3"),
        ({"text": None}, "Expected text in text of Node, received None"),
        ({"least": 1.5}, "Expected a whole number in least of Node, received 1.5"),
        ({"least": True}, "Expected a whole number in least of Node, received True"),
        ({"number": "high"}, "Expected a number in number of Node, received 'high'"),
        ({"number": object}, "Expected a number in number of Node, received <class 'object'>"),
        ({"flag": 2}, "Expected true or false in flag of Node, received 2"),
        ({"color": "green"}, "Expected one of red, blue in color of Node, received 'green'"),
        ({"names": "a"}, "Expected a list in names of Node, received 'a'"),
        ({"names": [1]}, "Expected text in names of Node, received 1"),
        ({"stages": [("a",)]}, r"Expected 2 values in stages of Node, received \['a'\]"),
        ({"floors": "[]"}, r"Expected an object in floors of Node, received \[\]"),
        ({"group": {"shar": 1}}, "in group of Node, received 'shar'. Did you mean 'share'?"),
        ({"group": {"share": "x"}}, "Expected a number in group of Node, share, received 'x'"),
        ({"group": {"share": 2}}, "share must be from 0 to 1, got 2"),
        ({"leest": 1}, "received 'leest'. Did you mean 'least'?"),
    ],
)
def test_a_setting_that_cannot_be_is_a_config_error(given_ones, message):
    base = {} if not given_ones else {"text": "a"}
    with pytest.raises(ConfigError, match=message):
        ExampleSettings.of(base | given_ones, "Node")


def test_values_that_come_later_are_not_asked_for():
    values = typed_values(ExampleSettings, {"names": ["a"]}, "Node", later={"text", "least"})
    assert values["names"] == ("a",)
    assert not {"text", "least"} & set(values)


def test_a_message_of_protobuf_is_its_json():
    from google.protobuf import struct_pb2

    message = struct_pb2.Struct()
    message.update({"b": 1, "a": "x"})
    text = ExampleSettings.of({"text": message}).text
    assert json.loads(text) == {"a": "x", "b": 1.0}


def test_what_the_domain_takes_comes_back_as_its_part():
    chosen = ExampleSettings(text="a", least=3, names=("b",))
    assert chosen.part(Limits) == Limits(least=3, names=("b",))
    assert type(chosen.part(Limits)) is Limits


def test_attributes_are_described_where_they_are_declared():
    assert attributes(ExampleSettings) == {
        "least": "Least rows, as the node says it.",
        "names": "Names, in order.",
        "text": "Some text.",
    }


def test_sections_of_a_docstring():
    found = sections(
        "First.\n\n    More.\n\n    Args:\n        a: One\n            two.\n        b: Three.\n"
    )
    assert found == {"": "First.\n\nMore.", "Args": "a: One\n    two.\nb: Three."}
    assert entries(found["Args"]) == {"a": "One two.", "b": "Three."}
    assert sections(None) == {"": ""}


@pytest.mark.slow
def test_settings_are_read_without_tfx_and_tensorflow():
    """A script that only prepares or checks settings starts in a second."""
    sources = Path(tfx_loop.__file__).parent
    modules = [
        ".".join(("tfx_loop", *path.relative_to(sources).with_suffix("").parts))
        for path in sorted(sources.glob("*/**/settings.py"))
        if "pipelines" not in path.parts
    ]
    assert len(modules) >= 15
    code = f"import sys, {', '.join(modules)}; print(*{{n.split('.')[0] for n in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"tfx", "tensorflow", "apache_beam"} & set(done.stdout.split()) == set()


@dataclass(frozen=True, kw_only=True)
class _Window(NodeSettings):
    start_ms: int = field(metadata=wide())
    as_of_ms: int | None = field(default=None, metadata=wide())
    rows: int = 3


def test_whole_numbers_of_64_bits_travel_as_text_and_are_read_as_either() -> None:
    window = _Window(start_ms=1_362_096_000_000)
    assert window.to_properties() == {"start_ms": "1362096000000", "rows": 3}
    assert property_types(_Window) == {"start_ms": str, "as_of_ms": str, "rows": int}
    for written in ("1362096000000", 1_362_096_000_000, 1_362_096_000_000.0):
        assert _Window.from_properties({"start_ms": written, "rows": 3}) == window
    # As Vertex hands on what is 0, and as stores of earlier releases hold it.
    assert _Window.from_properties({"start_ms": None, "as_of_ms": 5}).as_of_ms == 5
    for wrong in ("soon", "", 1.5):
        with pytest.raises(ConfigError, match="start_ms"):
            _Window.of({"start_ms": wrong})
