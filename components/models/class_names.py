"""Class names that a model holds in the order of its outputs.

They stand in text files beside a SavedModel's graph (assets), in its graph (tables of StringLookup,
the names that a classification signature answers with), and in the layers of a Keras file. What is
found are candidates: any list of texts that is as long as the model has outputs, or shorter by the
one for unknown words.
"""

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.models.formats import Format, ModelFile, detect
from tfx_loop.models.tensors import Array

_CHILD = "tfx_loop.models.class_names:find"
# Files of initialised tables lie in `assets`, those that an Estimator's exporter added in the
# other.
_ASSET_FOLDERS = ("assets", "assets.extra")
# A list of class names; longer files are vocabularies of words.
_MOST_BYTES = 1_000_000
# Stands at the position of the output for words that a vocabulary does not have.
UNKNOWN = "[UNK]"

Names = tuple[str, ...]


def class_names_of(worker: Worker, path: str | Path, outputs: int) -> tuple[Names, ...]:
    """Returns the lists of names that may be those of a model's outputs, each once.

    Args:
        worker: Reads the model.
        path: File or folder.
        outputs: How many classes the model tells apart.
    """
    payload = {"path": str(path), "outputs": outputs}
    found = worker.call(_CHILD, payload, doing=f"looking for class names in {path}")
    return tuple(tuple(names) for names in found)


def find(payload: Mapping[str, Any]) -> list[list[str]]:
    """Does what `class_names_of` asks, in the child."""
    file, outputs = detect(payload["path"]), int(payload["outputs"])
    fitting: dict[Names, None] = {}
    for names in _texts(file):
        # Two outputs of one name could not be told apart in a label file: such a list is no set of
        # classes.
        if len(set(names)) < len(names):
            continue
        if len(names) == outputs:
            fitting[names] = None
        elif len(names) == outputs - 1:
            # StringLookup puts the output for unknown words first, tf.Transform's tables last.
            fitting.update(dict.fromkeys([(UNKNOWN, *names), (*names, UNKNOWN)]))
    return [list(names) for names in fitting]


def _texts(file: ModelFile) -> Iterator[Names]:
    if file.format is Format.SAVED_MODEL:
        for folder in _ASSET_FOLDERS:
            yield from _of_files(sorted((file.path / folder).glob("*")))
        yield from _of_graph(file.path)
    elif file.format in (Format.KERAS, Format.H5):
        yield from _of_keras(file)


def _of_files(paths: Iterable[Path]) -> Iterator[Names]:
    for path in paths:
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            yield _lines(path.read_bytes())


def _lines(content: bytes) -> Names:
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return ()
    return tuple(line.strip() for line in lines if line.strip())


def _of_graph(folder: Path) -> Iterator[Names]:
    import tensorflow as tf

    from tfx_loop.models.saved_model.graph import read_graph

    graph = read_graph(folder).graph_def
    # Keras traces its layers into functions of the library; TensorFlow 1 writes into the main
    # graph.
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    for node in nodes:
        value = node.attr["value"].tensor
        if node.op == "Const" and value.dtype == tf.string.as_datatype_enum:
            yield _decoded(tf.make_ndarray(value))


def _decoded(values: Array) -> Names:
    texts = [value for value in values.ravel().tolist() if isinstance(value, bytes)]
    try:
        return tuple(text.decode("utf-8") for text in texts)
    except UnicodeDecodeError:
        return ()


def _of_keras(file: ModelFile) -> Iterator[Names]:
    from tfx_loop.models.guard.hdf5 import Hdf5Reader
    from tfx_loop.models.guard.keras_config import VouchedObjects
    from tfx_loop.models.guard.keras_file import read_keras

    with Hdf5Reader() as reader:
        yield from _lists(read_keras(file, VouchedObjects.of(()), reader, file.path).config)
    if file.format is Format.KERAS:
        # A StringLookup that was adapted keeps its words in a file of its own.
        with zipfile.ZipFile(file.path) as archive:
            for member in archive.infolist():
                text = member.filename.startswith("assets/") and member.filename.endswith(".txt")
                if text and member.file_size <= _MOST_BYTES:
                    yield _lines(archive.read(member))


def _lists(config: object) -> Iterator[Names]:
    """Yields every list of texts in a configuration."""
    if isinstance(config, Mapping):
        for value in config.values():
            yield from _lists(value)
    elif isinstance(config, list):
        if config and all(isinstance(value, str) for value in config):
            yield tuple(config)
        else:
            for value in config:
                yield from _lists(value)
