"""Layers are chosen one by one, steps add up, and settings that cannot work are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.fine_tuning.settings import FineTuningSettings
from tfx_loop.optimization.pruner.eligible import Kernel, SkipReason, to_cluster, to_prune
from tfx_loop.optimization.pruner.schedule import schedule
from tfx_loop.optimization.pruner.settings import Pattern, PrunerSettings, PruningSettings

KERNELS = [
    Kernel("image", "Conv2D", "kernel", (3, 3, 3, 16)),
    Kernel("deep", "DepthwiseConv2D", "depthwise_kernel", (3, 3, 16, 1)),
    Kernel("inner/wide", "Conv2D", "kernel", (3, 3, 16, 32)),
    Kernel("up", "Conv2DTranspose", "kernel", (2, 2, 8, 32)),
    Kernel("signal", "Conv1D", "kernel", (5, 8, 16)),
    Kernel("words", "Embedding", "embeddings", (100, 8)),
    Kernel("steps", "LSTM", "cell.kernel", (16, 64)),
    Kernel("steps", "LSTM", "cell.recurrent_kernel", (16, 64)),
    Kernel("dense", "Dense", "kernel", (32, 16)),
    Kernel("out", "Dense", "kernel", (16, 1)),
    Kernel("own", "Attention", "matrix", (8, 8)),
]


def settings(pattern, **more):
    return PruningSettings(pattern=Pattern(pattern), **more)


def test_unstructured_takes_every_kernel_that_tfmot_prunes():
    selection = to_prune(KERNELS, settings("unstructured"))
    assert selection.skipped == {"deep": SkipReason.DEPTHWISE, "own": SkipReason.UNSUPPORTED}
    assert "steps" in selection.chosen


def test_two_of_four_takes_kernels_with_four_input_channels():
    selection = to_prune(KERNELS, settings("2:4"))
    assert selection.chosen == ("inner/wide", "steps", "dense", "out")
    assert selection.skipped["image"] is SkipReason.NO_WHOLE_GROUP
    for name in ("up", "words", "signal"):
        assert selection.skipped[name] is SkipReason.OTHER_AXES


def test_blocks_need_a_matrix_with_more_than_one_block_each_way():
    selection = to_prune(KERNELS, settings("block", block=(4, 1)))
    assert selection.chosen == ("words", "steps", "dense")
    assert selection.skipped["out"] is SkipReason.TOO_SMALL
    assert selection.skipped["inner/wide"] is SkipReason.NOT_A_MATRIX


def test_layers_are_excluded_by_glob():
    selection = to_prune(KERNELS, settings("2:4", exclude=("inner/*", "out")))
    assert selection.chosen == ("steps", "dense")
    assert selection.skipped["inner/wide"] is SkipReason.EXCLUDED


def test_a_glob_that_matches_nothing_is_an_error():
    with pytest.raises(ConfigError, match="received 'outs'"):
        to_prune(KERNELS, settings("2:4", exclude=("outs",)))


def test_nothing_left_to_prune_is_an_error_with_the_reasons():
    with pytest.raises(ConfigError, match="fewer_than_4_input_channels"):
        to_prune(KERNELS[:1], settings("2:4"))


def test_clustering_leaves_small_and_recurrent_layers():
    selection = to_cluster(KERNELS, settings("none", clusters=16))
    assert selection.skipped["out"] is SkipReason.TOO_SMALL
    assert selection.skipped["steps"] is SkipReason.UNSUPPORTED
    assert "image" in selection.chosen


@given(st.integers(1, 500), st.integers(1, 40), st.floats(0.01, 1))
def test_the_sparsity_is_whole_before_training_ends(steps, epochs, ramp):
    plan = schedule(steps, epochs, ramp)
    assert plan.end_step % plan.frequency == 0
    assert 1 <= plan.end_step <= steps * epochs
    assert 1 <= plan.first_whole_epoch <= epochs
    assert (plan.first_whole_epoch - 1) * steps < plan.end_step <= plan.first_whole_epoch * steps


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sparsity": 1.0}, "below 1"),
        ({"pattern": Pattern.TWO_OF_FOUR, "sparsity": 0.7}, "sparsity 0.5 with pattern 2:4"),
        ({"block": (1, 1)}, "one of them above 1"),
        ({"ramp": 0}, "ramp above 0"),
        ({"clusters": 2}, "from 3 to 256"),
        ({"pattern": Pattern.NONE}, "something to do"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        PruningSettings(**changes)


def test_settings_survive_execution_properties_and_unknown_ones_are_named():
    given_ones = PrunerSettings(
        pattern=Pattern.BLOCK,
        block=(2, 8),
        exclude=("a*",),
        clusters=16,
        clustering=FineTuningSettings(epochs=2),
        fine_tuning=FineTuningSettings(learning_rate=1e-3, custom_objects=("m:C",)),
    )
    assert PrunerSettings.from_properties(given_ones.to_properties()) == given_ones
    with pytest.raises(ConfigError, match="sparcity"):
        PrunerSettings.of({"sparcity": 0.5})
    with pytest.raises(ConfigError, match="3:4"):
        PrunerSettings.of({"pattern": "3:4"})
