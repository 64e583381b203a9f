"""A SavedModel cut into its preprocessing and its network. Runs in a child process."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfx_loop.core.errors import ModelError
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.parity import compare, limit_of_rounding
from tfx_loop.models.preprocessing.division import Division, divide
from tfx_loop.models.preprocessing.folder import PREPROCESSING_FOLDER, TRANSFORM_SIGNATURE
from tfx_loop.models.preprocessing.in_child import CutModel
from tfx_loop.models.preprocessing.input_names import input_names
from tfx_loop.models.saved_model.graph import check_ops, choose_any_signature, read_graph
from tfx_loop.models.saved_model.loading import argument_names, load_saved_model
from tfx_loop.models.saved_model.predictor import translated_errors
from tfx_loop.models.tensors import DEFAULT_SIGNATURE, Array
from tfx_loop.models.weights import check_finite, weights_of

_LOG = logging.getLogger(__name__)


def cut(
    folder: Path,
    rows: Mapping[str, Array],
    out: Path,
    *,
    signature: str | None = None,
    transformed_names: Sequence[str] = (),
    refused: Collection[str] = (),
) -> CutModel:
    """Cuts a SavedModel behind its preprocessing and checks the halves against the whole.

    Args:
        folder: The SavedModel.
        rows: Some real rows by the signature's inputs: they show sizes that the graph leaves open.
        out: Gets the folders `preprocessing` and `network`.
        signature: Which one is cut; None for `serving_default` or the only one.
        transformed_names: What the Transform graph calls its outputs, where that is known.
        refused: Operations that the network must not have.

    Raises:
        ModelError: There is no network of numbers in it, or the halves answer otherwise.
        DataError: The rows do not fit the model.
    """
    graph = read_graph(folder)
    chosen = choose_any_signature(graph, folder, signature)
    check_ops(graph, folder)
    # Behind the cut they are constants, which nobody looks at any more.
    check_finite(weights_of(ModelFile(folder, Format.SAVED_MODEL)), folder)
    loaded = load_saved_model(folder)
    whole = _FlatFunction(loaded, loaded.signatures[chosen])
    transform = None
    if TRANSFORM_SIGNATURE in loaded.signatures:
        transform = _FlatFunction(loaded, loaded.signatures[TRANSFORM_SIGNATURE])
    division = divide(whole.flat.graph, whole.rows, list(whole.numeric.values()), refused)
    halves = _Halves(whole, division)
    made = halves.run(rows)
    transformed = transform.run(rows) if transform else {}
    names = input_names(division, transformed_names, transformed, made)
    _save_front(out / PREPROCESSING_FOLDER, halves, names.values, transform)
    _save_network(out / "network", halves, names.values, made)
    _LOG.info("cut model=%s signature=%s inputs=%s", folder, chosen, ",".join(names.values))
    return CutModel(
        preprocessing=str(out / PREPROCESSING_FOLDER),
        network=str(out / "network"),
        names=names.values,
        named=names.known,
    )


class _FlatFunction:
    """A signature with its functions inlined, its variables frozen, its tables apart."""

    def __init__(self, loaded: Any, function: Any) -> None:
        self.function = function
        self.flat = convert_variables_to_constants_v2(
            function, lower_control_flow=False, aggressive_inlining=True
        )
        held = {inner.name: outer for outer, inner in function.graph.captures}
        # What is no input of the signature is a table's handle: variables are constants by now.
        self.rows = [t for t in self.flat.inputs if t.name not in held]
        self.tables = [t for t in self.flat.inputs if t.name in held]
        self.handles = [held[t.name] for t in self.tables]
        self.resources = _resources(loaded, self.handles)
        names = sorted(function.structured_outputs)
        self.outputs = dict(zip(names, self.flat.outputs, strict=True))
        named = zip(argument_names(function), self.rows, strict=True)
        self.specs = [tf.TensorSpec(t.shape, t.dtype, name=name) for name, t in named]

    @property
    def numeric(self) -> dict[str, Any]:
        """Outputs of numbers, by name."""
        found = {
            name: tensor
            for name, tensor in self.outputs.items()
            if tensor.dtype.is_floating or tensor.dtype.is_integer
        }
        if not found:
            raise ModelError(
                f"Expected outputs of numbers, received {', '.join(self.outputs)} as text. Export "
                "a signature that gives scores."
            )
        return found

    def run(self, rows: Mapping[str, Array]) -> dict[str, Any]:
        """Returns the answers of the signature itself."""
        given = {spec.name: tf.constant(rows[spec.name]) for spec in self.specs}
        answers: dict[str, Any] = self.function(**given)
        return answers

    def called(self, tensors: Sequence[Any]) -> Any:
        """Returns a function from rows to some tensors of the graph."""
        pruned = self.flat.prune(feeds=[*self.rows, *self.tables], fetches=list(tensors))
        return lambda *values: pruned(*values, *self.handles)


class _Halves:
    """The two functions of a divided graph."""

    def __init__(self, whole: _FlatFunction, division: Division) -> None:
        self.whole, self.outputs = whole, whole.numeric
        self.preprocess = whole.called(division.tensors)
        self.network = _without_order(whole.flat.graph).prune(
            feeds=[tensor.name for tensor in division.tensors],
            fetches=[tensor.name for tensor in self.outputs.values()],
        )

    def run(self, rows: Mapping[str, Array]) -> list[Any]:
        """Returns what the network takes for some rows; both halves are checked on them."""
        given = [tf.constant(rows[spec.name]) for spec in self.whole.specs]
        with translated_errors():
            made = self.preprocess(*given)
            answers = self.network(*made)
            expected = self.whole.run(rows)
        count = len(next(iter(rows.values())))
        # A half whose rows are not the rows that came in (a batch statistic, a flattened list)
        # would still answer, for other rows.
        if odd := [tuple(v.shape) for v in made if v.shape.rank == 0 or v.shape[0] != count]:
            raise _inseparable(f"one row for each row that comes in, received shape {odd[0]}")
        wanted = {name: expected[name].numpy() for name in self.outputs}
        parity = compare(
            wanted, {name: v.numpy() for name, v in zip(self.outputs, answers, strict=True)}
        )
        # `not <=` and not `>`: a NaN difference must fail as well.
        if not parity.max_difference <= limit_of_rounding(wanted):
            raise _inseparable(
                f"the answers of the whole model, received a difference of "
                f"{parity.max_difference:g}"
            )
        return list(made)


def _without_order(graph: Any) -> Any:
    """Returns a function of a graph without control edges.

    By them the network waits for checks of the values that went into the preprocessing, where they
    are still made. A frozen network has no other side effects.
    """
    content = graph.as_graph_def()
    for node in content.node:
        data = [name for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(data)

    def imported() -> None:
        tf.graph_util.import_graph_def(content, name="")

    return tf.compat.v1.wrap_function(imported, [])


def _inseparable(what: str) -> ModelError:
    return ModelError(
        f"Expected of the network behind the preprocessing {what}. Let the Trainer export a "
        "signature that takes the network's own inputs, such as serving_columns."
    )


def _save_front(
    folder: Path, halves: _Halves, names: Sequence[str], transform: _FlatFunction | None
) -> None:
    def preprocess(*values: Any) -> dict[str, Any]:
        return dict(zip(names, halves.preprocess(*values), strict=True))

    module = tf.Module()
    # Saved with their assets; the network's variables are not.
    module.tables = [*halves.whole.resources, *(transform.resources if transform else ())]
    specs = halves.whole.specs
    module.preprocess = tf.function(preprocess, input_signature=specs, autograph=False)
    signatures = {DEFAULT_SIGNATURE: module.preprocess}
    if transform is not None:
        # The label may be the Transform graph's, and an evaluation asks for it there.
        called, keys = transform.called(list(transform.outputs.values())), list(transform.outputs)

        def transformed(*values: Any) -> dict[str, Any]:
            return dict(zip(keys, called(*values), strict=True))

        module.transformed = tf.function(
            transformed, input_signature=transform.specs, autograph=False
        )
        signatures[TRANSFORM_SIGNATURE] = module.transformed
    tf.saved_model.save(module, str(folder), signatures=signatures)


def _save_network(folder: Path, halves: _Halves, names: Sequence[str], made: Sequence[Any]) -> None:
    def answer(*values: Any) -> dict[str, Any]:
        return dict(zip(halves.outputs, halves.network(*values), strict=True))

    # The rows show the sizes that the graph leaves open; converters take no others.
    specs = [
        tf.TensorSpec([None, *value.shape[1:]], value.dtype, name=name)
        for name, value in zip(names, made, strict=True)
    ]
    module = tf.Module()
    module.answer = tf.function(answer, input_signature=specs, autograph=False)
    tf.saved_model.save(module, str(folder), signatures={DEFAULT_SIGNATURE: module.answer})


def _resources(loaded: Any, handles: Sequence[Any]) -> list[Any]:
    """Returns the tables that hold these handles."""
    wanted = {id(handle) for handle in handles}
    found = []
    for each in tf.train.TrackableView(loaded).descendants():
        try:
            handle = each.resource_handle
        # Most trackables hold no resource, and some raise for it instead of lacking the property.
        except (AttributeError, NotImplementedError):
            continue
        if id(handle) in wanted:
            found.append(each)
    return found
