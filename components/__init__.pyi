"""Written by `make docs-components` from the nodes' declarations; see `tfx_loop/__init__.py`."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from tfx.dsl.placeholder.placeholder import Placeholder
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.channel import BaseChannel

import tfx_loop.contracts.capture_source
import tfx_loop.contracts.measured_loss
import tfx_loop.contracts.retrain_decision
import tfx_loop.contracts.task
import tfx_loop.contracts.version_contest
import tfx_loop.data.prediction_log.component
import tfx_loop.data.prediction_log.label_joiner
import tfx_loop.data.span_example_gen.component
import tfx_loop.deployment.sagemaker_pusher.component
import tfx_loop.deployment.serving_pusher.component
import tfx_loop.edge.edge_bundler.component
import tfx_loop.edge.edgetpu_compiler.component
import tfx_loop.monitoring.drift.settings
import tfx_loop.monitoring.drift_monitor.component
import tfx_loop.monitoring.fault_detector.component
import tfx_loop.monitoring.privacy_report.component
import tfx_loop.monitoring.profile.column_roles
import tfx_loop.monitoring.quality_monitor.component
import tfx_loop.monitoring.reference_profiler.component
import tfx_loop.monitoring.retrain_decider.avoidable_loss
import tfx_loop.monitoring.retrain_decider.component
import tfx_loop.monitoring.retrain_decider.reinstatement
import tfx_loop.monitoring.skew_monitor.component
import tfx_loop.optimization.compression_target
import tfx_loop.optimization.distiller.component
import tfx_loop.optimization.distiller.settings
import tfx_loop.optimization.fine_tuning.settings
import tfx_loop.optimization.pruner.component
import tfx_loop.optimization.pruner.settings
import tfx_loop.optimization.quantizer.component
import tfx_loop.optimization.quantizer.modes
import tfx_loop.optimization.variant_chooser.component
from tfx_loop.pipelines.control.windows import Days as Days
from tfx_loop.core.artifacts import DriftReport as DriftReport
from tfx_loop.core.artifacts import EdgeTpuReport as EdgeTpuReport
from tfx_loop.pipelines.control.windows import Every as Every
from tfx_loop.core.artifacts import FaultReport as FaultReport
from tfx_loop.pipelines.control.label_timing import Labels as Labels
from tfx_loop.pipelines.loop import Loop as Loop
from tfx_loop.core.artifacts import MembershipReport as MembershipReport
from tfx_loop.pipelines.control.windows import Months as Months
from tfx_loop.core.artifacts import OptimizationReport as OptimizationReport
from tfx_loop.core.artifacts import PredictionLog as PredictionLog
from tfx_loop.core.artifacts import ReferenceProfile as ReferenceProfile
from tfx_loop.core.artifacts import RetrainDecision as RetrainDecision
from tfx_loop.pipelines.loop_settings import Serving as Serving
from tfx_loop.core.artifacts import SkewReport as SkewReport
from tfx_loop.optimization.variant_chooser.component import Variant as Variant
from tfx_loop.optimization.file_compression.python_api import compress as compress
from tfx_loop.monitoring.file_comparison.python_api import monitor as monitor

__all__: list[str]
__version__: str

# What has its value when the pipeline runs.
_Later: TypeAlias = RuntimeParameter | Placeholder


class Distiller(tfx_loop.optimization.distiller.component.Distiller):
    """Trains a student of the user's on the answers of a teacher and on the labels."""

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
        allow: Sequence[str] | _Later = (),
        label_key: str | None | _Later = None,
        eval_config: Any = None,
        metric: str | None | _Later = None,
        max_metric_drop: float | None | _Later = None,
        max_slice_drop: float | None | _Later = None,
        parse_fn: str | None | _Later = None,
        export_fn: str | None | _Later = None,
        training_splits: Sequence[str] | _Later = ('train',),
        reporting_splits: Sequence[str] | _Later = ('eval',),
        timeout_seconds: int | _Later = 3600,
        memory_mb: int | _Later = 8192,
    ) -> None: ...


