"""Held-out examples whose labels are the numbers that TFMA judges by.

TFMA compares labels with answers as they are: names of classes and one-hot rows it cannot. Where
labels are such, Evaluator is given copies of its examples with encoded labels.
"""

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx.types import artifact_utils

from tfx_loop.contracts.task import ModelTask, TaskKind
from tfx_loop.models.task_labels import encoded_labels, held_labels
from tfx_loop.monitoring.reference_profiler.examples_reader import read_records

_FILE = "data_tfrecord-00000-of-00001.gz"


def with_encoded_labels(
    examples: list[Any], splits: list[str], label: str, task: ModelTask, folder: Path
) -> list[Any]:
    """Returns Examples artifacts whose labels are numbers: the ones given, or copies in a folder.

    Rows whose label the task does not know are left out of the copies.

    Args:
        examples: Artifacts.
        splits: Splits that are read.
        label: Feature of the label.
        task: What the labels are.
        folder: Where copies go.
    """
    # Numbers, and labels of 0 and 1, are what TFMA compares already.
    if task.kind is TaskKind.REGRESSION or not (task.classes or task.outputs):
        return examples
    found = []
    for number, artifact in enumerate(examples):
        uri = folder / str(number)
        for split in splits:
            for given in artifact_utils.get_split_uris([artifact], split):
                _write_encoded(given, uri / os.path.basename(given), label, task)
        # The artifact itself keeps the URI under which ML Metadata knows it.
        copied = copy.deepcopy(artifact)
        copied.uri = str(uri)
        found.append(copied)
    return found


def _write_encoded(source: str, target: Path, label: str, task: ModelTask) -> None:
    target.mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(target / _FILE), options) as writer:
        for records in read_records(source):
            examples = [tf.train.Example.FromString(record) for record in records]
            numbers = encoded_labels(pa.array([_label(one, label) for one in examples]), task)
            for example, number in zip(examples, numbers, strict=True):
                if np.isfinite(number):
                    _set(example.features.feature[label], float(number), task)
                    writer.write(example.SerializeToString())


def _label(example: Any, name: str) -> list[Any] | None:
    feature = example.features.feature.get(name)
    kind = feature.WhichOneof("kind") if feature is not None else None
    return list(getattr(feature, kind).value) if kind else None


def _set(feature: Any, number: float, task: ModelTask) -> None:
    feature.Clear()
    if task.kind is TaskKind.LABELS:
        feature.float_list.value.extend(held_labels(np.array([number]), task)[0])
    else:
        feature.int64_list.value.append(int(number))
