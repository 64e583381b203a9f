"""The request of a search, and how the node Quantizer settles it: rows, metric, budget."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.class_names import class_names_of
from tfx_loop.models.formats import Format, ModelFile
from tfx_loop.models.inference import outputs_of
from tfx_loop.models.preprocessing.source import NetworkSource
from tfx_loop.models.rows.splits import Rows
from tfx_loop.models.tensors import Array
from tfx_loop.optimization.compression_target import CompressionTarget
from tfx_loop.optimization.metrics.budget import Budget
from tfx_loop.optimization.metrics.eval_config import EvaluatorSettings, from_eval_config
from tfx_loop.optimization.metrics.labels import ClassNames, encode_labels
from tfx_loop.optimization.metrics.metrics import infer_metric
from tfx_loop.optimization.metrics.scoring import pick
from tfx_loop.optimization.quantizer.calibration import draw
from tfx_loop.optimization.quantizer.candidates import VariantLimits
from tfx_loop.optimization.quantizer.modes import QuantizationMode
from tfx_loop.optimization.quantizer.settings import QuantizerSettings, SearchSettings

# Named and not imported: a theme knows no other theme.
MAPPED_SHARE = "tfx_loop.edge.edgetpu_compiler.rewrite.preparation:prepared_share"


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """A model, rows, a budget, and what the search may use.

    Attributes:
        source: SavedModel, .keras or .h5.
        calibration: Fix the ranges of activations; some hundreds.
        choosing: Judge the variants; with labels beside a budget, and slices where they have a
            limit.
        budget: What may be lost, and what for; None takes the smallest variant that runs.
        other_budgets: Of further outputs, by output; the choosing rows have their labels.
        limits: What a variant may take.
        search: What the search may use.
        signature: Of a SavedModel; None for the one that takes numbers.
        seed: Of quantisation-aware training.
        keras: The tf_keras file for quantisation-aware training; None takes the source when it is
            one.
        training: Rows with labels for that; None leaves that rung out.
        parent_outputs: The parent's outputs for `choosing`; None where it has not been asked yet.
        mapped_share_fn: Import path of a function that says for the target `edge_tpu` which share
            of a file's operators maps.
        baseline: Gets the parent as a float .tflite, what variants are smaller and faster than;
            None where nobody asks for it.
        notes: What was assumed of the data.
    """

    source: ModelFile
    calibration: Rows
    choosing: Rows
    budget: Budget | None
    other_budgets: Mapping[str, Budget] = field(default_factory=dict)
    limits: VariantLimits = field(default_factory=VariantLimits)
    search: SearchSettings = field(default_factory=SearchSettings)
    signature: str | None = None
    seed: int = 0
    keras: Path | None = None
    training: Rows | None = None
    parent_outputs: Mapping[str, Array] | None = None
    mapped_share_fn: str = MAPPED_SHARE
    baseline: Path | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks that rows, budget and modes go together."""
        if self.budget is None and self.search.modes == (QuantizationMode.SELECTIVE_INT8,):
            raise ConfigError(
                "Expected a budget for selective int8, received none: it says how many layers stay "
                "in float. Give max_metric_drop, and rows with labels."
            )
        uses = ((self.calibration, "to calibrate with"), (self.choosing, "to judge variants on"))
        for rows, use in uses:
            if len(rows) == 0:
                raise DataError(
                    f"Expected rows {use}, received none. Give some hundreds like those to be "
                    "served."
                )
        if self.budget is not None and self.choosing.labels is None:
            raise DataError(
                "Expected rows with labels beside a budget, received rows without. Name the label."
            )

    @property
    def target(self) -> CompressionTarget:
        """What is to be gained."""
        return self.budget.target if self.budget else CompressionTarget.SMALLEST

    @property
    def keras_file(self) -> Path | None:
        """The tf_keras file that can be trained further; None without one."""
        if self.keras is None and self.source.format in (Format.KERAS, Format.H5):
            return self.source.path
        return self.keras


