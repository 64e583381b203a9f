"""What building a Keras model from its configuration would run.

Keras makes objects of whatever classes and functions the JSON names, so the names are held against
allow-lists; a class that the user vouches for by its import path (`custom_objects`) passes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfx_loop.models.guard import keras_names as names
from tfx_loop.models.guard.findings import Finding, Harm

# Layers that call TensorFlow's API by name, and the key of that name.
_API_LAYERS = {"TFOpLambda": "function", "SlicingOpLambda": "function"}
LAMBDA, _LAMBDA_FUNCTION = "Lambda", "__lambda__"
_FOREIGN_MODEL = ("TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper")
# Roots of the modules that an entry may name; `builtins` holds Keras' own functions by name.
_ROOTS = ("keras", "tf_keras", "tensorflow_model_optimization", "builtins")
# TensorFlow's initialisers, which keras.applications use; their classes are held to the list too.
_MODULES = ("tensorflow.python.ops.init_ops_v2",)
_KERAS_3_OPERATIONS = re.compile(r"keras\.(src\.)?(ops|layers)\b[\w.]*")
# Keys whose text Keras opens as a file.
_PATH_KEYS = (
    "assets_path",
    "directory",
    "file_path",
    "filename",
    "filepath",
    "handle",
    "model_path",
    "path",
    "saved_model_path",
    "vocabulary",
    "vocabulary_file",
    "weights_path",
)
# Under any other key a value that begins so is a path or an address.
_PATH = re.compile(r"(/(?!$)|\.\./|~/|[a-zA-Z]:[\\/]|[a-z0-9]+://)")
_ACTIVATION_KEYS = ("activation", "recurrent_activation")
_BUILD = "Build the model without it and save it again"
_FUNCTION = "function"


@dataclass(frozen=True)
class Vouched:
    """What the user vouches for by import paths `module:Name`.

    Attributes:
        names: Of the classes and functions.
        modules: Those that they are of.
    """

    names: frozenset[str] = field(default=frozenset())
    modules: frozenset[str] = field(default=frozenset())

    @classmethod
    def of(cls, custom_objects: Sequence[str]) -> "Vouched":
        """Returns them from import paths."""
        parts = [path.partition(":") for path in custom_objects]
        return cls(frozenset(p[2] for p in parts), frozenset(p[0] for p in parts))


def scan_config(config: Any, vouched: Vouched) -> Iterator[Finding]:
    """Yields what a configuration names that it should not.

    Args:
        config: Parsed JSON: of the model, of its training, or of a part.
        vouched: What the user vouches for.
    """
    # Not by recursion: a file may nest deeper than Python's stack.
    pending: list[tuple[str, Any]] = [("the model", config)]
    while pending:
        layer, value = pending.pop()
        if isinstance(value, list):
            pending += [(layer, each) for each in value]
        elif isinstance(value, dict):
            inner = value.get("config")
            if "class_name" in value:
                named = value.get("name") or (isinstance(inner, dict) and inner.get("name"))
                layer = f"layer {named!r}" if isinstance(named, str) and named else layer
                yield from _entry(layer, value, vouched)
            yield from _values(layer, value, vouched)
            pending += [(layer, each) for each in value.values()]


def _entry(layer: str, entry: dict[str, Any], vouched: Vouched) -> Iterator[Finding]:
    name = entry["class_name"]
    inner = entry.get("config")
    config = inner if isinstance(inner, dict) else {}
    if not isinstance(name, str):
        yield _refused(layer, f"the class {str(name)[:80]!r}", Harm.UNKNOWN)
    elif name in (LAMBDA, _LAMBDA_FUNCTION):
        yield from _lambda(layer, name, config, vouched)
    elif name in _FOREIGN_MODEL:
        yield _refused(layer, f"{name}, which loads another model", Harm.RUNS)
    elif name == "InstanceMethod":
        called = str(config.get("method_name"))
        yield _refused(layer, f"{name}, which calls {called!r}", Harm.RUNS, name)
    elif name == "InstanceProperty":
        if config.get("attr_name") not in names.PROPERTIES:
            yield _refused(layer, f"{name} of {config.get('attr_name')!r}", Harm.RUNS, name)
    elif name == "ClassMethod":
        yield from _class_method(layer, config)
    elif name == _FUNCTION:
        yield from _function(layer, entry, vouched)
    else:
        yield from _class(layer, entry, name, vouched)
    if name in _API_LAYERS:
        symbol = str(config.get(_API_LAYERS[name]))
        if not names.is_symbol(symbol):
            yield _refused(layer, f"{name}, which calls tf.{symbol}", Harm.RUNS, symbol)


def _lambda(layer: str, name: str, config: dict[str, Any], vouched: Vouched) -> Iterator[Finding]:
    function = config.get("function")
    called = function.get("config") if isinstance(function, dict) else function
    # A function of the user's own that the file only names.
    if name == LAMBDA and isinstance(called, str) and called in vouched.names:
        return
    # Its code stands in an entry of its own below the layer, which is found too: one name for both.
    own = config.get("name") if name == LAMBDA else layer.removeprefix("layer ").strip("'")
    yield Finding(
        part=layer,
        found="a Lambda layer, Python code in the file" if name == LAMBDA else "Python code",
        harm=Harm.RUNS,
        remedy="Replace it by a layer of Keras, or export a SavedModel",
        allow=f"{LAMBDA}:{own}",
    )


def _class_method(layer: str, config: dict[str, Any]) -> Iterator[Finding]:
    symbol, method = str(config.get("cls_symbol")), str(config.get("method_name"))
    if names.is_factory(symbol, method):
        return
    called = f"{symbol}.{method}"
    yield _refused(layer, f"ClassMethod, which calls tf.{called}", Harm.RUNS, called)


def _function(layer: str, entry: dict[str, Any], vouched: Vouched) -> Iterator[Finding]:
    for name in (entry.get("config"), entry.get("registered_name")):
        own = str(name).rpartition(">")[2]
        # A legacy entry has the word `function` for the registered name.
        if name is None or own in vouched.names or names.is_function(own) or own == _FUNCTION:
            continue
        yield _refused(layer, f"the function {str(name)[:80]!r}", Harm.RUNS, own)
    yield from _module(layer, entry, vouched)


def _class(layer: str, entry: dict[str, Any], name: str, vouched: Vouched) -> Iterator[Finding]:
    registered = entry.get("registered_name")
    plain = str(registered or name).rpartition(">")[2]
    if plain in vouched.names or name in vouched.names:
        return
    module = str(entry.get("module") or "")
    operation = bool(_KERAS_3_OPERATIONS.fullmatch(module)) and names.is_operation(name)
    for each in {name.rpartition(">")[2], plain}:
        if not (names.is_class(each) or each in _API_LAYERS or operation):
            where = f" of module {module}" if module else ""
            yield Finding(
                part=layer,
                found=f"the custom object {each[:80]!r}{where}",
                harm=Harm.UNKNOWN,
                remedy="Name it in custom_objects as 'module:Name', or export a SavedModel",
                allow=each,
            )
    yield from _module(layer, entry, vouched)


def _module(layer: str, entry: dict[str, Any], vouched: Vouched) -> Iterator[Finding]:
    module = entry.get("module")
    if module is None or module in vouched.modules or module in _MODULES:
        return
    fits = isinstance(module, str) and re.fullmatch(r"\w+(\.\w+)*", module)
    if not fits or str(module).split(".")[0] not in _ROOTS:
        yield _refused(layer, f"the module {str(module)[:80]!r}", Harm.RUNS)


def _values(layer: str, value: dict[str, Any], vouched: Vouched) -> Iterator[Finding]:
    for key, each in value.items():
        if key in _ACTIVATION_KEYS and isinstance(each, str):
            own = each.rpartition(">")[2]
            if not (names.is_function(own) or own in vouched.names or names.is_class(own)):
                yield _refused(layer, f"the activation {each[:80]!r}", Harm.UNKNOWN, own)
        for text in each if isinstance(each, list) else (each,):
            path_key = key in _PATH_KEYS and text is each and text != ""
            if isinstance(text, str) and (path_key or _is_path(key, text)):
                yield _refused(layer, f"{key} names the file {text[:80]!r}", Harm.READS)


def _is_path(key: str, text: str) -> bool:
    # Words of a vocabulary may be addresses; a name is only ever a name.
    return key not in ("name", "vocabulary", "value") and bool(_PATH.match(text))


def _refused(layer: str, found: str, harm: Harm, allow: str = "") -> Finding:
    return Finding(part=layer, found=found, harm=harm, remedy=_BUILD, allow=allow)
