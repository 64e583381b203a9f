"""Base of the nodes of tfx-loop: settings, inputs and outputs, each said once.

A node's folder has three files: `settings.py`, a frozen dataclass whose fields are the node's
parameters (`NodeSettings`, free of TFX); `component.py`, the node; `executor.py`, its executor.

    class LabelJoiner(Node):
        \"\"\"Adds the labels that have arrived to the rows of a window.

        Inputs:
            prediction_log: The log of PredictionLogGen.

        Outputs:
            labelled_log: `PredictionLog` with the rows that have a label.
        \"\"\"

        SETTINGS = LabelJoinerSettings
        INPUTS: ClassVar = {"prediction_log": Input(PredictionLog)}
        OUTPUTS: ClassVar = {"labelled_log": PredictionLog}
        EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

From this comes what TFX asks of a component by hand: the ComponentSpec with its execution
properties, the constructor, and the docstring and signature that `help()` and editors show. The
constructor takes keyword arguments alone: a channel for each input, a value for each setting. A
setting may be a runtime parameter or a placeholder, too; it is checked in the executor then, which
begins with `settings = LabelJoinerSettings.from_properties(exec_properties)`.

TFX's own `@component` makes a node of one function. It checks parameters by their type alone, and
knows no groups of settings, no rules across settings and inputs, and no description of either.
"""

import functools
import inspect
import textwrap
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

from tfx.dsl.components.base import base_beam_component, base_component
from tfx.dsl.placeholder import placeholder
from tfx.orchestration import data_types
from tfx.types import channel, component_spec

from tfx_loop.core import docstrings
from tfx_loop.core.errors import ConfigError, did_you_mean
from tfx_loop.core.settings import (
    NodeSettings,
    defaults,
    encoded,
    field_types,
    or_none,
    property_types,
    typed_values,
)

# What has a value when the pipeline runs.
_KNOWN_LATER = (data_types.RuntimeParameter, placeholder.Placeholder)


class Input(component_spec.ChannelParameter):
    """An input of a node: its artifact type, and whether it may be left out.

    Attributes:
        argument: Name of the constructor's argument where it is not the input's: TFX takes no
            input and output of one name.
    """

    def __init__(self, kind: type[Any], *, optional: bool = False, argument: str = "") -> None:
        super().__init__(type=kind, optional=optional)
        self.argument = argument


class Node(base_component.BaseComponent):
    """Base of the nodes; a subclass declares what stands below, and EXECUTOR_SPEC.

    Attributes:
        SETTINGS: Dataclass of the parameters.
        INPUTS: Inputs by name.
        OUTPUTS: Artifact types of the outputs by name.
        CONSTANTS: Execution properties that no author sets, for runners to see.
    """

    SETTINGS: ClassVar[type[NodeSettings]]
    INPUTS: ClassVar[dict[str, Input]] = {}
    OUTPUTS: ClassVar[dict[str, Any]] = {}
    CONSTANTS: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # A base such as BeamNode, which declares nothing yet.
        if "SETTINGS" not in vars(cls):
            return
        cls.SPEC_CLASS = _spec_class(cls)
        # A node with a constructor of its own wraps another one of TFX, whose signature it keeps.
        if "__init__" in vars(cls):
            setattr(cls, "__init__", _with_clear_errors(cls.__init__))  # noqa: B010 - mypy
        else:
            cls.__doc__ = _docstring(cls)
            cls.__signature__ = _signature(cls)

    def __init__(self, *positional: Any, **arguments: Any) -> None:
        """Declares the node; see the class for its arguments.

        Raises:
            ConfigError: An argument is unknown, lacks, has another type, or cannot work.
        """
        cls, owner = type(self), type(self).__name__
        inputs = {given.argument or name: name for name, given in cls.INPUTS.items()}
        _check_names(owner, [*inputs, *field_types(cls.SETTINGS)], positional, arguments)
        given = {name: value for name, value in arguments.items() if name not in inputs}
        # What the author gives goes before what the nodes behind the inputs tell.
        given = {**cls.settings_of(arguments), **given}
        channels = {
            inputs[name]: value
            for name, value in arguments.items()
            if name in inputs and value is not None
        }
        properties = _properties(cls, given, channels)
        _check_channels(cls, channels)
        outputs = {name: channel.Channel(type=kind) for name, kind in cls.OUTPUTS.items()}
        super().__init__(spec=cls.SPEC_CLASS(**properties, **cls.CONSTANTS, **channels, **outputs))

    @classmethod
    def settings_of(cls, inputs: dict[str, Any]) -> dict[str, Any]:
        """Returns settings that the nodes behind the inputs tell, where the author gives none.

        Args:
            inputs: The constructor's arguments, channels among them.
        """
        return {}

    @classmethod
    def check(cls, settings: Any, inputs: Collection[str]) -> None:
        """Checks that settings and inputs go together; for nodes that have such a rule.

        Args:
            settings: Of the class SETTINGS.
            inputs: Names of the inputs that are given.

        Raises:
            ConfigError: They do not.
        """


class BeamNode(Node, base_beam_component.BaseBeamComponent):
    """Base of the nodes with a Beam executor; their EXECUTOR_SPEC is a BeamExecutorSpec."""


