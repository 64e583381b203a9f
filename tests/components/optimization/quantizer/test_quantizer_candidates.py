"""The smallest, the fastest, the one that maps: chosen among those that keep to the budget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.compression_target import CompressionTarget
from tfx_loop.optimization.quantizer.budget_verdict import RungReason
from tfx_loop.optimization.quantizer.calibration import draw
from tfx_loop.optimization.quantizer.candidates import VariantCost, best, why_left
from tfx_loop.optimization.quantizer.modes import IoType, QuantizationMode, io_type_of
from tfx_loop.optimization.quantizer.settings import QuantizerSettings, SearchSettings, for_target

VARIANTS = st.lists(
    st.builds(
        VariantCost,
        raw_bytes=st.integers(1, 1000),
        latency_ms=st.floats(0.01, 10.0),
        mapped=st.none() | st.floats(0.0, 1.0),
    ),
    min_size=1,
    max_size=8,
)


@given(VARIANTS)
def test_no_smaller_variant_is_passed_over(variants):
    chosen = best(variants, CompressionTarget.SMALLEST)
    assert variants[chosen].raw_bytes == min(v.raw_bytes for v in variants)


def test_zipped_bytes_count_where_they_are_the_target():
    dense = VariantCost(raw_bytes=100, zipped_bytes=90)
    sparse = VariantCost(raw_bytes=120, zipped_bytes=50)
    assert best([dense, sparse], CompressionTarget.SMALLEST) == 0
    assert best([dense, sparse], CompressionTarget.SMALLEST_ZIPPED) == 1
    left = why_left(dense, sparse, CompressionTarget.SMALLEST_ZIPPED)
    assert left is RungReason.LARGER_THAN_CHOSEN


@given(VARIANTS)
def test_fastest_is_as_fast_as_any_and_every_other_has_its_reason(variants):
    chosen = variants[best(variants, CompressionTarget.FASTEST)]
    assert chosen.latency_ms <= 1.05 * min(v.latency_ms for v in variants)
    for other in variants:
        if why_left(other, chosen, CompressionTarget.FASTEST) is RungReason.LARGER_THAN_CHOSEN:
            assert other.raw_bytes >= chosen.raw_bytes


@pytest.mark.parametrize(("latency_ms", "chosen"), [(1.04, 1), (1.06, 0)])
def test_of_two_about_as_fast_the_smaller_is_taken(latency_ms, chosen):
    fast = VariantCost(raw_bytes=200, latency_ms=1.0)
    small = VariantCost(raw_bytes=100, latency_ms=latency_ms)
    assert best([fast, small], CompressionTarget.FASTEST) == chosen


@given(VARIANTS)
def test_edge_tpu_takes_what_maps_most(variants):
    chosen = variants[best(variants, CompressionTarget.EDGE_TPU)]
    assert (chosen.mapped or 0) == max(v.mapped or 0 for v in variants)


def test_nothing_to_choose_from():
    assert best([], CompressionTarget.SMALLEST) is None


def test_edge_tpu_is_int8_from_input_to_output():
    modes, io_type = for_target(SearchSettings(), CompressionTarget.EDGE_TPU)
    assert modes == (QuantizationMode.INT8, QuantizationMode.QAT_INT8)
    assert io_type is IoType.INT8
    with pytest.raises(ConfigError, match="int8 or qat_int8 for the Edge TPU"):
        for_target(SearchSettings(modes=(QuantizationMode.FLOAT16,)), CompressionTarget.EDGE_TPU)


def test_ladder_has_its_order_whatever_was_asked_first():
    settings = SearchSettings(modes=(QuantizationMode.FLOAT, QuantizationMode.INT8))
    assert for_target(settings, CompressionTarget.SMALLEST)[0] == (
        QuantizationMode.INT8,
        QuantizationMode.FLOAT,
    )


def test_whole_numbers_outside_only_where_they_are_inside():
    assert io_type_of(QuantizationMode.INT8, IoType.UINT8) is IoType.UINT8
    assert io_type_of(QuantizationMode.FLOAT16, IoType.UINT8) is IoType.FLOAT


@given(rows=st.integers(2, 300), count=st.integers(1, 200), seed=st.integers(0, 5))
def test_calibration_and_the_other_rows_are_apart_and_complete(rows, count, seed):
    given_rows = Rows(inputs={"x": np.arange(rows)}, labels=np.arange(rows) % 3)
    drawn, rest = draw(given_rows, count, seed)
    assert len(drawn) == min(count, rows // 2)
    together = np.concatenate([drawn.inputs["x"], rest.inputs["x"]])
    assert sorted(together) == list(range(rows))
    again, _ = draw(given_rows, count, seed)
    assert np.array_equal(drawn.inputs["x"], again.inputs["x"])


def test_every_class_calibrates():
    labels = np.repeat([0, 1, 2], [900, 80, 20])
    drawn, _ = draw(Rows(inputs={"x": np.arange(1000)}, labels=labels), 100, seed=0)
    assert np.bincount(drawn.labels).tolist() == [90, 8, 2]


def test_calibration_without_rows_is_one_line():
    with pytest.raises(DataError, match="received 0 rows and calibration_rows 300"):
        draw(Rows(inputs={"x": np.zeros((0, 2))}), 300, 0)


def test_settings_come_back_from_execution_properties():
    settings = QuantizerSettings(mode="int8", max_metric_drop=None, slice_features=("site",))
    assert QuantizerSettings.from_properties(settings.to_properties()) == settings


def test_reports_keep_the_settings_without_the_evaluator_s_configuration():
    told = QuantizerSettings(eval_config="{}", slice_features=("site",)).to_json()
    assert "eval_config" not in told
    assert (told["target"], told["slice_features"]) == ("smallest", ["site"])


@pytest.mark.parametrize(
    ("given_settings", "told"),
    [
        ({"mode": "int4"}, "Expected mode search or one of int8"),
        ({"max_metric_drop": None}, "Expected max_metric_drop for mode 'search'"),
        ({"mode": "qat_int8"}, "Expected fine_tuning"),
        (
            {"target": "tiny"},
            "Expected one of smallest, smallest_zipped, fastest, edge_tpu in target of Quantizer",
        ),
        ({"io_type": "int4"}, "Expected one of float, int8, uint8 in io_type of Quantizer"),
        ({"calibration_rows": 0}, "calibration_rows of at least 1"),
        ({"calibration_splits": "train"}, "Expected a list in calibration_splits of Quantizer"),
        ({"speed": 1}, "Expected settings of Quantizer among"),
        ({"confidence": 1.0}, "Expected confidence from 0.5"),
    ],
)
def test_wrong_settings_are_one_line(given_settings, told):
    with pytest.raises(ConfigError, match=told) as caught:
        QuantizerSettings.of(given_settings, "Quantizer")
    assert "\n" not in str(caught.value)