class DriftMonitor(tfx_loop.monitoring.drift_monitor.component.DriftMonitor):
    """Compares a window of the prediction log with the model's frozen reference."""

    def __init__(
        self,
        *,
        prediction_log: BaseChannel,
        reference_profile: BaseChannel,
        previous_report: BaseChannel | None = None,
        evaluation: BaseChannel | None = None,
        schema: BaseChannel | None = None,
        redact: Sequence[str] | _Later = (),
        min_count: int | _Later = 5,
        redact_key: str | _Later = '~/.config/tfx-loop/redaction.key',
        q: float | _Later = 0.025,
        psi_floor: float | _Later = 0.02,
        min_rows: int | _Later = 100,
        windows_needed: int | _Later = 1,
        windows_looked_at: int | _Later = 1,
        release: float | _Later = 0.5,
        season_floors: Mapping[str, float] | _Later = ...,
        ignore_features: Sequence[str] | _Later = (),
        roles: tfx_loop.monitoring.profile.column_roles.ColumnRoles | Mapping[str, Any] | _Later = ...,
        thresholds: Mapping[str, tfx_loop.monitoring.drift.settings.ColumnThresholds | Mapping[str, Any]] | _Later = ...,
        score_output: str | _Later = 'output.probability',
        score_threshold: float | _Later = 0.5,
        fault_settings: tfx_loop.monitoring.drift.settings.FaultSettings | Mapping[str, Any] | _Later = ...,
        arrival_settings: tfx_loop.monitoring.drift.settings.ArrivalSettings | Mapping[str, Any] | _Later = ...,
        window: str | _Later = '',
        model_name: str | _Later = '',
        calibrate: bool | _Later = True,
        parse_fn: str | _Later = '',
        multivariate: bool | _Later = False,
    ) -> None: ...


class EdgeBundler(tfx_loop.edge.edge_bundler.component.EdgeBundler):
    """Packs CPU model, compiled model, labels, golden answers and SHA-256 digests for devices."""

    def __init__(
        self,
        *,
        model: BaseChannel,
        examples: BaseChannel,
        name: str | _Later,
        compiled_with: BaseChannel | None = None,
        edgetpu_report: BaseChannel | None = None,
        allow: Sequence[str] | _Later = (),
        signing_key: str | _Later = '',
        signing_certificate: str | _Later = '',
        cpu_steps: float | _Later = 1.0,
        edge_tpu_steps: float | _Later = 8.0,
        labels: Sequence[str] | _Later = (),
        golden_rows: int | _Later = 8,
        redact: Sequence[str] | _Later = (),
        companion: int | _Later = 0,
    ) -> None: ...


