"""Scores that a model gives to rows of Examples splits, and which columns matter to it."""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf
from tfx.utils import path_utils
from tfx_bsl.coders import example_coder

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.fetching import local_folder
from tfx_loop.models.saved_model.loading import load_saved_model
from tfx_loop.monitoring.profile.columns import FeatureType, flat, numbers
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.reference_profiler.examples_reader import joined, read_records

FloatArray = npt.NDArray[np.float64]
LOG_LOSS = "log_loss"
SCORE_CHANGE = "score_change"
# Keras' epsilon: a score of exactly 0 or 1 costs 16 nats and not infinitely many.
_NEARLY = 1e-7


@dataclass(frozen=True)
class ScoredRows:
    """Rows that a model scored.

    Attributes:
        scores: One float64 a row; None where no model was asked.
        labels: The label column, flat; None where there is none.
        records: Serialized tf.Examples of some of the rows, for the importances.
    """

    scores: Any = None
    labels: Any = None
    records: tuple[bytes, ...] = ()


class Scorer:
    """A signature of a SavedModel that takes serialized tf.Examples of shape [rows]."""

    def __init__(self, model_uri: str, signature: str, output: str) -> None:
        """Loads the model of a TFX Model artifact's folder.

        Raises:
            ModelUnsafe: Loading or asking it would do what it should not.
            ModelError: It is damaged.
            ConfigError: It has no such signature.
        """
        with tempfile.TemporaryDirectory(prefix="loop-scorer-") as scratch:
            folder = local_folder(path_utils.serving_model_path(model_uri), Path(scratch))
            self._model = load_saved_model(folder)
        if signature not in self._model.signatures:
            raise ConfigError(
                f"Expected a signature {signature!r} in the model, received "
                f"{sorted(self._model.signatures)}. Correct score_signature."
            )
        self._signature, self._output = self._model.signatures[signature], output

    def __call__(self, records: Sequence[bytes]) -> FloatArray:
        """Returns one score a record.

        Raises:
            ConfigError: The signature has no such output.
            DataError: The output does not hold one score a row.
        """
        outputs = self._signature(tf.constant(list(records)))
        return _one_a_row(outputs, self._output, len(records))


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
    metric, importances = permutation_importances(
        scorer, rows.records, columns, profile.label, seed
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
    scores, labels, kept = [], [], list[tuple[bytes, bytes]]()
    for uri in uris:
        for records in read_records(uri):
            scores.append(scorer(records))
            if label:
                labels.append(_column(decoder.DecodeBatch(records), label))
            hashed = [(hashlib.blake2b(r, digest_size=16).digest(), r) for r in records]
            kept = sorted([*kept, *hashed])[:keep] if keep else []
    if not scores:
        raise DataError(
            f"Expected rows to score in {list(uris)}, received none. Correct score_splits."
        )
    return ScoredRows(
        scores=pa.array(np.concatenate(scores)),
        labels=flat(joined(labels).column(label)) if label else None,
        records=tuple(record for _, record in kept),
    )


def permutation_importances(
    scorer: Scorer, records: Sequence[bytes], columns: Sequence[str], label: str, seed: int
) -> tuple[str, dict[str, float]]:
    """Returns what shuffling each column among the rows costs the model, and in which unit.

    Breiman 2001, "Random forests", section 10. With labels of 0 and 1 the rise of the mean log
    loss, else the mean absolute change of the score. Below zero is chance: the column matters not.
    """
    examples = [tf.train.Example.FromString(record) for record in records]
    before = scorer(records)
    known = _labels(examples, label)
    order = np.random.default_rng(seed).permutation(len(examples))
    found = {}
    for column in columns:
        held = [
            example.features.feature[column].SerializeToString()
            if column in example.features.feature
            else None
            for example in examples
        ]
        _give(examples, column, [held[place] for place in order])
        shuffled = scorer([example.SerializeToString() for example in examples])
        _give(examples, column, held)
        if known is None:
            found[column] = float(np.abs(shuffled - before).mean())
        else:
            found[column] = _log_loss(shuffled, known) - _log_loss(before, known)
    return (SCORE_CHANGE if known is None else LOG_LOSS), found


def _give(examples: list[Any], column: str, values: Sequence[bytes | None]) -> None:
    for example, value in zip(examples, values, strict=True):
        if value is None:
            example.features.feature.pop(column, None)
        else:
            example.features.feature[column].ParseFromString(value)


def _labels(examples: list[Any], label: str) -> FloatArray | None:
    if not label:
        return None
    decoder = example_coder.ExamplesToRecordBatchDecoder()
    batch = decoder.DecodeBatch([example.SerializeToString() for example in examples])
    column = flat(_column(batch, label).column(0))
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return None
    values = numbers(column, FeatureType.INTEGER)
    return values if np.isin(values, (0.0, 1.0)).all() else None


def _column(batch: Any, name: str) -> Any:
    place = batch.schema.get_field_index(name)
    column = batch.column(place) if place >= 0 else pa.nulls(batch.num_rows)
    return pa.RecordBatch.from_arrays([column], names=[name])


def _log_loss(scores: FloatArray, labels: FloatArray) -> float:
    safe = np.clip(scores, _NEARLY, 1 - _NEARLY)
    return float(-np.mean(labels * np.log(safe) + (1 - labels) * np.log(1 - safe)))


def _one_a_row(outputs: dict[str, Any], output: str, rows: int) -> FloatArray:
    if output not in outputs:
        raise ConfigError(
            f"Expected an output {output!r} of the signature, received {sorted(outputs)}. "
            "Correct score_key."
        )
    values = outputs[output].numpy()
    if values.size != rows:
        raise DataError(
            f"Expected one score a row from output {output!r}, received shape {values.shape} for "
            f"{rows} rows. Name the output of the positive class."
        )
    return np.asarray(values.reshape(rows), dtype=np.float64)
