"""docs/components.md, the reference of the nodes, written from their declarations.

`make docs-components` writes the page, and a test compares it with what the nodes say. What a node
does, its inputs and its outputs stand in its docstring, its settings in those of its settings
class; nothing is said a second time here.
"""

import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import tfx_loop
from tfx_loop.core import docstrings
from tfx_loop.core.node import Node
from tfx_loop.core.settings import defaults, field_types
from tfx_loop.pipelines.evaluation import recording_evaluator, variant_evaluator

THEMES = {
    "Data and reference": ("SpanExampleGen", "ReferenceProfiler"),
    "Optimisation": ("Distiller", "Pruner", "Quantizer", "VariantChooser"),
    "Deployment": ("ServingPusher", "SageMakerPusher", "EdgeTPUCompiler", "EdgeBundler"),
    "Monitoring": (
        "PredictionLogGen",
        "LabelJoiner",
        "DriftMonitor",
        "SkewMonitor",
        "QualityMonitor",
        "RetrainDecider",
        "PrivacyReport",
        "FaultDetector",
    ),
}
# TFX's Evaluator, extended: they take its arguments, and stand under the ids of their lines.
EVALUATORS = {
    "VariantEvaluator": variant_evaluator.VariantEvaluator,
    "RecordingEvaluator": recording_evaluator.Evaluator,
}
ARTIFACTS = (
    "PredictionLog",
    "ReferenceProfile",
    "DriftReport",
    "SkewReport",
    "RetrainDecision",
    "OptimizationReport",
    "EdgeTpuReport",
    "MembershipReport",
    "FaultReport",
)
_HEAD = """\
# The components

<!-- The formatter would give each argument a line of its own. -->
<!-- fmt: off -->

Written by `make docs-components` from the nodes' declarations. `help(tfx_loop.DriftMonitor)` prints
the same.

All are TFX nodes: `from tfx_loop import DriftMonitor`. Importing `tfx_loop` loads none of them. A
node takes keyword arguments: a channel for each input, and a value for each setting. Every setting
may be a TFX runtime parameter, too, or a placeholder; it is checked when the node runs then, and
all others as soon as the pipeline is written. A list, a mapping or a group of settings may come as
its JSON. A group (such as `fault_settings`) is a mapping of the fields to change, or an instance of
the class that its type names.

Each node is shown with the lines that add it to a stock pipeline, five at most: `example_gen`,
`schema_gen`, `trainer` and `evaluator` are TFX's own nodes, `eval_config` is Evaluator's
configuration (`served_config` one whose `prediction_key` names a served output), `start_ms` and
`end_ms` bound the window, and a node that another needs is named as in its own example. A test runs
all of them in one pipeline; `make examples` puts them into seven pipelines and shows what becomes
of each ([benchmarks](benchmarks.md#stock-pipelines)).
"""


def render() -> str:
    """Returns the page as Markdown."""
    listed = [
        f"- {theme}: {', '.join(f'[{name}](#{name.lower()})' for name in names)}"
        for theme, names in [*THEMES.items(), ("Evaluators", tuple(EVALUATORS))]
    ]
    nodes = [node for names in THEMES.values() for node in map(_public, names)]
    parts = [_HEAD, "\n".join(listed), ""]
    for theme, names in THEMES.items():
        parts += [f"## {theme}", "", *(_node(_public(name)) for name in names)]
    parts += ["## Evaluators", "", *(_evaluator(*named) for named in EVALUATORS.items())]
    parts += ["## Groups of settings", "", *(_group(group) for group in _groups(nodes))]
    parts += ["## Artifacts", "", _artifacts()]
    return "\n".join(parts)


def examples() -> dict[str, str]:
    """Returns the lines that add each node to a pipeline, in the order of the page."""
    nodes = {name: _public(name) for names in THEMES.values() for name in names} | EVALUATORS
    return {name: docstrings.sections(node.__doc__)["Example"] for name, node in nodes.items()}


def _public(name: str) -> Any:
    return getattr(tfx_loop, name)


