"""Written by `make docs-components` from the nodes' declarations; see `tfx_loop/__init__.py`."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from tfx.dsl.placeholder.placeholder import Placeholder
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.channel import BaseChannel

import tfx_loop.data.prediction_log.component
import tfx_loop.data.prediction_log.label_joiner
import tfx_loop.data.span_example_gen.component
import tfx_loop.deployment.serving_pusher.component
import tfx_loop.edge.edge_bundler.component
import tfx_loop.edge.edgetpu_compiler.component
import tfx_loop.monitoring.drift.settings
import tfx_loop.monitoring.drift_monitor.component
import tfx_loop.monitoring.quality_monitor.component
import tfx_loop.monitoring.reference_profiler.component
import tfx_loop.monitoring.retrain_decider.avoidable_loss
import tfx_loop.monitoring.retrain_decider.component
import tfx_loop.monitoring.skew_monitor.component
import tfx_loop.optimization.distiller.component
import tfx_loop.optimization.distiller.settings
import tfx_loop.optimization.fine_tuning.settings
import tfx_loop.optimization.metrics.budget
import tfx_loop.optimization.pruner.component
import tfx_loop.optimization.pruner.settings
import tfx_loop.optimization.quantizer.component
import tfx_loop.optimization.quantizer.modes
import tfx_loop.optimization.variant_chooser.component
from tfx_loop.core.artifacts import DriftReport as DriftReport
from tfx_loop.core.artifacts import EdgeTpuReport as EdgeTpuReport
from tfx_loop.core.artifacts import OptimizationReport as OptimizationReport
from tfx_loop.core.artifacts import PredictionLog as PredictionLog
from tfx_loop.core.artifacts import ReferenceProfile as ReferenceProfile
from tfx_loop.core.artifacts import RetrainDecision as RetrainDecision
from tfx_loop.core.artifacts import SkewReport as SkewReport
from tfx_loop.optimization.variant_chooser.component import Variant as Variant

__all__: list[str]
__version__: str

# What has its value when the pipeline runs.
_Later: TypeAlias = RuntimeParameter | Placeholder


class Distiller(tfx_loop.optimization.distiller.component.Distiller):
    """Trains a student of the user's on the answers of a teacher and on the labels.

    It learns from soft targets with a temperature, labels mixed in, layers matched if asked. The
    teacher is any model that takes numbers: a SavedModel with such a signature, the Keras file
    beside it, or a TFLite file. It is asked once a row. The student may be made for another target,
    such as one whose layers all map to the Edge TPU.

    Args:
        teacher: The `Model` that is learned from. Its Keras file is asked where there is one.
        examples: `Examples` with a feature for each input of both networks, to learn from and to
            judge on.
        transform_graph: The student is served behind it, for tf.Examples as they come.
        student_fn: Import path `package.module.function` of a function that returns the student, a
            tf_keras model; trained or not, compiled or not.
        temperature: Softens the teacher's probabilities; 1 takes them as they are. Regression has
            none.
        alpha: Weight of learning from the teacher; 1 - alpha is that of learning from the labels.
        features: Layers whose outputs are matched; the teacher must be a Keras model then.
        feature_weight: Weight of matching each pair.
        augment_fn: Import path of a function `(inputs, rng) -> inputs` over arrays by input name;
            it makes the copies. Empty for none.
        augmented_copies: How often the rows are repeated, augmented. The teacher answers each copy
            once.
        teacher_output: Which output of the teacher is learned from, when it has several.
        fine_tuning: Epochs, batch, learning rate, seed.
        label_key: Feature that holds the label; None takes that of `eval_config`.
        eval_config: `tfma.EvalConfig` of the Evaluator (or its JSON): names metric, label and
            slices.
        metric: Class name of the metric, such as "AUC"; None takes that of `eval_config`, else
            accuracy, or R2 where the labels are numbers.
        max_metric_drop: What may be lost of it before the verdict is NOT_KEPT.
        max_slice_drop: What may be lost of it on each slice.
        export_fn: Import path of `export_fn(model, args)` that writes the SavedModel to
            `args.serving_model_dir`; None makes the signatures as the node says.
        training_splits: Splits to train on.
        reporting_splits: Splits to judge on.
        timeout_seconds: How long the training may take.
        memory_mb: Memory that it may take, in MiB.

    Outputs:
        model: `Model` with `Format-Serving/` and `Format-Keras/model.keras`; custom property
            `variant` ("distilled"). Its signatures: as `export_fn` writes them; else behind the
            Transform graph; else `serving_default` for tf.Examples with a feature for each input
            and `serving_columns` for the inputs by name.
        optimization_report: `OptimizationReport` with the custom properties `technique`, `verdict`,
            `kept` (1 or 0, for conditions), `reason`, `variant`, `metric_drop`, `size_bytes` and
            `zipped_bytes`; the parent in it is the teacher.

    Example:
        distiller = Distiller(
            teacher=trainer.outputs["model"],
            examples=transform.outputs["transformed_examples"],
            transform_graph=transform.outputs["transform_graph"],
            student_fn="my_package.model.student",
            label_key="tips",
        )
    """

    def __init__(
        self,
        *,
        teacher: BaseChannel,
        examples: BaseChannel,
        student_fn: str | _Later,
        transform_graph: BaseChannel | None = None,
        temperature: float | _Later = 4.0,
        alpha: float | _Later = 0.7,
        features: Sequence[tfx_loop.optimization.distiller.settings.FeaturePair | Mapping[str, Any]] | _Later = (),
        feature_weight: float | _Later = 1.0,
        augment_fn: str | _Later = '',
        augmented_copies: int | _Later = 4,
        teacher_output: str | None | _Later = None,
        fine_tuning: tfx_loop.optimization.fine_tuning.settings.FineTuningSettings | Mapping[str, Any] | _Later = ...,
        label_key: str | None | _Later = None,
        eval_config: Any = None,
        metric: str | None | _Later = None,
        max_metric_drop: float | None | _Later = None,
        max_slice_drop: float | None | _Later = None,
        export_fn: str | None | _Later = None,
        training_splits: Sequence[str] | _Later = ('train',),
        reporting_splits: Sequence[str] | _Later = ('eval',),
        timeout_seconds: int | _Later = 3600,
        memory_mb: int | _Later = 8192,
    ) -> None: ...


class DriftMonitor(tfx_loop.monitoring.drift_monitor.component.DriftMonitor):
    """Compares a window of the prediction log with the model's frozen reference.

    On the reference's bins it measures PSI, KS, Jensen-Shannon, Hellinger and Wasserstein. A
    feature has drifted when Benjamini-Hochberg over all features (Anderson-Darling and chi-square
    on the counts) and a floor for the PSI agree. A broken feature is a fault and not drift, and
    holds retraining back: `absent_feature`, `not_in_reference`, `type_changed`, `infinite_values`,
    `all_missing`, `missing_flood`, `constant_value`, `stuck_value`, `new_category_flood`,
    `unit_changed`, `out_of_range`, `duplicate_flood`, `silent_source`, `late_source`, and with a
    schema `schema_anomaly`.

    The window is counted by Beam, and its exact counts stand beside the report: those of hours
    merge into those of days and weeks to the same bits, however rows were sharded (`loop monitor`
    judges several reports' counts as one window). Where the reference has `slice_features`, slices
    are compared with the same slices of training. Mondays are not Sundays: the training rows,
    counted by day, are cut into windows as long as the one that is judged, and how far these lie
    from each other is the floor that a feature has to exceed (`calibrate`).

    Quality is estimated before labels come, from the scores alone (an isotonic map frozen at
    training time), with an interval; that labels came to mean something else cannot be seen that
    way, and the report says so. Labels of earlier windows (`evaluation`) correct the estimate by as
    much as those before were off, and the interval holds what may have changed since. Hold out
    whole days (machines, accounts) when training (`group_column` of SpanExampleGen): quality on
    rows of days that were trained on is overestimated.

    Args:
        prediction_log: The log of one window.
        reference_profile: The frozen profile of the model that answered in it.
        previous_report: The report of the window before; k of n windows and `release` need it.
        evaluation: QualityMonitor's, of the newest window whose labels have come: shown beside the
            estimate, which it corrects.
        schema: TFDV's schema of the data, to which the log's features have to keep.
        q: False discovery rate over the features of a window, in (0, 1).
        psi_floor: PSI, in nats, below which a difference does not matter: 0.02 is a shift by 0.14
            standard deviations. A feature is held back when its PSI is below it for sure.
        min_rows: Rows below which neither side is tested.
        windows_needed: k of k-of-n: windows that must exceed, this one among them.
        windows_looked_at: n of k-of-n.
        release: A feature that had drifted in the window before stays so down to this share of the
            floor, in (0, 1]; 1 for no hysteresis.
        season_floors: Least corrected PSI in this season of a feature, or of one in a slice, such
            as `x where site=south`: how far it lies off anyway. `season_floors` of `calibration`
            makes it from last year's reports.
        ignore_features: Features that move legitimately, such as the month.
        score_output: Log column to compare with the reference's score, if that has one; empty for
            none.
        score_threshold: Score above which a row is answered with 1, in (0, 1); estimated accuracy,
            precision, recall and F1 are of these answers.
        fault_settings: When a feature is broken.
        arrival_settings: When the source of the rows is silent or late.
        window: Name that the log must have; empty takes the log's own.
        model_name: Model that the log must be of; empty takes the log's own.
        calibrate: Take as a feature's floor how far windows of the training rows as long as this
            one lie from all others; `season_floors` goes before it.
        multivariate: Test all features together, on the training sample; takes seconds.

    Outputs:
        drift_report: `DriftReport` (STABLE, DRIFT, DATA_FAULT or NOT_ENOUGH_DATA, with a reason and
            the numbers): `drift_report.json`, the same as a page (`drift_report.html`) and as
            Prometheus gauges (`drift_report.prom`), the window's exact counts
            (`window_profile.json`, all of them in `window_profile.packed`), and the custom
            properties `verdict`, `reason`, `window`, `model_version`, `drifted_features`,
            `faulty_features`, `rows`, and `estimated_auc` where there is an estimate. The same
            numbers go to OpenTelemetry's global meter provider, which is yours to configure.

    Example:
        drift = DriftMonitor(
            prediction_log=log.outputs["prediction_log"],
            reference_profile=profiler.outputs["reference_profile"],
            ignore_features=["trip_start_timestamp"],
        )
    """

    def __init__(
        self,
        *,
        prediction_log: BaseChannel,
        reference_profile: BaseChannel,
        previous_report: BaseChannel | None = None,
        evaluation: BaseChannel | None = None,
        schema: BaseChannel | None = None,
        q: float | _Later = 0.025,
        psi_floor: float | _Later = 0.02,
        min_rows: int | _Later = 100,
        windows_needed: int | _Later = 1,
        windows_looked_at: int | _Later = 1,
        release: float | _Later = 0.5,
        season_floors: Mapping[str, float] | _Later = ...,
        ignore_features: Sequence[str] | _Later = (),
        score_output: str | _Later = 'output.probability',
        score_threshold: float | _Later = 0.5,
        fault_settings: tfx_loop.monitoring.drift.settings.FaultSettings | Mapping[str, Any] | _Later = ...,
        arrival_settings: tfx_loop.monitoring.drift.settings.ArrivalSettings | Mapping[str, Any] | _Later = ...,
        window: str | _Later = '',
        model_name: str | _Later = '',
        calibrate: bool | _Later = True,
        multivariate: bool | _Later = False,
    ) -> None: ...


class EdgeBundler(tfx_loop.edge.edge_bundler.component.EdgeBundler):
    """Packs CPU model, compiled model, labels, golden answers and SHA-256 digests for devices.

    The same content has the same digest. Devices need one file,
    [components/edge/edge_bundle/on_device.py](../components/edge/edge_bundle/on_device.py), and
    LiteRT. `python3 on_device.py https://…/digits --device-id kiosk-17 --group shop` fetches this
    device's version, checks digests and golden answers, uses the Edge TPU when its delegate loads
    and the CPU otherwise, and keeps the version before when a check fails.

    Args:
        model: `edgetpu_model` of EdgeTPUCompiler, or any int8 TFLite Model.
        examples: Examples from which the golden requests are taken: their features are the model's
            inputs.
        edgetpu_report: Report of EdgeTPUCompiler: names the minimum runtime and the compiler.
        cpu_steps: How far the CPU model may be off on another CPU, in quantisation steps.
        edge_tpu_steps: How far the compiled model may be off on the Edge TPU, in the same steps.
        name: What the bundle is called on devices.
        labels: Names of the classes in order; empty takes those packed into the model, if any.
        golden_rows: How many rows each device asks before it uses a version.

    Outputs:
        bundle: A `Model` whose `Format-Serving` is the bundle; its CPU model is `tflite`, so that
            Evaluator judges the very bytes that ship. Custom properties: `bundle_digest`,
            `compiled` (1 or 0), `golden_rows`, `variant`.

    Example:
        bundler = EdgeBundler(
            model=compiler.outputs["edgetpu_model"],
            examples=example_gen.outputs["examples"],
            edgetpu_report=compiler.outputs["edgetpu_report"],
            name="taxi-edge",
        )
    """

    def __init__(
        self,
        *,
        model: BaseChannel,
        examples: BaseChannel,
        name: str | _Later,
        edgetpu_report: BaseChannel | None = None,
        cpu_steps: float | _Later = 1.0,
        edge_tpu_steps: float | _Later = 8.0,
        labels: Sequence[str] | _Later = (),
        golden_rows: int | _Later = 8,
    ) -> None: ...


class EdgeTPUCompiler(tfx_loop.edge.edgetpu_compiler.component.EdgeTPUCompiler):
    """Compiles an int8 model for the Edge TPU, or checks it where there is no compiler.

    The compiler `edgetpu_compiler` is named, found on the PATH, or run in the image of
    `docker/edgetpu.Dockerfile`, in a scratch folder with limits on time, memory and log. Success
    takes exit code 0, a log that is understood, a whole output with the source's inputs and
    outputs, at least one Edge TPU operator, and the mapped share asked for. Where there is no
    compiler, the checked model is passed on and the report says that the analyser spoke.

    Args:
        model: A `Model` with `Format-Serving/tflite` of int8 or uint8.
        executable: Path of `edgetpu_compiler`; empty looks on the PATH.
        container_image: Image to run it in where no executable is found; empty for none.
        timeout_seconds: Wall time of one compilation.
        memory_mb: Memory that it may take, MiB.
        min_mapped_share: Least share of a model's operators that must run on the Edge TPU, 0 to 1;
            whatever it is, one operator has to. A compiler that maps fewer fails; an analyser that
            expects fewer says so in the report.
        min_runtime_version: Oldest Edge TPU runtime to compile for; 0 leaves it to the compiler.
        search_delegate: Lets the compiler search for a smaller part of the graph when the whole one
            fails.
        require_compiler: Fail where there is no compiler; otherwise the analyser speaks.
        prepare: Make exact rewrites that let more operators map.
        companions: Paths of other int8 .tflite models that will share the Edge TPU: compiled
            together they share its memory. They come out in the folder `companions`.

    Outputs:
        edgetpu_model: `Format-Serving/tflite`, the checked int8 model, which Evaluator can judge,
            and beside it `model_edgetpu.tflite` when the compiler ran. Custom properties:
            `compiled` (1 or 0) and the `variant` of the input.
        edgetpu_report: `edgetpu_report.json` with the custom properties `verdict`, `reason`,
            `speaker` (`compiler` or `analyser`), `mapped_share`, `operators`, `minimum_runtime`.

    Example:
        compiler = EdgeTPUCompiler(model=quantizer.outputs["model"])
    """

    def __init__(
        self,
        *,
        model: BaseChannel,
        executable: str | _Later = '',
        container_image: str | _Later = '',
        timeout_seconds: float | _Later = 600.0,
        memory_mb: float | _Later = 8192.0,
        min_mapped_share: float | _Later = 0.9,
        min_runtime_version: int | _Later = 0,
        search_delegate: bool | _Later = False,
        require_compiler: bool | _Later = False,
        prepare: bool | _Later = True,
        companions: Sequence[str] | _Later = (),
    ) -> None: ...


class LabelJoiner(tfx_loop.data.prediction_log.label_joiner.LabelJoiner):
    """Adds the labels that have arrived to the rows of a window.

    They are joined by request id and place in the request. Unknown ids, duplicates and wrong types
    are counted, never fatal; where two labels disagree, the earlier counts.

    Args:
        prediction_log: The log of PredictionLogGen.
        labels_dir: Folder or URI with Parquet files of `request_id`, `instance_index`, `label` and
            `label_time_ms`.
        as_of_ms: Only labels that had arrived by then are seen, milliseconds UTC; None takes all.

    Outputs:
        labelled_log: `PredictionLog` with the rows that have a label, and the columns `label` and
            `label_time_ms`; `window.json` counts what matched and what did not.

    Example:
        joiner = LabelJoiner(
            prediction_log=log.outputs["prediction_log"],
            labels_dir="/srv/labels",
        )
    """

    def __init__(
        self,
        *,
        prediction_log: BaseChannel,
        labels_dir: str | _Later,
        as_of_ms: int | None | _Later = None,
    ) -> None: ...


class PredictionLogGen(tfx_loop.data.prediction_log.component.PredictionLogGen):
    """Reads what model servers logged in a window, each answered instance once.

    What could not be read is counted. A window without rows is an artifact with 0 rows; what
    follows decides what that means. The log grows while a window is open, so caching is only safe
    for windows that are over.

    Args:
        log_dir: The folder or URI that the servers were given as `--prediction_log`.
        model_name: The name that the model is served under.
        window: Name of the window, such as "2013-03".
        start_ms: Begin of the window, milliseconds UTC.
        end_ms: End of the window, exclusive.

    Outputs:
        prediction_log: `PredictionLog` with `rows.parquet`, `window.json` (with the losses) and
            the custom properties `window`, `model_name` and `rows`.

    Example:
        log = PredictionLogGen(
            log_dir="/srv/prediction_log",
            model_name="taxi",
            window="2013-03",
            start_ms=1_362_096_000_000,
            end_ms=1_364_774_400_000,
        )
    """

    def __init__(
        self,
        *,
        log_dir: str | _Later,
        model_name: str | _Later,
        window: str | _Later,
        start_ms: int | _Later,
        end_ms: int | _Later,
    ) -> None: ...


class Pruner(tfx_loop.optimization.pruner.component.Pruner):
    """Makes weights zero, or share values, while the network is trained on with its own loss.

    Zeros are unstructured, 2:4 or in blocks; weights that share values are clustered. Works on the
    tf_keras model that the Trainer leaves beside its SavedModel (`Format-Keras/model.keras`). Zeros
    are counted on the weights in the file that was written. Quantisation-aware training of
    Quantizer keeps the zeros and the clusters of what it gets.

    Args:
        model: The `Model` of a Trainer, a Keras file beside its SavedModel.
        examples: `Examples` with a feature for each input of the Keras model: transformed ones
            where the SavedModel transforms, else those as they come.
        transform_graph: Handed to `export_fn`.
        pattern: Where the zeros lie.
        sparsity: Fraction of each kernel's weights (of its blocks) that become zero; 2:4 is half.
        block: Rows and columns of a block, in the layout [inputs, outputs] of a Dense kernel.
            TFLite stores [outputs, inputs]: its blocks of 1 x 4 are (4, 1) here.
        exclude: Layers left alone, by name or glob such as `block_1_*`.
        ramp: Fraction of the training steps over which the sparsity grows.
        clusters: How many different values a kernel may have afterwards; 0 leaves them be. Zeros of
            pruning stay zero and are one of the values.
        clustering: How the clustered network is trained; None takes `fine_tuning`.
        fine_tuning: How the network is trained while it is pruned.
        label_key: Feature that holds the label; None takes that of `eval_config`.
        eval_config: `tfma.EvalConfig` of the Evaluator (or its JSON): names metric, label and
            slices.
        metric: Class name of the metric, such as "AUC"; None takes that of `eval_config`, else
            accuracy, or R2 where the labels are numbers.
        max_metric_drop: What may be lost of it before the verdict is NOT_KEPT.
        max_slice_drop: What may be lost of it on each slice.
        export_fn: Import path of `export_fn(model, args)` that writes the SavedModel to
            `args.serving_model_dir`; None makes the signatures as the node says.
        training_splits: Splits to train on.
        reporting_splits: Splits to judge on.
        timeout_seconds: How long the training may take.
        memory_mb: Memory that it may take, in MiB.

    Outputs:
        model: `Model` with `Format-Serving/` under all of the parent's signatures (or those of
            `export_fn`), and `Format-Keras/model.keras`; custom property `variant`.
        optimization_report: `OptimizationReport` with the custom properties `technique`, `verdict`,
            `kept` (1 or 0, for conditions), `reason`, `variant`, `sparsity`, `metric_drop`,
            `size_bytes` and `zipped_bytes`.

    Example:
        pruner = Pruner(
            model=trainer.outputs["model"],
            examples=transform.outputs["transformed_examples"],
            transform_graph=transform.outputs["transform_graph"],
            label_key="tips",
            sparsity=0.5,
        )
    """

    def __init__(
        self,
        *,
        model: BaseChannel,
        examples: BaseChannel,
        transform_graph: BaseChannel | None = None,
        pattern: tfx_loop.optimization.pruner.settings.Pattern | str | _Later = 'unstructured',
        sparsity: float | _Later = 0.5,
        block: tuple[int, int] | _Later = (4, 1),
        exclude: Sequence[str] | _Later = (),
        ramp: float | _Later = 0.6,
        clusters: int | _Later = 0,
        clustering: tfx_loop.optimization.fine_tuning.settings.FineTuningSettings | Mapping[str, Any] | None | _Later = None,
        fine_tuning: tfx_loop.optimization.fine_tuning.settings.FineTuningSettings | Mapping[str, Any] | _Later = ...,
        label_key: str | None | _Later = None,
        eval_config: Any = None,
        metric: str | None | _Later = None,
        max_metric_drop: float | None | _Later = None,
        max_slice_drop: float | None | _Later = None,
        export_fn: str | None | _Later = None,
        training_splits: Sequence[str] | _Later = ('train',),
        reporting_splits: Sequence[str] | _Later = ('eval',),
        timeout_seconds: int | _Later = 3600,
        memory_mb: int | _Later = 8192,
    ) -> None: ...


class QualityMonitor(tfx_loop.monitoring.quality_monitor.component.QualityMonitor):
    """Measures the served predictions of a window against their labels; no model runs again.

    A sequential test follows the stream of squared errors from window to window: it says when they
    have risen above those of held-out rows, with at least so many rows between false alarms,
    wherever windows begin and end.

    Args:
        labelled_log: The labelled rows of LabelJoiner.
        prediction_log: The same rows, with those that have no label: how many of them have one.
        reference_profile: Of the model that answered: the errors that its held-out rows showed.
            Without it no test follows them.
        previous_evaluation: Of the window before: where that test stood.
        eval_config: `tfma.EvalConfig` (or its JSON) with one model spec that names `label_key` and
            `prediction_key`, the output that is judged.
        window: Name of the window that is judged, such as "2013-03".
        start_ms: Begin of that window, milliseconds UTC.
        end_ms: End of that window, exclusive.
        tolerated_rise: What the mean squared error may rise above what held-out rows showed before
            it counts.
        rows_between_false_alarms: Least mean number of rows to a false alarm of the test.

    Outputs:
        evaluation: `ModelEvaluation` as Evaluator writes it, `quality.json` (metrics by slice,
            label coverage and delay, the test), `sequential.json` (its state), and the custom
            properties `window`, `labelled_rows`, and where measured `auc`, `calibration`,
            `label_coverage`, `label_delay_hours_p50`, `error_rise_evidence` and `error_rise_alarm`
            (0 or 1). A window without labels has 0 rows and no metrics.

    Example:
        quality = QualityMonitor(
            labelled_log=joiner.outputs["labelled_log"],
            prediction_log=log.outputs["prediction_log"],
            reference_profile=profiler.outputs["reference_profile"],
            eval_config=served_config,
            window="2013-03",
            start_ms=1_362_096_000_000,
            end_ms=1_364_774_400_000,
        )
    """

    def __init__(
        self,
        *,
        labelled_log: BaseChannel,
        eval_config: Any,
        window: str | _Later,
        start_ms: int | _Later,
        end_ms: int | _Later,
        prediction_log: BaseChannel | None = None,
        reference_profile: BaseChannel | None = None,
        previous_evaluation: BaseChannel | None = None,
        tolerated_rise: float | _Later = 0.0,
        rows_between_false_alarms: float | _Later = 1000000.0,
    ) -> None: ...


class Quantizer(tfx_loop.optimization.quantizer.component.Quantizer):
    """Quantises a model as far as a stated budget allows.

    It makes each rung (int8, int16x8, float16, dynamic range, float; on demand selective int8 and
    quantisation-aware training), judges it on rows that it was not calibrated on, and takes the
    smallest (or fastest, or the one for the Edge TPU) that is 95 % certain to lose no more than the
    budget. Where int8 breaks a model, it finds the layers that must stay in float and names them.

    When no variant keeps to the budget, the float .tflite is passed on, or where the converter
    refuses that too, the model as it came, and `kept` is 0; the run does not fail. Gate with
    `tfx.dsl.Cond(quantizer.outputs["optimization_report"].future()[0].custom_property("kept") ==
    1)`.

    Args:
        model: A SavedModel with a signature that takes numbers; its `Format-Keras/` file is used
            for quantisation-aware training, which keeps the zeros and the clusters of Pruner.
        examples: tf.Examples with a feature for each input of the model, and the label.
        mode: `search`, or one of dynamic_range, float16, int8, int16x8, selective_int8, qat_int8,
            float.
        max_metric_drop: What may be lost, in the metric's unit; None for one mode as it comes.
        max_slice_drop: What may be lost on each slice; None limits none.
        eval_config: The Evaluator's own `tfma.EvalConfig` (or its JSON): gives metric, label and
            slices where they are not named here.
        metric: Class name as TFMA has it; empty takes the eval_config's, or accuracy (R2Score for
            numbers).
        label_key: Feature with the label; empty takes the eval_config's.
        slice_features: Features that losses are shown and limited by; empty takes the
            eval_config's.
        output: Output that the label belongs to, where a model has several.
        signature: Of the SavedModel; empty takes the one that takes numbers.
        target: What is to be gained: `smallest`, `fastest` or `edge_tpu`.
        io_type: What an int8 variant takes and gives: `float`, `int8` or `uint8`.
        calibration_splits: Splits that calibration rows are drawn from.
        calibration_rows: How many rows fix the ranges; drawn with the seed, each class in
            proportion.
        measure_splits: Splits that judge the variants; a variant is judged too kindly or too
            harshly on rows that the model was trained on.
        fine_tuning: How quantisation-aware training trains (epochs, batch_size, learning_rate,
            compile_fn, …); None leaves that rung out.
        training_splits: Splits that it trains on.
        confidence: How sure, one-sided, it must be that a variant keeps to the budget.
        seed: Of the draw and of training.
        timeout_seconds: How long one conversion may take.
        memory_mb: Memory that the converting process may take, in MiB.

    Outputs:
        model: `Model` with `Format-Serving/tflite` and the custom property `variant` (the mode).
        optimization_report: `OptimizationReport` (every rung with size, loss, parity and why it was
            left): `optimization_report.json`, and the custom properties `verdict` (`KEPT`,
            `NOT_KEPT`), `kept` (1 or 0, for conditions), `reason`, `variant` and `size_bytes`.

    Example:
        quantizer = Quantizer(
            model=trainer.outputs["model"],
            examples=example_gen.outputs["examples"],
            eval_config=eval_config,
            max_metric_drop=0.005,
        )
    """

    def __init__(
        self,
        *,
        model: BaseChannel,
        examples: BaseChannel,
        mode: str | _Later = 'search',
        max_metric_drop: float | None | _Later = 0.005,
        max_slice_drop: float | None | _Later = None,
        eval_config: Any = '',
        metric: str | _Later = '',
        label_key: str | _Later = '',
        slice_features: Sequence[str] | _Later = (),
        output: str | _Later = '',
        signature: str | _Later = '',
        target: tfx_loop.optimization.metrics.budget.CompressionTarget | str | _Later = 'smallest',
        io_type: tfx_loop.optimization.quantizer.modes.IoType | str | _Later = 'float',
        calibration_splits: Sequence[str] | _Later = ('train',),
        calibration_rows: int | _Later = 300,
        measure_splits: Sequence[str] | _Later = ('eval',),
        fine_tuning: tfx_loop.optimization.fine_tuning.settings.FineTuningSettings | Mapping[str, Any] | None | _Later = None,
        training_splits: Sequence[str] | _Later = ('train',),
        confidence: float | _Later = 0.95,
        seed: int | _Later = 0,
        timeout_seconds: float | _Later = 600,
        memory_mb: float | _Later = 8192,
    ) -> None: ...


class ReferenceProfiler(tfx_loop.monitoring.reference_profiler.component.ReferenceProfiler):
    """Freezes what a model was trained on: bins, exact counts and a seeded sample.

    A number has bins of equal mass, a text its top categories, with exact counts; texts are
    profiled by length and words, too, lists by length and values. Beside them stand the histogram
    of the model's scores with the labels by bin, permutation importances, and a seeded sample of
    training rows. The training rows are also counted by day and by slice, so that DriftMonitor can
    tell a season from a drift.

    Args:
        examples: Gzipped TFRecords of tf.Examples that the model was trained on.
        schema: With it only the schema's features are read.
        model: The model trained on them; it ties the profile to the model in the lineage.
        numeric_bins: Equal-mass bins of a number, from 32 to 64; fewer where values tie.
        max_categories: Categories with a bin of their own; an integer feature with more distinct
            values than this is binned as a number.
        label_key: Label column, kept in the sample and not profiled as a feature.
        score_key: Column of the examples with the model's score, a probability, for prediction
            drift; with `score_signature` the name of that signature's output.
        score_signature: Signature of `model` that takes serialized tf.Examples and gives the score;
            empty runs no model.
        score_splits: Splits to score with the model; held out from training by default.
        ignore_features: Columns to keep in the sample and not to profile.
        profile_features: Columns to profile though they read as dates, times or keys, which differ
            between any two windows and are left out.
        splits: Splits that the model was trained on.
        sample_rows: Most rows of the sample, at most 20,000.
        seed: Seed of the sample.
        slice_features: Columns with few values by which windows are sliced.
        importance_rows: Rows of `score_splits` on which each column is shuffled to see what the
            model loses; 0 for none. Needs `score_signature`.
        count_windows: By what the training rows are counted apart, so that DriftMonitor can tell a
            season from a drift: `day` or `hour` of `event_time_ms`, empty for neither.

    Outputs:
        reference_profile: `ReferenceProfile`: `reference_profile.json`, `training_sample.parquet`,
            `training_counts.packed` (counts by day and by slice), and the custom properties `rows`,
            `label` and `spans`.

    Example:
        profiler = ReferenceProfiler(
            examples=example_gen.outputs["examples"],
            schema=schema_gen.outputs["schema"],
            model=trainer.outputs["model"],
            label_key="tips",
        )
    """

    def __init__(
        self,
        *,
        examples: BaseChannel,
        schema: BaseChannel | None = None,
        model: BaseChannel | None = None,
        numeric_bins: int | _Later = 32,
        max_categories: int | _Later = 63,
        label_key: str | _Later = '',
        score_key: str | _Later = '',
        score_signature: str | _Later = '',
        score_splits: Sequence[str] | _Later = ('eval',),
        ignore_features: Sequence[str] | _Later = (),
        profile_features: Sequence[str] | _Later = (),
        splits: Sequence[str] | _Later = ('train',),
        sample_rows: int | _Later = 20000,
        seed: int | _Later = 0,
        slice_features: Sequence[str] | _Later = (),
        importance_rows: int | _Later = 1000,
        count_windows: str | _Later = 'day',
    ) -> None: ...


class RetrainDecider(tfx_loop.monitoring.retrain_decider.component.RetrainDecider):
    """Measures what a retraining would save, and says RETRAIN when that pays for one.

    It measures the avoidable loss: a cheap pair of models (gradient boosting and a linear one) is
    fitted on what the champion was trained on, and on what a retraining would be trained on; on
    rows of the newest labelled window that neither saw, their losses are compared. Savings add up
    from window to window; when they reach what a training costs, the verdict is RETRAIN. A saving
    counts when it is certain by itself, or when the champion's loss has clearly risen above what it
    was on rows held out of its own training; none counts while the champion does clearly better
    than that. Broken data, too few rows and too few labels hold a retraining back before anything
    is measured.

    Reasons: `retraining_pays`; `data_fault`, `too_few_rows`, `too_few_labels`,
    `labels_of_one_class`, `no_avoidable_loss`, `better_than_promised`,
    `saving_below_training_cost`.

    Args:
        drift_report: What moved in the window that just ended.
        labelled_log: Labelled predictions of all windows since the champion's training data ended,
            the newest labelled window among them.
        reference_profile: The champion's, with the sample of its training rows.
        evaluation: The champion's quality on the labelled rows: evidence in the lineage.
        previous_decision: The decision of the window before, on whatever champion: savings add up
            while the champion stays the same.
        training_cost: Of one training, in units of one window's loss.
        certain_z: Standard errors by which a saving must stand out to count by itself.
        risen_z: Standard errors by which the champion's loss must exceed the expected one for any
            saving to count.
        better_z: Standard errors by which it must fall below for none to count.
        late_windows: Windows served since the label window ended: their labels are to come.
        min_rows: Rows that a window must have.
        min_labelled_rows: Labelled rows that the newest labelled window must have.
        measure: How avoidable loss is measured.
        model_name: The name that the model is served under.
        window: Name of the window that just ended, such as "2013-05".
        label_window: Name of the newest window whose labels have arrived, such as "2013-04".
        label_start_ms: Begin of the label window, milliseconds UTC.
        label_end_ms: End of the label window, exclusive.
        training_start_ms: A retraining would use rows from this time on, milliseconds UTC; None
            takes all there are.

    Outputs:
        decision: `RetrainDecision` (RETRAIN or HOLD, a reason, one sentence, the evidence):
            `retrain_decision.json`, and the custom properties `verdict`, `reason`, `window`,
            `model_version`, `retrain` (1 or 0), `avoidable_loss` (in units of one window's loss)
            and `accumulated`.

    Example:
        decider = RetrainDecider(
            drift_report=drift.outputs["drift_report"],
            labelled_log=joiner.outputs["labelled_log"],
            reference_profile=profiler.outputs["reference_profile"],
            evaluation=quality.outputs["evaluation"],
            model_name="taxi",
            window="2013-03",
            label_window="2013-03",
            label_start_ms=1_362_096_000_000,
            label_end_ms=1_364_774_400_000,
            training_cost=0.02,
        )
    """

    def __init__(
        self,
        *,
        drift_report: BaseChannel,
        labelled_log: BaseChannel,
        reference_profile: BaseChannel,
        model_name: str | _Later,
        window: str | _Later,
        label_window: str | _Later,
        label_start_ms: int | _Later,
        label_end_ms: int | _Later,
        evaluation: BaseChannel | None = None,
        previous_decision: BaseChannel | None = None,
        training_cost: float | _Later = 0.02,
        certain_z: float | _Later = 4.0,
        risen_z: float | _Later = 2.0,
        better_z: float | _Later = 1.5,
        late_windows: int | _Later = 1,
        min_rows: int | _Later = 200,
        min_labelled_rows: int | _Later = 200,
        measure: tfx_loop.monitoring.retrain_decider.avoidable_loss.MeasureSettings | Mapping[str, Any] | _Later = ...,
        training_start_ms: int | None | _Later = None,
    ) -> None: ...


class ServingPusher(tfx_loop.deployment.serving_pusher.component.ServingPusher):
    """Pushes a blessed model to a server that watches a base path, and sees that it serves.

    The version is staged beside the others, synced and renamed; it counts as pushed when the server
    reports it AVAILABLE and answers a few rows of the examples as the model does in the pipeline.
    Otherwise it is withdrawn, the version before serves on, and the run fails with the reason.
    `deployment.json` beside the versions says what serves now and what served before. Works with TF
    Serving and with `loop-model-server`. An unblessed model is recorded as not pushed; the run goes
    on.

    With `target="devices"` the model is a bundle of EdgeBundler, and `base_path` a folder or
    bucket. The bundle goes under its digest; `rollout.json` keeps the history; devices read
    `latest.json`, which is replaced whole, as the stages of a roll-out reach them. A resumed run
    does not undo a roll-back.

    Args:
        model: The `Model` that is pushed: a SavedModel, or a TFLite model (`Format-Serving/tflite`,
            which becomes `model.tflite`). Its custom property `variant`, if any, is recorded.
        examples: `Examples` from which the golden requests are taken; a server needs them, a bundle
            brings its own.
        model_blessing: `ModelBlessing` of Evaluator; when given, an unblessed model is not pushed.
        reference_profile: Of ReferenceProfiler; noted in the deployment record, for DriftMonitor.
        model_name: Name that the server serves it under, or that the bundle has.
        base_path: Folder of numbered versions that the server watches; of devices the folder or
            bucket that they fetch from.
        server_url: REST address of the server, such as `http://127.0.0.1:8501`; devices need none.
        load_timeout_seconds: How long the version may take to become available.
        golden_rows: How many rows are asked and compared.
        target: `server` or `devices`.
        rollout_stages: For devices, pairs of group and percentage, in order; empty is the group
            `canary`, then 10, 50 and 100 % of the group `default`. The last stage makes the version
            everybody's.

    Outputs:
        pushed_model: `PushedModel` with the custom properties `pushed` (1 or 0), `pushed_version`,
            `pushed_destination`, `model_digest`, `variant`, `replaced_version`, `pushed_at_ms`; of
            devices also `rollout_state` and `rollout_stage`.

    Example:
        pusher = ServingPusher(
            model=trainer.outputs["model"],
            model_blessing=evaluator.outputs["blessing"],
            reference_profile=profiler.outputs["reference_profile"],
            examples=example_gen.outputs["examples"],
            model_name="taxi",
            base_path="/srv/models/taxi",
            server_url="http://127.0.0.1:8501",
        )
    """

    def __init__(
        self,
        *,
        model: BaseChannel,
        model_name: str | _Later,
        base_path: str | _Later,
        examples: BaseChannel | None = None,
        model_blessing: BaseChannel | None = None,
        reference_profile: BaseChannel | None = None,
        server_url: str | _Later = '',
        load_timeout_seconds: int | _Later = 120,
        golden_rows: int | _Later = 8,
        target: str | _Later = 'server',
        rollout_stages: Sequence[tuple[str, float]] | _Later = (),
    ) -> None: ...


class SkewMonitor(tfx_loop.monitoring.skew_monitor.component.SkewMonitor):
    """Compares rows of the training sample with the same rows as the server saw them.

    Rows are found by keys. There is no test and no threshold of chance: what differs beyond
    rounding is a fault in one of two feature pipelines. Rounding to float32 is no skew, whole
    numbers must be equal, and of a row that was served twice the first counts. What the reference
    ignores (label, calendar, keys) is not compared; a feature that only one side has is skew unless
    it is ignored. Nothing is held back by the verdict; gate on its property where you want to.

    Reasons: `no_skew`; `type_changed`, `feature_absent` (one side lacks it), `feature_missing` (one
    side never has a value), `values_differ`; `no_common_rows`, `too_few_common_rows`,
    `no_common_features`.

    Args:
        reference_profile: The frozen profile of a model, with the keys in its training sample:
            SpanExampleGen's `keep_key`, or columns of the spans, named in ReferenceProfiler's
            `ignore_features`.
        prediction_log: A log of a time that was trained on, of any model with these features.
        ignore_features: Columns that are not compared, besides those that the reference ignores.
        tolerated: Share of the rows that may differ in a feature, in [0, 1).
        min_rows: Common rows needed, at least 1.
        keys: Columns that name a row, as `TRAINING=SERVED` where the log calls it otherwise: one of
            its columns (`request_id`) or a feature.

    Outputs:
        skew_report: `SkewReport` (CONSISTENT, SKEWED or NOT_ENOUGH_DATA): `skew_report.json`, the
            same as a page (`skew_report.html`), and the custom properties `verdict`, `reason`,
            `window`, `rows` and `skewed_features`.

    Example:
        skew = SkewMonitor(
            reference_profile=profiler.outputs["reference_profile"],
            prediction_log=log.outputs["prediction_log"],
            keys=["trip_id=request_id"],
        )
    """

    def __init__(
        self,
        *,
        reference_profile: BaseChannel,
        prediction_log: BaseChannel,
        keys: Sequence[str] | _Later,
        ignore_features: Sequence[str] | _Later = (),
        tolerated: float | _Later = 0.001,
        min_rows: int | _Later = 50,
    ) -> None: ...


class SpanExampleGen(tfx_loop.data.span_example_gen.component.SpanExampleGen):
    """Reads one Parquet file a span (a month, a day) and writes them as one Examples artifact.

    Stock ExampleGen reads one span at a run, and each run costs a Beam pipeline; a training over
    ten months would read each month ten times. This node reads the spans given, in seconds and
    without Beam. A row's split depends on its key alone: a row that was held out once stays held
    out in every later training. So does a group (a day, a machine, an account) where one is named:
    quality is overestimated when rows that share their luck stand on both sides.

    Args:
        decision: The `RetrainDecision` that asked for this training, if one did. It is not read: it
            is an input so that lineage can say why the model exists.
        key_column: Column that identifies a row; it decides the split and is then dropped.
        group_column: Column that decides the split in place of the key, and is dropped, too: rows
            of one value (a day, a machine, an account) are held out together. Empty splits row by
            row.
        label_column: Rows without this label are left out; empty keeps all.
        eval_fraction: Share of the rows held out, in (0, 1).
        seed: Another seed holds out other rows.
        keep_key: Keep the key in the examples, for SkewMonitor to find rows by. Keep the model from
            it: leave it out of the schema that Transform reads.
        input_base: Folder or URI that holds the spans.
        spans: Which spans to read, such as "1,2,3".
        pattern: File name of a span below `input_base`, with `{SPAN}`.

    Outputs:
        examples: `Examples` (gzipped TFRecords of tf.Examples, splits `train` and `eval`) with the
            custom properties `spans` (such as "1,2,3") and `rows`.

    Example:
        example_gen = SpanExampleGen(
            input_base="/srv/spans",
            spans="1,2,3",
            key_column="trip_id",
            label_column="tips",
        )
    """

    def __init__(
        self,
        *,
        key_column: str | _Later,
        input_base: str | _Later,
        spans: str | _Later,
        decision: BaseChannel | None = None,
        group_column: str | _Later = '',
        label_column: str | _Later = '',
        eval_fraction: float | _Later = 0.2,
        seed: int | _Later = 0,
        keep_key: bool | _Later = False,
        pattern: str | _Later = 'span-{SPAN:02d}.parquet',
    ) -> None: ...


class VariantChooser(tfx_loop.optimization.variant_chooser.component.VariantChooser):
    """Chooses the smallest or fastest of the variants that passed the gate.

    The first is what the others were made from: it stays when no other is better, and when its own
    gate refused it, none is deployed.

    `tfx_loop.pipelines.compression.compression` puts Distiller, Pruner, Quantizer, an Evaluator for
    each variant and the chooser together, any of the optimisers left out.
    `tfx_loop.pipelines.evaluation.variant_extractors` (Evaluator's `module_path`) lets TFMA judge a
    TFLite variant beside the float SavedModel, which stock TFMA refuses.

    Outputs:
        model: A copy of the chosen one; custom properties `variant` and `chosen_from`.
        model_blessing: `ModelBlessing`, not blessed when nothing passed, so that a pusher holds
            back.
        optimization_report: `OptimizationReport` with a reason for every variant.

    Example:
        chooser = VariantChooser(
            variants=[
                Variant(
                    name="float",
                    model=trainer.outputs["model"],
                    blessing=evaluator.outputs["blessing"],
                ),
                Variant(
                    name="quantized",
                    model=quantizer.outputs["model"],
                    report=quantizer.outputs["optimization_report"],
                ),
            ],
        )
    """

    def __init__(
        self,
        *,
        variants: Sequence[Variant],
        target: str | _Later = 'smallest',
    ) -> None: ...
