"""What each technique gains and costs, beside what a user would do by hand."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.compress.trained import TrainedNetwork, trained
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ChildFailed, LoopError, ModelError
from tfx_loop.models.formats import detect
from tfx_loop.models.inference import outputs_of
from tfx_loop.optimization.distiller.distiller import distill
from tfx_loop.optimization.distiller.settings import DistillationSettings
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.metrics.drops import drop
from tfx_loop.optimization.metrics.metrics import infer_metric
from tfx_loop.optimization.pruner.pruner import prune
from tfx_loop.optimization.pruner.settings import Pattern, PruningSettings
from tfx_loop.optimization.quantizer.calibration import draw
from tfx_loop.optimization.quantizer.modes import QuantizationMode
from tfx_loop.optimization.quantizer.variant_builder import VariantBuilder
from tfx_loop.optimization.reporting.facts import MeasuredModel, facts_of

FLOAT = "TFLiteConverter, defaults (by hand)"
DEFAULT = "TFLiteConverter, Optimize.DEFAULT (by hand)"
_CALIBRATION_ROWS = 100
_TIMED_ROWS = 64
_LATENCY_SECONDS = 0.4
_CLUSTERS = 16
# Passes over the training rows while a network is pruned, clustered or trained for int8.
_EPOCHS = {"ResNet-8": 8, "DS-CNN": 15, "CNN": 15, "MLP": 3}
_STUDENTS = {"CNN": "tfx_loop.pipelines.examples.digits.model.student"}

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class TechniqueCost:
    """One technique on one network.

    Attributes:
        network: Name.
        technique: What was done.
        raw_bytes: Size of the .tflite file.
        zipped_bytes: Zipped, DEFLATE at level 9.
        metric: Its name.
        parent_metric: Of the float network on the reporting rows.
        drop: What the variant loses there.
        low: Lower bound of its 95 % interval.
        high: Upper bound.
        latency_ms: Median of a call at batch 1.
        runtime: What ran it.
        sparsity: Share of the weights that are zero.
        seconds: To make it.
        rows: Reporting rows.
    """

    network: str
    technique: str
    raw_bytes: int
    zipped_bytes: int
    metric: str
    parent_metric: float
    drop: float
    low: float
    high: float
    latency_ms: float
    runtime: str
    sparsity: float
    seconds: float
    rows: int

    def to_json(self) -> dict[str, Any]:
        """Returns the record as JSON."""
        return asdict(self)


@dataclass(kw_only=True)
class _Made:
    files: dict[str, Path] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def measure(
    name: str, seed: int, worker: Worker, out: Path, progress: Progress, *, trainings: bool = True
) -> list[TechniqueCost]:
    """Returns all techniques on one network.

    Args:
        name: Of the network.
        seed: Of the network and all trainings.
        worker: Trains, converts, asks.
        out: Trained networks are kept in `models` there.
        progress: Gets a line a step.
        trainings: Whether to prune, cluster, distil and train for int8.
    """
    network = trained(name, seed, worker, out / "models")
    with tempfile.TemporaryDirectory(dir=worker.folder) as scratch:
        maker = _Maker(network=network, worker=worker, folder=Path(scratch), progress=progress)
        maker.by_hand()
        maker.converted()
        if trainings:
            maker.pruned()
            maker.distilled()
        return _measured(network, maker.made, worker, Path(scratch), progress)


@dataclass(kw_only=True)
class _Maker:
    network: TrainedNetwork
    worker: Worker
    folder: Path
    progress: Progress
    made: _Made = field(default_factory=_Made)

    def by_hand(self) -> None:
        for technique, optimize in ((FLOAT, False), (DEFAULT, True)):
            out = self.folder / f"by_hand_{optimize}.tflite"
            payload = {
                "saved_model": str(self.network.saved_model),
                "optimize": optimize,
                "out": str(out),
            }
            self._add(technique, lambda out=out, payload=payload: self._by_hand(payload, out))

    def converted(self) -> None:
        builder = self._builder(self.network.saved_model, "converted")
        for technique, mode in (
            ("dynamic range", QuantizationMode.DYNAMIC_RANGE),
            ("float16", QuantizationMode.FLOAT16),
            ("int8", QuantizationMode.INT8),
            ("int16x8", QuantizationMode.INT16X8),
        ):
            self._add(technique, lambda mode=mode: builder.make(mode).path)

    def pruned(self) -> None:
        half = self._trained("pruned 50 %", PruningSettings(fine_tuning=self._fine_tuning))
        self._trained(
            "pruned 2:4",
            PruningSettings(pattern=Pattern.TWO_OF_FOUR, fine_tuning=self._fine_tuning),
        )
        self._trained(
            f"clustered, {_CLUSTERS}",
            PruningSettings(
                pattern=Pattern.NONE, clusters=_CLUSTERS, fine_tuning=self._fine_tuning
            ),
        )
        if half is None:
            return
        builder = self._builder(half, "pruned_int8")
        self._add("pruned 50 % + int8", lambda: builder.make(QuantizationMode.INT8).path)
        self._add(
            "pruned 50 % + int8, trained for it",
            lambda: builder.quantization_aware(half, self.network.training, self._fine_tuning).path,
        )

    def distilled(self) -> None:
        student = _STUDENTS.get(self.network.network)
        if student is None:
            return
        out = self.folder / "student"

        def taught() -> Path:
            settings = DistillationSettings(
                student_fn=student,
                fine_tuning=FineTuningSettings(epochs=60, seed=self.network.seed),
            )
            training = self.network.training
            done = distill(self.network.keras, training, settings, self.worker, out)
            return (
                self._builder(done.child.keras, "student_float").make(QuantizationMode.FLOAT).path
            )

        self._add("distilled student", taught)
        keras = out / "Format-Keras" / "model.keras"
        if keras.exists():
            builder = self._builder(keras, "student_int8")
            self._add("distilled student + int8", lambda: builder.make(QuantizationMode.INT8).path)

    @property
    def _fine_tuning(self) -> FineTuningSettings:
        return FineTuningSettings(epochs=_EPOCHS[self.network.network], seed=self.network.seed)

    def _trained(self, technique: str, settings: PruningSettings) -> Path | None:
        out = self.folder / technique.replace(" ", "_").replace(":", "")
        keras: list[Path] = []

        def pruned() -> Path:
            training = self.network.training
            done = prune(self.network.keras, training, settings, self.worker, out)
            keras.append(done.child.keras)
            return (
                self._builder(done.child.keras, out.name + "_float")
                .make(QuantizationMode.FLOAT)
                .path
            )

        self._add(technique, pruned)
        return keras[0] if keras else None

    def _by_hand(self, payload: dict[str, Any], out: Path) -> Path:
        self.worker.call(
            "tests.benchmarks.compress.by_hand:convert", payload, doing="converting by hand"
        )
        return out

    def _builder(self, source: Path, name: str) -> VariantBuilder:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        rows = min(_CALIBRATION_ROWS, len(self.network.search) // 3)
        calibration, _ = draw(self.network.search, rows, self.network.seed)
        return VariantBuilder(
            source=detect(source), calibration=calibration, worker=self.worker, folder=folder
        )

    def _add(self, technique: str, make: Callable[[], Path]) -> None:
        started = time.monotonic()
        try:
            self.made.files[technique] = make()
        except (LoopError, ModelError, ChildFailed) as error:
            self.progress(f"{self.network.network}: {technique} failed: {error}")
            return
        seconds = time.monotonic() - started
        self.made.seconds[technique] = seconds
        size = self.made.files[technique].stat().st_size
        self.progress(f"{self.network.network}: {technique}, {size:,} bytes, {seconds:.1f} s")


def _measured(
    network: TrainedNetwork, made: _Made, worker: Worker, folder: Path, progress: Progress
) -> list[TechniqueCost]:
    rows = network.reporting
    assert rows.labels is not None
    parent = outputs_of(worker, str(network.saved_model), rows.inputs)
    metric = infer_metric(rows.labels, parent, network.metric)
    timed = folder / "timed.npz"
    rows.take(np.arange(_TIMED_ROWS)).save_inputs(timed)
    progress(f"{network.network}: measuring {len(made.files)} variants")
    models = {name: MeasuredModel(path=str(path), mode=name) for name, path in made.files.items()}
    facts = facts_of(worker, models, str(timed), seconds=_LATENCY_SECONDS)
    value, found = metric.compute(rows.labels, parent), []
    for technique, path in made.files.items():
        child = outputs_of(worker, str(path), rows.inputs)
        lost, known = drop(parent, child, rows.labels, metric), facts[technique]
        one = next(taken for taken in known.latency if taken.batch_size == 1)
        found.append(
            TechniqueCost(
                network=network.network,
                technique=technique,
                raw_bytes=known.size.raw_bytes,
                zipped_bytes=known.size.zipped_bytes or 0,
                metric=metric.name,
                parent_metric=value,
                drop=lost.value,
                low=lost.low,
                high=lost.high,
                latency_ms=one.p50_ms,
                runtime=one.runtime,
                sparsity=known.sparsity or 0.0,
                seconds=round(made.seconds[technique], 1),
                rows=len(rows),
            )
        )
    return found
