"""Which quantised variant of a model serves the target best and keeps to the budget?

Conversions cost seconds and sizes cannot be guessed (on a small model dynamic range may be smaller
than int8), so every rung is made and judged, and the best of those that keep to the budget is
taken; none that is smaller is passed over unjudged. Only what costs more is done on demand: layers
are searched for, and a model is trained for int8, when plain int8 does not do.
"""

import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tfx_loop.contracts.optimization_report import Rung, RungStatus, SliceResult
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ChildFailed, ConfigError, DataError, ModelError
from tfx_loop.core.import_path import user_function
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.inference import outputs_of
from tfx_loop.models.rows.rows import Rows
from tfx_loop.optimization.metrics.budget import Budget, Target
from tfx_loop.optimization.quantizer.candidate import UNTRIED, Candidate, Maps, failed
from tfx_loop.optimization.quantizer.choice import best
from tfx_loop.optimization.quantizer.judging import Judge, Judged, Left
from tfx_loop.optimization.quantizer.modes import Mode, SearchSettings, for_target, title
from tfx_loop.optimization.quantizer.rescue import Rescue
from tfx_loop.optimization.quantizer.variants import Made, Workshop
from tfx_loop.optimization.reporting import facts
from tfx_loop.optimization.reporting.sizes import size_of

