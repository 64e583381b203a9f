"""The general codec: dataclasses to JSON and back, strictly typed, with one-line errors."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.json_codec import LEFT_OUT, from_json, none_as, to_json
from tfx_loop.core.json_file import JsonFile


class Colour(str, Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Edges:
    edges: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Names:
    names: tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class Whole:
    JSON_KEYS: ClassVar[Mapping[str, str]] = {
        "title": "name",
        "count": "count",
        **{
            key: key
            for key in ("colour", "bins", "span", "by_version", "note", "left", "rows", "share")
        },
    }

    name: str
    colour: Colour
    bins: Edges | Names
    span: tuple[float, float] = (0.0, 1.0)
    by_version: Mapping[int, int] = field(default_factory=dict)
    note: Names | None = field(default=None, metadata=none_as({}))
    left: int | None = field(default=None, metadata=none_as(LEFT_OUT))
    rows: int = 0
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.rows < 0:
            raise ConfigError(f"rows must not be negative, got {self.rows}.")

    @property
    def count(self) -> int:
        return len(self.by_version)


WHOLE = JsonFile(name="whole.json", kind=Whole, title="a whole", remedy="Make it again.")


@given(
    st.builds(
        Whole,
        name=st.text(),
        colour=st.sampled_from(Colour),
        bins=st.builds(Edges, edges=st.lists(st.floats(-1e6, 1e6)).map(tuple))
        | st.builds(Names, names=st.lists(st.integers() | st.text()).map(tuple)),
        span=st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
        by_version=st.dictionaries(st.integers(), st.integers()),
        note=st.none() | st.builds(Names, names=st.lists(st.text()).map(tuple)),
        left=st.none() | st.integers(),
        rows=st.integers(0, 99),
        share=st.floats(0, 1),
    )
)
def test_what_is_written_is_read_again(whole):
    text = json.dumps(WHOLE.content(whole), allow_nan=False)
    assert WHOLE.value(json.loads(text)) == whole


def test_keys_have_the_names_and_the_order_of_the_class_and_derived_ones_are_not_read():
    whole = Whole(name="w", colour=Colour.RED, bins=Edges(edges=()), by_version={3: 1})
    content = WHOLE.content(whole)
    assert list(content)[:4] == ["schema_version", "title", "count", "colour"]
    assert (content["count"], content["note"]) == (1, {})
    assert "left" not in content
    assert WHOLE.value({**content, "count": 99}) == whole


def test_numpy_is_written_as_numbers_and_what_is_not_finite_as_null():
    assert to_json({"a": np.float32(1.5), "b": np.arange(2), "c": float("inf")}) == {
        "a": 1.5,
        "b": [0, 1],
        "c": None,
    }
    with pytest.raises(TypeError, match="received set"):
        to_json({"a": {1}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"title": 3}, "Expected text in f, title, received 3"),
        ({"rows": True}, "Expected a whole number in f, rows, received True"),
        ({"rows": 1.5}, r"Expected a whole number in f, rows, received 1\.5"),
        ({"share": "half"}, "Expected a number in f, share"),
        ({"span": [1.0]}, "Expected 2 values in f, span"),
        ({"colour": "green"}, "Expected one of red, blue in f, colour, received 'green'"),
        ({"bins": {"edge": []}}, "Expected Edges or Names in f, bins"),
        ({"bins": {"names": [1.5]}}, r"Expected int or str in f, bins, names, received 1\.5"),
        ({"by_version": {"v1": 1}}, "Expected a whole number as key in f, by_version"),
        ({"rows": -1}, "rows must not be negative"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(change, message):
    content = WHOLE.content(Whole(name="w", colour=Colour.RED, bins=Edges(edges=())))
    with pytest.raises(DataError, match=message) as raised:
        WHOLE.value({**content, **change}, "f")
    assert str(raised.value).endswith("Make it again.")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [[], "text", None, 3])
def test_a_file_that_holds_no_object_is_refused(content):
    with pytest.raises(DataError, match="Expected a whole of schema_version 1"):
        WHOLE.value(content)


def test_a_missing_field_without_default_is_refused():
    with pytest.raises(DataError, match="Expected the field 'names' in f, received name"):
        from_json(Names, {"name": []}, "f")


def test_a_whole_file_lacks_not_even_fields_with_a_default(tmp_path):
    strict = JsonFile(name="w.json", kind=Whole, title="a whole", remedy="Again.", whole=True)
    content = WHOLE.content(Whole(name="w", colour=Colour.RED, bins=Edges(edges=()), left=1))
    assert strict.value(content).left == 1
    del content["share"]
    assert WHOLE.value(content).share == 0.5
    with pytest.raises(DataError, match="Expected the field 'share'"):
        strict.value(content)


def test_files_are_written_found_and_missed(tmp_path):
    whole = Whole(name="w", colour=Colour.BLUE, bins=Names(names=(1, "b")))
    assert WHOLE.find(tmp_path) is None
    with pytest.raises(DataError, match=r"Expected a whole at .*whole\.json, found no file\. Make"):
        WHOLE.read(tmp_path)
    WHOLE.write(whole, tmp_path)
    assert WHOLE.read(tmp_path) == WHOLE.find(tmp_path) == whole
    WHOLE.save(whole, tmp_path / "other.json")
    assert WHOLE.load(tmp_path / "other.json") == whole
    (tmp_path / "whole.json").write_text("{")
    with pytest.raises(DataError, match="Expected a JSON object"):
        WHOLE.find(tmp_path)


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    odd = Whole(name="w", colour=Colour.RED, bins=Edges(edges=()), share=float("nan"))
    with pytest.raises(DataError, match=r"a number in .*whole\.json, share, received None"):
        WHOLE.write(odd, tmp_path)
    assert not (tmp_path / "whole.json").exists()
