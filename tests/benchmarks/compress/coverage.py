"""How often the bound on a loss holds: real networks in int8, many draws of few rows, each metric.

    python -m tests.benchmarks.compress.coverage [--first_seed N] [--seeds N] [--draws N]

For each task and seed a network is trained and made int8 by TensorFlow's own converter. Its loss
on 40,000 rows is taken for the truth. Of these rows 200, 600 and 2,000 are drawn again and again,
and the one-sided 95 % bound that the search decides by is compared with the truth, beside Student's
t on the same rows. The bounds were developed on networks of seed 0; reported are seeds from 10.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.compress.tables import table
from tfx_loop.models.tensors import Array
from tfx_loop.optimization.metrics.intervals import by_influence
from tfx_loop.optimization.metrics.metrics import Metric, infer_metric
from tfx_loop.optimization.quantizer.expected_drop import expected_drop

SIZES = (200, 600, 2_000)
_POPULATION, _TRAINING, _CALIBRATION = 40_000, 4_000, 300
# Two-sided, so that the upper end is a one-sided 95 % bound, as the search has it.
_CONFIDENCE = 0.9

Make = Callable[[np.random.Generator, int], tuple[Array, Array]]


@dataclass(frozen=True)
class Task:
    """Rows, and the network that learns them.

    Attributes:
        make: Returns inputs and labels.
        outputs: Columns of the last layer.
        activation: Of the last layer.
        loss: That it is trained with.
        metrics: That are judged.
    """

    make: Make
    outputs: int
    activation: str | None
    loss: str
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Coverage:
    """How often the bounds held on draws of one size.

    Attributes:
        task: Name of the task.
        metric: Class name.
        rows: Of a draw.
        draws: How many were made.
        truth: Loss on all rows, mean over the seeds.
        bound: Median of our bounds.
        ours: Share of draws in which our bound was at or above the truth.
        students: The same of Student's t.
    """

    task: str
    metric: str
    rows: int
    draws: int
    truth: float
    bound: float
    ours: float
    students: float


def _classes(random: np.random.Generator, rows: int) -> tuple[Array, Array]:
    centres = np.random.default_rng(7).normal(size=(6, 12))
    labels = random.integers(0, 6, rows)
    inputs = 0.7 * centres[labels] + random.normal(size=(rows, 12))
    inputs[:, 0] *= np.exp(random.normal(size=rows))
    return inputs.astype(np.float32), labels


def _log_normal(random: np.random.Generator, rows: int) -> tuple[Array, Array]:
    amount, others = random.lognormal(0, 1.1, rows), random.normal(size=(rows, 5))
    price = amount * (2 + 0.5 * others[:, 0]) + 0.3 * random.normal(size=rows)
    return np.column_stack([amount, others]).astype(np.float32), price.astype(np.float32)


def _gaussian(random: np.random.Generator, rows: int) -> tuple[Array, Array]:
    inputs = random.normal(size=(rows, 6))
    answer = 10 * inputs[:, 0] + 5 * inputs[:, 1] * inputs[:, 2] + random.normal(size=rows)
    return inputs.astype(np.float32), answer.astype(np.float32)


def _rare(random: np.random.Generator, rows: int) -> tuple[Array, Array]:
    inputs = random.normal(size=(rows, 10)).astype(np.float32)
    odds = -4.6 + 2.0 * inputs[:, 0] + inputs[:, 1]
    return inputs, (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(int)


def _several(random: np.random.Generator, rows: int) -> tuple[Array, Array]:
    inputs = random.normal(size=(rows, 12)).astype(np.float32)
    inputs[:, 11] *= np.exp(1.2 * random.normal(size=rows))
    return inputs, (inputs[:, :5] + 0.3 * random.normal(size=(rows, 5)) > 0.3).astype(int)


_NUMBERS = ("R2Score", "MeanSquaredError", "RootMeanSquaredError", "MeanAbsoluteError")
_YES_OR_NO = ("BinaryAccuracy", "AUC", "Recall", "Precision", "F1Score", "LogLoss")
TASKS = {
    "six classes, one wide input": Task(
        _classes, 6, "softmax", "sparse_categorical_crossentropy", ("accuracy", "LogLoss")
    ),
    "log-normal numbers": Task(_log_normal, 1, None, "mae", _NUMBERS),
    "Gaussian numbers": Task(_gaussian, 1, None, "mse", _NUMBERS),
    "5 % yes": Task(_rare, 1, "sigmoid", "binary_crossentropy", _YES_OR_NO),
    "several labels a row": Task(
        _several, 5, "sigmoid", "binary_crossentropy", ("BinaryAccuracy", "AUC", "LogLoss")
    ),
}


def outputs_of_pair(task: Task, seed: int) -> tuple[Array, Array, Array]:
    """Returns labels, and the outputs of a trained network and of it in int8, on all rows."""
    import tensorflow as tf
    import tf_keras as keras

    keras.utils.set_random_seed(seed)
    inputs, labels = task.make(np.random.default_rng(seed), _TRAINING)
    layers = keras.layers
    hidden = [layers.Dense(64, "relu") for _ in range(2)]
    last = layers.Dense(task.outputs, task.activation)
    model = keras.Sequential([layers.Input(inputs.shape[1:]), *hidden, last])
    model.compile("adam", task.loss)
    model.fit(inputs, labels, epochs=25, batch_size=128, verbose=0)
    rows, truth = task.make(np.random.default_rng(seed + 10_000), _POPULATION + _CALIBRATION)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in rows[_POPULATION:])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    given = interpreter.get_input_details()[0]["index"]
    answer = interpreter.get_output_details()[0]["index"]
    child = []
    for start in range(0, _POPULATION, 4_000):
        batch = rows[start : start + 4_000]
        interpreter.resize_tensor_input(given, batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given, batch)
        interpreter.invoke()
        child.append(interpreter.get_tensor(answer).copy())
    parent = model.predict(rows[:_POPULATION], verbose=0, batch_size=4_000)
    return truth[:_POPULATION], parent, np.concatenate(child)


def measured(name: str, seeds: Sequence[int], draws: int) -> Iterator[Coverage]:
    """Yields the coverage of one task by metric and number of rows.

    Args:
        name: Of the task.
        seeds: A network is trained for each.
        draws: For each seed and size.
    """
    task = TASKS[name]
    pairs = [outputs_of_pair(task, seed) for seed in seeds]
    for metric_name in task.metrics:
        for size in SIZES:
            parts = [
                _drawn(pair, metric_name, size, draws, seed)
                for pair, seed in zip(pairs, seeds, strict=True)
            ]
            truths, bounds, students = (np.concatenate(x) for x in zip(*parts, strict=True))
            yield Coverage(
                task=name,
                metric=metric_name,
                rows=size,
                draws=len(truths),
                truth=float(truths.mean()) if len(truths) else float("nan"),
                bound=float(np.median(bounds)) if len(truths) else float("nan"),
                ours=float((bounds >= truths).mean()) if len(truths) else float("nan"),
                students=float((students >= truths).mean()) if len(truths) else float("nan"),
            )


def _drawn(
    pair: tuple[Array, Array, Array], name: str, size: int, draws: int, seed: int
) -> tuple[Array, Array, Array]:
    labels, parent, child = pair
    metric = infer_metric(labels, {"o": parent}, name)
    truth = _lost(metric, labels, parent, child)
    random, found = np.random.default_rng(seed), []
    for _ in range(draws):
        rows = random.choice(len(labels), size, replace=False)
        before, after, own = {"o": parent[rows]}, {"o": child[rows]}, labels[rows]
        bound = expected_drop(before, after, own, metric, confidence=_CONFIDENCE)
        # Without a positive row a metric is not defined, and no variant is taken.
        if np.isfinite(bound.high):
            found.append((truth, bound.high, _by_students_t(metric, own, before, after)))
    columns = np.array(found).reshape(-1, 3)
    return columns[:, 0], columns[:, 1], columns[:, 2]


def _lost(metric: Metric, labels: Array, parent: Any, child: Any) -> float:
    sign = 1 if metric.higher_is_better else -1
    return sign * (metric.compute(labels, {"o": parent}) - metric.compute(labels, {"o": child}))


def _by_students_t(metric: Metric, labels: Array, before: Any, after: Any) -> float:
    first, second = metric.measure(labels, before), metric.measure(labels, after)
    sign = 1 if metric.higher_is_better else -1
    lost = sign * (first.influence - second.influence)
    return by_influence(sign * (first.value - second.value), lost, _CONFIDENCE)[1]


def tabulate(found: Sequence[Coverage]) -> str:
    """Returns the coverages as a Markdown table."""
    headings = ("task", "metric", "rows", "draws", "lost in truth", "median bound", "holds in")
    rows = [
        (
            *(one.task, one.metric, f"{one.rows:,}", f"{one.draws:,}", f"{one.truth:.4f}"),
            *(f"{one.bound:.4f}", f"{one.ours:.1%}", f"{one.students:.1%}"),
        )
        for one in found
    ]
    return "\n".join(table([*headings, "Student's t holds in"], rows))


def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="coverage", description=__doc__.splitlines()[0])
    parser.add_argument("--first_seed", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--draws", type=int, default=150, help="for each seed and size")
    parser.add_argument("--task", action="append", choices=list(TASKS), default=None)
    parser.add_argument("--out", type=Path, help="gets the table as Markdown")
    options = parser.parse_args(arguments)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    found: list[Coverage] = []
    for name in options.task or TASKS:
        for one in measured(name, seeds, options.draws):
            found.append(one)
            print(f"{one.task}, {one.metric}, {one.rows} rows: {one.ours:.1%}", flush=True)
    text = tabulate(found)
    if options.out:
        options.out.write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