_LOG = logging.getLogger(__name__)
MODEL_FILE = "model.tflite"
# Named and not imported: a theme knows no other theme.
MAPPED_SHARE = "tfx_loop.edge.edgetpu_compiler.rewrite.preparation:prepared_share"
_CHECKED_ROWS = 256
_TIMED_ROWS = 64

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What the search came to.

    Attributes:
        chosen: The rung that was taken; None when none keeps to the budget.
        path: Its file; None with it.
        rungs: All that was tried, in the order of the ladder.
        overall: Parent and chosen variant on the rows that chose; None without labels or variant.
    """

    chosen: Rung | None
    path: Path | None
    rungs: tuple[Rung, ...]
    overall: SliceResult | None = None


def search(
    source: ModelFile,
    calibration: Rows,
    choosing: Rows,
    budget: Budget | None,
    *,
    seed: int,
    worker: Worker,
    out_dir: Path,
    progress: Progress = lambda _: None,
    settings: SearchSettings | None = None,
    signature: str | None = None,
    keras: Path | None = None,
    training: Rows | None = None,
    mapped_share_fn: str = MAPPED_SHARE,
    file_name: str = MODEL_FILE,
) -> SearchResult:
    """Returns the variant that serves the target best among those that keep to the budget.

    Args:
        source: SavedModel, .keras or .h5.
        calibration: Fix the ranges of activations; some hundreds.
        choosing: Judge the variants; with labels, and slices where they have a limit.
        budget: What may be lost, and what for; None takes the smallest variant that runs.
        seed: Of quantisation-aware training.
        worker: Converts, trains and asks the models.
        out_dir: Gets the chosen model as `file_name`, and nothing else.
        progress: Gets a line a step.
        settings: What the search may use.
        signature: Of a SavedModel; None for the one that takes numbers.
        keras: The tf_keras file for quantisation-aware training; the source when it is one.
        training: Rows with labels for that; None leaves that rung out.
        mapped_share_fn: Import path of a function that says for the target `edge_tpu` which share
            of a file's operators maps.
        file_name: Of the chosen model.

    Raises:
        ModelError: The model is unfit: no numeric signature, sizes that are not known, an operation
            that TensorFlow does not know, weights that are not finite, a damaged file.
        DataError: There are no rows, or they do not fit the model.
        ConfigError: The settings contradict each other.
        ChildFailed: The model itself could not be asked.
    """
    settings = settings or SearchSettings()
    target = budget.target if budget else Target.SMALLEST
    modes, io_type = for_target(settings, target)
    if budget is None and modes == (Mode.SELECTIVE_INT8,):
        raise ConfigError(
            "Expected a budget for selective int8, received none: it says how many layers stay in "
            "float. Give max_metric_drop, and rows with labels."
        )
    for rows, use in ((calibration, "to calibrate with"), (choosing, "to judge variants on")):
        if len(rows) == 0:
            raise DataError(
                f"Expected rows {use}, received none. Give some hundreds like those to be served."
            )
    if budget is not None and choosing.labels is None:
        raise DataError(
            "Expected rows with labels beside a budget, received rows without. Name the label."
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="loop-quantizer-") as folder:
        workshop = Workshop(
            source=source,
            calibration=calibration,
            worker=worker,
            folder=Path(folder),
            io_type=io_type,
            signature=signature,
            fixed_batch=target is Target.EDGE_TPU,
        )
        # Before any rung: a model that is unfit for all of them is an error, not seven failures.
        workshop.prepare()
        parent = outputs_of(
            worker, str(source.path), choosing.inputs, signature=signature, folder=folder
        )
        run = _Search(
            workshop=workshop,
            judge=Judge(
                rows=choosing, parent=parent, budget=budget, confidence=settings.confidence
            ),
            worker=worker,
            target=target,
            settings=settings,
            progress=progress,
            maps=user_function(mapped_share_fn, "mapped_share_fn")
            if target is Target.EDGE_TPU
            else None,
        )
        run.climb(modes, _keras_of(source, keras), training, seed)
        return run.publish(out_dir / file_name)


@dataclass(kw_only=True)
class _Search:
    workshop: Workshop
    judge: Judge
    worker: Worker
    target: Target
    settings: SearchSettings
    progress: Progress
    maps: Maps | None
    candidates: list[Candidate] = field(default_factory=list)

    def climb(
        self, modes: Sequence[Mode], keras: Path | None, training: Rows | None, seed: int
    ) -> None:
        """Makes and judges every rung."""
        for mode in modes:
            if mode not in (Mode.SELECTIVE_INT8, Mode.QAT_INT8):
                self._add(mode, lambda mode=mode: self.workshop.make(mode))  # type: ignore[misc]
        int8 = next((c for c in self.candidates if c.mode is Mode.INT8), None)
        enough = int8 is not None and int8.judged.keeps
        if Mode.SELECTIVE_INT8 in modes:
            self._skip(Mode.SELECTIVE_INT8) if enough else self._rescue()
        fine_tuning = self.settings.fine_tuning
        if Mode.QAT_INT8 in modes and fine_tuning is not None:
            if enough:
                self._skip(Mode.QAT_INT8)
            else:
                self._train(keras, training, replace(fine_tuning, seed=seed))
        order = {mode: position for position, mode in enumerate(modes)}
        self.candidates.sort(key=lambda candidate: order[candidate.mode])

    def publish(self, path: Path) -> SearchResult:
        """Chooses, and writes the model that was chosen."""
        kept = [c for c in self.candidates if c.judged.keeps]
        if self.target is Target.FASTEST:
            self._time(kept)
        position = best([c.measured for c in kept], self.target)
        chosen = kept[position] if position is not None else None
        rungs = tuple(c.rung(chosen, self.target) for c in self.candidates)
        for rung in rungs:
            _LOG.info(
                "rung mode=%s status=%s reason=%s bytes=%s",
                rung.mode,
                rung.status.value,
                rung.reason,
                rung.size.raw_bytes if rung.size else None,
            )
        if chosen is None or chosen.made is None:
            return SearchResult(chosen=None, path=None, rungs=rungs)
        parent = {name: values[:_CHECKED_ROWS] for name, values in self.judge.parent.items()}
        self.workshop.publish(chosen.made, path, self._first(_CHECKED_ROWS), parent)
        rung = next(r for r in rungs if r.status is RungStatus.CHOSEN)
        return SearchResult(chosen=rung, path=path, rungs=rungs, overall=chosen.judged.overall)

    def _first(self, count: int) -> Rows:
        return self.judge.rows.take(np.arange(min(count, len(self.judge.rows))))

    def _add(self, mode: Mode, make: Callable[[], Made], name: str = "") -> None:
        self.progress(f"{title(mode)}")
        started = time.monotonic()
        candidate = Candidate(mode=mode, name=name or title(mode), judged=UNTRIED)
        try:
            candidate.made = make()
            candidate.size = size_of(candidate.made.path)
            candidate.judged = self._judged(candidate.made)
        except (ModelError, ChildFailed) as error:
            reason = Left.DOES_NOT_RUN if candidate.made else Left.FAILED_TO_CONVERT
            candidate.judged = failed(reason, error, self.workshop.folder)
        if candidate.judged.keeps and self.target is Target.EDGE_TPU:
            candidate.map(self.maps)
        candidate.seconds = time.monotonic() - started
        self.candidates.append(candidate)

    def _judged(self, made: Made) -> Judged:
        judged = self.judge.judge(
            outputs_of(
                self.worker,
                str(made.path),
                self.judge.rows.inputs,
                folder=str(self.workshop.folder),
            )
        )
        return replace(judged, explanation=f"{judged.explanation} {made.notes}".strip())

    def _skip(self, mode: Mode) -> None:
        judged = Judged(
            status=RungStatus.SKIPPED,
            reason=Left.NOT_NEEDED,
            explanation="Plain int8 is good enough.",
        )
        self.candidates.append(Candidate(mode=mode, name=title(mode), judged=judged))

    def _rescue(self) -> None:
        if self.judge.budget is None:
            return
        self.progress(f"{title(Mode.SELECTIVE_INT8)}: looking for the layers that suffer most")
        started = time.monotonic()
        rescue = Rescue(
            workshop=self.workshop,
            judged=self._judged,
            worker=self.worker,
            max_probes=self.settings.max_probes,
        )
        try:
            found = rescue.search()
        except (ModelError, ChildFailed) as error:
            judged = failed(Left.FAILED_TO_CONVERT, error, self.workshop.folder)
            mode = Mode.SELECTIVE_INT8
            self.candidates.append(Candidate(mode=mode, name=title(mode), judged=judged))
            return
        self.candidates.append(
            Candidate(
                mode=Mode.SELECTIVE_INT8,
                name=found.name,
                judged=found.judged,
                made=found.made,
                size=size_of(found.made.path) if found.made else None,
                float_layers=found.float_layers,
                layer_errors=found.layer_errors,
                seconds=time.monotonic() - started,
            )
        )

    def _train(self, keras: Path | None, training: Rows | None, settings: object) -> None:
        mode = Mode.QAT_INT8
        if keras is None or training is None or training.labels is None:
            told = "No tf_keras model, or no rows with labels to train on, were given."
            judged = failed(Left.FAILED_TO_CONVERT, told)
            self.candidates.append(Candidate(mode=mode, name=title(mode), judged=judged))
            return
        self._add(mode, lambda: self.workshop.quantization_aware(keras, training, settings))  # type: ignore[arg-type]

    def _time(self, kept: Sequence[Candidate]) -> None:
        self.progress("measuring latency")
        models = {
            c.mode.value: facts.Described(path=str(c.made.path), mode=c.mode.value)
            for c in kept
            if c.made is not None
        }
        rows = self.workshop.folder / "timed.npz"
        self._first(_TIMED_ROWS).save_inputs(rows)
        found = facts.facts_of(
            self.worker, models, str(rows), seconds=self.settings.latency_seconds
        )
        for candidate in kept:
            timed = found[candidate.mode.value].latency
            candidate.latency_ms = next(x.p50_ms for x in timed if x.batch_size == 1)


def _keras_of(source: ModelFile, keras: Path | None) -> Path | None:
    if keras is None and source.format in (Format.KERAS, Format.H5):
        return source.path
    return keras
