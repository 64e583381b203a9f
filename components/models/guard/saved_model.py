"""Look at a SavedModel for whatever loading and asking it would run: its folder and its graphs."""

import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tfx_loop.core.errors import ModelError
from tfx_loop.models.formats import SAVED_MODEL_FILE
from tfx_loop.models.guard import limits
from tfx_loop.models.guard.asset_origins import Origins
from tfx_loop.models.guard.checkpoint import ELEMENT_BYTES, scan_checkpoint
from tfx_loop.models.guard.findings import Finding, Harm
from tfx_loop.models.guard.graph import ModelGraph, text
from tfx_loop.models.guard.hollow import scan_holes
from tfx_loop.models.guard.messages import parse
from tfx_loop.models.guard.operations import (
    ASSET_READERS,
    PYTHON,
    RESTORING,
    SAVING,
    file_of,
    harm_of,
)

# Of the other forms of the same file, TensorFlow reads one where this one is missing, or both.
_OTHER_FORMS = ("saved_model.pbtxt", "saved_model.cpb")
_ASSETS_FOLDER, _VARIABLES_FOLDER = "assets", "variables"
_ASSETS_COLLECTION = b"saved_model_assets"
_EXPORT = "Export the model without it"


def scan_saved_model(folder: Path) -> Iterator[Finding]:
    """Yields what makes a SavedModel's folder unsafe.

    Raises:
        ModelError: It is damaged, or there is none.
    """
    folder_findings = list(_folder(folder))
    yield from folder_findings
    file = folder / SAVED_MODEL_FILE
    # The graph itself may be what is hollow, or a pipe.
    ends = (Harm.AMBIGUOUS, Harm.EXHAUSTS)
    if any(each.harm in ends or each.part == file.name for each in folder_findings):
        return
    if not file.is_file():
        raise ModelError(
            f"Expected a SavedModel in {folder}, received no {file.name}. Check the path."
        )
    size = file.stat().st_size
    if size > limits.MAX_GRAPH_BYTES:
        raise ModelError(
            f"Expected a SavedModel below 2 GiB in {file}, received {size} bytes. Export it again, "
            "with its weights as variables."
        )
    yield from scan_checkpoint(folder / _VARIABLES_FOLDER)
    for meta_graph in parse("SavedModel", file.read_bytes(), file).meta_graphs:
        assets = list(_assets(meta_graph, file))
        yield from _asset_files(folder, assets)
        yield from _operations(ModelGraph(meta_graph), [text(a.tensor.name) for a in assets])


def _folder(folder: Path) -> Iterator[Finding]:
    """Yields what is no plain file in the folder, and a second graph."""
    seen = 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            seen += 1
            path = Path(place) / name
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                what = f"a link to {os.readlink(path)}" if stat.S_ISLNK(mode) else "no plain file"
                yield Finding(
                    part=str(path.relative_to(folder)),
                    found=what,
                    harm=Harm.LEAVES,
                    remedy="Copy the folder with its links followed (cp -rL), if you know them",
                )
            elif stat.S_ISREG(mode):
                yield from scan_holes(path, str(path.relative_to(folder)))
        if seen > limits.MAX_PARTS:
            yield Finding(
                part=folder.name,
                found=f"more than {limits.MAX_PARTS} files",
                harm=Harm.EXHAUSTS,
                remedy="Export the model into a folder of its own",
            )
            return
    for name in _OTHER_FORMS:
        if (folder / name).exists():
            yield Finding(
                part=name,
                found=f"another form of the graph than {SAVED_MODEL_FILE}",
                harm=Harm.AMBIGUOUS,
                remedy=f"Export the model again, as {SAVED_MODEL_FILE} alone",
            )


def _assets(meta_graph: Any, file: Path) -> Iterator[Any]:
    yield from meta_graph.assets
    for entry in meta_graph.collections:
        if entry.key == _ASSETS_COLLECTION:
            for packed in entry.value.any_list.value:
                yield parse("Asset", packed.value, file)