class EdgeTPUCompiler(tfx_loop.edge.edgetpu_compiler.component.EdgeTPUCompiler):
    """Compiles an int8 model for the Edge TPU, or checks it where there is no compiler."""

    def __init__(
        self,
        *,
        model: BaseChannel,
        companion_1: BaseChannel | None = None,
        companion_2: BaseChannel | None = None,
        companion_3: BaseChannel | None = None,
        allow: Sequence[str] | _Later = (),
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


class FaultDetector(tfx_loop.monitoring.fault_detector.component.FaultDetector):
    """Finds over-fitting, under-fitting and leakage, and holds the push back."""

    def __init__(
        self,
        *,
        model: BaseChannel,
        examples: BaseChannel,
        label_key: str | _Later,
        score_key: str | _Later,
        transform_graph: BaseChannel | None = None,
        blessing: BaseChannel | None = None,
        model_run: BaseChannel | None = None,
        allow: Sequence[str] | _Later = (),
        tolerance: float | _Later = 0.05,
        acknowledged: Mapping[str, str] | _Later = ...,
        blocking: Sequence[str] | _Later = (),
        max_rows: int | _Later = 20000,
        seed: int | _Later = 0,
        group_column: str | _Later = '',
        time_column: str | _Later = '',
        ignore_features: Sequence[str] | _Later = (),
        feature_times: Mapping[str, str] | _Later = ...,
        label_time_column: str | _Later = '',
        score_signature: str | _Later = 'serving_default',
        training_splits: Sequence[str] | _Later = ('train',),
        held_out_splits: Sequence[str] | _Later = ('eval',),
        analyzed_splits: Sequence[str] | _Later = (),
        parse_fn: str | _Later = '',
    ) -> None: ...


class LabelJoiner(tfx_loop.data.prediction_log.label_joiner.LabelJoiner):
    """Adds the labels that have arrived to the rows of a window."""

    def __init__(
        self,
        *,
        prediction_log: BaseChannel,
        labels_dir: str | _Later,
        as_of_ms: int | None | _Later = None,
        task: tfx_loop.contracts.task.ModelTask | Mapping[str, Any] | str | None | _Later = None,
        corrections: bool | _Later = False,
    ) -> None: ...


class PredictionLogGen(tfx_loop.data.prediction_log.component.PredictionLogGen):
    """Reads what model servers logged, or SageMaker captured, in a window, each instance once."""

    def __init__(
        self,
        *,
        model_name: str | _Later,
        window: str | _Later,
        start_ms: int | _Later,
        end_ms: int | _Later,
        inference_result: BaseChannel | None = None,
        log_dir: str | _Later = '',
        log_key: str | _Later = '',
        capture: tfx_loop.contracts.capture_source.CaptureSource | Mapping[str, Any] | str | None | _Later = None,
    ) -> None: ...


class PrivacyReport(tfx_loop.monitoring.privacy_report.component.PrivacyReport):
    """Tries to tell the rows that a model was trained on from others, by its losses."""

    def __init__(
        self,
        *,
        model: BaseChannel,
        examples: BaseChannel,
        label_key: str | _Later,
        score_key: str | _Later,
        transform_graph: BaseChannel | None = None,
        allow: Sequence[str] | _Later = (),
        threshold: float | _Later = 0.55,
        max_rows: int | _Later = 2000,
        folds: int | _Later = 5,
        seed: int | _Later = 0,
        score_signature: str | _Later = 'serving_default',
        member_splits: Sequence[str] | _Later = ('train',),
        other_splits: Sequence[str] | _Later = ('eval',),
        ignore_features: Sequence[str] | _Later = (),
    ) -> None: ...


class Pruner(tfx_loop.optimization.pruner.component.Pruner):
    """Makes weights zero, or share values, while the network is trained on with its own loss."""

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
        output: str | _Later = '',
        clustering: tfx_loop.optimization.fine_tuning.settings.FineTuningSettings | Mapping[str, Any] | None | _Later = None,
        fine_tuning: tfx_loop.optimization.fine_tuning.settings.FineTuningSettings | Mapping[str, Any] | _Later = ...,
        allow: Sequence[str] | _Later = (),
        label_key: str | None | _Later = None,
        eval_config: Any = None,
        metric: str | None | _Later = None,
        max_metric_drop: float | None | _Later = None,
        max_slice_drop: float | None | _Later = None,
        parse_fn: str | None | _Later = None,
        export_fn: str | None | _Later = None,
        training_splits: Sequence[str] | _Later = ('train',),
        reporting_splits: Sequence[str] | _Later = ('eval',),
        timeout_seconds: int | _Later = 3600,
        memory_mb: int | _Later = 8192,
    ) -> None: ...


class QualityMonitor(tfx_loop.monitoring.quality_monitor.component.QualityMonitor):
    """Measures the served predictions of a window against their labels; no model runs again."""

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
        promise_share: float | _Later = 0.1,
        promise_z: float | _Later = 3.0,
        redact: Sequence[str] | _Later = (),
        min_count: int | _Later = 5,
        redact_key: str | _Later = '~/.config/tfx-loop/redaction.key',
        task: tfx_loop.contracts.task.ModelTask | Mapping[str, Any] | str | None | _Later = None,
        tolerated_rise: float | _Later = 0.0,
        rows_between_false_alarms: float | _Later = 1000000.0,
    ) -> None: ...


