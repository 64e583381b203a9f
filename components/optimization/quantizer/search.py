"""The ladder of quantised variants: each made and judged, the best that keeps to the budget taken.

Conversions cost seconds and sizes cannot be guessed (on a small model dynamic range may be smaller
than int8), so every rung is made and judged, and the best of those that keep to the budget is
taken; none that is smaller is passed over unjudged. Only what costs more is done on demand: layers
are searched for, and a model is trained for int8, when plain int8 does not do.
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tfx_loop.contracts.optimization_report import OutputResult, Rung, RungStatus, SliceResult
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ChildFailed, ModelError
from tfx_loop.core.import_path import user_function
from tfx_loop.models.inference import outputs_of
from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.compression_target import CompressionTarget
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.metrics import several_outputs
from tfx_loop.optimization.quantizer.budget_verdict import RungOutcome, RungReason, VariantJudge
from tfx_loop.optimization.quantizer.candidates import UNTRIED, RungCandidate, best, failed
from tfx_loop.optimization.quantizer.mixed_precision import MixedPrecisionSearch
from tfx_loop.optimization.quantizer.modes import QuantizationMode, title
from tfx_loop.optimization.quantizer.request import SearchRequest
from tfx_loop.optimization.quantizer.settings import for_target
from tfx_loop.optimization.quantizer.variant_builder import TfliteVariant, VariantBuilder
from tfx_loop.optimization.reporting import facts
from tfx_loop.optimization.reporting.sizes import size_of

_LOG = logging.getLogger(__name__)
MODEL_FILE = "model.tflite"
# The file is loaded back and asked on these, to find one that was written wrongly; the metric has
# been measured on all rows before.
_CHECKED_ROWS = 256
# Rows that latency is measured with; they are cycled through, so more would change nothing.
_TIMED_ROWS = 64
# Their activations are floats, or quantised by the range that each call has.
_OPEN_RANGES = (QuantizationMode.FLOAT, QuantizationMode.FLOAT16, QuantizationMode.DYNAMIC_RANGE)


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What the search came to.

    Attributes:
        chosen: The rung that was taken; None when none keeps to the budget.
        path: Its file; None with it.
        rungs: All that was tried, in the order of the ladder.
        overall: Parent and chosen variant on the rows that chose; None without labels or variant.
        outputs: Each output on these rows, of a model with several.
        warnings: A line for each output that nothing was asked of.
    """

    chosen: Rung | None
    path: Path | None
    rungs: tuple[Rung, ...]
    overall: SliceResult | None = None
    outputs: tuple[OutputResult, ...] = ()
    warnings: tuple[str, ...] = ()


def search(
    request: SearchRequest,
    worker: Worker,
    path: Path,
    progress: Callable[[str], None] = lambda _: None,
    refutation: Callable[[str, Path], str | None] | None = None,
) -> SearchResult:
    """Returns the variant that serves the target best among those that keep to the budget.

    Args:
        request: The model, its rows, what may be lost and what the search may use.
        worker: Converts, trains and asks the models.
        path: Gets the chosen model.
        progress: Gets a line a step.
        refutation: Says of a variant (its name and file), before it is taken, why rows that nobody
            chose on speak against it; the next best is asked about then. None asks nobody.

    Raises:
        ModelError: The model is unfit: no numeric signature, sizes that are not known, an operation
            that TensorFlow does not know, weights that are not finite, a damaged file.
        DataError: The rows do not fit the model.
        ConfigError: The settings contradict each other.
        ChildFailed: The model itself could not be asked.
    """
    modes, io_type = for_target(request.search, request.target)
    worker.may_write(path.parent)
    with tempfile.TemporaryDirectory(prefix="loop-quantizer-", dir=worker.folder) as folder:
        builder = VariantBuilder(
            source=request.source,
            calibration=request.calibration,
            worker=worker,
            folder=Path(folder),
            io_type=io_type,
            signature=request.signature,
            # The Edge TPU's compiler takes tensors of fixed sizes only.
            fixed_batch=request.target is CompressionTarget.EDGE_TPU,
        )
        # Before any rung: a model that is unfit for all of them is an error, not seven failures.
        builder.prepare()
        parent = request.parent_outputs
        if parent is None:
            source, rows = str(request.source.path), request.choosing.inputs
            parent = outputs_of(worker, source, rows, signature=request.signature, folder=folder)
        ladder = _Ladder(
            request=request,
            builder=builder,
            judge=VariantJudge(
                rows=request.choosing,
                parent=parent,
                budget=request.budget,
                confidence=request.search.confidence,
                other_budgets=request.other_budgets,
            ),
            worker=worker,
            progress=progress,
        )
        ladder.climb(modes)
        ladder.keep_baseline()
        return ladder.publish(path, refutation)