def _asset_files(folder: Path, assets: Iterable[Any]) -> Iterator[Finding]:
    for asset in assets:
        name = text(asset.filename)
        pure = PurePosixPath(name)
        inside = not pure.is_absolute() and ".." not in pure.parts and "\0" not in name
        if not inside:
            yield Finding(
                part=f"{_ASSETS_FOLDER} of {SAVED_MODEL_FILE}",
                found=f"the file {name!r}",
                harm=Harm.LEAVES,
                remedy="Export the model again, with its own copy of the file",
            )


def _operations(graph: ModelGraph, asset_tensors: list[str]) -> Iterator[Finding]:
    for scope, name in graph.names_twice():
        yield Finding(
            part=scope,
            found=f"the name {text(name)!r} twice",
            harm=Harm.AMBIGUOUS,
            remedy="Export the model again",
        )
    origins = Origins(graph, asset_tensors)
    for scope, node in graph.nodes_that_run():
        yield from _operation(graph, origins, scope, node, ASSET_READERS)
    # Restoring reads the model's variables: the file that TensorFlow names, and no other.
    variables = Origins(graph, [text(graph.meta_graph.saver.filename_tensor)])
    for scope, node in graph.nodes_that_restore():
        yield from _operation(graph, variables, scope, node, RESTORING)
    for scope, node in graph.nodes_that_save():
        adapts = text(node.op) in PYTHON and graph.only_adapts(scope)
        if text(node.op) not in SAVING and not adapts:
            yield from _operation(graph, origins, scope, node, ASSET_READERS)
    yield from _constants(graph)


def _operation(
    graph: ModelGraph, origins: Origins, scope: str, node: Any, readers: Mapping[str, int]
) -> Iterator[Finding]:
    """Yields what is wrong with an operation.

    Args:
        graph: The graph.
        origins: Tells which file names are the model's own.
        scope: Where the operation stands.
        node: The operation.
        readers: Operations that may read the model's own files, and the input that names them.
    """
    op = text(node.op)
    if node.op in graph.functions:
        return
    part = f"operation {text(node.name)!r} of {scope}"
    harm, found = harm_of(op), op
    if (named := file_of(node)) is not None:
        harm, found = named[0], f"{op} of {named[1]}"
    elif op in readers:
        others = origins.foreign(scope, node, readers[op])
        if not others:
            return
        found = f"{op} of {', '.join(sorted(others)[:3])} where a file of the model is expected"
    if harm is not None:
        yield Finding(part=part, found=found, harm=harm, remedy=_EXPORT, allow=op)


def _constants(graph: ModelGraph) -> Iterator[Finding]:
    """Yields the constants, all of which an import makes, where they take out of all proportion."""
    total, largest = 0, (0, "")
    for scope, nodes in graph.scopes():
        for node in nodes:
            for entry in node.attr:
                for tensor in (entry.value.tensor, *entry.value.list.tensor):
                    size = _inflated_bytes(tensor)
                    total += size
                    largest = max(largest, (size, f"constant {text(node.name)!r} of {scope}"))
    if total > limits.MAX_CONSTANT_BYTES:
        yield Finding(
            part=largest[1],
            found=f"{largest[0] >> 20} MiB from single values, {total >> 20} MiB in all",
            harm=Harm.EXHAUSTS,
            remedy=_EXPORT,
        )


def _inflated_bytes(tensor: Any) -> int:
    """Returns what a tensor takes; 0 for one that is stored whole, or nearly so."""
    elements = math.prod(max(dim.size, 0) for dim in tensor.shape.dim)
    # complex128 is the widest type that there is: an unknown one is taken for no smaller.
    size = elements * ELEMENT_BYTES.get(tensor.dtype, 16)
    # A string, a handle or a variant may be stored as one value, too.
    return size if size > limits.MAX_RATIO * max(tensor.ByteSize(), 1) else 0