class Quantizer(tfx_loop.optimization.quantizer.component.Quantizer):
    """Quantises a model as far as a stated budget allows."""

    def __init__(
        self,
        *,
        model: BaseChannel,
        examples: BaseChannel,
        transform_graph: BaseChannel | None = None,
        allow: Sequence[str] | _Later = (),
        mode: str | _Later = 'search',
        max_metric_drop: float | None | _Later = 0.005,
        max_slice_drop: float | None | _Later = None,
        eval_config: Any = '',
        metric: str | _Later = '',
        label_key: str | _Later = '',
        slice_features: Sequence[str] | _Later = (),
        output: str | _Later = '',
        classes: Sequence[str] | _Later = (),
        signature: str | _Later = '',
        parse_fn: str | _Later = '',
        target: tfx_loop.optimization.compression_target.CompressionTarget | str | _Later = 'smallest',
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
    """Freezes what a model was trained on: bins, exact counts and a seeded sample."""

    def __init__(
        self,
        *,
        examples: BaseChannel,
        schema: BaseChannel | None = None,
        model: BaseChannel | None = None,
        allow: Sequence[str] | _Later = (),
        redact: Sequence[str] | _Later = (),
        min_count: int | _Later = 5,
        redact_key: str | _Later = '~/.config/tfx-loop/redaction.key',
        numeric_bins: int | _Later = 32,
        max_categories: int | _Later = 63,
        label_key: str | _Later = '',
        task: tfx_loop.contracts.task.ModelTask | Mapping[str, Any] | str | None | _Later = None,
        score_key: str | _Later = '',
        score_signature: str | _Later = '',
        score_splits: Sequence[str] | _Later = ('eval',),
        ignore_features: Sequence[str] | _Later = (),
        roles: tfx_loop.monitoring.profile.column_roles.ColumnRoles | Mapping[str, Any] | _Later = ...,
        profile_features: Sequence[str] | _Later = (),
        parse_fn: str | _Later = '',
        splits: Sequence[str] | _Later = ('train',),
        sample_rows: int | _Later = 20000,
        seed: int | _Later = 0,
        slice_features: Sequence[str] | _Later = (),
        importance_rows: int | _Later = 1000,
        count_windows: str | _Later = 'day',
        training_sample: str | _Later = 'rows',
    ) -> None: ...


class RetrainDecider(tfx_loop.monitoring.retrain_decider.component.RetrainDecider):
    """Measures what a retraining would save, and says RETRAIN when that pays for one."""

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
        fault_share: float | _Later = 0.5,
        fault_z: float | _Later = 3.0,
        on_model_fault: tfx_loop.contracts.retrain_decision.DecisionAction | str | _Later = 'retrain',
        min_rows: int | _Later = 200,
        min_labelled_rows: int | _Later = 200,
        measure: tfx_loop.monitoring.retrain_decider.avoidable_loss.MeasureSettings | Mapping[str, Any] | _Later = ...,
        reinstatement: tfx_loop.monitoring.retrain_decider.reinstatement.ReinstatementSettings | Mapping[str, Any] | _Later = ...,
        training_start_ms: int | None | _Later = None,
        score_output: str | _Later = 'output.probability',
        quarantined: Sequence[tfx_loop.contracts.measured_loss.FaultyWindow | Mapping[str, Any]] | _Later = (),
        champion_version: int | _Later = 0,
        champion_model_uri: str | _Later = '',
        pool: Sequence[tfx_loop.contracts.version_contest.PoolVersion | Mapping[str, Any]] | _Later = (),
        parse_fn: str | _Later = '',
    ) -> None: ...