@dataclass(kw_only=True)
class _Ladder:
    request: SearchRequest
    builder: VariantBuilder
    judge: VariantJudge
    worker: Worker
    progress: Callable[[str], None]
    candidates: list[RungCandidate] = field(default_factory=list)

    def climb(self, modes: Sequence[QuantizationMode]) -> None:
        """Makes and judges every rung."""
        for mode in modes:
            if mode not in (QuantizationMode.SELECTIVE_INT8, QuantizationMode.QAT_INT8):
                self._add(mode, lambda mode=mode: self.builder.make(mode))  # type: ignore[misc]
        # The two other rungs of int8 cost more, and hardly give a smaller file than plain int8.
        int8 = next((c for c in self.candidates if c.mode is QuantizationMode.INT8), None)
        enough = int8 is not None and int8.outcome.keeps
        if QuantizationMode.SELECTIVE_INT8 in modes:
            self._skip(QuantizationMode.SELECTIVE_INT8) if enough else self._mix_precision()
        fine_tuning = self.request.search.fine_tuning
        if QuantizationMode.QAT_INT8 in modes and fine_tuning is not None:
            if enough:
                self._skip(QuantizationMode.QAT_INT8)
            else:
                self._train(replace(fine_tuning, seed=self.request.seed))
        # Reports list the rungs as the ladder has them, not as they were made.
        order = {mode: position for position, mode in enumerate(modes)}
        self.candidates.sort(key=lambda candidate: order[candidate.mode])

    def keep_baseline(self) -> None:
        """Writes the float .tflite where it is asked for, made anew where no rung was one."""
        if (target := self.request.baseline) is None:
            return
        rungs = (c.variant for c in self.candidates if c.mode is QuantizationMode.FLOAT)
        try:
            variant = next(rungs, None) or self.builder.make(QuantizationMode.FLOAT)
        except (ModelError, ChildFailed) as error:
            # What cannot be converted at all has no variants either, and these say why.
            _LOG.info("baseline_failed why=%s", error)
            return
        shutil.copyfile(variant.path, target)

    def publish(
        self, path: Path, refutation: Callable[[str, Path], str | None] | None
    ) -> SearchResult:
        """Chooses, and writes the model that was chosen."""
        target = self.request.target
        chosen = self._chosen(target, refutation)
        if chosen is not None and chosen.variant is not None:
            chosen.size = size_of(chosen.variant.path)
        rungs = tuple(c.rung(chosen, target) for c in self.candidates)
        for rung in rungs:
            _LOG.info(
                "rung mode=%s status=%s reason=%s bytes=%s",
                rung.mode,
                rung.status.value,
                rung.reason,
                rung.size.raw_bytes if rung.size else None,
            )
        if chosen is None or chosen.variant is None:
            return SearchResult(chosen=None, path=None, rungs=rungs)
        parent = {name: values[:_CHECKED_ROWS] for name, values in self.judge.parent.items()}
        # The file itself is loaded and asked again: what was judged lay elsewhere, under another
        # name.
        self.builder.publish(chosen.variant, path, self._first(_CHECKED_ROWS), parent)
        rung = next(r for r in rungs if r.status is RungStatus.CHOSEN)
        outcome = chosen.outcome
        return SearchResult(
            chosen=rung,
            path=path,
            rungs=rungs,
            overall=outcome.overall,
            outputs=outcome.outputs,
            warnings=tuple(several_outputs.warnings(outcome.outputs, self.judge.parent)),
        )

    def _chosen(
        self, target: CompressionTarget, refutation: Callable[[str, Path], str | None] | None
    ) -> RungCandidate | None:
        kept = self._within_limits([c for c in self.candidates if c.outcome.keeps])
        if target is CompressionTarget.FASTEST or self.request.limits.max_latency_ms is not None:
            self._time(kept)
            kept = self._within_limits(kept)
        while (position := best([c.cost for c in kept], target)) is not None:
            # Popped: a variant that is refuted is not asked about again.
            chosen = kept.pop(position)
            assert chosen.variant is not None
            why = refutation(chosen.name, chosen.variant.path) if refutation else None
            if why is None:
                return chosen
            chosen.outcome = replace(
                chosen.outcome,
                status=RungStatus.OVER_BUDGET,
                reason=RungReason.REFUTED,
                explanation=f"{why}.",
            )
        return None

    def _within_limits(self, kept: Sequence[RungCandidate]) -> list[RungCandidate]:
        """Returns those that are small and fast enough, as far as that is known yet."""
        for candidate in kept:
            if broken := self.request.limits.broken_by(candidate.cost):
                candidate.outcome = replace(
                    candidate.outcome,
                    status=RungStatus.OVER_BUDGET,
                    reason=RungReason.OVER_LIMIT,
                    explanation=f"{candidate.outcome.explanation} {broken}",
                )
        return [candidate for candidate in kept if candidate.outcome.keeps]

    def _first(self, count: int) -> Rows:
        return self.judge.rows.take(np.arange(min(count, len(self.judge.rows))))

    def _add(self, mode: QuantizationMode, make: Callable[[], TfliteVariant]) -> None:
        self.progress(f"{title(mode)}")
        started = time.monotonic()
        candidate = RungCandidate(mode=mode, name=title(mode), outcome=UNTRIED)
        try:
            candidate.variant = make()
            candidate.size = size_of(candidate.variant.path, zipped=self._zips)
            candidate.outcome = self._judged(candidate.variant, clips=mode not in _OPEN_RANGES)
        except (ModelError, ChildFailed) as error:
            reason = RungReason.DOES_NOT_RUN if candidate.variant else RungReason.FAILED_TO_CONVERT
            candidate.outcome = failed(reason, error, self.builder.folder)
        if candidate.outcome.keeps and self.request.target is CompressionTarget.EDGE_TPU:
            candidate.map(user_function(self.request.mapped_share_fn, "mapped_share_fn"))
        candidate.seconds = time.monotonic() - started
        self.candidates.append(candidate)

    def _judged(self, variant: TfliteVariant, *, clips: bool = True) -> RungOutcome:
        folder = str(self.builder.folder)
        rows = self.judge.rows.inputs
        answers = outputs_of(self.worker, str(variant.path), rows, folder=folder)
        outcome = self.judge.judge(answers, clips=clips)
        return replace(outcome, explanation=f"{outcome.explanation} {variant.notes}".strip())

    @property
    def _zips(self) -> bool:
        # Zipping at level 9 takes longer than judging; only the chosen one is zipped else.
        return self.request.target is CompressionTarget.SMALLEST_ZIPPED

    def _skip(self, mode: QuantizationMode) -> None:
        outcome = RungOutcome(
            status=RungStatus.SKIPPED,
            reason=RungReason.NOT_NEEDED,
            explanation="Plain int8 is good enough.",
        )
        self.candidates.append(RungCandidate(mode=mode, name=title(mode), outcome=outcome))

    def _fail(self, mode: QuantizationMode, why: Exception | str) -> None:
        outcome = failed(RungReason.FAILED_TO_CONVERT, why, self.builder.folder)
        self.candidates.append(RungCandidate(mode=mode, name=title(mode), outcome=outcome))

    def _mix_precision(self) -> None:
        if self.judge.budget is None:
            return
        mode = QuantizationMode.SELECTIVE_INT8
        self.progress(f"{title(mode)}: looking for the layers that suffer most")
        started = time.monotonic()
        mixed = MixedPrecisionSearch(
            builder=self.builder,
            judge=self._judged,
            worker=self.worker,
            max_probes=self.request.search.max_probes,
        )
        try:
            found = mixed.run()
        except (ModelError, ChildFailed) as error:
            self._fail(mode, error)
            return
        self.candidates.append(
            RungCandidate(
                mode=mode,
                name=found.name,
                outcome=found.outcome,
                variant=found.variant,
                size=size_of(found.variant.path, zipped=self._zips) if found.variant else None,
                float_layers=found.float_layers,
                layer_errors=found.layer_errors,
                seconds=time.monotonic() - started,
            )
        )

    def _train(self, settings: FineTuningSettings) -> None:
        keras, training = self.request.keras_file, self.request.training
        if keras is None or training is None or training.labels is None:
            told = "No tf_keras model, or no rows with labels to train on, were given."
            self._fail(QuantizationMode.QAT_INT8, told)
            return
        self._add(
            QuantizationMode.QAT_INT8,
            lambda: self.builder.quantization_aware(keras, training, settings),
        )

    def _time(self, kept: Sequence[RungCandidate]) -> None:
        self.progress("measuring latency")
        models = {
            c.mode.value: facts.MeasuredModel(path=str(c.variant.path), mode=c.mode.value)
            for c in kept
            if c.variant is not None
        }
        rows = self.builder.folder / "timed.npz"
        self._first(_TIMED_ROWS).save_inputs(rows)
        seconds = self.request.search.latency_seconds
        found = facts.facts_of(self.worker, models, str(rows), seconds=seconds)
        for candidate in kept:
            timed = found[candidate.mode.value].latency
            # One row: what a single request waits for.
            candidate.latency_ms = next(x.p50_ms for x in timed if x.batch_size == 1)
