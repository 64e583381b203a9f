"""The network that an optimiser starts from, and its rows, whatever the model takes.

A model with a signature of numbers is taken as it is. One that takes tf.Examples, as TFX's
standard Trainers export it, is cut behind its preprocessing, and its rows are the transformed ones.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import DataError
from tfx_loop.core.import_path import user_function
from tfx_loop.data.tables.several import read_all, read_serialized
from tfx_loop.models.formats import Format, ModelFile, detect
from tfx_loop.models.inference import source_of
from tfx_loop.models.preprocessing.in_child import CutModel, cut_model, preprocessed
from tfx_loop.models.rows.fitting import rows_from_arrays, rows_from_table
from tfx_loop.models.rows.splits import Rows
from tfx_loop.models.tensors import Array, TensorSpec

_REBUILD = "tfx_loop.models.keras.from_graph:rebuild"
# They show sizes that a graph leaves open, and that both halves answer as the whole.
_SAMPLED_ROWS = 64
# Each cut leaves out the operations that the converter refused behind the one before.
_MOST_CUTS = 8


@dataclass(frozen=True, kw_only=True)
class NetworkSource:
    """A network that takes numbers.

    Attributes:
        file: The model as it came, or the network that was cut out of it.
        whole: The model as it came.
        signature: Which one of the file; None for a Keras file.
        inputs: What it takes.
        preprocessing: What makes these of tf.Examples; None where their features are the inputs.
        parse_fn: Import path of the user's function from features to inputs; empty for none.
    """

    file: ModelFile
    whole: ModelFile
    signature: str | None
    inputs: tuple[TensorSpec, ...]
    preprocessing: Path | None = None
    parse_fn: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report says of it, in sentences."""
        if self.preprocessing is None:
            return ()
        names = ", ".join(spec.name for spec in self.inputs)
        return (
            f"The model takes tf.Examples: its network takes {names} from the preprocessing "
            "before it, which stays as it is; latencies are the network's alone.",
        )

    def rebuilt(self, worker: Worker, out: Path) -> Path:
        """Returns the network as a tf_keras file with its layers and weights, written to `out`.

        Raises:
            ModelError: It has an operation that is no usual layer; one line names it.
        """
        payload = {
            "folder": str(self.file.path),
            "signature": self.signature,
            "out": str(out),
            "where": str(self.whole.path),
        }
        worker.may_write(out.parent)
        worker.call(_REBUILD, payload, doing=f"reading the layers of {self.whole.path}")
        return out

    @property
    def reader(self) -> "ExamplesReader":
        """Reads tf.Examples for this network, and for others behind its preprocessing."""
        return ExamplesReader(preprocessing=self.preprocessing, parse_fn=self.parse_fn)

    def rows(
        self,
        worker: Worker,
        uris: Sequence[str],
        label: str | None,
        slice_columns: Sequence[str] = (),
    ) -> Rows:
        """Returns the rows of some folders of tf.Examples as the network takes them.

        Raises:
            DataError: The Examples do not fit the model.
        """
        return self.reader.read(worker, uris, label).rows(self.inputs, label, slice_columns)


@dataclass(frozen=True, kw_only=True)
class ReadExamples:
    """tf.Examples that were read, and what was made of them.

    Attributes:
        table: Their features, a pyarrow Table.
        made: Inputs of a network that the preprocessing or a function makes of them, by name.
        others: Transformed features that are no inputs, such as a label.
        passed: Whether the Examples went through a preprocessing: features that have the name of
            an input are raw then.
    """

    table: Any
    made: Mapping[str, Array]
    others: Mapping[str, Array]
    passed: bool = False

    def rows(
        self,
        inputs: Sequence[TensorSpec],
        label: str | None,
        slice_columns: Sequence[str] = (),
    ) -> Rows:
        """Returns the rows as a network with these inputs takes them.

        Args:
            inputs: Of the network.
            label: Feature with the label, or a transformed feature; None for none.
            slice_columns: Features that rows are sliced by.

        Raises:
            DataError: The Examples do not fit.
        """
        if not self.passed:
            return rows_from_table(self.table, inputs, label, slice_columns)
        elsewhere = label is not None and label not in self.table.column_names
        found = self.others.get(label) if elsewhere and label is not None else None
        # Of a label that is nowhere the table says what there is.
        known = rows_from_table(self.table, (), label if found is None else None, slice_columns)
        labels = known.labels if found is None else found
        if labels is not None and labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        every = {**self.others, **self.made}
        arrays = {spec.name: every[spec.name] for spec in inputs if spec.name in every}
        return rows_from_arrays(arrays or self.made, inputs, labels, known.slices)


@dataclass(frozen=True, kw_only=True)
class ExamplesReader:
    """What makes a network's inputs of tf.Examples.

    Attributes:
        preprocessing: Of the model that the network was cut out of; None for none.
        parse_fn: Import path of the user's function from features to inputs; empty for none.
    """

    preprocessing: Path | None = None
    parse_fn: str = ""

    def read(self, worker: Worker, uris: Sequence[str], label: str | None) -> ReadExamples:
        """Returns the tf.Examples of some folders.

        Args:
            worker: Runs the preprocessing.
            uris: The folders.
            label: Feature with the label, or a transformed feature; None for none.

        Raises:
            DataError: They cannot be read, or do not fit the preprocessing.
        """
        table = read_all(uris)
        # What the user names comes before what was found in the model.
        if self.parse_fn:
            made = _parsed(self.parse_fn, table)
            return ReadExamples(table=table, made=made, others=made, passed=True)
        if self.preprocessing is None:
            return ReadExamples(table=table, made={}, others={})
        # A second reading, of the bytes: the table's columns cannot be turned back into the same
        # Examples.
        serialized = read_serialized(uris)
        made = preprocessed(worker, self.preprocessing, serialized)
        others: Mapping[str, Array] = {}
        # Only then: the Transform graph's outputs cost a second pass over all rows.
        if label and label not in table.column_names:
            others = preprocessed(worker, self.preprocessing, serialized, transformed=True)
        return ReadExamples(table=table, made=made, others=others, passed=True)


