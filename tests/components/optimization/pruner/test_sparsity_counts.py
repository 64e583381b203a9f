"""Zeros are counted where they have to lie, whatever the kernel."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfx_loop.core import json_codec
from tfx_loop.optimization.pruner.settings import Pattern, PruningSettings
from tfx_loop.optimization.pruner.sparsity import (
    KernelSparsity,
    SparsityOutcome,
    blocks_of,
    groups_of_four,
    measure,
)

TWO_OF_FOUR = PruningSettings(pattern=Pattern.TWO_OF_FOUR)


def kernels(dimensions, least=1, most=9):
    shapes = st.lists(st.integers(least, most), min_size=dimensions, max_size=dimensions)
    numbers = st.floats(-2, 2, width=32).filter(lambda x: x != 0)
    return shapes.flatmap(lambda shape: arrays.arrays(np.float32, tuple(shape), elements=numbers))


def pruned_two_of_four(kernel):
    """Makes the two smallest of four input channels zero, by loops, as a check on the groups."""
    result = kernel.copy()
    for place in np.ndindex(*kernel.shape[:-2], kernel.shape[-1]):
        column = (*place[:-1], slice(None), place[-1])
        values = result[column].copy()
        for start in range(0, len(values), 4):
            group = values[start : start + 4]
            group[np.argsort(np.abs(group))[: max(len(group) - 2, 0)]] = 0
        result[column] = values
    return result


@pytest.mark.slow
@given(kernels(4, most=6) | kernels(2))
def test_groups_hold_every_weight_once(kernel):
    groups = groups_of_four(kernel)
    filled = groups[groups != 0]
    assert sorted(filled.tolist()) == sorted(kernel[kernel != 0].tolist())


@pytest.mark.slow
@given(kernels(4, most=6) | kernels(2))
def test_a_kernel_pruned_two_of_four_is_as_asked(kernel):
    found = measure("layer", "kernel", pruned_two_of_four(kernel), TWO_OF_FOUR)
    assert found.reached is SparsityOutcome.AS_ASKED
    assert found.units == found.zero_units


@pytest.mark.slow
@given(kernels(2, least=4), st.data())
def test_one_weight_too_many_in_one_group_is_denser(kernel, data):
    pruned = pruned_two_of_four(kernel)
    row = data.draw(st.integers(0, (kernel.shape[0] // 4) * 4 - 1))
    column = data.draw(st.integers(0, kernel.shape[1] - 1))
    group = pruned[row // 4 * 4 : row // 4 * 4 + 4, column]
    group[:] = np.where(group == 0, 1, group)
    found = measure("layer", "kernel", pruned, TWO_OF_FOUR)
    assert found.reached is SparsityOutcome.DENSER
    assert found.units - found.zero_units == 1


def test_zeros_along_the_outputs_are_not_two_of_four():
    kernel = np.tile(np.array([1, 0, 2, 0], np.float32), (8, 1))
    assert measure("layer", "kernel", kernel, TWO_OF_FOUR).reached is SparsityOutcome.DENSER
    assert measure("layer", "kernel", kernel.T, TWO_OF_FOUR).reached is SparsityOutcome.AS_ASKED


@pytest.mark.slow
@given(kernels(2, most=12), st.integers(1, 4), st.integers(2, 4))
def test_blocks_hold_the_largest_weight_of_their_place(kernel, height, width):
    blocks = blocks_of(kernel, (height, width))
    for row, column in np.ndindex(blocks.shape):
        part = kernel[row * height : (row + 1) * height, column * width : (column + 1) * width]
        assert blocks[row, column] == np.abs(part).max()


@given(st.integers(1, 500), st.floats(0.05, 0.95), st.integers(-30, 30))
def test_unstructured_sparsity_is_as_asked_within_half_a_point(size, sparsity, away):
    zeros = int(np.clip(round(size * sparsity) + away, 0, size))
    kernel = np.ones((size, 1), np.float32)
    kernel[:zeros] = 0
    found = measure("layer", "kernel", kernel, PruningSettings(sparsity=sparsity))
    tolerance = max(0.005 * size, 0.5) + 1e-3
    asked = min(sparsity * size, size - 1)
    if abs(zeros - asked) < tolerance - 2e-3:
        assert found.reached is SparsityOutcome.AS_ASKED
    if abs(zeros - asked) > tolerance:
        assert found.reached is (
            SparsityOutcome.DENSER if zeros < asked else SparsityOutcome.SPARSER
        )


def test_layers_left_alone_are_counted_and_not_judged():
    found = measure("layer", "kernel", np.eye(4), TWO_OF_FOUR, pruned=False)
    assert (found.reached, found.zeros, found.values) == (SparsityOutcome.NOT_PRUNED, 12, 2)


@pytest.mark.slow
@given(kernels(2))
def test_a_record_survives_json(kernel):
    found = measure("layer", "kernel", kernel, TWO_OF_FOUR)
    content = json.loads(json.dumps(json_codec.to_json(found)))
    assert json_codec.from_json(KernelSparsity, content, "a kernel") == found


def test_the_last_weight_always_stays():
    settings = PruningSettings(sparsity=0.9)
    kernel = np.array([[0], [0], [1]], np.float32)
    assert measure("layer", "kernel", kernel, settings).reached is SparsityOutcome.AS_ASKED