def _check_names(
    owner: str, known: Sequence[str], positional: Sequence[Any], arguments: Collection[str]
) -> None:
    if positional:
        raise ConfigError(
            f"Expected keyword arguments of {owner} alone, received {len(positional)} by "
            f"position. Name them: {', '.join(known)}."
        )
    for name in arguments:
        if name not in known:
            raise ConfigError(
                f"Expected arguments of {owner} among {', '.join(known)}, received {name!r}."
                f"{did_you_mean(name, known)}"
            )


def _with_clear_errors(init: Callable[..., None]) -> Callable[..., None]:
    """Returns a node's own constructor, which refuses unknown arguments as every other does."""
    known = [name for name in inspect.signature(init).parameters if name != "self"]

    @functools.wraps(init)
    def checked(self: Node, *positional: Any, **arguments: Any) -> None:
        _check_names(type(self).__name__, known, positional, arguments)
        init(self, **arguments)

    return checked


def _properties(cls: type[Node], given: dict[str, Any], inputs: Collection[str]) -> dict[str, Any]:
    """Returns the execution properties, checked as far as their values are known by now."""
    later = {name: value for name, value in given.items() if isinstance(value, _KNOWN_LATER)}
    now = {name: value for name, value in given.items() if name not in later}
    usual = {name: getattr(value, "default", None) for name, value in later.items()}
    for name, value in later.items():
        kind = property_types(cls.SETTINGS)[name]
        if getattr(value, "ptype", kind) is not kind:
            raise ConfigError(
                f"Expected a runtime parameter with ptype={kind.__name__} as {name} of "
                f"{cls.__name__}, received {value.ptype}."
            )
    if None in usual.values():
        # One rule may compare several settings, so all wait for the last of them.
        known = typed_values(cls.SETTINGS, now, cls.__name__, later=later)
        return encoded(cls.SETTINGS, known) | later
    settings = cls.SETTINGS.of(now | usual, cls.__name__)
    cls.check(settings, inputs)
    return settings.to_properties() | later


def _check_channels(cls: type[Node], channels: dict[str, Any]) -> None:
    for name, parameter in cls.INPUTS.items():
        argument = parameter.argument or name
        wanted = f"a channel of {parameter.type.__name__} as {argument} of {cls.__name__}"
        if name not in channels:
            if not parameter.optional:
                raise ConfigError(f"Expected {wanted}, received none.")
            continue
        given = channels[name]
        if not isinstance(given, channel.BaseChannel):
            raise ConfigError(
                f"Expected {wanted}, received {type(given).__name__}. Give an output of another "
                "node, such as node.outputs['name']."
            )
        try:
            parameter.type_check(name, given)
        except TypeError as error:
            raise ConfigError(f"Expected {wanted}, received {given.type.__name__}.") from error


def _spec_class(cls: type[Node]) -> type[Any]:
    """Returns the ComponentSpec that TFX asks for."""
    kinds = property_types(cls.SETTINGS)
    parameters = {
        name: component_spec.ExecutionParameter(type=kinds[name], optional=or_none(kind))
        for name, kind in field_types(cls.SETTINGS).items()
    }
    parameters |= {name: component_spec.ExecutionParameter(type=str) for name in cls.CONSTANTS}
    outputs = {
        name: component_spec.ChannelParameter(type=kind) for name, kind in cls.OUTPUTS.items()
    }
    content = {
        "__doc__": f"Inputs, outputs and execution properties of {cls.__name__}.",
        "__module__": cls.__module__,
        "PARAMETERS": parameters,
        "INPUTS": dict(cls.INPUTS),
        "OUTPUTS": outputs,
    }
    return type(f"{cls.__name__}Spec", (component_spec.ComponentSpec,), content)


def _signature(cls: type[Node]) -> inspect.Signature:
    """Returns the constructor's signature: required arguments first."""
    parameters = []
    for name, given in cls.INPUTS.items():
        parameters.append(
            inspect.Parameter(
                given.argument or name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None if given.optional else inspect.Parameter.empty,
                annotation=channel.BaseChannel | None if given.optional else channel.BaseChannel,
            )
        )
    usual = defaults(cls.SETTINGS)
    for name, kind in field_types(cls.SETTINGS).items():
        default = usual.get(name, inspect.Parameter.empty)
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
            )
        )
    # A signature wants required ones first; the sort is stable, so each kind keeps its order.
    parameters.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)
    return inspect.Signature(parameters)


def _docstring(cls: type[Node]) -> str:
    """Returns the docstring with the arguments: inputs as the node, settings as theirs say."""
    said = docstrings.sections(cls.__doc__)
    inputs = docstrings.entries(said.pop("Inputs", ""))
    renamed = {
        given.argument or name: inputs[given.argument or name]
        for name, given in cls.INPUTS.items()
        if (given.argument or name) in inputs
    }
    arguments = docstrings.section("Args", renamed | docstrings.attributes(cls.SETTINGS))
    rest = [
        f"{header}:\n{textwrap.indent(text, ' ' * 4)}" for header, text in said.items() if header
    ]
    return "\n\n".join(part for part in (said[""], arguments, *rest) if part)
