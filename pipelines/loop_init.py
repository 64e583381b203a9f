"""A first `loop.toml`, from what a SavedModel and a table of its rows tell."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import ConfigError
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.models.saved_model.graph import read_graph, specs
from tfx_loop.models.saved_model.parsed_features import parsed_features
from tfx_loop.models.tensors import DEFAULT_SIGNATURE

# More classes than these are named by nobody in a line.
_MOST_CLASSES = 20
# Rows that labels are looked at in.
_ROWS = 100_000


@dataclass(frozen=True, kw_only=True)
class AskedOfModel:
    """What model and rows tell.

    Attributes:
        label: The label column.
        task: What the model answers.
        score: The output that decides; empty where it has one.
        ignore: Columns of the rows that the model does not read.
    """

    label: str
    task: str
    score: str
    ignore: tuple[str, ...]


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
    graph = read_graph(model)
    if DEFAULT_SIGNATURE not in graph.signature_def:
        raise ConfigError(
            f"Expected a signature {DEFAULT_SIGNATURE!r} in {model}, found "
            f"{', '.join(sorted(graph.signature_def)) or 'none'}. Export the model with it."
        )
    outputs = [spec.name for spec in specs(graph.signature_def[DEFAULT_SIGNATURE])[1]]
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
    if label and label not in columns:
        raise ConfigError(f"Expected a label out of {', '.join(columns)}, received {label!r}.")
    if not label and len(unread) != 1:
        found = f"{', '.join(unread)} are not read" if unread else "the model reads all columns"
        raise ConfigError(
            f"Expected one column of {data} that the model does not read, to be the label; "
            f"{found}. Name the label with --label."
        )
    label = label or unread[0]
    task = task or _task_of(next(table.batches([label], _ROWS)).column(0), label)
    ignore = tuple(name for name in unread if name != label)
    return AskedOfModel(label=label, task=task, score=score, ignore=ignore)


def loop_text(found: AskedOfModel, *, name: str, serving: str, pipeline: str) -> str:
    """Returns the file."""
    ignore = f"[{', '.join(map(json.dumps, found.ignore))}]"
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
task = {json.dumps(found.task)}
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
# [gate.AUC]
# at_least = 0.6
# drop = 0.02
"""


def _task_of(labels: Any, name: str) -> str:
    """Returns the task that labels show; raises ConfigError where they may show several."""
    values = pc.unique(labels.drop_null() if hasattr(labels, "drop_null") else labels)
    known = sorted(str(value) for value in values.to_pylist() if value is not None)
    kind = labels.type
    if pa.types.is_boolean(kind) or set(known) <= {"0", "1", "0.0", "1.0"}:
        return "binary"
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if text and len(known) <= _MOST_CLASSES and not any("," in value for value in known):
        return f"classes:{','.join(known)}"
    if pa.types.is_floating(kind) and any(not value.endswith(".0") for value in known):
        return "regression"
    raise ConfigError(
        f"Expected labels that show the task, received {len(known)} values of {name!r} that may be "
        "classes or amounts. Say it with --task, such as 'regression' or 'classes:3'."
    )
