"""Training of a network while it is pruned and clustered. Runs in a child process."""

import logging
import time
from dataclasses import replace
from typing import Any

import tf_keras as keras

from tfx_loop.core import json_codec
from tfx_loop.core.child_process.child import report_progress
from tfx_loop.optimization.fine_tuning import keras_model
from tfx_loop.optimization.fine_tuning.child_export import write_child
from tfx_loop.optimization.fine_tuning.job import from_payload
from tfx_loop.optimization.fine_tuning.rows_file import TrainingRows, read_rows
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.fine_tuning.training import (
    TrainingRecord,
    fit,
    keras_inputs,
    seed_everything,
    steps_per_epoch,
)
from tfx_loop.optimization.pruner import eligible, wrapping
from tfx_loop.optimization.pruner.schedule import schedule
from tfx_loop.optimization.pruner.settings import Pattern, PruningSettings
from tfx_loop.optimization.pruner.sparsity import KernelSparsity, measure

_LOG = logging.getLogger(__name__)


def prune(payload: dict[str, Any]) -> dict[str, Any]:
    """Prunes and clusters the model of a file and writes the child, plain Keras again.

    Args:
        payload: `model` (.keras or .h5), `rows` (.npz), `settings`, and `child` and
            `export_sources` as `job.to_payload` has them.

    Returns:
        `kernels` as `KernelSparsity` (read back from the file written), `skipped` reasons by
        step and layer, `trainings`, `signatures`, `held_outputs` (trained to answer as before),
        `seconds`.
    """
    begin = time.perf_counter()
    settings = json_codec.from_json(PruningSettings, payload["settings"], "settings")
    rows = read_rows(payload["rows"])
    seed_everything(settings.fine_tuning.seed)
    source = keras_model.load(payload["model"], settings.fine_tuning, rows, settings.output)
    rows = replace(rows, inputs=keras_inputs(source, rows.inputs))
    rows, held = keras_model.with_held_outputs(source, rows, settings.output)
    model, trainings = source, {}
    skipped: dict[str, dict[str, eligible.SkipReason]] = {}
    pruned: tuple[str, ...] = ()
    if settings.pattern is not Pattern.NONE:
        kernels = [kernel for kernel, _ in wrapping.kernels_of(model)]
        selection = eligible.to_prune(kernels, settings)
        pruned, skipped["pruning"] = selection.chosen, selection.skipped
        model, trainings["pruning"] = _pruned(model, source, pruned, rows, settings)
    if settings.clusters:
        kernels = [kernel for kernel, _ in wrapping.kernels_of(model)]
        selection = eligible.to_cluster(kernels, settings)
        skipped["clustering"] = selection.skipped
        model, trainings["clustering"] = _clustered(model, source, selection.chosen, rows, settings)
    # Stripping leaves a model without loss and optimizer; the child is saved as its parent was.
    keras_model.compile_like(model, source)
    child, sources = from_payload(payload)
    signatures = write_child(model, child, sources, keras_inputs(model, rows.inputs))
    custom_objects = settings.fine_tuning.custom_objects
    # What counts is what the file holds: zeros are counted on it.
    written = keras_model.read(child.keras, custom_objects=custom_objects)
    return {
        "kernels": json_codec.to_json(_measured(written, pruned, settings)),
        "skipped": {
            step: {layer: reason.value for layer, reason in reasons.items()}
            for step, reasons in skipped.items()
        },
        "trainings": json_codec.to_json(trainings),
        "signatures": signatures.value,
        "held_outputs": held,
        "seconds": time.perf_counter() - begin,
    }


def _pruned(
    model: keras.Model,
    source: keras.Model,
    layers: tuple[str, ...],
    rows: TrainingRows,
    settings: PruningSettings,
) -> tuple[keras.Model, TrainingRecord]:
    tuning = settings.fine_tuning
    plan = schedule(steps_per_epoch(len(rows), tuning), tuning.epochs, settings.ramp)
    report_progress(f"pruning layers={len(layers)} pattern={settings.pattern.value}")
    wrapped = wrapping.wrap_to_prune(model, layers, settings, plan)
    keras_model.compile_like(wrapped, source, tuning.learning_rate)
    training = fit(
        wrapped,
        _named_as(wrapped, source, rows),
        tuning,
        [wrapping.pruning_callback()],
        # Before it the loss is lower as fewer weights are zero: the best epoch would be the
        # densest.
        first_kept_epoch=plan.first_whole_epoch,
    )
    return wrapping.strip_pruning(wrapped), training


def _clustered(
    model: keras.Model,
    source: keras.Model,
    layers: tuple[str, ...],
    rows: TrainingRows,
    settings: PruningSettings,
) -> tuple[keras.Model, TrainingRecord]:
    tuning: FineTuningSettings = settings.clustering or settings.fine_tuning
    report_progress(f"clustering layers={len(layers)} clusters={settings.clusters}")
    wrapped = wrapping.wrap_to_cluster(model, layers, settings.clusters)
    keras_model.compile_like(wrapped, source, tuning.learning_rate)
    training = fit(wrapped, _named_as(wrapped, source, rows), tuning)
    return wrapping.strip_clustering(wrapped), training


def _named_as(wrapped: keras.Model, source: keras.Model, rows: TrainingRows) -> TrainingRows:
    """Returns rows whose labels have the names of the outputs that TFMOT's wrappers rename."""
    if not isinstance(rows.labels, dict):
        return rows
    names = zip(source.output_names, wrapped.output_names, strict=True)
    return replace(rows, labels={new: rows.labels[old] for old, new in names})


def _measured(
    written: keras.Model, pruned: tuple[str, ...], settings: PruningSettings
) -> list[KernelSparsity]:
    """Returns what the weights read back show: TFMOT's wrappers are not asked."""
    return [
        measure(kernel.layer, kernel.weight, values, settings, pruned=kernel.layer in pruned)
        for kernel, values in wrapping.kernels_of(written)
    ]