def request_of(
    settings: QuantizerSettings,
    *,
    source: NetworkSource,
    keras: Path | None,
    split_uris: Callable[[Sequence[str]], Sequence[str]],
    worker: Worker,
) -> SearchRequest:
    """Reads the rows and settles metric and budget.

    Args:
        settings: Of the node.
        source: The network.
        keras: Its tf_keras file.
        split_uris: Says where some splits of all Examples lie.
        worker: Asks the model.

    Raises:
        ConfigError: Settings and eval_config leave out what is needed.
        DataError: The rows do not fit the model.
        ModelError: The model is unfit.
    """
    evaluation = evaluation_of(settings)

    def read(splits: Sequence[str]) -> Rows:
        uris = split_uris(splits)
        return source.rows(worker, uris, evaluation.label, evaluation.slice_columns)

    calibration, choosing = _calibration_and_choosing(settings, read)
    outputs = None
    budget, assumed = None, None
    if settings.max_metric_drop is not None and choosing.labels is not None:
        path = str(source.file.path)
        names = ClassNames(
            given=settings.classes,
            of_model=lambda count: class_names_of(worker, source.whole.path, count),
        )
        outputs = outputs_of(worker, path, choosing.inputs, signature=source.signature)
        choosing, budget, assumed = _budget(
            settings, evaluation, choosing, outputs, settings.max_metric_drop, names
        )
    train = settings.fine_tuning is not None and keras is not None
    return SearchRequest(
        search=settings.search(),
        signature=source.signature,
        seed=settings.seed,
        source=source.file,
        keras=keras,
        calibration=calibration,
        choosing=choosing,
        training=read(settings.training_splits) if train else None,
        budget=budget,
        parent_outputs=outputs,
        notes=(
            *source.notes,
            *choosing.notes,
            *([assumed] if assumed else []),
            f"Numbers are of the rows of {', '.join(settings.measure_splits)}, which chose the "
            "variant; the Evaluator after this node judges it by rows of its own.",
        ),
    )


def evaluation_of(settings: QuantizerSettings) -> EvaluatorSettings:
    """Returns what the settings name, and for the rest what the eval_config names.

    Raises:
        ConfigError: Neither names what a loss is measured on.
    """
    evaluation = EvaluatorSettings(metric_name="", metric_settings={})
    if settings.eval_config:
        evaluation = from_eval_config(settings.eval_config, settings.metric or None)
    evaluation = replace(
        evaluation,
        metric_name=evaluation.metric_name or settings.metric,
        label=settings.label_key or evaluation.label,
        output=settings.output or evaluation.output,
        slice_columns=settings.slice_features or evaluation.slice_columns,
    )
    if settings.max_metric_drop is not None and not evaluation.label:
        raise ConfigError(
            "Expected label_key, or an eval_config that names it, beside max_metric_drop; "
            "received neither. A loss is measured on labels."
        )
    if settings.max_slice_drop is not None and not evaluation.slice_columns:
        raise ConfigError(
            "Expected slice_features, or an eval_config with slices, beside max_slice_drop; "
            "received neither. Name the features."
        )
    return evaluation


def check_settings(settings: QuantizerSettings) -> None:
    """Checks what can be known of settings before a model or a row is read.

    Raises:
        ConfigError: They contradict each other, or leave out what is needed.
    """
    evaluation_of(settings)
    _shares_splits(settings)


def _shares_splits(settings: QuantizerSettings) -> bool:
    """Says whether the same splits calibrate and measure.

    Raises:
        ConfigError: Some do, and others not.
    """
    shared = set(settings.calibration_splits) & set(settings.measure_splits)
    # A split that is half in both would give rows that calibrated to the choice.
    if shared and set(settings.calibration_splits) != set(settings.measure_splits):
        raise ConfigError(
            f"Expected calibration_splits and measure_splits that are the same or apart, received "
            f"{', '.join(sorted(shared))} in both. Name them apart."
        )
    return bool(shared)


def _calibration_and_choosing(
    settings: QuantizerSettings, read: Callable[[Sequence[str]], Rows]
) -> tuple[Rows, Rows]:
    """Returns calibration and choosing rows; a split that is used for both is shared out."""
    calibration, rest = draw(
        read(settings.calibration_splits), settings.calibration_rows, settings.seed
    )
    choosing = rest if _shares_splits(settings) else read(settings.measure_splits)
    if len(choosing) == 0:
        raise DataError("Expected rows to measure the variants on, received none.")
    return calibration, choosing


def _budget(
    settings: QuantizerSettings,
    evaluation: EvaluatorSettings,
    rows: Rows,
    outputs: Mapping[str, Array],
    max_metric_drop: float,
    names: ClassNames,
) -> tuple[Rows, Budget, str | None]:
    """Returns the rows with labels as numbers, the budget, and what was assumed of the labels."""
    assert rows.labels is not None
    scores = pick(outputs, evaluation.output)
    labels, assumed = encode_labels(rows.labels, scores, evaluation.label or "label", names)
    metric = infer_metric(labels, outputs, evaluation.metric_name or None, evaluation.output)
    budget = Budget(
        metric=replace(metric, **evaluation.metric_settings),
        max_metric_drop=max_metric_drop,
        target=settings.target,
        max_slice_drop=settings.max_slice_drop,
    )
    return replace(rows, labels=labels), budget, assumed
