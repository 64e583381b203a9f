"""A SavedModel in a session, as TF Serving runs it.

A call costs a tenth of what `tf.saved_model.load` makes of a signature: the session runs a graph
that was pruned once, in the thread that asks, without Python in between.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

from tfx_loop.core.errors import ModelError, first_line
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.guard import guard
from tfx_loop.models.saved_model.graph import SERVE_TAG
from tfx_loop.models.saved_model.loading import load_saved_model
from tfx_loop.models.tensors import Array

# RunOptions.inter_op_thread_pool: operations run in the thread that asks, without a hand-over.
_IN_CALLERS_THREAD = -1


@dataclass(frozen=True)
class _Call:
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    run: Callable[..., list[Any]]


class Signatures(Protocol):
    """Signatures of one SavedModel, ready to be called. Safe for many threads."""

    def run(self, signature_name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Returns the outputs of a signature by name; raises what TensorFlow raises."""


class SavedModelSession:
    """Signatures in a session, whose graph was restored."""

    def __init__(self, session: Any, calls: Mapping[str, _Call]) -> None:
        """Keeps the session, which lives as long as this does."""
        self._session = session
        self._calls = calls

    def run(self, signature_name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Returns the outputs of a signature by name; raises what TensorFlow raises."""
        call = self._calls[signature_name]
        outputs = call.run(*[_fed(inputs[name]) for name in call.inputs])
        return {name: _array(value) for name, value in zip(call.outputs, outputs, strict=True)}


class SavedModelFunctions:
    """Signatures as functions of a loaded object, for models that no session restores whole."""

    def __init__(self, loaded: Any, declared: Mapping[str, meta_graph_pb2.SignatureDef]) -> None:
        """Keeps what `tf.saved_model.load` returned, whose variables live as long as this does."""
        self._loaded = loaded
        self._declared = declared

    def run(self, signature_name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Returns the outputs of a signature by name; raises what TensorFlow raises."""
        specs = self._declared[signature_name].inputs
        fed = {
            name: tf.constant(values, dtype=tf.dtypes.as_dtype(specs[name].dtype))
            for name, values in inputs.items()
        }
        outputs = self._loaded.signatures[signature_name](**fed)
        return {name: _object_text(tensor.numpy()) for name, tensor in outputs.items()}


def open_signatures(
    folder: Path, signatures: Mapping[str, meta_graph_pb2.SignatureDef]
) -> Signatures:
    """Returns a SavedModel of this machine, restored and initialised.

    `tf.saved_model.save` of a Keras 3 model writes its variables twice, and the restore operation
    knows the copies that no signature reads: such a model is called through its loaded functions.

    Args:
        folder: The one with saved_model.pb.
        signatures: Those to be called, by name.

    Raises:
        ModelUnsafe: Loading or asking it would do what it should not.
        ModelError: It is damaged.
    """
    with guard.admitted(ModelFile(folder, Format.SAVED_MODEL)) as admitted:
        session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            # The public name of the same warns that it is deprecated.
            SavedModelLoader(str(admitted.file.path)).load(session, [SERVE_TAG])
            if not _reads_what_was_restored(session, signatures):
                session.close()
                return SavedModelFunctions(load_saved_model(admitted.file.path), signatures)
            calls = {name: _call(session, definition) for name, definition in signatures.items()}
        except Exception as error:  # Whatever a damaged folder makes TensorFlow raise.
            session.close()
            raise ModelError(
                f"Expected a whole SavedModel in {folder}, received {type(error).__name__}: "
                f"{first_line(error)} Export it again."
            ) from error
    return SavedModelSession(session, calls)


def _reads_what_was_restored(
    session: Any, signatures: Mapping[str, meta_graph_pb2.SignatureDef]
) -> bool:
    """Says whether every variable that a signature depends on has a value in the session."""
    waiting = [
        session.graph.get_tensor_by_name(output.name).op
        for definition in signatures.values()
        for output in definition.outputs.values()
    ]
    seen = set(waiting)
    while waiting:
        operation = waiting.pop()
        new = {tensor.op for tensor in operation.inputs} | set(operation.control_inputs)
        waiting.extend(new - seen)
        seen |= new
    handles = [operation.outputs[0] for operation in seen if operation.type == "VarHandleOp"]
    with session.graph.as_default():
        restored = [tf.raw_ops.VarIsInitializedOp(resource=handle) for handle in handles]
    return all(session.run(restored))


def _call(session: Any, definition: meta_graph_pb2.SignatureDef) -> _Call:
    inputs, outputs = tuple(sorted(definition.inputs)), tuple(sorted(definition.outputs))
    options = config_pb2.CallableOptions()
    options.feed.extend(definition.inputs[name].name for name in inputs)
    options.fetch.extend(definition.outputs[name].name for name in outputs)
    options.run_options.inter_op_thread_pool = _IN_CALLERS_THREAD
    return _Call(inputs, outputs, session._make_callable_from_options(options))


def _fed(values: Array) -> Array:
    # Fixed-width text would come out with its padding.
    return values.astype(object) if values.dtype.kind in "SU" else values


def _array(value: Any) -> Array:
    # A scalar string comes out as bytes, whose array would drop trailing zero bytes.
    if isinstance(value, bytes):
        return np.array(value, dtype=object)
    return np.asarray(value)


def _object_text(value: Any) -> Array:
    values = _array(value)
    return values.astype(object) if values.dtype.kind == "S" else values