class SageMakerPusher(tfx_loop.deployment.sagemaker_pusher.component.SageMakerPusher):
    """Pushes a blessed SavedModel to an endpoint of AWS SageMaker, and sees that it serves."""

    def __init__(
        self,
        *,
        examples: BaseChannel,
        model: BaseChannel | None = None,
        model_blessing: BaseChannel | None = None,
        infra_blessing: BaseChannel | None = None,
        reference_profile: BaseChannel | None = None,
        evaluation: BaseChannel | None = None,
        allow: Sequence[str] | _Later = (),
        canary_percent: int | _Later = 0,
        linear_percent: int | _Later = 0,
        wait_seconds: int | _Later = 0,
        termination_wait_seconds: int | _Later = 0,
        maximum_seconds: int | _Later = 0,
        rollback_alarms: Sequence[str] | _Later = (),
        endpoint: str | _Later = '',
        region: str | _Later = '',
        role_arn: str | _Later = '',
        image: str | _Later = '',
        instance_type: str | _Later = '',
        instance_count: int | _Later = 1,
        serverless_memory_mb: int | _Later = 0,
        serverless_concurrency: int | _Later = 5,
        variant_name: str | _Later = 'AllTraffic',
        environment: Mapping[str, str] | _Later = ...,
        capture_uri: str | _Later = '',
        capture_percent: int | _Later = 100,
        capture_kms_key: str | _Later = '',
        tags: Mapping[str, str] | _Later = ...,
        base_path: str | _Later = '',
        model_name: str | _Later = '',
        prove_first: bool | _Later = True,
        shadow_seconds: int | _Later = 0,
        min_agreement: float | _Later = 0.0,
        golden_rows: int | _Later = 8,
        redact: Sequence[str] | _Later = (),
        signature_name: str | _Later = '',
        golden_features: Mapping[str, Sequence[str]] | _Later = ...,
        max_latency_ms: int | _Later = 5000,
        endpoint_timeout_seconds: int | _Later = 3600,
        lock_timeout_seconds: int | _Later = 600,
        model_package_group: str | _Later = '',
        approval_wait_seconds: int | _Later = 0,
        code_revision: str | _Later = '',
    ) -> None: ...


class ServingPusher(tfx_loop.deployment.serving_pusher.component.ServingPusher):
    """Pushes a blessed model to a server that watches a base path, and sees that it serves."""

    def __init__(
        self,
        *,
        model: BaseChannel | None = None,
        examples: BaseChannel | None = None,
        model_blessing: BaseChannel | None = None,
        infra_blessing: BaseChannel | None = None,
        reference_profile: BaseChannel | None = None,
        prediction_log: BaseChannel | None = None,
        allow: Sequence[str] | _Later = (),
        signing_key: str | _Later = '',
        signing_certificate: str | _Later = '',
        model_name: str | _Later = '',
        base_path: str | _Later = '',
        server_url: str | _Later = '',
        pinned_at: str | _Later = '',
        token_file: str | _Later = '',
        ca_file: str | _Later = '',
        client_certificate: str | _Later = '',
        client_key: str | _Later = '',
        push_destination: Any = None,
        custom_config: Mapping[str, Any] | None | _Later = None,
        load_timeout_seconds: int | _Later = 120,
        lock_timeout_seconds: int | _Later = 600,
        golden_rows: int | _Later = 8,
        redact: Sequence[str] | _Later = (),
        signature_name: str | _Later = '',
        golden_features: Mapping[str, Sequence[str]] | _Later = ...,
        max_latency_ms: int | _Later = 5000,
        canary_share: float | _Later = 0.0,
        probation_seconds: int | _Later = 0,
        keep_versions: int | _Later = 0,
        shadow_rows: int | _Later = 256,
        min_agreement: float | _Later = 0.0,
        max_loss_ratio: float | _Later = 0.0,
        code_revision: str | _Later = '',
        target: str | _Later = 'server',
        rollout_stages: Sequence[tuple[str, float]] | _Later = (),
    ) -> None: ...


class SkewMonitor(tfx_loop.monitoring.skew_monitor.component.SkewMonitor):
    """Compares rows of the training sample with the same rows as the server saw them."""

    def __init__(
        self,
        *,
        reference_profile: BaseChannel,
        prediction_log: BaseChannel,
        keys: Sequence[str] | _Later,
        redact: Sequence[str] | _Later = (),
        min_count: int | _Later = 5,
        redact_key: str | _Later = '~/.config/tfx-loop/redaction.key',
        ignore_features: Sequence[str] | _Later = (),
        tolerated: float | _Later = 0.001,
        min_rows: int | _Later = 50,
        examples: bool | _Later = False,
        parse_fn: str | _Later = '',
    ) -> None: ...


class SpanExampleGen(tfx_loop.data.span_example_gen.component.SpanExampleGen):
    """Reads one Parquet file a span (a month, a day) and writes them as one Examples artifact."""

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
    """Chooses the smallest or fastest of the variants that passed the gate."""

    def __init__(
        self,
        *,
        variants: Sequence[Variant],
        target: str | _Later = 'smallest',
    ) -> None: ...
