"""Scores that a model gives to rows of Examples splits, and which columns matter to it."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf
from tfx.utils import path_utils
from tfx_bsl.coders import example_coder

from tfx_loop.contracts.task import ModelTask
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.fetching import local_folder
from tfx_loop.models.rows.examples import columns_of
from tfx_loop.models.saved_model.graph import public_signatures, read_graph, specs
from tfx_loop.models.saved_model.loading import load_saved_model
from tfx_loop.models.saved_model.predictor import translated_errors
from tfx_loop.models.task_labels import encoded_labels
from tfx_loop.models.task_losses import may_judge, row_losses, shaped_answers
from tfx_loop.monitoring.profile.derived_columns import unchunked
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.reference_profiler.examples_reader import joined, read_records
from tfx_loop.monitoring.reference_profiler.promise import ScoredRows

FloatArray = npt.NDArray[np.float64]
SCORE_CHANGE = "score_change"


class Scorer:
    """A signature of a SavedModel that is asked with serialized tf.Examples of shape [rows].

    One that takes them whole is given them so; one that takes columns, as Keras' `export()` writes
    it, is given the features that its inputs are called after.
    """

    def __init__(self, model_uri: str, signature: str, output: str) -> None:
        """Loads the model of a TFX Model artifact's folder.

        An empty `output` stands for the only one of the signature.

        Raises:
            ModelUnsafe: Loading or asking it would do what it should not.
            ModelError: It is damaged.
            ConfigError: It has no such signature, none of numbers by that name, or several outputs
                of which none is named.
        """
        with tempfile.TemporaryDirectory(prefix="loop-scorer-") as scratch:
            folder = local_folder(path_utils.serving_model_path(model_uri), Path(scratch))
            self._model = load_saved_model(folder)
            known = public_signatures(read_graph(folder))
        if signature not in known:
            raise ConfigError(
                f"Expected a signature {signature!r} in the model, received {sorted(known)}. "
                "Correct score_signature."
            )
        self._signature, self._name = self._model.signatures[signature], signature
        self._outputs = {name: specs(definition)[1] for name, definition in known.items()}
        self._inputs, _ = specs(known[signature])
        self._by_column = [spec.dtype for spec in self._inputs] != ["string"]
        self.output = output or self._only_output()
        self._check_output()

    def __call__(self, records: Sequence[bytes]) -> FloatArray:
        """Returns the answer to each record, of shape [rows], or [rows, numbers] where several.

        Raises:
            ConfigError: The signature has no such output.
            DataError: The output does not hold a row for each record.
        """
        found = _by_row(self.answers(records), self.output, len(records))
        return found[:, 0] if found.shape[1] == 1 else found

    def answers(self, records: Sequence[bytes]) -> FloatArray:
        """Returns the output for each record, of whatever shape (rows, …).

        Raises:
            ConfigError: The signature has no such output.
            DataError: It refuses the records.
        """
        try:
            given = (
                columns_of(self._inputs, records)
                if self._by_column
                else {self._inputs[0].name: list(records)}
            )
            with translated_errors():
                outputs = self._signature(**{n: tf.constant(v) for n, v in given.items()})
        except DataError as error:
            raise DataError(
                f"Expected a signature that takes tf.Examples such as these, received "
                f"{self._name!r}: {error} {self._others()}"
            ) from error
        return np.asarray(outputs[self.output].numpy(), dtype=np.float64)

    def _only_output(self) -> str:
        outputs = [spec.name for spec in self._outputs[self._name]]
        if len(outputs) != 1:
            raise ConfigError(
                f"Expected a signature {self._name!r} with one output, received {outputs}. Name "
                "the one that decides as score_key."
            )
        return outputs[0]

    def _check_output(self) -> None:
        kinds = {spec.name: spec.dtype for spec in self._outputs[self._name]}
        if kinds.get(self.output, "string") != "string":
            return
        having = sorted(
            name
            for name, outputs in self._outputs.items()
            if name != self._name and any(o.name == self.output for o in outputs)
        )
        also = f" or name as score_signature {' or '.join(having)}, which has it" * bool(having)
        received = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
        raise ConfigError(
            f"Expected an output {self.output!r} of numbers of the signature {self._name!r}, "
            f"received {received}. Correct score_key{also}."
        )

    def _others(self) -> str:
        others = sorted(self._outputs.keys() - {self._name})
        return f"Name another as score_signature: {', '.join(others) or 'the model has none'}."


def with_importances(
    profile: FrozenProfile, scorer: Scorer | None, rows: ScoredRows, seed: int
) -> FrozenProfile:
    """Returns the profile with what each of its columns is worth to the model.

    Args:
        profile: Of the training rows.
        scorer: The model; None to leave the profile as it is.
        rows: What it scored; without records there is nothing to shuffle.
        seed: Of the shuffling.
    """
    if scorer is None or not rows.records:
        return profile
    columns = sorted({feature.column for feature in profile.features})
    labelled = profile.task and rows.labels is not None
    metric, importances = permutation_importances(
        scorer, rows.records, columns, profile.label, seed, profile.task if labelled else None
    )
    return replace(profile, importances=importances, importance_metric=metric)


def score_splits(uris: Sequence[str], scorer: Scorer, label: str, keep: int) -> ScoredRows:
    """Scores all rows of some splits, in no order that counts.

    Args:
        uris: Folders of the splits.
        scorer: The model.
        label: Name of the label column; empty for none.
        keep: Most records to keep: those with the lowest hashes, the same in every run.

    Raises:
        DataError: There are no rows.
    """
    decoder = example_coder.ExamplesToRecordBatchDecoder()
    answers, labels, kept = [], [], list[tuple[bytes, bytes]]()
    for uri in uris:
        for records in read_records(uri):
            answers.append(scorer(records))
            if label:
                labels.append(_column(decoder.DecodeBatch(records), label))
            # 128 bits of the content: no two records of a data set share them, and the draw does
            # not hang on the order of the files.
            hashed = [(hashlib.blake2b(r, digest_size=16).digest(), r) for r in records]
            # The lowest hashes so far: a sample of all rows in memory for those that are kept.
            kept = sorted([*kept, *hashed])[:keep] if keep else []
    if not answers:
        raise DataError(
            f"Expected rows to score in {list(uris)}, received none. Correct score_splits."
        )
    return ScoredRows(
        answers=np.concatenate(answers),
        labels=unchunked(joined(labels).column(label)) if labels else None,
        records=tuple(record for _, record in kept),
    )


def permutation_importances(
    scorer: Scorer,
    records: Sequence[bytes],
    columns: Sequence[str],
    label: str,
    seed: int,
    task: ModelTask | None,
) -> tuple[str, dict[str, float]]:
    """Returns what shuffling each column among the rows costs the model, and in which unit.

    Breiman 2001, "Random forests", section 10. With labels of a task the rise of its mean loss,
    else the mean absolute change of the answer. A value below zero is chance: the column
    does not matter.
    """
    examples = [tf.train.Example.FromString(record) for record in records]
    before = scorer(records)
    cost = _cost(examples, before, label, task)
    # One order for all columns, so that importances differ by the columns and not by the draws.
    order = np.random.default_rng(seed).permutation(len(examples))
    found = {}
    # What a parse_fn made is no feature of the records, and cannot be shuffled there.
    there = {name for example in examples for name in example.features.feature}
    for column in (name for name in columns if name in there):
        # As bytes of a feature: a column that is missing in some rows is shuffled with its gaps.
        held = [
            example.features.feature[column].SerializeToString()
            if column in example.features.feature
            else None
            for example in examples
        ]
        _put_column(examples, column, [held[place] for place in order])
        shuffled = scorer([example.SerializeToString() for example in examples])
        # Put back before the next one, so that one column at a time is out of order.
        _put_column(examples, column, held)
        if cost is None:
            found[column] = float(np.abs(shuffled - before).mean())
        else:
            found[column] = cost(shuffled) - cost(before)
    metric = SCORE_CHANGE if cost is None or task is None or not task.loss else task.loss.value
    return metric, found


def _cost(
    examples: list[Any], answers: FloatArray, label: str, task: ModelTask | None
) -> Callable[[FloatArray], float] | None:
    """Returns what answers to the examples cost on average; None where labels cannot tell."""
    if task is None or not label:
        return None
    decoder = example_coder.ExamplesToRecordBatchDecoder()
    batch = decoder.DecodeBatch([example.SerializeToString() for example in examples])
    labels = encoded_labels(_column(batch, label).column(0), task)
    shaped = shaped_answers(answers, len(examples), task)
    # The answer's change is told then, which needs no labels.
    if np.isnan(labels).any() or not may_judge(shaped, task):
        return None

    def cost(given: FloatArray) -> float:
        return float(row_losses(labels, shaped_answers(given, len(labels), task), task).mean())

    return cost


def _put_column(examples: list[Any], column: str, values: Sequence[bytes | None]) -> None:
    for example, value in zip(examples, values, strict=True):
        if value is None:
            example.features.feature.pop(column, None)
        else:
            example.features.feature[column].ParseFromString(value)


def _column(batch: Any, name: str) -> Any:
    place = batch.schema.get_field_index(name)
    column = batch.column(place) if place >= 0 else pa.nulls(batch.num_rows)
    return pa.RecordBatch.from_arrays([column], names=[name])


def _by_row(values: FloatArray, output: str, rows: int) -> FloatArray:
    if not values.size or values.size % rows or len(values) != rows:
        raise DataError(
            f"Expected a row of scores for each row from output {output!r}, received shape "
            f"{values.shape} for {rows} rows. Name an output of the model's answers."
        )
    return np.asarray(values.reshape(rows, -1), dtype=np.float64)
