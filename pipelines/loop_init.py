"""A first `loop.toml`, from what a SavedModel and a table of its rows tell."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tfx_loop.contracts.task import ModelTask, TaskKind
from tfx_loop.core.errors import ConfigError
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.models.tensors import DEFAULT_SIGNATURE, TensorSpec

# More classes than these are named by nobody in a line.
_MOST_CLASSES = 20
# A label that never changes shows no task.
_LEAST_VALUES = 2
# Rows that labels are looked at in.
_ROWS = 100_000
# What each kind of model may be asked for, as lines to take the `#` from.
_GATES: Mapping[TaskKind, str] = {
    TaskKind.BINARY: "# [gate.AUC]\n# at_least = 0.6\n# drop = 0.02",
    TaskKind.LABELS: "# [gate.AUC]\n# at_least = 0.6\n# drop = 0.02",
    TaskKind.CLASSES: "# [gate.accuracy]\n# at_least = 0.6\n# drop = 0.02",
    TaskKind.REGRESSION: "# [gate.error]\n# at_most = 10.0  # mean absolute, in units of the label",
}


@dataclass(frozen=True, kw_only=True)
class AskedOfModel:
    """What model and rows tell.

    Attributes:
        label: The label column.
        task: What the model answers.
        score: The output that decides; empty where it has one.
        ignore: Columns of the rows that the model does not read.
        unfed: What the model reads and the rows lack.
    """

    label: str
    task: str
    score: str
    ignore: tuple[str, ...]
    unfed: tuple[str, ...]


def asked_of(model: Path, data: str, *, label: str, task: str, score: str) -> AskedOfModel:
    """Returns what model and rows tell.

    Args:
        model: Folder of the SavedModel.
        data: File or folder of the rows.
        label: The label column; empty for the one that the model does not read.
        task: What the model answers; empty for what the labels show.
        score: The output that decides; empty for the only one.

    Raises:
        ConfigError: They leave it open, or what was given is not there.
        ModelError: There is no SavedModel with a signature `serving_default`.
    """
    # Both import TensorFlow, which what stands below does without.
    from tfx_loop.models.saved_model.graph import read_graph, specs
    from tfx_loop.models.saved_model.parsed_features import parsed_features

    graph = read_graph(model)
    if DEFAULT_SIGNATURE not in graph.signature_def:
        raise ConfigError(
            f"Expected a signature {DEFAULT_SIGNATURE!r} in {model}, found "
            f"{', '.join(sorted(graph.signature_def)) or 'none'}. Export the model with it."
        )
    made = {spec.name: spec for spec in specs(graph.signature_def[DEFAULT_SIGNATURE])[1]}
    outputs = list(made)
    if (score and score not in outputs) or (not score and len(outputs) != 1):
        raise ConfigError(
            f"Expected the output that decides as --score, out of {', '.join(outputs)}, received "
            f"{score or 'none'}."
        )
    read = set(parsed_features(graph))
    if not read:
        raise ConfigError(
            f"Expected a model whose {DEFAULT_SIGNATURE!r} takes tf.Examples apart in {model}, "
            "found one that does not. Export a signature that does."
        )
    table = open_table(data)
    columns = list(table.schema.names)
    unread = [name for name in columns if name not in read]
    unfed = tuple(sorted(read - {*columns, label}))
    if label and label not in columns:
        raise ConfigError(f"Expected a label out of {', '.join(columns)}, received {label!r}.")
    if not label and len(unread) != 1:
        found = f"{', '.join(unread)} are not read" if unread else "the model reads all columns"
        if unfed:
            found += f", and lacks {', '.join(unfed)}"
        raise ConfigError(
            f"Expected one column of {data} that the model does not read, to be the label; "
            f"{found}. Name the label with --label."
        )
    label = label or unread[0]
    answers = _answers(made[score or outputs[0]])
    task = task or task_of_labels(table.batches([label], _ROWS), label, answers)
    _check_answers(task, answers)
    ignore = tuple(name for name in unread if name != label)
    return AskedOfModel(label=label, task=task, score=score, ignore=ignore, unfed=unfed)


def loop_text(found: AskedOfModel, *, name: str, serving: str, pipeline: str) -> str:
    """Returns the file."""
    ignore = f"[{', '.join(map(json.dumps, found.ignore))}]"
    order = f"# {class_order(found.task)}\n" if class_order(found.task) else ""
    score = f"score = {json.dumps(found.score)}  # the output that decides\n" if found.score else ""
    return f"""\
# A loop of tfx-loop: `loop step` judges the next window, `loop watch` does so day after day.

