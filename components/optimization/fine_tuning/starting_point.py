"""Starting point of a fine-tuning: the file that answers, and what makes its inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.data.tables.several import read_first
from tfx_loop.models.formats import detect, keras_model_of
from tfx_loop.models.inference import inputs_of
from tfx_loop.models.keras.file import is_of_keras_3
from tfx_loop.models.preprocessing.source import (
    ExamplesReader,
    network_source,
    signature_asked,
    takes_examples,
)


@dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """A model as it is trained further or learned from.

    Attributes:
        answers: The file that takes numbers: the Keras file where there is one of Keras 2, else
            what was made of the SavedModel.
        deployed: The SavedModel, or whatever is served.
        reader: Makes what `answers` takes of tf.Examples.
        notes: What a report says of it, in sentences.
    """

    answers: Path
    deployed: Path
    reader: ExamplesReader
    notes: tuple[str, ...] = ()


def starting_point(
    worker: Worker,
    folder: Path,
    deployed: Path,
    scratch: Path,
    uris: Sequence[str],
    *,
    trainable: bool,
    parse_fn: str = "",
    transform_graph: str | None = None,
    custom_objects: Sequence[str] = (),
    judged: str = "",
) -> StartingPoint:
    """Returns what to start from; the first thing that an executor does.

    Args:
        worker: Runs what needs TensorFlow.
        folder: Of a TFX Model, on this machine.
        deployed: What is served of it.
        scratch: Gets what is made of the SavedModel.
        uris: Folders of tf.Examples to train on.
        trainable: Whether layers are needed; otherwise the model is asked alone.
        parse_fn: Import path of the user's function from features to inputs; empty for none.
        transform_graph: Folder of the Transform graph, for the names of the features.
        custom_objects: Import paths of layers that a Keras file names.
        judged: Signature that the Evaluator asks; empty where nobody says.

    Raises:
        ModelError: There is no such network; one line says why.
        DataError: The Examples do not fit the model.
    """
    source = detect(deployed)
    signature = signature_asked(source, "", judged)
    keras = keras_model_of(folder)
    # tf_keras cannot load it; its SavedModel has the same operations, from which layers are
    # rebuilt.
    if keras is not None and is_of_keras_3(keras):
        keras = None
    reader = ExamplesReader(parse_fn=parse_fn)
    if keras is not None and (
        parse_fn
        or not takes_examples(source, signature)
        or _covered(worker, keras, uris, custom_objects)
    ):
        return StartingPoint(answers=keras, deployed=deployed, reader=reader)
    network = network_source(
        worker,
        source,
        scratch,
        lambda: uris,
        signature=signature,
        parse_fn=parse_fn,
        transform_graph=transform_graph,
    )
    if keras is not None:
        return StartingPoint(answers=keras, deployed=deployed, reader=network.reader)
    if not trainable:
        return StartingPoint(
            answers=network.file.path,
            deployed=deployed,
            reader=network.reader,
            notes=network.notes,
        )
    rebuilt = network.rebuilt(worker, scratch / "network.keras")
    told = "Layers and weights were read off the SavedModel, for there is no tf_keras file."
    return StartingPoint(
        answers=rebuilt, deployed=deployed, reader=network.reader, notes=(*network.notes, told)
    )


def _covered(
    worker: Worker, keras: Path, uris: Sequence[str], custom_objects: Sequence[str]
) -> bool:
    """Says whether the Examples have a feature for each input: transformed ones have."""
    columns = read_first(uris[:1], 1).column_names
    inputs = inputs_of(worker, keras, custom_objects)
    return all(spec.name in columns for spec in inputs)
