"""Look at a Keras model's configuration for whatever building the model would run.

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
# Specifications of tensors, which are TensorFlow's, and where they are.
_SPECIFICATION = "__typespec__"
_SPECIFICATIONS = {
    "RaggedTensorSpec": ("tensorflow.python.ops.ragged.ragged_tensor",),
    "SparseTensorSpec": ("tensorflow.python.framework.sparse_tensor",),
    "TensorSpec": ("tensorflow.python.framework.tensor", "tensorflow.python.framework.tensor_spec"),
}
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
    "vocab_file",
    "vocabulary",
    "vocabulary_file",
    "weights_path",
)
# Under any other key a value that begins so is a path or an address.
_PATH = re.compile(r"^(/(?!$)|\.\./|~/|[a-zA-Z]:[\\/]|[a-z0-9]+://)")
_ANY_PATH = re.compile(_PATH.pattern, re.MULTILINE)
_ACTIVATION_KEYS = ("activation", "recurrent_activation")
_BUILD = "Build the model without it and save it again"
_FUNCTION = "function"


@dataclass(frozen=True)
class VouchedObjects:
    """What the user vouches for by import paths `module:Name`.

    Attributes:
        names: Of the classes and functions.
        modules: Those that they are of.
    """

    names: frozenset[str] = field(default=frozenset())
    modules: frozenset[str] = field(default=frozenset())

    @classmethod
    def of(cls, custom_objects: Sequence[str]) -> "VouchedObjects":
        """Returns them from import paths."""
        parts = [path.partition(":") for path in custom_objects]
        return cls(frozenset(p[2] for p in parts), frozenset(p[0] for p in parts))


def scan_config(config: Any, vouched: VouchedObjects) -> Iterator[Finding]:
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
            pending += [(layer, each) for each in value if isinstance(each, dict | list)]
        elif isinstance(value, dict):
            inner = value.get("config")
            if "class_name" in value:
                named = value.get("name") or (isinstance(inner, dict) and inner.get("name"))
                layer = f"layer {named!r}" if isinstance(named, str) and named else layer
                yield from _entry(layer, value, vouched)
            yield from _values(layer, value, vouched)
            pending += [(layer, each) for each in value.values() if isinstance(each, dict | list)]


def _entry(layer: str, entry: dict[str, Any], vouched: VouchedObjects) -> Iterator[Finding]:
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
    elif name == _SPECIFICATION:
        # Keras makes an object of whatever class this names.
        specification, module = str(entry.get("spec_name")), entry.get("module")
        fits = module in _SPECIFICATIONS.get(specification, ())
        if not fits or entry.get("registered_name") is not None:
            yield _refused(layer, f"the specification {specification[:80]!r}", Harm.RUNS)
    else:
        yield from _class(layer, entry, name, vouched)
    if name in _API_LAYERS:
        symbol = str(config.get(_API_LAYERS[name]))
        if not names.is_symbol(symbol):
            yield _refused(layer, f"{name}, which calls tf.{symbol}", Harm.RUNS, symbol)


def _lambda(
    layer: str, name: str, config: dict[str, Any], vouched: VouchedObjects
) -> Iterator[Finding]:
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


def _function(layer: str, entry: dict[str, Any], vouched: VouchedObjects) -> Iterator[Finding]:
    if entry.get("config") in vouched.names:
        return
    for name in (entry.get("config"), entry.get("registered_name")):
        own = str(name).rpartition(">")[2]
        # A legacy entry has the word `function` for the registered name.
        if name is None or own in vouched.names or names.is_function(own) or own == _FUNCTION:
            continue
        yield _refused(layer, f"the function {str(name)[:80]!r}", Harm.RUNS, own)
    yield from _module(layer, entry, vouched)


def _class(
    layer: str, entry: dict[str, Any], name: str, vouched: VouchedObjects
) -> Iterator[Finding]:
    # What the user imports under that name is taken, and nothing is looked for elsewhere.
    if entry.get("registered_name", name) in vouched.names:
        return
    module = str(entry.get("module") or "")
    # HDF5 files of Keras 3 name no modules.
    operation = names.is_operation(name) and (
        not module or bool(_KERAS_3_OPERATIONS.fullmatch(module))
    )
    plain = str(entry.get("registered_name") or name).rpartition(">")[2]
    for each in {name.rpartition(">")[2], plain} - vouched.names:
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


def _module(layer: str, entry: dict[str, Any], vouched: VouchedObjects) -> Iterator[Finding]:
    module = entry.get("module")
    # A notebook's own module is the program that runs now, and has nothing to import.
    if module is None or module in (*vouched.modules, *_MODULES, "__main__"):
        return
    fits = isinstance(module, str) and re.fullmatch(r"\w+(\.\w+)*", module)
    if not fits or str(module).split(".")[0] not in _ROOTS:
        yield _refused(layer, f"the module {str(module)[:80]!r}", Harm.RUNS)


def _values(layer: str, value: dict[str, Any], vouched: VouchedObjects) -> Iterator[Finding]:
    for key, each in value.items():
        if key in _ACTIVATION_KEYS and isinstance(each, str):
            own = each.rpartition(">")[2]
            if not (names.is_function(own) or own in vouched.names or names.is_class(own)):
                yield _refused(layer, f"the activation {each[:80]!r}", Harm.UNKNOWN, own)
        for text in _texts(each):
            path_key = key in _PATH_KEYS and text is each and text != ""
            if isinstance(text, str) and (path_key or _is_path(key, text)):
                yield _refused(layer, f"{key} names the file {text[:80]!r}", Harm.READS)


def _texts(value: Any) -> Iterator[Any]:
    """Yields a value, or those in a list where one may be a path: a vocabulary has millions."""
    if not isinstance(value, list):
        yield value
    elif _ANY_PATH.search("\n".join(each for each in value if isinstance(each, str))):
        yield from value


def _is_path(key: str, text: str) -> bool:
    # Words of a vocabulary may be addresses; a name is only ever a name.
    return key not in ("name", "vocabulary", "value") and bool(_PATH.match(text))


def _refused(layer: str, found: str, harm: Harm, allow: str = "") -> Finding:
    return Finding(part=layer, found=found, harm=harm, remedy=_BUILD, allow=allow)