name = {json.dumps(name)}  # name that the model is served under
# Import path of the function that returns your TFX pipeline or its nodes; modules beside this file
# are found. It is called with those of these that it has parameters for: rows_from, rows_until,
# window, champion, champion_uri, quarantined.
pipeline = {json.dumps(pipeline)}
# What the model answers: binary, classes:a,b,c, labels:a,b, regression, regression:absolute,
# regression:quantile=0.9, regression:poisson.
{order}task = {json.dumps(found.task)}
label = {json.dumps(found.label)}  # column of the examples with what the model learns
{score}ignore = {ignore}  # columns that are no features
home = "out"  # folder of metadata and artifacts, relative to this file
# observe: decisions are recorded. suggest: trainings wait for `loop approve`. act: they start.
mode = "suggest"
cooldown = "1d"  # quiet time after a training that brought a version: s, m, h, d, w
max_trainings = "3/7d"  # most trainings in a time
# training_cost = 0.02  # what a training costs, in units of one window's loss
# training_windows = 0  # how many of the newest windows a training uses; 0 for all (rows_from)
# slice_feature = "country"  # quality and drift by its values, too
# redact = []  # features whose values nothing shows
# Who is told of changes: https:// addresses (signed webhooks, Slack), mailto:, log.
notify = ["log"]

[serving]
url = {json.dumps(serving)}  # REST address
# A loop-model-server on this machine says both; of another server they are to be given.
# base_path = "serving"
# prediction_log = "log"

[windows]
every = "day"  # month, day or rows
# days = 7  # of "day": how many a window has
# rows = 5000  # of "rows"
# first = "2024-01-01"  # the first window, such as "2024-01" for months; else when it was pushed

[labels]
path = "labels"  # Parquet: request_id, instance_index, label, label_time_ms
late = "until 50 % are here, at most 3 windows"  # how long a window waits; also "after 7d"

# What a new version must reach, where your pipeline has no Evaluator; without it the usual limits.
{_GATES[ModelTask.of_text(found.task).kind]}
"""


def class_order(task: str) -> str:
    """Returns in which order the names of a task stand, as a sentence; empty where it has none."""
    stated = ModelTask.of_text(task)
    if not stated.classes:
        return ""
    if stated.kind is TaskKind.BINARY:
        return f"The model answers the probability of {stated.classes[1]!r}, which stands second."
    return "The names stand in the order of the model's outputs: the first is what output 0 means."


def _answers(output: TensorSpec) -> int:
    """Returns how many numbers an output answers a row with; 0 where the file does not say."""
    if output.any_rank:
        return 0
    return (output.shape[-1] or 0) if len(output.shape) > 1 else 1


def task_of_labels(batches: Iterator[Any], label: str, answers: int) -> str:
    """Returns the task that labels show; raises ConfigError where they may show several."""
    labels = next(batches, None)
    found = labels.column(0) if labels is not None else pa.array([], pa.float64())
    if pa.types.is_nested(found.type):
        raise ConfigError(
            f"Expected one label a row in {label!r}, received lists. Make a column of each, or "
            "write loop.toml by hand for a task 'labels'."
        )
    values = sorted(value for value in found.unique().to_pylist() if _is_there(value))
    if len(values) < _LEAST_VALUES:
        raise ConfigError(
            f"Expected labels that show the task, received {len(values)} values in {label!r}. "
            "Give rows with several labels, or say it with --task, such as 'binary'."
        )
    task = _shown_by(values, found.type, answers)
    if task is None:
        raise ConfigError(
            f"Expected labels that show the task, received {len(values)} values of {label!r}, and "
            f"a model that answers {answers or 'some'} numbers a row. Say it with --task, such as "
            "'binary:no,yes' (label 0 first), 'classes:3' or 'regression'."
        )
    return task


def _shown_by(values: Sequence[Any], kind: pa.DataType, answers: int) -> str | None:
    """Returns the task that values of labels show beside so many answers a row."""
    # 0: the file does not say how many, so that either may be.
    several, single = answers != 1, answers in (0, 1)
    if set(values) <= {0, 1} and single:
        return "binary"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        # Of two names beside one answer nobody knows which is label 1. Those of several are sorted,
        # as scikit-learn's LabelEncoder and pandas' categories are: `class_order` says so.
        fits = several and len(values) <= _MOST_CLASSES and answers in (0, len(values))
        named = not any("," in value or value != value.strip() for value in values)
        return f"classes:{','.join(values)}" if fits and named else None
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    if answers > 1 and all(value == int(value) and 0 <= value < answers for value in values):
        return f"classes:{answers}"
    fractions = any(value != int(value) for value in values)
    return "regression" if fractions and single else None


def _is_there(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _check_answers(task: str, answers: int) -> None:
    """Raises ConfigError where a model cannot answer a task by the shape of its output."""
    stated = ModelTask.of_text(task)
    expected = stated.outputs or 1
    # Two probabilities a row are an answer of a binary model, too.
    known = (1, 2) if stated.kind is TaskKind.BINARY else (expected,)
    if answers and answers not in known:
        raise ConfigError(
            f"Expected a model that answers {expected} numbers a row for the task {task!r}, "
            f"received one that answers {answers}. Correct --task, or name its output by --score."
        )
