"""A report with all its parts, as a search over a small image model leaves it."""

from tfx_loop.contracts.optimization_report import (
    Interval,
    Latency,
    Layer,
    MetricUsed,
    ModelFacts,
    OptimizationReason,
    OptimizationResult,
    OptimizationVerdict,
    Parity,
    Rung,
    RungStatus,
    Size,
    SliceResult,
    SliceStatus,
)

_LAYERS = (
    ("conv2d", (3, 3, 3, 16), 448),
    ("res1/conv2d_1", (3, 3, 16, 16), 2320),
    ("res1/conv2d_2", (3, 3, 16, 16), 2320),
    ("res2/conv2d_3", (3, 3, 16, 32), 4640),
    ("res2/conv2d_4", (3, 3, 32, 32), 9248),
    ("res3/conv2d_6", (3, 3, 32, 64), 18496),
    ("res3/conv2d_7", (3, 3, 64, 64), 36928),
    ("dense", (64, 10), 650),
)


def rung(name, mode, status, size, drop, reach, why, **more):
    metric = 0.9512 - drop
    return Rung(
        name=name,
        mode=mode,
        status=status,
        reason="x",
        explanation=why,
        size=Size(raw_bytes=size, zipped_bytes=int(size * 0.86)),
        metric=Interval(value=metric, low=metric - 0.02, high=metric + 0.02),
        drop=Interval(value=drop, low=drop - reach, high=drop + reach),
        limit=0.005,
        parity=Parity(
            max_difference=0.4 * reach, mean_difference=0.01, top_class_agreement=1 - drop / 2
        ),
        **more,
    )


RUNGS = (
    rung(
        "int8", "int8", RungStatus.OVER_BUDGET, 98_496, 0.0893, 0.014, "loses 0.0893 of 0.005",
        layer_errors={n: e for (n, _, _), e in zip(
            _LAYERS, (2.9, 0.34, 0.41, 0.3, 0.31, 0.29, 0.33, 1.4), strict=True)},
    ),
    rung(
        "selective int8, 2 in float", "selective_int8", RungStatus.CHOSEN, 104_812, 0.0012, 0.003,
        "the smallest that keeps to the budget", float_layers=("conv2d", "dense"),
        layer_errors={n: e for (n, _, _), e in zip(
            _LAYERS, (2.9, 0.34, 0.41, 0.3, 0.31, 0.29, 0.33, 1.4), strict=True)},
    ),
    rung("int16x8", "int16x8", RungStatus.KEPT, 113_004, 0.0004, 0.002, "larger than the chosen"),
    rung("float16", "float16", RungStatus.KEPT, 163_200, 0.0, 0.001, "larger than the chosen"),
    rung(
        "dynamic range", "dynamic_range", RungStatus.KEPT, 101_120, 0.0068, 0.0042,
        "loses 0.0068 of 0.005",
    ),
    Rung(
        name="float", mode="float", status=RungStatus.FAILED, reason="conversion_failed",
        explanation="could not be converted: aborted (SIGABRT)",
    ),
)  # fmt: skip


def part(name, rows, drop, reach, status=SliceStatus.WITHIN, limit=0.02):
    return SliceResult(
        slice=name,
        rows=rows,
        parent=Interval(value=0.95, low=0.93, high=0.97),
        child=Interval(value=0.95 - drop, low=0.92, high=0.97),
        drop=Interval(value=drop, low=drop - reach, high=drop + reach),
        limit=limit,
        status=status,
    )


def facts(path, form, mode, size, latency, runtime):
    return ModelFacts(
        path=path,
        format=form,
        mode=mode,
        runtime=runtime,
        size=Size(raw_bytes=size, zipped_bytes=int(size * 0.84)),
        parameters=sum(count for *_, count in _LAYERS),
        sparsity=0.11,
        layers=tuple(
            Layer(name=name, shape=shape, parameters=count, zeros=count // (5 + i))
            for i, (name, shape, count) in enumerate(_LAYERS)
        ),
        latency=tuple(
            Latency(runtime=runtime, batch_size=size, p50_ms=ms, p95_ms=1.3 * ms, p99_ms=1.9 * ms,
                    calls=400)
            for size, ms in zip((1, 32), latency, strict=True)
        ),
        inputs=("image [?,32,32,3] float32",),
        outputs=("probabilities [?,10] float32",),
    )  # fmt: skip


REPORT = OptimizationResult(
    technique="quantization",
    verdict=OptimizationVerdict.KEPT,
    reason=OptimizationReason.WITHIN_BUDGET,
    explanation="Selective int8 with 2 layers in float keeps to the budget: 3.0 times smaller for "
    "0.0012 of accuracy, of 0.005 that were allowed",
    parent=facts("models/resnet8", "saved_model", "float", 318_144, (1.91, 22.4),
                 "SavedModel on TensorFlow 2.16.2"),
    child=facts("out/model.tflite", "tflite", "selective int8", 104_812, (0.42, 12.9),
                "LiteRT 2.3.0 with XNNPACK"),
    metric=MetricUsed(name="SparseCategoricalAccuracy"),
    overall=part("overall", 1200, 0.0012, 0.0035, limit=0.005),
    slices=(
        part("camera:front", 700, 0.0011, 0.004),
        part("camera:rear", 420, 0.024, 0.02, SliceStatus.OVER),
        part("camera:roof of the long vehicle", 80, -0.006, 0.03),
        part("night:1", 22, 0.03, 0.09, SliceStatus.TOO_FEW_ROWS),
    ),
    parity=Parity(max_difference=0.21, mean_difference=0.012, top_class_agreement=0.993, rows=1200),
    rungs=RUNGS,
    rows={"calibration": 500, "choosing": 1800, "reporting": 1200},
    settings={"budget": 0.005, "target": "smallest", "seed": 0, "slices": ["camera", "night"]},
    notes=("Classes of the column label, sorted: cat is 0, dog is 1.",),
)  # fmt: skip
