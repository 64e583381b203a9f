"""components/__init__.pyi, what editors and type checkers know of the nodes.

A node's constructor is made from its declaration when Python runs; an editor that only reads would
see none of its parameters. `make docs-components` writes the stub, and a test compares it with the
declarations.
"""

import dataclasses
import inspect
import textwrap
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

import tfx_loop
from tfx_loop.core.node import Node

_HEAD = '''\
"""Written by `make docs-components` from the nodes' declarations; see `tfx_loop/__init__.py`."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from tfx.dsl.placeholder.placeholder import Placeholder
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.channel import BaseChannel

'''
_LATER = """\
__all__: list[str]
__version__: str

# What has its value when the pipeline runs.
_Later: TypeAlias = RuntimeParameter | Placeholder
"""


def render() -> str:
    """Returns the stub."""
    public = {name: getattr(tfx_loop, name) for name in tfx_loop.__all__}
    nodes = [k for k in public.values() if inspect.isclass(k) and issubclass(k, Node)]
    modules = {kind.__module__ for kind in nodes}
    for node in nodes:
        modules |= {kind.__module__ for kind in _classes(inspect.signature(node))}
    modules.discard("builtins")
    imports = [f"import {module}" for module in sorted(modules)]
    imports += [
        f"from {kind.__module__} import {name} as {name}"
        for name, kind in public.items()
        if kind not in nodes
    ]
    return "\n".join([_HEAD + "\n".join(imports), "", _LATER, *map(_node, nodes)])


def _node(node: type[Node]) -> str:
    parameters = map(_parameter, inspect.signature(node).parameters.values())
    # The first sentence alone: the rest stands in the node, and is shown by help().
    text = inspect.cleandoc(node.__doc__ or "").partition("\n\n")[0]
    return "\n".join(
        [
            "",
            f"class {node.__name__}({node.__module__}.{node.__name__}):",
            textwrap.indent(f'"""{text}"""', "    "),
            "",
            "    def __init__(",
            "        self,",
            "        *,",
            *(f"        {parameter}," for parameter in parameters),
            "    ) -> None: ...",
            "",
        ]
    )


def _parameter(parameter: inspect.Parameter) -> str:
    known = parameter.default
    kind = _type(parameter.annotation)
    is_channel = "BaseChannel" in kind or parameter.name == "variants"
    # A message of protobuf is taken for its JSON.
    messages = ("eval_config", "push_destination")
    kind = "Any" if parameter.name in messages else kind if is_channel else f"{kind} | _Later"
    if known is inspect.Parameter.empty:
        return f"{parameter.name}: {kind}"
    plain = known is None or isinstance(known, (bool, int, float, str, tuple))
    shown = repr(known.value) if isinstance(known, Enum) else repr(known) if plain else "..."
    return f"{parameter.name}: {kind} = {shown}"


def _classes(signature: inspect.Signature) -> set[type[Any]]:
    """Returns the classes of ours that the parameters are declared with."""
    found: set[type[Any]] = set()
    waiting = [parameter.annotation for parameter in signature.parameters.values()]
    while waiting:
        kind = waiting.pop()
        waiting += typing.get_args(kind)
        if isinstance(kind, type) and kind.__module__.startswith("tfx_loop."):
            found.add(kind)
    return found


def _type(kind: Any) -> str:
    """Returns a type as an author may write its values: a list for a tuple, a dict for a group."""
    origin, items = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " | ".join("None" if item is type(None) else _type(item) for item in items)
    if origin is tuple:
        ours = items[:1] if items[1:] == (...,) else ()
        return f"Sequence[{_type(ours[0])}]" if ours else f"tuple[{', '.join(map(_type, items))}]"
    if origin is not None and issubclass(origin, Mapping):
        return f"Mapping[{_type(items[0])}, {_type(items[1])}]"
    if origin is not None:
        return f"Sequence[{_type(items[0])}]"
    if kind is Any:
        return "Any"
    name, full_name = str(kind.__name__), f"{kind.__module__}.{kind.__name__}"
    if issubclass(kind, Enum):
        return f"{full_name} | str"
    if dataclasses.is_dataclass(kind) and name not in tfx_loop.__all__:
        # Some read themselves from a word or two (core/settings.py).
        words = " | str" if hasattr(kind, "of_text") else ""
        return f"{full_name} | Mapping[str, Any]{words}"
    return name


if __name__ == "__main__":
    print(render(), end="")