def _parsed(path: str, table: Any) -> dict[str, Array]:
    function = user_function(path, "parse_fn")
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    made = {name: np.asarray(values) for name, values in dict(function(columns)).items()}
    if short := {name: len(v) for name, v in made.items() if len(v) != table.num_rows}:
        raise DataError(
            f"Expected {table.num_rows} rows of each input from {path}, received {short}. Return a "
            "row for each row that came in."
        )
    return made


def network_source(
    worker: Worker,
    source: ModelFile,
    scratch: Path,
    sampled: Callable[[], Sequence[str]],
    *,
    signature: str = "",
    parse_fn: str = "",
    transform_graph: str | None = None,
    refused: Callable[[str], Collection[str]] = lambda _: (),
) -> NetworkSource:
    """Returns the network of a model: its own signature of numbers, else what is cut out of it.

    Args:
        worker: Runs what needs TensorFlow.
        source: The model.
        scratch: Gets the halves of a model that is cut.
        sampled: Returns folders of tf.Examples to try the halves on.
        signature: Of a SavedModel; empty takes one of numbers, else `serving_default`.
        parse_fn: Import path of the user's function from features to inputs; empty for none.
        transform_graph: Folder of the Transform graph, for the names of the features.
        refused: Says which operations of a network are not to be in it.

    Raises:
        ModelError: The model is unfit, or cannot be cut; one line says why.
        DataError: The Examples do not fit it.
    """
    if not takes_examples(source, signature):
        known = source_of(worker, str(source.path), signature=signature or None)
        return NetworkSource(
            file=source,
            whole=source,
            signature=known.signature,
            inputs=known.inputs,
            parse_fn=parse_fn,
        )
    serialized = read_serialized(sampled(), _SAMPLED_ROWS)
    names = _transformed_names(transform_graph)
    try:
        found = _cut(worker, source, serialized, scratch, signature, names, refused)
    except DataError as error:
        raise DataError(
            f"Expected the Examples that {source.path} takes, such as those of an ExampleGen where "
            f"it transforms them itself, received others: {error}"
        ) from error
    known = source_of(worker, found.network)
    return NetworkSource(
        file=detect(found.network),
        whole=source,
        signature=known.signature,
        inputs=known.inputs,
        preprocessing=Path(found.preprocessing),
    )


def _cut(
    worker: Worker,
    source: ModelFile,
    serialized: Sequence[bytes],
    scratch: Path,
    signature: str,
    names: Sequence[str],
    refused: Callable[[str], Collection[str]],
) -> CutModel:
    without: set[str] = set()
    for number in range(_MOST_CUTS):
        found = cut_model(
            worker,
            source.path,
            serialized,
            scratch / f"cut-{number}",
            signature=signature,
            transformed_names=names,
            refused=without,
        )
        more = set(refused(found.network)) - without
        if not more:
            break
        # Cut further back, so that what the converter refuses lies before the cut.
        without |= more
    return found


def signature_asked(source: ModelFile, named: str, judged: str) -> str:
    """Returns the signature to take where a user may name one; empty for what is usual.

    Args:
        source: The model.
        named: What the user says; it is taken at their word.
        judged: What the Evaluator asks: taken where no signature takes numbers and this one takes
            tf.Examples, as beside a `serving_default` for the bytes of images.
    """
    if named or not judged or source.format is not Format.SAVED_MODEL:
        return named
    from tfx_loop.models.saved_model.graph import (
        examples_input,
        numeric_signature,
        public_signatures,
        read_graph,
    )

    graph = read_graph(source.path)
    if numeric_signature(graph) or judged not in public_signatures(graph):
        return ""
    return judged if examples_input(graph, judged) else ""


def takes_examples(source: ModelFile, signature: str = "") -> bool:
    """Says whether a model takes tf.Examples or text alone, so that its network is cut out."""
    if source.format is not Format.SAVED_MODEL:
        return False
    from tfx_loop.models.saved_model.graph import (
        choose_any_signature,
        examples_input,
        numeric_signature,
        public_signatures,
        read_graph,
        specs,
    )

    graph = read_graph(source.path)
    if numeric_signature(graph, signature or None) or not public_signatures(graph):
        return False
    chosen = choose_any_signature(graph, source.path, signature or None)
    inputs, _ = specs(graph.signature_def[chosen])
    return bool(examples_input(graph, chosen)) or any(s.dtype == "string" for s in inputs)


def _transformed_names(transform_graph: str | None) -> Sequence[str]:
    if not transform_graph:
        return ()
    from tfx_loop.models.saved_model.graph import public_signatures, read_graph

    # Where tf.Transform writes its SavedModel within the artifact.
    found = read_graph(Path(transform_graph.removeprefix("file://")) / "transform_fn")
    (signature,) = list(public_signatures(found).values())[:1]
    return sorted(signature.outputs)