def _node(node: type[Node]) -> str:
    said = docstrings.sections(node.__doc__)
    channels = {given.argument or name: given for name, given in node.INPUTS.items()}
    if "Args" not in said:
        # A constructor of the node's own, which makes the channels from its arguments.
        said["Args"], channels = docstrings.sections(node.__init__.__doc__)["Args"], {}
    arguments = docstrings.entries(said["Args"])
    inputs = [
        (f"`{name}`", f"`{given.type.__name__}`" + " (optional)" * given.optional, arguments[name])
        for name, given in channels.items()
    ]
    outputs = [
        (f"`{name}`", f"`{kind.__name__}`", docstrings.entries(said["Outputs"])[name])
        for name, kind in node.OUTPUTS.items()
    ]
    parameters = inspect.signature(node).parameters
    settings = [
        (f"`{name}`", _type(parameter.annotation), _default(parameter.default), arguments[name])
        for name, parameter in parameters.items()
        if name not in channels
    ]
    return "\n".join(
        [
            f"### {node.__name__}",
            "",
            said[""],
            "",
            "```python",
            said["Example"],
            "```",
            "",
            *_table(("input", "artifact", ""), inputs),
            *_table(("output", "artifact", ""), outputs),
            *_table(("setting", "type", "default", ""), settings),
        ]
    )


def _evaluator(name: str, node: type[Any]) -> str:
    said = docstrings.sections(node.__doc__)
    told = docstrings.entries(docstrings.sections(node.__init__.__doc__)["Args"])
    own = [(f"`{setting}`", text) for setting, text in told.items() if setting != "arguments"]
    lines = [f"### {name}", "", said[""], "", "```python", said["Example"], "```", ""]
    return "\n".join([*lines, *_table(("beside Evaluator's arguments", ""), own)])


def _groups(nodes: list[type[Node]]) -> Iterator[type[Any]]:
    """Yields the dataclasses that settings consist of, those in others, too, each once."""
    found: dict[type[Any], None] = {}
    waiting = [kind for node in nodes for kind in field_types(node.SETTINGS).values()]
    while waiting:
        kind = waiting.pop(0)
        waiting += typing.get_args(kind)
        if dataclasses.is_dataclass(kind) and kind not in found:
            found[typing.cast(type[Any], kind)] = None
            waiting += field_types(typing.cast(type[Any], kind)).values()
    yield from found


def _group(group: type[Any]) -> str:
    told, known = docstrings.attributes(group), defaults(group)
    rows = [
        (
            f"`{name}`",
            _type(kind),
            _default(known.get(name, inspect.Parameter.empty)),
            told.get(name, ""),
        )
        for name, kind in field_types(group).items()
    ]
    about = docstrings.sections(group.__doc__)[""]
    head = [f"### {group.__name__}", "", about, ""]
    return "\n".join([*head, *_table(("field", "type", "default", ""), rows)])


def _artifacts() -> str:
    rows = [(f"`{name}`", docstrings.sections(_public(name).__doc__)[""]) for name in ARTIFACTS]
    about = "Artifacts are JSON and Parquet with scalar custom properties, which conditions and"
    return "\n".join([about, "queries can read.", "", *_table(("artifact", ""), rows)])


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    lines: list[tuple[str, ...]] = [heads, tuple("---" for _ in heads)]
    lines += [tuple(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows]
    return [*(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines), ""]


def _type(kind: Any) -> str:
    """Returns a type as a reader of Markdown writes it in a pipeline."""
    origin, items = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("`None`" if item is type(None) else _type(item) for item in items)
    if origin is tuple and items[1:] != (...,):
        return f"({', '.join(map(_type, items))})"
    if origin is not None and issubclass(origin, Mapping):
        return f"mapping of {_type(items[0])} to {_type(items[1])}"
    if origin is not None:
        return f"list of {_type(items[0])}"
    if kind is Any:
        return "any"
    name = str(kind.__name__)
    if issubclass(kind, Enum):
        return ", ".join(f"`{item.value!r}`" for item in kind)
    if dataclasses.is_dataclass(kind) and name not in tfx_loop.__all__:
        return f"[{name}](#{name.lower()})"
    return f"`{name}`"


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    if isinstance(value, Enum):
        return f"`{value.value!r}`"
    if isinstance(value, tuple):
        return f"`{json.dumps(value)}`"
    if dataclasses.is_dataclass(value):
        usual = defaults(type(value))
        changed = {name: own for name, own in vars(value).items() if own != usual.get(name)}
        return f"`{json.dumps(changed)}`" if changed else "its defaults"
    return f"`{value!r}`"


if __name__ == "__main__":
    print(render(), end="")
