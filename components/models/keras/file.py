"""The safety check of a Keras file: it can be loaded here, and loading runs nobody's code.

Keras builds a model from a JSON configuration. Lambda layers carry Python bytecode in it, and any
entry may name a module to import. So the configuration is read first, without Keras, and what is
not Keras' own must have been named by the user.
"""

import builtins
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped,unused-ignore]

from tfx_loop.core.errors import ModelError, first_line
from tfx_loop.models.formats import Format, ModelFile

# Packages whose classes Keras files name themselves; `builtins` is checked name by name below.
_TRUSTED_ROOTS = ("keras", "tf_keras", "builtins", "tensorflow_model_optimization")
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_LAMBDA = "Lambda"
_GRAPH_MODELS = ("Functional", "Sequential", "Model")


@dataclass(frozen=True)
class KerasFile:
    """What a Keras file says of itself.

    Attributes:
        version: Keras that wrote it, such as `2.16.0`.
        config: How the model is built.
    """

    version: str
    config: dict[str, Any]


def read(file: ModelFile) -> KerasFile:
    """Returns what a .keras or .h5 file says of itself.

    Raises:
        ModelError: It is damaged, or holds no model.
    """
    try:
        found = _read_zip(file.path) if file.format is Format.KERAS else _read_h5(file.path)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"Expected a whole Keras model in {file.path}, received: {first_line(error)} "
            "Was it written to the end? Save it again with model.save."
        ) from error
    if not isinstance(found.config, dict) or "class_name" not in found.config:
        raise ModelError(
            f"Expected a Keras model in {file.path}, received one without a configuration. "
            "Save the whole model with model.save, not its weights alone."
        )
    return found


def check(file: ModelFile, custom_objects: Sequence[str] = ()) -> KerasFile:
    """Returns what a file says of itself, when it can be loaded here and runs nobody's code.

    Args:
        file: A .keras or .h5 file.
        custom_objects: Import paths `module:Name` that the user vouches for.

    Raises:
        ModelError: It is of Keras 3, subclassed, or has code or classes that nobody named.
    """
    found = read(file)
    if found.version.split(".")[0].isdigit() and int(found.version.split(".")[0]) >= 3:
        raise ModelError(
            f"Expected a model of Keras 2 (tf_keras) in {file.path}, received one that Keras "
            f"{found.version} wrote. Give the folder that its model.export(folder) writes, or "
            "build and save it with tf_keras."
        )
    named = {path.partition(":")[2] for path in custom_objects}
    modules = {path.partition(":")[0] for path in custom_objects}
    _check_subclassed(found.config, file.path, named)
    for entry in _entries(found.config):
        _check_lambda(entry, file.path, named)
        _check_module(entry, file.path, named, modules)
    return found


def _read_zip(path: Path) -> KerasFile:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        # Without model.weights.h5 Keras would go on to an .npz, read with pickle allowed.
        for name in (_CONFIG, _METADATA, _WEIGHTS):
            if name not in names:
                raise ValueError(f"no {name} in the archive")
        # A crooked checksum would otherwise show as wrong weights or a strange error of Keras.
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"{damaged} is damaged")
        config = json.loads(archive.read(_CONFIG))
        metadata = json.loads(archive.read(_METADATA))
    return KerasFile(str(metadata.get("keras_version", "")), config)


def _read_h5(path: Path) -> KerasFile:
    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
        version = file.attrs.get("keras_version", "")
        if config is None:
            raise ValueError("no model_config: it holds weights alone")
        if "model_weights" not in file:
            raise ValueError("no model_weights")
    return KerasFile(_text(version), json.loads(_text(config)))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _entries(config: Any) -> Iterator[dict[str, Any]]:
    """Yields every object of a configuration that names a class."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _entries(value)
    elif isinstance(config, list):
        for value in config:
            yield from _entries(value)


def _check_subclassed(config: dict[str, Any], path: Path, named: set[str]) -> None:
    name = str(config["class_name"])
    if name in _GRAPH_MODELS or name in named:
        return
    raise ModelError(
        f"Expected a functional or Sequential Keras model in {path}, received the subclassed "
        f"{name!r}, whose code is not in the file. Save it as a SavedModel (model.export), or "
        "build it functionally for what needs its layers."
    )


def _check_lambda(entry: dict[str, Any], path: Path, named: set[str]) -> None:
    # How Keras 3 and late Keras 2 write a function of the user's: marshalled bytecode.
    if entry["class_name"] == "__lambda__":
        raise _lambda_error(path, "a lambda")
    if entry["class_name"] != _LAMBDA:
        return
    config = entry.get("config") or {}
    function = config.get("function")
    name = function.get("config") if isinstance(function, dict) else function
    if not (isinstance(name, str) and name in named):
        raise _lambda_error(path, repr(config.get("name", "without a name")))


def _lambda_error(path: Path, what: str) -> ModelError:
    return ModelError(
        f"Expected layers without code in {path}, received the Lambda layer {what}, which would "
        "run Python from the file. Replace it by a layer of Keras, or export a SavedModel."
    )


def _check_module(entry: dict[str, Any], path: Path, named: set[str], modules: set[str]) -> None:
    module, name, registered = (entry.get(k) for k in ("module", "class_name", "registered_name"))
    if name == "function":
        name = entry.get("config")  # A function is named there.
    shown = str(registered or name).rpartition(">")[2]
    if shown in named or name in named:
        return
    # "os.system" of a module that imports os: Keras would go through the dot.
    plain = not isinstance(name, str) or bool(re.fullmatch(r"\w+(>\w+)?", name))
    # Keras' own functions are of the module `builtins` too, and so are Python's eval and exec.
    plain = plain and not (module == "builtins" and hasattr(builtins, str(name)))
    foreign = module is not None and not _is_trusted(str(module), modules)
    if foreign or not plain or (module is None and registered is not None):
        where = f" of module {module}" if module else ""
        raise ModelError(
            f"Expected layers of Keras in {path}, received the custom object {shown!r}{where}. "
            "Name it in custom_objects as 'module:Name', or export a SavedModel."
        )


def _is_trusted(module: str, modules: set[str]) -> bool:
    if not re.fullmatch(r"[\w.]+", module):
        return False
    return module.split(".")[0] in _TRUSTED_ROOTS or module in modules
